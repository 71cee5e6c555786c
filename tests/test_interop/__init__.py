import pytest

# Its asserts are to be explained as those of test modules are.
pytest.register_assert_rewrite("tests.test_interop.proxy_scenarios")
