"""Two stream cores joined in memory, without sockets or clocks."""

from router.xmpp.certificate import NO_CERTIFICATE, Evidence, Verdict
from router.xmpp.events import Event, StartTls
from router.xmpp.pair import DomainPair
from router.xmpp.policy import PeerRule, Policy
from router.xmpp.reader import Limits
from router.xmpp.xmlstream import XmlStream

LIMITS = Limits(max_stanza_bytes=65_536, max_depth=64, max_attributes=64)
BEFORE_PROOF = Limits(max_stanza_bytes=16_384, max_depth=64, max_attributes=64)
NOW = 1000.0


class Proves:
    """A certificate that is trusted and covers these domains."""

    def __init__(self, *domains: str) -> None:
        self.domains = set(domains)

    def proves(self, domain: str) -> Verdict:
        covers = domain in self.domains
        return Verdict(trusted=True, covers=covers, reason="" if covers else "another name")


def policy(*hosted: str, rule: PeerRule | None = None, **changes: object) -> Policy:
    """A policy that hosts these domains and treats every peer alike."""
    settings: dict[str, object] = {
        "hosted": frozenset(hosted),
        "default_domain": hosted[0],
        "secret": f"secret of {hosted[0]}".encode(),
        "rule": lambda domain: rule or PeerRule(),
        "limits": LIMITS,
        "before_proof": BEFORE_PROOF,
        **changes,
    }
    return Policy(**settings)  # type: ignore[arg-type]


def ids(prefix: str = "id"):
    """A source of stream ids: prefix1, prefix2, …"""
    count = 0

    def new() -> str:
        nonlocal count
        count += 1
        return f"{prefix}{count}"

    return new


def pump(
    a: XmlStream,
    b: XmlStream,
    *,
    a_sees: Evidence = NO_CERTIFICATE,
    b_sees: Evidence = NO_CERTIFICATE,
    limit: int = 64,
) -> tuple[list[Event], list[Event]]:
    """Carry octets, and TLS, between two cores until both fall silent; what each reported.

    `a_sees` is the evidence of b's certificate that a gets when TLS is up, and the reverse.
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


MONTAGUE, CAPULET = "montague.example", "capulet.example"
PAIR = DomainPair(MONTAGUE, CAPULET)
