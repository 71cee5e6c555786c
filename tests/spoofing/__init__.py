"""The spoofing matrix: everybody who might pass for somebody else by headers, every way to try, every format.

    python -m tests.spoofing

prints it as a table. Applications run under real servers; in front of them is a proxy made of the few things that
matter here, so that the exact bytes of every attempt are known. What real proxies do is tested in ``test_interop``.
"""
