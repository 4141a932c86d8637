"""The proxy role: what it answers, whom it holds, whom it links (XEP-0065)."""

from xml.etree import ElementTree as etree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.xmpp import names
from router.xmpp.bytestreams.proxy import Link, ProxyLimits, ProxyRole
from router.xmpp.bytestreams.relay import Action, Disconnect, EndWriting, PauseReading, Write
from router.xmpp.bytestreams.socks5 import (
    Established,
    Requested,
    Socks5Client,
    Socks5Server,
    dstaddr,
)
from router.xmpp.bytestreams.streamhost import Activate, AddressWanted, StreamHost
from router.xmpp.stanza import cut

RELAY = StreamHost("relay.montague.example", "192.0.2.1", 7625)
ROMEO, JULIET, MALLORY = "romeo@montague.lit/o", "juliet@capulet.lit/b", "mallory@evil.example/x"
SID, NOW = "vj3hs98y", 1000.0
HASH = dstaddr(SID, ROMEO, JULIET)
ADDRESS = "198.51.100.7"
ACTIVATE = Activate(SID, JULIET).element()


def proxy(streamhost: StreamHost | None = RELAY, **limits: float) -> ProxyRole:
    return ProxyRole(
        streamhost,
        lambda address: address != MALLORY,
        ProxyLimits(**limits),  # type: ignore[arg-type]
    )


def asks(role: ProxyRole, payload: str, type_of: str = "set", sender: str = ROMEO) -> bytes | Link:
    octets = f"<iq from='{sender}' to='{RELAY.jid}' id='1' type='{type_of}'>{payload}</iq>"
    (stanza,) = cut(octets.encode())
    return role.receive(stanza, etree.fromstring(payload))


def refusal(answer: bytes | Link) -> tuple[str, str]:
    assert isinstance(answer, bytes)
    (error,) = etree.fromstring(answer)
    return error[0].tag.removeprefix(f"{{{names.STANZA_ERRORS}}}"), error.get("type", "")


def with_pair(role: ProxyRole, sid: str = SID, first: int = 1) -> ProxyRole:
    """Both sides are connected: the numbers from `first` on."""
    for connection in (first, first + 1):
        assert role.hold(connection, dstaddr(sid, ROMEO, JULIET), f"{ADDRESS}{connection}", NOW)
    return role


def linked(role: ProxyRole, sid: str = SID, first: int = 1) -> bytes:
    link = asks(with_pair(role, sid, first), Activate(sid, JULIET).element())
    assert isinstance(link, Link)
    assert {link.first, link.second} == {first, first + 1}
    return role.linked(link)


# --- stanzas ---


@pytest.mark.clause("PRX-01")
def test_where_it_is() -> None:
    answer = asks(proxy(), AddressWanted().element(), "get")
    assert answer == (
        b'<iq from="relay.montague.example" to="romeo@montague.lit/o" id="1" type="result">'
        b"<query xmlns='http://jabber.org/protocol/bytestreams'><streamhost"
        b' host="192.0.2.1" jid="relay.montague.example" port="7625"/></query></iq>'
    )


@pytest.mark.clause("PRX-01")
@pytest.mark.parametrize(
    ("payload", "kind"), [(AddressWanted().element(), "get"), (ACTIVATE, "set")]
)
def test_who_may_not_use_it_and_when_there_is_none(payload: str, kind: str) -> None:
    assert refusal(asks(with_pair(proxy()), payload, kind, MALLORY)) == ("forbidden", "auth")
    assert refusal(asks(proxy(None), payload, kind)) == ("not-allowed", "cancel")


def test_without_a_streamhost_no_connection_is_held() -> None:
    assert not proxy(None).hold(1, HASH, ADDRESS, NOW)


@pytest.mark.clause("PRX-03")
def test_the_requester_activates_what_is_connected() -> None:
    role = proxy()
    assert linked(role) == (
        b'<iq from="relay.montague.example" to="romeo@montague.lit/o" id="1" type="result"></iq>'
    )
    assert (role.held, role.pairs) == (0, 1)
    assert role.received(1, b"a") == [Write(2, b"a")]
    assert role.received(2, b"bc") == [Write(1, b"bc")]
    assert role.full(1) == [PauseReading(2)]
    assert role.relayed_bytes == 3


