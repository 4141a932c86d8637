"""Which combinations are measured, in which order."""

from bench.bidi.cell import Cell, cells


def test_off_comes_right_before_on() -> None:
    found = cells((1, 50), ("external", "dialback"), ("causeway-prosody",), (0,), ("request",))
    assert [each.bidi for each in found] == [False, True] * 4
    for off, on in zip(found[::2], found[1::2], strict=True):
        assert (off.auth, off.pairs) == (on.auth, on.pairs)
    assert {(each.auth, each.pairs) for each in found} == {
        (auth, pairs) for auth in ("external", "dialback") for pairs in (1, 50)
    }


def test_one_certificate_a_node_is_a_question_between_two_of_ours() -> None:
    between = ("causeway-causeway", "causeway-prosody", "prosody-prosody")
    found = cells((1,), ("external",), between, (0,), ("request",))
    assert {each.between for each in found if each.certificates == "node"} == {between[0]}
    assert {each.between for each in found if each.certificates == "domain"} == set(between)


def test_one_way_stays_near() -> None:
    found = cells((1,), ("external",), ("prosody-prosody",), (10, 50), ("request", "one-way"))
    assert {(each.mix, each.rtt_ms) for each in found} == {
        ("request", 10),
        ("request", 50),
        ("one-way", 10),
    }


def test_a_cell_says_which_servers_it_is_between() -> None:
    cell = Cell("causeway-prosody", "dialback", "domain", "one-way", 10, 50, True)
    assert cell.servers == ("causeway", "prosody")
    assert cell.words() == (
        "causeway-prosody, dialback, a certificate a domain, one-way, 10 pairs, 50 ms, bidi on"
    )
