r"""Wire conversations as text: one side is a stream core, the other is the file.

Head: `# title`, then `name: value` lines up to an empty line. `clauses` (ids), `role` (receiving,
initiating, component, component-client, recipient, initiator), `hosted`, `peer` and `pairs` of an
end-to-end stream, and `policy`: words out of `tls=optional`, `dialback=off`, `require=certificate`,
`bidi=off`, `deny`, `direct`, `no-certificate`, `management`, `resumable`.
`segments: matter` says that the lines of the peer must arrive as they stand.

Body, in order; a line that begins with white space goes on with the line above it:

    C: octets of the peer, one segment a line
    S: octets of ours, exactly; all of them must be listed
    ! tls capulet.example   TLS is up, the certificate covers these domains ("none": no certificate)
    ! certificate now names …, ! time +61, ! eof, ! close, ! attach yes|no
    ! verdict PAIR ID ANSWER, ! verify PAIR ID KEY, ! send PAIR OCTETS, ! may-send PAIR yes|no
    ! handled TOTAL, ! request-ack, ! resume ID BEFORE|unknown RECEIVED, ! lost ID RECEIVED
    * an event, as `told` writes it; all must be listed

In S lines `{name}` stands for any attribute value or text, the same one wherever it is named again;
`{error CONDITION}` for a stream error and the closing tag. `{stream}`, `{tls}` and so on, see
WORDS, stand for what is too long to read. A PAIR is `sender>target`.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from router.xmpp import events, names
from router.xmpp.certificate import NO_CERTIFICATE
from router.xmpp.component import ComponentStream
from router.xmpp.component_client import ComponentClientStream
from router.xmpp.e2e import InitiatorStream, RecipientStream
from router.xmpp.e2e_ends import Ends
from router.xmpp.events import Event
from router.xmpp.initiating import InitiatingStream
from router.xmpp.limits import announcement
from router.xmpp.pair import DomainPair
from router.xmpp.policy import PeerRule
from router.xmpp.receiving import ReceivingStream
from router.xmpp.s2s import ServerStream
from router.xmpp.xmlstream import XmlStream
from tests.support.pump import LIMITS, NOW, Proves, ids, policy

WORDS = {
    "stream": f"<?xml version='1.0'?><stream:stream xmlns='{names.SERVER}'"
    f" xmlns:db='{names.DIALBACK}' xmlns:stream='{names.STREAMS}'",
    "component": f"<?xml version='1.0'?><stream:stream xmlns='{names.COMPONENT}'"
    f" xmlns:stream='{names.STREAMS}'",
    "e2e": f"<?xml version='1.0'?><stream:stream xmlns='{names.CLIENT}'"
    f" xmlns:stream='{names.STREAMS}'",
    "end": "</stream:stream>",
    "starttls": f"<starttls xmlns='{names.TLS}'/>",
    "starttls-required": f"<starttls xmlns='{names.TLS}'><required/></starttls>",
    "proceed": f"<proceed xmlns='{names.TLS}'/>",
    "tls-failure": f"<failure xmlns='{names.TLS}'/>",
    "external": f"<mechanisms xmlns='{names.SASL}'><mechanism>EXTERNAL</mechanism></mechanisms>",
    "auth-as-capulet": f"<auth xmlns='{names.SASL}' mechanism='EXTERNAL'>"
    "Y2FwdWxldC5leGFtcGxl</auth>",
    "auth-as-montague": f"<auth xmlns='{names.SASL}' mechanism='EXTERNAL'>"
    "bW9udGFndWUuZXhhbXBsZQ==</auth>",
    "success": f"<success xmlns='{names.SASL}'/>",
    "sasl": names.SASL,
    "bidi": f"<bidi xmlns='{names.BIDI}'/>",
    "bidi-feature": f"<bidi xmlns='{names.BIDI_FEATURE}'/>",
    "dialback-feature": f"<dialback xmlns='{names.DIALBACK_FEATURE}'><errors/></dialback>",
    "limits": announcement(LIMITS.max_stanza_bytes),
    "sm": f"<sm xmlns='{names.STREAM_MANAGEMENT}'/>",
    "xmlns-sm": f"xmlns='{names.STREAM_MANAGEMENT}'",
    "r": f"<r xmlns='{names.STREAM_MANAGEMENT}'/>",
    "stanza-errors": names.STANZA_ERRORS,
    "stream-errors": names.STREAM_ERRORS,
}
_MARK = re.compile(r"\{([\w *-]+)\}")
_LINE = re.compile(r"([CS]:|[!*]) ?(.*)")
_OPENING = (InitiatingStream, InitiatorStream, ComponentClientStream)


@dataclass(frozen=True, slots=True)
class Step:
    """What happens at one line, and what must come of it."""

    kind: str
    text: str
    line: int
    sent: str
    told: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Transcript:
    """One file."""

    title: str
    head: dict[str, str]
    steps: tuple[Step, ...] = field(repr=False)

    @property
    def clauses(self) -> tuple[str, ...]:
        """Clauses of the conformance ledger that this conversation shows."""
        return tuple(self.head["clauses"].split())

    @property
    def segments_matter(self) -> bool:
        """Whether the conversation is a different one when it arrives in other pieces."""
        return self.head.get("segments") == "matter"


def load(path: Path) -> Transcript:
    """Read a transcript; ValueError for a line that is none."""
    lines = path.read_text().splitlines()
    title = lines[0].removeprefix("# ")
    body = lines.index("")
    head = dict(line.split(": ", 1) for line in lines[1:body])
    return Transcript(title, head, tuple(_steps(list(_joined(lines, body)))))


def _joined(lines: list[str], begin: int) -> Iterator[tuple[str, str, int]]:
    current: tuple[str, str, int] | None = None
    for number, line in enumerate(lines[begin:], begin + 1):
        if line.startswith((" ", "\t")) and current is not None:
            current = (current[0], current[1] + line.strip(), current[2])
        elif line and not line.startswith("#"):
            if current is not None:
                yield current
            match = _LINE.fullmatch(line)
            if match is None:
                raise ValueError(f"line {number}: {line}")
            current = (match[1][0], match[2], number)
    if current is not None:
        yield current


def _steps(lines: list[tuple[str, str, int]]) -> Iterator[Step]:
    begins = [i for i, (kind, _, _) in enumerate(lines) if kind in "C!"]
    if not begins or (begins[0] != 0 and lines[0][0] != "S"):
        raise ValueError("a transcript begins with what the peer or we say first")
    if begins[0] != 0:  # we speak first
        yield _step("!", "open", lines[0][2], lines[: begins[0]])
    for here, there in zip(begins, [*begins[1:], len(lines)], strict=True):
        kind, text, number = lines[here]
        yield _step(kind, text, number, lines[here + 1 : there])


def _step(kind: str, text: str, line: int, rest: Iterable[tuple[str, str, int]]) -> Step:
    sent = "".join(words for mark, words, _ in rest if mark == "S")
    told = tuple(words for mark, words, _ in rest if mark == "*")
    return Step(kind, text, line, sent, told)


class Conversation:
    """A core, and what has been bound to names while it was spoken to."""

    def __init__(self, transcript: Transcript) -> None:
        self.now = NOW
        self.bound: dict[str, str] = {}
        self.evidence = Proves()
        self.core = _core(transcript.head)

    def act(self, step: Step) -> list[Event]:
        """Do what a `!` line says, or hear what a `C:` line says, in one piece."""
        text = self.filled(step.text)
        if step.kind == "C":
            return self.core.receive_bytes(text.encode(), self.now)
        verb, _, rest = text.partition(" ")
        return self._fact(verb, rest)

    def _fact(self, verb: str, rest: str) -> list[Event]:
        core = self.core
        match verb:
            case "open" if isinstance(core, _OPENING):
                return core.open()
            case "tls":
                self.evidence.domains = set(rest.split())
                evidence = NO_CERTIFICATE if rest == "none" else self.evidence
                return core.tls_established(evidence, self.now)
            case "certificate":
                self.evidence.domains = set(rest.split()[2:])
                return []
            case "time":
                self.now += float(rest)
                return core.deadline_passed(self.now)
            case "eof":
                return core.receive_eof(self.now)
            case "close":
                return core.close(self.now)
            case "attach" if isinstance(core, ComponentStream):
                return core.answer_attach(rest == "yes", self.now)
            case "verdict" if isinstance(core, ServerStream):
                pair, stream_id, answer = rest.split()
                return core.answer_key(_pair(pair), stream_id, answer, self.now)
            case "verify" if isinstance(core, InitiatingStream):
                pair, stream_id, key = rest.split()
                core.verify(_pair(pair), stream_id, key, self.now)
                return []
            case "may-send":
                pair, wanted = rest.split()
                assert core.may_send(_pair(pair)) == (wanted == "yes"), rest
                return []
            case "send":
                pair, _, octets = rest.partition(" ")
                core.send_run(_pair(pair), octets.encode(), 1)
                return []
            case "handled" if isinstance(core, ServerStream):
                core.handled(int(rest))
                return []
            case "request-ack" if isinstance(core, ServerStream):
                core.request_ack()
                return []
            case "resume" if isinstance(core, ServerStream):
                sm_id, before, received = rest.split()
                total = None if before == "unknown" else int(before)
                return core.answer_resume(sm_id, total, int(received))
            case "lost" if isinstance(core, InitiatingStream):
                sm_id, received = rest.split()
                core.lost = (sm_id, int(received))
                return []
        raise ValueError(f"{verb} {rest}")

    def filled(self, text: str) -> str:
        """The text with words written out and names replaced by what was bound to them."""
        return _MARK.sub(lambda mark: WORDS.get(mark[1]) or self.bound[mark[1]], text)

    def expect(self, step: Step, sent: str, seen: list[Event]) -> None:
        """Compare what the core did with what the file says."""
        pattern = self._pattern(step.sent)
        match = re.fullmatch(pattern, sent.replace('"', "'"))
        assert match, f"line {step.line}: sent\n{sent}\nexpected\n{step.sent}"
        self.bound.update(match.groupdict())
        wanted = tuple(self.filled(line) for line in step.told)
        assert tuple(told(event) for event in seen) == wanted, f"line {step.line}"

    def _pattern(self, text: str) -> str:
        named: set[str] = set()
        parts, at = [], 0
        for mark in _MARK.finditer(text):
            parts += [re.escape(text[at : mark.start()]), self._matching(mark[1], named)]
            at = mark.end()
        return "".join(parts) + re.escape(text[at:])

    def _matching(self, name: str, named: set[str]) -> str:
        if name in WORDS or name in self.bound:
            return re.escape(self.filled(f"{{{name}}}"))
        if name.startswith("error "):
            condition = f"<{name.removeprefix('error ')} xmlns='{names.STREAM_ERRORS}'/>"
            return (
                f"<stream:error>{re.escape(condition)}(?:<text [^>]*>[^<]*</text>)?"
                "</stream:error></stream:stream>"
            )
        if name in named:
            return f"(?P={name})"
        named.add(name)
        return f"(?P<{name}>[^<']*)"


def play(
    transcript: Transcript, cut: Callable[[bytes], Iterable[bytes]] = lambda octets: (octets,)
) -> None:
    """Hold the conversation; AssertionError where the core departs from it."""
    talk = Conversation(transcript)
    for step in transcript.steps:
        seen: list[Event] = []
        sent = b""
        if step.kind == "C":
            for piece in cut(talk.filled(step.text).encode()):
                seen += talk.core.receive_bytes(piece, talk.now)
                sent += talk.core.bytes_to_send()
            seen = _runs_joined(seen)
        else:
            seen = talk.act(step)
        talk.expect(step, (sent + talk.core.bytes_to_send()).decode(), seen)


def _runs_joined(seen: list[Event]) -> list[Event]:
    """Neighbouring runs of one pair as one: where they were cut depends on the segments."""
    joined: list[Event] = []
    for event in seen:
        last = joined[-1] if joined else None
        if (
            isinstance(event, events.RunReceived)
            and isinstance(last, events.RunReceived)
            and event.pair == last.pair
        ):
            counts, octets = last.counts + event.counts, last.octets + event.octets
            joined[-1] = events.RunReceived(event.pair, counts, octets)
        else:
            joined.append(event)
    return joined


def told(event: Event) -> str:
    """An event on one line."""
    match event:
        case events.PairAuthorised(pair, may_send, mechanism):
            return f"{'may send' if may_send else 'accepts'} {_named(pair)} by {mechanism}"
        case events.StreamReady(peer, is_encrypted, is_certified):
            how = "encrypted" if is_encrypted else "in plaintext"
            return f"ready {peer} {how}{', certified' if is_certified else ''}"
        case events.PairRefused(pair, error):
            return f"refused {_named(pair)} {error.condition}"
        case events.RunReceived(pair, counts, octets):
            return f"run {_named(pair)} {counts.total} {octets.decode()}"
        case events.StanzaRefused(pair, octets, error):
            return f"stanza {_named(pair)} {error.condition}"
        case events.KeyReceived(pair, stream_id, key):
            return f"key {_named(pair)} {stream_id} {key}"
        case events.KeyAnswered(pair, stream_id, verdict):
            return f"answered {_named(pair)} {stream_id} {verdict}"
        case events.ClaimRefused(pair):
            return f"claim refused {_named(pair)}"
        case events.AttachRequested(domain):
            return f"attach {domain}"
        case events.StartTls():
            return "starttls"
        case events.Ignored():
            return "ignored"
        case events.SentManaged():
            return "what we send is counted"
        case events.ReceivedManaged():
            return "what we receive is counted"
        case events.Acknowledged(total):
            return f"acknowledged {total}"
        case events.ManagementRefused():
            return "what we send is not counted"
        case events.ResumeRequested(sm_id, received):
            return f"would resume {sm_id} with {received}"
        case events.Resumed(sm_id, received):
            return f"resumed {sm_id} with {received}"
        case events.NotResumed(sm_id):
            return f"not resumed {sm_id}"
        case events.StreamClosed(condition, by_peer, _, abrupt):
            who = "the peer" if by_peer else "us"
            return f"closed by {who}: {'abruptly' if abrupt else condition or 'in order'}"
    raise AssertionError(event)


def _named(pair: DomainPair) -> str:
    return f"{pair.sender}>{pair.target}"


def _pair(text: str) -> DomainPair:
    return DomainPair(*text.split(">"))


def _core(head: dict[str, str]) -> XmlStream:
    words = set(head.get("policy", "").split())
    rule = PeerRule(
        require_certificate="require=certificate" in words,
        bidi="bidi=off" not in words,
        deny="deny" in words,
    )
    settings = policy(
        *head.get("hosted", "montague.example").split(),
        rule=rule,
        tls_required="tls=optional" not in words,
        dialback="dialback=off" not in words,
        stream_management="management" in words,
        resume_s=30.0 if "resumable" in words else 0.0,
    )
    direct = "direct" in words
    match head["role"]:
        case "receiving":
            return ReceivingStream(settings, ids(), NOW, direct_tls=direct)
        case "initiating":
            pair = DomainPair("montague.example", "capulet.example")
            certificate = "no-certificate" not in words
            return InitiatingStream(
                settings, ids(), pair, NOW, direct_tls=direct, has_certificate=certificate
            )
        case "component":
            secrets = {"montague.example": "s3cr3t"}
            return ComponentStream(settings, lambda: "3BF96D32", secrets, NOW)
        case "component-client":
            return ComponentClientStream(settings, "relay.example", "s3cr3t", NOW)
        case "recipient":
            return RecipientStream(settings, ids(), _ends(head), NOW, direct_tls=direct)
        case "initiator":
            return InitiatorStream(settings, ids(), _ends(head), NOW, direct_tls=direct)
    raise ValueError(head["role"])


def _ends(head: dict[str, str]) -> Ends:
    pairs = frozenset(map(_pair, head.get("pairs", "").split()))
    return Ends("relay.example", head.get("peer", "juliet@capulet.example/balcony"), pairs)
