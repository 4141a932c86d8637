"""One Jingle session for one XML stream, either role (XEP-0166, XEP-0247). States: `states`.

Owns what is negotiated and no byte of the stream. `endpoint` hands it what the peer says, the
caller what it wishes; both then find requests and events in the endpoint.
"""

from typing import Final

from router.xmpp import names
from router.xmpp.errors import MisuseError, StanzaError
from router.xmpp.jingle import element, xml_streams
from router.xmpp.jingle.actions import (
    OUT_OF_ORDER,
    REASONS,
    TIE_BREAK,
    UNSUPPORTED_INFO,
    Action,
)
from router.xmpp.jingle.element import Content, Jingle
from router.xmpp.jingle.events import (
    InfoReceived,
    Offered,
    SessionEnded,
    SessionKey,
    TransportAgreed,
    TransportOffered,
)
from router.xmpp.jingle.offers import Offers
from router.xmpp.jingle.outbox import Outbox, Request
from router.xmpp.jingle.security import Security, SecurityNegotiation
from router.xmpp.jingle.states import INITIATOR, RESPONDER, Input, State, step
from router.xmpp.jingle.transport import (
    Transport,
    TransportFault,
    TransportInfo,
    TransportMethods,
)

_INFO_QUERY: Final = f"<query xmlns='{names.DISCO_INFO}'/>".encode()
_NO_SUCH_CONTENT: Final = StanzaError.of("item-not-found", "no such content")


