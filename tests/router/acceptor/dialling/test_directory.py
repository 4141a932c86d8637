"""Which open streams a dial gets to look at: few, and every one that may lead there."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography import x509

from bench.authority import Authority
from router.acceptor.certificates.verdict import Verifier
from router.acceptor.dialling.directory import Directory
from router.acceptor.dialling.sharing import Place
from router.xmpp.certificate import Evidence
from router.xmpp.initiating import InitiatingStream
from router.xmpp.receiving import ReceivingStream
from tests.support.pump import CAPULET, MONTAGUE, Proves, authenticated, outbound, policy

LEAR = "lear.example"
HOME: Place = ("192.0.2.1", 5269)
AWAY: Place = ("192.0.2.9", 5269)
US = policy(MONTAGUE)


class Streams:
    """A directory, and streams put into it."""

    def __init__(self) -> None:
        self.directory = Directory()
        self._numbers = iter(range(1, 100))

    def put(
        self, core: InitiatingStream | ReceivingStream, *remotes: str, peer: Place = HOME
    ) -> SimpleNamespace:
        """A stream on which these domains were proved."""
        connection = SimpleNamespace(core=core, number=next(self._numbers), peer=peer)
        for remote in remotes:
            self.directory.proved(connection, remote)  # type: ignore[arg-type]
        return connection

    def numbers(self, domain: str, *places: Place) -> list[int]:
        return sorted(found.number for found in self.directory.leading_to(domain, places))


@pytest.fixture
def streams() -> Streams:
    return Streams()


def ours(evidence: Evidence | None = None) -> InitiatingStream:
    """A stream of ours to CAPULET."""
    core = outbound(US, Proves())
    core.evidence = evidence or core.evidence
    return core


@pytest.fixture
def shows(tmp_path: Path) -> Iterator[object]:
    """The evidence of a certificate issued for these names."""
    authority = Authority.make(tmp_path)
    verifier = Verifier(authority.anchors)

    def evidence(*dns: str, **others: list[str]) -> Evidence:
        file, _ = authority.issue("leaf", dns=dns, **others)  # type: ignore[arg-type]
        return verifier.evidence(x509.load_pem_x509_certificates(file.read_bytes()))

    yield evidence


def test_by_what_was_proved_and_by_place(streams: Streams) -> None:
    streams.put(ours(), CAPULET)
    streams.put(ours(), LEAR, peer=AWAY)
    assert streams.numbers(CAPULET) == [1]
    assert streams.numbers(LEAR) == [2]
    assert streams.numbers(LEAR, HOME) == [1, 2]
    assert streams.numbers("nobody.example", AWAY) == [2]
    assert streams.numbers("nobody.example") == []


def test_a_further_domain_of_a_stream(streams: Streams) -> None:
    streams.put(ours(), CAPULET, LEAR)
    assert streams.numbers(LEAR) == streams.numbers(CAPULET) == [1]


def test_by_every_kind_of_name_in_the_certificate(streams: Streams, shows) -> None:  # type: ignore[no-untyped-def]
    streams.put(ours(shows("one.example", "*.two.example")), CAPULET)
    streams.put(ours(shows(srv=["_xmpp-server.three.example"], xmpp=["bücher.example"])), CAPULET)
    assert streams.numbers("one.example") == [1]
    assert streams.numbers("any.two.example") == [1]
    assert streams.numbers("two.example") == []
    assert streams.numbers("three.example") == [2]
    assert streams.numbers("bücher.example") == [2]


def test_a_peer_s_stream_only_with_bidi_and_never_by_its_place(streams: Streams) -> None:
    streams.put(authenticated(US, bidi=True), CAPULET)
    streams.put(authenticated(US, bidi=False), CAPULET)
    assert streams.numbers(CAPULET) == [1]
    assert streams.numbers(LEAR, HOME) == []


def test_what_is_over_is_forgotten(streams: Streams) -> None:
    first = streams.put(ours(), CAPULET)
    streams.put(ours(), CAPULET)
    streams.directory.gone(first)  # type: ignore[arg-type]
    assert streams.numbers(CAPULET, HOME) == [2]
    streams.directory.gone(first)  # type: ignore[arg-type]
    streams.directory.gone(SimpleNamespace(number=2))  # type: ignore[arg-type]
    assert streams.numbers(CAPULET, HOME) == []
    assert not streams.directory._by_key
