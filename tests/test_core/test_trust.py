"""Certificates become anchors by what they are, not by where they lay."""

from __future__ import annotations

from pathlib import Path

import pytest

from mtls_core.devca import DevelopmentCA, self_signed
from mtls_core.errors import TrustStoreError
from mtls_core.trust import TrustStore


@pytest.fixture(scope="module")
def root() -> DevelopmentCA:
    return DevelopmentCA.create("Root")


@pytest.fixture(scope="module")
def issuing(root: DevelopmentCA) -> DevelopmentCA:
    return root.intermediate("Issuing")


def test_a_bundle_is_sorted(root: DevelopmentCA, issuing: DevelopmentCA) -> None:
    leaf = self_signed("leaf").certificate
    trust = TrustStore.from_pem(issuing.certificate.pem + leaf.pem + root.certificate.pem + root.certificate.pem)
    assert trust.anchors == (root.certificate,)
    assert trust.intermediates == (issuing.certificate,)
    assert trust.self_signed_leaves == (leaf,)


def test_intermediates_anchor_nothing(issuing: DevelopmentCA) -> None:
    """A19: a store that holds only the intermediate trusts nobody; there it is a 403, here it does not start."""
    with pytest.raises(TrustStoreError, match=r"only intermediate certificates .*CN=Issuing.*add the root.*CN=Root"):
        TrustStore.from_pem(issuing.certificate.pem)


def test_several_files_pem_and_der(tmp_path: Path, root: DevelopmentCA) -> None:
    other = DevelopmentCA.create("Other")
    (tmp_path / "a.pem").write_text(root.certificate.pem)
    (tmp_path / "b.der").write_bytes(other.certificate.der)
    trust = TrustStore.from_files(tmp_path / "a.pem", str(tmp_path / "b.der"))
    assert set(trust.anchors) == {root.certificate, other.certificate}


def test_a_folder_may_hold_other_files_too(tmp_path: Path, root: DevelopmentCA) -> None:
    (tmp_path / "ca.pem").write_text(root.certificate.pem)
    (tmp_path / "README").write_text("read me")
    (tmp_path / ".hidden.pem").write_text("-----BEGIN CERTIFICATE-----\nbroken")
    (tmp_path / "sub").mkdir()
    assert TrustStore.from_files(tmp_path).anchors == (root.certificate,)


def test_a_symbolic_link_counts_once(tmp_path: Path, root: DevelopmentCA) -> None:
    (tmp_path / "ca.pem").write_text(root.certificate.pem)
    (tmp_path / "1a2b3c4d.0").symlink_to("ca.pem")
    assert TrustStore.from_files(tmp_path).anchors == (root.certificate,)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "holds no certificate"),
        (b"hello", "holds no certificate"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "cannot be read"),
        (b"\x30\x00", "cannot be read"),
    ],
)
def test_a_named_file_without_certificates_is_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    file = tmp_path / "ca.pem"
    file.write_bytes(content)
    with pytest.raises(TrustStoreError, match=sentence) as caught:
        TrustStore.from_files(file)
    assert str(file) in str(caught.value)


def test_a_half_written_bundle_is_refused(tmp_path: Path, root: DevelopmentCA) -> None:
    file = tmp_path / "ca.pem"
    file.write_text(root.certificate.pem + root.certificate.pem[:200])
    with pytest.raises(TrustStoreError, match="damaged"):
        TrustStore.from_files(file)


def test_a_missing_file_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrustStoreError, match="No such file"):
        TrustStore.from_files(tmp_path / "missing.pem")
    with pytest.raises(TrustStoreError, match="no file in this folder"):
        TrustStore.from_files(tmp_path)


def test_no_file_at_all_is_refused() -> None:
    with pytest.raises(TrustStoreError, match="no file"):
        TrustStore.from_files()


def test_the_fingerprint_follows_the_set_not_the_order(root: DevelopmentCA, issuing: DevelopmentCA) -> None:
    one = TrustStore.from_certificates([root.certificate, issuing.certificate])
    two = TrustStore.from_certificates([issuing.certificate, root.certificate, root.certificate])
    assert one.fingerprint == two.fingerprint
    assert one.fingerprint != TrustStore.from_certificates([root.certificate]).fingerprint


def test_the_bundle_of_the_machine_loads_whole() -> None:
    """Public roots signed with SHA-1, or with serial number 0, are anchors like others."""
    bundle = Path("/etc/ssl/certs/ca-certificates.crt")
    if not bundle.exists():
        pytest.skip("ca-certificates is not installed")
    trust = TrustStore.from_files(bundle)
    assert len(trust.certificates) == bundle.read_text().count("BEGIN CERTIFICATE")
    assert len(trust.anchors) > 100
