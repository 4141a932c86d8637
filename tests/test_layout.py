"""The shape of the tree: who imports whom, how long modules are, what mirrors and maps them."""

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = ("router", "workers", "bench")
MAX_LINES = 400

XMPP, WIRE, CONFIG, METRICS = "router.xmpp", "router.wire", "router.config", "router.metrics"
LEAVES = {XMPP, WIRE, CONFIG, METRICS}
EVERYTHING = {"router", "workers", "bench"}

# The longest entry that the importing file lies in wins; it may import itself and what is named.
MAY_IMPORT: dict[str, set[str]] = {
    "router/__init__": set(),
    "router/__main__": {"router.cli"},
    "router/xmpp": set(),
    "router/wire": {XMPP},
    "router/config": {XMPP, "router.config_plain", "router.config_values"},
    "router/config_certificates": {XMPP, CONFIG, "router.config_plain"},
    "router/config_e2e": {XMPP, CONFIG, "router.config_plain"},
    "router/config_file": {
        XMPP,
        CONFIG,
        "router.config_certificates",
        "router.config_e2e",
        "router.config_gateway",
        "router.config_plain",
    },
    "router/config_gateway": {XMPP, CONFIG, "router.config_plain"},
    "router/config_plain": {XMPP},
    "router/config_values": {XMPP, "router.config_plain"},
    "router/metrics": {XMPP},
    "router/budget": {XMPP, CONFIG},
    "router/affinity": set(),
    "router/collector": set(),
    "router/log": {"router.log_output"},
    "router/log_output": set(),
    "router/peer_memory": {CONFIG, METRICS, XMPP},
    "router/acceptor": {
        *LEAVES,
        "router.affinity",
        "router.collector",
        "router.log",
        "router.peer_memory",
    },
    "router/supervisor": {
        *LEAVES,
        "router.budget",
        "router.config_plain",
        "router.log",
        "router.peer_memory",
    },
    "router/http": {*LEAVES, "router.log"},
    "router/cli": EVERYTHING,
    "workers": {*LEAVES, "router.affinity", "router.collector", "router.log"},
    "bench": EVERYTHING,
}

# Packages from outside the standard library, for those that keep their list short.
MAY_INSTALL: dict[str, set[str]] = {
    "router.xmpp": {"idna"},
    "router.wire": {"msgpack", "zmq"},
}

# A core without sockets, clocks and randomness: what its tests hand it is all it knows.
NOT_IN_XMPP = {"asyncio", "socket", "ssl", "time", "random", "zmq", "uvloop", "secrets", "os"}
# Where one of them may be all the same, and why.
ALLOWED_IN_XMPP = {
    "router/xmpp/reader/__init__.py": {"os"},  # once, at import: the environment may name a reader
}

# Modules without a test file of their own. Shrinks: an entry that has one is an error.
UNMIRRORED: dict[str, str] = {
    "router/xmpp/names.py": "constants only; every test of a reader or a writer compares them",
    "router/xmpp/events.py": "values only; every test of a core compares them",
    "router/xmpp/jingle/events.py": "values only; every test of a session compares them",
    "router/xmpp/jingle/transport.py": "shapes only; test_methods has sessions over the real ones",
}

MODULES = sorted(path.relative_to(ROOT) for top in OURS for path in (ROOT / top).rglob("*.py"))
TESTED = [
    path
    for path in MODULES
    if path.parts[0] != "bench" and path.stem not in ("__init__", "__main__")
]


def parse(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(), filename=str(path))


def dotted(path: Path) -> str:
    """`router/xmpp/__init__.py` is `router.xmpp`."""
    name = path.with_suffix("").as_posix().replace("/", ".")
    return name.removesuffix(".__init__")


def imported(path: Path) -> set[str]:
    """Absolute names that the module imports, wherever in it; `from a import b` gives `a.b`."""
    names: set[str] = set()
    for node in ast.walk(parse(path)):
        match node:
            case ast.Import():
                names.update(alias.name for alias in node.names)
            case ast.ImportFrom(module=str(module), level=0):
                names.update(f"{module}.{alias.name}" for alias in node.names)
    return names


def within(name: str, package: str, separator: str = ".") -> bool:
    return name == package or name.startswith(package + separator)


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_imports_point_down(path: Path) -> None:
    place = path.with_suffix("").as_posix()
    rows = [row for row in MAY_IMPORT if within(place, row, "/")]
    assert rows, f"no row in MAY_IMPORT says what {path} may import"
    row = max(rows, key=len)
    allowed = {row.replace("/", "."), *MAY_IMPORT[row]}
    ours = {name for name in imported(path) if name.split(".")[0] in {*OURS, "tests"}}
    assert {name for name in ours if not any(within(name, one) for one in allowed)} == set()


@pytest.mark.parametrize("package", MAY_INSTALL)
def test_short_lists_of_dependencies_stay_short(package: str) -> None:
    known = MAY_INSTALL[package] | {*OURS} | sys.stdlib_module_names
    for path in MODULES:
        if within(dotted(path), package):
            assert {name.split(".")[0] for name in imported(path)} <= known, path


@pytest.mark.parametrize(
    "path", [path for path in MODULES if within(dotted(path), "router.xmpp")], ids=str
)
def test_the_core_touches_no_socket_clock_or_chance(path: Path) -> None:
    found = {name.split(".")[0] for name in imported(path)} & NOT_IN_XMPP
    assert found == ALLOWED_IN_XMPP.get(path.as_posix(), set())


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_a_module_is_one_idea(path: Path) -> None:
    lines = (ROOT / path).read_text().count("\n")
    assert lines <= MAX_LINES
    assert ast.get_docstring(parse(path)), "a module says what it owns"


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_no_relative_imports(path: Path) -> None:
    relative = [
        node.lineno
        for node in ast.walk(parse(path))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert relative == []


@pytest.mark.parametrize("path", TESTED, ids=str)
def test_a_module_has_its_test_file(path: Path) -> None:
    mirror = Path("tests") / path.parent / f"test_{path.name}"
    has_mirror = (ROOT / mirror).exists()
    if path.as_posix() in UNMIRRORED:
        assert not has_mirror, f"{mirror} is there: take {path} out of UNMIRRORED"
    else:
        assert has_mirror, f"{mirror} is missing"


def test_every_exception_from_mirroring_names_a_module() -> None:
    assert [name for name in UNMIRRORED if not (ROOT / name).is_file()] == []


def test_what_the_readme_maps_is_there() -> None:
    readme = (ROOT / "README.md").read_text()
    section = readme.split("\n## Map\n", 1)[1].split("\n## ", 1)[0]
    named = re.findall(r"`([\w./-]+/[\w./-]*)`", section)
    assert len(named) >= len(OURS), "the map names no paths"
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_readme_starts_with_how_to_get_it_then_with_two_commands() -> None:
    blocks = re.findall(r"^```\w*\n(.*?)^```$", (ROOT / "README.md").read_text(), re.M | re.S)
    assert "git clone" in blocks[0]
    assert blocks[1].splitlines() == ["make demo", "make test"]
