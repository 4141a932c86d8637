"""Two in-band bytestreams joined in memory, and stanzas as a peer would send them."""

from collections.abc import Callable

from router.xmpp import names
from router.xmpp.bytestreams.ibb import InBandBytestream, Role, Terms
from router.xmpp.bytestreams.ibb_elements import Close, Data, Open
from router.xmpp.bytestreams.ibb_events import DataReceived, IbbEvent
from router.xmpp.bytestreams.ibb_table import InBandBytestreams
from router.xmpp.stanza import Stanza, cut
from tests.support.pump import NOW, ids

ROMEO, JULIET = "relay.montague.example", "relay.capulet.example"
SID = "ch3d9s71"
REJECTED = (f"<error type='{{1}}'><{{0}} xmlns='{names.STANZA_ERRORS}'/></error>").format


def stanza(octets: bytes) -> Stanza:
    (one,) = cut(octets)
    return one


def request(
    payload: bytes | str, sender: str = JULIET, to: str = ROMEO, stanza_id: str = "q1"
) -> Stanza:
    """An iq set as the peer would send it."""
    inside = payload if isinstance(payload, str) else payload.decode()
    return stanza(
        f"<iq from='{sender}' to='{to}' id='{stanza_id}' type='set'>{inside}</iq>".encode()
    )


def data(seq: int, block: bytes = b"x", stanza_id: str = "q1") -> Stanza:
    return request(Data(SID, seq, block).octets(), stanza_id=stanza_id)


def opening(block_size_bytes: int = 4096, sid: str = SID) -> Stanza:
    return request(Open(sid, block_size_bytes).octets())


def closing() -> Stanza:
    return request(Close(SID).octets())


def answer(to: Stanza, error: tuple[str, str] | None = None) -> Stanza:
    """The peer's answer to an iq of ours: a result, or the error (condition, type)."""
    given = to.attributes
    kind, inside = ("error", REJECTED(*error)) if error else ("result", "")
    return stanza(
        f"<iq from='{given['to']}' to='{given['from']}' id='{given['id']}' type='{kind}'>"
        f"{inside}</iq>".encode()
    )


class End:
    """One side: its bytestream, the table it is in, and what it has reported."""

    def __init__(self, role: Role, local: str = ROMEO, peer: str = JULIET, **terms: object) -> None:
        given = {"block_size_bytes": 4096, **terms}
        self.stream = InBandBytestream(
            Terms(local, peer, SID, **given),  # type: ignore[arg-type]
            role,
            ids(f"{local}-"),
            NOW,
        )
        self.table = InBandBytestreams()
        self.table.add(self.stream)
        self.events: list[IbbEvent] = []

    def sent(self) -> list[Stanza]:
        """What the side sends now."""
        return [stanza(octets) for octets in self.stream.stanzas_to_send()]

    def take(self, one: Stanza, now: float = NOW) -> list[Stanza]:
        """Hand in a stanza; what is sent because of it."""
        received = self.table.receive(one, now)
        self.events += received.events
        return ([stanza(received.answer)] if received.answer else []) + self.sent()

    def wait(self, now: float) -> list[Stanza]:
        """Let the deadlines up to now pass; what is sent because of it."""
        for received in self.table.deadline_passed(now):
            self.events += received.events
        return self.sent()

    def octets(self) -> bytes:
        """All data that has been reported."""
        return b"".join(e.octets for e in self.events if isinstance(e, DataReceived))


def joined(**terms: object) -> tuple[End, End]:
    """Two ends of one bytestream; the first one opens it."""
    here = End(Role.OPENS, ROMEO, JULIET, **terms)
    return here, End(Role.EXPECTS_OPEN, JULIET, ROMEO, **terms)


def pump(here: End, there: End, now: float = NOW, limit: int = 100_000) -> int:
    """Carry stanzas, one at a time, until both fall silent; how many there were."""
    ways: list[tuple[list[Stanza], Callable[[Stanza, float], list[Stanza]], list[Stanza]]]
    to_there, to_here = here.sent(), there.sent()
    ways = [(to_there, there.take, to_here), (to_here, here.take, to_there)]
    carried = 0
    while to_there or to_here:
        for waiting, take, back in ways:
            if waiting:
                back += take(waiting.pop(0), now)
                carried += 1
        assert carried < limit, "the two ends never fell silent"
    return carried
