"""Streams with who is on the same link (XEP-0174 §6-8): end-to-end streams, but nothing is proved.

There is no path outside that has proved the peer. So TLS is needed, and the certificate in it says
who the peer is; the name `user@machine` only says where it is. Called by the acceptor's `lan`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from router.xmpp import jid
from router.xmpp.e2e import EndToEndStream, InitiatorStream, RecipientStream
from router.xmpp.e2e_ends import Ends
from router.xmpp.errors import StanzaError, StreamError
from router.xmpp.link_local import checked_name
from router.xmpp.policy import PeerRule, Policy
from router.xmpp.reader import Faulty, Header, Run
from router.xmpp.service import answer_to
from router.xmpp.stanza import Stanza, bounce, cut, may_bounce

MAX_ANSWERS: Final = 1000
"""What is addressed between names is answered here, so a peer that does not read has so many."""
_NO_RELAY: Final = StanzaError.of("not-allowed", "a name on the link says nothing elsewhere")


class _LinkStream(EndToEndStream):
    """What both ends do alike. Headers have the names on the link (LLP-04).

    So may stanzas, which are for the other end alone: nothing from a name goes any further
    (LLP-05). What the certificate proves is for `ends`, as on any end-to-end stream.
    """

    def __init__(
        self,
        policy: Policy,
        new_id: Callable[[], str],
        ends: Ends,
        name: str,
        peer_name: str | None,
        now: float,
    ) -> None:
        self.name = name
        self.peer_name = peer_name
        self._answered = 0
        super().__init__(_certified(policy), new_id, ends, now)

    def _header_names(self) -> tuple[str, str | None]:
        return self.name, self.peer_name

    def _check_addresses(self, header: Header) -> None:
        sender, target = header.attributes.get("from"), header.attributes.get("to")
        if target is not None and _name(target) != self.name:
            raise StreamError("host-unknown", "'to' is not our name on this link")
        named = self.peer_name if sender is None else _name(sender)
        if not named:
            raise StreamError("improper-addressing", "'from' is no name on a link")
        if self.peer_name is not None and named != self.peer_name:
            raise StreamError("invalid-from", "'from' is not whom this stream is with")
        self.peer_name = named

    def _defaults(self) -> Mapping[str, str]:
        return {"from": self.peer_name, "to": self.name} if self.peer_name else {}

    def _received_run(self, run: Run) -> None:
        if not self._is_of_name(run.pair.sender):
            super()._received_run(run)
            return
        for stanza in cut(run.octets):
            self._answer(stanza, None)

    def _received_faulty(self, faulty: Faulty) -> None:
        if not self._is_of_name(faulty.pair.sender):
            super()._received_faulty(faulty)
            return
        self._answer(next(cut(faulty.octets)), faulty.error)

    def _is_of_name(self, domain: str) -> bool:
        """Whether stanzas from this domain have to be from the peer's name."""
        machine = (self.peer_name or "").rpartition("@")[2]
        return domain == machine and domain != self.ends.peer_domain

    def _answer(self, stanza: Stanza, error: StanzaError | None) -> None:
        if _name(stanza.attributes["from"]) != self.peer_name:
            raise StreamError("invalid-from", "stanza from a name that is not the peer's")
        self._answered += 1
        if self._answered > MAX_ANSWERS:
            raise StreamError("policy-violation", "too many stanzas to a router's name")
        if error is None and _name(stanza.attributes["to"]) == self.name:
            self.write(answer_to(stanza).octets or b"")
        elif stanza.kind != "presence" and may_bounce(stanza):  # LLP-03: presence is a record
            self.write(bounce(stanza, error or _NO_RELAY))


class LinkInitiator(_LinkStream, InitiatorStream):
    """The end that has found the other, which has to prove that it is the peer of `ends`."""


class LinkRecipient(_LinkStream, RecipientStream):
    """The end that was found. The peer is the first of `listed` that its certificate proves.

    Where it proves none of them the stream ends. There has to be one at least.
    """

    def __init__(
        self,
        policy: Policy,
        new_id: Callable[[], str],
        listed: Sequence[Ends],
        name: str,
        now: float,
    ) -> None:
        self._listed = listed
        nobody = Ends(listed[0].local, listed[0].local)
        super().__init__(policy, new_id, nobody, name, None, now)

    def _secured(self) -> None:
        for ends in self._listed:
            if self.evidence.proves(jid.bare(ends.peer)).valid:
                self.ends = ends
                return
        raise StreamError("policy-violation", "the certificate proves nobody who is listed here")


def _certified(policy: Policy) -> Policy:
    """TLS and a certificate, whatever the configuration says."""
    rule = policy.rule

    def certified(domain: str) -> PeerRule:
        return replace(rule(domain), require_certificate=True)

    return replace(policy, tls_required=True, rule=certified)


def _name(address: str) -> str:
    """The name on the link, normalised; "" when it is none."""
    try:
        return checked_name(address)
    except ValueError:
        return ""
