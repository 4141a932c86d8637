"""Stream headers that are wrong, in every place where a header is due: one table for each role."""

from collections.abc import Iterator
from typing import NamedTuple

import pytest
from lxml import etree

from router.xmpp import names
from router.xmpp.component import ComponentStream
from router.xmpp.events import ClaimRefused, PairAuthorised, StreamClosed
from router.xmpp.initiating import InitiatingStream
from router.xmpp.receiving import ReceivingStream
from router.xmpp.states import Phase
from router.xmpp.writer import STARTTLS_FEATURE
from router.xmpp.xmlstream import XmlStream
from tests.support.pump import (
    AUTH,
    CAPULET,
    MONTAGUE,
    NOW,
    PAIR,
    STARTTLS,
    Proves,
    features,
    header,
    ids,
    policy,
    say,
)
from tests.support.scripted_peer import EXTERNAL_FEATURE, SUCCESS

VERONA, TYBALT = "verona.example", "tybalt.example"
GOES_ON, SILENT = "goes on", "goes on without features"
Place = str
PLACES: list[Place] = ["before TLS", "after STARTTLS", "direct TLS", "after SASL"]


class Row(NamedTuple):
    """A header's attributes that differ from the usual, and what comes of it in each place."""

    given: dict[str, str | None]
    plain: str
    starttls: str
    direct: str
    sasl: str


def everywhere(what: str, **given: str | None) -> Row:
    return Row(given, what, what, what, what)


TO_US = {
    "as it should be": everywhere(GOES_ON),
    "xmlns client": everywhere("invalid-namespace", content=names.CLIENT),
    "xmlns component": everywhere("invalid-namespace", content=names.COMPONENT),
    "xmlns unknown": everywhere("invalid-namespace", content="urn:x"),
    "xmlns:stream unknown": everywhere("invalid-namespace", streams="urn:x"),
    "xmlns client, to unknown": everywhere(
        "invalid-namespace", content=names.CLIENT, target="nope"
    ),
    "version missing": Row({"version": None}, "policy-violation", SILENT, SILENT, SILENT),
    "version 0.9": Row({"version": "0.9"}, "policy-violation", SILENT, SILENT, SILENT),
    "version abc": everywhere("unsupported-version", version="abc"),
    "version 1": everywhere("unsupported-version", version="1"),
    "version empty": everywhere("unsupported-version", version=""),
    "version -1.0": everywhere("unsupported-version", version="-1.0"),
    "version 2.0": everywhere(GOES_ON, version="2.0"),
    "version 1.10": everywhere(GOES_ON, version="1.10"),
    "version 01.0": everywhere(GOES_ON, version="01.0"),
    "to missing": Row({"target": None}, "host-unknown", "host-unknown", GOES_ON, "host-unknown"),
    "to empty": everywhere("host-unknown", target=""),
    "to unknown": everywhere("host-unknown", target="nope.example"),
    "to below a hosted one": everywhere("host-unknown", target=f"sub.{MONTAGUE}"),
    "to invalid": everywhere("host-unknown", target="-a b-"),
    "to a user": everywhere("host-unknown", target=f"romeo@{MONTAGUE}"),
    "to another hosted": Row({"target": VERONA}, GOES_ON, GOES_ON, GOES_ON, "improper-addressing"),
    "to in capitals": everywhere(GOES_ON, target="MONTAGUE.Example."),
    "from missing": Row({"sender": None}, GOES_ON, GOES_ON, GOES_ON, "invalid-from"),
    "from empty": everywhere("improper-addressing", sender=""),
    "from invalid": everywhere("improper-addressing", sender="-a b-"),
    "from a user": everywhere("improper-addressing", sender=f"juliet@{CAPULET}"),
    "from hosted": Row(
        {"sender": VERONA},
        "improper-addressing",
        "improper-addressing",
        "improper-addressing",
        "invalid-from",
    ),
    "from another": Row({"sender": TYBALT}, GOES_ON, GOES_ON, GOES_ON, "invalid-from"),
    "from in capitals": everywhere(GOES_ON, sender="CAPULET.Example."),
}

FROM_THE_PEER = {
    "as it should be": everywhere(GOES_ON),
    "xmlns client": everywhere("invalid-namespace", content=names.CLIENT),
    "xmlns client, no version": everywhere("invalid-namespace", content=names.CLIENT, version=None),
    "xmlns:stream unknown": everywhere("invalid-namespace", streams="urn:x"),
    "version abc": everywhere("unsupported-version", version="abc"),
    "version 2.0": everywhere(GOES_ON, version="2.0"),
    "to missing": everywhere(GOES_ON, target=None),
    "to unknown": everywhere(GOES_ON, target="nope"),
    "from missing": everywhere(GOES_ON, sender=None),
    "from another": everywhere(GOES_ON, sender=TYBALT),
    "id missing": everywhere(GOES_ON, stream_id=None),
}

FROM_A_COMPONENT = {
    "as it should be": ({}, GOES_ON),
    "with a version": ({"version": "1.0"}, GOES_ON),
    "xmlns server": ({"content": names.SERVER}, "invalid-namespace"),
    "xmlns client": ({"content": names.CLIENT}, "invalid-namespace"),
    "xmlns server, to unknown": ({"content": names.SERVER, "target": "nope"}, "invalid-namespace"),
    "xmlns:stream unknown": ({"streams": "urn:x"}, "invalid-namespace"),
    "to missing": ({"target": None}, "host-unknown"),
    "to empty": ({"target": ""}, "host-unknown"),
    "to unknown": ({"target": "nope"}, "host-unknown"),
    "to hosted, no component": ({"target": MONTAGUE}, "host-unknown"),
    "to invalid": ({"target": "-a b-"}, "host-unknown"),
}


