"""Where each hosted domain is attached right now, and who may attach (XEP-0114).

Of domains whose server stands behind the router nothing is kept here: to them streams are opened.
Every worker knows all attachments; reservations are kept only by the worker that gave them.
"""

from collections.abc import Collection, Container

from router.config import Config
from router.wire.frames import DialFailed, StreamId
from router.wire.shard import shard_of
from router.xmpp.pair import DomainPair


def attaching(config: Config) -> frozenset[str]:
    """The hosted domains that come to us to be served, and the router's own."""
    servers = config.servers
    return frozenset(name for name in config.hosted if name not in servers)


class Attachments:
    """The attachment of each of the `hosted` domains, as `attaching` has them."""

    def __init__(self, hosted: frozenset[str], servers: Container[str] = frozenset()) -> None:
        self._hosted = hosted
        self._servers = servers
        self._is_ending = False
        self._attached: dict[str, StreamId] = {}
        self._reserved: dict[str, StreamId] = {}

    def reload(self, hosted: frozenset[str], servers: Container[str]) -> None:
        """Others are ours now. Who is attached for one that is not, will soon be detached."""
        self._hosted = hosted
        self._servers = servers

    def is_hosted(self, domain: str) -> bool:
        """Whether the configuration says that the domain is ours, and comes to us."""
        return domain in self._hosted

    def is_behind_us(self, domain: str) -> bool:
        """Whether the server of the domain stands behind the router, which goes to it."""
        return domain in self._servers

    def may_be_back(self, failed: DialFailed) -> bool:
        """Whether what waits goes on waiting: a server behind us may be about to start anew."""
        is_behind_us = self.is_behind_us(failed.pair.target)
        return is_behind_us and failed.type == "wait" and not self._is_ending

    def end(self) -> None:
        """The node is about to end: nobody is waited for any more."""
        self._is_ending = True

    def is_ours(self, pair: DomainPair) -> bool:
        """Whether one of the two domains is hosted here, either way."""
        return any(self.is_hosted(each) or self.is_behind_us(each) for each in pair)

    def stream(self, domain: str) -> StreamId | None:
        """The stream the domain is served on; None while nobody serves it."""
        return self._attached.get(domain)

    def reserve(self, domain: str, stream: StreamId) -> bool:
        """Whether the domain may attach here; if so, nobody else may until it is detached."""
        taken = self._attached.get(domain) or self._reserved.get(domain)
        if domain not in self._hosted or taken not in (None, stream):
            return False
        self._reserved[domain] = stream
        return True

    def attach(self, domain: str, stream: StreamId) -> None:
        """The domain is served on this stream; the latest word counts."""
        self._attached[domain] = stream
        self._reserved.pop(domain, None)

    def detach(self, domain: str, stream: StreamId) -> bool:
        """The domain is not served on this stream; on another one it may be. True if it was."""
        was_served = self._attached.get(domain) == stream
        for table in (self._attached, self._reserved):
            if table.get(domain) == stream:
                del table[domain]
        return was_served

    def acceptor_gone(self, acceptor: str) -> frozenset[str]:
        """Its streams went with it; the domains that were served on them."""
        left = frozenset(d for d, stream in self._attached.items() if stream.acceptor == acceptor)
        for table in (self._attached, self._reserved):
            for domain in [d for d, stream in table.items() if stream.acceptor == acceptor]:
                del table[domain]
        return left

    def shards_lost(self, shards: Collection[int]) -> None:
        """The next owner answers, who knows nothing of our reservations."""
        for domain in [domain for domain in self._reserved if shard_of(domain, domain) in shards]:
            del self._reserved[domain]
