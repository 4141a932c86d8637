"""What both oracles of authority share: the words, the domains, and what no core may grant.

Called by `test_authority_receiving` and `test_authority_initiating`.
"""

import re
from dataclasses import dataclass, field

from hypothesis import event
from hypothesis import strategies as st

from router.xmpp import names
from router.xmpp.events import Event, PairAuthorised, RunReceived
from router.xmpp.pair import DomainPair
from router.xmpp.s2s import ServerStream
from tests.support.pump import (
    CAPULET,
    MONTAGUE,
    PAIR,
)

VERONA, PADUA = "verona.example", "padua.example"
HOSTED = (MONTAGUE, VERONA)
DOMAINS = (CAPULET, MONTAGUE, PADUA, VERONA)
WRITTEN_PROCEED = f"<proceed xmlns='{names.TLS}'/>"
ABORT = f"<abort xmlns='{names.SASL}'/>"
OURS_ID = re.compile(r'<stream:stream [^>]* id="([^"]*)"')
AUTHZID = {"=": None, "": None, "Y2FwdWxldC5leGFtcGxl": CAPULET, "cGFkdWEuZXhhbXBsZQ==": PADUA}

domains = st.sampled_from(DOMAINS)
# Mostly what a real peer would say, so that the walks get somewhere.
likely = st.one_of(st.just(PAIR.inverse()), st.builds(DomainPair, domains, domains))
names_of_stream = st.one_of(
    st.just((CAPULET, MONTAGUE)),
    st.tuples(st.sampled_from([CAPULET, PADUA]), st.sampled_from(HOSTED)),
    st.tuples(domains, domains),
)
mostly = st.sampled_from([True, True, True, False])
types = st.sampled_from(["valid", "invalid", "error", "x"])


@dataclass
class Proof:
    """What the oracle holds for possible; the cores may grant no more."""

    receive: set[DomainPair] = field(default_factory=set)
    send: set[DomainPair] = field(default_factory=set)


def check(core: ServerStream, seen: list[Event], proof: Proof) -> None:
    for one in seen:
        match one:
            case RunReceived(pair):
                assert pair in proof.receive
                event("run received")
            case PairAuthorised(pair, may_send, mechanism):
                assert pair in (proof.send if may_send else proof.receive)
                event(f"{'send' if may_send else 'receive'} by {mechanism}")
    assert core.grants.receive.keys() <= proof.receive
    assert core.grants.send.keys() <= proof.send
    for sender in DOMAINS:
        for target in DOMAINS:
            if core.may_send(DomainPair(sender, target)):
                assert (sender, target) in proof.send


def stanza(pair: DomainPair) -> str:
    return f"<message from='a@{pair.sender}' to='b@{pair.target}'/>"


def result(pair: DomainPair, kind: str | None = None) -> str:
    typed = f" type='{kind}'" if kind else ""
    return f"<db:result from='{pair.sender}' to='{pair.target}'{typed}>k</db:result>"


def verify(pair: DomainPair, kind: str | None = None) -> str:
    typed = f" type='{kind}'" if kind else ""
    return f"<db:verify from='{pair.sender}' to='{pair.target}' id='id1'{typed}>k</db:verify>"