def cells(table: dict[str, Row]) -> Iterator[object]:
    for name, row in table.items():
        for place, expected in zip(PLACES, row[1:], strict=True):
            yield pytest.param(place, row.given, expected, id=f"{name}, {place}")


def written(given: dict[str, str | None], **usual: str | None) -> str:
    """The header, with these attributes in place of the usual ones."""
    chosen = {**usual, **given}
    streams = chosen.pop("streams", None) or names.STREAMS
    return header(**chosen).replace(names.STREAMS, streams)  # type: ignore[arg-type]


def judge(core: XmlStream, text: str, expected: str) -> str:
    """What the core says to this header, which must be what is expected and nothing besides."""
    events, answer = say(core, text)
    if expected in (GOES_ON, SILENT):
        assert core.phase is not Phase.CLOSED, events
        return answer
    closed = [event for event in events if not isinstance(event, ClaimRefused)]
    assert [type(event) for event in closed] == [StreamClosed]
    assert closed[0].condition == expected  # type: ignore[attr-defined]
    assert f"<{expected} xmlns='{names.STREAM_ERRORS}'/>" in answer
    assert answer.endswith("</stream:error></stream:stream>")
    assert "features" not in answer
    return answer


def listening(place: Place) -> ReceivingStream:
    """A stream that a peer opens, where its header is due in this place."""
    direct = place == "direct TLS"
    core = ReceivingStream(policy(MONTAGUE, VERONA), ids(), NOW, direct_tls=direct)
    if direct:
        core.server_name = MONTAGUE
    elif place != "before TLS":
        say(core, header() + STARTTLS)
    if place != "before TLS":
        core.tls_established(Proves(CAPULET), NOW)
    if place == "after SASL":
        say(core, header() + AUTH)
    return core


@pytest.mark.clause("STR-01", "STR-02", "STR-04", "STR-07", "STR-08", "STR-09", "STR-10", "STR-14")
@pytest.mark.parametrize(("place", "given", "expected"), list(cells(TO_US)))
def test_a_peers_header(place: Place, given: dict[str, str | None], expected: str) -> None:
    core = listening(place)
    answer = judge(core, written(given), expected)
    assert answer.count("<stream:stream ") == 1
    assert ("<stream:features>" in answer) == (expected == GOES_ON)
    if expected not in (GOES_ON, SILENT):
        document = etree.fromstring(answer.encode())
        assert document.get("from") in (MONTAGUE, VERONA)
        assert document.get("id") and document.get("version") == (
            None if expected == "policy-violation" else "1.0"
        )
        if expected == "host-unknown":
            assert document.get("to") == CAPULET
    elif place == "after SASL":
        assert core.grants.receive == {PAIR.inverse(): "external"}


def calling(place: Place) -> InitiatingStream:
    """A stream that we open, where the peer's header is due in this place."""
    direct = place == "direct TLS"
    core = InitiatingStream(policy(MONTAGUE), ids(), PAIR, NOW, direct_tls=direct)
    core.open()
    theirs = header(CAPULET, MONTAGUE, stream_id="a")
    if place in ("after STARTTLS", "after SASL"):
        say(core, theirs + features(STARTTLS_FEATURE))
        say(core, f"<proceed xmlns='{names.TLS}'/>")
    if place != "before TLS":
        core.tls_established(Proves(CAPULET), NOW)
    if place == "after SASL":
        say(core, theirs + features(EXTERNAL_FEATURE))
        say(core, SUCCESS)
    core.bytes_to_send()
    return core


@pytest.mark.clause("STR-05", "STR-07", "STR-10")
@pytest.mark.parametrize(("place", "given", "expected"), list(cells(FROM_THE_PEER)))
def test_the_answer_to_our_header(
    place: Place, given: dict[str, str | None], expected: str
) -> None:
    core = calling(place)
    usual: dict[str, str | None] = {"sender": CAPULET, "target": MONTAGUE, "stream_id": "b"}
    answer = judge(core, written(given, **usual), expected)
    assert "<stream:stream " not in answer, "ours has been sent"
    if expected != GOES_ON:
        assert answer.startswith("<stream:error>")
    else:
        events, _ = say(core, features(EXTERNAL_FEATURE))
        assert any(isinstance(event, PairAuthorised) for event in events) == (place == "after SASL")
        assert core.phase is not Phase.CLOSED


@pytest.mark.clause("STR-08")
@pytest.mark.parametrize("version", [None, "0.9"])
def test_an_answer_without_version_promises_no_features(version: str | None) -> None:
    theirs = header(CAPULET, MONTAGUE, stream_id="b", version=version)
    assert "<starttls " in say(calling("before TLS"), theirs)[1]
    assert "<db:result " in say(calling("direct TLS"), theirs)[1]


@pytest.mark.clause("CMP-01", "CMP-02")
@pytest.mark.parametrize(
    ("given", "expected"), FROM_A_COMPONENT.values(), ids=FROM_A_COMPONENT.keys()
)
def test_a_components_header(given: dict[str, str | None], expected: str) -> None:
    core = ComponentStream(policy(MONTAGUE, VERONA), ids(), {VERONA: "secret"}, NOW)
    usual: dict[str, str | None] = {
        "sender": None,
        "target": VERONA,
        "version": None,
        "content": names.COMPONENT,
    }
    answer = judge(core, written(given, **usual), expected)
    assert answer.count("<stream:stream ") == 1
    assert "version" not in answer.partition("?>")[2]
    if "target" not in given:
        assert f'from="{VERONA}"' in answer
