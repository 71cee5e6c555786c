"""Which lists are about which certificates, and where a certificate says they are."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from mtls_core.devca import DevelopmentCA, Issued, scope
from mtls_core.revocation.crl import DistributionPoint, delta_points, distribution_points
from mtls_core.revocation.crl_scope import ALL_REASONS, names_a_source, reason_names
from mtls_core.revocation.status import Status

from .crafting import make_root
from .revocation_lists import HOLD, KEY_COMPROMISE, ask, point, points, read, resign

URL = "http://crl.example/ca.crl"
OTHER_URL = "http://crl.example/other.crl"
OTHERS = ALL_REASONS - {KEY_COMPROMISE}


def _name(value: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, value)])


def _rdn(value: str) -> x509.RelativeDistinguishedName:
    return x509.RelativeDistinguishedName([x509.NameAttribute(NameOID.COMMON_NAME, value)])


@pytest.fixture(scope="module")
def ca() -> DevelopmentCA:
    return make_root()


@pytest.fixture(scope="module")
def client(ca: DevelopmentCA) -> Issued:
    return ca.client("billing")


@pytest.fixture(scope="module")
def pointing(ca: DevelopmentCA) -> Issued:
    return ca.client("billing", extensions=points(point(URL)))


class TestDistributionPoints:
    def test_a_certificate_that_names_none(self, client: Issued) -> None:
        assert distribution_points(client.certificate) == ()
        assert delta_points(client.certificate) == ()

    def test_urls_in_the_order_of_the_certificate(self, ca: DevelopmentCA) -> None:
        issued = ca.client("x", extensions=points(point(URL, "ldap://crl.example/x"), point(OTHER_URL)))
        found = distribution_points(issued.certificate)
        assert [p.urls for p in found] == [(URL, "ldap://crl.example/x"), (OTHER_URL,)]
        assert [(p.issuers, p.reasons) for p in found] == [(frozenset(), ALL_REASONS)] * 2

    def test_other_issuers_and_reasons(self, ca: DevelopmentCA) -> None:
        issued = ca.client("x", extensions=points(point(issuer=_name("Lists"), reasons=[KEY_COMPROMISE])))
        (found,) = distribution_points(issued.certificate)
        assert isinstance(found, DistributionPoint)
        assert (found.names, len(found.issuers), set(found.reasons)) == (None, 1, {KEY_COMPROMISE})

    def test_where_deltas_are(self, ca: DevelopmentCA) -> None:
        issued = ca.client("x", extensions=((x509.FreshestCRL([point(URL)]), False),))
        assert [p.urls for p in delta_points(issued.certificate)] == [(URL,)]

    def test_what_counts_as_a_source(self, ca: DevelopmentCA, client: Issued, pointing: Issued) -> None:
        def access(method: x509.ObjectIdentifier) -> Issued:
            description = x509.AccessDescription(method, x509.UniformResourceIdentifier("http://ca.example/"))
            return ca.client("x", extensions=((x509.AuthorityInformationAccess([description]), False),))

        assert names_a_source(pointing.certificate)
        assert names_a_source(access(AuthorityInformationAccessOID.OCSP).certificate)
        assert not names_a_source(access(AuthorityInformationAccessOID.CA_ISSUERS).certificate)
        assert not names_a_source(client.certificate)


class TestNames:
    """RFC 5280, section 6.3.3 (b)(2)(i)."""

    def test_a_list_without_scope_is_about_every_certificate(
        self, ca: DevelopmentCA, client: Issued, pointing: Issued
    ) -> None:
        assert ask(client, ca.crl()).status is Status.GOOD
        assert ask(pointing, ca.crl()).status is Status.GOOD

    def test_a_list_of_the_point_that_the_certificate_names(self, ca: DevelopmentCA, pointing: Issued) -> None:
        assert ask(pointing, ca.crl(scope=scope(URL))).status is Status.GOOD
        assert ask(pointing, ca.crl([pointing], scope=scope(URL))).status is Status.REVOKED

    def test_a_list_of_another_point(self, ca: DevelopmentCA, pointing: Issued) -> None:
        answer = ask(pointing, ca.crl([pointing], scope=scope(OTHER_URL)))
        assert answer.status is Status.UNKNOWN
        assert "covers one distribution point, which is not this one" in answer.detail

    def test_one_name_of_several_is_enough(self, ca: DevelopmentCA, pointing: Issued) -> None:
        assert ask(pointing, ca.crl(scope=scope(OTHER_URL, URL))).status is Status.GOOD

    def test_a_list_under_the_second_point(self, ca: DevelopmentCA) -> None:
        """RUSTSEC-2026-0049: another library looked at the first point alone."""
        issued = ca.client("x", extensions=points(point(OTHER_URL), point(URL)))
        assert ask(issued, ca.crl(scope=scope(URL))).status is Status.GOOD
        assert ask(issued, ca.crl([issued], scope=scope(URL))).status is Status.REVOKED

    def test_a_list_of_a_point_about_a_certificate_that_names_none(self, ca: DevelopmentCA, client: Issued) -> None:
        assert ask(client, ca.crl(scope=scope(URL))).status is Status.UNKNOWN

    def test_every_certificate_has_the_point_that_is_its_issuers_name(self, ca: DevelopmentCA, client: Issued) -> None:
        assert ask(client, ca.crl(scope=scope(name=_name("ROOT")))).status is Status.GOOD
        assert ask(client, ca.crl(scope=scope(name=_name("Other")))).status is Status.UNKNOWN

    def test_and_those_that_are_its_issuers_alternative_names(self, ca: DevelopmentCA) -> None:
        names = x509.IssuerAlternativeName([x509.UniformResourceIdentifier(URL)])
        issued = ca.client("x", extensions=((names, False),))
        assert ask(issued, ca.crl(scope=scope(URL))).status is Status.GOOD

    def test_names_relative_to_the_issuer(self, ca: DevelopmentCA) -> None:
        issued = ca.client("x", extensions=points(point(relative=_rdn("CRL1"))))
        full = x509.Name([*ca.certificate.subject_name.rdns, _rdn("crl1")])
        assert ask(issued, ca.crl(scope=scope(relative=_rdn("CRL1")))).status is Status.GOOD
        assert ask(issued, ca.crl(scope=scope(name=full))).status is Status.GOOD
        assert ask(issued, ca.crl(scope=scope(relative=_rdn("CRL2")))).status is Status.UNKNOWN


class TestKinds:
    """RFC 5280, section 6.3.3 (b)(2)(ii) to (iv)."""

    @pytest.mark.parametrize(
        ("only", "leaf", "intermediate"),
        [
            ("user", Status.GOOD, Status.UNKNOWN),
            ("ca", Status.UNKNOWN, Status.GOOD),
            ("attribute", Status.UNKNOWN, Status.UNKNOWN),
            (None, Status.GOOD, Status.GOOD),
        ],
    )
    def test_a_list_of_one_kind_of_certificates(
        self, ca: DevelopmentCA, client: Issued, only: str | None, leaf: Status, intermediate: Status
    ) -> None:
        kind = {} if only is None else {"scope": scope(only=only)}
        crl = read(ca.crl(**kind))  # type: ignore[arg-type]
        below = ca.intermediate().client("x")
        assert (ask(client, crl).status, ask(below, crl, depth=1).status) == (leaf, intermediate)

    def test_the_kind_is_named_where_it_does_not_fit(self, ca: DevelopmentCA, client: Issued) -> None:
        assert "covers ca certificates alone" in ask(client, ca.crl(scope=scope(only="ca"))).detail


class TestReasons:
    """RFC 5280, section 6.3.3 (d) and (e)."""

    def test_lists_that_cover_all_reasons_together(self, ca: DevelopmentCA, client: Issued) -> None:
        some, rest = ca.crl(scope=scope(reasons=[KEY_COMPROMISE])), ca.crl(scope=scope(reasons=OTHERS))
        assert ask(client, some, rest).status is Status.GOOD
        assert ask(client, some, rest).source == "crl 0.crl, 1.crl"

    def test_lists_that_leave_reasons_out(self, ca: DevelopmentCA, client: Issued) -> None:
        answer = ask(client, ca.crl(scope=scope(reasons=OTHERS)))
        assert answer.status is Status.UNKNOWN
        assert "do not cover these reasons of revocation: keyCompromise" in answer.detail

    def test_a_list_of_some_reasons_revokes_alone(self, ca: DevelopmentCA, client: Issued) -> None:
        assert ask(client, ca.crl([client], scope=scope(reasons=OTHERS))).status is Status.REVOKED

    def test_revoked_by_one_and_cleared_by_another_is_revoked(self, ca: DevelopmentCA, client: Issued) -> None:
        some = ca.crl([client], scope=scope(reasons=[KEY_COMPROMISE]))
        assert ask(client, some, ca.crl(number=9)).status is Status.REVOKED

    def test_a_point_that_covers_some_reasons(self, ca: DevelopmentCA) -> None:
        limited = point(URL, reasons=[KEY_COMPROMISE])
        issued = ca.client("x", extensions=points(limited, point(OTHER_URL, reasons=OTHERS)))
        first, second = ca.crl(scope=scope(URL)), ca.crl(scope=scope(OTHER_URL))
        assert ask(issued, first).status is Status.UNKNOWN
        assert ask(issued, first, second).status is Status.GOOD

    def test_a_list_covers_the_reasons_that_its_point_covers_too(self, ca: DevelopmentCA) -> None:
        issued = ca.client("x", extensions=points(point(URL, reasons=[KEY_COMPROMISE])))
        whole = ca.crl(scope=scope(URL))
        answer = ask(issued, whole)
        assert answer.status is Status.UNKNOWN
        assert "certificateHold" in answer.detail.partition("these reasons")[2]
        assert "keyCompromise" not in answer.detail.partition("these reasons")[2]

    def test_and_only_those_of_the_point_that_are_its_own(self, ca: DevelopmentCA) -> None:
        issued = ca.client("x", extensions=points(point(URL, reasons=[KEY_COMPROMISE])))
        assert ask(issued, ca.crl([issued], scope=scope(URL, reasons=[KEY_COMPROMISE]))).status is Status.REVOKED
        assert ask(issued, ca.crl([issued], scope=scope(URL, reasons=[HOLD]))).status is Status.UNKNOWN

    def test_reasons_for_people(self) -> None:
        assert reason_names([HOLD, KEY_COMPROMISE]) == "certificateHold, keyCompromise"
        assert len(ALL_REASONS) == 8


class TestIssuers:
    """RFC 5280, section 6.3.3 (b)(1)."""

    def test_a_list_of_another_issuer_is_none_of_its_business(self, ca: DevelopmentCA, client: Issued) -> None:
        answer = ask(client, make_root("Other").crl([client]))
        assert answer.status is Status.UNKNOWN
        assert "there is no revocation list of CN=Root about it" in answer.detail

    def test_an_indirect_list_of_the_issuer_that_the_point_names(self) -> None:
        root, sub, lists = _three()
        issued = sub.client("x", extensions=points(point(issuer=lists.certificate.subject_name)))
        crl = lists.crl(scope=scope(indirect=True))
        own = root.crl()
        assert ask(issued, crl, own, signers=[lists.certificate]).status is Status.GOOD

    def test_a_list_of_that_issuer_which_is_not_indirect(self) -> None:
        root, sub, lists = _three()
        issued = sub.client("x", extensions=points(point(issuer=lists.certificate.subject_name)))
        assert ask(issued, lists.crl(), root.crl(), signers=[lists.certificate]).status is Status.UNKNOWN

    def test_an_indirect_list_of_an_issuer_that_no_point_names(self) -> None:
        root, sub, lists = _three()
        issued = sub.client("x")
        crl = lists.crl(scope=scope(indirect=True))
        assert ask(issued, crl, root.crl(), signers=[lists.certificate]).status is Status.UNKNOWN

    def test_the_name_of_that_issuer_is_the_point_where_there_is_no_other(self) -> None:
        root, sub, lists = _three()
        name = lists.certificate.subject_name
        issued = sub.client("x", extensions=points(point(issuer=name)))
        for names, expected in ((name, Status.GOOD), (_name("Elsewhere"), Status.UNKNOWN)):
            crl = lists.crl(scope=scope(name=names, indirect=True))
            assert ask(issued, crl, root.crl(), signers=[lists.certificate]).status is expected

    def test_a_relative_name_is_relative_to_that_issuer(self) -> None:
        root, sub, lists = _three()
        issued = sub.client("x", extensions=points(point(relative=_rdn("D"), issuer=lists.certificate.subject_name)))
        crl = lists.crl(scope=scope(relative=_rdn("D"), indirect=True))
        assert ask(issued, crl, root.crl(), signers=[lists.certificate]).status is Status.GOOD

    def test_an_indirect_list_of_the_certificates_own_issuer(self, ca: DevelopmentCA, client: Issued) -> None:
        assert ask(client, ca.crl(scope=scope(indirect=True))).status is Status.GOOD
        assert ask(client, ca.crl([client], scope=scope(indirect=True))).status is Status.REVOKED


def test_names_of_issuers_are_compared_as_names() -> None:
    """RFC 5280, section 7.1: case and spaces do not count."""
    spaced = make_root("Some CA")
    issued = spaced.client("x")
    assert ask(issued, _renamed(spaced, "some  ca")).status is Status.GOOD
    assert ask(issued, _renamed(spaced, "some cb")).status is Status.UNKNOWN


def _renamed(ca: DevelopmentCA, name: str) -> bytes:
    """A list of the CA that spells its name differently."""
    return resign(ca.crl(), ca, lambda fields: fields.__setitem__(2, _name(name).public_bytes()))


def _three() -> tuple[DevelopmentCA, DevelopmentCA, DevelopmentCA]:
    """A root, a CA below it, and another one that issues lists for both."""
    root = make_root()
    return root, root.intermediate("Issuing CA"), root.intermediate("Lists")
