"""The form of a verdict; who judges is `router.acceptor.certificates.verdict`'s test."""

import itertools

import pytest

from router.xmpp.certificate import NO_CERTIFICATE, Verdict


@pytest.mark.parametrize(("trusted", "covers"), list(itertools.product([False, True], repeat=2)))
def test_a_valid_certificate_is_trusted_and_for_the_domain(trusted: bool, covers: bool) -> None:
    assert Verdict(trusted, covers, "").valid is (trusted and covers)


def test_no_certificate_proves_nothing() -> None:
    verdict = NO_CERTIFICATE.proves("montague.example")
    assert not verdict.valid
    assert (verdict.reason, verdict.not_after) == ("no certificate", None)
