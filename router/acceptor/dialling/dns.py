"""Where a domain's server is: SRV records in order of attempt, and the addresses of a host.

Owns the cache, the time-outs and the order (RFC 6120 §3.2, RFC 2782, XEP-0368); dnspython speaks to
the resolvers. Static routes and the filter of addresses are the dialer's, who calls it.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from random import Random
from typing import Any, Final, Literal

import dns.asyncresolver
import dns.exception
import dns.message
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.resolver

from router.config import Dns
from router.xmpp import jid

DEFAULT_PORT: Final = 5269
_NOT_FOUND: Final = "remote-server-not-found"
_TIMEOUT: Final = "remote-server-timeout"
_EDNS_PAYLOAD_BYTES: Final = 1232

TlsMode = Literal["starttls", "direct"]
_SERVICES: Final[tuple[tuple[str, TlsMode], ...]] = (
    ("_xmpp-server._tcp", "starttls"),
    ("_xmpps-server._tcp", "direct"),
)


class Unresolvable(Exception):
    """The domain cannot be found; `condition` (RFC 6120 §8.3.3) and `text` are for the sender."""

    def __init__(self, condition: str, text: str) -> None:
        super().__init__(text)
        self.condition = condition
        self.text = text


@dataclass(frozen=True, slots=True)
class Target:
    """One place to try: a host (name or IP literal) and port, and when TLS begins there."""

    host: str
    port: int
    tls: TlsMode
    priority: int = 0
    weight: int = 0


@dataclass(frozen=True, slots=True)
class Service:
    """One SRV service of a domain, as DNS has it.

    `unusable` are "." (no such service) and ports where other services listen; `failed` is "", or
    how no valid answer could be had.
    """

    name: str
    targets: tuple[Target, ...]
    unusable: tuple[Target, ...]
    failed: str


@dataclass(frozen=True, slots=True)
class _Failure:
    condition: str
    text: str


@dataclass(frozen=True, slots=True)
class _Reply:
    """What one query brought. `failed`: "" or how no valid reply could be had."""

    records: tuple[Any, ...] = ()
    ttl_s: float = 0.0
    failed: Literal["", "silence", "error"] = ""


_Outcome = tuple[Any, ...] | _Failure
_Query = Callable[[str], Coroutine[Any, Any, tuple[_Outcome, float]]]


class Resolver:
    """Looks up domains and hosts; one look-up at a time for each name, all of them cached.

    `clock` gives monotonic seconds; `random` draws among records of the same priority.
    """

    def __init__(self, config: Dns, clock: Callable[[], float], random: Random) -> None:
        self._config = config
        self._clock = clock
        self._random = random
        self._stub = _stub(config)
        self._cache: OrderedDict[tuple[str, str], tuple[float, _Outcome]] = OrderedDict()
        self._flights: dict[tuple[str, str], asyncio.Task[_Outcome]] = {}

    async def targets(self, domain: str) -> tuple[Target, ...]:
        """The places to try for a domain, in order; the order is drawn anew at each call.

        RFC 6120 §3.2: the records of both services as one list; port 5269 of the domain itself
        only if there are none of either. An IP literal is not looked up. Raises Unresolvable.
        """
        host = jid.ascii_domain(domain)
        if literal := _literal(host):
            return (Target(literal, DEFAULT_PORT, "starttls"),)
        found: tuple[Target, ...] = await self._look_up(("SRV", host), self._services)
        return in_order(found, self._random)

    async def services(self, domain: str) -> tuple[Service, ...]:
        """All SRV records of a domain, for people: asked anew, by priority. Never raises."""
        host = jid.ascii_domain(domain)
        if _literal(host):
            return ()
        replies = await self._service_replies(host)
        found = []
        for (name, tls), reply in zip(_SERVICES, replies, strict=True):
            targets: dict[bool, list[Target]] = {True: [], False: []}
            for record in sorted(reply.records, key=lambda each: (each.priority, -each.weight)):
                targets[self._is_usable(record)].append(_target(record, tls))
            found.append(Service(name, tuple(targets[True]), tuple(targets[False]), reply.failed))
        return tuple(found)

    async def addresses(self, host: str) -> tuple[str, ...]:
        """The addresses of a host, IPv6 before IPv4, unfiltered. Raises Unresolvable."""
        if literal := _literal(host):
            return (literal,)
        found: tuple[str, ...] = await self._look_up(("A", host.lower()), self._hosts)
        return found

    async def _look_up(
        self,
        key: tuple[str, str],
        query: _Query,
    ) -> Any:
        """The outcome of the cache, of the look-up under way, or of a new one."""
        expires, outcome = self._cache.get(key, (0.0, None))
        if outcome is None or expires <= self._clock():
            if key not in self._flights:
                self._flights[key] = asyncio.create_task(self._fly(key, query))
            # One who gives up must not take the answer from the others.
            outcome = await asyncio.shield(self._flights[key])
        if isinstance(outcome, _Failure):
            raise Unresolvable(outcome.condition, outcome.text)
        return outcome

    async def _fly(self, key: tuple[str, str], query: _Query) -> _Outcome:
        try:
            outcome, ttl_s = await query(key[1])
        finally:
            del self._flights[key]
        config = self._config
        longest_s = config.negative_ttl_s if isinstance(outcome, _Failure) else config.max_ttl_s
        expires = self._clock() + min(max(ttl_s, config.min_ttl_s), longest_s)
        self._cache[key] = expires, outcome
        self._cache.move_to_end(key)
        if len(self._cache) > config.cache_names:
            self._cache.popitem(last=False)
        return outcome

    async def _services(self, host: str) -> tuple[_Outcome, float]:
        replies = await self._service_replies(host)
        ttl_s = min(each.ttl_s for each in replies)
        found = [
            _target(record, tls)
            for (_, tls), reply in zip(_SERVICES, replies, strict=True)
            for record in reply.records
            if self._is_usable(record)
        ]
        if found:
            found.sort(key=lambda each: each.priority)
            return tuple(found[: self._config.max_srv_records]), ttl_s
        if any(each.records for each in replies):
            return _Failure(_NOT_FOUND, f"{host} offers no XMPP service to other servers"), ttl_s
        if any(each.failed == "error" for each in replies):
            # The zone is broken or its signature bogus: a fallback would make that an attack.
            return _Failure(_TIMEOUT, f"the SRV records of {host} cannot be had"), ttl_s
        try:
            await self.addresses(host)
        except Unresolvable as reason:
            lasting_s = ttl_s if reason.condition == _NOT_FOUND else 0.0
            return _Failure(reason.condition, reason.text), lasting_s
        return (Target(host, DEFAULT_PORT, "starttls"),), ttl_s

    async def _service_replies(self, host: str) -> list[_Reply]:
        queries = (self._query(f"{service}.{host}", "SRV") for service, _ in _SERVICES)
        return list(await asyncio.gather(*queries))

    def _is_usable(self, record: Any) -> bool:
        """Not "." (RFC 2782: no such service), nor a port where other services listen."""
        is_open = record.port >= 1024 or record.port in self._config.privileged_ports
        return is_open and record.target != dns.name.root

    async def _hosts(self, host: str) -> tuple[_Outcome, float]:
        six, four = await asyncio.gather(self._query(host, "AAAA"), self._query(host, "A"))
        ttl_s = min(six.ttl_s, four.ttl_s)
        limit = self._config.max_addresses
        # However many of one family there are, the other keeps half of the places.
        kept = six.records[: max(limit - len(four.records), limit // 2)]
        found = tuple(each.address for each in (*kept, *four.records)[:limit])
        if found:
            return found, ttl_s
        if six.failed or four.failed:
            return _Failure(_TIMEOUT, f"the addresses of {host} cannot be had"), ttl_s
        return _Failure(_NOT_FOUND, f"{host} has no address"), ttl_s

    async def _query(self, name: str, kind: str) -> _Reply:
        # Half of the time for SRV, so that half is left for the addresses of the fallback.
        lifetime_s = self._config.timeout_s / 2
        try:
            query = dns.name.from_text(name)
            answer = await self._stub.resolve(query, kind, search=False, lifetime=lifetime_s)
        except dns.resolver.NoAnswer as reason:
            return _Reply(ttl_s=_negative_ttl_s(reason.kwargs["response"]))
        except dns.resolver.NXDOMAIN as reason:
            return _Reply(ttl_s=_negative_ttl_s(*reason.kwargs["responses"].values()))
        except dns.resolver.LifetimeTimeout:
            return _Reply(failed="silence")
        except dns.resolver.NoNameservers:
            return _Reply(failed="error")
        except dns.exception.DNSException:  # a name that DNS cannot hold
            return _Reply()
        return _Reply(tuple(answer), answer.chaining_result.minimum_ttl)


def in_order(targets: Iterable[Target], random: Random) -> tuple[Target, ...]:
    """The targets in the order of attempt: by priority, then drawn by weight (RFC 2782)."""
    shuffled = list(targets)
    random.shuffle(shuffled)
    # Weight 0 stands first, so that it has its small chance: when the draw is 0.
    left = sorted(shuffled, key=lambda each: (each.priority, each.weight > 0))
    ordered: list[Target] = []
    while left:
        group = [each for each in left if each.priority == left[0].priority]
        draw = random.randint(0, sum(each.weight for each in group))
        for chosen in group:
            draw -= chosen.weight
            if draw <= 0:
                break
        ordered.append(chosen)
        left.remove(chosen)
    return tuple(ordered)


def _stub(config: Dns) -> dns.asyncresolver.Resolver:
    try:
        stub = dns.asyncresolver.Resolver(configure=not config.resolvers)
    except dns.resolver.NoResolverConfiguration:
        stub = dns.asyncresolver.Resolver(configure=False)
        stub.nameservers = ["127.0.0.1"]  # as resolv.conf(5) says
    if config.resolvers:
        stub.nameservers = [
            dns.nameserver.Do53Nameserver(each.host, each.port) for each in config.resolvers
        ]
    stub.use_edns(0, 0, _EDNS_PAYLOAD_BYTES)
    return stub


def _literal(host: str) -> str:
    """The IP literal, without brackets, that the host is; else nothing."""
    try:
        return str(ip_address(host.removeprefix("[").removesuffix("]")))
    except ValueError:
        return ""


def _target(record: Any, tls: TlsMode) -> Target:
    return Target(_host(record), record.port, tls, record.priority, record.weight)


def _host(record: Any) -> str:
    return str(record.target.to_text(omit_final_dot=True)).lower()


def _negative_ttl_s(response: dns.message.QueryMessage) -> float:
    return response.resolve_chaining().minimum_ttl
