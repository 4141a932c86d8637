"""The router at its own JID: what it answers, what it refuses, and when it is silent."""

import pytest
from lxml import etree

from router.xmpp import names
from router.xmpp.service import FEATURES, IDENTITY, Answer, Profile, answer_to
from router.xmpp.stanza import cut

RELAY, JULIET = "relay.montague.example", "juliet@capulet.example/b&apos;y"
PING = "<ping xmlns='urn:xmpp:ping'/>"
INFO, ITEMS = (f"http://jabber.org/protocol/disco#{each}" for each in ("info", "items"))
CONDITIONS = f"{{{names.STANZA_ERRORS}}}"


def stanza(payload: str = "", kind: str = "iq", type_of: str = "get", to: str = RELAY) -> bytes:
    given = f" type='{type_of}'" if type_of else ""
    return f"<{kind} from='{JULIET}' to='{to}' id='1&lt;2'{given}>{payload}</{kind}>".encode()


def asked(octets: bytes) -> Answer:
    (one,) = cut(octets)
    return answer_to(one)


def result(octets: bytes, to: str = RELAY) -> etree._Element:
    """The answer, which must be a result."""
    answer = asked(octets)
    assert answer.octets is not None
    assert not answer.is_refusal
    element = etree.fromstring(answer.octets)
    assert dict(element.attrib) == {
        "from": to,
        "to": "juliet@capulet.example/b'y",
        "id": "1<2",
        "type": "result",
    }
    return element


def refusal(octets: bytes) -> tuple[str, str]:
    """Condition and type of the answer, which must be an error."""
    answer = asked(octets)
    assert answer.octets is not None
    assert answer.is_refusal
    element = etree.fromstring(answer.octets)
    assert element.get("type") == "error"
    assert (element.get("from"), element.get("id")) == (RELAY, "1<2")
    (error,) = element
    return error[0].tag.removeprefix(CONDITIONS), error.get("type", "")


@pytest.mark.clause("KAL-01")
@pytest.mark.parametrize("to", [RELAY, f"{RELAY}/a@b/c"])
def test_a_ping_has_an_empty_result(to: str) -> None:
    element = result(stanza(PING, to=to), to)
    assert (element.tag, len(element), element.text) == ("iq", 0, None)


@pytest.mark.clause("DSC-01")
def test_disco_info_says_what_it_is_and_what_it_answers() -> None:
    (query,) = result(stanza(f"<query xmlns='{INFO}'/>"))
    assert query.tag == f"{{{INFO}}}query"
    assert query.get("node") is None
    identities = [dict(each.attrib) for each in query.iter(f"{{{INFO}}}identity")]
    features = [each.get("var") for each in query.iter(f"{{{INFO}}}feature")]
    assert identities == [{"category": "component", "type": "router", "name": "Causeway"}]
    assert features == list(FEATURES) == [INFO, ITEMS, "urn:xmpp:ping"]
    assert len(query) == len(identities) + len(features)


@pytest.mark.clause("DSC-01")
def test_disco_info_of_a_node_it_does_not_have() -> None:
    query = f"<query xmlns='{INFO}' node='urn:n'/>"
    assert refusal(stanza(query)) == ("item-not-found", "cancel")


@pytest.mark.clause("DSC-03")
@pytest.mark.parametrize("node", [None, "a'b&c"])
def test_disco_items_are_none_and_the_node_is_mirrored(node: str | None) -> None:
    asking = etree.Element(f"{{{ITEMS}}}query", nsmap={None: ITEMS})
    if node is not None:
        asking.set("node", node)
    (query,) = result(stanza(etree.tostring(asking).decode()))
    assert query.tag == f"{{{ITEMS}}}query"
    assert (query.get("node"), len(query)) == (node, 0)


@pytest.mark.clause("DSC-01", "DSC-03")
def test_what_may_be_discovered_is_the_callers_to_say() -> None:
    proxy = ("proxy", "bytestreams", "a 'b' <c>")
    profile = Profile((IDENTITY, proxy), (*FEATURES, "urn:x"), ("a&b.example", "c.example"))

    def asked_for(namespace: str, node: str = "") -> etree._Element:
        (one,) = cut(stanza(f"<query xmlns='{namespace}'{node}/>"))
        octets = answer_to(one, profile).octets
        assert octets is not None
        return etree.fromstring(octets)[0]

    info = asked_for(INFO)
    identities = [tuple(each.attrib.values()) for each in info.iter(f"{{{INFO}}}identity")]
    assert identities == [IDENTITY, proxy]
    assert [each.get("var") for each in info[2:]] == [*FEATURES, "urn:x"]
    assert [each.get("jid") for each in asked_for(ITEMS)] == ["a&b.example", "c.example"]
    assert len(asked_for(ITEMS, " node='n'")) == 0, "items belong to the address"


@pytest.mark.clause("RTE-12", "KAL-01")
@pytest.mark.parametrize(
    ("payload", "type_of", "to"),
    [
        pytest.param("<query xmlns='jabber:iq:version'/>", "get", RELAY, id="unknown namespace"),
        pytest.param("<query xmlns='urn:xmpp:ping'/>", "get", RELAY, id="unknown name"),
        pytest.param("<ping/>", "get", RELAY, id="no namespace"),
        pytest.param(PING, "set", RELAY, id="ping set"),
        pytest.param(f"<query xmlns='{INFO}'/>", "set", RELAY, id="info set"),
        pytest.param(f"<query xmlns='{ITEMS}'/>", "set", RELAY, id="items set"),
    ],
)
def test_any_other_request_is_for_nobody(payload: str, type_of: str, to: str) -> None:
    assert refusal(stanza(payload, type_of=type_of, to=to)) == ("service-unavailable", "cancel")


@pytest.mark.clause("RTE-12")
def test_there_are_no_accounts() -> None:
    answer = asked(stanza(PING, to=f"romeo@{RELAY}"))
    assert answer.octets is not None
    assert b"<service-unavailable " in answer.octets


@pytest.mark.clause("RTE-09")
@pytest.mark.parametrize("payload", ["", "text", PING * 2, PING + "<x xmlns='urn:x'/>"])
@pytest.mark.parametrize("type_of", ["get", "set"])
def test_a_request_has_exactly_one_payload(payload: str, type_of: str) -> None:
    assert refusal(stanza(payload, type_of=type_of)) == ("bad-request", "modify")


@pytest.mark.clause("RTE-09")
def test_what_lies_deeper_or_around_is_no_payload() -> None:
    result(stanza(f" <ping xmlns='urn:xmpp:ping'>{PING}<x/></ping>\n"))


@pytest.mark.parametrize("type_of", ["", "chat", "headline"])
def test_a_message_comes_back(type_of: str) -> None:
    octets = stanza("<body>hear me</body>", "message", type_of)
    assert refusal(octets) == ("service-unavailable", "cancel")


@pytest.mark.clause("RTE-08")
@pytest.mark.parametrize(
    ("kind", "type_of"), [("iq", "result"), ("iq", "error"), ("message", "error")]
)
def test_errors_and_results_are_never_answered(kind: str, type_of: str) -> None:
    assert asked(stanza(PING, kind, type_of)) == Answer(None, is_refusal=False)


@pytest.mark.parametrize(
    "type_of",
    ["", "unavailable", "subscribe", "subscribed", "unsubscribe", "unsubscribed", "probe", "error"],
)
def test_presence_is_consumed_in_silence(type_of: str) -> None:
    assert asked(stanza("", "presence", type_of)) == Answer(None, is_refusal=False)
