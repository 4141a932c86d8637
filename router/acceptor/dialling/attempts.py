"""One attempt to open a stream: how it is made, how it ended, and what to try after that. Pure.

Reads what a connection and its core know at their end (RTE-10, ERR-03). Called by the dialer.
"""

from dataclasses import dataclass, replace
from typing import Final

from router.acceptor.connection import Connection
from router.xmpp import jid
from router.xmpp.errors import StanzaError
from router.xmpp.initiating import InitiatingStream

_NO_SUCH_HOST: Final = ("host-unknown", "host-gone")
_NOT_UNDERSTOOD: Final = (
    "bad-format",
    "invalid-namespace",
    "invalid-xml",
    "not-authorized",
    "undefined-condition",
    "unsupported-feature",
    "unsupported-stanza-type",
)
"""What a peer may say to something that it does not know; no sign of overload or of policy."""


@dataclass(frozen=True, slots=True)
class Approach:
    """What we ask of the peer: bidi (XEP-0288), and to prove ourselves by EXTERNAL."""

    bidi: bool = True
    external: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt at one target ended. `error` None: authorised. `next`: try another target.

    `is_connected`: there was a connection, with TLS where it was tried. `again`: the same target
    may take us when we come in this way instead. `answer`: the peer's word on our dialback key.
    `is_untried`: it never was our turn, which says nothing about the peer.
    """

    error: StanzaError | None
    next: bool = False
    is_connected: bool = False
    again: Approach | None = None
    answer: str = ""
    is_untried: bool = False

    def verdict(self) -> str:
        """What this means for a key that nobody could verify (XEP-0220 §2.5, DBK-17)."""
        condition = self.error.condition if self.error is not None else ""
        if condition == "remote-server-timeout" and not self.is_connected:
            return "remote-connection-failed"
        return condition


AUTHORISED: Final = Outcome(None)


def unreachable(text: str, error_type: str = "wait") -> Outcome:
    """No connection came about."""
    return Outcome(StanzaError("remote-server-timeout", error_type, text), next=True)


def untried(text: str) -> Outcome:
    """It never was our turn."""
    return replace(unreachable(text), next=False, is_untried=True)


def refusal(domain: str) -> Outcome:
    """We want no stream with this domain; an IP address is no domain of a server's (C5)."""
    if jid.is_address(domain):
        return Outcome(StanzaError.of("remote-server-not-found", "an address is not a domain"))
    return unreachable("this domain is not admitted", "cancel")


def refused(error: StanzaError, answer: str, approach: Approach) -> Outcome:
    """The peer refused our proof. DBK-22: one that has no room is asked again elsewhere."""
    again = approach if answer == "resource-constraint" else None
    return Outcome(error, is_connected=True, again=again, answer=answer)


def ended(connection: Connection, approach: Approach) -> Outcome:
    """What a stream that closed before its grant means for those who wait."""
    end = connection.end
    condition = end.condition if end is not None else None
    if connection.tls_failure:
        return unreachable(f"{connection.address}: TLS: {connection.tls_failure}")
    text = end.text if end is not None else ""
    detail = f"{condition or 'connection closed'} during negotiation" + (
        f": {text}" if text else ""
    )
    by_peer = end is not None and end.by_peer
    outcome = Outcome(StanzaError.of("remote-server-timeout", detail), next=True, is_connected=True)
    if condition in _NO_SUCH_HOST:
        error = StanzaError.of("remote-server-not-found", detail)
        return replace(outcome, error=error, next=False)
    if condition == "policy-violation":
        error = StanzaError("remote-server-timeout", "cancel", detail)
        outcome = replace(outcome, error=error, next=False)
    core = connection.core
    if isinstance(core, InitiatingStream):
        return replace(outcome, again=_another_way(core, condition, by_peer, approach))
    return outcome


def _another_way(
    core: InitiatingStream, condition: str | None, by_peer: bool, approach: Approach
) -> Approach | None:
    """Leave out what the peer may have died of, one thing at a time."""
    if core.external == "refused" and approach.external:
        # COMPAT MongooseIM all: it closes after a SASL failure, so dialback needs a new stream.
        return replace(approach, external=False)
    took_offence = by_peer and condition in _NOT_UNDERSTOOD
    if took_offence and core.is_bidi:
        # COMPAT ejabberd 24.10, 24.12: <bidi/> in the standard's namespace ends the stream.
        return replace(approach, bidi=False)
    if took_offence and core.external == "asked" and approach.external:
        return replace(approach, external=False)
    if not by_peer and core.external == "accepted" and condition != "policy-violation":
        # COMPAT ejabberd 24.10: it may say more between SASL success and its new header.
        return approach
    return None
