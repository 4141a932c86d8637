"""The strict stanza reader: octets of one stream in, tokens out (RFC 6120 §11, never an exception).

`tokens` is the vocabulary, `pure` the reader on pyexpat. The stream cores import from here only, so
that a compiled reader with the same behaviour can take the name `Reader`.
"""

from router.xmpp.reader.pure import Reader
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

__all__ = [
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
