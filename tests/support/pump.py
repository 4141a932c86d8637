"""Stream cores without sockets or clocks: at a chosen stage, spoken to, or joined in memory."""

from collections.abc import Callable

from router.xmpp import names
from router.xmpp.certificate import NO_CERTIFICATE, Evidence, Verdict
from router.xmpp.events import Event, StartTls
from router.xmpp.initiating import InitiatingStream
from router.xmpp.pair import DomainPair
from router.xmpp.perspective import outside
from router.xmpp.policy import PeerRule, Policy
from router.xmpp.reader import Limits
from router.xmpp.receiving import ReceivingStream
from router.xmpp.xmlstream import XmlStream

LIMITS = Limits(max_stanza_bytes=65_536, max_depth=64, max_attributes=64)
BEFORE_PROOF = Limits(max_stanza_bytes=16_384, max_depth=64, max_attributes=64)
NOW = 1000.0

MONTAGUE, CAPULET = "montague.example", "capulet.example"
PAIR = DomainPair(MONTAGUE, CAPULET)
"""What we, who host montague.example, send; its inverse is what the peer sends."""

STARTTLS = f"<starttls xmlns='{names.TLS}'/>"
BIDI = f"<bidi xmlns='{names.BIDI}'/>"
AUTH = f"<auth xmlns='{names.SASL}' mechanism='EXTERNAL'>=</auth>"


class Proves:
    """A certificate that is trusted and covers these domains; `domains` may change meanwhile."""

    def __init__(self, *domains: str) -> None:
        self.domains = set(domains)

    def proves(self, domain: str) -> Verdict:
        covers = domain in self.domains
        return Verdict(trusted=True, covers=covers, reason="" if covers else "another name")


def policy(*hosted: str, rule: PeerRule | None = None, **changes: object) -> Policy:
    """A policy that hosts these domains and treats every peer alike."""
    settings: dict[str, object] = {
        "perspective": outside(frozenset(hosted)),
        "default_domain": hosted[0],
        "secret": f"secret of {hosted[0]}".encode(),
        "rule": lambda domain: rule or PeerRule(),
        "limits": LIMITS,
        "before_proof": BEFORE_PROOF,
        **changes,
    }
    return Policy(**settings)  # type: ignore[arg-type]


def ids(prefix: str = "id") -> Callable[[], str]:
    """A source of stream ids: prefix1, prefix2, …"""
    count = 0

    def new() -> str:
        nonlocal count
        count += 1
        return f"{prefix}{count}"

    return new


def header(
    sender: str | None = CAPULET,
    target: str | None = MONTAGUE,
    *,
    version: str | None = "1.0",
    stream_id: str | None = None,
    content: str = names.SERVER,
) -> str:
    """A peer's stream header; None leaves an attribute out."""
    given = {"from": sender, "to": target, "id": stream_id, "version": version}
    attributes = "".join(f" {name}='{value}'" for name, value in given.items() if value is not None)
    return (
        f"<?xml version='1.0'?><stream:stream xmlns='{content}' xmlns:db='{names.DIALBACK}'"
        f" xmlns:stream='{names.STREAMS}'{attributes}>"
    )


def features(*children: str) -> str:
    """A peer's features."""
    return f"<stream:features>{''.join(children)}</stream:features>"


def say(core: XmlStream, text: str, now: float = NOW) -> tuple[list[Event], str]:
    """Feed the core what a peer says: the events, and what the core answers."""
    events = core.receive_bytes(text.encode(), now)
    return events, core.bytes_to_send().decode()


def inbound(
    settings: Policy | None = None,
    sees: Evidence = NO_CERTIFICATE,
    *,
    sender: str | None = CAPULET,
    target: str | None = MONTAGUE,
    bidi: bool = False,
) -> ReceivingStream:
    """A stream the peer opened, inside TLS, at our features; nothing is due any more."""
    core = ReceivingStream(settings or policy(MONTAGUE), ids(), NOW, direct_tls=True)
    core.tls_established(sees, NOW)
    say(core, header(sender, target) + (BIDI if bidi else ""))
    return core


def authenticated(settings: Policy | None = None, *, bidi: bool = False) -> ReceivingStream:
    """A stream the peer opened and on which it proved capulet.example by EXTERNAL."""
    core = inbound(settings, Proves(CAPULET), bidi=bidi)
    say(core, AUTH)
    say(core, header())
    return core


def outbound(
    settings: Policy | None = None,
    sees: Evidence = NO_CERTIFICATE,
    *offered: str,
    stream_id: str | None = "theirs",
    has_certificate: bool = True,
) -> InitiatingStream:
    """A stream we opened, inside TLS, after the peer's features; what we said then is due."""
    core = InitiatingStream(
        settings or policy(MONTAGUE),
        ids(),
        PAIR,
        NOW,
        direct_tls=True,
        has_certificate=has_certificate,
    )
    core.open()
    core.tls_established(sees, NOW)
    core.bytes_to_send()
    core.receive_bytes(
        (header(CAPULET, MONTAGUE, stream_id=stream_id) + features(*offered)).encode(), NOW
    )
    return core


def pump(
    a: XmlStream,
    b: XmlStream,
    *,
    a_sees: Evidence = NO_CERTIFICATE,
    b_sees: Evidence = NO_CERTIFICATE,
    limit: int = 64,
) -> tuple[list[Event], list[Event]]:
    """Carry octets, and TLS, between two cores until both fall silent; what each reported.

    `a_sees` is the evidence of b's certificate that a gets when TLS is up, and the reverse. May be
    called again after something was done to one of them.
    """
    seen: dict[XmlStream, list[Event]] = {a: [], b: []}
    wants_tls: set[XmlStream] = set()

    def take(core: XmlStream, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, StartTls):
                wants_tls.add(core)
            else:
                seen[core].append(event)

    for _ in range(limit):
        moved = False
        for here, there in ((a, b), (b, a)):
            if octets := here.bytes_to_send():
                take(there, there.receive_bytes(octets, NOW))
                moved = True
        if wants_tls == {a, b}:
            wants_tls.clear()
            take(b, b.tls_established(b_sees, NOW))
            take(a, a.tls_established(a_sees, NOW))
            moved = True
        if not moved:
            return seen[a], seen[b]
    raise AssertionError("the two cores never fell silent")
