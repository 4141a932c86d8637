"""The package installs with a compiler and without one, and works either way."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

TREE: Final = Path(__file__).resolve().parents[4]
PARTS: Final = ("pyproject.toml", "README.md", "LICENSE", "router", "workers", "bench")
PROGRAM: Final = """
from router.xmpp import names
from router.xmpp.reader import IMPLEMENTATION, Limits, Reader
print(IMPLEMENTATION, len(Reader(names.SERVER, Limits(10_000, 8, 8)).feed(
    b"<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'>")))
"""


@pytest.mark.thorough
@pytest.mark.timeout(180)
@pytest.mark.parametrize(("compiler", "reader"), [("false", "pure"), ("gcc", "compiled")])
def test_an_installation(compiler: str, reader: str, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    for name in PARTS:
        if (TREE / name).is_dir():
            shutil.copytree(TREE / name, source / name, ignore=shutil.ignore_patterns("*.so"))
        else:
            shutil.copy(TREE / name, source / name)
    install = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run(
        [sys.executable, *install, "--target", str(target), str(source)],
        env={**os.environ, "CC": compiler},
        check=True,
        cwd=tmp_path,
    )
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={"PYTHONPATH": str(target)},
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert run.stdout.split() == [reader, "1"]