class Session:
    """One session. Wishes that come after its end do nothing: the peer may always be faster.

    `timeout_s` is how long either side may take for an answer that the other waits for; `security`
    is ours, None to leave TLS to the stream.
    """

    def __init__(
        self,
        key: SessionKey,
        outbox: Outbox,
        methods: TransportMethods,
        timeout_s: float,
        *,
        is_initiator: bool,
        namespace: str,
        security: Security | None,
    ) -> None:
        self.key = key
        self.namespace = namespace
        self.is_initiator = is_initiator
        self.state = State.DISCOVERING if is_initiator else State.ASKED
        self._table = INITIATOR if is_initiator else RESPONDER
        self._outbox = outbox
        self._methods = methods
        self._timeout_s = timeout_s
        self._name = xml_streams.NAME
        self._offers = Offers()
        self._deadline: float | None = None
        self._is_heard = not is_initiator
        self._security = SecurityNegotiation(security)

    @property
    def local(self) -> str:
        """Our address in this session."""
        return self._outbox.local

    def is_unheard(self) -> bool:
        """Whether the session is ours, and the peer has not acknowledged that there is one."""
        return not self._is_heard and not self._is_over()

    # --- begin ---

    def discover(self, offers: tuple[Transport, ...], now: float) -> None:
        """Ask the peer what it supports, then offer the first of these that it does (JXS-01).

        Raises MisuseError unless in-band bytestreams are the last choice (XEP-0247 §3).
        """
        self._offers.plan(offers)
        self._deadline = now + self._timeout_s
        self._outbox.send(Request(self.key, None), "get", _INFO_QUERY)

    def discovered(self, features: frozenset[str], now: float) -> None:
        """The peer has said what it supports: offer, or end (XEP-0166 §11)."""
        self._offers.restrict(features)
        if not {names.JINGLE, names.JINGLE_XMLSTREAM} <= features:
            self._end("unsupported-applications")
        elif self._offers.are_exhausted():
            self._end("unsupported-transports")
        else:
            self._step(Input.SUPPORTED)
            self._security.peer_supports(features)
            self._offer_next(Action.SESSION_INITIATE, now)

    def asked(self, jingle: Jingle, now: float) -> StanzaError | None:
        """The peer's session-initiate: None acknowledges it, whatever follows (JXS-03)."""
        content = xml_streams.acceptable(jingle, self._methods)
        if isinstance(content, str):
            self.terminate(content)
            return None
        offer = xml_streams.transport_in(content, self._methods)
        if isinstance(offer, TransportFault):
            return StanzaError.of("bad-request", offer.detail)
        assert offer is not None
        if not self._security.take_offer(content.security):
            self.terminate("security-error")
            return None
        self._name = content.name
        self._offers.put(offer)
        self._offers.settle()
        self._deadline = now + self._timeout_s
        self._outbox.emit(Offered(self.key, offer))
        return None

    # --- what we wish ---

    def accept(self, answer: Transport) -> None:
        """Answer `Offered` (XEP-0166 §6.5)."""
        self._answer(Action.SESSION_ACCEPT, Input.ACCEPT, answer)

    def accept_transport(self, answer: Transport) -> None:
        """Answer `TransportOffered`: the stream is to go on over the new transport."""
        self._answer(Action.TRANSPORT_ACCEPT, Input.ANSWER, answer)

    def reject_transport(self) -> None:
        """Answer `TransportOffered`: the old transport stays."""
        if self._is_over():
            return
        self._step(Input.ANSWER)
        self._deadline = None
        self._send_transport(Action.TRANSPORT_REJECT, self._offers.on_table.element())

    def inform(self, info: TransportInfo) -> None:
        """Tell the peer something of the transport on the table."""
        if not self._is_over():
            self._send_transport(Action.TRANSPORT_INFO, info.element())

    def ping(self) -> None:
        """Ask whether the peer still knows the session (XEP-0166 §6.8); if not, it ends."""
        if not self._is_over():
            self._send(Action.SESSION_INFO)

    def transport_failed(self, now: float) -> None:
        """The agreed bytestream could not be opened, or broke.

        The initiator offers the next transport, or terminates; the responder waits for that
        (XEP-0260 §3). Does nothing while a replacement is being agreed on.
        """
        if self.state is not State.ACTIVE:
            return
        if not self.is_initiator:
            self._deadline = now + self._timeout_s
        elif self._offers.are_exhausted():
            self.terminate("connectivity-error")
        else:
            self._step(Input.REPLACE)
            self._offer_next(Action.TRANSPORT_REPLACE, now)

    def terminate(self, reason: str, text: str = "") -> None:
        """End the session, or answer `Offered` with no; `reason` is of XEP-0166 §7.4 (§6.7)."""
        if self._is_over():
            return
        if reason not in REASONS:
            raise MisuseError(f"no reason of XEP-0166: {reason!r}")
        if self.state is not State.DISCOVERING:
            self._send(Action.SESSION_TERMINATE, element.reason(reason, text))
        self._end(reason, text=text)

    def overruled(self) -> None:
        """End at once and in silence: the peer's session takes the place of this one (JXS-10)."""
        self._end("alternative-session", by_peer=True)

    # --- time ---

    def deadline(self) -> float | None:
        """When `deadline_passed` wants to be called, None for never."""
        return self._deadline

    def deadline_passed(self, now: float) -> None:
        """Nobody has answered in time: the session ends, if it is time indeed."""
        if self._deadline is not None and self._deadline <= now:
            self.terminate("failed-transport" if self.state is State.ACTIVE else "timeout")

    # --- what the peer says ---

    def receive(self, jingle: Jingle, now: float) -> StanzaError | None:
        """A `<jingle/>` of this session but session-initiate: None acknowledges it."""
        match jingle.action:
            case Action.SESSION_TERMINATE:
                self._end(jingle.reason, text=jingle.text, by_peer=True)
            case Action.SESSION_ACCEPT:
                return self._accepted(jingle)
            case Action.TRANSPORT_REPLACE:
                return self._replaced(jingle, now)
            case Action.TRANSPORT_ACCEPT:
                return self._transport_accepted(jingle)
            case Action.TRANSPORT_REJECT:
                return self._transport_rejected(now)
            case Action.TRANSPORT_INFO:
                return self._informed(jingle)
            case Action.SECURITY_INFO if self._security.peer is not None:
                return None  # a hint, which TLS itself will repeat
            case Action.SESSION_INFO | Action.DESCRIPTION_INFO | Action.SECURITY_INFO:
                # nothing of the kind is defined for XML streams; an empty one is a ping
                return UNSUPPORTED_INFO if jingle.has_payload or jingle.contents else None
            case Action.CONTENT_ADD:
                # one session, one stream: acknowledged, then declined (XEP-0166 §7.2.2)
                added = b"".join(element.content(c.creator, c.name) for c in jingle.contents)
                self._send(Action.CONTENT_REJECT, added)
            case Action.CONTENT_REMOVE | Action.CONTENT_MODIFY:
                return self._content_changed(jingle)
            case _:
                return OUT_OF_ORDER
        return None

    def acknowledged(self, request: Request) -> None:
        """A request of ours was answered by a result."""
        if request.action is Action.SESSION_INITIATE:
            self._is_heard = True

    def refused(self, request: Request, condition: str, now: float) -> None:
        """A request of ours was answered by an error with this condition (RFC 6120 §8.3.3)."""
        match request.action:
            case None | Action.SESSION_INITIATE:
                self._end("", condition, by_peer=True)
            case _ if condition == "item-not-found":
                # unknown-session: the peer has nothing left to end
                self._end("", condition, by_peer=True)
            case Action.SESSION_ACCEPT | Action.TRANSPORT_ACCEPT:
                self.terminate("general-error")
            case Action.TRANSPORT_REPLACE if request.transport_sid == self._offers.sid:
                self._transport_rejected(now)
            case Action.TRANSPORT_INFO if request.transport_sid == self._offers.sid:
                self.transport_failed(now)

    def _accepted(self, jingle: Jingle) -> StanzaError | None:
        if self.state is not State.OFFERING:
            return OUT_OF_ORDER
        self._is_heard = True
        content = xml_streams.accepted(jingle, self._name)
        if content is not None and not self._security.take_answer(content.security):
            self.terminate("security-error")
            return None
        return self._answered(content, Input.ACCEPTED)

    def _transport_accepted(self, jingle: Jingle) -> StanzaError | None:
        if self.state is not State.REPLACING:
            return OUT_OF_ORDER
        return self._answered(xml_streams.find(jingle, self._name), Input.ANSWERED)

    def _answered(self, content: Content | None, by: Input) -> StanzaError | None:
        """The peer has accepted our offer, with a transport of its own in `content` (JXS-04)."""
        answer = xml_streams.transport_in(content, self._methods) if content is not None else None
        if isinstance(answer, TransportFault):
            return StanzaError.of("bad-request", answer.detail)
        offer = self._offers.on_table
        if answer is None or not offer.is_answered_by(answer):
            self.terminate("incompatible-parameters")
            return None
        self._step(by)
        self._agreed(offer, answer, is_offerer=True)
        if by is Input.ACCEPTED and self._security.peer is not None:
            self._send(Action.SECURITY_INFO, xml_streams.write(self._name, Security().element()))
        return None

    def _replaced(self, jingle: Jingle, now: float) -> StanzaError | None:
        if self.state is State.REPLACING:
            return TIE_BREAK  # ours overrules it (XEP-0166 §7.2.16)
        if self.state is State.REPLACED:
            return OUT_OF_ORDER
        content = xml_streams.find(jingle, self._name)
        if content is None:
            return _NO_SUCH_CONTENT
        offer = xml_streams.transport_in(content, self._methods)
        if isinstance(offer, TransportFault):
            return StanzaError.of("bad-request", offer.detail)
        if offer is None or self.state is not State.ACTIVE:
            # what is pending is answered as it was offered
            unwanted = offer.element() if offer else xml_streams.bare_transport(content)
            self._send_transport(Action.TRANSPORT_REJECT, unwanted)
            return None
        self._step(Input.REPLACED)
        self._offers.put(offer)
        self._deadline = now + self._timeout_s
        self._outbox.emit(TransportOffered(self.key, offer))
        return None

    def _transport_rejected(self, now: float) -> StanzaError | None:
        if self.state is not State.REPLACING:
            return OUT_OF_ORDER
        self._step(Input.ANSWERED)
        self._deadline = None
        self.transport_failed(now)
        return None

    def _informed(self, jingle: Jingle) -> StanzaError | None:
        content = xml_streams.find(jingle, self._name)
        if content is None:
            return _NO_SUCH_CONTENT
        method = self._methods.get(xml_streams.transport_namespace(content))
        if method is None or method.parse_info is None or content.transport is None:
            return UNSUPPORTED_INFO
        info = method.parse_info(content.transport)
        if isinstance(info, TransportFault):
            return StanzaError.of("bad-request", info.detail)
        if info.sid == self._offers.sid:
            self._outbox.emit(InfoReceived(self.key, info))
        elif not self._offers.is_former(info.sid):
            return OUT_OF_ORDER
        return None  # what was said of the former transport has crossed its replacement

    def _content_changed(self, jingle: Jingle) -> StanzaError | None:
        content = xml_streams.find(jingle, self._name)
        if content is None:
            return _NO_SUCH_CONTENT
        if jingle.action is Action.CONTENT_REMOVE:
            self.terminate("success")  # a session without content is void (XEP-0166 §7.2.5)
        elif content.senders != "both":
            self.terminate("incompatible-parameters")  # a stream goes both ways
        return None

    # --- parts ---

    def _answer(self, action: Action, by: Input, answer: Transport) -> None:
        if self._is_over():
            return
        self._step(by)
        self._offers.settle()
        self._send_transport(action, answer.element())
        self._agreed(answer, self._offers.on_table, is_offerer=False)

    def _agreed(self, ours: Transport, theirs: Transport, *, is_offerer: bool) -> None:
        self._deadline = None
        self._outbox.emit(TransportAgreed(self.key, ours, theirs, is_offerer, self._security.peer))

    def _offer_next(self, action: Action, now: float) -> None:
        self._deadline = now + self._timeout_s
        self._send_transport(action, self._offers.offer_next().element())

    def _send_transport(self, action: Action, transport: bytes) -> None:
        role = _ROLES.get(action)
        if role is not None:
            transport += self._security.element()
        inside = xml_streams.write(self._name, transport, describes=role is not None)
        self._send(action, inside, **({role: self.local} if role is not None else {}))

    def _send(self, action: Action, inside: bytes = b"", **role: str) -> None:
        self._outbox.send(
            Request(self.key, action, self._offers.sid),
            "set",
            element.jingle(self.namespace, action, self.key.sid, inside, **role),
        )

    def _is_over(self) -> bool:
        return self.state is State.ENDED

    def _step(self, happened: Input) -> None:
        after = step(self._table, self.state, happened)
        if after is None:
            raise MisuseError(f"{happened.value} while {self.state.value}")
        self.state = after

    def _end(
        self, reason: str, condition: str = "", text: str = "", *, by_peer: bool = False
    ) -> None:
        self._step(Input.END)
        self._deadline = None
        self._outbox.emit(SessionEnded(self.key, reason, condition, text, by_peer))


# The two that describe the application say who says so, too (XEP-0166 §7.1).
_ROLES: Final = {Action.SESSION_INITIATE: "initiator", Action.SESSION_ACCEPT: "responder"}
