"""What every stream core keeps to, whatever octets come: no exception, one end, nothing unproved.

Independent of what was said: `run` knows only which core it feeds. Called by `atheris_streams` and
by `test_cores`.
"""

from collections.abc import Iterable
from typing import Final

from router.xmpp.component import ComponentStream
from router.xmpp.component_client import ComponentClientStream
from router.xmpp.e2e import EndToEndStream, InitiatorStream
from router.xmpp.events import (
    Event,
    PairAuthorised,
    RunReceived,
    StartTls,
    StreamClosed,
    StreamReady,
)
from router.xmpp.initiating import InitiatingStream
from router.xmpp.pair import DomainPair
from router.xmpp.stanza import cut
from router.xmpp.states import Phase
from router.xmpp.xmlstream import XmlStream
from tests.support.transcript import Conversation, Transcript

HEADS: Final = (
    {"role": "receiving", "policy": ""},
    {"role": "receiving", "policy": "tls=optional"},
    {"role": "receiving", "policy": "direct"},
    {"role": "initiating", "policy": ""},
    {"role": "initiating", "policy": "tls=optional"},
    {"role": "initiating", "policy": "direct"},
    {"role": "component", "policy": ""},
    {"role": "component-client", "policy": ""},
    {"role": "recipient", "policy": ""},
    {"role": "recipient", "policy": "tls=optional"},
    {"role": "recipient", "policy": "direct"},
    {"role": "initiator", "policy": ""},
    {"role": "initiator", "policy": "tls=optional"},
)
_OPENING: Final = (InitiatingStream, InitiatorStream, ComponentClientStream)


def run(head: dict[str, str], parts: Iterable[bytes]) -> list[Event]:
    """Feed a new core; TLS, without a certificate, comes up as soon as it is asked for.

    Raises AssertionError for what no octets may bring about. Nobody answers the core's questions,
    and its peer knows no secret: nothing but our own dial is ever authorised, and on an end-to-end
    stream nobody but its peer is heard.
    """
    talk = Conversation(Transcript("", head, ()))
    core, seen, proved = talk.core, list[Event](), set[DomainPair]()
    ready: list[Event] = []

    def take(events: list[Event]) -> None:
        assert not (events and _is_over(seen)), "something follows the end"
        for event in events:
            if isinstance(event, PairAuthorised) and not event.may_send:
                proved.add(event.pair)
            elif isinstance(event, StreamReady | PairAuthorised):
                ready.append(event)
            elif isinstance(event, RunReceived):
                assert event.pair in proved or (ready and _is_due(core, event)), "before proof"
        seen.extend(events)
        core.bytes_to_send()

    if isinstance(core, _OPENING):
        take(core.open())
    if core.phase is Phase.DIRECT_TLS:
        take(core.tls_established(talk.evidence, talk.now))
    for part in parts:
        take(core.receive_bytes(part, talk.now))
        if core.phase is Phase.TLS and seen and isinstance(seen[-1], StartTls):
            take(core.tls_established(talk.evidence, talk.now))
    assert not proved or head["role"] == "initiating", "authorised without a proof"
    if isinstance(core, ComponentStream):
        assert not any(isinstance(event, RunReceived) for event in seen)
    take(core.deadline_passed(talk.now + 1000))
    if not _is_over(seen):
        take(core.receive_eof(talk.now + 1000))
    assert core.phase is Phase.CLOSED
    assert sum(isinstance(event, StreamClosed) for event in seen) == 1
    return seen


def _is_due(core: XmlStream, event: RunReceived) -> bool:
    if isinstance(core, EndToEndStream):
        return all(core.ends.is_peer(one.attributes["from"]) for one in cut(event.octets))
    return isinstance(core, ComponentClientStream) and event.pair.target == core.domain


def _is_over(seen: list[Event]) -> bool:
    return bool(seen) and isinstance(seen[-1], StreamClosed)
