"""One look at a remote server: connect, TLS, the features inside, and an orderly end. No proof.

Drives the router's own connection and a core that stops where the proof would begin. What it means
is `check_domain`'s, who calls it. Texts from the peer are as they came.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final
from xml.etree import ElementTree as etree

from router.acceptor.certificates.store import CertificateStore
from router.acceptor.certificates.verdict import Verifier
from router.acceptor.connection import Connection
from router.acceptor.dialling.addresses import connect
from router.acceptor.dialling.attempts import Approach, ended
from router.acceptor.dialling.dns import Target
from router.acceptor.openings import new_stream_id
from router.acceptor.policies import inside_policy, stream_policy
from router.acceptor.tls import TlsSession
from router.config import Config
from router.xmpp import bidi, external, names
from router.xmpp.certificate import Evidence
from router.xmpp.dialback import FEATURE_TAG as DIALBACK_TAG
from router.xmpp.events import Event, StreamClosed
from router.xmpp.initiating import InitiatingStream
from router.xmpp.pair import DomainPair
from router.xmpp.policy import PeerRule, Policy
from router.xmpp.reader import Header, local_name
from router.xmpp.states import Phase

BOUND_S: Final = 10.0
_CLOSE_S: Final = 1.0
_KEPT: Final = 16
_STARTTLS_TAG: Final = f"{{{names.TLS}}}starttls"
_LIMITS: Final = f"{{{names.LIMITS}}}limits"
_SM_TAG: Final = "{urn:xmpp:sm:3}sm"


@dataclass(frozen=True, slots=True)
class Offer:
    """Stream features by name. At most 16 of a kind are kept."""

    starttls: str = ""
    """ "", "offered" or "required"."""
    mechanisms: tuple[str, ...] = ()
    dialback: str = ""
    """ "", "declared" (by the header alone), "offered", or "errors": with them (XEP-0220 §2.4)."""
    bidi: tuple[str, ...] = ()
    """The namespaces it is offered in (BIDI-03)."""
    limits: tuple[tuple[str, str], ...] = ()
    """XEP-0478: (name, value)."""
    stream_management: bool = False
    others: tuple[str, ...] = ()
    """Tags of those that we do not know."""


@dataclass(slots=True)
class Sight:
    """What was seen of one target. `error`: why there was no connection, or why it took too long.

    `next`: whether the router would go on to the next target after this end of the stream.
    """

    address: str = ""
    error: str = ""
    tls_error: str = ""
    session: TlsSession | None = None
    evidence: Evidence | None = None
    version: str = ""
    """Of the peer's stream header; "" for none, or before XMPP 1.0."""
    stream_id: str = ""
    plain: Offer | None = None
    secure: Offer | None = None
    is_complete: bool = False
    """Everything was seen: here the router would begin to prove itself."""
    end: StreamClosed | None = None
    next: bool = True


@dataclass(slots=True)
class _Hub:
    """A connection's acceptor that writes down what it is told."""

    verifier: Verifier
    sight: Sight
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    def happened(self, connection: Connection, event: Event) -> None:
        if isinstance(event, StreamClosed):
            self.sight.end = event

    def opened(self, connection: Connection) -> None:
        self.sight.address = connection.address

    def moved(self, connection: Connection, before: Phase) -> None:
        pass

    def evidence(self, connection: Connection, session: TlsSession) -> Evidence:
        self.sight.evidence = self.verifier.evidence(session.chain)
        return self.sight.evidence

    def tls_done(self, connection: Connection, session: TlsSession | None, reason: str) -> None:
        self.sight.session = session
        self.sight.tls_error = reason

    def closing(self, connection: Connection) -> None:
        pass

    def drained(self, connection: Connection) -> None:
        pass

    def lost(self, connection: Connection) -> None:
        self.gone.set()


