"""What the settings name is loaded when the extension meets the app, and what is wrong with it is said then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flask_mtls import ConfigurationError, IdentityError
from flask_mtls.config import read_settings
from flask_mtls.material import LoadedMaterial, load_material
from mtls_core.devca import DevelopmentCA, Issued, self_signed


@pytest.fixture(scope="module")
def device() -> Issued:
    return self_signed("device", usage=("client",))


def loaded(ca: DevelopmentCA, **values: Any) -> LoadedMaterial:
    return load_material(read_settings({"MTLS_CLIENT_CA": ca.pem} | values))


def test_identity_from_a_pfx(ca: DevelopmentCA, orders: Issued, tmp_path: Path) -> None:
    files = orders.write(tmp_path, "orders", password="s3cret")
    material = loaded(ca, MTLS_IDENTITY=files.pfx, MTLS_IDENTITY_PASSWORD="s3cret")
    assert material.identity is not None
    assert material.identity.certificate == orders.certificate


def test_identity_from_two_pem_files(ca: DevelopmentCA, orders: Issued, tmp_path: Path) -> None:
    files = orders.write(tmp_path, "orders", password="s3cret")
    material = loaded(
        ca, MTLS_IDENTITY=files.certificate, MTLS_IDENTITY_KEY=str(files.key), MTLS_IDENTITY_PASSWORD=lambda: "s3cret"
    )
    assert material.identity is not None
    assert material.identity.certificate == orders.certificate


def test_identity_from_one_pem(ca: DevelopmentCA, orders: Issued) -> None:
    pem = orders.certificate_pem + orders.key_pem()
    material = loaded(ca, MTLS_IDENTITY=pem.decode())
    assert material.identity is not None
    assert material.identity.certificate == orders.certificate


def test_identity_is_optional(ca: DevelopmentCA) -> None:
    assert loaded(ca).identity is None


@pytest.mark.parametrize("password", ["wrong", None])
def test_wrong_password_names_the_key(ca: DevelopmentCA, orders: Issued, tmp_path: Path, password: str | None) -> None:
    files = orders.write(tmp_path, "orders", password="s3cret")
    with pytest.raises(ConfigurationError, match=r"MTLS_IDENTITY: .*orders\.pfx.*password") as caught:
        loaded(ca, MTLS_IDENTITY=files.pfx, MTLS_IDENTITY_PASSWORD=password)
    assert isinstance(caught.value.__cause__, IdentityError)


@pytest.mark.parametrize("key", ["MTLS_IDENTITY", "MTLS_CLIENT_CA"])
def test_missing_file_names_the_key(ca: DevelopmentCA, key: str) -> None:
    """P24: a file that cannot be read does not start."""
    with pytest.raises(ConfigurationError, match=rf"^{key}: .*/nowhere/x\.pem"):
        loaded(ca, **{key: "/nowhere/x.pem"})


def test_client_ca_as_der(ca: DevelopmentCA) -> None:
    material = loaded(ca, MTLS_CLIENT_CA=ca.certificate.der)
    assert material.trust is not None
    assert material.trust.anchors == (ca.certificate,)


def test_client_ca_in_a_folder(ca: DevelopmentCA, foreign_ca: DevelopmentCA, tmp_path: Path) -> None:
    (tmp_path / "one.pem").write_text(ca.pem)
    (tmp_path / "two.pem").write_text(foreign_ca.pem)
    material = loaded(ca, MTLS_CLIENT_CA=str(tmp_path))
    assert material.trust is not None
    assert set(material.trust.anchors) == {ca.certificate, foreign_ca.certificate}


def test_client_ca_without_a_ca(ca: DevelopmentCA, device: Issued) -> None:
    """P24: no anchors, no start."""
    with pytest.raises(ConfigurationError, match="MTLS_CLIENT_CA: none of its certificates is a CA"):
        loaded(ca, MTLS_CLIENT_CA=device.certificate.pem)


def test_empty_client_ca_file(ca: DevelopmentCA, tmp_path: Path) -> None:
    """P24: an empty CA file does not start."""
    (tmp_path / "ca.pem").write_text("")
    with pytest.raises(ConfigurationError, match=r"MTLS_CLIENT_CA: .*holds no certificate"):
        loaded(ca, MTLS_CLIENT_CA=tmp_path / "ca.pem")


@pytest.mark.parametrize("form", ["path", "pem", "der", "object"])
def test_allowed_certificate_in_each_form(ca: DevelopmentCA, device: Issued, tmp_path: Path, form: str) -> None:
    path = tmp_path / "device.pem"
    path.write_text(device.certificate.pem)
    entry: Any = {
        "path": str(path),
        "pem": device.certificate.pem,
        "der": device.certificate.der,
        "object": device.certificate,
    }[form]
    material = loaded(ca, MTLS_ALLOWED=[entry])
    assert material.allowed is not None
    assert material.allowed.matches(device.certificate)
    assert material.self_signed == (device.certificate,)


def test_allowed_pin_has_no_certificate(ca: DevelopmentCA, device: Issued) -> None:
    material = loaded(ca, MTLS_ALLOWED=device.certificate.thumbprint)
    assert material.allowed is not None
    assert material.allowed.matches(device.certificate)
    assert material.self_signed == ()


def test_self_signed_certificate_of_the_client_ca_is_at_hand(ca: DevelopmentCA, device: Issued) -> None:
    material = loaded(ca, MTLS_CLIENT_CA=ca.pem + device.certificate.pem, MTLS_ALLOWED=device.certificate.thumbprint)
    assert material.self_signed == (device.certificate,)


def test_allowed_sha1_thumbprint_is_refused(ca: DevelopmentCA) -> None:
    with pytest.raises(ConfigurationError, match=r"MTLS_ALLOWED: .*SHA-1"):
        loaded(ca, MTLS_ALLOWED="ab" * 20)


def test_allowed_file_without_a_certificate(ca: DevelopmentCA, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("nothing")
    with pytest.raises(ConfigurationError, match=r"MTLS_ALLOWED: .*note\.txt holds no certificate"):
        loaded(ca, MTLS_ALLOWED=[str(tmp_path / "note.txt")])
