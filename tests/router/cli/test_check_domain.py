"""What `causeway check DOMAIN` finds: real sockets, a scripted server and a name server of ours."""

import asyncio
import datetime
import socket
from collections.abc import AsyncIterator, Awaitable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.authority import Authority
from bench.peers.nameserver import Nameserver
from router.cli import check_domain, probe
from router.cli.check_domain import examined
from router.cli.check_report import lines
from router.config import Address, Config, Dial, Dialback, Dns, Domain, Inside, Tls
from router.config import Peer as PeerRules
from router.xmpp.pair import DomainPair
from tests.support.nodes import CAPULET, MONTAGUE, TYBALT, certificate
from tests.support.scripted_peer import (
    BIDI_FEATURE,
    DIALBACK_FEATURE,
    END,
    EXTERNAL_FEATURE,
    HOST,
    PROCEED,
    STARTTLS,
    Peer,
    features,
    header,
    scripted,
)

PAIR = DomainPair(MONTAGUE, CAPULET)
HERE = f"here.{CAPULET}."
ALL = (EXTERNAL_FEATURE, DIALBACK_FEATURE, BIDI_FEATURE)
LIMITS = "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>9999</max-bytes></limits>"
STREAM_MANAGEMENT = "<sm xmlns='urn:xmpp:sm:3'/>"
OWN = {"key": "EC secp256r1", "expires": "2030-01-01", "client_auth": True, "warning": ""}


def settings(issuer: Authority, **changes: Any) -> Config:
    """A configuration that hosts MONTAGUE."""
    plain = Config(
        domains={MONTAGUE: Domain("component", secret="wherefore")},
        tls=Tls(issuer.directory, str(issuer.anchors)),
        dialback=Dialback(secret="art thou"),
        dial=Dial(allow_private_addresses=True),
        dns=Dns(resolvers=(Address(HOST, 9),)),
    )
    return replace(plain, **changes)


async def against(
    peer: Peer, config: Config, serve: Awaitable[object], rules: PeerRules | None = None
) -> dict[str, Any]:
    """Examine the peer over a static route while it does what `serve` says."""
    rules = replace(rules or PeerRules(), target=Address(HOST, peer.port))
    task = asyncio.ensure_future(serve)
    try:
        report = await examined(replace(config, peers={CAPULET: rules}), PAIR)
        assert all(isinstance(line, str) and line.isprintable() for line in lines(report, OWN))
        return report
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def greeted(peer: Peer, *offered: str) -> None:
    """The peer goes up to the features inside TLS, then answers the end."""
    wire = await peer.greet(*offered)
    await wire.until(END)
    await wire.send(END)
    await wire.ended()


@pytest.fixture
async def capulet(issuer: Authority) -> AsyncIterator[Peer]:
    async with scripted(CAPULET, MONTAGUE, certificate(issuer, CAPULET)) as peer:
        yield peer


def text(report: dict[str, Any]) -> str:
    return "\n".join(lines(report, OWN))


async def test_a_good_peer(issuer: Authority, capulet: Peer) -> None:
    offered = (*ALL, LIMITS, STREAM_MANAGEMENT, "<new xmlns='urn:example:new'/>")
    report = await against(capulet, settings(issuer), greeted(capulet, *offered))
    assert (report["ok"], report["used"], report["problem"]) == (True, 1, "")
    (target,) = report["targets"]
    assert target["connected"] == f"{HOST}:{capulet.port}"
    assert target["before_tls"]["starttls"] == "offered"
    assert target["tls"]["version"] == "TLSv1.3"
    assert target["inside_tls"] == {
        "starttls": "",
        "mechanisms": ["EXTERNAL"],
        "dialback": "errors",
        "bidi": ["urn:xmpp:features:bidi"],
        "limits": {"max-bytes": "9999"},
        "stream_management": True,
        "others": ["{urn:example:new}new"],
    }
    assert target["certificate"]["valid"] is True
    assert target["certificate"]["leaf"]["names"] == [CAPULET]
    assert target["proof"]["by"] == "external"
    assert target["bidi"]["would"] is True
    assert "by certificate (SASL EXTERNAL), both ways on it" in text(report)


