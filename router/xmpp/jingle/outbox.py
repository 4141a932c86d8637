"""What the sessions of one endpoint have to say: requests to send, and events for the caller.

Remembers which request an answer belongs to. Sessions fill it, `endpoint` empties it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from router.xmpp.jingle import element
from router.xmpp.jingle.actions import Action
from router.xmpp.jingle.events import JingleEvent, SessionEnded, SessionKey

# Answers still awaited; beyond it the oldest request is as good as answered.
MAX_AWAITED: Final = 1024


@dataclass(frozen=True, slots=True)
class Request:
    """A request of ours: whose, what (None: disco#info), and on which bytestream."""

    session: SessionKey
    action: Action | None
    transport_sid: str = ""


class Outbox:
    """Requests and events of all sessions at the address `local`."""

    def __init__(self, local: str, new_id: Callable[[], str]) -> None:
        self.local = local
        self._new_id = new_id
        self._requests: list[bytes] = []
        self._events: list[JingleEvent] = []
        self._awaited: dict[str, Request] = {}
        self._ended: list[SessionKey] = []

    def send(self, request: Request, kind: str, child: bytes) -> None:
        """Send an iq of type `kind` to the session's peer."""
        iq_id = self._new_id()
        self._awaited[iq_id] = request
        if len(self._awaited) > MAX_AWAITED:
            del self._awaited[next(iter(self._awaited))]
        self._requests.append(
            element.iq(kind, self.local, request.session.peer, iq_id, child),
        )

    def emit(self, event: JingleEvent) -> None:
        """Report an event; after `SessionEnded` nothing more is awaited for its session."""
        self._events.append(event)
        if isinstance(event, SessionEnded):
            self._ended.append(event.session)
            ours = [i for i, request in self._awaited.items() if request.session == event.session]
            for iq_id in ours:
                del self._awaited[iq_id]

    def awaited(self, iq_id: str) -> Request | None:
        """The request of ours that has this id and no answer yet."""
        return self._awaited.get(iq_id)

    def answered(self, iq_id: str) -> None:
        """The request with this id has its answer."""
        del self._awaited[iq_id]

    def take_ended(self) -> list[SessionKey]:
        """The sessions that have ended since the last call."""
        ended, self._ended = self._ended, []
        return ended

    def take_requests(self) -> list[bytes]:
        """Whole stanzas to send, in order, since the last call."""
        requests, self._requests = self._requests, []
        return requests

    def take_events(self) -> list[JingleEvent]:
        """What has happened since the last call, in order."""
        events, self._events = self._events, []
        return events
