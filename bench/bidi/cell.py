"""What one run of the bidi benchmark is asked for, and what it found, in plain values."""

from dataclasses import dataclass
from itertools import product
from typing import Final, Literal

Auth = Literal["external", "dialback"]
Mix = Literal["request", "one-way"]
Certificates = Literal["domain", "node"]

AUTHS: Final[tuple[Auth, ...]] = ("external", "dialback")
MIXES: Final[tuple[Mix, ...]] = ("request", "one-way")
BETWEEN: Final = ("causeway-causeway", "causeway-prosody", "prosody-prosody")


@dataclass(frozen=True, slots=True)
class Cell:
    """Two servers, the first of which dials; N pairs, each of two domains that are in no other."""

    between: str
    """Their names, as `bench.subjects` has them, joined by a hyphen."""
    auth: Auth
    certificates: Certificates
    """One for each domain, or one for all the domains of a server."""
    mix: Mix
    """A message that is answered, or one that is not."""
    pairs: int
    rtt_ms: int
    bidi: bool

    @property
    def servers(self) -> tuple[str, str]:
        """Who dials first, and whom."""
        first, _, second = self.between.partition("-")
        return first, second

    def words(self) -> str:
        """For the progress line."""
        return (
            f"{self.between}, {self.auth}, a certificate a {self.certificates}, {self.mix},"
            f" {self.pairs} pairs, {self.rtt_ms} ms, bidi {'on' if self.bidi else 'off'}"
        )


@dataclass(frozen=True, slots=True)
class Side:
    """What the set-up cost one of the two servers, all its processes together."""

    cpu_s: float
    rss_growth_bytes: int
    pss_growth_bytes: int


@dataclass(frozen=True, slots=True)
class Result:
    """One cell in one round, from the first stanza until everything was quiet again.

    `packets` and bytes are those of both directions between dialler and relay. `first_s` has for
    each pair the seconds from its first stanza to the answer or, one way, to its arrival.
    """

    cell: Cell
    round: int
    distance: str
    """What made the round trip: `bench.distance`."""
    connections: int
    """All that were dialled, `standing` those that were left when everything was quiet."""
    standing: int
    tls_handshakes: int
    packets: int
    payload_bytes: int
    wire_bytes: int
    sides: tuple[Side, Side]
    first_s: tuple[float, ...]
    generator_core_share: float


def cells(
    pairs: tuple[int, ...],
    auths: tuple[Auth, ...],
    between: tuple[str, ...],
    rtts_ms: tuple[int, ...],
    mixes: tuple[Mix, ...],
) -> list[Cell]:
    """Every combination, bidi off right before on, so that the machine treats both alike.

    One certificate for a whole server makes a difference between two servers of ours alone. One way
    is measured at the least distance only: there bidi has nothing to save.
    """
    return [
        Cell(two, auth, certificates, mix, count, rtt_ms, bidi)
        for two, auth, mix, count, rtt_ms in product(between, auths, mixes, pairs, rtts_ms)
        if mix == "request" or rtt_ms == min(rtts_ms)
        for certificates in _certificates(two)
        for bidi in (False, True)
    ]


def _certificates(between: str) -> tuple[Certificates, ...]:
    return ("domain", "node") if between == "causeway-causeway" else ("domain",)
