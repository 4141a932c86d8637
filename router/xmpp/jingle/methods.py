"""The transport methods that we speak, as a session takes them. For `Endpoint`'s caller."""

from typing import Final

from router.xmpp import names
from router.xmpp.bytestreams import ibb_transport, s5b_transport
from router.xmpp.jingle.transport import TransportMethod, TransportMethods

_IBB: Final = {
    namespace: TransportMethod(namespace, ibb_transport.parse)
    for namespace in ibb_transport.NAMESPACES
}
_S5B: Final = TransportMethod(names.JINGLE_S5B, s5b_transport.parse, s5b_transport.parse_info)


def methods(*, has_s5b: bool) -> TransportMethods:
    """In-band bytestreams, which are always there (XEP-0247 §3), and maybe SOCKS5 bytestreams."""
    return {**_IBB, names.JINGLE_S5B: _S5B} if has_s5b else _IBB
