"""What dials teach: facts about peers, and the way we come to them the next time."""

from types import SimpleNamespace

import pytest

from router.acceptor.dialling.attempts import AUTHORISED, Approach, Outcome
from router.acceptor.dialling.findings import Findings
from router.config import Config, Peer
from router.peer_memory import Fact, PeerMemory
from router.xmpp.errors import StanzaError
from router.xmpp.events import StreamClosed
from router.xmpp.initiating import InitiatingStream, Offers
from router.xmpp.pair import DomainPair
from tests.support.pump import CAPULET, MONTAGUE, NOW, PAIR, ids, inbound, policy

PLAIN = Approach(bidi=False, external=False)
REFUSED = StanzaError.of("remote-server-timeout")
OTHER = DomainPair(MONTAGUE, "lear.example")
CLOSED = StreamClosed(None, True)


@pytest.fixture
def memory() -> PeerMemory:
    return PeerMemory(Config(), lambda: 0.0, lambda learned: None)


def ours(**facts: object) -> InitiatingStream:
    core = InitiatingStream(policy(MONTAGUE), ids(), PAIR, NOW)
    for name, value in facts.items():
        setattr(core, name, value)
    return core


def connection(core: object, end: object = None) -> SimpleNamespace:
    return SimpleNamespace(core=core, end=end)


def known(memory: PeerMemory, domain: str = CAPULET) -> dict[Fact, str]:
    locals_of = {Fact.EXTERNAL: MONTAGUE}
    found = {fact: memory.recall(domain, fact, locals_of.get(fact, "")) for fact in Fact}
    return {fact: value for fact, value in found.items() if value is not None}


def test_a_peer_that_takes_everything(memory: PeerMemory) -> None:
    offers = Offers(errors=True, bidi=True, limits=True)
    core = ours(offers=offers, external="accepted", is_bidi=True)
    Findings(memory).opened(connection(core), Approach(), Approach())  # type: ignore[arg-type]
    assert known(memory) == {
        Fact.ERRORS: "yes",
        Fact.EXTERNAL: "accepted",
        Fact.BIDI: "works",
    }
    assert Findings(memory).approach(PAIR) == Approach()


@pytest.mark.scenario(20, 41)
def test_a_peer_that_took_us_only_without_is_believed_to_die_of_it(memory: PeerMemory) -> None:
    core = ours(offers=Offers())
    Findings(memory).opened(connection(core), Approach(), PLAIN)  # type: ignore[arg-type]
    assert known(memory) == {
        Fact.ERRORS: "no",
        Fact.EXTERNAL: "refused",
        Fact.BIDI: "kills",
        Fact.MULTIPLEX: "untried",
    }
    assert Findings(memory).approach(PAIR) == PLAIN


def test_what_was_known_before_is_not_learned_anew(memory: PeerMemory) -> None:
    """Else a belief would never expire."""
    Findings(memory).opened(connection(ours()), PLAIN, PLAIN)  # type: ignore[arg-type]
    assert known(memory) == {Fact.ERRORS: "no", Fact.MULTIPLEX: "untried"}


def test_a_certificate_that_is_refused_says_nothing_of_another_domain_s(
    memory: PeerMemory,
) -> None:
    core = ours(offers=Offers(), external="refused")
    Findings(memory).opened(connection(core), Approach(), Approach())  # type: ignore[arg-type]
    assert not Findings(memory).approach(PAIR).external
    assert Findings(memory).approach(DomainPair("verona.example", CAPULET)).external


def test_the_operator_may_know_better() -> None:
    config = Config(peers={CAPULET: Peer(external=False)})
    memory = PeerMemory(config, lambda: 0.0, lambda learned: None)
    assert Findings(memory).approach(PAIR) == Approach(external=False)


@pytest.mark.scenario(4, 5)
@pytest.mark.parametrize(
    ("outcome", "end", "of_server", "of_target"),
    [
        (AUTHORISED, None, "works", None),
        (Outcome(REFUSED, answer="item-not-found"), None, None, "refused"),
        (Outcome(REFUSED, answer="resource-constraint"), None, None, None),
        (Outcome(REFUSED), CLOSED, "refused", "refused"),
    ],
)
def test_a_further_pair_on_a_stream_of_ours(
    memory: PeerMemory, outcome: Outcome, end: object, of_server: str, of_target: str
) -> None:
    Findings(memory).asked(connection(ours(), end), OTHER, outcome)  # type: ignore[arg-type]
    assert memory.recall(CAPULET, Fact.MULTIPLEX) == of_server
    assert memory.recall(OTHER.target, Fact.MULTIPLEX) == of_target


@pytest.mark.scenario(7)
@pytest.mark.parametrize(
    ("outcome", "end", "value"),
    [
        (AUTHORISED, None, "survives"),
        (Outcome(REFUSED, answer="forbidden"), None, "survives"),
        (Outcome(REFUSED), None, "ignores"),
        (Outcome(REFUSED), CLOSED, "kills"),
    ],
)
def test_a_pair_of_ours_on_a_stream_of_theirs(
    memory: PeerMemory, outcome: Outcome, end: object, value: str
) -> None:
    Findings(memory).asked(connection(inbound(), end), PAIR, outcome)  # type: ignore[arg-type]
    assert known(memory) == {Fact.REVERSE_DIALBACK: value}


@pytest.mark.parametrize("core", [ours(), inbound()])
def test_a_stream_that_we_closed_meanwhile_is_not_held_against_the_peer(
    memory: PeerMemory, core: object
) -> None:
    end = StreamClosed(None, False)
    Findings(memory).asked(connection(core, end), OTHER, Outcome(REFUSED))  # type: ignore[arg-type]
    assert known(memory) == known(memory, OTHER.target) == {}
