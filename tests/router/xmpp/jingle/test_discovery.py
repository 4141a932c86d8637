"""What an end-to-end endpoint says of itself, and what it reads of others."""

import pytest
from lxml import etree

from router.xmpp import names
from router.xmpp.jingle import discovery
from router.xmpp.service import ROUTER, Profile, answer_to
from router.xmpp.stanza import Stanza, cut

ASKER, RELAY = "relay.capulet.example", "relay.montague.example"


def asked(namespace: str, profile: Profile) -> bytes:
    (stanza,) = cut(
        f"<iq from='{ASKER}' to='{RELAY}' id='1' type='get'>"
        f"<query xmlns='{namespace}'/></iq>".encode()
    )
    octets = answer_to(stanza, profile).octets
    assert octets is not None
    return octets


def features(profile: Profile) -> list[str]:
    (query,) = etree.fromstring(asked(names.DISCO_INFO, profile))
    return [each.get("var", "") for each in query.iter(f"{{{names.DISCO_INFO}}}feature")]


ALWAYS = [
    "http://jabber.org/protocol/disco#info",
    "http://jabber.org/protocol/disco#items",
    "urn:xmpp:ping",
    "urn:xmpp:jingle:1",
    "urn:xmpp:jingle:0",
    "urn:xmpp:jingle:apps:xmlstream:0",
    "urn:xmpp:jingle:transports:ibb:1",
    "urn:xmpp:jingle:transports:ibb:0",
    "http://jabber.org/protocol/ibb",
]
S5B = ["urn:xmpp:jingle:transports:s5b:1", "http://jabber.org/protocol/bytestreams"]


@pytest.mark.clause("DSC-02")
@pytest.mark.parametrize(("has_s5b", "expected"), [(False, ALWAYS), (True, ALWAYS + S5B)])
def test_the_features_are_those_of_what_is_on(has_s5b: bool, expected: list[str]) -> None:
    assert features(discovery.profile(has_s5b=has_s5b)) == expected


@pytest.mark.clause("DSC-02", "JXS-03")
def test_who_is_not_listed_sees_the_router_alone() -> None:
    assert features(ROUTER) == ALWAYS[:3]


@pytest.mark.clause("DSC-03")
def test_proxies_are_items_and_stream_features_are_nowhere() -> None:
    profile = discovery.profile(has_s5b=True, proxies=("proxy.montague.example", "a&'b.example"))
    (query,) = etree.fromstring(asked(names.DISCO_ITEMS, profile))
    assert [dict(item.attrib) for item in query] == [
        {"jid": "proxy.montague.example"},
        {"jid": "a&'b.example"},
    ]
    stream_features = ("bidi", "dialback", ":sm:", "limits", "tls", "sasl")
    assert not [f for f in features(profile) for name in stream_features if name in f]


@pytest.mark.clause("JXS-01")
def test_what_we_say_we_read() -> None:
    profile = discovery.profile(has_s5b=True)
    octets = asked(names.DISCO_INFO, profile)
    assert discovery.features_in(Stanza("iq", {}, octets)) == frozenset(profile.features)


@pytest.mark.parametrize(
    "inside",
    [
        "",
        "<query xmlns='urn:x'><feature var='a'/></query>",
        f"<query xmlns='{names.DISCO_ITEMS}'><feature var='a'/></query>",
        f"<x xmlns='urn:x'><query xmlns='{names.DISCO_INFO}'><feature var='a'/></query></x>",
        "<a xmlns:p='urn:}x'><p:b/></a>",
    ],
)
def test_anything_else_has_no_features(inside: str) -> None:
    found = discovery.features_in(Stanza("iq", {}, f"<iq type='result'>{inside}</iq>".encode()))
    assert found == frozenset()


def test_what_is_read_of_a_peer_is_bounded() -> None:
    many = "".join(f"<feature var='{n}'/>" for n in range(discovery.MAX_FEATURES + 5))
    octets = f"<iq><query xmlns='{names.DISCO_INFO}'>{many}</query></iq>".encode()
    assert len(discovery.features_in(Stanza("iq", {}, octets))) == discovery.MAX_FEATURES
