"""What every XML stream does alike (RFC 6120 §4): reading, errors, deadlines, closing.

The cores for s2s and components build on it. Octets, facts and the time come in, octets and events
go out; nothing here touches a socket or a clock. Times are seconds of the caller's monotonic clock.
"""

from collections.abc import Callable, Mapping
from xml.etree import ElementTree as etree

from router.xmpp import jid, names, writer
from router.xmpp.certificate import NO_CERTIFICATE, Evidence
from router.xmpp.errors import STREAM_CONDITIONS, MisuseError, StanzaError, StreamError
from router.xmpp.events import Event, RunReceived, StanzaRefused, StartTls, StreamClosed
from router.xmpp.grants import Grants
from router.xmpp.limits import UNLIMITED
from router.xmpp.pair import DomainPair
from router.xmpp.policy import Policy
from router.xmpp.reader import (
    Element,
    End,
    Fault,
    Faulty,
    Header,
    Limits,
    Reader,
    Run,
    local_name,
)
from router.xmpp.states import Input, Phase, Table, step

STARTTLS_TAG = f"{{{names.TLS}}}starttls"
_PROCEED_TAG = f"{{{names.TLS}}}proceed"
_TLS_FAILURE_TAG = f"{{{names.TLS}}}failure"
_ERROR_TAG = f"{{{names.STREAMS}}}error"
_QUIET = (Phase.CLOSING, Phase.CLOSED)
_HANDSHAKE = (Phase.TLS, Phase.DIRECT_TLS)
_UNPARSED = (*_HANDSHAKE, Phase.CLOSED)