class _Look(InitiatingStream):
    """Our side of a stream, up to where we would prove ourselves."""

    def __init__(
        self, policy: Policy, pair: DomainPair, now: float, sight: Sight, *, direct_tls: bool
    ) -> None:
        super().__init__(policy, new_stream_id, pair, now, direct_tls=direct_tls)
        self._sight = sight

    def _received_header(self, header: Header) -> None:
        self._sight.version = header.attributes.get("version", "")
        self._sight.stream_id = header.attributes.get("id", "")
        super()._received_header(header)

    def _negotiate(self, features: etree.Element | None) -> None:
        offer = _offer(features, declared=self._peer_knows_dialback)
        if self.is_encrypted():
            self._sight.secure = offer
        else:
            self._sight.plain = offer
            if self._needs_tls() or offer.starttls:
                super()._negotiate(features)
                return
        self._sight.is_complete = True
        self.end_orderly()


async def look(
    config: Config,
    certificates: CertificateStore,
    verifier: Verifier,
    pair: DomainPair,
    target: Target,
    addresses: Sequence[str],
) -> Sight:
    """See what answers for `pair` (we the sender) at one of the addresses. Ends within `BOUND_S`.

    A certificate that is not good enough for the configuration does not stop it.
    """
    loop = asyncio.get_running_loop()
    sight = Sight()
    hub = _Hub(verifier, sight)
    direct = target.tls == "direct"
    core = _Look(_policy(config, pair.target), pair, loop.time(), sight, direct_tls=direct)
    connection = Connection(
        hub,
        loop,
        core,
        number=1,
        direction="out",
        leg="s2s",
        tls_context=lambda: certificates.client_context(pair.sender, direct_tls=direct),
        server_name=pair.target,
        direct_tls=direct,
    )
    try:
        async with asyncio.timeout(BOUND_S):
            transport, _ = await connect(loop, addresses, target.port, asyncio.Protocol)
            connection.connected(transport)
            connection.act(core.open())
            await hub.gone.wait()
    except OSError as error:  # TimeoutError is one, without a text
        if not sight.is_complete:
            step = f" ({core.phase.value})" if sight.address else ""
            sight.error = str(error) or f"no answer within {BOUND_S:.0f} s{step}"
    finally:
        connection.abort()
    sight.next = bool(sight.error) or ended(connection, Approach()).next
    return sight


def _policy(config: Config, domain: str) -> Policy:
    """The router's, but for its demands on the certificate: those are judged afterwards."""
    peer = config.peer(domain)
    policy = inside_policy(config) if domain in config.servers else stream_policy(config)
    return replace(
        policy,
        rule=lambda _: PeerRule(require_certificate=False, bidi=peer.bidi),
        tls_required=policy.tls_required or peer.require == "certificate",
        close_timeout_s=_CLOSE_S,
    )


def _offer(features: etree.Element | None, *, declared: bool) -> Offer:
    if features is None:
        return Offer(dialback="declared" if declared else "")
    starttls, dialback = features.find(_STARTTLS_TAG), features.find(DIALBACK_TAG)
    limits = features.find(_LIMITS)
    known = {_STARTTLS_TAG, DIALBACK_TAG, external.MECHANISMS_TAG, _LIMITS, _SM_TAG}
    others = [str(child.tag) for child in features if child.tag not in {*known, *bidi.FEATURE_TAGS}]
    return Offer(
        starttls=_with(starttls, "required"),
        mechanisms=_texts(features, f"{external.MECHANISMS_TAG}/{external.MECHANISM_TAG}"),
        dialback=_with(dialback, "errors") or ("declared" if declared else ""),
        bidi=tuple(
            tag[1:].partition("}")[0] for tag in bidi.FEATURE_TAGS if features.find(tag) is not None
        ),
        limits=tuple(
            (local_name(child), (child.text or "").strip())
            for child in (limits if limits is not None else ())
        )[:_KEPT],
        stream_management=features.find(_SM_TAG) is not None,
        others=tuple(others[:_KEPT]),
    )


def _with(feature: etree.Element | None, child: str) -> str:
    if feature is None:
        return ""
    return child if feature.find(f"{{*}}{child}") is not None else "offered"


def _texts(features: etree.Element, path: str) -> tuple[str, ...]:
    return tuple((each.text or "").strip() for each in features.findall(path)[:_KEPT])
