"""Open streams by what may lead to them: the domains they are for, their place, the certificate.

A dial asks here instead of looking at every stream there is. What is found may lead there, and need
not: `sharing` judges. The acceptor tells of each proof and of each end.
"""

from collections.abc import Collection, Iterator
from typing import Final

from router.acceptor.certificates.verdict import ChainEvidence
from router.acceptor.connection import Connection
from router.acceptor.dialling.sharing import Place
from router.xmpp import jid
from router.xmpp.initiating import InitiatingStream

_WILDCARD: Final = "*."

Key = str | Place


class Directory:
    """The streams of one acceptor on which something has been proved."""

    def __init__(self) -> None:
        self._by_key: dict[Key, dict[int, Connection]] = {}
        self._keys: dict[int, set[Key]] = {}

    def proved(self, connection: Connection, remote: str) -> None:
        """A pair with this remote domain has been proved, one way or the other."""
        is_ours = isinstance(connection.core, InitiatingStream)
        if not (is_ours or connection.core.is_bidi):
            return  # nothing of ours will ever leave on it
        keys = self._keys.get(connection.number)
        if keys is None:
            keys = self._keys[connection.number] = set()
            if is_ours:
                self._add(connection, keys, *_whereabouts(connection))
        self._add(connection, keys, remote)

    def _add(self, connection: Connection, keys: set[Key], *new: Key) -> None:
        for key in new:
            keys.add(key)
            self._by_key.setdefault(key, {})[connection.number] = connection

    def gone(self, connection: Connection) -> None:
        """The stream is over."""
        for key in self._keys.pop(connection.number, ()):
            streams = self._by_key[key]
            del streams[connection.number]
            if not streams:
                del self._by_key[key]

    def leading_to(self, domain: str, places: Collection[Place]) -> Iterator[Connection]:
        """Streams that may lead to the domain, or to one of the places; each once."""
        name = jid.ascii_domain(domain)
        above = _WILDCARD + name.partition(".")[2]
        keys: set[Key] = {domain, name, above, *places}
        seen: dict[int, Connection] = {}
        for key in keys:
            seen.update(self._by_key.get(key, {}))
        yield from seen.values()


def _whereabouts(connection: Connection) -> Iterator[Key]:
    """Where a stream of ours went, and what its peer's certificate says it is."""
    if connection.peer is not None:
        yield connection.peer
    evidence = connection.core.evidence
    if isinstance(evidence, ChainEvidence):
        yield from evidence.names()
