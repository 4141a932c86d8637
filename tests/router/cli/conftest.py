"""A configuration file that is good, and a router for it that is only pretended."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from router.cli import admin
from tests.support.certificate_files import write_certificate

TEXT = """\
[listen]
s2s = ["127.0.0.1:0"]
s2s_direct_tls = []
components = ["127.0.0.1:0"]
http = "127.0.0.1:0"
[processes]
acceptors = 1
workers = 1
run_dir = "run"
[dialback]
secret_file = "dialback.secret"
[domains."montague.example"]
attach = "component"
secret = "s3cr3t"
"""

Pretend = Callable[[str, int, bytes], None]


@pytest.fixture
def good_config(tmp_path: Path) -> Path:
    certs = tmp_path / "certs"
    write_certificate(certs / "montague.example.crt", certs / "montague.example.key")
    file = tmp_path / "causeway.toml"
    file.write_text(TEXT)
    return file


@pytest.fixture
def pretend_router(monkeypatch: pytest.MonkeyPatch) -> Pretend:
    """`pretend(path, status, body)`: what the running router answers."""

    def pretend(path: str, status: int, body: bytes) -> None:
        def get(_run_dir: Path, asked: str) -> Any:
            assert asked == path
            return status, body

        for module in (admin, "router.cli.health"):
            target = module if isinstance(module, str) else module.__name__
            monkeypatch.setattr(f"{target}.get", get)

    return pretend
