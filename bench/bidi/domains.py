"""The domain pairs of a cell, their certificates, and the two servers that host them.

Pair n is one domain of the first server and one of the second, and neither is in another pair, so
that nothing but bidi lets two directions share a connection. Called by `measure`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.authority import Authority
from bench.bidi.cell import Cell, Certificates
from bench.delay import HOST, Relay
from bench.subjects import Subject, subject
from router.xmpp.pair import DomainPair

SECRET: Final = "s3cr3t"
PARENTS: Final = ("montague.lit", "capulet.lit")


def pairs(count: int) -> list[DomainPair]:
    """So many pairs, and before them one more to warm up with."""
    return [DomainPair(*(f"d{n:04}.{parent}" for parent in PARENTS)) for n in range(count + 1)]


@dataclass(frozen=True, slots=True)
class Credentials:
    """What each of the two servers shows, and whom they trust."""

    certificates: tuple[Path, Path]
    trust_anchors: Path


def credentials(directory: Path, cell: Cell) -> Credentials:
    """Issue what the cell needs. With dialback nobody trusts the issuer."""
    authority = Authority.make(directory / "issuer")
    shown = (directory / "first", directory / "second")
    for side, into in enumerate(shown):
        _issue(authority, into, cell.certificates, side, cell.pairs)
    if cell.auth == "external":
        return Credentials(shown, authority.anchors)
    return Credentials(shown, Authority.make(directory / "strangers").anchors)


def _issue(
    authority: Authority, into: Path, certificates: Certificates, side: int, count: int
) -> None:
    if certificates == "node":
        parent = PARENTS[side]
        authority.issue(parent, into=into, dns=(f"*.{parent}",), eku="both")
        return
    for pair in pairs(count):
        authority.issue(pair[side], into=into, eku="both")


def servers(
    directory: Path, cell: Cell, given: Credentials, relays: tuple[Relay, Relay]
) -> tuple[Subject, Subject]:
    """Both servers, not yet started. Each reaches the other through a relay: relay n leads to n.

    All pairs come from one address at once, which Causeway would refuse strangers.
    """
    made = []
    for side, name in enumerate(cell.servers):
        other = 1 - side
        components: Mapping[str, str] = {pair[side]: SECRET for pair in pairs(cell.pairs)}
        made.append(
            subject(
                name,
                directory / f"{side}-{name}",
                certificates=given.certificates[side],
                trust_anchors=given.trust_anchors,
                components=components,
                routes={pair[other]: (HOST, relays[other].port) for pair in pairs(cell.pairs)},
                bidi=cell.bidi,
                # Also where certificates prove: further pairs on a stream are asked for by keys.
                dialback=True,
                settings={
                    "limits": {"unauthenticated_per_address": 2 * cell.pairs + 64},
                    # The warm-up's connections are cut, and are not to come back to be resumed.
                    "delivery": {"resume_s": 0},
                },
            )
        )
    return made[0], made[1]
