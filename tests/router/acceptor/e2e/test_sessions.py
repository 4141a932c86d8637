"""Sessions between two services: offered, agreed on, carrying a stream, and over with it."""

import pytest

from bench.authority import Authority
from router.wire.frames import Revoked
from router.xmpp.pair import DomainPair
from tests.support.end_to_end import RELAYS, Side, config_of, joined
from tests.support.eventually import eventually
from tests.support.nodes import CAPULET, MONTAGUE

OUT = DomainPair(MONTAGUE, CAPULET)
STANZA = f"<message from='a@{MONTAGUE}' to='b@{CAPULET}'><body>hi</body></message>".encode()


async def up(authority: Authority) -> tuple[Side, Side]:
    here, there = joined(authority)
    here.open()
    for side in (here, there):
        await side.until(lambda: bool(side.granted()))  # noqa: B023
    return here, there


@pytest.mark.clause("JXS-01", "JXS-04", "E2E-03")
async def test_a_session_carries_a_stream_with_tls_inside(authority: Authority) -> None:
    here, there = await up(authority)
    assert (here.granted(), there.granted()) == ([OUT], [OUT.inverse()])
    (ours,), (theirs,) = here.streams(), there.streams()
    assert (ours.direction, theirs.direction) == ("out", "in")
    assert ours.session is not None and ours.session.version == "TLSv1.3"
    ours.send_run(OUT, STANZA, 1)
    await there.until(lambda: bool(there.runs))
    assert there.runs == [(OUT, STANZA)]


async def test_what_the_peer_has_acknowledged_is_known(authority: Authority) -> None:
    here, there = await up(authority)
    (ours,) = here.streams()
    ours.send_run(OUT, STANZA * 500, 500)
    await there.until(lambda: sum(octets.count(b"hi") for _, octets in there.runs) == 500)
    await eventually(lambda: len(set(ours.output())) == 1)
    assert ours.buffered() == 0


@pytest.mark.clause("E2E-05", "JXS-08", "IBB-07")
async def test_a_stream_that_closes_ends_its_session_on_both_sides(authority: Authority) -> None:
    here, there = await up(authority)
    here.streams()[0].close()
    for side in (here, there):
        await side.until(lambda: not list(side.service.sessions.rows()))  # noqa: B023
        assert side.streams() == []
        assert [type(frame) for frame in side.frames][-1] is Revoked
        assert side.lost_streams[0].end is not None
        assert side.lost_streams[0].end.is_complete


async def test_a_session_that_ends_takes_its_stream_along(authority: Authority) -> None:
    here, there = await up(authority)
    (row,) = here.service.sessions.rows()
    assert (row["peer"], row["role"], row["transport"]) == (RELAYS[CAPULET], "initiator", "in-band")
    here.streams()[0].abort()
    for side in (here, there):
        await side.until(lambda: bool(side.lost_streams))  # noqa: B023
        assert list(side.service.sessions.rows()) == []


async def test_peers_are_known_from_the_first_moment_to_the_last(authority: Authority) -> None:
    here, _ = joined(authority)
    ended: list[str] = []
    here.service.sessions.over = ended.append
    here.deliver = lambda pair, octets: None
    assert not here.service.sessions.has_peer(RELAYS[CAPULET])
    here.open()
    assert here.service.sessions.has_peer(RELAYS[CAPULET])
    here.service.sessions.close()
    here.service.go_on()
    assert ended == [RELAYS[CAPULET]]


async def test_who_is_about_to_end_begins_nothing(authority: Authority) -> None:
    here, there = joined(authority)
    there.service.sessions.close()
    here.open()
    await there.until(lambda: any(b"<gone" in said for said in there.said))
    for side in (here, there):
        await eventually(lambda: not list(side.service.sessions.rows()))  # noqa: B023
        assert side.granted() == []


@pytest.mark.clause("JXS-09")
async def test_a_peer_that_has_lost_a_session_and_begins_anew_leaves_no_dead_stream(
    authority: Authority,
) -> None:
    """In band nothing else would tell: nobody resets a connection there."""
    here, there = await up(authority)
    another = Side(MONTAGUE, config_of(MONTAGUE, authority))
    another.deliver = here.deliver
    there.deliver = lambda pair, octets: another.service.received(octets)
    (dead,) = there.streams()
    another.open()
    await there.until(lambda: dead in there.lost_streams)
    await there.until(lambda: len(there.granted()) == 2)
    (row,) = there.service.sessions.rows()
    assert row["stream"] != dead.number


async def test_a_peer_that_still_knows_its_session_keeps_it(authority: Authority) -> None:
    here, there = await up(authority)
    here.open()
    await there.until(lambda: len(there.granted()) == 2)
    assert len(there.streams()) == 2
    assert there.lost_streams == []
