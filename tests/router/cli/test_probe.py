"""The look at one target: what is kept of what a peer says, and that it is bounded.

What is made of it all is in `test_check_domain`.
"""

import asyncio
from contextlib import suppress

import pytest

from bench.authority import Authority
from router.acceptor.certificates.store import CertificateStore
from router.acceptor.certificates.verdict import Verifier
from router.acceptor.dialling.dns import Target, TlsMode
from router.cli import probe
from router.cli.probe import Offer, Sight, look
from router.config import Config, Dialback, Domain, Tls
from router.xmpp.pair import DomainPair
from tests.support.nodes import CAPULET, MONTAGUE, certificate
from tests.support.scripted_peer import (
    DIALBACK_FEATURE,
    END,
    HOST,
    Peer,
    features,
    header,
    scripted,
)

PAIR = DomainPair(MONTAGUE, CAPULET)


async def sight_of(
    issuer: Authority, port: int, *, tls: TlsMode = "starttls", required: bool = True
) -> Sight:
    config = Config(
        domains={MONTAGUE: Domain("component", secret="wherefore")},
        tls=Tls(issuer.directory, str(issuer.anchors), required),
        dialback=Dialback(secret="art thou"),
    )
    store = CertificateStore(config.tls.certificates, config.hosted)
    verifier = Verifier(config.tls.trust_anchors)
    return await look(config, store, verifier, PAIR, Target(HOST, port, tls), [HOST])


async def plain(peer: Peer, said: str) -> None:
    wire = await peer.accepted()
    await wire.until(">")
    await wire.send(said)
    await wire.closed_in_order()


async def test_every_feature_is_kept_by_name_and_bounded(issuer: Authority) -> None:
    mechanisms = "".join(f"<mechanism>M{number}</mechanism>" for number in range(99))
    others = "".join(f"<x{number} xmlns='urn:x'/>" for number in range(40))
    said = header(CAPULET, MONTAGUE, id="x") + features(
        f"<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{mechanisms}</mechanisms>",
        "<dialback xmlns='urn:xmpp:features:dialback'/>",
        "<bidi xmlns='urn:xmpp:bidi'/>",
        others,
    )
    async with scripted(CAPULET, MONTAGUE, certificate(issuer, CAPULET)) as peer:
        task = asyncio.ensure_future(plain(peer, said))
        sight = await sight_of(issuer, peer.port, required=False)
        await task
    assert sight.is_complete
    assert sight.plain == Offer(
        mechanisms=tuple(f"M{number}" for number in range(16)),
        dialback="offered",
        bidi=("urn:xmpp:bidi",),
        others=tuple(f"{{urn:x}}x{number}" for number in range(16)),
    )
    assert (sight.secure, sight.session, sight.stream_id) == (None, None, "x")


async def test_a_server_of_before_version_1(issuer: Authority) -> None:
    said = header(CAPULET, MONTAGUE, id="x", version=None)
    async with scripted(CAPULET, MONTAGUE, certificate(issuer, CAPULET)) as peer:
        task = asyncio.ensure_future(plain(peer, said))
        sight = await sight_of(issuer, peer.port, required=False)
        await task
    assert (sight.version, sight.plain) == ("", Offer(dialback="declared"))


async def test_direct_tls(issuer: Authority) -> None:
    async def serve(peer: Peer) -> None:
        wire = await peer.accepted()
        await wire.start_tls(peer.server_context())
        await wire.until(">")
        await wire.send(header(CAPULET, MONTAGUE, id="x") + features(DIALBACK_FEATURE))
        await wire.until(END)
        await wire.send(END)
        await wire.ended()

    async with scripted(CAPULET, MONTAGUE, certificate(issuer, CAPULET)) as peer:
        task = asyncio.ensure_future(serve(peer))
        sight = await sight_of(issuer, peer.port, tls="direct")
        await task
    assert sight.is_complete and sight.plain is None
    assert sight.secure == Offer(dialback="errors")
    assert sight.evidence is not None and sight.evidence.proves(CAPULET).valid


@pytest.mark.parametrize("said", ["", "<?xml version='1.0'?><stream:stream", "<x>" * 9999])
async def test_whatever_comes_it_ends(
    issuer: Authority, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "BOUND_S", 0.3)
    async with scripted(CAPULET, MONTAGUE, certificate(issuer, CAPULET)) as peer:
        task = asyncio.ensure_future(plain(peer, said))
        sight = await sight_of(issuer, peer.port)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert not sight.is_complete
    assert sight.error or (sight.end is not None and sight.end.condition)