class XmlStream:
    """Base of the stream cores. Feed it, then send `bytes_to_send()`, then act on the events."""

    TABLE: Table
    NAMESPACE: str

    def __init__(self, policy: Policy, new_id: Callable[[], str], phase: Phase, now: float) -> None:
        self.policy = policy
        self.phase = phase
        self.grants = Grants()
        self.evidence: Evidence = NO_CERTIFICATE
        self.mechanism = ""
        self.is_bidi = False
        self.peer_limits = UNLIMITED
        self.stream_id = ""
        self._new_id = new_id
        self._now = now
        self._out: list[bytes] = []
        self._events: list[Event] = []
        self._header_sent = False
        self._encrypted = False
        self._unproved_bytes = 0
        self._since_restart = b""
        self._handshake_deadline: float | None = now + policy.handshake_timeout_s
        self._close_deadline: float | None = None
        self._reader = self._new_reader()

    # --- what the caller does ---

    def receive_bytes(self, octets: bytes, now: float) -> list[Event]:
        """Take octets the peer sent; the events they caused, in order. Never raises for them."""
        self._now = now
        if self.phase in _UNPARSED:
            return []
        try:
            self._feed(octets)
        except StreamError as error:
            self._fail(error)
        return self._take_events()

    def receive_eof(self, now: float) -> list[Event]:
        """The connection ended. Without a closing tag before, that is an abrupt end."""
        self._now = now
        if self.phase is not Phase.CLOSED:
            self._end(
                StreamClosed(None, True, "connection ended without a closing tag", abrupt=True)
            )
        return self._take_events()

    def tls_established(self, evidence: Evidence, now: float) -> list[Event]:
        """TLS is up: forget all that was said before it and begin anew (RFC 6120 §5.4.3.3)."""
        self._now = now
        self._move(Input.TLS_UP)
        self.evidence = evidence
        self._encrypted = True
        try:
            self._restart()
            self._secured()
        except StreamError as error:
            self._fail(error)
        return self._take_events()

    def bytes_to_send(self) -> bytes:
        """What is due for the peer, in order, and now the caller's."""
        octets = b"".join(self._out)
        self._out.clear()
        return octets

    def may_send(self, pair: DomainPair) -> bool:
        """Whether stanzas of `pair` may leave on this stream now."""
        return pair in self.grants.send and self.phase not in _QUIET

    def send_run(self, pair: DomainPair, octets: bytes, stanzas: int) -> None:
        """Queue so many neutral stanzas of a pair that may be sent here.

        MisuseError for any other pair.
        """
        if not self.may_send(pair):
            raise MisuseError(f"{pair} may not be sent on this stream")
        self._out.append(octets)

    def close(self, now: float) -> list[Event]:
        """Close in order: our closing tag, then nothing more from us (RFC 6120 §4.4)."""
        self._now = now
        self.end_orderly()
        return self._take_events()

    def fail(self, condition: str, text: str) -> list[Event]:
        """End the stream with a stream error of ours (RFC 6120 §4.9)."""
        self._fail(StreamError(condition, text))
        return self._take_events()

    def deadline(self) -> float | None:
        """When `deadline_passed` wants to be called, or None."""
        if self.phase is Phase.CLOSED:
            return None
        due = (self._handshake_deadline, self._close_deadline, self._next_deadline())
        return min([at for at in due if at is not None], default=None)

    def deadline_passed(self, now: float) -> list[Event]:
        """The caller's clock has reached `deadline()`."""
        self._now = now
        if self.phase is Phase.CLOSED:
            return []
        if self._close_deadline is not None and self._close_deadline <= now:
            self._end(StreamClosed(None, False, "no closing tag from the peer"))
        elif self._handshake_deadline is not None and self._handshake_deadline <= now:
            self._fail(StreamError("policy-violation", "not authenticated in time"))
        else:
            self._deadlines_passed(now)
        return self._take_events()

    # --- what the kinds of stream fill in ---

    def _received_header(self, header: Header) -> None:
        raise NotImplementedError

    def _received_element(self, element: etree.Element) -> None:
        raise NotImplementedError

    def _send_header(self) -> None:
        """Write the header that an error needs before it (RFC 6120 §4.9.1.2)."""
        raise NotImplementedError

    def _secured(self) -> None:
        """TLS has just been established."""

    def _before_closing_tag(self, *, peer_listens: bool) -> None:
        """Our closing tag is written next; `peer_listens`: the peer's has not come."""

    def _defaults(self) -> Mapping[str, str]:
        """The `from` and `to` of a stanza that leaves them out; without these it may not."""
        return {}

    def _next_deadline(self) -> float | None:
        return None

    def _deadlines_passed(self, now: float) -> None:
        """A deadline of the subclass has passed."""

    # --- for them ---

    def write(self, octets: bytes) -> None:
        """Queue octets for the peer; after the closing tag they are dropped."""
        if self.phase not in _QUIET:
            self._out.append(octets)

    def emit(self, event: Event) -> None:
        """Report an event."""
        self._events.append(event)

    def is_encrypted(self) -> bool:
        """Whether what we read now came inside TLS."""
        return self._encrypted

    def end_orderly(self) -> None:
        """What `close` does, for the parts of a core."""
        if self.phase in _QUIET:
            return
        if not self._header_sent or self.phase in _HANDSHAKE:
            self._end(StreamClosed(None, False, "closed before the stream began", abrupt=True))
            return
        self._before_closing_tag(peer_listens=True)
        self._move(Input.CLOSE)
        self._out.append(writer.CLOSING_TAG)
        self._close_deadline = self._now + self.policy.close_timeout_s

    def _move(self, happened: Input) -> None:
        after = step(self.TABLE, self.phase, happened)
        if after is None:
            raise MisuseError(f"{happened.value} while {self.phase.value}")
        self.phase = after

    def _may(self, happened: Input) -> bool:
        return step(self.TABLE, self.phase, happened) is not None

    def _restart(self) -> None:
        """A new stream on the same connection: new parser, new header (RFC 6120 §4.3.3)."""
        self._reader.close()
        self._reader = self._new_reader()
        self._header_sent = False
        self._since_restart = b""

    def _nothing_follows(self) -> None:
        """Octets behind an element that ends a stream's plaintext are an attack or a fault."""
        if self._reader.pending():
            self._end(StreamClosed(None, False, "octets after the TLS switch", abrupt=True))

    def _answer_starttls(self, element: etree.Element, *, offered: bool) -> None:
        """The peer asks for TLS (TLS-01, TLS-02, TLS-04)."""
        malformed = len(element) > 0 or bool((element.text or "").strip())
        if not self._may(Input.STARTTLS) or not offered or malformed:
            self.write(writer.TLS_FAILURE)
            self._end(StreamClosed(None, False, "starttls where it was not offered"))
            return
        self._move(Input.STARTTLS)
        self.write(writer.PROCEED)
        self._begin_tls()

    def _took_starttls_answer(self, element: etree.Element) -> bool:
        """Do as the peer says of TLS; False for another element, or when it was not asked."""
        if element.tag == _PROCEED_TAG and self._may(Input.PROCEED):
            self._move(Input.PROCEED)
            self._begin_tls()
        elif element.tag == _TLS_FAILURE_TAG and self._may(Input.PROCEED):
            self._end(StreamClosed(None, True, "the peer refused STARTTLS"))
        else:
            return False
        return True

    def _begin_tls(self) -> None:
        self._nothing_follows()
        if self.phase is Phase.TLS:
            self.emit(StartTls())

    def _proved(self) -> None:
        """The peer has been authenticated: full limits, no more handshake deadline, full speed."""
        self._handshake_deadline = None
        self._reader.limits = self.policy.limits
        self._reader.careful = False

    def _end(self, closed: StreamClosed) -> None:
        self._move(Input.END)
        self._handshake_deadline = self._close_deadline = None
        self._reader.close()
        self.emit(closed)

    # --- inside ---

    def _new_reader(self) -> Reader:
        proved = self.grants.proved() or self.mechanism != ""
        limits: Limits = self.policy.limits if proved else self.policy.before_proof
        return Reader(self.NAMESPACE, limits, hears_stanzas=False, defaults=self._defaults())

    def _take_events(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def _check_unproved(self, unread: int) -> None:
        """ERR-07. What is unread may follow the very element that proves the peer."""
        if self._handshake_deadline is not None:
            read = self._unproved_bytes - unread
            if read > self.policy.before_proof_total_bytes:
                raise StreamError("policy-violation", "too much sent before authentication")

    def _feed(self, octets: bytes) -> None:
        if self._handshake_deadline is not None:
            self._unproved_bytes += len(octets)
        if self.phase is Phase.RESTART_HEADER:
            self._since_restart = (self._since_restart + octets)[: len(writer.CLOSING_TAG)]
        reader = self._reader
        tokens = reader.feed(octets)
        self._check_unproved(reader.pending())
        while tokens:
            for token in tokens:
                if self.phase is Phase.CLOSED:
                    return
                if isinstance(token, Run):
                    self._received_run(token)
                elif isinstance(token, Faulty):
                    self._received_faulty(token)
                elif isinstance(token, Element):
                    self._received(token.element)
                elif isinstance(token, Header):
                    self._received_header(token)
                elif isinstance(token, End):
                    self._received_end()
                elif isinstance(token, Fault):
                    self._received_fault(token.error)
            if self._reader is not reader:
                return  # STR-13: what a restart leaves behind is dropped unread
            tokens = reader.feed(b"")
            self._check_unproved(reader.pending())

    def _received_fault(self, error: StreamError) -> None:
        if self.phase is Phase.RESTART_HEADER and self._since_restart == writer.CLOSING_TAG:
            self._received_end()  # STR-13: the old stream's, and no fault
        else:
            raise error

    def _received_run(self, run: Run) -> None:
        self.grants.check_received(run.pair)
        self.emit(RunReceived(run.pair, run.counts, run.octets))

    def _received_faulty(self, faulty: Faulty) -> None:
        self.grants.check_received(faulty.pair)
        error: StanzaError = faulty.error
        self.emit(StanzaRefused(faulty.pair, faulty.octets, error))

    def _received(self, element: etree.Element) -> None:
        if element.tag == _ERROR_TAG:
            self._received_error(element)
        else:
            self._received_element(element)

    def _received_error(self, element: etree.Element) -> None:
        """RFC 6120 §4.9.1.1: the stream is over for both; answer with the closing tag only."""
        condition, text = "undefined-condition", ""
        for child in element.iterfind(f"{{{names.STREAM_ERRORS}}}*"):
            name = local_name(child)
            if name == "text":
                text = child.text or ""
            elif name in STREAM_CONDITIONS:
                condition = name
            elif name == "xml-not-well-formed":  # RFC 3920
                condition = "not-well-formed"
        self.write(writer.CLOSING_TAG)
        self._end(StreamClosed(condition, True, text))

    def _received_end(self) -> None:
        """The peer's closing tag: answer it unless ours went first (RFC 6120 §4.4)."""
        ours_first = self.phase is Phase.CLOSING
        self._before_closing_tag(peer_listens=False)
        self.write(writer.CLOSING_TAG)
        self._end(StreamClosed(None, not ours_first, is_complete=True))

    def _fail(self, error: StreamError) -> None:
        if self.phase is Phase.CLOSED:
            return
        if self.phase in _HANDSHAKE:  # no XML can be said there (RFC 6120 §5.4.3.2)
            self._end(StreamClosed(error.condition, False, error.detail, abrupt=True))
            return
        if self.phase is not Phase.CLOSING:
            if not self._header_sent:
                self._send_header()
            self._out.append(writer.stream_error(error))
        self._end(StreamClosed(error.condition, False, error.detail))


def header_domain(header: Header, attribute: str) -> str | None:
    """The normalised domain in `from` or `to`: "" when absent, None when it is no domain."""
    text = header.attributes.get(attribute)
    if text is None:
        return ""
    try:
        return jid.domain(text)
    except jid.JidError:
        return None
