"""TLS before the stream, where both sides want it: signalled, agreed on, never dropped unseen."""

import hashlib
from xml.etree import ElementTree

import pytest
from lxml import etree

from router.xmpp import names
from router.xmpp.jingle import discovery
from router.xmpp.jingle.events import Offered, SessionEnded, SessionKey, TransportAgreed
from router.xmpp.jingle.security import MAX_METHODS, Security, fingerprint, parse
from router.xmpp.service import Profile
from tests.router.xmpp.jingle.joined import (
    DESCRIPTION,
    IBB,
    JULIET,
    NOW,
    ROMEO,
    S5B,
    Party,
    content,
    error_of,
    jingle_set,
    offer,
    pump,
    reason_of,
)

ROMEOS, JULIETS = Security("aa" * 32), Security("bb" * 32)
SECURE = discovery.profile(has_s5b=False, has_xtls=True)
KEY = SessionKey(JULIET, "s1")
TAG = f"{{{names.JINGLE_XTLS}}}security"


def secured(security: str | bytes) -> str:
    """A content with this `<security/>`."""
    inside = security if isinstance(security, str) else security.decode()
    return content(DESCRIPTION + IBB.element().decode() + inside)


SRP_ONLY = secured(Security("bb", ("srp",)).element())
NO_FINGERPRINT = secured(Security().element())


@pytest.mark.clause("XTL-01")
def test_both_sides_signal_their_fingerprints() -> None:
    romeo = Party(ROMEO, security=ROMEOS, profile=SECURE)
    juliet = Party(JULIET, security=JULIETS, profile=SECURE)
    key, there = romeo.open(JULIET, "s1", IBB), SessionKey(ROMEO, "s1")
    said = pump(romeo, juliet)
    initiate = etree.fromstring(said[2])
    assert [child.tag for child in initiate[0][0]][2:] == [TAG]
    assert initiate.findtext(f".//{{{names.JINGLE_XTLS}}}fingerprint") == "aa" * 32
    assert juliet.happened() == [Offered(there, IBB)]
    juliet.wish(there, "accept", IBB)
    said = pump(romeo, juliet)
    assert b"bb" * 32 in said[0]
    assert romeo.happened() == [TransportAgreed(key, IBB, IBB, True, JULIETS)]
    assert juliet.happened() == [TransportAgreed(there, IBB, IBB, False, ROMEOS)]
    info, ack = (etree.fromstring(octets) for octets in said[-2:])
    assert info[0].get("action") == "security-info"
    assert info[0][0][0][0].get("name") == "x509"
    assert (ack.get("type"), len(ack)) == ("result", 0)


@pytest.mark.clause("XTL-01")
def test_what_is_agreed_holds_for_the_transport_that_comes_after() -> None:
    romeo = Party(ROMEO, security=ROMEOS)
    juliet = Party(JULIET, profile=discovery.profile(has_s5b=True, has_xtls=True))
    key = romeo.open(JULIET, "s1", S5B, IBB)
    pump(romeo, juliet)
    first = secured(JULIETS.element()).replace(IBB.element().decode(), S5B.element().decode())
    romeo.hear(jingle_set("session-accept", "s1", first))
    romeo.wish(key, "transport_failed", NOW)
    romeo.take()
    romeo.happened()
    romeo.hear(jingle_set("transport-accept", "s1", offer()))
    (ack,) = romeo.take()
    assert ack.get("type") == "result"
    assert romeo.happened() == [TransportAgreed(key, IBB, IBB, True, JULIETS)]


@pytest.mark.clause("XTL-01")
@pytest.mark.parametrize("inside", [SRP_ONLY, NO_FINGERPRINT])
def test_an_offer_without_a_method_of_ours_ends_the_session(inside: str) -> None:
    romeo = Party(ROMEO, security=ROMEOS)
    romeo.hear(jingle_set("session-initiate", "s1", inside))
    ack, end = romeo.take()
    assert (ack.get("type"), reason_of(end)) == ("result", "security-error")
    assert romeo.happened() == [SessionEnded(KEY, "security-error")]


