"""Multicast DNS on one link (XEP-0174 §3, RFC 6762): our records, and those of others.

What stands in them is `router.xmpp.link_local`'s to say. Called by `lan`; imported only where
`[e2e] lan` is set, since the library comes with the extra "lan".
"""

import asyncio
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import ifaddr
from zeroconf import (  # type: ignore[attr-defined]  # AddressResolver is not in its __all__
    AddressResolver,
    Error,
    NonUniqueNameException,
    ServiceStateChange,
    Zeroconf,
)
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from router.xmpp.link_local import (
    SERVICE,
    Network,
    Presence,
    host_name,
    is_on_link,
    name_of,
    presence,
    service_name,
    text_record,
    varied,
)

ANSWER_MS: Final = 3000
"""What others may take to answer a question."""
NOBODY_MS: Final = 1000
"""A name for which nobody has answered by then is free."""
MAX_NAMES: Final = 20
MAX_QUESTIONS: Final = 64
"""Looked up at a time; who comes while so many are is looked up when it says something again."""

LinkError = (OSError, Error)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a peer accepts streams: addresses of this link, and the port of its SRV record."""

    addresses: tuple[str, ...]
    port: int


NOWHERE: Final = Place((), 0)


class LinkRecords:
    """The link that the address `host` of this machine is on.

    `came` hears of each presence of others, whenever it changes; `went` the name of who leaves.
    """

    def __init__(
        self, host: str, came: Callable[[Presence], None], went: Callable[[str], None]
    ) -> None:
        self._host = host
        self._came = came
        self._went = went
        self._name = ""
        self._networks = _networks(host)
        self._dns = AsyncZeroconf(interfaces=[host])
        self._browser: AsyncServiceBrowser | None = None
        self._questions: dict[str, asyncio.Task[None]] = {}

    async def announce(self, name: str, jid: str, port: int) -> str:
        """Publish our records, under another name where this one is taken; the name (LLP-01).

        Raises one of LinkError when none is free, or the link is not there.
        """
        candidate = name
        for attempt in range(1, MAX_NAMES + 1):
            is_here = await self._is_taken_here(candidate)
            if is_here is None and await self._published(candidate, jid, port):
                self._name = candidate
                return candidate
            candidate = varied(name, attempt, on_this_machine=is_here is not False)
        raise OSError(f"{name} is taken, and {MAX_NAMES - 1} like it")

    async def _is_taken_here(self, name: str) -> bool | None:
        """Who has the name: a program on this machine, or another machine; None: nobody."""
        machine = AddressResolver(host_name(name))
        service = AsyncServiceInfo(SERVICE, service_name(name))
        has_machine, has_service = await asyncio.gather(
            machine.async_request(self._dns.zeroconf, NOBODY_MS),
            service.async_request(self._dns.zeroconf, NOBODY_MS),
        )
        if has_machine and self._host not in machine.parsed_addresses():
            return False
        return True if has_service else None

    async def _published(self, name: str, jid: str, port: int) -> bool:
        info = AsyncServiceInfo(
            SERVICE,
            service_name(name),
            port=port,
            properties=text_record(jid, port),
            server=host_name(name),
            parsed_addresses=[self._host],
        )
        try:
            await (await self._dns.async_register_service(info))
        except NonUniqueNameException:
            return False
        return True

    def browse(self) -> None:
        """Hear of others from now on."""
        dns = self._dns.zeroconf
        self._browser = AsyncServiceBrowser(dns, SERVICE, handlers=[self._changed])

    def _changed(
        self, zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange
    ) -> None:
        who = name_of(name)
        if who is None or who == self._name:
            return
        if (asked := self._questions.pop(who, None)) is not None:
            asked.cancel()
        if state_change is ServiceStateChange.Removed:
            self._went(who)
        elif len(self._questions) < MAX_QUESTIONS:
            task = asyncio.get_running_loop().create_task(self._look(name))
            self._questions[who] = task
            task.add_done_callback(lambda done: self._answered(who, done))

    def _answered(self, who: str, question: asyncio.Task[None]) -> None:
        if self._questions.get(who) is question:
            del self._questions[who]

    async def _look(self, service: str) -> None:
        info = AsyncServiceInfo(SERVICE, service)
        if await info.async_request(self._dns.zeroconf, ANSWER_MS):
            found = presence(service, info.text)
            if found is not None:
                self._came(found)

    async def place(self, name: str) -> Place:
        """Where to connect to, as it is said now (LLP-02); NOWHERE when nobody answers."""
        info = AsyncServiceInfo(SERVICE, service_name(name))
        if not await info.async_request(self._dns.zeroconf, ANSWER_MS) or not info.port:
            return NOWHERE
        said = info.parsed_addresses()
        return Place(tuple(each for each in said if is_on_link(each, self._networks)), info.port)

    def leave(self) -> None:
        """Say goodbye at once (LLP-03)."""
        goodbye = self._dns.zeroconf.generate_unregister_all_services()
        if goodbye is not None:
            self._dns.zeroconf.async_send(goodbye)

    async def close(self) -> None:
        """Leave, and hear of nobody any more."""
        self.leave()
        for question in self._questions.values():
            question.cancel()
        if self._browser is not None:
            await self._browser.async_cancel()
        await self._dns.async_close()


def _networks(host: str) -> list[Network]:
    """The networks that an address of this machine is in."""
    found: list[Network] = []
    for adapter in ifaddr.get_adapters():
        for each in adapter.ips:
            address = each.ip if isinstance(each.ip, str) else each.ip[0]
            if address == host:
                place = f"{address}/{each.network_prefix}"
                found.append(ipaddress.ip_network(place, strict=False))
    return found
