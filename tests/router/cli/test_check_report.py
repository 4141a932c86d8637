"""The words for what was found; how each finding is shown stands in `test_check_domain`."""

from typing import Any

import pytest

from router.cli.check_report import lines

OWN = {
    "key": "RSA 2048",
    "expires": "2030-01-01T00:00:00",
    "server_auth": True,
    "client_auth": False,
    "warning": "expires in 3 days",
}
NOTHING: dict[str, Any] = {
    "ok": False,
    "local": "montague.example",
    "remote": "capulet.example",
    "route": "dns",
    "services": [
        {"service": "_xmpp-server._tcp", "records": [], "failed": "silence"},
        {"service": "_xmpps-server._tcp", "records": [], "failed": "error"},
    ],
    "is_fallback": False,
    "problem": "remote-server-timeout: the addresses cannot be had",
    "targets": [],
    "used": None,
}


def test_name_servers_that_fail() -> None:
    assert list(lines(NOTHING, OWN)) == [
        "capulet.example as montague.example sees it",
        "  we show       RSA 2048, until 2030-01-01, for server; some peers will want dialback;"
        " it expires in 3 days",
        "",
        "_xmpp-server._tcp  no answer",
        "_xmpps-server._tcp  cannot be had: the name servers fail",
        "",
        "No stream can be opened (remote-server-timeout: the addresses cannot be had).",
    ]


def test_our_own_certificate_when_it_cannot_be_read() -> None:
    broken = {"expires": "2030-01-01", "fault": "names cannot be read", "warning": ""}
    assert "names cannot be read, until 2030-01-01" in list(lines(NOTHING, broken))[1]


@pytest.mark.parametrize(("days", "words"), [(3, "(3 days)"), (0, "(0 days)"), (-11, "(past)")])
def test_until_when_a_certificate_is_good(days: int, words: str) -> None:
    leaf = {"expires": "2030-01-01T00:00:00", "days_left": days, "names": ["a"], "key": "EC"}
    shown = {
        "certificates": 1,
        "warning": "",
        "valid": True,
        "reason": "",
        "chain_fault": "",
        "leaf": leaf,
    }
    target: dict[str, Any] = dict.fromkeys(
        ("before_tls", "tls", "inside_tls", "stream_error", "complete")
    )
    target |= {"certificate": shown}
    target |= {"host": "a", "port": 1, "tls_mode": "direct", "addresses": [], "problem": ""}
    report = NOTHING | {"targets": [target | {"connected": "192.0.2.1:1"}]}
    assert f"until 2030-01-01 {words}" in "\n".join(lines(report, OWN))


def test_a_static_route() -> None:
    static = NOTHING | {"route": "static", "services": []}
    assert 'a static route, by [peers."…"] target' in list(lines(static, OWN))
