"""Names of hosted domains, which may stand for all below one; addresses are in `test_config`."""

from dataclasses import dataclass

import pytest

from router.config_plain import decode
from router.config_values import HostedName, PeerName


@dataclass(frozen=True)
class _Table:
    hosted: HostedName = ""
    peer: PeerName = ""


def read(**values: str) -> _Table:
    def refuse(key: tuple[str, ...], message: str) -> None:
        raise ValueError(message)

    table = decode(_Table, values, (), refuse)
    assert isinstance(table, _Table)
    return table


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("Verona.Example", "verona.example"),
        ("*.Verona.Example.", "*.verona.example"),
        ("*.xn--mnchen-3ya.example", "*.münchen.example"),
    ],
)
def test_names_come_out_in_one_form(text: str, normal: str) -> None:
    assert read(hosted=text).hosted == read(peer=text).peer == normal


def test_only_peers_have_a_star_alone() -> None:
    assert read(peer="*").peer == "*"
    for text in ("*", "a.*.example", "**.example"):
        with pytest.raises(ValueError, match="not a domain name"):
            read(hosted=text)
