"""Dials and keys that use others' streams: who waits, how many ask at once, what is asked where."""

import asyncio
from types import SimpleNamespace

import pytest

from router.acceptor.dialling.attempts import AUTHORISED, Outcome
from router.acceptor.dialling.joining import ASKING, Joining
from router.acceptor.dialling.lines import Dial, Lines
from router.wire.frames import VerifyKey
from router.xmpp.pair import DomainPair
from router.xmpp.s2s import ServerStream
from tests.support.nodes import CAPULET, MONTAGUE

HOME = ("192.0.2.1", 5269)
KEY = VerifyKey("a0.1", 1, DomainPair(CAPULET, MONTAGUE), "s1", "key")


class Core(ServerStream):
    """Writes down what it is asked for."""

    def __init__(self) -> None:
        self.asked_for: list[DomainPair] = []

    def ask_for(self, pair: DomainPair, now: float) -> list[object]:  # type: ignore[override]
        self.asked_for.append(pair)
        return []


class Office:
    """A `Joining` for one stream, which takes what `sharing` would be asked about."""

    def __init__(self) -> None:
        self.core = Core()
        self.connection = SimpleNamespace(core=self.core, number=1, act=lambda events: None)
        self.is_open = True
        self.has_certificate = False
        self.takes_keys = False
        self.followers = {CAPULET}
        self.about: list[VerifyKey] = []
        self.opening: list[object] = []
        self.outcomes: list[Outcome] = []
        self.joining = Joining(
            asyncio.get_running_loop(),
            self,  # type: ignore[arg-type]
            SimpleNamespace(asked=lambda _, __, outcome: self.outcomes.append(outcome)),  # type: ignore[arg-type]
            SimpleNamespace(note=lambda *_, **__: None),  # type: ignore[arg-type]
            Lines(),
            SimpleNamespace(ask=lambda _, frame, leads_there: self.about.append(frame)),  # type: ignore[arg-type]
        )

    # --- Sharing ---

    def may_follow(self, first: DomainPair, pair: DomainPair) -> bool:
        return first.target in self.followers

    def find(self, pair: DomainPair, places: object) -> object:
        return self.connection if self.is_open else None

    def for_key(self, frame: VerifyKey, places: object, opening: list[object]) -> object:
        self.opening = opening
        return self.connection if self.takes_keys else None

    def proves_by_certificate(self, connection: object, pair: DomainPair) -> bool:
        return self.has_certificate


def dial(number: int, target: str = CAPULET) -> Dial:
    over = asyncio.get_running_loop().create_future()
    return Dial(DomainPair(f"d{number}.example", target), number, over, frozenset({HOME}))


async def settle() -> None:
    """As many turns of the loop as a wait needs."""
    for _ in range(5):
        await asyncio.sleep(0)


# --- waiting for others ---


async def test_a_dial_waits_for_the_first_of_those_that_may_lead_and_only_for_it() -> None:
    office = Office()
    stranger, first, second, last = dials = [dial(0, "lear.example"), *map(dial, (1, 2, 3))]
    for each in reversed(dials):
        office.joining.came(each)
    waiting = asyncio.create_task(office.joining.let_others_first(last))
    stranger.over.set_result(AUTHORISED)
    second.over.set_result(AUTHORISED)
    await settle()
    assert not waiting.done()
    first.over.set_result(AUTHORISED)
    await settle()
    assert waiting.done()
    await office.joining.let_others_first(first)


async def test_a_leader_that_does_not_answer_is_waited_for_only_so_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("router.acceptor.dialling.joining._LEADER_S", 0.01)
    office = Office()
    dials = [dial(0), dial(1)]
    for each in dials:
        office.joining.came(each)
    async with asyncio.timeout(5):
        await office.joining.let_others_first(dials[1])
    office.joining.over(dials[0])
    await office.joining.let_others_first(dials[1])


