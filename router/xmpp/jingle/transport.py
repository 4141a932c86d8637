"""What a Jingle session asks of a transport method (XEP-0166 §12.2), and which methods we speak.

The values and their elements are those of `router.xmpp.bytestreams`; the session compares, writes
and hands them on without knowing what is in them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol
from xml.etree.ElementTree import Element


class Transport(Protocol):
    """One side's `<transport/>`: an offer or the answer to one. A frozen value."""

    @property
    def namespace(self) -> str:
        """The method and its version, as received or to be sent: a legacy offer stays legacy."""

    @property
    def sid(self) -> str:
        """The bytestream's identifier, never the session's."""

    def element(self) -> bytes:
        """`<transport xmlns=…>`, self-contained."""

    def is_answered_by(self, answer: "Transport") -> bool:
        """Whether the peer may answer this offer of ours so: same method, same sid, no more."""


class TransportInfo(Protocol):
    """What a transport-info says about a transport already on the table. A frozen value."""

    @property
    def namespace(self) -> str:
        """The method and its version."""

    @property
    def sid(self) -> str:
        """The bytestream it speaks of."""

    def element(self) -> bytes:
        """`<transport xmlns=…>` with what it says, self-contained."""


@dataclass(frozen=True, slots=True)
class TransportFault:
    """A `<transport/>` that breaks its specification: the peer gets bad-request with the detail."""

    detail: str


@dataclass(frozen=True, slots=True)
class TransportMethod:
    """How to read one method's elements. Without `parse_info` a transport-info is refused."""

    namespace: str
    parse: Callable[[Element], Transport | TransportFault]
    parse_info: Callable[[Element], TransportInfo | TransportFault] | None = None


# By namespace. A method that is not in it is an unsupported transport (JXS-05).
TransportMethods = Mapping[str, TransportMethod]
