"""Which open stream a further pair may have, and which it must not."""

from types import SimpleNamespace

import pytest

from router.acceptor.dialling.sharing import Place, Sharing
from router.config import Config, Peer
from router.peer_memory import Fact, PeerMemory
from router.wire.frames import VerifyKey
from router.xmpp import names
from router.xmpp.initiating import InitiatingStream
from router.xmpp.pair import DomainPair
from router.xmpp.perspective import Domains, inside
from tests.support.dialling import Shown
from tests.support.pump import (
    CAPULET,
    MONTAGUE,
    NOW,
    Proves,
    authenticated,
    features,
    header,
    outbound,
    policy,
    say,
)

VERONA, LEAR = "verona.example", "lear.example"
SENDER = DomainPair(VERONA, CAPULET)
TARGET = DomainPair(MONTAGUE, LEAR)
HOME: Place = ("192.0.2.1", 5269)
AWAY: Place = ("192.0.2.9", 5269)
ERRORS = f"<dialback xmlns='{names.DIALBACK_FEATURE}'><errors/></dialback>"
FULL = (
    ERRORS,
    f"<bidi xmlns='{names.BIDI_FEATURE}'/>",
    f"<limits xmlns='{names.LIMITS}'><max-bytes>262144</max-bytes></limits>",
)
EXTERNAL = f"<mechanisms xmlns='{names.SASL}'><mechanism>EXTERNAL</mechanism></mechanisms>"
US = policy(MONTAGUE, VERONA)
KEY = VerifyKey("a0.1", 1, TARGET.inverse(), "the id of the stream that brought it", "key")


def by_dialback(*offered: str, sees: Proves | None = None) -> InitiatingStream:
    """A stream of ours on which dialback proved our first pair."""
    core = outbound(US, sees or Proves(), *(offered or FULL), has_certificate=False)
    core.bytes_to_send()
    say(core, f"<db:result from='{CAPULET}' to='{MONTAGUE}' type='valid'/>")
    return core


def by_external() -> InitiatingStream:
    core = outbound(US, Proves(), EXTERNAL, *FULL)
    say(core, f"<success xmlns='{names.SASL}'/>")
    say(core, header(CAPULET, MONTAGUE, stream_id="x") + features(ERRORS))
    return core


BOTH = Proves(CAPULET, LEAR)


class Office:
    """A `Sharing` over streams that the test names."""

    def __init__(self, *cores: object, config: Config | None = None) -> None:
        self.connections = [
            SimpleNamespace(core=core, number=number, end=None, peer=HOME, direct_tls=False)
            for number, core in enumerate(cores, 1)
        ]
        self.certificates = Shown()
        self.memory = PeerMemory(config or Config(), lambda: 0.0, lambda learned: None)
        self.sharing = Sharing(lambda _, __: self.connections, self.certificates, self.memory)  # type: ignore[arg-type]

    def found(self, pair: DomainPair, *places: Place) -> int | None:
        """The number of the stream for the pair."""
        connection = self.sharing.find(pair, places)
        return connection.number if connection is not None else None

    def found_for_key(self, *places: Place, opening: tuple[object, ...] = ()) -> int | None:
        """The number of the stream to ask about a key of Lear's on."""
        streams = [
            SimpleNamespace(core=core, number=number, end=None, peer=HOME, direct_tls=False)
            for number, core in enumerate(opening, 101)
        ]
        connection = self.sharing.for_key(KEY, places, streams)  # type: ignore[arg-type]
        return connection.number if connection is not None else None


@pytest.mark.clause("DBK-26")
def test_a_further_sender_to_the_same_domain_wherever_it_is() -> None:
    assert Office(by_dialback()).found(SENDER) == 1
    assert Office(by_dialback()).found(SENDER, AWAY) == 1


@pytest.mark.clause("DBK-27", "BIDI-20")
def test_a_further_target_only_on_the_same_server() -> None:
    office = Office(by_dialback())
    assert office.found(TARGET, HOME) == 1
    assert office.found(TARGET, AWAY) is None
    assert office.found(TARGET) is None
    assert Office(by_dialback(sees=Proves(CAPULET, LEAR))).found(TARGET, AWAY) == 1


