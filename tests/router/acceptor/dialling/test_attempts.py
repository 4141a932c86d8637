"""How an attempt ended, for those who wait, and the way to try instead."""

from types import SimpleNamespace

import pytest

from router.acceptor.dialling.attempts import Approach, Outcome, ended, refused, unreachable
from router.xmpp.errors import StanzaError
from router.xmpp.events import StreamClosed
from router.xmpp.initiating import InitiatingStream
from tests.support.pump import MONTAGUE, NOW, PAIR, ids, policy

WITHOUT_BIDI = Approach(bidi=False)
WITHOUT_EXTERNAL = Approach(external=False)


def closed(
    condition: str | None = None, *, by_peer: bool = True, tls_failure: str = "", **facts: object
) -> SimpleNamespace:
    """A connection whose stream ended so; `facts` are the core's."""
    core = InitiatingStream(policy(MONTAGUE), ids(), PAIR, NOW)
    for name, value in facts.items():
        setattr(core, name, value)
    end = StreamClosed(condition, by_peer)
    return SimpleNamespace(core=core, end=end, tls_failure=tls_failure, address="192.0.2.1:5269")


def outcome(connection: SimpleNamespace, approach: Approach | None = None) -> Outcome:
    return ended(connection, approach or Approach())  # type: ignore[arg-type]


@pytest.mark.clause("RTE-10", "ERR-03", "DNS-05")
@pytest.mark.parametrize(
    ("connection", "condition", "error_type", "tries_next"),
    [
        (closed("host-unknown"), "remote-server-not-found", "cancel", False),
        (closed("host-gone"), "remote-server-not-found", "cancel", False),
        (closed("policy-violation"), "remote-server-timeout", "cancel", False),
        (closed("internal-server-error"), "remote-server-timeout", "wait", True),
        (closed(None), "remote-server-timeout", "wait", True),
        (closed(None, tls_failure="alert"), "remote-server-timeout", "wait", True),
    ],
)
def test_what_the_end_means(
    connection: SimpleNamespace, condition: str, error_type: str, tries_next: bool
) -> None:
    found = outcome(connection)
    assert found.error is not None
    assert (found.error.condition, found.error.type) == (condition, error_type)
    assert found.next == tries_next


@pytest.mark.clause("DBK-17")
@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (unreachable("refused"), "remote-connection-failed"),
        (outcome(closed(None, tls_failure="alert")), "remote-connection-failed"),
        (outcome(closed(None)), "remote-server-timeout"),
        (outcome(closed("host-unknown")), "remote-server-not-found"),
    ],
)
def test_what_it_means_for_a_key(found: Outcome, verdict: str) -> None:
    assert found.verdict() == verdict


@pytest.mark.scenario(20, 23, 28, 41)
@pytest.mark.parametrize(
    ("connection", "again"),
    [
        (closed(None, external="refused"), WITHOUT_EXTERNAL),
        (closed("not-authorized", is_bidi=True, external="asked"), WITHOUT_BIDI),
        (closed("not-authorized", external="asked"), WITHOUT_EXTERNAL),
        (closed("bad-format", by_peer=False, external="accepted"), Approach()),
        (closed("policy-violation", by_peer=False, external="accepted"), None),  # too slow
        (closed(None), None),
        (closed("bad-format", by_peer=False, is_bidi=True), None),
        (closed("host-unknown", is_bidi=True), None),
        (closed("system-shutdown", is_bidi=True, external="asked"), None),
        (closed("policy-violation", is_bidi=True, external="asked"), None),
    ],
)
def test_the_way_to_try_instead(connection: SimpleNamespace, again: Approach | None) -> None:
    assert outcome(connection).again == again


def test_each_thing_is_left_out_once() -> None:
    assert outcome(closed(None, external="refused"), WITHOUT_EXTERNAL).again is None
    died = closed("not-authorized", is_bidi=True, external="asked")
    assert outcome(died, WITHOUT_EXTERNAL).again == Approach(bidi=False, external=False)


@pytest.mark.clause("DBK-22")
@pytest.mark.parametrize(
    ("answer", "again"),
    [("resource-constraint", Approach()), ("item-not-found", None), ("invalid", None), ("", None)],
)
def test_a_peer_without_room_is_asked_once_more(answer: str, again: Approach | None) -> None:
    assert refused(StanzaError.of("remote-server-timeout"), answer, Approach()).again == again
