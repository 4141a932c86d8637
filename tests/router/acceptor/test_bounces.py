"""The share of errors a remote domain gets, and that hosted ones get all."""

import pytest

from router.acceptor.bounces import MAX_DOMAINS, Bounces
from router.acceptor.ingress import Ingress
from router.acceptor.window import Window
from router.config import Config, Domain, Limits
from router.wire.owner import Owner
from tests.router.acceptor.test_ingress import Books, Stream, stanza

HOSTED, REMOTE = "montague.example", "capulet.example"


class Rig:
    def __init__(self, per_s: int = 5) -> None:
        self.now = 100.0
        self.bounces = Bounces(config(per_s), lambda: self.now)

    def sent(self, asked: int, domain: str = REMOTE) -> int:
        return sum(self.bounces.may_go_to(domain) for _ in range(asked))


def config(per_s: int, *hosted: str) -> Config:
    domains = dict.fromkeys((HOSTED, *hosted), Domain("component", "s3cr3t"))
    return Config(limits=Limits(bounces_per_s=per_s), domains=domains)


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_a_remote_domain_gets_four_seconds_worth_at_once_then_its_rate(rig: Rig) -> None:
    assert rig.sent(100) == 20
    rig.now += 1
    assert rig.sent(100) == 5
    rig.now += 0.1
    assert rig.sent(100) == 0


def test_what_was_refused_costs_nothing_later(rig: Rig) -> None:
    assert rig.sent(10_000) == 20
    rig.now += 100
    assert rig.sent(100) == 20


def test_each_domain_has_its_own_share(rig: Rig) -> None:
    assert (rig.sent(30), rig.sent(30, "verona.example")) == (20, 20)


def test_hosted_domains_get_all(rig: Rig) -> None:
    assert rig.sent(1000, HOSTED) == 1000


def test_a_rate_of_0_is_none(rig: Rig) -> None:
    rig.bounces.reload(config(0))
    assert rig.sent(1000) == 1000


def test_a_reload_says_anew_who_is_hosted_and_what_others_get(rig: Rig) -> None:
    assert rig.sent(30) == 20
    rig.bounces.reload(config(50, "verona.example"))
    assert (rig.sent(500), rig.sent(500, "verona.example")) == (200, 500)


def test_the_domain_that_was_not_asked_about_for_longest_is_forgotten(rig: Rig) -> None:
    for number in range(MAX_DOMAINS):
        assert rig.sent(21, f"d{number}.example") == 20
    assert rig.sent(1, "d0.example") == 0
    rig.sent(1, "one.more.example")
    assert rig.sent(1, "d0.example") == 0
    assert rig.sent(1, "d1.example") == 1


def test_beyond_its_share_a_domain_s_stanzas_are_unbounceable_and_the_books_balance() -> None:
    books, rig = Books(), Rig(per_s=1)
    owner = Owner("a0.1", books.leases)
    books.ingress = Ingress(
        owner,
        books.counters,
        Window(owner, 10_000, 10_000),
        to_shard=books.sent.to_shard,
        to_acceptor=books.sent.to_acceptor,
        call_later=lambda after_s, work: None,
        may_bounce_to=rig.bounces.may_go_to,
    )
    data = books.run(Stream(), stanza() * 3 + stanza("iq", "result") + stanza() * 6)
    books.reject(data)
    answers = books.sent.data()[-1]
    assert (answers.pair, answers.counts.total) == (data.pair.inverse(), 4)
    assert (books.outcomes("bounced"), books.outcomes("unbounceable")) == (4, 6)
    books.check()
