"""How a remote domain looks from here: where it is, what answers there, and what that means.

Asks DNS and connects by itself, no router need run; nothing is authenticated. Called by `check`;
`check_report` has the words. Everything in the result is fit for JSON, and escaped.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from router.acceptor.certificates.store import CertificateStore
from router.acceptor.certificates.verdict import Verifier
from router.acceptor.dialling.addresses import Listening, permitted
from router.acceptor.dialling.dns import Resolver, Target, Unresolvable
from router.acceptor.dialling.places import Places
from router.cli.check_certificate import described, expiry_warning
from router.cli.probe import Offer, Sight, look
from router.config import Config
from router.log import escape
from router.xmpp.pair import DomainPair

MAX_TARGETS: Final = 8
_NOT_PUBLIC: Final = "not a public address; [dial] allow_private_addresses is false"
_OURSELVES: Final = "we listen there ourselves"
_NEVER: Final = "multicast, unspecified or IPv4-mapped"


async def examined(config: Config, pair: DomainPair) -> dict[str, Any]:
    """Everything about the target of `pair`, whose sender is hosted here; or the target's server
    stands behind us, and we are the sender to it. Never hangs.

    `ok`: the router could open a stream on which the pair's stanzas leave. The look-ups
    have twice `dns.timeout_s`, all connections together 10 s. Raises TrustAnchorError.
    """
    resolver = Resolver(config.dns, asyncio.get_running_loop().time, Random())
    view = _View(
        config,
        pair,
        resolver,
        _listening(config),
        CertificateStore(config.tls.certificates, config.hosted),
        Verifier(_anchors(config, pair.target)),
    )
    peer = config.peer(pair.target)
    report: dict[str, Any] = {
        "ok": False,
        "local": pair.sender,
        "remote": pair.target,
        "route": _route(config, pair.target),
        "services": [] if peer.target else await view.services(),
        "is_fallback": False,
        "problem": "",
        "targets": [],
        "used": None,
    }
    denied = _denied(config, pair.target)
    try:
        targets = await Places(config, resolver, view.listening).targets(pair.target)
    except Unresolvable as error:
        problem = escape(f"{error.condition}: {error.text}")
        return report | {"problem": "; ".join(filter(None, (denied, problem)))}
    report["is_fallback"] = not (peer.target or any(each["records"] for each in report["services"]))
    looked_at = targets[:MAX_TARGETS]
    report["targets"] = await asyncio.gather(*map(view.target, looked_at))
    if len(targets) > len(looked_at):
        report["problem"] = f"{len(targets) - len(looked_at)} more targets were left out"
    if denied:
        return report | {"problem": denied}
    return report | _used(report["targets"])


def _anchors(config: Config, domain: str) -> str:
    own = config.inside.trust_anchors if domain in config.servers else None
    return own or config.tls.trust_anchors


def _route(config: Config, domain: str) -> str:
    if domain in config.servers:
        return "inside"
    return "dns" if config.peer(domain).target is None else "static"


def _denied(config: Config, domain: str) -> str:
    """Why the router would not even try, as `Config.refuses` has it; else nothing."""
    if not config.refuses(domain):
        return ""
    if config.peer(domain).deny:
        return "the configuration denies this domain"
    return "an IP address is refused unless it has a table of its own in [peers]"


def _used(targets: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The target that the router would end up with: after some failures it goes no further."""
    for number, target in enumerate(targets, 1):
        if target["usable"]:
            return {"ok": True, "used": number}
        if not target["next"]:
            break
    return {}


