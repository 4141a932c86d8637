"""What other servers really do, replayed by scripted peers; numbered as in the notes on peers.

One node and one component for all; each scenario has remote domains of its own.
"""

import hashlib
import hmac
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from bench.authority import Authority
from bench.peers.causeway import Causeway
from tests.support.component import Component, attached, settled
from tests.support.nodes import MONTAGUE, SECRET, VERONA, certificate, node
from tests.support.scripted_peer import (
    BIDI,
    BIDI_FEATURE,
    DIALBACK_FEATURE,
    END,
    EXTERNAL_FEATURE,
    HOST,
    PROCEED,
    STARTTLS,
    SUCCESS,
    Peer,
    Wire,
    auth,
    features,
    header,
    message,
    scripted,
    stream_id,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROMEO, BENVOLIO = f"romeo@{MONTAGUE}", f"benvolio@{VERONA}"
DIALBACK_SECRET = "the dialback secret of the node in these tests"
ONE_WAY = "oneway.example"
PEERS = 24


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def peers(issuer: Authority) -> AsyncIterator[list[Peer]]:
    """Scripted servers nobody has talked to yet; the first one gets no bidi from the node."""
    names = [ONE_WAY, *(f"peer{number}.example" for number in range(1, PEERS))]
    async with AsyncExitStack() as stack:
        found = []
        for name in names:
            issuer.issue(name)
            file = certificate(issuer, name)
            found.append(await stack.enter_async_context(scripted(name, MONTAGUE, file)))
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def router(
    tmp_path_factory: pytest.TempPathFactory, issuer: Authority, peers: list[Peer]
) -> AsyncIterator[Causeway]:
    """The node, with a static route to each peer."""
    directory = tmp_path_factory.mktemp("node")
    secret = directory / "dialback.secret"
    secret.touch(mode=0o600)
    secret.write_text(DIALBACK_SECRET)
    routes = {peer.domain: (HOST, peer.port) for peer in peers}
    settings = {"peers": {ONE_WAY: {"bidi": False}}}
    async with node(directory, issuer, routes=routes, settings=settings) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def romeo(router: Causeway) -> AsyncIterator[Component]:
    async with attached(MONTAGUE, SECRET, router.component_port) as component:
        yield component


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def benvolio(router: Causeway) -> AsyncIterator[Component]:
    async with attached(VERONA, SECRET, router.component_port) as component:
        yield component


@pytest.fixture(scope="module")
def unused(peers: list[Peer]) -> Iterator[Peer]:
    return iter(peers[1:])


@pytest.fixture
def peer(unused: Iterator[Peer]) -> Peer:
    """A remote server for this test alone."""
    return next(unused)


def user(peer: Peer) -> str:
    return f"juliet@{peer.domain}"


def key(receiving: str, originating: str, identity: str) -> str:
    """The dialback key of the node (XEP-0185 §2)."""
    secret = hashlib.sha256(DIALBACK_SECRET.encode()).hexdigest().encode()
    text = f"{receiving} {originating} {identity}".encode()
    return hmac.new(secret, text, hashlib.sha256).hexdigest()


async def hears(romeo: Component, wire: Wire, peer: Peer) -> None:
    """The next message of the peer on this wire reaches the component."""
    before = romeo.arrived
    await wire.send(message(user(peer), ROMEO, f"n{before}"))
    await romeo.until(lambda: romeo.arrived == before + 1)


async def verified(peer: Peer, verdict: str = "valid") -> Wire:
    """As authoritative server: take the node's next connection and answer its db:verify."""
    wire = await peer.greet(EXTERNAL_FEATURE, DIALBACK_FEATURE)
    await peer.admit(wire)
    question = await wire.until("</db:verify>")
    identity = question.split('id="')[-1].split('"')[0]
    await wire.send(
        f"<db:verify from='{peer.domain}' to='{MONTAGUE}' id='{identity}' type='{verdict}'/>"
    )
    return wire


async def proved_by_dialback(peer: Peer, router: Causeway, *, bidi: bool = True) -> Wire:
    """A stream of a peer without a certificate, proved by its key; verification included."""
    peer.presents_certificate = False
    wire = await peer.secured(router.s2s_port)
    result = f"<db:result from='{peer.domain}' to='{MONTAGUE}'>its key</db:result>"
    await wire.send((BIDI if bidi else "") + result)
    await verified(peer)
    await wire.until(f'<db:result from="{MONTAGUE}" to="{peer.domain}" type="valid"/>')
    return wire


@pytest.mark.scenario(1)
@pytest.mark.clause("BIDI-04", "BIDI-06", "BIDI-08", "BIDI-21")
async def test_1_bidi_and_auth_in_one_segment(
    router: Causeway, romeo: Component, peer: Peer
) -> None:
    """What waits for the peer leaves on its stream, but only after its restarted header."""
    romeo.write(message(ROMEO, user(peer), "queued"))
    dialled = await peer.accepted()
    wire = await peer.secured(router.s2s_port)
    await wire.send(BIDI + auth(peer.domain))
    await wire.until(SUCCESS)
    assert wire.received.endswith(SUCCESS)
    await wire.send(peer.header())
    before = await wire.until("id='queued'")
    assert before.index("<stream:features") < before.index("<message")
    await hears(romeo, wire, peer)
    await dialled.close()
    await wire.closed_in_order()
    assert wire.received.count("id='queued'") == 1


@pytest.mark.scenario(2, 6)
@pytest.mark.clause("BIDI-10", "BIDI-18", "DBK-09", "DBK-10", "DBK-15")
async def test_2_and_6_bidi_and_a_key_in_one_segment(
    router: Causeway, romeo: Component, peer: Peer
) -> None:
    """The key is verified on another connection, and only then does anything leave on this one."""
    peer.presents_certificate = False
    wire = await peer.secured(router.s2s_port)
    result = f"<db:result from='{peer.domain}' to='{MONTAGUE}'>its key</db:result>"
    await wire.send(BIDI + result)
    other = await peer.greet(EXTERNAL_FEATURE, DIALBACK_FEATURE)
    await peer.admit(other)
    question = await other.until("</db:verify>")
    identity = stream_id(wire.received)
    asked = f'<db:verify from="{MONTAGUE}" to="{peer.domain}" id="{identity}">its key</db:verify>'
    assert question.endswith(asked)
    assert "db:result" not in wire.received
    await other.send(
        f"<db:verify from='{peer.domain}' to='{MONTAGUE}' id='{identity}' type='valid'/>"
    )
    await wire.until(f'<db:result from="{MONTAGUE}" to="{peer.domain}" type="valid"/>')
    await hears(romeo, wire, peer)
    await wire.closed_in_order()
    assert "db:verify" not in wire.received
    await other.closed_in_order()
    assert peer.unaccepted() == 0


@pytest.mark.scenario(3)
@pytest.mark.clause("DBK-12", "DBK-19", "FEA-03")
async def test_3_a_peer_that_proves_itself_before_it_verifies(
    router: Causeway, romeo: Component, peer: Peer
) -> None:
    """Nobody waits for anybody: the node answers the peer's key while its own is undecided."""
    peer.presents_certificate = False
    romeo.write(message(ROMEO, user(peer), "1"))
    ours = await peer.greet(BIDI_FEATURE, "<dialback xmlns='urn:xmpp:features:dialback'/>")
    their_key = (await ours.until("</db:result>")).rpartition("</")[0].rpartition(">")[2]

    back = await peer.secured(router.s2s_port)
    assert BIDI_FEATURE in back.received
    await back.send(BIDI + f"<db:result from='{peer.domain}' to='{MONTAGUE}'>mine</db:result>")
    question = await ours.until("</db:verify>")
    assert f'id="{stream_id(back.received)}"' in question
    identity = stream_id(back.received)
    await ours.send(
        f"<db:verify from='{peer.domain}' to='{MONTAGUE}' id='{identity}' type='valid'/>"
    )
    await back.until('type="valid"/>')
    await back.send(
        f"<db:verify from='{peer.domain}' to='{MONTAGUE}' id='secure'>{their_key}</db:verify>"
    )
    await back.until(f'<db:verify from="{MONTAGUE}" to="{peer.domain}" id="secure" type="valid"/>')
    await ours.send(f"<db:result from='{peer.domain}' to='{MONTAGUE}' type='valid'/>")
    await hears(romeo, back, peer)
    for number in ("2", "3"):
        romeo.write(message(ROMEO, user(peer), number))
    await back.until("id='3'")
    await back.closed_in_order()
    await ours.closed_in_order()
    assert [back.received.count(f"id='{number}'") for number in "123"] == [1, 1, 1]
    assert "<message" not in ours.received
    assert peer.unaccepted() == 0


@pytest.mark.scenario(7, 46)
@pytest.mark.clause("BIDI-09", "BIDI-14", "SAS-07")
async def test_7_and_46_another_hosted_domain_takes_a_connection_of_its_own(
    router: Causeway, romeo: Component, benvolio: Component, peer: Peer
) -> None:
    """No reverse dialback, and no widening: the peer's bidi stream is MONTAGUE's alone."""
    benvolio.write(message(BENVOLIO, user(peer), "queued"))
    dialled = await peer.accepted()
    wire = await peer.authenticated(router.s2s_port)
    benvolio.write(message(BENVOLIO, user(peer), "later"))
    romeo.write(message(ROMEO, user(peer), "mine"))
    await wire.until("id='mine'")
    await peer.greet(EXTERNAL_FEATURE, wire=dialled)
    await peer.admit(dialled)
    assert (await dialled.until("id='later'")).count("<message") == 2
    await wire.closed_in_order()
    assert VERONA not in wire.received
    assert "db:result" not in wire.received
    await dialled.closed_in_order()


@pytest.mark.scenario(8, 17)
@pytest.mark.clause("BIDI-02", "BIDI-12", "FEA-05")
async def test_8_and_17_bidi_offered_too_late_is_not_asked_for(
    router: Causeway, romeo: Component, peer: Peer
) -> None:
    romeo.write(message(ROMEO, user(peer), "1"))
    wire = await peer.greet(EXTERNAL_FEATURE)
    await wire.until("</auth>")
    await wire.send(SUCCESS)
    await wire.until("<stream:stream")
    await wire.send(header(peer.domain, MONTAGUE, id="open") + features(BIDI_FEATURE))
    await wire.until("id='1'")
    await wire.send(message(user(peer), ROMEO, "n0"))  # not bidi: one-way
    last = await wire.ended()
    assert "<not-authorized " in last
    assert "bidi" not in wire.received


@pytest.mark.scenario(8)
@pytest.mark.clause("BIDI-07")
async def test_8_bidi_asked_for_too_late_changes_nothing(
    router: Causeway, romeo: Component, peer: Peer
) -> None:
    wire = await peer.authenticated(router.s2s_port, bidi=False)
    await wire.send(BIDI)
    await hears(romeo, wire, peer)
    romeo.write(message(ROMEO, user(peer), "1"))
    ours = await peer.greet(EXTERNAL_FEATURE)
    await peer.admit(ours)
    await ours.until("id='1'")
    await wire.closed_in_order()
    assert "<message" not in wire.received
    await ours.closed_in_order()


@pytest.mark.scenario(9)
@pytest.mark.clause("BIDI-03")
async def test_9_bidi_asked_for_in_the_features_namespace(
    router: Causeway, romeo: Component, peer: Peer
) -> None:
    wire = await peer.secured(router.s2s_port)
    await wire.send(BIDI_FEATURE + auth(peer.domain))
    await wire.until(SUCCESS)
    await wire.send(peer.header())
    romeo.write(message(ROMEO, user(peer), "1"))
    await wire.until("id='1'")
    await wire.closed_in_order()


@pytest.mark.scenario(10, 15)
@pytest.mark.clause("BIDI-01", "BIDI-03", "FEA-02", "FEA-03")
async def test_10_and_15_only_the_current_namespace_is_offered_and_limits_do_no_harm(
    router: Causeway, romeo: Component, peer: Peer
) -> None:
    wire = await peer.secured(router.s2s_port)
    plain, secure = wire.received.split(PROCEED)
    assert plain.endswith(
        f"<stream:features>{STARTTLS[:-2]}><required/></starttls></stream:features>"
    )
    assert secure.count("<bidi xmlns='urn:xmpp:features:bidi'/>") == 1
    assert "'urn:xmpp:bidi'" not in secure
    limits = "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>10000</max-bytes></limits>"
    await wire.send(f"<bidi xmlns='urn:xmpp:bidi'>{limits}</bidi>{auth(peer.domain)}")
    await wire.until(SUCCESS)
    await wire.send(peer.header())
    await wire.until("<stream:features")
    await hears(romeo, wire, peer)
    romeo.write(message(ROMEO, user(peer), "1"))
    await wire.until("id='1'")
    await wire.closed_in_order()


@pytest.mark.scenario(12)
@pytest.mark.clause("DBK-12", "BIDI-11", "BIDI-21")
async def test_12_keys_are_judged_on_our_own_bidi_stream(
    router: Causeway, romeo: Component, peer: Peer
) -> None:
    romeo.write(message(ROMEO, user(peer), "1"))
    wire = await peer.greet(EXTERNAL_FEATURE, BIDI_FEATURE)
    await peer.admit(wire)
    await wire.until("id='1'")
    for identity, value, verdict in (
        ("x", key(peer.domain, MONTAGUE, "x"), "valid"),
        ("y", key(peer.domain, MONTAGUE, "x"), "invalid"),
    ):
        await wire.send(
            f"<db:verify from='{peer.domain}' to='{MONTAGUE}' id='{identity}'>{value}</db:verify>"
        )
        await wire.until(
            f'<db:verify from="{MONTAGUE}" to="{peer.domain}" id="{identity}" type="{verdict}"/>'
        )
    await hears(romeo, wire, peer)
    romeo.write(message(ROMEO, user(peer), "2"))
    await wire.until("id='2'")
    await wire.closed_in_order()
    assert peer.unaccepted() == 0


@pytest.mark.scenario(13)
@pytest.mark.clause("DBK-25")
async def test_13_a_key_for_a_pair_that_is_proved(
    router: Causeway, romeo: Component, peer: Peer
) -> None:
    wire = await proved_by_dialback(peer, router)
    again = f"<db:result from='{peer.domain}' to='{MONTAGUE}'>its key</db:result>"
    for _ in range(2):
        await wire.send(again)
        await wire.until(f'<db:result from="{MONTAGUE}" to="{peer.domain}" type="valid"/>')
    await hears(romeo, wire, peer)
    await wire.closed_in_order()
    assert peer.unaccepted() == 0


@pytest.mark.scenario(14)
@pytest.mark.clause("STR-16", "BIDI-23")
@pytest.mark.parametrize("ends", ["in order", "by a reset"])
async def test_14_a_stream_the_peer_ends_is_replaced(
    router: Causeway, romeo: Component, peer: Peer, ends: str
) -> None:
    wire = await peer.authenticated(router.s2s_port)
    romeo.write(message(ROMEO, user(peer), "1"))
    await wire.until("id='1'")
    if ends == "in order":
        await wire.closed_in_order()
        assert wire.received.endswith(END)
    else:
        wire.abort()
        await settled(lambda: no_stream(router, peer))
    romeo.write(message(ROMEO, user(peer), "2"))
    ours = await peer.greet(EXTERNAL_FEATURE)
    await peer.admit(ours)
    await ours.until("id='2'")
    assert "id='1'" not in ours.received
    await ours.closed_in_order()


async def no_stream(router: Causeway, peer: Peer) -> bool:
    return all(row["remote"] != peer.domain for row in await router.streams())


@pytest.mark.scenario(23)
@pytest.mark.clause("SAS-07", "RTE-10")
async def test_23_octets_between_success_and_the_new_header(
    router: Causeway, romeo: Component, peer: Peer
) -> None:
    """That connection is over; what waited for it takes the next one, and nothing came of it."""
    arrived = romeo.arrived
    romeo.write(message(ROMEO, user(peer), "success?"))
    wire = await peer.greet(EXTERNAL_FEATURE, BIDI_FEATURE)
    await wire.until("</auth>")
    await wire.send(SUCCESS + message(user(peer), ROMEO, "n0"))
    assert "<message" not in await wire.ended()
    wire = await peer.greet(EXTERNAL_FEATURE, BIDI_FEATURE)
    await peer.admit(wire)
    await wire.until("id='success?'")
    assert romeo.arrived == arrived
    await wire.closed_in_order()


@pytest.mark.scenario(43)
@pytest.mark.clause("BIDI-08", "BIDI-12", "STR-17")
async def test_43_a_stanza_against_the_stream_before_proof(
    router: Causeway, romeo: Component, peer: Peer
) -> None:
    arrived = romeo.arrived
    romeo.write(message(ROMEO, user(peer), "1"))
    wire = await peer.greet(EXTERNAL_FEATURE, BIDI_FEATURE)
    await wire.until("</auth>")
    await wire.send(message(user(peer), ROMEO, "n0"))
    assert "<not-authorized " in await wire.ended()
    assert "<message" not in wire.received
    assert romeo.arrived == arrived


@pytest.mark.scenario(44)
@pytest.mark.clause("DBK-18", "DBK-28", "BIDI-19")
async def test_44_answers_that_nobody_asked_for_prove_nothing(
    router: Causeway, romeo: Component, peer: Peer
) -> None:
    forged = f"<db:result from='{peer.domain}' to='{MONTAGUE}' type='valid'/>"
    back = f"<db:result from='{MONTAGUE}' to='{peer.domain}' type='valid'/>"
    inbound = await peer.secured(router.s2s_port)
    await inbound.send(BIDI + forged + back)
    romeo.write(message(ROMEO, user(peer), "1"))
    ours = await peer.greet(EXTERNAL_FEATURE, BIDI_FEATURE)
    await peer.admit(ours)
    await ours.until("id='1'")
    stranger = "stranger.example"
    await ours.send(f"<db:result from='{stranger}' to='{MONTAGUE}' type='valid'/>")
    await hears(romeo, ours, peer)
    await inbound.closed_in_order()
    assert "<message" not in inbound.received
    await ours.send(message(f"a@{stranger}", ROMEO, "n0"))
    assert "<invalid-from " in await ours.ended()


@pytest.mark.scenario(45)
@pytest.mark.clause("BIDI-07", "BIDI-12")
async def test_45_bidi_that_was_not_offered_is_not_enabled(
    router: Causeway, romeo: Component, peers: list[Peer]
) -> None:
    peer = peers[0]
    wire = await peer.authenticated(router.s2s_port, bidi=True)
    assert "bidi" not in wire.received
    await hears(romeo, wire, peer)
    romeo.write(message(ROMEO, user(peer), "1"))
    ours = await peer.greet(EXTERNAL_FEATURE, BIDI_FEATURE)
    await peer.admit(ours)
    await ours.until("id='1'")
    assert "bidi" not in ours.received
    await wire.closed_in_order()
    assert "<message" not in wire.received
    await ours.closed_in_order()


@pytest.mark.scenario(47)
@pytest.mark.clause("BIDI-09", "RTE-05")
async def test_47_each_peers_stanzas_leave_on_its_own_stream(
    router: Causeway, romeo: Component, unused: Iterator[Peer]
) -> None:
    three = [next(unused) for _ in range(3)]
    wires = [await peer.authenticated(router.s2s_port) for peer in three]
    for number in range(30):
        for peer in three:
            romeo.write(message(ROMEO, user(peer), f"{number}"))
    for peer, wire in zip(three, wires, strict=True):
        await wire.until("id='29'")
        await wire.closed_in_order()
        _, *messages = wire.received.split("<message ")
        assert len(messages) == 30
        assert all(f"to='{user(peer)}'" in each for each in messages)
        assert peer.unaccepted() == 0


@pytest.mark.scenario(48)
@pytest.mark.clause("BIDI-02", "BIDI-04", "SAS-02")
async def test_48_bidi_waits_for_features_and_comes_before_proof(
    router: Causeway, romeo: Component, peer: Peer
) -> None:
    romeo.write(message(ROMEO, user(peer), "1"))
    wire = await peer.greet(EXTERNAL_FEATURE, BIDI_FEATURE)
    plain, _ = wire.received.split(STARTTLS)
    assert plain.count("<") == 2  # XML declaration and header
    proof = await wire.until("</auth>")
    assert proof.startswith(BIDI + "<auth ")
    await wire.send(SUCCESS)
    await wire.until("<stream:stream")
    await wire.send(header(peer.domain, MONTAGUE, id="open") + features())
    await wire.until("id='1'")
    assert "<db:" not in wire.received
    assert wire.received.count(BIDI[:-2]) == 1
    await wire.closed_in_order()


@pytest.mark.scenario(28)
@pytest.mark.clause("SAS-09", "BIDI-02")
async def test_28_external_refused_falls_back_to_dialback(
    router: Causeway, romeo: Component, peer: Peer
) -> None:
    romeo.write(message(ROMEO, user(peer), "1"))
    wire = await peer.greet(EXTERNAL_FEATURE, BIDI_FEATURE, DIALBACK_FEATURE)
    await wire.until("</auth>")
    await wire.send("<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>")
    given = await wire.until("</db:result>")
    assert given.endswith(f">{key(peer.domain, MONTAGUE, 'secure')}</db:result>")
    assert wire.received.count(BIDI[:-2]) == 1
    await wire.send(f"<db:result from='{peer.domain}' to='{MONTAGUE}' type='valid'/>")
    await wire.until("id='1'")
    await hears(romeo, wire, peer)
    await wire.closed_in_order()
