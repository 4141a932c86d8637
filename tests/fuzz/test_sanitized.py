"""The watched build sees what it is there to see."""

import shutil
from pathlib import Path

import pytest

from tests.fuzz import sanitized

STANZA = "<message from='a@a.example' to='b.example'><body>x</body></message>"
PROGRAM = f"""
from router.xmpp.reader._scan import Scanner
scanner = Scanner((), {{}}, {{}}, str, str)
scanner.limit(10_000, 8, 8, 8, 8)
octets = {STANZA!r}.encode()
for end in range(len(octets) + 1):
    assert len(scanner.scan(octets[:end], 0)[2]) == (end == len(octets))
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    package = "router/xmpp/reader"
    (tmp_path / package).mkdir(parents=True)
    for source in (sanitized.TREE / package).glob("*.[ch]"):
        shutil.copy(source, tmp_path / package)
    return tmp_path


@pytest.mark.thorough
def test_every_cut_of_a_stanza_is_read_within_its_octets(tree: Path) -> None:
    sanitized.build(tree)
    assert sanitized.run(tree, ["-c", PROGRAM]) == 0


@pytest.mark.thorough
def test_a_read_beyond_the_octets_ends_the_run(
    tree: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source = tree / "router/xmpp/reader/octets.h"
    text = source.read_text()
    broken = text.replace("while (end - p >= 16)", "while (end - p >= 1)")
    assert broken != text
    source.write_text(broken)
    sanitized.build(tree)
    assert sanitized.run(tree, ["-c", PROGRAM]) != 0
    assert "AddressSanitizer" in capfd.readouterr().err
