"""What is learned of peers: for how long, how much of it, who hears of it, and who overrules it."""

import pytest

from router import peer_memory
from router.config import Config, Peer
from router.peer_memory import LIFETIMES_S, TELL_AFTER, Fact, Learned, PeerMemory
from router.xmpp.errors import MisuseError

CAPULET, TYBALT = "capulet.example", "tybalt.example"
HOUR_S = 3600.0


class Memory(PeerMemory):
    """One with a clock that stands, and the list of what it told."""

    def __init__(self, config: Config | None = None) -> None:
        self.now = 1_000_000.0
        self.told: list[Learned] = []
        super().__init__(config or Config(), lambda: self.now, self.told.append)


@pytest.fixture
def memory() -> Memory:
    return Memory()


def test_what_was_learned_is_recalled_until_it_expires(memory: Memory) -> None:
    assert memory.recall(CAPULET, Fact.EXTERNAL) is None
    assert memory.learn(CAPULET, Fact.EXTERNAL, "refused") is None
    memory.now += HOUR_S - 1
    assert memory.recall(CAPULET, Fact.EXTERNAL) == "refused"
    assert memory.recall(TYBALT, Fact.EXTERNAL) is None
    assert memory.recall(CAPULET, Fact.BIDI) is None
    memory.now += 1
    assert memory.recall(CAPULET, Fact.EXTERNAL) is None
    assert memory.learn(CAPULET, Fact.EXTERNAL, "accepted") is None, "what expired was not before"


def test_learning_again_returns_what_was_before_and_starts_the_clock_anew(memory: Memory) -> None:
    memory.learn(CAPULET, Fact.EXTERNAL, "refused")
    memory.now += HOUR_S / 2
    assert memory.learn(CAPULET, Fact.EXTERNAL, "refused") == "refused"
    memory.now += HOUR_S / 2 + 1
    assert memory.recall(CAPULET, Fact.EXTERNAL) == "refused"
    assert memory.learn(CAPULET, Fact.EXTERNAL, "accepted") == "refused"
    assert memory.recall(CAPULET, Fact.EXTERNAL) == "accepted"


def test_others_hear_of_news_and_now_and_then_of_what_still_holds(memory: Memory) -> None:
    lifetime_s = LIFETIMES_S[Fact.PROOF]["external"]
    for _ in range(100):
        memory.learn(CAPULET, Fact.PROOF, "external")
        memory.now += lifetime_s * TELL_AFTER / 100
    assert [learned.value for learned in memory.told] == ["external"]
    memory.learn(CAPULET, Fact.PROOF, "external")
    memory.learn(CAPULET, Fact.PROOF, "dialback")
    assert [learned.value for learned in memory.told] == ["external", "external", "dialback"]
    assert memory.told[-1] == Learned(CAPULET, Fact.PROOF, "dialback", memory.now)


@pytest.mark.parametrize("fact", Fact)
def test_the_values_of_a_fact_are_a_closed_set(memory: Memory, fact: Fact) -> None:
    with pytest.raises(MisuseError):
        memory.learn(CAPULET, fact, "perhaps")
    for value in LIFETIMES_S[fact]:
        memory.learn(CAPULET, fact, value)
        assert memory.recall(CAPULET, fact) == value


@pytest.mark.parametrize("fact", Fact)
def test_learned_as_plain_values_and_back(fact: Fact) -> None:
    for value in LIFETIMES_S[fact]:
        learned = Learned(CAPULET, fact, value, 5.0)
        assert Learned.from_plain(learned.to_plain()) == learned
    for plain in (("a", "nose", "long", 1.0), ("a", fact.value, "perhaps", 1.0)):
        with pytest.raises(ValueError, match=r"nose|perhaps"):
            Learned.from_plain(plain)


def test_what_another_process_learned_is_taken_and_not_told(memory: Memory) -> None:
    memory.take(Learned(CAPULET, Fact.BIDI, "kills", memory.now - 5))
    assert memory.recall(CAPULET, Fact.BIDI) == "kills"
    assert memory.told == []
    assert memory.learn(CAPULET, Fact.BIDI, "kills") == "kills"
    assert memory.told == [], "everybody knows it already"


def test_what_only_another_version_knows_of_is_passed_over(memory: Memory) -> None:
    memory.take_all(
        [("a.example", "nose", "long", memory.now), (CAPULET, "bidi", "kills", memory.now)]
    )
    assert memory.recall(CAPULET, Fact.BIDI) == "kills"
    assert not memory.rows("a.example")


def test_of_two_words_the_later_one_stands(memory: Memory) -> None:
    memory.learn(CAPULET, Fact.BIDI, "works")
    memory.take(Learned(CAPULET, Fact.BIDI, "kills", memory.now - 5))
    assert memory.recall(CAPULET, Fact.BIDI) == "works"
    memory.now += 10
    memory.take(Learned(CAPULET, Fact.BIDI, "kills", memory.now - 5))
    assert memory.recall(CAPULET, Fact.BIDI) == "kills"


