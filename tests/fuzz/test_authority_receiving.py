"""Nobody who connected gains authority that was not proved: random peers against an oracle.

The oracle is written from the standards, not from the core: it watches what the peer says and what
we answer, and says which pairs may have been proved so far.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.xmpp import names
from router.xmpp.events import Event
from router.xmpp.pair import DomainPair
from router.xmpp.policy import PeerRule
from router.xmpp.receiving import ReceivingStream
from router.xmpp.states import Phase
from tests.fuzz.authority import (
    ABORT,
    AUTHZID,
    HOSTED,
    OURS_ID,
    PADUA,
    WRITTEN_PROCEED,
    Proof,
    check,
    domains,
    likely,
    mostly,
    names_of_stream,
    result,
    stanza,
    types,
    verify,
)
from tests.support.pump import (
    BIDI,
    CAPULET,
    MONTAGUE,
    NOW,
    PAIR,
    STARTTLS,
    Proves,
    features,
    header,
    ids,
    policy,
)


class ReceivingOracle:
    """XEP-0178, XEP-0220 and XEP-0288 for one stream the peer opened."""

    def __init__(self, *, tls_required: bool, dialback: bool, strict: bool) -> None:
        self.tls_required, self.dialback, self.strict = tls_required, dialback, strict
        rule = PeerRule(require_certificate=strict)
        settings_ = policy(*HOSTED, rule=rule, tls_required=tls_required, dialback=dialback)
        self.core = ReceivingStream(settings_, ids(), NOW)
        self.certificate = Proves()
        self.proof = Proof()
        self.proved: set[DomainPair] = set()
        self.asked: dict[DomainPair, str] = {}
        self.current_id = ""
        self.named: tuple[str, str] | None = None
        self.by_sasl: tuple[str, str] | None = None
        self.earned: tuple[str, str] | None = None
        """The names that SASL would prove, if what was just said is answered with success."""
        self.secure = self.challenged = self.begun = self.bidi = self.closing = False
        self.deaf = False
        """From proceed until TLS is up nothing counts: it is read as TLS."""

    def says(self, kind: str, text: str, argument: object) -> None:
        """The peer says something; what that can prove is noted before we answer."""
        if self.deaf:
            pass
        elif kind == "header" and self.named is None:
            self.named = argument  # type: ignore[assignment]
            if self.by_sasl is not None and self.by_sasl == argument:
                self._proved(DomainPair(*self.by_sasl))
        elif kind == "bidi":
            self.bidi |= bool(self.named) and self._protected() and not self.begun
        elif kind == "auth" and self.secure:
            self.begun = True
            if argument != "" and not self.challenged:  # it is not due during a challenge
                self._identity(str(argument))
        elif kind == "response" and self.challenged:
            self.challenged = False
            self._identity(str(argument))
        elif text == ABORT:
            self.challenged = False
        elif kind == "key" and self.dialback and self._protected():
            assert isinstance(argument, DomainPair)
            self.begun = True
            self.asked.setdefault(argument, self.current_id)
            if argument.sender in self._names() and argument.target in HOSTED:
                self._proved(argument)
        self._heard(self.core.receive_bytes(text.encode(), NOW))

    def verdict(self, pair: DomainPair, stream_id: str, verdict: str) -> None:
        """The authoritative server has spoken, of this or of an earlier stream."""
        wanted = self.asked.get(pair) == stream_id == self.current_id
        if wanted and verdict == "valid" and not self.strict:
            self._proved(pair)
        if wanted:
            del self.asked[pair]
        self._heard(self.core.answer_key(pair, stream_id, verdict, NOW))

    def tls(self) -> None:
        """The handshake is done, if one is under way."""
        if self.core.phase in (Phase.TLS, Phase.DIRECT_TLS):
            assert not self.proved, "what plaintext proved must not lead into TLS"
            self.secure, self.deaf = True, False
            self.named = self.by_sasl = None
            self.asked.clear()
            self.proved.clear()
            self.begun = self.bidi = self.challenged = False
            self._heard(self.core.tls_established(self.certificate, NOW))

    def close(self) -> None:
        """We are going away: nobody is proved any more, and nothing leaves."""
        self.closing = True
        self._heard(self.core.close(NOW))

    def ends(self, kind: str, argument: object) -> bool:
        """Whether this would end the stream at once, and so the walk."""
        if kind == "header":
            return self.named is not None
        if kind == "stanza":
            return argument not in self.proved
        return argument == STARTTLS and self.secure

    def _identity(self, data: str) -> None:
        if self.named is None or self.named[0] not in self._names():
            return
        if AUTHZID[data] in (None, self.named[0]):
            self.earned = self.named

    def _names(self) -> set[str]:
        return self.certificate.domains if self.secure else set()

    def _protected(self) -> bool:
        return self.secure or not self.tls_required

    def _proved(self, pair: DomainPair) -> None:
        if pair.sender not in HOSTED and pair.target in HOSTED and not self.closing:
            self.proved.add(pair)

    def _heard(self, seen: list[Event]) -> None:
        sent = self.core.bytes_to_send().decode()
        for found in OURS_ID.findall(sent):
            self.current_id = found
        if "<proceed " in sent:
            self.deaf = True
            self.asked.clear()
        self.challenged |= "<challenge " in sent
        if "<success " in sent:
            assert self.earned is not None, "success for nothing"
            assert not self.proved, "SASL beside another proof"
            self.by_sasl, self.named = self.earned, None
            self.asked.clear()
        self.earned = None
        self.proof.receive = self.proved
        self.proof.send = {pair.inverse() for pair in self.proved} if self.bidi else set()
        check(self.core, seen, self.proof)
        if self.deaf:  # all that may be said there is said before
            assert sent in ("", WRITTEN_PROCEED)
        if self.named is None or self.closing:  # BIDI-08, STR-15: no stream to send on
            assert not any(self.core.may_send(pair) for pair in self.proof.send)


Action = tuple[str, object]
HERE: Action = ("header", (CAPULET, MONTAGUE))
KEY: Action = ("key", PAIR.inverse())
VERIFIED: Action = ("verified key", PAIR.inverse())
WANTS_BIDI: Action = ("bidi", BIDI)
TO_TLS: list[Action] = [("other", STARTTLS), ("tls", None)]
# What real peers do; each walk is one of them with accidents.
SCRIPTS: dict[str, list[Action]] = {
    "EXTERNAL": [HERE, *TO_TLS, HERE, WANTS_BIDI, ("auth", "="), HERE],
    "EXTERNAL, challenged": [
        HERE, *TO_TLS, HERE, WANTS_BIDI, ("auth", ""), ("response", "="), HERE,
    ],
    "dialback": [HERE, *TO_TLS, HERE, WANTS_BIDI, VERIFIED],
    "dialback in plaintext": [HERE, WANTS_BIDI, VERIFIED, *TO_TLS, HERE, WANTS_BIDI, VERIFIED],
    "a key on either side of TLS": [HERE, WANTS_BIDI, KEY, *TO_TLS, HERE, KEY, ("auth", "="), HERE],
    "a bidi request before TLS": [HERE, WANTS_BIDI, *TO_TLS, HERE, ("auth", "="), HERE],
}  # fmt: skip


@st.composite
def walks(draw: st.DrawFn) -> list[Action]:
    """A script, perhaps cut short, with other actions put in anywhere."""
    script = list(SCRIPTS[draw(st.sampled_from([*SCRIPTS]))])
    del script[draw(st.integers(len(script) // 2, len(script))) :]
    for action in draw(st.lists(receiving_actions, max_size=8)):
        script.insert(draw(st.integers(0, len(script))), action)
    return script


receiving_actions = st.one_of(
    st.tuples(st.just("tls"), st.just(None)),
    st.tuples(st.just("header"), names_of_stream),
    st.tuples(st.just("header"), names_of_stream),
    st.tuples(st.just("auth"), st.sampled_from([*AUTHZID])),
    st.tuples(st.just("response"), st.sampled_from([*AUTHZID])),
    st.tuples(st.just("key"), likely),
    st.tuples(st.just("key"), likely),
    st.tuples(st.just("verdict"), st.tuples(likely, st.integers(1, 4), types)),
    st.tuples(st.just("verdict"), st.tuples(likely, st.integers(1, 2), st.just("valid"))),
    st.tuples(st.just("verdict"), st.tuples(likely, st.just(0), st.just("valid"))),
    st.tuples(st.just("verified key"), likely),
    st.tuples(st.just("stanza"), likely),
    st.tuples(st.just("other"), st.one_of(
        st.just(STARTTLS),
        st.just(ABORT),
        st.builds(result, likely, types),
        st.builds(verify, likely, st.one_of(st.none(), types)),
        st.just(features()),
    )),
    st.tuples(st.just("bidi"), st.just(BIDI)),
    st.tuples(st.just("certificate"), st.sets(domains)),
    st.tuples(st.just("close"), st.just(None)),
)  # fmt: skip


@pytest.mark.clause("STR-14", "STR-17", "SAS-07", "DBK-14", "DBK-28", "BIDI-05", "BIDI-07")
@pytest.mark.clause("BIDI-08", "BIDI-09", "BIDI-10", "BIDI-19", "RTE-02", "RTE-03", "RTE-04")
@settings(max_examples=1200, deadline=None)
@given(
    st.booleans(),
    mostly,
    mostly.map(lambda yes: not yes),
    st.sampled_from([set(), {CAPULET}, {CAPULET, PADUA}]),
    walks(),
    mostly,
)
def test_a_peer_that_connected(
    tls_required: bool,
    dialback: bool,
    strict: bool,
    covers: set[str],
    walk: list[Action],
    polite: bool,
) -> None:
    oracle = ReceivingOracle(tls_required=tls_required, dialback=dialback, strict=strict)
    oracle.certificate.domains = set(covers)
    while walk and oracle.core.phase is not Phase.CLOSED:
        kind, argument = walk.pop(0)
        if polite and oracle.ends(kind, argument):
            continue
        if polite and kind in ("bidi", "auth", "key", "other") and oracle.named is None:
            walk, (kind, argument) = [(kind, argument), *walk], HERE
        match kind, argument:
            case "tls", _:
                oracle.tls()
            case "close", _:
                oracle.close()
            case "certificate", set():
                oracle.certificate.domains = set(argument)
            case "verdict", (DomainPair() as pair, int() as number, str() as verdict):
                stream_id = f"id{number}" if number else oracle.current_id
                oracle.verdict(pair, stream_id, verdict)
            case "header", (str() as sender, str() as target):
                oracle.says(kind, header(sender, target), argument)
            case "auth" | "response", str():
                mechanism = " mechanism='EXTERNAL'" if kind == "auth" else ""
                text = f"<{kind} xmlns='{names.SASL}'{mechanism}>{argument}</{kind}>"
                oracle.says(kind, text, argument)
            case "key", DomainPair() as pair:
                oracle.says(kind, result(pair), pair)
            case "verified key", DomainPair() as pair:
                oracle.says("key", result(pair), pair)
                oracle.verdict(pair, oracle.current_id, "valid")
            case "stanza", DomainPair() as pair:
                oracle.says(kind, stanza(pair), pair)
            case _, str() as text:
                oracle.says(kind, text, text)
