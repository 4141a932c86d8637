"""Which acceptor opens streams to a remote domain: always the same, so that pairs can share one.

Every worker must come to the same answer without asking anybody.
"""

from collections.abc import Collection
from hashlib import blake2b

_LABELS = 2


def dialler(domain: str, acceptors: Collection[str], retiring: Collection[str] = ()) -> str | None:
    """The acceptor for this domain, by rendezvous hashing; None when there is none.

    Domains that end alike, such as a server's and its conference service's, have the same one, for
    they are often on one server. A slot keeps its domains when its acceptor is replaced. One that
    is `retiring` is chosen only where there is no other.
    """
    acceptors = [each for each in acceptors if each not in retiring] or acceptors
    site = ".".join(domain.split(".")[-_LABELS:])

    def weight(acceptor: str) -> tuple[bytes, int, str]:
        slot = acceptor.partition(".")[0]
        drawn = blake2b(f"{site} {slot}".encode(), digest_size=8).digest()
        return drawn, len(acceptor), acceptor  # of one slot's two, the later incarnation

    return max(acceptors, key=weight, default=None)