def offering(profile: Profile = SECURE, security: Security | None = ROMEOS) -> Party:
    """Romeo, whose offer Juliet has acknowledged."""
    romeo, juliet = Party(ROMEO, security=security), Party(JULIET, profile=profile)
    romeo.open(JULIET, "s1", IBB)
    pump(romeo, juliet)
    return romeo


@pytest.mark.clause("XTL-04")
@pytest.mark.parametrize(
    "inside", [offer(), SRP_ONLY, NO_FINGERPRINT, secured("<security xmlns='urn:x'/>")]
)
def test_security_that_is_stripped_from_the_answer_ends_the_session(inside: str) -> None:
    romeo = offering()
    romeo.hear(jingle_set("session-accept", "s1", inside))
    ack, end = romeo.take()
    assert (ack.get("type"), reason_of(end)) == ("result", "security-error")


@pytest.mark.clause("DSC-02")
def test_it_is_asked_of_those_alone_that_announce_it() -> None:
    romeo = offering(discovery.profile(has_s5b=False))
    romeo.hear(jingle_set("session-accept", "s1", offer()))
    (event,) = romeo.happened()
    assert event == TransportAgreed(KEY, IBB, IBB, True)
    assert names.JINGLE_XTLS in SECURE.features
    assert names.JINGLE_XTLS not in discovery.profile(has_s5b=True).features


@pytest.mark.parametrize(
    ("ours", "inside"),
    [
        (None, secured(JULIETS.element())),
        (None, SRP_ONLY),
        (ROMEOS, offer()),
        (ROMEOS, secured("<security xmlns='urn:x'/>")),
    ],
)
def test_what_only_one_side_wants_is_left_out(ours: Security | None, inside: str) -> None:
    romeo = Party(ROMEO, security=ours)
    romeo.hear(jingle_set("session-initiate", "s1", inside))
    romeo.wish(KEY, "accept", IBB)
    _, accept = romeo.take()
    assert len(accept[0][0]) == 2, "a description and a transport"
    assert romeo.happened()[-1] == TransportAgreed(KEY, IBB, IBB, False)
    romeo.hear(jingle_set("security-info", "s1", secured(JULIETS.element())))
    (answer,) = romeo.take()
    assert error_of(answer) == ("feature-not-implemented", "unsupported-info")


def test_an_answer_with_security_that_nobody_asked_for_is_taken_without() -> None:
    romeo = offering(security=None)
    romeo.hear(jingle_set("session-accept", "s1", secured(JULIETS.element())))
    assert romeo.happened() == [TransportAgreed(KEY, IBB, IBB, True)]


@pytest.mark.clause("XTL-03")
def test_a_fingerprint_is_of_one_certificate() -> None:
    certificate = b"not really DER"
    digest = hashlib.sha256(certificate).hexdigest()
    assert fingerprint(certificate) == digest
    spelt = ":".join(digest[i : i + 2] for i in range(0, 64, 2)).upper()
    assert Security(digest).matches(certificate)
    assert Security(spelt).matches(certificate)
    assert not Security(digest).matches(certificate + b".")
    assert not Security().matches(certificate)
    assert not Security("é").matches(certificate)


@pytest.mark.parametrize("security", [ROMEOS, Security(), Security("<&>", ("x509", "a'b"))])
def test_what_we_write_we_read(security: Security) -> None:
    assert parse(ElementTree.fromstring(security.element())) == security


def test_what_is_read_is_bounded() -> None:
    many = "<method name='m'/>" * 99 + f"<fingerprint> {'f' * 999}</fingerprint>"
    found = parse(
        ElementTree.fromstring(f"<security xmlns='{names.JINGLE_XTLS}'>{many}</security>")
    )
    assert found is not None
    assert (len(found.methods), len(found.fingerprint)) == (MAX_METHODS, 256)
    assert parse(None) is parse(ElementTree.fromstring("<security/>")) is None
