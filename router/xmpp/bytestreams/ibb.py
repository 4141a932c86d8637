"""One in-band bytestream (XEP-0047), either end: octets and stanzas in, stanzas and events out.

`ibb_table` hands it the stanzas that are its own. Whoever runs it sends what `stanzas_to_send` has
after each call, calls `deadline_passed` in time, and drops it after `Closed`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from router.xmpp.bytestreams.ibb_elements import Close, Data, Open
from router.xmpp.bytestreams.ibb_events import (
    Closed,
    CloseReason,
    DataReceived,
    Drained,
    IbbEvent,
    Opened,
)
from router.xmpp.bytestreams.ibb_receiving import ReceivedBlocks
from router.xmpp.bytestreams.ibb_states import Input, State, step
from router.xmpp.bytestreams.ibb_window import DEFAULT_WINDOW, SendWindow, WindowLimits
from router.xmpp.errors import MisuseError, StanzaError
from router.xmpp.stanza import Stanza, bounce, may_bounce, result
from router.xmpp.writer import attributes

# RFC 6120 §8.3.3: what says that a stanza did not get there, rather than what is wrong with it.
_UNDELIVERED: Final = frozenset(
    {"recipient-unavailable", "remote-server-not-found", "remote-server-timeout"}
)
_SMALLEST_BLOCK_BYTES: Final = 256
_NO_SUCH: Final = StanzaError.of("item-not-found", "no such bytestream")
_IS_OPEN: Final = StanzaError("unexpected-request", "cancel", "it is open")
_OTHER_BLOCK_SIZE: Final = StanzaError("resource-constraint", "modify", "another block-size")
_WRITABLE: Final = (State.EXPECTING, State.OPENING, State.OPEN, State.ANSWERING)
_READABLE: Final = (State.OPEN, State.FLUSHING, State.CLOSING)


class Role(Enum):
    """What comes first on the bytestream."""

    OPENS = "we send <open/>"
    EXPECTS_OPEN = "the peer sends <open/>"
    NO_OPEN = "neither does: the legacy ibb:0"


@dataclass(frozen=True, slots=True)
class Terms:
    """What was agreed before, and our own bounds. Addresses as they stand in the stanzas."""

    local: str
    peer: str
    sid: str
    block_size_bytes: int
    stanza: str = "iq"
    """What carries our blocks, "iq" or "message"; theirs may come in either."""
    can_repair: bool = False
    """Whether both sides take a lost block a second time instead of closing (`ibb_transport`)."""
    window: WindowLimits = DEFAULT_WINDOW
    max_held_bytes: int = 262_144
    """Received and not yet wanted; a peer that keeps to a window never gets there."""
    answer_timeout_s: float = 60.0
    """For the peer's `<open/>`, and for its answers to ours and to our `<close/>`."""


