"""The rules of [e2e] that join several keys."""

import pytest

from router.config import Address, Config, Domain, E2e, Express, Listen
from router.config_e2e import check_e2e, e2e_listeners
from router.xmpp.pair import DomainPair

RELAY, OTHER = "relay.montague.example", "relay.capulet.example"
PAIR = DomainPair("montague.example", "capulet.example")
SOCKS5 = (Address("127.0.0.1", 1080),)
LAN = Address("127.0.0.1", 5298)


def faults(e2e: E2e) -> dict[str, str]:
    found: dict[str, str] = {}
    config = Config(e2e=e2e, domains={"montague.example": Domain("component", secret="x")})
    check_e2e(config, lambda key, message: found.update({".".join(key): message}))
    return found


@pytest.mark.parametrize(
    "e2e",
    [
        E2e(),
        E2e(RELAY),
        E2e(RELAY, accept=("capulet.example", "juliet@capulet.example/balcony")),
        E2e(RELAY, server=Address("10.0.0.9", 5347), secret="s3cr3t"),
        E2e(RELAY, socks5=SOCKS5, socks5_public=(Address("relay", 1080),), proxy=True),
        E2e(RELAY, accept=("capulet.example",), lan=LAN, lan_name="relay@pronto"),
        E2e(RELAY, express=(Express(OTHER, (PAIR,)), Express("juliet@capulet.example"))),
    ],
)
def test_what_goes_together(e2e: E2e) -> None:
    assert faults(e2e) == {}


@pytest.mark.parametrize(
    ("e2e", "key", "reason"),
    [
        (E2e(accept=("capulet.example",)), "e2e.jid", "accept is nothing without it"),
        (E2e(express=(Express(OTHER, (PAIR,)),)), "e2e.jid", "express is nothing"),
        (E2e("montague.example"), "e2e.jid", "[domains]"),
        (E2e(RELAY, server=Address("10.0.0.9", 5347)), "e2e.secret", "is missing"),
        (E2e(RELAY, secret="s3cr3t"), "e2e.secret", "goes with server only"),
        (E2e(lan=LAN), "e2e.jid", "lan is nothing without it"),
        (E2e(RELAY, lan_name="relay@pronto"), "e2e.lan_name", "goes with lan only"),
        (E2e(RELAY, proxy=True), "e2e.proxy", "socks5"),
        (E2e(RELAY, socks5_public=SOCKS5), "e2e.socks5_public", "socks5"),
        (E2e(RELAY, express=(Express(OTHER),)), "e2e.express.0.pairs", "which pairs"),
        (E2e(RELAY, express=(Express(RELAY, (PAIR,)),)), "e2e.express.0.peer", "hosted here"),
        (
            E2e(RELAY, express=(Express(f"x@{OTHER}", (PAIR,)),)),
            "e2e.express.0.pairs",
            "only a peer that is a domain",
        ),
        (
            E2e(RELAY, express=(Express(OTHER, (PAIR.inverse(),)),)),
            "e2e.express.0.pairs",
            "the first is hosted here",
        ),
        (
            E2e(RELAY, express=(Express(OTHER, (PAIR,)), Express("third.example", (PAIR,)))),
            "e2e.express.1.pairs",
            "has another express lane",
        ),
        (
            E2e(RELAY, express=(Express(f"x@{OTHER}"), Express(f"x@{OTHER}"))),
            "e2e.express.1.peer",
            "twice",
        ),
    ],
)
def test_what_does_not(e2e: E2e, key: str, reason: str) -> None:
    found = faults(e2e)
    assert found.keys() == {key}
    assert reason in found[key]


def test_a_missing_jid_is_told_once() -> None:
    assert faults(E2e(accept=("a.example",), socks5=SOCKS5)).keys() == {"e2e.jid"}


def test_listeners_are_named_by_their_keys() -> None:
    config = Config(listen=Listen(), e2e=E2e(RELAY, socks5=SOCKS5 * 2, lan=LAN))
    keys = [key for key, _ in e2e_listeners(config)]
    assert keys == [("e2e", "socks5", "0"), ("e2e", "socks5", "1"), ("e2e", "lan")]


def test_finding_others_on_the_link_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router.config_e2e.find_spec", lambda name: None)
    found = faults(E2e(RELAY, lan=LAN))
    assert found.keys() == {"e2e.lan"}
    assert "causeway[lan]" in found["e2e.lan"]