def test_what_is_too_old_or_from_the_future_gains_nothing(memory: Memory) -> None:
    memory.take(Learned(CAPULET, Fact.EXTERNAL, "refused", memory.now - HOUR_S))
    assert memory.recall(CAPULET, Fact.EXTERNAL) is None
    memory.take(Learned(CAPULET, Fact.EXTERNAL, "refused", memory.now + 99 * HOUR_S))
    memory.now += HOUR_S
    assert memory.recall(CAPULET, Fact.EXTERNAL) is None


def test_everything_can_be_handed_on(memory: Memory) -> None:
    memory.learn(CAPULET, Fact.EXTERNAL, "refused")
    memory.now += HOUR_S
    memory.learn(CAPULET, Fact.PROOF, "external")
    memory.learn(TYBALT, Fact.PROOF, "dialback")
    heir = Memory()
    heir.now = memory.now
    for learned in memory.everything():
        heir.take(learned)
    assert heir.rows() == memory.rows()
    assert {(row["domain"], row["value"]) for row in heir.rows()} == {
        (CAPULET, "external"),
        (TYBALT, "dialback"),
    }


def test_it_is_bounded_and_what_is_asked_about_stays(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer_memory, "MAX_DOMAINS", 3)
    for name in ("a", "b", "c"):
        memory.learn(name, Fact.ERRORS, "yes")
    memory.recall("a", Fact.ERRORS)
    memory.learn("b", Fact.ERRORS, "no")
    memory.learn("d", Fact.ERRORS, "yes")
    assert [row["domain"] for row in memory.rows()] == ["a", "b", "d"]


@pytest.mark.parametrize(
    ("peer", "fact", "value"),
    [
        (Peer(external=True), Fact.EXTERNAL, "accepted"),
        (Peer(external=False), Fact.EXTERNAL, "refused"),
        (Peer(multiplex=True), Fact.MULTIPLEX, "works"),
        (Peer(multiplex=False), Fact.MULTIPLEX, "refused"),
        (Peer(reverse_dialback=True), Fact.REVERSE_DIALBACK, "survives"),
        (Peer(reverse_dialback=False), Fact.REVERSE_DIALBACK, "kills"),
    ],
)
def test_the_operator_has_the_last_word(peer: Peer, fact: Fact, value: str) -> None:
    memory = Memory(Config(peers={CAPULET: peer}))
    other = next(each for each in LIFETIMES_S[fact] if each != value)
    memory.learn(CAPULET, fact, other)
    assert memory.recall(CAPULET, fact) == value
    assert memory.recall(TYBALT, fact) is None
    configured, learned = memory.rows(CAPULET)
    assert (configured["source"], configured["value"], configured["expires_at"]) == (
        "configured",
        value,
        None,
    )
    assert (learned["source"], learned["value"]) == ("learned", other)
    assert memory.rows() == memory.rows(CAPULET)


def test_a_word_on_all_peers_holds_for_each() -> None:
    stars = {"*": Peer(multiplex=False), "*.example.org": Peer(multiplex=False)}
    memory = Memory(Config(peers=stars))
    assert memory.recall(CAPULET, Fact.MULTIPLEX) == "refused"
    assert [row["value"] for row in memory.rows(CAPULET)] == ["refused"]
    assert memory.rows() == [], "a star is no domain"


def test_rows(memory: Memory) -> None:
    memory.learn(CAPULET, Fact.EXTERNAL, "refused")
    assert memory.rows(CAPULET) == [
        {
            "domain": CAPULET,
            "fact": "external",
            "local": "",
            "value": "refused",
            "learned_at": memory.now,
            "expires_at": memory.now + HOUR_S,
            "source": "learned",
        }
    ]
    memory.now += HOUR_S
    assert memory.rows(CAPULET) == []


def test_what_depends_on_the_domain_we_came_as_is_kept_apart(memory: Memory) -> None:
    memory.learn(CAPULET, Fact.EXTERNAL, "refused", "montague.example")
    memory.learn(CAPULET, Fact.EXTERNAL, "accepted", "verona.example")
    assert memory.recall(CAPULET, Fact.EXTERNAL, "montague.example") == "refused"
    assert memory.recall(CAPULET, Fact.EXTERNAL, "verona.example") == "accepted"
    assert memory.recall(CAPULET, Fact.EXTERNAL) is None
    heir = Memory()
    for learned in memory.told:
        heir.take(Learned.from_plain(learned.to_plain()))
    assert heir.recall(CAPULET, Fact.EXTERNAL, "montague.example") == "refused"
    assert len(memory.rows(CAPULET)) == 2
    shown = [(row["local"], row["value"]) for row in heir.rows(CAPULET, "verona.example")]
    assert shown == [("verona.example", "accepted")]
    memory.config = Config(peers={CAPULET: Peer(external=True)})
    assert memory.recall(CAPULET, Fact.EXTERNAL, "montague.example") == "accepted"


def test_of_one_domain_no_more_is_kept_than_its_bound(memory: Memory) -> None:
    for number in range(peer_memory.MAX_OF_A_DOMAIN + 1):
        memory.learn(CAPULET, Fact.EXTERNAL, "refused", f"d{number}.example")
    assert memory.recall(CAPULET, Fact.EXTERNAL, "d0.example") is None
    assert memory.recall(CAPULET, Fact.EXTERNAL, "d1.example") == "refused"
