"""From the configuration's words to what the stream cores ask for. Pure."""

from functools import lru_cache

from router.config import Config
from router.xmpp.policy import PeerRule, Policy
from router.xmpp.reader import Limits


def stream_policy(config: Config) -> Policy:
    """The policy of every stream of this process."""
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
        hosted=frozenset(config.hosted),
        default_domain=next(iter(config.hosted), ""),
        secret=config.dialback.secret.encode(),
        rule=rule,
        limits=reader_limits(limits.max_stanza_bytes),
        before_proof=reader_limits(limits.max_preauth_bytes),
        before_proof_total_bytes=limits.max_preauth_total_bytes,
        tls_required=config.tls.required,
        dialback=config.dialback.enabled,
        stream_management=config.delivery.stream_management,
        resume_s=config.delivery.resume_s,
        ack_timeout_s=limits.unread_output_s,
        handshake_timeout_s=limits.handshake_timeout_s,
        close_timeout_s=limits.close_timeout_s,
        verification_timeout_s=limits.verification_timeout_s,
        pending_verifications=limits.pending_verifications,
    )
