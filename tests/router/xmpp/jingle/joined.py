"""Jingle endpoints without a network: joined in memory, or spoken to stanza by stanza."""

from collections import deque
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element

from lxml import etree

from router.xmpp import names
from router.xmpp.jingle import discovery
from router.xmpp.jingle.element import payload
from router.xmpp.jingle.endpoint import Endpoint, SessionLimits
from router.xmpp.jingle.events import JingleEvent, SessionKey
from router.xmpp.jingle.security import Security
from router.xmpp.jingle.transport import (
    Transport,
    TransportFault,
    TransportMethod,
    TransportMethods,
)
from router.xmpp.service import Profile, answer_to
from router.xmpp.stanza import Stanza, cut
from tests.support.pump import ids

ROMEO, JULIET = "relay.montague.example", "relay.capulet.example/balcony"
NOW = 1000.0
TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Pipe:
    """A transport that knows no more than it must: a size that an answer may lower."""

    sid: str
    size: int = 8
    namespace: str = names.JINGLE_IBB

    def element(self) -> bytes:
        return f"<transport xmlns='{self.namespace}' sid='{self.sid}' size='{self.size}'/>".encode()

    def is_answered_by(self, answer: Any) -> bool:
        kept = (answer.namespace, answer.sid) == (self.namespace, self.sid)
        return kept and answer.size <= self.size


@dataclass(frozen=True, slots=True)
class Said:
    """What a transport-info says of a `Pipe`."""

    sid: str
    word: str
    namespace: str = names.JINGLE_S5B

    def element(self) -> bytes:
        inside = f"<{self.word}/>"
        return f"<transport xmlns='{self.namespace}' sid='{self.sid}'>{inside}</transport>".encode()


def _pipe(element: Element) -> Pipe | TransportFault:
    if not element.get("sid"):
        return TransportFault("no sid")
    namespace = element.tag[1:].partition("}")[0]
    return Pipe(element.get("sid", ""), int(element.get("size", "8")), namespace)


def _said(element: Element) -> Said | TransportFault:
    if len(element) != 1:
        return TransportFault("says nothing")
    return Said(element.get("sid", ""), element[0].tag.rpartition("}")[2])


METHODS: TransportMethods = {
    names.JINGLE_IBB: TransportMethod(names.JINGLE_IBB, _pipe),
    names.JINGLE_IBB_0: TransportMethod(names.JINGLE_IBB_0, _pipe),
    names.JINGLE_S5B: TransportMethod(names.JINGLE_S5B, _pipe, _said),
}
IBB, S5B = Pipe("inband"), Pipe("socks", namespace=names.JINGLE_S5B)
PROFILE = discovery.profile(has_s5b=True)


class Party:
    """An endpoint, what it has sent (answers before requests), and what has happened there."""

    def __init__(
        self,
        address: str,
        *,
        listed: bool = True,
        profile: Profile = PROFILE,
        limits: SessionLimits | None = None,
        methods: TransportMethods = METHODS,
        security: Security | None = None,
    ) -> None:
        self.address = address
        self.profile = profile
        self.endpoint = Endpoint(
            address,
            methods,
            ids(),
            lambda peer: listed,
            limits or SessionLimits(answer_timeout_s=TIMEOUT_S),
            security,
        )
        self.out: deque[bytes] = deque()
        self.events: list[JingleEvent] = []

    def hear(self, octets: bytes) -> None:
        """Take one stanza that is addressed to us."""
        (stanza,) = cut(octets)
        if stanza.attributes["type"] in ("get", "set"):
            self._answer(stanza)
        else:
            self.endpoint.receive_reply(stanza, NOW)
        self.drain()

    def _answer(self, stanza: Stanza) -> None:
        child = payload(stanza)
        assert child is not None
        answer = self.endpoint.receive_request(stanza, child, NOW)
        octets = (answer or answer_to(stanza, self.profile)).octets
        assert octets is not None
        self.out.append(octets)

    def drain(self) -> None:
        """Collect what a wish or a deadline has left to send and to report."""
        self.out.extend(self.endpoint.take_requests())
        self.events += self.endpoint.take_events()

    def take(self) -> list[etree._Element]:
        """What was sent since the last call, parsed by another parser."""
        taken = [etree.fromstring(octets) for octets in self.out]
        self.out.clear()
        return taken

    def happened(self) -> list[JingleEvent]:
        """What has happened since the last call."""
        events, self.events = self.events, []
        return events

    def open(self, peer: str, sid: str, *offers: Transport) -> SessionKey:
        key = self.endpoint.open(peer, sid, offers, NOW)
        self.drain()
        return key

    def wish(self, key: SessionKey, name: str, *given: Any, **named: Any) -> None:
        """Call a method of the session, which must be there."""
        session = self.endpoint.session(key)
        assert session is not None
        getattr(session, name)(*given, **named)
        self.drain()


def pump(a: Party, b: Party, limit: int = 64) -> list[bytes]:
    """Carry stanzas between two parties, in turn, until both are silent: all that was said."""
    said = []
    for _ in range(limit):
        if not a.out and not b.out:
            return said
        for here, there in ((a, b), (b, a)):
            if here.out:
                octets = here.out.popleft()
                said.append(octets)
                there.hear(octets)
    raise AssertionError("the two parties never fell silent")


def jingle_set(
    action: str, sid: str, inside: str = "", *, iq_id: str = "x1", namespace: str = names.JINGLE
) -> bytes:
    """A request by Juliet to Romeo, as octets."""
    return (
        f"<iq from='{JULIET}' to='{ROMEO}' id='{iq_id}' type='set'>"
        f"<jingle xmlns='{namespace}' action='{action}' sid='{sid}'>{inside}</jingle></iq>"
    ).encode()


def content(inside: str, name: str = "xmlstream", more: str = "creator='initiator'") -> str:
    return f"<content {more} name='{name}'>{inside}</content>"


DESCRIPTION = f"<description xmlns='{names.JINGLE_XMLSTREAM}'/>"


def offer(transport: Transport = IBB, name: str = "xmlstream") -> str:
    """A content as session-initiate and session-accept have it."""
    return content(DESCRIPTION + transport.element().decode(), name)


def error_of(answer: etree._Element) -> tuple[str, ...]:
    """The conditions of an error: RFC 6120's, then Jingle's if there is one."""
    assert answer.get("type") == "error", etree.tostring(answer)
    (error,) = answer
    return tuple(etree.QName(child).localname for child in error if "}text" not in child.tag)


def reason_of(request: etree._Element) -> str:
    """The reason of a session-terminate."""
    (jingle,) = request
    assert jingle.get("action") == "session-terminate"
    return etree.QName(jingle[0][0]).localname