class InBandBytestream:
    """Both directions of one bytestream, bounded; `is_full` says when to stop writing."""

    def __init__(self, terms: Terms, role: Role, new_id: Callable[[], str], now: float) -> None:
        self.terms = terms
        self._new_id = new_id
        self._window = SendWindow(terms.block_size_bytes, terms.window)
        self._received = ReceivedBlocks(
            terms.block_size_bytes, terms.max_held_bytes, repairs=terms.can_repair
        )
        self._out: list[bytes] = []
        self._events: list[IbbEvent] = []
        self._outcome: Closed | None = None
        """Reported once everything received has been."""
        self._asked: str | None = None
        """The id of our `<open/>` or `<close/>` that has no answer yet."""
        self._answer_by: float | None = now + terms.answer_timeout_s
        self._peers_close: Stanza | None = None
        self._is_paused = False
        self._was_full = False
        self._state = State.EXPECTING
        if role is Role.OPENS:
            self._state = State.OPENING
            self._ask_to_open(now)
        elif role is Role.NO_OPEN:
            self._state, self._answer_by = State.OPEN, None

    # --- what the owner asks for ---

    @property
    def state(self) -> State:
        """Where the bytestream is."""
        return self._state

    @property
    def acknowledged_bytes(self) -> int:
        """How many of the octets written the peer has taken, from the first one on."""
        return self._window.acknowledged_bytes

    def unsent_bytes(self) -> int:
        """Octets written that the peer has not acknowledged."""
        return self._window.unsent_bytes()

    def is_full(self) -> bool:
        """Whether to write no more until `Drained`."""
        return self._window.is_full()

    def write(self, octets: bytes, now: float) -> None:
        """Send these octets after those before; before `Opened` they wait.

        Raises MisuseError after `close` or `Closed`.
        """
        if self._state not in _WRITABLE:
            raise MisuseError("the bytestream is closed")
        self._window.write(octets)
        self._was_full = self._was_full or self._window.is_full()
        self._send_blocks(now)

    def close(self, now: float) -> list[IbbEvent]:
        """Close once everything written has been taken (XEP-0047 §2.3); `Closed` says when."""
        was = self._state
        if self._step(Input.CLOSE):
            if was is State.OPENING:
                self._ask(Close(self.terms.sid).octets(), now)
            elif was is State.EXPECTING:
                self._outcome = self._closed(CloseReason.LOCAL)
        return self._go_on(now)

    def abort(self) -> None:
        """Close at once, without an event: what has not been taken, on either side, is lost."""
        if self._state is not State.CLOSED:
            self._break(CloseReason.LOCAL, "aborted")
        self._outcome = None
        for request, _ in self._received.release():
            self._refuse(request, _NO_SUCH)

    def pause(self) -> None:
        """Hold what comes in without an answer, so that the peer's window stops it."""
        self._is_paused = True

    def resume(self, now: float) -> list[IbbEvent]:
        """Take and answer what was held, and go on."""
        self._is_paused = False
        return self._go_on(now)

    def stanzas_to_send(self) -> list[bytes]:
        """The stanzas to send, neutral and complete, in order; handed out once."""
        out, self._out = self._out, []
        return out

    # --- what comes in ---

    def receive(
        self, stanza: Stanza, said: Open | Data | Close | StanzaError, now: float
    ) -> list[IbbEvent]:
        """The peer's request on this bytestream. One that cannot be read ends it (IBB-03)."""
        if isinstance(said, StanzaError):
            self._refuse(stanza, said)
            if self._state in _READABLE:
                self._break(CloseReason.PEER_FAULT, said.text)
        elif isinstance(said, Open):
            self._open_received(stanza, said)
        elif self._state not in _READABLE:
            self._refuse(stanza, _NO_SUCH)
        elif isinstance(said, Close):
            self._close_received(stanza)
        else:
            self._data_received(stanza, said)
        return self._go_on(now)

    def awaits(self, stanza_id: str) -> bool:
        """Whether a stanza of ours with this id has no answer yet."""
        return stanza_id == self._asked or self._window.awaits(stanza_id)

    def answered(self, stanza_id: str, error: StanzaError | None, now: float) -> list[IbbEvent]:
        """The answer to an iq that `awaits` it: a result, or this error."""
        if stanza_id == self._asked:
            self._asked_answered(error, now)
        elif error is None:
            self._window.acknowledge(stanza_id)
        else:
            self._block_failed(stanza_id, error, now)
        return self._go_on(now)

    def message_failed(self, error: StanzaError, now: float) -> list[IbbEvent]:
        """A message of ours with data came back; nothing tells which later ones did arrive."""
        if self._state in _READABLE:
            self._break(CloseReason.REJECTED, error.condition)
        return self._go_on(now)

    def deadline(self) -> float | None:
        """When to call `deadline_passed`."""
        if self._state is State.CLOSED:
            return None
        known = [at for at in (self._answer_by, self._window.deadline()) if at is not None]
        return min(known, default=None)

    def deadline_passed(self, now: float) -> list[IbbEvent]:
        """Give up on what has waited long enough; send again what may be."""
        if self._answer_by is not None and self._answer_by <= now:
            was_closing = self._state is State.CLOSING
            self._end(CloseReason.LOCAL if was_closing else CloseReason.UNDELIVERED, "no answer")
        self._window.deadline_passed(now)
        return self._go_on(now)

    # --- requests of the peer ---

    def _open_received(self, stanza: Stanza, said: Open) -> None:
        if self._state is not State.EXPECTING:
            self._refuse(stanza, _IS_OPEN)
        elif said.block_size_bytes != self.terms.block_size_bytes:
            self._refuse(stanza, _OTHER_BLOCK_SIZE)
        else:
            self._out.append(result(stanza))
            self._answer_by = None
            self._step(Input.OPENED)
            self._events.append(Opened())

    def _data_received(self, stanza: Stanza, data: Data) -> None:
        fault = self._received.take(data, stanza)
        if fault is None:
            return
        self._refuse(stanza, fault.error)
        if fault.is_fatal:
            self._break(CloseReason.PEER_FAULT, fault.error.text)

    def _close_received(self, stanza: Stanza) -> None:
        self._step(Input.PEER_CLOSE)
        if self._state is State.CLOSING:
            self._out.append(result(stanza))
        else:
            self._peers_close = stanza

    def _refuse(self, stanza: Stanza, error: StanzaError) -> None:
        if may_bounce(stanza):
            self._out.append(bounce(stanza, error))

    # --- answers of the peer ---

    def _asked_answered(self, error: StanzaError | None, now: float) -> None:
        self._asked = self._answer_by = None
        if self._state is State.CLOSING:  # XEP-0047 §2.3: whatever the answer is
            self._end(CloseReason.LOCAL)
        elif error is None:
            self._step(Input.OPENED)
            self._events.append(Opened())
        elif error.condition == "resource-constraint" and self._shrinks():
            self._ask_to_open(now)
        else:
            self._end(CloseReason.REFUSED, error.condition)

    def _shrinks(self) -> bool:
        """XEP-0047 §2.1: the peer would prefer smaller blocks."""
        smaller = self._window.block_size_bytes // 2
        self._window.block_size_bytes = self._received.block_size_bytes = smaller
        return smaller >= _SMALLEST_BLOCK_BYTES

    def _block_failed(self, stanza_id: str, error: StanzaError, now: float) -> None:
        """XEP-0047 §2.2: not delivered, then it is sent again; refused, then this is the end."""
        took_it_before = (error.condition, error.type) == ("unexpected-request", "cancel")
        if took_it_before and self._window.was_sent_again(stanza_id):
            self._window.acknowledge(stanza_id)
        elif error.condition in _UNDELIVERED or (self.terms.can_repair and error.type == "wait"):
            self._window.fail(stanza_id, now)
            if self._window.has_given_up():
                self._break(CloseReason.UNDELIVERED, error.condition)
        elif self._state is State.ANSWERING:
            self._end(CloseReason.PEER)
        else:
            self._break(CloseReason.REJECTED, error.condition)

    # --- what follows from it ---

    def _go_on(self, now: float) -> list[IbbEvent]:
        """Do what has become possible, and hand out the events."""
        if self._window.has_given_up() and self._state is not State.CLOSED:
            self._break(CloseReason.UNDELIVERED, "no answer")
        self._send_blocks(now)
        if not self._is_paused:
            for request, block in self._received.release():
                if request.kind == "iq":
                    self._out.append(result(request))
                self._events.append(DataReceived(block))
        if self._was_full and not self._window.is_full():
            self._was_full = False
            self._events.append(Drained())
        if not self._window.unsent_bytes():
            self._flushed(now)
        if self._outcome is not None and self._received.is_empty():
            self._events.append(self._outcome)
            self._outcome = None
        events, self._events = self._events, []
        return events

    def _flushed(self, now: float) -> None:
        if self._state is State.FLUSHING:
            self._step(Input.FLUSHED)
            self._ask(Close(self.terms.sid).octets(), now)
        elif self._state is State.ANSWERING and self._received.is_empty():
            self._end(CloseReason.PEER)

    def _break(self, reason: CloseReason, detail: str) -> None:
        if self._peers_close is None:
            self._write(Close(self.terms.sid).octets())
        self._end(reason, detail)

    def _end(self, reason: CloseReason, detail: str = "") -> None:
        if self._peers_close is not None:
            self._out.append(result(self._peers_close))
            self._peers_close = None
        if self._step(Input.END):
            self._outcome = self._closed(reason, detail)

    def _closed(self, reason: CloseReason, detail: str = "") -> Closed:
        return Closed(reason, detail, self._window.unsent_bytes())

    def _step(self, happened: Input) -> bool:
        after = step(self._state, happened)
        if after is not None:
            self._state = after
        return after is not None

    # --- stanzas ---

    def _send_blocks(self, now: float) -> None:
        if self._state not in (State.OPEN, State.FLUSHING, State.ANSWERING):
            return
        if self.terms.stanza == "message":
            blocks = self._window.take_unanswered(self._new_id)
        else:
            blocks = self._window.take(self._new_id, now)
        for block in blocks:
            data = Data(self.terms.sid, block.seq, block.octets).octets()
            self._write(data, self.terms.stanza, block.id)

    def _ask_to_open(self, now: float) -> None:
        terms = self.terms
        self._ask(Open(terms.sid, self._window.block_size_bytes, terms.stanza).octets(), now)

    def _ask(self, payload: bytes, now: float) -> None:
        self._asked = self._new_id()
        self._answer_by = now + self.terms.answer_timeout_s
        self._write(payload, stanza_id=self._asked)

    def _write(self, payload: bytes, kind: str = "iq", stanza_id: str | None = None) -> None:
        given = {
            "from": self.terms.local,
            "to": self.terms.peer,
            "id": stanza_id or self._new_id(),
            "type": "set" if kind == "iq" else None,
        }
        start = f"<{kind}{attributes(given)}>".encode()
        self._out.append(start + payload + f"</{kind}>".encode())
