"""Which core a stanza is for, what comes of stanzas that found no way, and who is told nothing."""

import pytest

from bench.authority import Authority
from router.xmpp import names
from router.xmpp.errors import StanzaError
from router.xmpp.pair import DomainPair
from tests.support.end_to_end import RELAYS, joined
from tests.support.nodes import CAPULET, MONTAGUE

HERE, THERE = RELAYS[MONTAGUE], RELAYS[CAPULET]
OURS = DomainPair(HERE, THERE)


def iq(payload: str, kind: str = "set", sender: str = THERE) -> bytes:
    return f"<iq from='{sender}' to='{HERE}' id='1' type='{kind}'>{payload}</iq>".encode()


@pytest.mark.clause("IBB-06")
async def test_an_unknown_bytestream(authority: Authority) -> None:
    here, _ = joined(authority)
    here.service.received(iq(f"<data xmlns='{names.IBB}' sid='x' seq='0'>eA==</data>"))
    assert b"<item-not-found" in here.said[-1]


@pytest.mark.clause("JXS-08")
async def test_an_unknown_session(authority: Authority) -> None:
    here, _ = joined(authority)
    terminate = f"<jingle xmlns='{names.JINGLE}' action='session-terminate' sid='x'/>"
    here.service.received(iq(terminate))
    assert b"unknown-session" in here.said[-1]


@pytest.mark.clause("JXS-03")
@pytest.mark.parametrize(
    "payload",
    [
        f"<jingle xmlns='{names.JINGLE}' action='session-initiate' sid='x'/>",
        f"<open xmlns='{names.IBB}' sid='x' block-size='4096'/>",
        f"<query xmlns='{names.BYTESTREAMS}' sid='x'/>",
    ],
)
async def test_a_stranger_learns_nothing(authority: Authority, payload: str) -> None:
    here, _ = joined(authority)
    here.service.received(iq(payload, sender="juliet@capulet.example"))
    assert len(here.said) == 1
    assert b"<service-unavailable" in here.said[0]


async def test_what_is_for_nobody(authority: Authority) -> None:
    here, _ = joined(authority)
    message = f"<message from='{THERE}' to='{HERE}'><body/></message>".encode()
    here.service.received(iq("<x xmlns='urn:x'/>") + iq("", "result") + message)
    assert [b"<service-unavailable" in said for said in here.said] == [True, True]


async def test_a_request_that_finds_no_way_ends_its_session(authority: Authority) -> None:
    here, _ = joined(authority)
    here.deliver = lambda pair, octets: None
    here.open()
    unknown = StanzaError("remote-server-not-found", "cancel")
    here.service.undelivered(DomainPair(MONTAGUE, THERE), here.said[0], unknown)
    assert here.service.sessions.has_peer(THERE)  # not ours
    here.service.undelivered(OURS, here.said[0], unknown)
    assert not here.service.sessions.has_peer(THERE)


async def test_a_session_nobody_answers_ends_in_time(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, _ = joined(authority)
    here.deliver = lambda pair, octets: None
    here.open()
    assert here.service._timer is not None
    monkeypatch.setattr(here.service, "_loop", Later(here.service._loop))
    here.service._deadline_passed()
    assert not here.service.sessions.has_peer(THERE)


class Later:
    """A loop two minutes on."""

    def __init__(self, loop: object) -> None:
        self._loop = loop

    def time(self) -> float:
        return float(self._loop.time()) + 120  # type: ignore[attr-defined]

    def __getattr__(self, name: str) -> object:
        return getattr(self._loop, name)
