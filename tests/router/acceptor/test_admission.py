"""How many strangers may be connected at once: by address, by /64, and in all."""

import pytest

from router.acceptor.admission import Admission


@pytest.mark.clause("ERR-05")
def test_an_address_has_its_share_and_no_more() -> None:
    admission = Admission(per_address=2, overall=100)
    assert admission.admit(1, "192.0.2.1")
    assert admission.admit(2, "192.0.2.1")
    assert not admission.admit(3, "192.0.2.1")
    assert admission.admit(4, "192.0.2.2")


@pytest.mark.clause("ERR-05")
def test_the_whole_of_an_ipv6_64_is_one_address() -> None:
    admission = Admission(per_address=1, overall=100)
    assert admission.admit(1, "2001:db8:0:1::1")
    assert not admission.admit(2, "2001:db8:0:1:ffff:ffff:ffff:ffff")
    assert admission.admit(3, "2001:db8:0:2::1")


@pytest.mark.parametrize("same", ["::ffff:192.0.2.1", "192.0.2.1"])
def test_an_ipv4_address_is_one_address_however_it_came(same: str) -> None:
    admission = Admission(per_address=1, overall=100)
    assert admission.admit(1, "192.0.2.1")
    assert not admission.admit(2, same)
    assert admission.admit(3, "::ffff:192.0.2.2")


def test_a_zone_is_no_part_of_the_address() -> None:
    admission = Admission(per_address=1, overall=100)
    assert admission.admit(1, "fe80::1%eth0")
    assert not admission.admit(2, "fe80::1%eth1")


def test_all_addresses_together_have_a_limit() -> None:
    admission = Admission(per_address=100, overall=2)
    assert admission.admit(1, "192.0.2.1")
    assert admission.admit(2, "192.0.2.2")
    assert not admission.admit(3, "192.0.2.3")


def test_who_has_proved_itself_or_is_gone_makes_room_once() -> None:
    admission = Admission(per_address=2, overall=2)
    admission.admit(1, "192.0.2.1")
    admission.admit(2, "192.0.2.1")
    admission.settled(1)
    admission.settled(1)
    assert admission.admit(3, "192.0.2.1")
    assert not admission.admit(4, "192.0.2.1")


def test_who_was_refused_counts_for_nothing() -> None:
    admission = Admission(per_address=1, overall=100)
    admission.admit(1, "192.0.2.1")
    assert not admission.admit(2, "192.0.2.1")
    admission.settled(2)
    assert not admission.admit(3, "192.0.2.1")
    admission.settled(1)
    assert admission.admit(4, "192.0.2.1")


def test_without_room_strangers_are_refused_and_components_are_not() -> None:
    has_room = False
    admission = Admission(per_address=9, overall=9, has_room=lambda: has_room)
    assert not admission.admit(1, "192.0.2.1")
    assert admission.admit(2, "192.0.2.1", is_ours=True)
    has_room = True
    assert admission.admit(3, "192.0.2.1")


def test_what_is_hosted_here_may_all_come_from_one_address() -> None:
    admission = Admission(per_address=1, overall=3)
    assert [admission.admit(number, "10.0.0.7", is_ours=True) for number in range(4)] == [
        *(True, True, True),
        False,
    ]