async def test_nothing_is_proved_and_the_stream_is_closed_in_order(
    issuer: Authority, capulet: Peer
) -> None:
    received: list[str] = []

    async def serve() -> None:
        wire = await capulet.greet(*ALL)
        await wire.send(END)
        received.append(await wire.ended())

    await against(capulet, settings(issuer), serve())
    assert received == [END]


async def test_a_peer_that_never_answers_the_end_is_good_all_the_same(
    issuer: Authority, capulet: Peer
) -> None:
    async def serve() -> None:
        wire = await capulet.greet(*ALL)
        await wire.ended()

    report = await against(capulet, settings(issuer), serve())
    assert report["ok"] is True


async def test_a_certificate_for_another_name(issuer: Authority) -> None:
    async with scripted(CAPULET, MONTAGUE, certificate(issuer, TYBALT)) as peer:
        report = await against(peer, settings(issuer), greeted(peer, *ALL))
        (target,) = report["targets"]
        assert target["certificate"]["valid"] is False
        assert target["certificate"]["trusted"] is True
        assert "is for tybalt.example, not capulet.example" in target["certificate"]["reason"]
        assert report["ok"] is True, "where dialback is enough, so is DNS"
        strict = PeerRules(require="certificate")
        report = await against(peer, settings(issuer), greeted(peer, *ALL), strict)
        assert report["ok"] is False
        assert "its certificate is required" in report["targets"][0]["problem"]
        assert report["targets"][0]["inside_tls"] is not None, "looked at all the same"


async def test_a_certificate_that_soon_ends(issuer: Authority, capulet: Peer) -> None:
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=3, hours=1)
    file, _ = issuer.issue(CAPULET, into=issuer.directory / "soon", not_after=soon)
    async with scripted(CAPULET, MONTAGUE, file) as peer:
        report = await against(peer, settings(issuer), greeted(peer, *ALL))
    assert report["targets"][0]["certificate"]["leaf"]["days_left"] == 3
    assert "its certificate expires in 3 days" in text(report)


@pytest.mark.parametrize(
    ("offered", "enabled", "proof", "reason"),
    [
        (ALL, True, "external", "takes our certificate"),
        ((DIALBACK_FEATURE,), True, "dialback", "does not offer EXTERNAL"),
        ((DIALBACK_FEATURE,), False, "none", "dialback is off here"),
        ((), True, "dialback", "does not offer EXTERNAL"),  # its header declares the namespace
    ],
)
async def test_how_we_would_prove_ourselves(
    issuer: Authority,
    capulet: Peer,
    offered: tuple[str, ...],
    enabled: bool,
    proof: str,
    reason: str,
) -> None:
    config = settings(issuer, dialback=Dialback(enabled=enabled, secret="art thou"))
    report = await against(capulet, config, greeted(capulet, *offered))
    (target,) = report["targets"]
    assert target["proof"]["by"] == proof
    assert reason in target["proof"]["reason"]
    assert report["ok"] is (proof != "none")


async def test_why_bidi_would_not_be_used(issuer: Authority, capulet: Peer) -> None:
    config = settings(issuer)
    report = await against(capulet, config, greeted(capulet, EXTERNAL_FEATURE))
    assert report["targets"][0]["bidi"] == {"would": False, "reason": "it does not offer bidi"}
    off = PeerRules(bidi=False)
    report = await against(capulet, config, greeted(capulet, *ALL), off)
    assert "the configuration turns it off" in report["targets"][0]["bidi"]["reason"]
    assert "one way" in text(report)


async def test_a_stream_error(issuer: Authority, capulet: Peer) -> None:
    async def serve() -> None:
        wire = await capulet.accepted()
        await wire.until(">")
        await wire.send(
            header(CAPULET, MONTAGUE, id="x")
            + "<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"
            "<text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>not\u202e here</text>"
            "</stream:error></stream:stream>"
        )
        await wire.ended()

    report = await against(capulet, settings(issuer), serve())
    assert report["ok"] is False
    (target,) = report["targets"]
    assert target["stream_error"] == {
        "condition": "host-unknown",
        "by_peer": True,
        "text": "not\\u202e here",
    }
    assert target["next"] is False, "the router would not try another target either"
    assert "host-unknown (from the peer): not\\u202e here" in text(report)