@dataclass(frozen=True, slots=True)
class _View:
    """One pair, and what is needed to look at its target."""

    config: Config
    pair: DomainPair
    resolver: Resolver
    listening: Listening
    certificates: CertificateStore
    verifier: Verifier

    async def services(self) -> list[dict[str, Any]]:
        return [
            {
                "service": service.name,
                "records": [
                    {**_place(record), "usable": usable}
                    for usable, records in ((True, service.targets), (False, service.unusable))
                    for record in records
                ],
                "failed": service.failed,
            }
            for service in await self.resolver.services(self.pair.target)
        ]

    async def target(self, target: Target) -> dict[str, Any]:
        said: dict[str, Any] = {**_place(target), "tls_mode": target.tls, "addresses": []}
        try:
            found = await self.resolver.addresses(target.host)
        except Unresolvable as error:
            return said | _unseen(f"{error.condition}: {error.text}")
        refusals = {address: self._refusal(address, target.port) for address in found}
        said["addresses"] = [
            {"address": address, "refused": refused} for address, refused in refusals.items()
        ]
        addresses = [address for address, refused in refusals.items() if not refused]
        if not addresses:
            return said | _unseen("no address that may be dialled")
        sight = await look(
            self.config, self.certificates, self.verifier, self.pair, target, addresses
        )
        return said | self._seen(sight)

    def _refusal(self, address: str, port: int) -> str:
        """Why the router would not dial it; as `router.acceptor.dialling.places` decides it."""
        is_static = self.config.peer(self.pair.target).target is not None
        if permitted(address, is_static or self.config.dial.allow_private_addresses):
            is_ours = not is_static and self.listening.at(address, port)
            return _OURSELVES if is_ours else ""
        return _NOT_PUBLIC if permitted(address, allow_private=True) else _NEVER

    # --- what was seen, and what it means ---

    def _seen(self, sight: Sight) -> dict[str, Any]:
        proof = self._proof(sight)
        certificate = self._certificate(sight)
        bidi = self._bidi(sight, certificate["valid"])
        problem = _problem(sight)
        is_required = self.config.peer(self.pair.target).require == "certificate"
        goes_on = sight.next
        if not problem and is_required and not certificate["valid"]:
            problem, goes_on = f"its certificate is required: {certificate['reason']}", False
        if not problem and proof["by"] == "none":
            problem, goes_on = f"we cannot prove ourselves: {proof['reason']}", False
        end = sight.end
        return {
            "connected": sight.address,
            "complete": sight.is_complete,
            "version": escape(sight.version),
            "before_tls": _offer(sight.plain),
            "tls": _session(sight),
            "inside_tls": _offer(sight.secure),
            "stream_error": {
                "condition": end.condition,
                "by_peer": end.by_peer,
                "text": escape(end.text),
            }
            if end is not None and end.condition
            else None,
            "certificate": certificate,
            "proof": proof,
            "bidi": bidi,
            "usable": not problem,
            "problem": escape(problem),
            "next": bool(problem) and goes_on,
        }

    def _proof(self, sight: Sight) -> dict[str, str]:
        """How we would prove that we are the sender: as `router.xmpp.initiating` decides it."""
        offer = sight.secure or sight.plain
        if offer is None:
            return {"by": "none", "reason": "no features were seen"}
        if "EXTERNAL" in offer.mechanisms and sight.secure is not None:
            if self.certificates.has_certificate(self.pair.sender):
                return {"by": "external", "reason": "it takes our certificate"}
            why_not = "we have no certificate"
        elif sight.secure is None:
            why_not = "there is no TLS"
        else:
            why_not = "it does not offer EXTERNAL for our certificate"
        if not self._uses_dialback():
            return {"by": "none", "reason": f"{why_not}, and dialback is off here"}
        if not offer.dialback or not sight.stream_id:
            return {"by": "none", "reason": f"{why_not}, and it does not speak dialback"}
        return {"by": "dialback", "reason": f"{why_not}; it will ask our domain's server back"}

    def _uses_dialback(self) -> bool:
        return self.pair.target in self.config.servers or self.config.dialback.enabled

    def _certificate(self, sight: Sight) -> dict[str, Any]:
        if sight.session is None or sight.evidence is None or not sight.session.chain:
            return {"valid": False, "reason": "no certificate was seen", "leaf": None}
        verdict = sight.evidence.proves(self.pair.target)
        chain = sight.session.chain
        leaf = described(chain[0])
        return {
            "valid": verdict.valid,
            "trusted": verdict.trusted,
            "covers": verdict.covers,
            "reason": escape(verdict.reason),
            "chain_fault": escape(self.verifier.judge_chain(chain).fault),
            "certificates": len(chain),
            "leaf": leaf,
            "warning": expiry_warning(leaf),
        }

    def _bidi(self, sight: Sight, proves: bool) -> dict[str, Any]:
        """Whether the peer's stanzas could come back on the stream we open (BIDI-13)."""
        offer = sight.secure or sight.plain
        if offer is None or not offer.bidi:
            return {"would": False, "reason": "it does not offer bidi"}
        if not self.config.peer(self.pair.target).bidi:
            return {"would": False, "reason": "offered, but the configuration turns it off"}
        if not (self._uses_dialback() or proves):
            return {"would": False, "reason": "offered, but it has not the proof we would want"}
        return {"would": True, "reason": f"offered in {', '.join(offer.bidi)}"}


def _listening(config: Config) -> Listening:
    listening = Listening()
    listen = config.listen
    for address in (*listen.s2s, *listen.s2s_direct_tls, *listen.inside):
        listening.add(*address)
    return listening


def _place(target: Target) -> dict[str, Any]:
    return {
        "host": escape(target.host),
        "port": target.port,
        "priority": target.priority,
        "weight": target.weight,
    }


def _unseen(problem: str) -> dict[str, Any]:
    return {
        "connected": "",
        "complete": False,
        "usable": False,
        "problem": escape(problem),
        "next": True,
    }


def _problem(sight: Sight) -> str:
    """Why there would be no stream, proofs aside; "" when there would."""
    end = sight.end
    if sight.error:
        return sight.error
    if sight.tls_error:
        return f"TLS failed: {sight.tls_error}"
    if end is not None and end.condition:
        who = "the peer" if end.by_peer else "we"
        return f"{who} ended the stream: {end.condition}" + (f": {end.text}" if end.text else "")
    if sight.is_complete:
        return ""
    return end.text if end is not None and end.text else "the stream ended too early"


def _session(sight: Sight) -> dict[str, str] | None:
    if sight.session is None:
        return {"error": escape(sight.tls_error)} if sight.tls_error else None
    session = sight.session
    return {"version": session.version, "cipher": session.cipher, "alpn": escape(session.alpn)}


def _offer(offer: Offer | None) -> dict[str, Any] | None:
    if offer is None:
        return None
    return {
        "starttls": offer.starttls,
        "mechanisms": [escape(each) for each in offer.mechanisms],
        "dialback": offer.dialback,
        "bidi": list(offer.bidi),
        "limits": {escape(name): escape(value) for name, value in offer.limits},
        "stream_management": offer.stream_management,
        "others": [escape(each) for each in offer.others],
    }
