"""The words for what was found; how each finding is shown stands in `test_check_domain`."""

from typing import Any

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


def test_a_static_route() -> None:
    static = NOTHING | {"route": "static", "services": []}
    assert 'a static route, by [peers."…"] target' in list(lines(static, OWN))