async def test_starttls_that_is_not_offered_is_asked_for(issuer: Authority, capulet: Peer) -> None:
    async def serve() -> None:
        wire = await capulet.accepted()
        await wire.until(">")
        await wire.send(header(CAPULET, MONTAGUE, id="x") + features(DIALBACK_FEATURE))
        await wire.until(STARTTLS)
        await wire.send("<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>")
        await wire.ended()

    report = await against(capulet, settings(issuer), serve())
    (target,) = report["targets"]
    assert (report["ok"], target["problem"]) == (False, "the peer refused STARTTLS")
    assert target["before_tls"]["starttls"] == ""
    assert "no STARTTLS; dialback with errors" in text(report)
    assert "proving us" not in text(report)


async def test_plaintext_where_the_configuration_is_content_with_it(
    issuer: Authority, capulet: Peer
) -> None:
    async def serve() -> None:
        wire = await capulet.accepted()
        await wire.until(">")
        await wire.send(header(CAPULET, MONTAGUE, id="x") + features(DIALBACK_FEATURE))
        await wire.closed_in_order()

    tls = Tls(issuer.directory, str(issuer.anchors), required=False)
    report = await against(capulet, settings(issuer, tls=tls), serve())
    (target,) = report["targets"]
    assert (report["ok"], target["proof"]["by"], target["tls"]) == (True, "dialback", None)


async def test_a_tls_handshake_that_fails(issuer: Authority, capulet: Peer) -> None:
    async def serve() -> None:
        wire = await capulet.accepted()
        await wire.until(">")
        await wire.send(header(CAPULET, MONTAGUE, id="x") + features(STARTTLS))
        await wire.until(STARTTLS)
        await wire.send(PROCEED)
        await wire.until("\x16")  # the record of the ClientHello
        await wire.send("this is no TLS at all")
        await wire.ended()

    report = await against(capulet, settings(issuer), serve())
    (target,) = report["targets"]
    assert target["problem"].startswith("TLS failed: ")
    assert target["next"] is True


async def test_a_peer_that_says_nothing(
    issuer: Authority, capulet: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "BOUND_S", 0.3)
    report = await against(capulet, settings(issuer), asyncio.Event().wait())
    problem = report["targets"][0]["problem"]
    assert problem.startswith("no answer within") and "waiting for the header" in problem


# --- where the peer is ---------------------------------------------------------------------------


async def test_a_domain_that_is_nowhere(issuer: Authority) -> None:
    with Nameserver({}) as server:
        dns = Dns(resolvers=(Address(HOST, server.port),))
        report = await examined(settings(issuer, dns=dns), PAIR)
    assert (report["ok"], report["targets"]) == (False, [])
    assert report["problem"].startswith("remote-server-not-found")
    assert "_xmpp-server._tcp  no records" in text(report)
    assert text(report).endswith("has no address).")


