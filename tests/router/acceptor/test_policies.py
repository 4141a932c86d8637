"""Every word of the configuration that streams care about reaches them."""

import pytest

from router.acceptor.policies import inside_policy, stream_policy
from router.config import (
    Address,
    Config,
    Delivery,
    Dialback,
    Domain,
    E2e,
    Inside,
    Limits,
    Peer,
    Tls,
)
from router.xmpp.perspective import Domains, inside, outside
from router.xmpp.policy import PeerRule

MONTAGUE, VERONA = "montague.example", "verona.example"
SERVER = Domain("server", target=Address("10.0.0.7", 5269))


def domains(*names: str) -> dict[str, Domain]:
    return {name: Domain("component", secret="s") for name in names}


def test_the_first_hosted_domain_is_the_default() -> None:
    policy = stream_policy(Config(domains=domains(MONTAGUE, VERONA)))
    assert policy.perspective == outside(Domains(frozenset({MONTAGUE, VERONA})))
    assert policy.default_domain == MONTAGUE


def test_the_routers_own_address_is_hosted_and_never_the_default() -> None:
    relay = "relay.montague.example"
    policy = stream_policy(Config(domains=domains(MONTAGUE), e2e=E2e(jid=relay)))
    assert policy.perspective == outside(Domains(frozenset({MONTAGUE, relay})))
    assert policy.default_domain == MONTAGUE


def test_nothing_hosted_is_a_policy_too() -> None:
    policy = stream_policy(Config())
    assert (policy.perspective, policy.default_domain) == (outside(Domains()), "")


def test_a_peer_has_its_own_rule_or_that_of_all() -> None:
    rule = stream_policy(
        Config(
            peers={
                "capulet.example": Peer(require="certificate", bidi=False),
                "tybalt.example": Peer(deny=True),
                "*": Peer(bidi=False),
            }
        )
    ).rule
    assert rule("capulet.example") == PeerRule(True, False, False)
    assert rule("tybalt.example") == PeerRule(False, True, True)
    assert rule("paris.example") == PeerRule(False, False, False)
    assert rule("") == PeerRule(False, False, False)


def test_who_is_refused_is_so_by_name() -> None:
    """A header may leave `from` out; the domain is then known by its key (XEP-0220 §2.4.1)."""
    rule = stream_policy(Config(peers={"*": Peer(deny=True), "a.example": Peer()})).rule
    assert [rule(name).deny for name in ("a.example", "b.example", "")] == [False, True, False]
    assert stream_policy(Config()).rule("169.254.169.254").deny


def test_stream_management_is_as_configured() -> None:
    usual = stream_policy(Config())
    assert (usual.stream_management, usual.resume_s, usual.ack_timeout_s) == (True, 30.0, 120.0)
    other = stream_policy(
        Config(
            delivery=Delivery(stream_management=False, resume_s=0.0),
            limits=Limits(unread_output_s=7.0),
        )
    )
    assert (other.stream_management, other.resume_s, other.ack_timeout_s) == (False, 0.0, 7.0)


def test_each_limit_goes_to_its_place() -> None:
    limits = Limits(
        max_stanza_bytes=20_000,
        max_preauth_bytes=2_000,
        max_preauth_total_bytes=3_000,
        max_depth=11,
        max_attributes=12,
        max_namespaces=13,
        max_elements=14,
        handshake_timeout_s=15.0,
        close_timeout_s=16.0,
        verification_timeout_s=17.0,
        pending_verifications=18,
    )
    policy = stream_policy(Config(limits=limits))
    assert policy.limits.max_stanza_bytes == 20_000
    assert policy.before_proof.max_stanza_bytes == 2_000
    assert policy.before_proof_total_bytes == 3_000
    for each in (policy.limits, policy.before_proof):
        assert (each.max_depth, each.max_attributes) == (11, 12)
        assert (each.max_namespaces, each.max_elements) == (13, 14)
    assert policy.handshake_timeout_s == 15.0
    assert policy.close_timeout_s == 16.0
    assert policy.verification_timeout_s == 17.0
    assert policy.pending_verifications == 18


@pytest.mark.clause("DBK-04")
def test_tls_and_dialback_are_as_configured() -> None:
    off = stream_policy(
        Config(tls=Tls(required=False), dialback=Dialback(enabled=False, secret="größer"))
    )
    assert (off.tls_required, off.dialback) == (False, False)
    assert off.secret == "größer".encode()
    on = stream_policy(Config())
    assert (on.tls_required, on.dialback) == (True, True)


def test_servers_behind_us_have_a_policy_of_their_own() -> None:
    """Dialback is never off there, and its secret another one."""
    config = Config(
        tls=Tls(required=True),
        dialback=Dialback(enabled=False, secret="outside"),
        inside=Inside(tls_required=False, secret="inside", require="certificate"),
        domains={
            MONTAGUE: Domain("component", secret="s"),
            VERONA: SERVER,
            "*.verona.example": SERVER,
        },
        peers={"*": Peer(deny=True)},
    )
    policy = inside_policy(config)
    servers = Domains(frozenset({VERONA}), frozenset({VERONA}), frozenset({MONTAGUE}))
    assert policy.perspective == inside(servers)
    assert (policy.tls_required, policy.dialback, policy.secret) == (False, True, b"inside")
    assert policy.rule("conference.verona.example") == PeerRule(require_certificate=True)
    assert policy.default_domain == MONTAGUE
    other = stream_policy(config)
    assert (other.tls_required, other.dialback, other.secret) == (True, False, b"outside")
