"""``MTLS`` itself: registered once, holding no app, loading anew."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask

from flask_mtls import MTLS, ConfigurationError
from flask_mtls.config import KEYS
from mtls_core.devca import DevelopmentCA, Issued, self_signed

from .conftest import Clock, MakeApp, answer


def test_app_can_be_given_at_once(ca: DevelopmentCA) -> None:
    app = Flask(__name__)
    app.config["MTLS_CLIENT_CA"] = ca.pem
    MTLS(app)
    assert "mtls" in app.extensions


def test_extension_holds_no_app(ca: DevelopmentCA) -> None:
    app = Flask(__name__)
    app.config["MTLS_CLIENT_CA"] = ca.pem
    mtls = MTLS(app)
    assert app not in vars(mtls).values()


def test_second_registration_is_refused(make_app: MakeApp) -> None:
    app = make_app()
    with pytest.raises(ConfigurationError, match="has an MTLS already"):
        MTLS(app)


def test_failed_registration_leaves_nothing(ca: DevelopmentCA) -> None:
    app = Flask(__name__)
    with pytest.raises(ConfigurationError):
        MTLS(app)
    assert "mtls" not in app.extensions
    app.config["MTLS_CLIENT_CA"] = ca.pem
    MTLS(app)


def test_defaults_stand_in_the_configuration(make_app: MakeApp) -> None:
    app = make_app()
    assert KEYS.keys() <= app.config.keys()
    assert app.config["MTLS_REQUIRE"] == "decorated"


def test_settings_are_read_once(make_app: MakeApp) -> None:
    app = make_app()
    app.config["MTLS_REQUIRE"] = "all"
    assert answer(app, None, "/public") == 200


def test_hooks_are_decorators_that_return_the_function() -> None:
    mtls = MTLS()

    def function(argument: object) -> None:
        return None

    assert mtls.principal_loader(function) is function
    assert mtls.on_rejected(function) is function


def test_app_without_an_identity_decides_and_does_not_serve(make_app: MakeApp, billing: Issued) -> None:
    app = make_app()
    assert answer(app, billing) == 200
    with pytest.raises(ConfigurationError, match="MTLS_IDENTITY is not set"):
        MTLS().run(app)


def test_run_of_an_app_without_mtls() -> None:
    with pytest.raises(ConfigurationError, match=r"call mtls\.init_app"):
        MTLS().run(Flask(__name__))


def test_run_does_nothing_within_a_flask_command(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A module that ends with ``mtls.run(app)`` can still be imported by ``flask``."""
    monkeypatch.setenv("FLASK_RUN_FROM_CLI", "true")
    MTLS().run(make_app())
    assert "flask mtls run" in capsys.readouterr().out


def test_expired_identity_does_not_serve(make_app: MakeApp, ca: DevelopmentCA, clock: Clock) -> None:
    old = ca.server("localhost", not_after=clock.now - timedelta(days=1))
    with pytest.raises(ConfigurationError, match=r"MTLS_IDENTITY: .*expired on"):
        MTLS().run(make_app(MTLS_IDENTITY=old.identity))


def test_reload_takes_a_ca_away(
    make_app: MakeApp, ca: DevelopmentCA, foreign_ca: DevelopmentCA, tmp_path: Path
) -> None:
    """P9: also for a certificate whose verdict is remembered."""
    file = tmp_path / "ca.pem"
    file.write_text(ca.pem + foreign_ca.pem)
    mtls = MTLS()
    app = make_app(mtls, MTLS_CLIENT_CA=file, MTLS_RELOAD_INTERVAL=None)
    guest = foreign_ca.client("guest")
    assert answer(app, guest) == 200
    file.write_text(ca.pem)
    assert answer(app, guest) == 200
    mtls.reload(app)
    assert answer(app, guest) == "issuer_not_found"


def test_reload_of_a_broken_file_keeps_what_is_in_force(
    make_app: MakeApp, ca: DevelopmentCA, billing: Issued, tmp_path: Path
) -> None:
    """P9."""
    file = tmp_path / "ca.pem"
    file.write_text(ca.pem)
    mtls = MTLS()
    app = make_app(mtls, MTLS_CLIENT_CA=file)
    file.write_text(ca.pem[:100])
    with pytest.raises(ConfigurationError, match="MTLS_CLIENT_CA"):
        mtls.reload(app)
    assert answer(app, billing) == 200


def test_changed_file_is_noticed(
    make_app: MakeApp, ca: DevelopmentCA, foreign_ca: DevelopmentCA, tmp_path: Path
) -> None:
    """P9: without anybody calling ``reload``."""
    file = tmp_path / "ca.pem"
    file.write_text(ca.pem)
    app = make_app(MTLS_CLIENT_CA=file, MTLS_RELOAD_INTERVAL=0.1)
    guest = foreign_ca.client("guest")
    assert answer(app, guest) == "issuer_not_found"
    file.write_text(ca.pem + foreign_ca.pem)
    deadline = time.monotonic() + 10
    while answer(app, guest) != 200:
        assert time.monotonic() < deadline


def test_path_that_was_relative_survives_a_change_of_folder(
    make_app: MakeApp, ca: DevelopmentCA, billing: Issued, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ca.pem").write_text(ca.pem)
    monkeypatch.chdir(tmp_path)
    mtls = MTLS()
    app = make_app(mtls, MTLS_CLIENT_CA="ca.pem")
    monkeypatch.chdir("/")
    mtls.reload(app)
    assert answer(app, billing) == 200


def test_new_allowed_certificate_is_loaded(make_app: MakeApp, tmp_path: Path) -> None:
    first, second = self_signed("device", usage=("client",)), self_signed("device", usage=("client",))
    file = tmp_path / "devices.pem"
    file.write_text(first.certificate.pem)
    mtls = MTLS()
    app = make_app(mtls, MTLS_CLIENT_CA=None, MTLS_CERTIFICATE_TYPES="self_signed", MTLS_ALLOWED=[str(file)])
    assert (answer(app, first), answer(app, second)) == (200, "not_expected")
    file.write_text(second.certificate.pem)
    mtls.reload(app)
    assert (answer(app, first), answer(app, second)) == ("not_expected", 200)