@pytest.mark.clause("DBK-27", "BIDI-20")
def test_what_a_peer_proved_on_our_stream_does_not_make_it_the_server_of_that_domain() -> None:
    core = by_dialback(*FULL)
    say(core, f"<db:result from='{LEAR}' to='{MONTAGUE}'>key</db:result>")
    core.answer_key(TARGET.inverse(), core.stream_id, "valid", NOW)
    assert core.may_send(TARGET)
    assert Office(core).found(DomainPair(VERONA, LEAR), AWAY) is None
    assert Office(core).found(DomainPair(VERONA, LEAR), HOME) == 1


@pytest.mark.clause("DBK-27")
@pytest.mark.scenario(4)
def test_nothing_toward_a_peer_without_dialback_errors() -> None:
    without = f"<dialback xmlns='{names.DIALBACK_FEATURE}'/>"
    office = Office(by_dialback(without))
    assert office.found(SENDER, HOME) is None
    assert office.found(TARGET, HOME) is None


def test_dialback_errors_alone_promise_too_little() -> None:
    """COMPAT ejabberd 23.01."""
    for offered in ((ERRORS,), FULL[:2], (FULL[0], FULL[2])):
        office = Office(by_dialback(*offered))
        assert office.found(SENDER, HOME) is None
        office.memory.learn(CAPULET, Fact.MULTIPLEX, "works")
        assert office.found(SENDER, HOME) == 1


def test_streams_that_are_over_or_not_proved_carry_nothing() -> None:
    office = Office(by_dialback(), outbound(US, Proves(), *FULL, has_certificate=False))
    office.connections[0].end = "closed"
    assert office.found(SENDER, HOME) is None


def test_pairs_gather_on_the_lowest_number() -> None:
    office = Office(by_dialback(), by_dialback(), by_dialback())
    office.connections.reverse()
    assert office.found(SENDER) == 1


@pytest.mark.scenario(4, 5)
@pytest.mark.parametrize("value", ["untried", "refused", "misroutes"])
@pytest.mark.parametrize("domain", [CAPULET, LEAR])
def test_a_peer_that_takes_it_badly_is_left_alone(domain: str, value: str) -> None:
    office = Office(by_dialback())
    office.memory.learn(domain, Fact.MULTIPLEX, value)
    assert office.found(TARGET, HOME) is None


def test_the_operator_may_forbid_it() -> None:
    config = Config(peers={CAPULET: Peer(multiplex=False)})
    assert Office(by_dialback(), config=config).found(SENDER) is None


def test_a_sender_with_a_certificate_of_its_own_is_not_proved_by_less() -> None:
    office = Office(by_external())
    assert office.found(SENDER) == 1  # it has none
    office.certificates.domains = {VERONA}
    assert office.found(SENDER) is None
    office.certificates.shared = {(MONTAGUE, VERONA)}  # what the stream has shown names it too
    assert office.found(SENDER) == 1
    assert office.found(TARGET, HOME) == 1


def test_a_pair_waits_for_another_only_where_it_may_share_its_stream() -> None:
    office = Office()
    first = DomainPair(MONTAGUE, CAPULET)
    assert office.sharing.may_follow(first, TARGET)
    assert office.sharing.may_follow(first, SENDER)
    office.certificates.domains = {VERONA}
    assert not office.sharing.may_follow(first, SENDER)
    office.memory.learn(LEAR, Fact.MULTIPLEX, "refused")
    assert not office.sharing.may_follow(first, TARGET)
    office.memory.learn(CAPULET, Fact.ERRORS, "no")
    assert not office.sharing.may_follow(first, first)


@pytest.mark.clause("BIDI-14")
@pytest.mark.scenario(7, 32)
def test_a_stream_of_the_peer_s_only_where_that_is_known_to_end_well() -> None:
    office = Office(authenticated(US, bidi=True))
    assert office.found(SENDER) is None
    office.memory.learn(CAPULET, Fact.REVERSE_DIALBACK, "survives")
    assert office.found(SENDER) == 1
    office.memory.learn(CAPULET, Fact.REVERSE_DIALBACK, "kills")
    assert office.found(SENDER) is None


@pytest.mark.clause("BIDI-14")
def test_a_stream_of_the_peer_s_only_toward_what_it_proved_and_with_bidi() -> None:
    config = Config(peers={"*": Peer(reverse_dialback=True)})
    assert Office(authenticated(US, bidi=True), config=config).found(TARGET, HOME) is None
    assert Office(authenticated(US, bidi=False), config=config).found(SENDER) is None


