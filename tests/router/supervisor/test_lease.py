"""The lease file: what comes out is what went in, and anything else is an error."""

import json
from pathlib import Path

import pytest

from router.supervisor.lease import BadLease, Lease, read_lease, write_lease
from router.wire.shard import SHARDS

LEASE = Lease(
    7, ("w0.1",), ("w1.4",), (3,) * SHARDS, ("w0.1",) * SHARDS, ("w2.2",), {"a0": 3, "w0": 1}
)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    assert read_lease(path) is None
    write_lease(LEASE, path)
    assert read_lease(path) == LEASE
    assert [each.name for each in tmp_path.iterdir()] == ["lease"]


@pytest.mark.parametrize(
    "spoilt",
    [
        {"version": None},
        {"seats": []},
        {"seats": [1]},
        {"spares": "w"},
        {"generations": [1]},
        {"last_owners": ["w"]},
        {"incarnations": []},
    ],
    ids=str,
)
def test_anything_else_is_refused(tmp_path: Path, spoilt: dict[str, object]) -> None:
    path = tmp_path / "lease"
    write_lease(LEASE, path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **spoilt}))
    with pytest.raises(BadLease):
        read_lease(path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "7"])
def test_nonsense_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "lease").write_text(text)
    with pytest.raises(BadLease):
        read_lease(tmp_path / "lease")
