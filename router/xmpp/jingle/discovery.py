"""What an end-to-end endpoint says of itself by service discovery, and reads of others (XEP-0030).

`router.xmpp.service` answers with the profile; `endpoint` reads what a peer answers.
"""

from typing import Final
from xml.etree import ElementTree as etree

from router.xmpp import names
from router.xmpp.service import ROUTER, Profile
from router.xmpp.stanza import Stanza

# Of more than these the rest is not looked at: no server in the field has a tenth of them.
MAX_FEATURES: Final = 1024

_ALWAYS: Final = (
    names.JINGLE,
    names.JINGLE_0,
    names.JINGLE_XMLSTREAM,
    names.JINGLE_IBB,
    names.JINGLE_IBB_0,
    names.IBB,
)
_S5B: Final = (names.JINGLE_S5B, names.BYTESTREAMS)


def profile(*, has_s5b: bool, has_xtls: bool = False, proxies: tuple[str, ...] = ()) -> Profile:
    """The profile for those who may open a session (XEP-0166 §11, XEP-0247 §2, XEP-0260 §5).

    `has_xtls` where the endpoint has a `Security`; `proxies` are the addresses of our XEP-0065
    proxies.
    """
    options = (*(_S5B if has_s5b else ()), *((names.JINGLE_XTLS,) if has_xtls else ()))
    features = (*ROUTER.features, *_ALWAYS, *options)
    return Profile(ROUTER.identities, features, proxies)


def features_in(stanza: Stanza) -> frozenset[str]:
    """The features in a disco#info result (XEP-0030 §3.1), none when it holds none."""
    try:
        root = etree.fromstring(stanza.octets)
    except etree.ParseError:
        return frozenset()
    found = root.findall(f"{{{names.DISCO_INFO}}}query/{{{names.DISCO_INFO}}}feature")
    return frozenset(feature.get("var", "") for feature in found[:MAX_FEATURES])