# --- keys ---


@pytest.mark.clause("DBK-11", "DBK-27")
def test_a_key_is_asked_about_on_another_domain_s_stream_only_on_the_same_server() -> None:
    office = Office(by_dialback(), by_dialback())
    assert office.found_for_key(HOME) == 1
    assert office.found_for_key(AWAY) is None
    assert office.found_for_key() is None
    assert Office(by_dialback(sees=BOTH)).found_for_key(AWAY) == 1


@pytest.mark.clause("BIDI-18", "DBK-10")
def test_never_on_the_stream_that_brought_it_nor_on_one_the_peer_opened() -> None:
    core = by_dialback()
    office = Office(core, authenticated(US, bidi=True))
    assert office.found_for_key(HOME) == 1
    core.stream_id = KEY.stream_id
    assert office.found_for_key(HOME) is None


@pytest.mark.clause("BIDI-18")
def test_what_a_peer_proved_on_our_stream_does_not_make_it_the_authority_for_its_keys() -> None:
    core = by_dialback(*FULL)
    say(core, f"<db:result from='{LEAR}' to='{MONTAGUE}'>key</db:result>")
    core.answer_key(TARGET.inverse(), core.stream_id, "valid", NOW)
    assert Office(core).found_for_key(AWAY) is None


def test_where_tls_comes_first_the_place_alone_does_not_tell_the_server() -> None:
    office = Office(by_dialback(), by_dialback(sees=BOTH))
    for connection in office.connections:
        connection.direct_tls = True
    assert office.found_for_key(HOME) == 2


@pytest.mark.scenario(4, 5)
def test_no_key_is_asked_of_a_peer_that_may_not_bear_it() -> None:
    assert Office(by_dialback(ERRORS)).found_for_key(HOME) is None
    office = Office(by_dialback(sees=BOTH))
    office.memory.learn(LEAR, Fact.MULTIPLEX, "refused")
    assert office.found_for_key(HOME) is None


def test_no_key_is_asked_about_on_a_stream_that_ends_or_has_just_begun() -> None:
    core, opening = by_dialback(), outbound(US, Proves(), *FULL, has_certificate=False)
    office = Office(core)
    assert office.found_for_key(HOME, opening=(opening,)) == 1
    core.close(NOW)
    assert office.found_for_key(HOME) is None
    assert office.found_for_key(HOME, opening=(opening,)) == 101
    in_sasl = outbound(US, Proves(), EXTERNAL, *FULL)
    assert office.found_for_key(HOME, opening=(in_sasl,)) is None
    office.connections[0].end, core.phase = "closed", opening.phase
    assert office.found_for_key(HOME) is None


def test_what_a_certificate_proves_needs_nobody_to_be_asked() -> None:
    office = Office(by_external(), by_dialback())
    first, second = office.connections
    proves = office.sharing.proves_by_certificate
    assert not proves(first, SENDER)  # type: ignore[arg-type]
    office.certificates.shared = {(MONTAGUE, VERONA)}
    assert proves(first, SENDER)  # type: ignore[arg-type]
    assert not proves(second, SENDER)  # type: ignore[arg-type]


@pytest.mark.clause("DBK-27")
def test_a_stream_to_a_server_behind_us_leads_to_nobody_else() -> None:
    """Not even to one at its very place, nor to one that its certificate names."""
    settings = policy(MONTAGUE, perspective=inside(Domains(frozenset({CAPULET, LEAR}))))
    behind = outbound(settings, BOTH, *FULL, has_certificate=False)
    say(behind, f"<db:result from='{CAPULET}' to='{MONTAGUE}' type='valid'/>")
    assert Office(behind).found(TARGET, HOME) == 1
    assert Office(behind).found_for_key(HOME) == 1
    settings = policy(MONTAGUE, perspective=inside(Domains(frozenset({CAPULET}))))
    behind = outbound(settings, BOTH, *FULL, has_certificate=False)
    say(behind, f"<db:result from='{CAPULET}' to='{MONTAGUE}' type='valid'/>")
    assert Office(behind).found(TARGET, HOME) is None
    assert Office(behind).found_for_key(HOME) is None
