"""Files and environments as operators write them, and every mistake named."""

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from router.config import Address, Config, Peer, default_run_dir
from router.config_file import ConfigErrors, load, make_run_dir
from tests.support.certificate_files import write_certificate

GOOD = """
[listen]
s2s = ["[::]:0", "127.0.0.1:5269"]
[domains."Montague.example"]
attach = "component"
secret = "s3cr3t"
"""

Problems = dict[str, str]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    certs = tmp_path / "certs"
    write_certificate(certs / "montague.example.crt", certs / "montague.example.key")
    return tmp_path / "causeway.toml"


def loaded(file: Path, text: str = GOOD, **environ: str) -> Config:
    file.write_text(text)
    return load(file, environ)


def problems(file: Path, text: str, **environ: str) -> Problems:
    """Key to message of every mistake; keys must not repeat."""
    with pytest.raises(ConfigErrors) as errors:
        loaded(file, text, **environ)
    found = {each.key: each.message for each in errors.value.problems}
    assert len(found) == len(errors.value.problems)
    assert "s3cr3t" not in str(errors.value)
    return found


def test_a_good_file(file: Path) -> None:
    config = loaded(file)
    assert config.hosted == ("montague.example",)
    assert config.domains["montague.example"].secret == "s3cr3t"
    assert config.listen.s2s == (Address("::", 0), Address("127.0.0.1", 5269))
    assert config.tls.certificates == file.parent / "certs"
    assert config.tls.trust_anchors == "system"


def test_every_mistake_is_told_at_once(file: Path) -> None:
    text = """
    colour = "red"
    [listen]
    s2s = ["::1:5269"]
    components = ["localhost:5347"]
    http = 5280
    [processes]
    acceptors = 0
    [tls]
    trust_anchors = "none.pem"
    requird = false
    [dns]
    resolvers = ["127.0.0.1:0"]
    [limits]
    max_stanza_bytes = "big"
    max_preauth_bytes = 90000
    [domains."bad domain"]
    attach = "component"
    secret = "s3cr3t"
    [domains."montague.example"]
    attach = "component"
    [domains."verona.example"]
    attach = "component"
    secret_file = "missing.secret"
    [peers."capulet..example"]
    [peers."capulet.example"]
    require = "nothing"
    target = "capulet.example"
    """
    found = problems(file, text)
    assert found.keys() == {
        "colour",
        "listen.s2s.0",
        "listen.components.0",
        "listen.http",
        "processes.acceptors",
        "tls.trust_anchors",
        "tls.certificates",
        "tls.requird",
        "dns.resolvers.0",
        "limits.max_stanza_bytes",
        "limits.max_preauth_total_bytes",
        'domains."bad domain"',
        'domains."montague.example".secret',
        'domains."verona.example".secret_file',
        'peers."capulet..example"',
        'peers."capulet.example".require',
        'peers."capulet.example".target',
    }
    assert "brackets" in found["listen.s2s.0"]
    assert "verona.example" in found["tls.certificates"]
    assert "did you mean" in found["tls.requird"]
    assert not (file.parent / "dialback.secret").exists()


def test_broken_toml_is_told_with_its_line(file: Path) -> None:
    with pytest.raises(ConfigErrors) as errors:
        loaded(file, "[listen]\ns2s = [\n[dns]\n")
    (problem,) = errors.value.problems
    assert problem.file == str(file)
    assert "line 3" in problem.message


@pytest.mark.parametrize("octets", [None, b"\xff"], ids=["missing", "not UTF-8"])
def test_a_file_that_cannot_be_read(file: Path, octets: bytes | None) -> None:
    if octets:
        file.write_bytes(octets)
    with pytest.raises(ConfigErrors, match=str(file)):
        load(file, {})


def test_a_file_that_hosts_nothing(file: Path) -> None:
    assert problems(file, "").keys() == {"domains"}


def test_peers_inherit_from_the_star(file: Path) -> None:
    text = (
        GOOD
        + """
    [peers."*"]
    require = "certificate"
    bidi = false
    [peers."Capulet.example"]
    bidi = true
    target = "[::1]:6001"
    """
    )
    config = loaded(file, text)
    expected = Peer(require="certificate", bidi=True, target=Address("::1", 6001))
    assert config.peer("capulet.example") == expected
    assert config.peer("any.example") == Peer(require="certificate", bidi=False)


