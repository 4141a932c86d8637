"""The router's own address in an operator's file: hosted, but no table of [domains]."""

from pathlib import Path

import pytest

from tests.router.test_config_file import GOOD, file, loaded, problems
from tests.support.certificate_files import write_certificate

__all__ = ["file"]  # a fixture


def relay(jid: str) -> str:
    return f'{GOOD}\n[e2e]\njid = "{jid}"\n'


def test_the_routers_own_address_is_hosted_and_needs_a_certificate(file: Path) -> None:
    text = relay("Relay.Montague.example.")
    assert "there is no" in problems(file, text)["tls.certificates"]
    certificates = file.parent / "certs"
    name = "relay.montague.example"
    write_certificate(certificates / f"{name}.crt", certificates / f"{name}.key")
    config = loaded(file, text)
    assert config.service == config.hosted[-1] == name
    assert name not in config.domains


@pytest.mark.parametrize(
    ("jid", "reason"),
    [
        ("router@relay.example", "give a domain"),
        ("relay.example/r", "give a domain"),
        ("a b", "not a domain name"),
        ("", "not a domain name"),
        ("montague.example", "[domains]"),
    ],
)
def test_addresses_that_cannot_be_the_routers_own(file: Path, jid: str, reason: str) -> None:
    assert reason in problems(file, relay(jid))["e2e.jid"]


def test_no_address_of_its_own(file: Path) -> None:
    config = loaded(file, GOOD)
    assert (config.service, config.hosted) == ("", tuple(config.domains))
