"""The rules of servers behind the router that join several keys, and what their peers' table is."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from router.config import Address, Config, Dialback, Domain, Inside, Listen, Peer
from router.config_file import load
from router.config_gateway import check_gateway, check_secrets
from tests.support.certificate_files import write_certificate

INSIDE = Listen(inside=(Address("10.0.0.1", 5268),))
TARGET = Address("10.0.0.7", 5269)
SERVER = Domain("server", target=TARGET)
COMPONENT = Domain("component", secret="x")
GATEWAY = Config(listen=INSIDE, domains={"verona.example": SERVER})


def faults(config: Config, raw: Mapping[str, Any] | None = None) -> dict[str, str]:
    found: dict[str, str] = {}

    def refuse(key: tuple[str, ...], message: str) -> None:
        found["/".join(key)] = message

    check_gateway(config, {"domains": raw or {}}, refuse)
    check_secrets(config, refuse)
    return found


def with_domains(**changes: Domain) -> Config:
    named = {name.replace("_", "."): domain for name, domain in changes.items()}
    return replace(GATEWAY, domains={**GATEWAY.domains, **named})


def test_what_goes_together() -> None:
    assert faults(GATEWAY) == {}
    below = replace(GATEWAY, domains={**GATEWAY.domains, "*.verona.example": SERVER})
    assert faults(below) == {}
    assert faults(Config(domains={"montague.example": COMPONENT})) == {}


@pytest.mark.parametrize(
    ("config", "key", "reason"),
    [
        (replace(GATEWAY, listen=Listen()), "listen/inside", "verona.example reaches others"),
        (replace(GATEWAY, domains={}), "listen/inside", "there is none"),
        (
            replace(GATEWAY, listen=Listen(inside=(Address("10.0.0.1", 5269),))),
            "listen/inside/0",
            "listen.s2s has port 5269 of every address",
        ),
        (with_domains(a=Domain("server")), "domains/a/target", "is missing"),
        (with_domains(a=replace(SERVER, secret="x")), "domains/a/secret", '"component" only'),
        (
            with_domains(a=replace(SERVER, target=INSIDE.inside[0])),
            "domains/a/target",
            "listen ourselves, by listen.inside",
        ),
        (
            replace(
                with_domains(a=replace(SERVER, target=Address("xmpp.example", 5269))),
                inside=Inside(trust_address=True),
            ),
            "domains/a/target",
            "must be an IP address",
        ),
        (
            replace(GATEWAY, inside=Inside(secret_file=Dialback().secret_file)),
            "inside/secret_file",
            "another file",
        ),
        (
            replace(GATEWAY, inside=Inside(secret="s"), dialback=Dialback(secret="s")),
            "inside/secret_file",
            "the same secret",
        ),
    ],
)
def test_what_does_not(config: Config, key: str, reason: str) -> None:
    found = faults(config)
    assert found.keys() == {key}
    assert reason in found[key]


def test_a_component_has_nothing_of_a_server() -> None:
    config = with_domains(a=COMPONENT)
    found = faults(config, {"a": {"target": "10.0.0.7:5269", "bidi": False}})
    assert found.keys() == {"domains/a/target", "domains/a/bidi"}
    below = replace(GATEWAY, domains={**GATEWAY.domains, "*.montague.example": COMPONENT})
    assert "one name" in faults(below)["domains/*.montague.example"]


def test_who_is_behind_the_router() -> None:
    bot = {"bot.verona.example": COMPONENT, "*.verona.example": SERVER}
    config = replace(GATEWAY, domains={**GATEWAY.domains, **bot})
    there = ("verona.example", "conference.verona.example")
    assert [each in config.servers for each in (*there, "bot.verona.example")] == [
        True,
        True,
        False,
    ]
    assert [each in config.hosts for each in (*there, "bot.verona.example")] == [True, True, True]
    assert config.domain("conference.verona.example") == SERVER
    assert config.domain("capulet.example") is None


def test_how_a_server_behind_the_router_is_treated() -> None:
    """By its own table, never by what holds for every remote domain."""
    domains = {"verona.example": replace(SERVER, bidi=False, multiplex=True, stanzas_per_s=7)}
    peers = {"*": Peer(deny=True), "verona.example": Peer(deny=True)}
    config = replace(GATEWAY, domains=domains, peers=peers, inside=Inside(require="certificate"))
    assert config.peer("verona.example") == Peer(
        require="certificate", bidi=False, target=TARGET, multiplex=True, stanzas_per_s=7
    )
    assert not config.refuses("verona.example")
    assert config.refuses("capulet.example")


def test_a_file_and_its_two_secrets(tmp_path: Path) -> None:
    certs = tmp_path / "certs"
    write_certificate(certs / "verona.example.crt", certs / "verona.example.key")
    file = tmp_path / "causeway.toml"
    file.write_text("""
    [listen]
    inside = ["127.0.0.1:5268"]
    [inside]
    trust_anchors = "certs/verona.example.crt"
    [domains."verona.example"]
    attach = "server"
    target = "127.0.0.7:5269"
    [domains."*.verona.example"]
    attach = "server"
    target = "127.0.0.7:5269"
    """)
    config = load(file, {})
    assert config.inside.trust_anchors == str(certs / "verona.example.crt")
    assert config.inside.secret_file == tmp_path / "inside.secret"
    assert config.inside.secret == (tmp_path / "inside.secret").read_text().strip() != ""
    assert config.inside.secret != config.dialback.secret
    assert {config.inside.secret, config.dialback.secret} <= {*config.secrets()}
    assert Config.from_plain(config.to_plain()) == config
