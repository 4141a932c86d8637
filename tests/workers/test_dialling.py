"""One acceptor for each remote domain, the same for every worker."""

from collections import Counter

from workers.dialling import dialler

ACCEPTORS = ("a0.1", "a1.1", "a2.1")


def test_the_same_whatever_the_order_they_are_named_in() -> None:
    domains = [f"d{number}.example" for number in range(100)]
    assert [dialler(each, ACCEPTORS) for each in domains] == [
        dialler(each, ACCEPTORS[::-1]) for each in domains
    ]


def test_domains_are_spread() -> None:
    found = Counter(dialler(f"d{number}.example", ACCEPTORS) for number in range(300))
    assert set(found) == set(ACCEPTORS)
    assert min(found.values()) > 60


def test_domains_of_one_site_stay_together() -> None:
    for number in range(50):
        site = f"s{number}.example"
        chosen = {dialler(each, ACCEPTORS) for each in (site, f"chat.{site}", f"a.b.{site}")}
        assert len(chosen) == 1


def test_a_replaced_acceptor_keeps_its_domains() -> None:
    replaced = ("a0.1", "a1.2", "a2.1")
    for number in range(50):
        before, after = (dialler(f"d{number}.example", each) for each in (ACCEPTORS, replaced))
        assert before is not None and after is not None
        assert before.partition(".")[0] == after.partition(".")[0]


def test_one_that_goes_takes_only_its_own_along() -> None:
    for number in range(50):
        before = dialler(f"d{number}.example", ACCEPTORS)
        after = dialler(f"d{number}.example", ACCEPTORS[:2])
        assert after == before or before == ACCEPTORS[2]


def test_nobody_is_here() -> None:
    assert dialler("capulet.example", ()) is None