@pytest.mark.clause("PRX-03")
def test_one_side_is_not_enough() -> None:
    role = proxy()
    role.hold(1, HASH, ADDRESS, NOW)
    assert refusal(asks(role, ACTIVATE)) == ("not-allowed", "cancel")


@pytest.mark.clause("PRX-03")
@pytest.mark.parametrize(
    ("sender", "activate", "error"),
    [
        (ROMEO, Activate("another", JULIET), ("not-authorized", "auth")),
        (ROMEO, Activate(SID, "juliet@capulet.lit"), ("not-authorized", "auth")),
        ("romeo@montague.lit", Activate(SID, JULIET), ("not-authorized", "auth")),
        ("x@montague.lit", Activate(SID, ROMEO), ("not-authorized", "auth")),
        (JULIET, Activate(SID, ROMEO), ("item-not-found", "cancel")),
    ],
)
def test_the_hash_must_be_that_of_who_asks(
    sender: str, activate: Activate, error: tuple[str, str]
) -> None:
    role = with_pair(proxy())
    assert refusal(asks(role, activate.element(), sender=sender)) == error
    assert (role.held, role.pairs) == (2, 0)


@pytest.mark.clause("PRX-03")
def test_a_bytestream_is_activated_once() -> None:
    role = proxy()
    linked(role)
    assert refusal(asks(role, ACTIVATE)) == ("not-authorized", "auth")


@pytest.mark.clause("PRX-03")
def test_what_cannot_be_linked_is_an_internal_error_and_may_be_asked_for_again() -> None:
    role = with_pair(proxy())
    link = asks(role, ACTIVATE)
    assert isinstance(link, Link)
    assert refusal(role.not_linked(link)) == ("internal-server-error", "cancel")
    assert isinstance(asks(role, ACTIVATE), Link)


def test_what_is_no_request() -> None:
    assert refusal(asks(proxy(), AddressWanted().element(), "set")) == ("bad-request", "modify")


# --- connections ---


@pytest.mark.clause("PRX-02")
def test_two_connections_for_a_hash_and_no_third() -> None:
    role = with_pair(proxy())
    assert not role.hold(3, HASH, ADDRESS, NOW)
    assert role.hold(3, dstaddr("another", ROMEO, JULIET), ADDRESS, NOW)
    assert role.lost(1) == []
    assert role.hold(4, HASH, ADDRESS, NOW)


@pytest.mark.clause("PRX-02")
def test_what_comes_before_the_activation_counts_for_nothing() -> None:
    role = with_pair(proxy())
    assert role.received(1, b"early") == []
    assert role.full(1) == role.drained(1) == []
    link = asks(role, ACTIVATE)
    assert isinstance(link, Link)
    role.linked(link)
    assert role.received(1, b"late") == [Write(2, b"late")]
    assert role.relayed_bytes == 4


@pytest.mark.clause("PRX-04")
def test_what_is_not_activated_expires() -> None:
    role = with_pair(proxy())
    role.hold(3, dstaddr("later", ROMEO, JULIET), ADDRESS, NOW + 1)
    assert role.deadline() == NOW + 60
    assert role.expire(NOW + 59) == []
    assert role.expire(NOW + 60) == [Disconnect(1), Disconnect(2)]
    assert role.deadline() == NOW + 61
    assert role.held == 1
    assert refusal(asks(role, ACTIVATE)) == ("not-authorized", "auth")


@pytest.mark.clause("PRX-04")
def test_what_is_linked_does_not_expire() -> None:
    role = proxy()
    linked(role)
    assert (role.deadline(), role.expire(NOW + 1e6)) == (None, [])


