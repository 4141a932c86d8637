"""The versions that `causeway_build_info` shows."""

import platform
from importlib.metadata import PackageNotFoundError, version

from OpenSSL import SSL


def build_labels() -> tuple[str, str, str]:
    """Of this program, of Python, and of the OpenSSL that TLS runs on."""
    try:
        own = version("causeway")
    except PackageNotFoundError:
        own = "unknown"
    openssl = SSL.OpenSSL_version(SSL.OPENSSL_VERSION).decode()
    return own, platform.python_version(), openssl
