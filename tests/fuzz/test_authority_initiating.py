"""Nobody we connected to gains authority that was not proved, see `test_authority_receiving`."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.xmpp import names
from router.xmpp.events import Event, StartTls
from router.xmpp.initiating import InitiatingStream
from router.xmpp.pair import DomainPair
from router.xmpp.policy import PeerRule
from tests.fuzz.authority import (
    HOSTED,
    PADUA,
    Proof,
    check,
    domains,
    likely,
    mostly,
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
    Proves,
    features,
    header,
    ids,
    policy,
)


class InitiatingOracle:
    """The same for one stream that we opened for montague.example to capulet.example."""

    def __init__(self, *, dialback: bool, external: bool) -> None:
        self.dialback = dialback
        rule = PeerRule()
        self.core = InitiatingStream(
            policy(*HOSTED, rule=rule, tls_required=False, dialback=dialback),
            ids(),
            PAIR,
            NOW,
            direct_tls=True,
            has_certificate=external,
        )
        self.certificate = Proves(CAPULET, PADUA)
        self.core.open()
        self.proof = Proof()
        self.pending: dict[DomainPair, str] = {}
        self.their_id = ""
        self.headers = self.features = 0
        self.auth_sent = self.success = self.key_sent = self.bidi = self.accepted = False
        self._heard(self.core.tls_established(self.certificate, NOW))

    def says(self, kind: str, text: str, argument: object) -> None:
        """The peer says something; what that can prove is noted before we answer."""
        if kind == "header":
            self.headers += 1
            self.their_id = str(argument)
        elif kind == "features":
            # After success, a new header and features complete the restart.
            if self.success and self.headers > 1:
                self._accepted()
        elif kind == "success":
            self.success |= self.auth_sent
        elif kind == "answer" and argument == (PAIR.inverse(), "valid") and self.key_sent:
            self._accepted()
        elif kind == "key" and isinstance(argument, DomainPair) and self._takes(argument):
            self.pending.setdefault(argument, self.their_id)
            if argument.sender in self.certificate.domains:
                self._reverse(argument)
        self._heard(self.core.receive_bytes(text.encode(), NOW))

    def verdict(self, pair: DomainPair, stream_id: str, verdict: str) -> None:
        """The authoritative server has spoken of a key that the peer gave us here."""
        if self.pending.get(pair) == stream_id and verdict == "valid":
            self._reverse(pair)
        self._heard(self.core.answer_key(pair, stream_id, verdict, NOW))

    def _takes(self, pair: DomainPair) -> bool:
        """XEP-0288 §2.2: on a bidi stream, toward a domain that we proved on it ourselves."""
        known = any(sent.sender == pair.target for sent in self.proof.send)
        return self.dialback and self.bidi and known and pair.sender not in HOSTED

    def _accepted(self) -> None:
        self.accepted = True
        self.proof.send.add(PAIR)
        if self.bidi:
            self.proof.receive.add(PAIR.inverse())

    def _reverse(self, pair: DomainPair) -> None:
        self.proof.receive.add(pair)
        self.proof.send.add(pair.inverse())

    def _heard(self, seen: list[Event]) -> None:
        sent = self.core.bytes_to_send().decode()
        self.bidi |= BIDI in sent
        self.auth_sent |= "<auth " in sent
        self.key_sent |= f'<db:result from="{PAIR.sender}" to="{PAIR.target}">' in sent
        assert not (BIDI in sent and self.accepted)
        check(self.core, seen, self.proof)
        assert not any(isinstance(one, StartTls) for one in seen)


offers = st.lists(
    st.sampled_from(
        [
            f"<mechanisms xmlns='{names.SASL}'><mechanism>EXTERNAL</mechanism></mechanisms>",
            f"<bidi xmlns='{names.BIDI_FEATURE}'/>",
            f"<dialback xmlns='{names.DIALBACK_FEATURE}'/>",
        ]
    ),
    unique=True,
)
initiating_actions = st.one_of(
    st.tuples(st.just("header"), st.sampled_from(["a", "b"])),
    st.tuples(st.just("features"), offers),
    st.tuples(st.just("success"), st.just(f"<success xmlns='{names.SASL}'/>")),
    st.tuples(st.just("other"), st.one_of(
        st.just(f"<failure xmlns='{names.SASL}'/>"),
        st.just(f"<challenge xmlns='{names.SASL}'/>"),
        st.builds(verify, likely, st.one_of(st.none(), types)),
        st.just(BIDI),
        st.just(f"<proceed xmlns='{names.TLS}'/>"),
    )),
    st.tuples(st.just("answer"), st.tuples(likely, types)),
    st.tuples(st.just("answer"), st.just((PAIR.inverse(), "valid"))),
    st.tuples(st.just("key"), st.builds(DomainPair, domains, domains)),
    st.tuples(st.just("key"), st.just(DomainPair(PADUA, MONTAGUE))),
    st.tuples(st.just("verdict"), st.tuples(
        st.builds(DomainPair, domains, domains), st.sampled_from(["a", "b", ""]), types
    )),
    st.tuples(st.just("stanza"), likely),
    st.tuples(st.just("certificate"), st.sets(domains)),
)  # fmt: skip


@pytest.mark.clause("BIDI-11", "BIDI-12", "BIDI-14", "BIDI-16", "DBK-18", "DBK-28", "SAS-07")
@settings(max_examples=700, deadline=None)
@given(
    mostly,
    st.booleans(),
    offers,
    st.sampled_from(["nothing", "named", "answered", "authenticated"]),
    st.lists(initiating_actions, max_size=14),
)
def test_a_peer_that_we_connected_to(
    dialback: bool,
    external: bool,
    offered: list[str],
    begin: str,
    actions: list[tuple[str, object]],
) -> None:
    oracle = InitiatingOracle(dialback=dialback, external=external)
    success: tuple[str, object] = ("success", f"<success xmlns='{names.SASL}'/>")
    answer: tuple[str, object] = ("answer", (PAIR.inverse(), "valid"))
    lead: list[tuple[str, object]] = [("header", "a"), ("features", offered)]
    if external and "EXTERNAL" in str(offered):
        lead += [success, ("header", "b"), ("features", [])]
    else:
        lead += [answer]
    stop = {"nothing": 0, "named": 1, "answered": 2, "authenticated": len(lead)}[begin]
    for kind, argument in [*lead[:stop], *actions]:
        match kind, argument:
            case "certificate", set():
                oracle.certificate.domains = set(argument)
            case "verdict", (DomainPair() as pair, str() as stream_id, str() as verdict):
                oracle.verdict(pair, stream_id, verdict)
            case "header", str() as stream_id:
                oracle.says(kind, header(CAPULET, MONTAGUE, stream_id=stream_id), stream_id)
            case "features", list():
                oracle.says(kind, features(*argument), None)
            case "answer", (DomainPair() as pair, str() as verdict):
                oracle.says(kind, result(pair, verdict), argument)
            case "key", DomainPair() as pair:
                oracle.says(kind, result(pair), pair)
            case "stanza", DomainPair() as pair:
                oracle.says(kind, stanza(pair), pair)
            case _, str() as text:
                oracle.says(kind, text, text)
