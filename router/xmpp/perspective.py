"""Who may be at which end of a stream: what is "local" outside, and what it is inside.

Outside, the router is the domains that are hosted here, and a peer is any other. Inside, a peer is
a domain whose server stands behind the router, and the router is everybody else to it. The stream
cores ask here and nowhere else; `Policy` carries the answer.
"""

from collections.abc import Container
from dataclasses import dataclass
from typing import Final

from router.xmpp.pair import DomainPair

BELOW: Final = "*."
"""Before a domain: all below it, at any depth, and not the domain itself."""


@dataclass(frozen=True, slots=True)
class Domains:
    """A set of normalised domains: `names`, and all below each of `parents` but for `others`."""

    names: frozenset[str] = frozenset()
    parents: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()

    def __contains__(self, domain: object) -> bool:
        if domain in self.names:
            return True
        if not self.parents or not isinstance(domain, str) or domain in self.others:
            return False
        _, dot, parent = domain.partition(".")
        while dot and parent not in self.parents:
            _, dot, parent = parent.partition(".")
        return bool(dot)


@dataclass(frozen=True, slots=True)
class _AllBut:
    domains: Container[str]

    def __contains__(self, domain: object) -> bool:
        return domain not in self.domains


_NOBODY: Final = Domains()


@dataclass(frozen=True, slots=True)
class Perspective:
    """The domains that are `ours` on a stream, and `theirs`, those that its peer may be.

    `condition` and `text`: the stream error that a peer earns who claims to be another one.
    """

    ours: Container[str]
    theirs: Container[str]
    condition: str
    text: str

    def admits(self, pair: DomainPair) -> bool:
        """Whether a peer may prove itself the sender, to us as the target."""
        sender, target = pair
        return sender in self.theirs and target in self.ours and sender != target


def outside(hosted: Container[str]) -> Perspective:
    """Toward other servers: we are what is `hosted`, and nobody else is."""
    return Perspective(
        hosted, _AllBut(hosted), "improper-addressing", "'from' is a domain hosted here"
    )


def inside(servers: Container[str]) -> Perspective:
    """Toward the servers behind the router: to each we are everybody else, its neighbours too."""
    return Perspective(
        _AllBut(_NOBODY), servers, "policy-violation", "no server of this domain stands behind here"
    )
