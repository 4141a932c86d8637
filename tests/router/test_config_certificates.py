"""Certificates that a configuration names: found under several names, and judged before use."""

from pathlib import Path

import pytest

from router.config_certificates import certificate_of
from tests.router.test_config_file import GOOD, file, loaded, problems
from tests.support.certificate_files import write_certificate

__all__ = ["file"]  # a fixture


def test_certificates_in_a_directory_of_their_own(file: Path) -> None:
    own = file.parent / "other" / "montague.example"
    write_certificate(own / "fullchain.pem", own / "privkey.pem")
    assert loaded(file, GOOD + '[tls]\ncertificates = "other"\n')


@pytest.mark.parametrize("name", ["*.example", "montague.example", "*.montague.example"])
def test_a_certificate_of_another_name_may_cover_the_domain(file: Path, name: str) -> None:
    own = file.parent / "other"
    write_certificate(own / "shared.crt", own / "shared.key", names=(name,))
    (own / "unrelated.crt").write_text("rubbish")
    text = GOOD + '[tls]\ncertificates = "other"\n'
    if name == "*.montague.example":
        assert "nor another certificate that covers it" in problems(file, text)["tls.certificates"]
    else:
        pair = certificate_of(loaded(file, text).tls, "montague.example")
        assert pair == (own / "shared.crt", own / "shared.key")


def test_a_missing_directory_of_certificates(file: Path) -> None:
    found = problems(file, GOOD + '[tls]\ncertificates = "other"\n')
    assert found == {"tls.certificates": f"there is no directory {file.parent / 'other'}"}


@pytest.mark.parametrize("suffix", ["crt", "key"])
@pytest.mark.parametrize("octets", [b"", b"rubbish", None], ids=["empty", "rubbish", "missing"])
def test_a_certificate_or_key_that_is_unusable(
    file: Path, suffix: str, octets: bytes | None
) -> None:
    path = file.parent / f"certs/montague.example.{suffix}"
    path.unlink() if octets is None else path.write_bytes(octets)
    found = problems(file, GOOD)
    assert found.keys() == {"tls.certificates"}
    assert str(path) in found["tls.certificates"]


def test_a_key_of_another_certificate(file: Path) -> None:
    certs = file.parent / "certs"
    write_certificate(certs / "other.crt", certs / "montague.example.key")
    assert "is not the key of" in problems(file, GOOD)["tls.certificates"]
