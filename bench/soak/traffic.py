"""What a soak sends: kinds, sizes, and who writes to whom. Pure. Called by `ends` and `measure`.

The mix is that of servers with people on them: mostly short chat messages, some presence, some
requests that are answered, and now and then something large (an avatar, an archive's page).
"""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from router.xmpp.writer import CLOSING_TAG

Kind = Literal["message", "presence", "iq"]
KINDS: Final[tuple[Kind, ...]] = ("message", "presence", "iq")
KIND_WEIGHTS: Final = (70, 15, 15)
BODY_BYTES: Final = ((20, 200), (200, 1000), (1000, 6000), (6000, 40_000))
BODY_WEIGHTS: Final = (70, 22, 7, 1)
USERS: Final = 2
"""On each side of a domain pair; each writes to one on the other side."""

_END: Final = re.compile(rb"</(?:message|presence|iq)>")
_ROOT: Final = re.compile(rb"<(message|presence|iq)\b([^>]*)>")
_ID: Final = re.compile(rb" id=['\"]s(\d+)-(\d+)['\"]")
_TYPE: Final = re.compile(rb" type=['\"](\w+)['\"]")
_LETTERS: Final = b"It is the east, and Juliet is the sun. "


@dataclass(frozen=True, slots=True)
class Flow:
    """What one user sends to another, in order; `number` is its own."""

    number: int
    sender: str
    target: str

    @property
    def from_jid(self) -> str:
        """Full JID."""
        return f"romeo{self.number}@{self.sender}/orchard"

    @property
    def to_jid(self) -> str:
        """Full JID."""
        return f"juliet{self.number}@{self.target}/balcony"


@dataclass(frozen=True, slots=True)
class Arrived:
    """One stanza as it came in: of which flow, and what it is."""

    flow: int
    number: int
    type: bytes
    is_iq: bool


def kind(source: random.Random) -> Kind:
    """By the weights."""
    return source.choices(KINDS, KIND_WEIGHTS)[0]


def body_bytes(source: random.Random) -> int:
    """By the weights, even within a class."""
    return source.randint(*source.choices(BODY_BYTES, BODY_WEIGHTS)[0])


def stanza(flow: Flow, number: int, source: random.Random) -> bytes:
    """The next of a flow, of a kind and size by chance."""
    chosen = kind(source)
    head = f"from='{flow.from_jid}' to='{flow.to_jid}' id='s{flow.number}-{number}'"
    match chosen:
        case "iq":
            return f"<iq {head} type='get'><ping xmlns='urn:xmpp:ping'/></iq>".encode()
        case "presence":
            return f"<presence {head}><show>away</show><priority>5</priority></presence>".encode()
    size = body_bytes(source)
    text = (_LETTERS * (size // len(_LETTERS) + 1))[:size]
    opening = f"<message {head} type='chat'><body>".encode()
    return opening + text + b"</body></message>"


def answer(flow: Flow, number: int) -> bytes:
    """The result of a request of this flow."""
    return (
        f"<iq from='{flow.to_jid}' to='{flow.from_jid}' id='s{flow.number}-{number}'"
        " type='result'></iq>"
    ).encode()


class Parser:
    """Cuts octets of prepared stanzas, and of errors made of them, into what they are."""

    def __init__(self) -> None:
        self._rest = b""
        self.strange = 0
        """Stanzas without a number of ours."""

    def feed(self, octets: bytes) -> Iterator[Arrived]:
        """What these octets complete."""
        *whole, self._rest = _END.split(self._rest + octets)
        for each in whole:
            root = _ROOT.search(each)
            found = root and _ID.search(root[2])
            if not root or not found:
                self.strange += 1
                continue
            given = _TYPE.search(root[2])
            flow, number = int(found[1]), int(found[2])
            yield Arrived(flow, number, given[1] if given else b"", root[1] == b"iq")

    @property
    def is_over(self) -> bool:
        """Whether the last that came was the end of the stream."""
        return self._rest.endswith(CLOSING_TAG)

    def skip(self, octets: bytes) -> None:
        """Others have taken the stanzas that end in these octets; one may begin in them."""
        ends = list(_END.finditer(octets))
        self._rest = octets[ends[-1].end() :] if ends else octets
