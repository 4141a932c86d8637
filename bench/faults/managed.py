"""The generator's ends with stream management (XEP-0198): they acknowledge, and ask for the same.

Without resumption: what a cut stream leaves unacknowledged, its `Road` sends again. Called by
`stage` where a scene asks for it.
"""

import re
from dataclasses import dataclass, replace
from typing import Final, Self

from OpenSSL import SSL

from bench.accepting import Dialled
from bench.faults.ends import Hearing, HearingDialled, HearingRemote, Home
from bench.faults.recorder import Recorder
from bench.faults.traffic import Bounce, Parser
from bench.remote import MARK, lenient
from router.acceptor.layer import Transport
from router.xmpp import names
from router.xmpp.events import Event
from router.xmpp.initiating import InitiatingStream
from router.xmpp.pair import DomainPair

ENABLED: Final = f"<enabled xmlns='{names.STREAM_MANAGEMENT}'/>".encode()
_NAMESPACE: Final = names.STREAM_MANAGEMENT.encode()
_NONZA: Final = re.compile(rb"<(r|a|enable|enabled)\b([^<>]*)/>")
_H: Final = re.compile(rb"\bh=['\"](\d+)['\"]")


@dataclass(frozen=True, slots=True)
class Nonza:
    """An element of stream management; `behind` is how many stanzas came before it."""

    name: str
    h: int
    behind: int


class ManagedParser(Parser):
    """A parser that takes out the elements of stream management, and counts stanzas."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0
        self._nonzas: list[Nonza] = []

    def feed(self, octets: bytes) -> tuple[list[int], list[Bounce]]:
        """As `Parser`."""
        text, self._rest = self._rest + octets, b""
        if _NAMESPACE in text:
            text = self._without_nonzas(text)
        strange = self.strange
        numbers, bounces = super().feed(text)
        self.seen += len(numbers) + len(bounces) + self.strange - strange
        return numbers, bounces

    def take_nonzas(self) -> list[Nonza]:
        """Those found since the last call."""
        nonzas, self._nonzas = self._nonzas, []
        return nonzas

    def _without_nonzas(self, text: bytes) -> bytes:
        for found in _NONZA.finditer(text):
            h = _H.search(found[2])
            behind = self.seen + text.count(MARK, 0, found.start())
            self._nonzas.append(Nonza(found[1].decode(), int(h[1]) if h else 0, behind))
        return _NONZA.sub(b"", text)


class _Managed(Hearing):
    """What both kinds have in common."""

    def serve(self, recorder: Recorder, domain: str) -> Self:
        """As `Hearing`."""
        super().serve(recorder, domain)
        self._parser: ManagedParser = ManagedParser()
        self._counts_from = 0
        return self

    def count(self, octets: bytes) -> None:
        """As `Hearing`; then answer."""
        super().count(octets)
        for nonza in self._parser.take_nonzas():
            self._nonza(nonza)

    def _nonza(self, nonza: Nonza) -> None:
        match nonza.name:
            case "enable":
                self.is_managed, self._counts_from = True, nonza.behind
                self._say(ENABLED)
            case "enabled":
                self.is_managed = True
            case "r":
                h = self._parser.seen - self._counts_from
                self._say(f"<a xmlns='{names.STREAM_MANAGEMENT}' h='{h}'/>".encode())
            case "a":
                self.acknowledged = max(self.acknowledged, nonza.h)

    def _say(self, octets: bytes) -> None:
        if self._layer is not None:
            self._layer.write(octets)


class ManagedDialled(_Managed, HearingDialled):
    """A stream that the node opened and has managed: all that arrives is acknowledged."""

    def counted(self, events: list[Event], octets: bytes) -> None:
        """What came with the end of the negotiation, the core has answered."""
        if b"<enable " in octets:
            self.is_managed = True
        super().counted(events, octets)
        self._parser.take_nonzas()


class ManagedRemote(_Managed, HearingRemote):
    """A remote server that dials and has its stream managed, if it may."""

    def __init__(self, pair: DomainPair, context: SSL.Context) -> None:
        super().__init__(pair, context)
        policy = replace(lenient((pair.sender,)), stream_management=True)
        self._core = InitiatingStream(policy, lambda: "", pair, self._loop.time())


class ManagedHome(Home):
    """The remote domains' own port; streams to it are managed, if the node wants that."""

    def __init__(self, contexts: dict[str, SSL.Context], recorder: Recorder) -> None:
        super().__init__(contexts, recorder)
        self.policy = replace(self.policy, stream_management=True)

    def new_stream(self, transport: Transport) -> Dialled:
        """An end for it."""
        return ManagedDialled(self, transport).serve(self._recorder, "")
