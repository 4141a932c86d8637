"""The addresses of a stanza: valid or not, normalised, remembered within bounds."""

import pytest

from router.xmpp.jid import JidError
from router.xmpp.pair import DomainPair
from router.xmpp.reader import Counts, Faulty, Run, address
from tests.router.xmpp.reader.reading import HEADER, read

AB = DomainPair("a.example", "b.example")
M = b"<message from='u@a.example/r' to='v@b.example'><body>x</body></message>"


@pytest.mark.clause("RTE-06")
@pytest.mark.parametrize(
    "to",
    [
        'a"b@b.example',
        "a b@b.example",
        "a<@b.example",
        "a:b@b.example",
        "@b.example",
        "b.example/",
        "u@b.example/\x7f",
        "u" * 1024 + "@b.example",
        "ä" * 512 + "@b.example",
        "b.example/" + "r" * 1024,
    ],
)
def test_a_malformed_recipient_is_answered_for_that_stanza_only(to: str) -> None:
    escaped = to.replace('"', "&quot;").replace("<", "&lt;").encode()
    stanza = M.replace(b"v@b.example", escaped)
    _, before, faulty, after = read(HEADER + M + stanza + M)
    assert before.octets == after.octets == M
    assert isinstance(faulty, Faulty)
    assert (faulty.pair, faulty.octets) == (AB, stanza)
    assert (faulty.error.condition, faulty.error.type) == ("jid-malformed", "modify")


@pytest.mark.clause("RTE-06")
@pytest.mark.parametrize("to", [b"u" * 1023 + b"@b.example", b"b.example/" + b"r" * 1023])
def test_parts_of_1023_octets_are_allowed(to: bytes) -> None:
    assert isinstance(read(HEADER + M.replace(b"v@b.example", to))[1], Run)


@pytest.mark.clause("RTE-13")
@pytest.mark.parametrize("domain", ["A.Example", "a.example.", "a.EXAMPLE/r@c", "u@a.example"])
def test_pairs_are_of_normalised_domains(domain: str) -> None:
    stanza = M.replace(b"u@a.example/r", domain.encode())
    assert read(HEADER + stanza + M)[1] == Run(AB, Counts(2, 0, 0), stanza + M)


@pytest.mark.clause("RTE-01", "RTE-13")
@pytest.mark.parametrize("bad", ["", "@", "u@", "/r", "a..b", "a b", "u@v@a.example", "-a.example"])
def test_an_address_without_a_valid_domain_is_nobodys(bad: str) -> None:
    with pytest.raises(JidError):
        address.sender(bad)
    with pytest.raises(JidError):
        address.target(bad)


def test_what_is_remembered_stays_within_bounds() -> None:
    for i in range(17_000):
        address.sender(f"u{i}@a.example")
        address.target(f"u{i}@a.example")
    assert 0 < len(address.senders) <= 16_384
    assert 0 < len(address.targets) <= 16_384
    long = "u" * 200 + "@a.example"
    assert address.sender(long) == address.target(long)[0] == "a.example"
    assert long not in address.senders
    assert long not in address.targets