@pytest.mark.clause("PRX-04")
def test_half_close_then_the_end() -> None:
    role = proxy()
    linked(role)
    assert role.ended(1) == [EndWriting(2)]
    assert role.received(2, b"rest") == [Write(1, b"rest")]
    assert sorted(role.ended(2), key=lambda each: each.connection) == [Disconnect(1), Disconnect(2)]
    assert (role.pairs, role.lost(1), role.lost(2)) == (0, [], [])


def test_a_held_connection_that_ends_is_closed() -> None:
    role = with_pair(proxy())
    assert role.ended(1) == [Disconnect(1)]
    assert role.held == 1


@pytest.mark.clause("PRX-04")
def test_how_many_may_wait() -> None:
    role = proxy(max_held=3, max_held_per_address=2)
    assert role.hold(1, "a", "192.0.2.1", NOW)
    assert role.hold(2, "b", "192.0.2.1", NOW)
    assert not role.hold(3, "c", "192.0.2.1", NOW)
    assert role.hold(3, "c", "192.0.2.2", NOW)
    assert not role.hold(4, "d", "192.0.2.3", NOW)
    role.lost(1)
    assert role.hold(4, "d", "192.0.2.1", NOW)


@pytest.mark.clause("PRX-04")
@pytest.mark.parametrize("limits", [{"max_pairs_per_requester": 1}, {"max_pairs": 1}])
def test_how_many_may_be_linked(limits: dict[str, float]) -> None:
    role = proxy(**limits)
    linked(role)
    with_pair(role, "second", first=3)
    second = Activate("second", JULIET).element()
    assert refusal(asks(role, second)) == ("resource-constraint", "wait")
    assert role.lost(1) == [Disconnect(2)]
    assert isinstance(asks(role, second), Link)


def connect(role: ProxyRole, number: int) -> tuple[Socks5Client, Socks5Server]:
    """A client that has been accepted for the hash."""
    client, server = Socks5Client(HASH), Socks5Server()
    said = server.receive(client.bytes_to_send())
    assert said is None
    client.receive(server.bytes_to_send())
    asked = server.receive(client.bytes_to_send())
    assert isinstance(asked, Requested)
    assert role.hold(number, asked.dstaddr, ADDRESS, NOW)
    server.accept()
    assert client.receive(server.bytes_to_send()) == Established()
    return client, server


@pytest.mark.clause("PRX-03", "S5B-07")
def test_from_the_handshake_to_octets_on_the_other_side() -> None:
    role = proxy()
    connect(role, 1)
    connect(role, 2)
    link = asks(role, ACTIVATE)
    assert isinstance(link, Link)
    role.linked(link)
    assert role.received(2, b"\x00" * 100_000) == [Write(1, b"\x00" * 100_000)]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["hold", "lost", "ended", "activate", "received", "expire", "full"]),
            st.integers(0, 5),
            st.sampled_from(["s1", "s2", "s3"]),
        )
    )
)
def test_the_books_always_balance(happenings: list[tuple[str, int, str]]) -> None:
    role = proxy(max_held=4, max_pairs=1, max_held_per_address=3)
    alive: set[int] = set()
    now, number = NOW, 0
    for what, which, sid in happenings:
        connection = sorted(alive)[which % len(alive)] if alive else -1
        actions: list[Action] = []
        if what == "hold":
            number += 1
            if role.hold(number, dstaddr(sid, ROMEO, JULIET), f"a{which}", now):
                alive.add(number)
        elif what == "activate":
            link = asks(role, Activate(sid, JULIET).element())
            if isinstance(link, Link):
                assert {link.first, link.second} <= alive
                role.linked(link)
        elif what == "expire":
            now += 30
            actions = role.expire(now)
        elif connection > 0:
            argument = [b"x"] if what == "received" else []
            actions = getattr(role, what)(connection, *argument)
            if what == "lost":
                alive.discard(connection)
        for action in actions:
            assert action.connection in alive
            if isinstance(action, Disconnect):
                role.lost(action.connection)
                alive.discard(action.connection)
        assert role.held + 2 * role.pairs == len(alive)
        assert role.held <= 4
        assert role.pairs <= 1
    for connection in alive:
        role.lost(connection)
    assert (role.held, role.pairs, role.deadline()) == (0, 0, None)