def test_the_nearest_entry_holds_and_inherits_from_the_star_alone(file: Path) -> None:
    text = (
        GOOD
        + """
    [peers."*"]
    deny = true
    [peers."*.Example.ORG"]
    deny = false
    bytes_per_s = 30000
    [peers."*.bad.example.org"]
    [peers."good.bad.example.org"]
    deny = false
    stanzas_per_s = 0
    [peers."127.0.0.3"]
    deny = false
    """
    )
    config = loaded(file, text)
    admitted = [
        name
        for name in (
            *("any.example", "example.org", "a.example.org", "a.b.example.org"),
            *("bad.example.org", "a.bad.example.org", "good.bad.example.org"),
            *("not-example.org", "127.0.0.3", "127.0.0.4", "[::1]"),
        )
        if not config.refuses(name)
    ]
    assert admitted == [
        *("a.example.org", "a.b.example.org", "bad.example.org"),
        *("good.bad.example.org", "127.0.0.3"),
    ]
    assert config.peer("a.b.example.org").bytes_per_s == 30_000
    good = config.peer("good.bad.example.org")
    assert (good.bytes_per_s, good.stanzas_per_s) == (None, 0)
    assert problems(file, GOOD + '[peers."*.a b"]\n[peers."*."]\n[peers."*.*"]\n').keys() == {
        'peers."*.a b"',
        'peers."*."',
        'peers."*.*"',
    }


def test_a_mistake_in_the_star_is_told_once(file: Path) -> None:
    text = GOOD + '[peers."*"]\nbidi = 1\n[peers."capulet.example"]\n'
    assert problems(file, text).keys() == {'peers."*".bidi'}


@pytest.mark.parametrize(
    ("listen", "key"),
    [
        ('s2s = ["127.0.0.1:7", "127.0.0.1:7"]', "listen.s2s.1"),
        ('s2s = ["[::1]:7"]\ncomponents = ["[0::1]:7"]', "listen.components.0"),
        ('components = ["127.0.0.1:7"]\nhttp = "127.0.0.1:7"', "listen.http"),
    ],
)
def test_two_listeners_at_one_address(file: Path, listen: str, key: str) -> None:
    text = GOOD.replace('s2s = ["[::]:0", "127.0.0.1:5269"]', listen)
    assert "is taken by listen." in problems(file, text)[key]


def test_port_0_may_be_taken_twice(file: Path) -> None:
    loaded(file, GOOD.replace('"127.0.0.1:5269"', '"[::]:0"'))


# --- environment ---


def test_the_environment_overrides(file: Path) -> None:
    config = loaded(
        file,
        CAUSEWAY__LISTEN__HTTP="127.0.0.1:1",
        CAUSEWAY__LISTEN__S2S='["127.0.0.1:2"]',
        CAUSEWAY__TLS__REQUIRED="false",
        CAUSEWAY__LIMITS__HANDSHAKE_TIMEOUT_S="7",
        CAUSEWAY__DOMAINS__MONTAGUE__EXAMPLE__SECRET="123",
        CAUSEWAY_CONFIG="is no override",
        **{
            "CAUSEWAY__PEERS__*__BIDI": "false",
            "CAUSEWAY__PEERS__capulet.example__TARGET": '"127.0.0.1:3"',
        },
    )
    assert config.listen.http == Address("127.0.0.1", 1)
    assert config.listen.s2s == (Address("127.0.0.1", 2),)
    assert not config.tls.required
    assert config.limits.handshake_timeout_s == 7.0
    assert config.domains.keys() == {"montague.example"}
    assert config.domains["montague.example"].secret == "123"
    assert config.peer("capulet.example") == Peer(bidi=False, target=Address("127.0.0.1", 3))


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CAUSEWAY__LISTEN", "x"),
        ("CAUSEWAY__LISTEN__", "x"),
        ("CAUSEWAY__LSTEN__HTTP", "x"),
        ("CAUSEWAY__LISTEN__HTP", "x"),
        ("CAUSEWAY__LISTEN__HTTP", "x"),
        ("CAUSEWAY__LISTEN__HTTP__PORT", "1"),
        ("CAUSEWAY__LISTEN__S2S", "127.0.0.1:2"),
        ("CAUSEWAY__TLS__REQUIRED", "maybe"),
        ("CAUSEWAY__TLS__REQUIRED", "1"),
        ("CAUSEWAY__TLS__REQUIRED", "true\nother = 1"),
        ("CAUSEWAY__DOMAINS__SECRET", "x"),
        ("CAUSEWAY__DOMAINS__MONTAGUE__EXAMPLE__COLOUR", "x"),
        ("CAUSEWAY__DOMAINS__MONTAGUE__EXAMPLE__ATTACH", "x"),
        ("CAUSEWAY__DIALBACK__SECRET", "x"),
    ],
)
def test_a_mistake_in_the_environment_names_the_variable(
    file: Path, variable: str, value: str
) -> None:
    with pytest.raises(ConfigErrors) as errors:
        loaded(file, **{variable: value})
    (problem,) = errors.value.problems
    assert (problem.file, problem.key) == ("environment", variable)


