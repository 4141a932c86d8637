"""A certificate with its key, or which file is to blame."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from bench.authority import Authority
from router.acceptor.certificates.credential import CredentialError, read_credential

Pair = tuple[Path, Path]


def encrypt(authority: Authority, pair: Pair) -> None:
    key = serialization.load_pem_private_key(pair[1].read_bytes(), None)
    pair[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )


def exchange_key(authority: Authority, pair: Pair) -> None:
    pair[1].write_bytes(authority.issue("other.example")[1].read_bytes())


@pytest.mark.parametrize("key", ["ec", "ed25519", "rsa2048"])
def test_the_chain_is_leaf_first(authority: Authority, tmp_path: Path, key: str) -> None:
    pair = authority.issue("montague.example", into=tmp_path, key=key, intermediate=True)  # type: ignore[arg-type]
    credential = read_credential(*pair)
    assert credential.file == pair[0]
    assert len(credential.chain) == 2
    assert credential.chain[0].public_key() == credential.key.public_key()
    assert credential.identifiers.covers("montague.example")


@pytest.mark.parametrize(
    ("spoil", "blamed", "reason"),
    [
        (lambda _, pair: pair[0].unlink(), 0, "No such file"),
        (lambda _, pair: pair[1].unlink(), 1, "No such file"),
        (lambda _, pair: pair[0].write_text("rubbish"), 0, "not usable"),
        (lambda _, pair: pair[1].write_text("rubbish"), 1, "not usable"),
        (encrypt, 1, "the key is encrypted"),
        (exchange_key, 1, "not the key of"),
    ],
)
def test_an_unusable_file_is_named(
    authority: Authority,
    tmp_path: Path,
    spoil: Callable[[Authority, Pair], None],
    blamed: int,
    reason: str,
) -> None:
    pair = authority.issue("montague.example", into=tmp_path)
    spoil(authority, pair)
    with pytest.raises(CredentialError) as caught:
        read_credential(*pair)
    assert str(caught.value).startswith(f"{pair[blamed]}: ")
    assert reason in str(caught.value)


def test_deceitful_names_are_refused(authority: Authority, tmp_path: Path) -> None:
    pair = authority.issue("montague.example", into=tmp_path, dns=["a\0.example"])
    with pytest.raises(CredentialError, match="NUL"):
        read_credential(*pair)
