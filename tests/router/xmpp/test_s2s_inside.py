"""Streams with servers behind the router: to each of them we are everybody else."""

import pytest

from router.xmpp.dialback import key
from router.xmpp.events import ClaimRefused, KeyReceived, PairAuthorised, StreamClosed
from router.xmpp.initiating import InitiatingStream
from router.xmpp.pair import DomainPair
from router.xmpp.perspective import Domains, inside
from router.xmpp.policy import PeerRule, Policy
from router.xmpp.receiving import ReceivingStream
from tests.support.pump import (
    CAPULET,
    MONTAGUE,
    NOW,
    Proves,
    features,
    header,
    ids,
    inbound,
    policy,
    say,
)

VERONA, PADUA = "verona.example", "padua.example"
SERVERS = Domains(frozenset({VERONA, PADUA}))


def behind(**changes: object) -> Policy:
    chosen = {"perspective": inside(SERVERS), "secret": b"inside", **changes}
    return policy(MONTAGUE, **chosen)  # type: ignore[arg-type]


def message(sender: str, target: str) -> str:
    return f"<message from='a@{sender}' to='b@{target}'/>"


@pytest.mark.parametrize("target", [CAPULET, MONTAGUE, PADUA])
def test_a_server_behind_us_may_want_anybody(target: str) -> None:
    core = inbound(behind(), Proves(VERONA), sender=VERONA, target=target, bidi=True)
    pair = DomainPair(VERONA, target)
    events, answer = say(core, f"<db:result from='{VERONA}' to='{target}'>k</db:result>")
    assert PairAuthorised(pair, False, "external") in events
    assert PairAuthorised(pair.inverse(), True, "external") in events
    assert f'from="{target}" to="{VERONA}" type="valid"' in answer


@pytest.mark.parametrize("sender", [CAPULET, MONTAGUE, "conference.verona.example"])
def test_nobody_else_speaks_to_the_inside(sender: str) -> None:
    core = inbound(behind(), Proves(sender), sender=None, target=VERONA)
    events, answer = say(core, f"<db:result from='{sender}' to='{VERONA}'>k</db:result>")
    assert events == [ClaimRefused(DomainPair(sender, VERONA))]
    assert "<policy-violation " in answer
    assert not core.grants.proved()


@pytest.mark.parametrize(("sender", "target"), [(CAPULET, VERONA), (VERONA, VERONA)])
def test_a_header_that_claims_otherwise_ends_the_stream(sender: str, target: str) -> None:
    core = ReceivingStream(behind(), ids(), NOW, direct_tls=True)
    core.tls_established(Proves(sender), NOW)
    claim, closed = say(core, header(sender, target))[0]
    assert claim == ClaimRefused(DomainPair(sender, target))
    assert isinstance(closed, StreamClosed)
    assert closed.condition == "policy-violation"


def test_a_server_cannot_speak_for_its_neighbour() -> None:
    core = inbound(behind(), Proves(VERONA), sender=VERONA, target=CAPULET)
    say(core, f"<db:result from='{VERONA}' to='{CAPULET}'>k</db:result>")
    events, _ = say(core, f"<db:result from='{PADUA}' to='{CAPULET}'>k</db:result>")
    assert [type(event) for event in events] == [KeyReceived]  # for padua's own server to judge
    events, answer = say(core, message(PADUA, CAPULET))
    assert [event.condition for event in events if isinstance(event, StreamClosed)] == [
        "invalid-from"
    ]
    assert "<invalid-from " in answer


@pytest.mark.clause("DBK-12")
@pytest.mark.parametrize(("secret", "verdict"), [(b"inside", "valid"), (b"outside", "invalid")])
def test_we_answer_for_every_other_domain_by_the_secret_of_the_inside(
    secret: bytes, verdict: str
) -> None:
    """A key from outside is none here."""
    core = inbound(behind(), sender=VERONA, target=CAPULET)
    value = key(secret, VERONA, CAPULET, "1")
    ask = f"<db:verify from='{VERONA}' to='{CAPULET}' id='1'>{value}</db:verify>"
    assert f'id="1" type="{verdict}"' in say(core, ask)[1]


def test_we_come_in_the_name_of_the_remote_domain() -> None:
    pair = DomainPair(CAPULET, VERONA)
    core = InitiatingStream(behind(), ids(), pair, NOW, direct_tls=True, has_certificate=False)
    core.open()
    core.tls_established(Proves(), NOW)
    assert f'from="{CAPULET}" to="{VERONA}"' in core.bytes_to_send().decode()
    offers = (
        "<dialback xmlns='urn:xmpp:features:dialback'/>",
        "<bidi xmlns='urn:xmpp:features:bidi'/>",
    )
    _, said = say(core, header(VERONA, CAPULET, stream_id="theirs") + features(*offers))
    assert key(b"inside", VERONA, CAPULET, "theirs") in said
    events, _ = say(core, f"<db:result from='{VERONA}' to='{CAPULET}' type='valid'/>")
    granted = {
        (event.pair, event.may_send) for event in events if isinstance(event, PairAuthorised)
    }
    assert granted == {(pair, True), (pair.inverse(), False)}


def test_where_a_certificate_is_wanted_of_it_nothing_less_will_do() -> None:
    strict = behind(rule=PeerRule(require_certificate=True))
    core = ReceivingStream(strict, ids(), NOW, direct_tls=True)
    core.tls_established(Proves(), NOW)
    events, answer = say(core, header(VERONA, CAPULET))
    assert [event.condition for event in events if isinstance(event, StreamClosed)] == [
        "policy-violation"
    ]
    assert "<policy-violation " in answer
