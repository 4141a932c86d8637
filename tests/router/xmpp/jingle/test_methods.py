"""Sessions over the transports that there really are."""

import pytest

from router.xmpp import names
from router.xmpp.bytestreams.ibb_transport import IbbOffer
from router.xmpp.bytestreams.s5b_transport import Candidate, CandidateError, S5bOffer
from router.xmpp.jingle.events import (
    InfoReceived,
    Offered,
    SessionKey,
    TransportAgreed,
    TransportOffered,
)
from router.xmpp.jingle.methods import methods
from tests.router.xmpp.jingle.joined import (
    JULIET,
    NOW,
    ROMEO,
    Party,
    jingle_set,
    offer,
    pump,
    reason_of,
)
from tests.router.xmpp.reader.reading import HEADER, read

IBB = IbbOffer("inband", 4096)
OLD_IBB = IbbOffer("inband", 4096, namespace=names.JINGLE_IBB_0)
ROMEOS = S5bOffer("socks", (Candidate("c1", "192.0.2.1", ROMEO, 5086, 8257536, "direct"),))
JULIETS = S5bOffer("socks", (Candidate("c2", "2001:db8::2", JULIET, 5087, 8257536, "direct"),))


@pytest.mark.clause("JXS-06", "DSC-02")
def test_in_band_bytestreams_are_always_there() -> None:
    assert set(methods(has_s5b=False)) == {names.JINGLE_IBB, names.JINGLE_IBB_0}
    assert set(methods(has_s5b=True)) - set(methods(has_s5b=False)) == {names.JINGLE_S5B}
    assert all(key == method.namespace for key, method in methods(has_s5b=True).items())


@pytest.mark.clause("JXS-06", "S5B-06")
def test_a_session_falls_back_from_socks5_to_in_band() -> None:
    both = methods(has_s5b=True)
    romeo, juliet = Party(ROMEO, methods=both), Party(JULIET, methods=both)
    there = SessionKey(ROMEO, "s1")
    key = romeo.open(JULIET, "s1", ROMEOS, IBB)
    pump(romeo, juliet)
    assert juliet.happened() == [Offered(there, ROMEOS)]
    juliet.wish(there, "accept", ROMEOS.answer(JULIETS))
    pump(romeo, juliet)
    assert romeo.happened() == [TransportAgreed(key, ROMEOS, JULIETS, is_offerer=True)]
    juliet.happened()
    for party, mine in ((romeo, key), (juliet, there)):
        party.wish(mine, "inform", CandidateError("socks"))
    pump(romeo, juliet)
    assert romeo.happened() == [InfoReceived(key, CandidateError("socks"))]
    assert juliet.happened() == [InfoReceived(there, CandidateError("socks"))]
    romeo.wish(key, "transport_failed", NOW)
    pump(romeo, juliet)
    assert juliet.happened() == [TransportOffered(there, IBB)]
    juliet.wish(there, "accept_transport", IBB.answer(2048))
    pump(romeo, juliet)
    assert romeo.happened() == [TransportAgreed(key, IBB, IBB.answer(2048), is_offerer=True)]


@pytest.mark.clause("JXS-01", "RTE-14")
def test_every_stanza_of_a_session_is_neutral() -> None:
    both = methods(has_s5b=True)
    romeo, juliet = Party(ROMEO, methods=both), Party(JULIET, methods=both)
    there = SessionKey(ROMEO, "s1")
    key = romeo.open(JULIET, "s1", ROMEOS, IBB)
    said = pump(romeo, juliet)
    juliet.wish(there, "accept", ROMEOS.answer(JULIETS))
    juliet.wish(there, "inform", CandidateError("socks"))
    said += pump(romeo, juliet)
    romeo.wish(key, "transport_failed", NOW)
    said += pump(romeo, juliet)
    juliet.wish(there, "reject_transport")
    said += pump(romeo, juliet)
    juliet.hear(jingle_set("x", "s1").replace(JULIET.encode(), ROMEO.encode(), 1))
    said.append(juliet.out.popleft())
    _, *runs = read(HEADER + b"".join(said))
    assert sum(run.counts.iqs for run in runs) == len(said)
    assert b"".join(run.octets for run in runs) == b"".join(said), "as it was written"


@pytest.mark.clause("JXS-05")
@pytest.mark.parametrize("version", ["0", "1"])
def test_socks5_is_unsupported_where_it_is_off_or_old(version: str) -> None:
    namespace = f"urn:xmpp:jingle:transports:s5b:{version}"
    romeo = Party(ROMEO, methods=methods(has_s5b=version == "0"))
    inside = offer().replace(names.JINGLE_IBB, namespace)
    romeo.hear(jingle_set("session-initiate", "s1", inside))
    ack, end = romeo.take()
    assert (ack.get("type"), reason_of(end)) == ("result", "unsupported-transports")


@pytest.mark.clause("JXS-02", "IBB-02")
def test_an_old_in_band_offer_is_answered_in_kind() -> None:
    romeo = Party(ROMEO, methods=methods(has_s5b=True))
    inside = offer(OLD_IBB)
    romeo.hear(jingle_set("session-initiate", "s1", inside, namespace=names.JINGLE_0))
    assert romeo.happened() == [Offered(SessionKey(JULIET, "s1"), OLD_IBB)]
    romeo.wish(SessionKey(JULIET, "s1"), "accept", OLD_IBB.answer(1024))
    _, accept = romeo.take()
    transport = accept[0][0][1]
    assert transport.tag == f"{{{names.JINGLE_IBB_0}}}transport"
    assert transport.get("block-size") == "1024"


@pytest.mark.clause("JXS-04", "IBB-02")
def test_a_raised_block_size_ends_the_session() -> None:
    both = methods(has_s5b=True)
    romeo, juliet = Party(ROMEO, methods=both), Party(JULIET, methods=both)
    romeo.open(JULIET, "s1", IBB)
    pump(romeo, juliet)
    romeo.hear(jingle_set("session-accept", "s1", offer(IbbOffer("inband", 4097))))
    ack, end = romeo.take()
    assert (ack.get("type"), reason_of(end)) == ("result", "incompatible-parameters")