def test_the_environment_alone_can_host_a_domain(file: Path) -> None:
    config = loaded(
        file,
        "",
        CAUSEWAY__DOMAINS__MONTAGUE__EXAMPLE__ATTACH="component",
        CAUSEWAY__DOMAINS__MONTAGUE__EXAMPLE__SECRET="x",
    )
    assert config.hosted == ("montague.example",)


# --- secrets and certificates ---


def test_the_dialback_secret_is_made_once(file: Path) -> None:
    first = loaded(file).dialback.secret
    path = file.parent / "dialback.secret"
    assert len(bytes.fromhex(first)) == 32
    assert path.read_text() == first + "\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert loaded(file).dialback.secret == first
    assert sorted(each.name for each in file.parent.iterdir()) == [
        "causeway.toml",
        "certs",
        "dialback.secret",
    ]


@pytest.mark.parametrize("enabled", [True, False])
def test_no_dialback_secret_is_made_unasked(file: Path, enabled: bool) -> None:
    file.write_text(GOOD + f"[dialback]\nenabled = {str(enabled).lower()}\n")
    assert load(file, {}, create_secret=not enabled).dialback.secret == ""
    assert not (file.parent / "dialback.secret").exists()


def test_a_dialback_secret_that_cannot_be_made(file: Path) -> None:
    text = GOOD + '[dialback]\nsecret_file = "nowhere/secret"\n'
    assert problems(file, text).keys() == {"dialback.secret_file"}


def by_file(file: Path, make: Callable[[Path], object]) -> Problems:
    make(file.parent / "one.secret")
    text = GOOD.replace('secret = "s3cr3t"', 'secret_file = "one.secret"')
    return problems(file, text)


@pytest.mark.parametrize(
    "make",
    [lambda path: path.touch(), lambda path: path.mkdir(), lambda path: path.write_bytes(b"\xff")],
    ids=["empty", "a directory", "not UTF-8"],
)
def test_a_secret_file_that_is_unusable(file: Path, make: Callable[[Path], object]) -> None:
    assert by_file(file, make).keys() == {'domains."montague.example".secret_file'}


def test_a_secret_from_a_file(file: Path) -> None:
    (file.parent / "one.secret").write_text("s3cr3t\n")
    config = loaded(file, GOOD.replace('secret = "s3cr3t"', 'secret_file = "one.secret"'))
    assert config.domains["montague.example"].secret == "s3cr3t"


def test_a_secret_and_a_file_are_one_too_many(file: Path) -> None:
    (file.parent / "one.secret").write_text("other")
    text = GOOD + 'secret_file = "one.secret"\n'
    assert problems(file, text).keys() == {'domains."montague.example".secret_file'}


def test_trust_anchors_of_ones_own(file: Path) -> None:
    text = GOOD + '[tls]\ntrust_anchors = "certs/montague.example.crt"\n'
    anchors = loaded(file, text).tls.trust_anchors
    assert anchors == str(file.parent / "certs/montague.example.crt")


# --- run directory ---


def test_the_run_dir_has_a_name_of_its_own(file: Path) -> None:
    here = default_run_dir(file, {"XDG_RUNTIME_DIR": "/run/user/7"})
    assert here.parent == Path("/run/user/7")
    assert default_run_dir(file, {}).parent == Path("/tmp")
    assert default_run_dir(file.with_name("other.toml"), {}).name != here.name
    assert loaded(file, XDG_RUNTIME_DIR="/run/user/7").processes.run_dir == here


def test_a_run_dir_too_long_for_sockets(file: Path) -> None:
    text = GOOD + f'[processes]\nrun_dir = "/{"x" * 90}"\n'
    assert "at most 90" in problems(file, text)["processes.run_dir"]
    loaded(file, text.replace("/x", "/"))


def test_a_run_dir_is_ours_alone(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    make_run_dir(run_dir)
    assert stat.S_IMODE(run_dir.stat().st_mode) == 0o700
    make_run_dir(run_dir)
    run_dir.chmod(0o750)
    with pytest.raises(ConfigErrors, match="chmod 700"):
        make_run_dir(run_dir)


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.touch(mode=0o600),
        lambda path: path.symlink_to(path.parent),
        lambda path: path.mkdir(mode=0o755),
    ],
    ids=["a file", "a link", "open to others"],
)
def test_a_run_dir_somebody_else_prepared(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "run")
    with pytest.raises(ConfigErrors, match=r"processes\.run_dir"):
        make_run_dir(tmp_path / "run")


def test_a_run_dir_without_parent(tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors, match="cannot be created"):
        make_run_dir(tmp_path / "no" / "run")
