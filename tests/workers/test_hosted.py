"""Who may attach as a hosted domain, and where it is served (XEP-0114)."""

import pytest

from router.config import Address, Config, Domain, E2e
from router.wire.frames import StreamId
from router.wire.shard import shard_of
from router.xmpp.pair import DomainPair
from workers.hosted import Attachments, attaching

DOMAIN = "montague.example"
ONE, OTHER = StreamId("a0.1", 1), StreamId("a1.1", 1)


@pytest.fixture
def attachments() -> Attachments:
    return Attachments(frozenset({DOMAIN}))


@pytest.mark.clause("CMP-02")
def test_one_at_a_time(attachments):
    assert attachments.reserve(DOMAIN, ONE)
    assert attachments.reserve(DOMAIN, ONE), "the same question, asked again"
    assert not attachments.reserve(DOMAIN, OTHER)
    attachments.attach(DOMAIN, ONE)
    assert not attachments.reserve(DOMAIN, OTHER)
    attachments.detach(DOMAIN, ONE)
    assert attachments.stream(DOMAIN) is None
    assert attachments.reserve(DOMAIN, OTHER)


@pytest.mark.clause("CMP-02")
def test_a_domain_not_hosted_never_attaches(attachments):
    assert not attachments.reserve("capulet.example", ONE)
    assert not attachments.is_hosted("capulet.example")


def test_a_reservation_ends_without_an_attachment(attachments):
    attachments.reserve(DOMAIN, ONE)
    attachments.detach(DOMAIN, ONE)
    assert attachments.reserve(DOMAIN, OTHER)


def test_news_of_an_older_attachment_does_not_end_the_newer(attachments):
    attachments.attach(DOMAIN, ONE)
    attachments.attach(DOMAIN, OTHER)
    attachments.detach(DOMAIN, ONE)
    assert attachments.stream(DOMAIN) == OTHER


def test_an_acceptor_takes_attachments_and_reservations_along(attachments):
    attachments.attach(DOMAIN, ONE)
    attachments.acceptor_gone("a0.1")
    assert attachments.stream(DOMAIN) is None
    attachments.reserve(DOMAIN, ONE)
    attachments.acceptor_gone("a0.1")
    assert attachments.reserve(DOMAIN, OTHER)


def test_a_lost_shard_takes_the_reservation_but_not_the_attachment(attachments):
    shard = shard_of(DOMAIN, DOMAIN)
    attachments.reserve(DOMAIN, ONE)
    attachments.shards_lost({shard})
    assert attachments.reserve(DOMAIN, OTHER)
    attachments.attach(DOMAIN, OTHER)
    attachments.shards_lost({shard})
    assert attachments.stream(DOMAIN) == OTHER


def test_who_comes_to_us_and_who_is_behind_us():
    server = Domain("server", target=Address("10.0.0.7", 5269))
    config = Config(
        domains={DOMAIN: Domain("component", secret="s"), "verona.example": server},
        e2e=E2e(jid="relay.montague.example"),
    )
    assert attaching(config) == {DOMAIN, "relay.montague.example"}
    attachments = Attachments(attaching(config), config.servers)
    assert not attachments.is_hosted("verona.example")
    assert attachments.is_behind_us("verona.example")
    verona, capulet = "verona.example", "capulet.example"
    for pair in ((verona, capulet), (capulet, verona), (DOMAIN, capulet), (verona, "x.example")):
        assert attachments.is_ours(DomainPair(*pair))
    assert not attachments.is_ours(DomainPair(capulet, "x.example"))