async def test_records_in_order_with_what_is_not_used(
    issuer: Authority, capulet: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone = {
        f"_xmpp-server._tcp.{CAPULET}": {
            "SRV": [f"20 0 {capulet.port} here.{CAPULET}.", f"10 7 22 ssh.{CAPULET}."]
        },
        f"_xmpps-server._tcp.{CAPULET}": {"SRV": ["0 0 0 ."]},
        f"here.{CAPULET}": {"A": [HOST]},
    }
    with Nameserver(zone) as server:
        dns = Dns(resolvers=(Address(HOST, server.port),))
        task = asyncio.ensure_future(greeted(capulet, *ALL))
        report = await examined(settings(issuer, dns=dns), PAIR)
        await task
        strangers = settings(issuer, dns=dns, dial=Dial(allow_private_addresses=False))
        filtered = await examined(strangers, PAIR)
    assert report["ok"] is True
    starttls, direct = report["services"]
    assert [(each["host"], each["usable"]) for each in starttls["records"]] == [
        (f"here.{CAPULET}", True),
        (f"ssh.{CAPULET}", False),
    ]
    assert [each["host"] for each in direct["records"]] == ["."]
    shown = text(report)
    assert "priority 10, weight 7: ssh.capulet.example port 22, which is a port of another" in shown
    assert "_xmpps-server._tcp  priority 0, weight 0: none" in shown
    (address,) = filtered["targets"][0]["addresses"]
    assert "allow_private_addresses" in address["refused"]
    assert filtered["targets"][0]["problem"] == "no address that may be dialled"


async def test_a_name_that_leads_to_ourselves(issuer: Authority) -> None:
    zone = {f"_xmpp-server._tcp.{CAPULET}": {"SRV": [f"0 0 5269 {HERE}"]}, HERE[:-1]: {"A": [HOST]}}
    with Nameserver(zone) as server:
        dns = Dns(resolvers=(Address(HOST, server.port),))
        report = await examined(settings(issuer, dns=dns), PAIR)
    (address,) = report["targets"][0]["addresses"]
    assert address == {"address": HOST, "refused": "we listen there ourselves"}


async def test_without_records_the_domain_itself_is_tried(issuer: Authority) -> None:
    with Nameserver({CAPULET: {"A": ["192.0.2.1"]}}) as server:
        dns = Dns(resolvers=(Address(HOST, server.port),))
        report = await examined(settings(issuer, dns=dns, dial=Dial()), PAIR)
    assert report["is_fallback"] is True
    assert [(each["host"], each["port"]) for each in report["targets"]] == [(CAPULET, 5269)]
    assert "port 5269 of the domain itself is tried" in text(report)


async def test_a_refused_connection_and_then_the_next_target(
    issuer: Authority, capulet: Peer
) -> None:
    zone = {
        f"_xmpp-server._tcp.{CAPULET}": {
            "SRV": [f"10 0 {_closed_port()} {HERE}", f"20 0 {capulet.port} {HERE}"]
        },
        f"here.{CAPULET}": {"A": [HOST]},
    }
    with Nameserver(zone) as server:
        dns = Dns(resolvers=(Address(HOST, server.port),))
        task = asyncio.ensure_future(greeted(capulet, *ALL))
        report = await examined(settings(issuer, dns=dns), PAIR)
        await task
    assert report["targets"][0]["problem"].endswith(": Connection refused")
    assert (report["ok"], report["used"]) == (True, 2)


def _closed_port() -> int:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        port: int = taken.getsockname()[1]
        return port


async def test_too_many_targets_are_not_all_looked_at(
    issuer: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [f"{number} 0 {_closed_port()} here.{CAPULET}." for number in range(10)]
    zone = {
        f"_xmpp-server._tcp.{CAPULET}": {"SRV": records},
        f"here.{CAPULET}": {"A": [HOST]},
    }
    with Nameserver(zone) as server:
        dns = Dns(resolvers=(Address(HOST, server.port),))
        report = await examined(settings(issuer, dns=dns), PAIR)
    assert len(report["targets"]) == check_domain.MAX_TARGETS
    assert report["problem"] == "2 more targets were left out"


async def test_a_denied_domain_is_looked_at_and_not_dialled(
    issuer: Authority, capulet: Peer
) -> None:
    denied = PeerRules(deny=True)
    report = await against(capulet, settings(issuer), greeted(capulet, *ALL), denied)
    assert report["targets"][0]["usable"] is True
    assert (report["ok"], report["used"]) == (False, None)
    assert text(report).endswith("(the configuration denies this domain).")


async def test_a_denied_domain_that_is_nowhere(issuer: Authority) -> None:
    with Nameserver({}) as server:
        dns = Dns(resolvers=(Address(HOST, server.port),))
        peers = {CAPULET: PeerRules(deny=True)}
        report = await examined(settings(issuer, dns=dns, peers=peers), PAIR)
    assert report["problem"].startswith("the configuration denies this domain; remote-server-not")


@pytest.mark.parametrize("trusted", [True, False])
async def test_a_server_behind_us(
    issuer: Authority, capulet: Peer, trusted: bool, tmp_path: Path
) -> None:
    """By its own anchors, with dialback even where that is off outside, and in anybody's name."""
    anchors = issuer.anchors if trusted else Authority.make(tmp_path).anchors
    behind = Domain("server", target=Address(HOST, capulet.port))
    config = settings(
        issuer,
        domains={CAPULET: behind},
        inside=Inside(trust_anchors=str(anchors)),
        dialback=Dialback(enabled=False),
    )
    task = asyncio.ensure_future(greeted(capulet, DIALBACK_FEATURE, BIDI_FEATURE))
    report = await examined(config, DomainPair(TYBALT, CAPULET))
    await task
    assert (report["ok"], report["route"]) == (True, "inside")
    (target,) = report["targets"]
    assert target["proof"]["by"] == "dialback"
    assert target["certificate"]["valid"] is trusted
    assert target["bidi"]["would"]
    assert "a server behind the router" in "\n".join(lines(report, None))
