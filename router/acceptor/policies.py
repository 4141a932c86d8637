"""From the configuration's words to what the stream cores ask for. Pure."""

from dataclasses import replace
from functools import lru_cache

from router.config import Config
from router.xmpp.perspective import BELOW, Perspective, inside, outside
from router.xmpp.policy import PeerRule, Policy
from router.xmpp.reader import Limits


def stream_policy(config: Config) -> Policy:
    """The policy of every stream with a remote server or a component."""
    policy = _policy(config, outside(config.hosts), config.dialback.secret)
    return replace(policy, tls_required=config.tls.required, dialback=config.dialback.enabled)


def inside_policy(config: Config) -> Policy:
    """The policy of every stream with a server behind the router."""
    policy = _policy(config, inside(config.servers), config.inside.secret)
    return replace(policy, tls_required=config.inside.tls_required)


def _policy(config: Config, perspective: Perspective, secret: str) -> Policy:
    limits = config.limits

    def reader_limits(max_stanza_bytes: int) -> Limits:
        return Limits(
            max_stanza_bytes=max_stanza_bytes,
            max_depth=limits.max_depth,
            max_attributes=limits.max_attributes,
            max_namespaces=limits.max_namespaces,
            max_elements=limits.max_elements,
        )

    @lru_cache(maxsize=4096)
    def rule(domain: str) -> PeerRule:
        peer = config.peer(domain)
        is_refused = domain != "" and config.refuses(domain)
        return PeerRule(peer.require == "certificate", peer.bidi, is_refused)

    return Policy(
        perspective=perspective,
        default_domain=next((name for name in config.hosted if not name.startswith(BELOW)), ""),
        secret=secret.encode(),
        rule=rule,
        limits=reader_limits(limits.max_stanza_bytes),
        before_proof=reader_limits(limits.max_preauth_bytes),
        before_proof_total_bytes=limits.max_preauth_total_bytes,
        stream_management=config.delivery.stream_management,
        resume_s=config.delivery.resume_s,
        ack_timeout_s=limits.unread_output_s,
        handshake_timeout_s=limits.handshake_timeout_s,
        close_timeout_s=limits.close_timeout_s,
        verification_timeout_s=limits.verification_timeout_s,
        pending_verifications=limits.pending_verifications,
    )
