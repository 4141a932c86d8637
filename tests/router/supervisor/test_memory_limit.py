"""The limit of our control group, as the kernel writes it in either version."""

from pathlib import Path

import pytest

from router.supervisor.memory_limit import memory_limit_bytes

MIB = 1 << 20
NO_LIMIT = "9223372036854771712"


def system(root: Path, groups: str, files: dict[str, str]) -> Path:
    for name, text in {"proc/self/cgroup": groups, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


@pytest.mark.parametrize(
    ("groups", "files", "wanted"),
    [
        ("0::/a/b", {"sys/fs/cgroup/a/b/memory.max": f"{512 * MIB}"}, 512 * MIB),
        ("0::/a/b", {"sys/fs/cgroup/a/b/memory.max": "max"}, None),
        (
            "0::/a/b",
            {"sys/fs/cgroup/a/b/memory.max": "max", "sys/fs/cgroup/a/memory.max": f"{MIB}"},
            MIB,
        ),
        ("0::/", {"sys/fs/cgroup/memory.max": f"{7 * MIB}"}, 7 * MIB),
        ("4:memory:/x\n0::/", {"sys/fs/cgroup/memory/x/memory.limit_in_bytes": NO_LIMIT}, None),
        ("4:cpu,memory:/x", {"sys/fs/cgroup/memory/x/memory.limit_in_bytes": f"{MIB}"}, MIB),
        ("4:memory:/not/seen", {"sys/fs/cgroup/memory/memory.limit_in_bytes": f"{MIB}"}, MIB),
        ("nonsense", {}, None),
    ],
)
def test_the_lowest_limit_from_our_group_upwards_counts(
    tmp_path: Path, groups: str, files: dict[str, str], wanted: int | None
) -> None:
    assert memory_limit_bytes(system(tmp_path, groups, files)) == wanted


def test_where_there_are_no_control_groups_there_is_no_limit(tmp_path: Path) -> None:
    assert memory_limit_bytes(tmp_path) is None
