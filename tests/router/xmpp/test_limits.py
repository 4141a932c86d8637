"""Stream limits: what we say, what a peer says, and when it holds (XEP-0478)."""

import pytest
from lxml import etree

from router.xmpp import names
from router.xmpp.initiating import InitiatingStream
from router.xmpp.limits import UNLIMITED, StreamLimits, announced, announcement
from router.xmpp.receiving import ReceivingStream
from tests.support.pump import (
    AUTH,
    BIDI,
    CAPULET,
    LIMITS,
    MONTAGUE,
    NOW,
    PAIR,
    STARTTLS,
    Proves,
    authenticated,
    features,
    header,
    ids,
    inbound,
    outbound,
    policy,
    say,
)

EXTERNAL = (
    f"<mechanisms xmlns='{names.SASL}'><mechanism>EXTERNAL</mechanism></mechanisms>"
    f"<bidi xmlns='{names.BIDI_FEATURE}'/>"
)
SUCCESS = f"<success xmlns='{names.SASL}'/>"
OURS = announcement(LIMITS.max_stanza_bytes)


def with_limits(inside: str) -> etree._Element:
    return etree.fromstring(
        f"<features><limits xmlns='{names.LIMITS}'>{inside}</limits></features>"
    )


@pytest.mark.clause("LIM-01")
@pytest.mark.parametrize(
    ("inside", "limit"),
    [
        ("<max-bytes>10000</max-bytes>", 10_000),
        ("<idle-seconds>60</idle-seconds><max-bytes> 262144\n</max-bytes>", 262_144),
        ("<max-bytes>0</max-bytes>", 0),
        ("", None),
        ("<max-bytes/>", None),
        ("<max-bytes>-1</max-bytes>", None),
        ("<max-bytes>many</max-bytes>", None),
        ("<max-bytes>1e6</max-bytes>", None),
        ("<max-bytes>٣</max-bytes>", None),
        ("<max-bytes>10000.5</max-bytes>", None),
        (f"<max-bytes>{'9' * 5000}</max-bytes>", None),
        ("<max-bytes xmlns='urn:other'>10000</max-bytes>", None),
    ],
)
def test_what_is_no_integer_is_no_limit(inside: str, limit: int | None) -> None:
    assert announced(with_limits(inside)) == StreamLimits(limit)


def test_nothing_announced_is_no_limit() -> None:
    assert announced(None) == announced(etree.fromstring("<features/>")) == UNLIMITED


@pytest.mark.clause("LIM-01", "FEA-03", "FEA-04")
@pytest.mark.parametrize("tls_required", [True, False])
def test_features_announce_ours_wherever_a_stanza_may_follow(tls_required: bool) -> None:
    core = inbound(policy(MONTAGUE, tls_required=tls_required), Proves(CAPULET))
    say(core, AUTH)
    assert OURS in say(core, header())[1]
    core = ReceivingStream(policy(MONTAGUE, tls_required=tls_required), ids(), NOW)
    assert (OURS in say(core, header())[1]) == (not tls_required)
    say(core, STARTTLS)
    core.tls_established(Proves(CAPULET), NOW)
    assert OURS in say(core, header())[1]


@pytest.mark.clause("LIM-02")
def test_a_bidi_request_holds_ours_and_theirs_counts_beside_other_children() -> None:
    for theirs, ours in (("", BIDI), (announcement(9), BIDI.replace("/>", f">{OURS}</bidi>"))):
        core = outbound(None, Proves(CAPULET), EXTERNAL, theirs)
        assert core.bytes_to_send().decode().startswith(ours + "<auth")
    asking = inbound(None, Proves(CAPULET))
    request = BIDI.replace("/>", f"><x xmlns='urn:other'/>{announcement(12_345)}</bidi>")
    say(asking, request + AUTH)
    say(asking, header())
    assert asking.is_bidi
    assert asking.peer_limits == StreamLimits(12_345)
    assert authenticated(bidi=True).peer_limits == UNLIMITED


@pytest.mark.clause("LIM-02", "BIDI-05")
def test_limits_of_a_request_before_tls_are_forgotten_with_it() -> None:
    core = ReceivingStream(policy(MONTAGUE, tls_required=False), ids(), NOW)
    say(core, header() + BIDI.replace("/>", f">{announcement(12_345)}</bidi>"))
    assert core.peer_limits == StreamLimits(12_345)
    say(core, STARTTLS)
    core.tls_established(Proves(CAPULET), NOW)
    assert core.peer_limits == UNLIMITED


@pytest.mark.clause("LIM-01")
@pytest.mark.parametrize(
    ("after", "limit"), [(announcement(20_000), 20_000), ("", None), (announcement(0), 0)]
)
def test_the_newest_features_count(after: str, limit: int | None) -> None:
    core = outbound(None, Proves(CAPULET), EXTERNAL, announcement(10_000))
    assert core.peer_limits == StreamLimits(10_000)
    say(core, SUCCESS)
    say(core, header(CAPULET, MONTAGUE, stream_id="new") + features(after))
    assert isinstance(core, InitiatingStream)
    assert core.may_send(PAIR)
    assert core.peer_limits == StreamLimits(limit)