@pytest.mark.clause("DBK-11")
async def test_a_dial_with_keys_waits_for_nobody() -> None:
    """Else two servers that dial each other could each wait for the other's first dial."""
    office = Office()
    dials = [dial(0), dial(1)]
    for each in dials:
        office.joining.came(each)
    waiting = asyncio.create_task(office.joining.let_others_first(dials[1]))
    await settle()
    assert not waiting.done()
    dials[1].keys = [KEY]
    dials[1].urge()
    await settle()
    assert waiting.done()
    await office.joining.let_others_first(dials[1])


@pytest.mark.clause("DBK-11")
async def test_a_dial_whose_keys_are_asked_about_elsewhere_is_in_no_hurry() -> None:
    office = Office()
    office.takes_keys = True
    dials = [dial(0), dial(1)]
    dials[1].keys = [KEY]
    dials[1].urge()
    for each in dials:
        office.joining.came(each)
    waiting = asyncio.create_task(office.joining.let_others_first(dials[1]))
    await settle()
    assert office.about == [KEY]
    assert not waiting.done()
    dials[0].over.set_result(AUTHORISED)
    await waiting


# --- sharing ---


async def test_a_peer_has_to_verify_only_so_many_of_our_keys_at_once() -> None:
    """What comes above its own bound it refuses with resource-constraint."""
    office = Office()
    dials = [dial(number) for number in range(ASKING + 2)]
    tasks = [asyncio.create_task(office.joining.share(each)) for each in dials]
    await settle()
    assert office.core.asked_for == [each.pair for each in dials[:ASKING]]
    dials[3].settle(AUTHORISED)
    await settle()
    assert tasks[3].result() is AUTHORISED
    assert office.core.asked_for[ASKING:] == [dials[ASKING].pair]
    office.is_open = False
    dials[4].settle(AUTHORISED)
    await settle()
    assert tasks[-1].result() is None, "the stream is not what it was"
    for each in dials[:-1]:
        each.settle(AUTHORISED)
    await asyncio.gather(*tasks)
    assert office.outcomes == [AUTHORISED] * (ASKING + 1)
    assert len(office.joining._asking) == 0


async def test_where_the_certificate_proves_there_is_nothing_to_verify() -> None:
    office = Office()
    office.has_certificate = True
    dials = [dial(number) for number in range(2 * ASKING)]
    tasks = [asyncio.create_task(office.joining.share(each)) for each in dials]
    await settle()
    assert len(office.core.asked_for) == 2 * ASKING
    for each in dials:
        each.settle(AUTHORISED)
    await asyncio.gather(*tasks)


async def test_without_a_stream_there_is_nothing_to_share() -> None:
    office = Office()
    office.is_open = False
    assert await office.joining.share(dial(0)) is None


# --- keys ---


@pytest.mark.clause("DBK-11")
async def test_keys_of_a_dial_are_asked_about_before_it_shares() -> None:
    office = Office()
    waiting = dial(0)
    waiting.keys = [KEY]
    assert await office.joining.share(waiting) is None
    assert (office.about, waiting.keys) == ([], [KEY])
    assert office.core.asked_for == [], "it needs a stream of its own"
    office.takes_keys = True
    task = asyncio.create_task(office.joining.share(waiting))
    await settle()
    assert (office.about, waiting.keys) == ([KEY], [])
    assert office.core.asked_for == [waiting.pair]
    waiting.settle(AUTHORISED)
    assert await task is AUTHORISED


@pytest.mark.clause("DBK-11")
async def test_a_stream_that_is_opening_to_the_same_place_may_be_asked() -> None:
    office = Office()
    opening, connection = dial(0), SimpleNamespace(number=2)
    office.joining.came(opening)
    opening.join(Lines().of(connection), opening.over)  # type: ignore[arg-type]
    assert not office.joining.ask_about(KEY, frozenset({HOME}))
    assert office.opening == [connection]
    office.joining.over(opening)
    assert not office.joining.ask_about(KEY, frozenset({HOME}))
    assert office.opening == []
