"""The versions shown are those of the libraries at work."""

import platform

from router.supervisor.build import build_labels


def test_versions() -> None:
    own, python, openssl = build_labels()
    assert own
    assert python == platform.python_version()
    assert openssl.startswith("OpenSSL ")
