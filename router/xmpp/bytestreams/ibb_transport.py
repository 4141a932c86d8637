"""In-band bytestreams as a Jingle transport (XEP-0261): `<transport/>`, read and written.

A legacy offer (ibb:0) is kept and answered in its own namespace. `router.xmpp.jingle` carries
these values; what they agree on becomes the terms of an `ibb.InBandBytestream`.
"""

from dataclasses import dataclass, replace
from typing import Final
from xml.etree.ElementTree import Element

from router.xmpp import names
from router.xmpp.bytestreams.ibb_elements import (
    DEFAULT_BLOCK_BYTES,
    STANZAS,
    parsed_block_size,
    parsed_sid,
)
from router.xmpp.jingle.transport import Transport, TransportFault
from router.xmpp.writer import attributes

NAMESPACES: Final = (names.JINGLE_IBB, names.JINGLE_IBB_0)
REPAIR: Final = "urn:causeway:ibb-repair:0"
"""Ours: who offers it, and is answered with it, sends blocks again that got lost on the way."""

_REPAIR_TAG: Final = f"{{{REPAIR}}}repair"


@dataclass(frozen=True, slots=True)
class IbbOffer:
    """An offer or its answer; `block_size_bytes` is that of a block before base64."""

    sid: str
    block_size_bytes: int = DEFAULT_BLOCK_BYTES
    stanza: str = "iq"
    namespace: str = names.JINGLE_IBB
    can_repair: bool = False

    def element(self) -> bytes:
        """`<transport/>`, self-contained."""
        given = {"block-size": str(self.block_size_bytes), "sid": self.sid}
        if self.stanza != "iq":
            given["stanza"] = self.stanza
        inside = f"<repair xmlns='{REPAIR}'/>" if self.can_repair else ""
        return (
            f"<transport xmlns='{self.namespace}'{attributes(given)}>{inside}</transport>"
        ).encode()

    def is_answered_by(self, answer: Transport) -> bool:
        """Whether the answer keeps to this offer: a block may shrink, never grow (IBB-02)."""
        return (
            isinstance(answer, IbbOffer)
            and (answer.namespace, answer.sid) == (self.namespace, self.sid)
            and answer.stanza == self.stanza
            and answer.block_size_bytes <= self.block_size_bytes
            and (self.can_repair or not answer.can_repair)
        )

    def answer(self, max_block_bytes: int) -> "IbbOffer":
        """Our answer: the offer, with blocks no larger than we take (XEP-0261 §2.2)."""
        return replace(self, block_size_bytes=min(self.block_size_bytes, max_block_bytes))


def parse(element: Element) -> IbbOffer | TransportFault:
    """The offer or answer in a `<transport/>` of one of `NAMESPACES`.

    Without a block-size it is the recommended one (XEP-0047 §5).
    """
    namespace = element.tag.partition("}")[0].removeprefix("{")
    sid, stanza = parsed_sid(element), element.get("stanza", "iq")
    size = parsed_block_size(element.get("block-size", str(DEFAULT_BLOCK_BYTES)))
    if namespace not in NAMESPACES or sid is None or size is None or stanza not in STANZAS:
        return TransportFault("no usable sid, block-size or stanza")
    return IbbOffer(sid, size, stanza, namespace, element.find(_REPAIR_TAG) is not None)
