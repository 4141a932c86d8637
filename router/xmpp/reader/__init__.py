"""The strict stanza reader: octets of one stream in, tokens out (RFC 6120 §11, never an exception).

`tokens` is the vocabulary, `pure` the reader on pyexpat, `compiled` the same with a hot path in C,
where that was built. The stream cores import from here only; which of the two has the name `Reader`
changes nothing but the speed. The environment variable CAUSEWAY_READER names one: a measurement's.
"""

import os
from importlib.util import find_spec
from typing import Final

from router.xmpp.reader.tokens import (
    Counts,
    Element,
    End,
    Fault,
    Faulty,
    Header,
    Limits,
    Run,
    Token,
    local_name,
)

IMPLEMENTATION: Final = os.environ.get("CAUSEWAY_READER") or (
    "compiled" if find_spec("router.xmpp.reader._scan") else "pure"
)
"""Which reader is in use: "compiled" or "pure"."""

if IMPLEMENTATION == "pure":
    from router.xmpp.reader.pure import Reader
elif IMPLEMENTATION == "compiled":
    from router.xmpp.reader.compiled import Reader
else:
    raise ImportError(f"CAUSEWAY_READER is {IMPLEMENTATION!r}, neither compiled nor pure")

__all__ = [
    "IMPLEMENTATION",
    "Counts",
    "Element",
    "End",
    "Fault",
    "Faulty",
    "Header",
    "Limits",
    "Reader",
    "Run",
    "Token",
    "local_name",
]
