"""Real users: slixmpp clients of the real servers that a gateway stands in front of.

Owns a connection each. Passwords are all alike and go in plaintext: everything is on loopback.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from slixmpp import JID, ClientXMPP

HOST = "127.0.0.1"
PASSWORD = "wherefore"
PATIENCE_S = 20.0
_PLUGINS = ("xep_0030", "xep_0045", "xep_0047", "xep_0077", "xep_0199")


class User(ClientXMPP):
    """One account, logged in. `heard` has (bare sender, or occupant of a room, and body)."""

    def __init__(self, address: str, *, registers: bool = False) -> None:
        super().__init__(address, PASSWORD)  # type: ignore[no-untyped-call]
        self.enable_direct_tls = self.enable_starttls = False
        self.enable_plaintext = True
        for name in _PLUGINS:
            self.register_plugin(name)
        self.plugin["feature_mechanisms"].unencrypted_scram = True
        self.plugin["feature_mechanisms"].unencrypted_plain = True
        self.plugin["xep_0077"].force_registration = registers
        self.plugin["xep_0047"].auto_accept = True
        self.heard: list[tuple[str, str]] = []
        self.refused: list[str] = []
        self.present: set[str] = set()
        self.file = bytearray()
        self.is_filed = asyncio.Event()
        self._changed = asyncio.Event()
        self.add_event_handler("register", self._register)
        self.add_event_handler("message", self._message)
        self.add_event_handler("message_error", self._error)
        self.add_event_handler("presence_available", self._presence)
        self.add_event_handler("ibb_stream_data", self._data)
        self.add_event_handler("ibb_stream_end", lambda _: self.is_filed.set())

    async def until(self, holds: Any) -> None:
        """Wait until something that comes makes it so."""
        async with asyncio.timeout(PATIENCE_S):
            while not holds():
                self._changed.clear()
                await self._changed.wait()

    def numbers(self, sender: "User") -> list[int]:
        """What this one's messages said, which are numbers, in the order they came."""
        return [int(body) for who, body in self.heard if who == sender.boundjid.bare]

    async def ping(self, other: str) -> None:
        """An IQ there and back. Raises slixmpp's IqError or IqTimeout."""
        await self.plugin["xep_0199"].send_ping(JID(other), timeout=PATIENCE_S)

    async def join(self, room: str) -> None:
        """Enter a room under our own name."""
        await self.plugin["xep_0045"].join_muc_wait(
            JID(room), self.boundjid.user, timeout=PATIENCE_S
        )

    async def send_file(self, other: "User", octets: bytes) -> None:
        """All of it over an in-band bytestream (XEP-0047)."""
        stream = await self.plugin["xep_0047"].open_stream(
            other.boundjid, block_size=4096, timeout=PATIENCE_S
        )
        await stream.sendall(octets, timeout=PATIENCE_S)
        await stream.close(timeout=PATIENCE_S)

    async def _register(self, _: object) -> None:
        iq = self.Iq()
        iq["type"] = "set"
        iq["register"]["username"] = self.boundjid.user
        iq["register"]["password"] = self.password
        await iq.send()

    def _message(self, message: Any) -> None:
        sender = message["from"]
        who = str(sender) if message["type"] == "groupchat" else sender.bare
        if message["body"]:
            self.heard.append((who, message["body"]))
            self._changed.set()

    def _error(self, message: Any) -> None:
        error = message["error"]
        self.refused.append(f"{message['from']}: {error['condition']} {error['text']}")
        self._changed.set()

    def _presence(self, presence: Any) -> None:
        self.present.add(presence["from"].bare)
        self._changed.set()

    def _data(self, stream: Any) -> None:
        self.file += stream.read()


@asynccontextmanager
async def logged_in(address: str, port: int, *, registers: bool = False) -> AsyncIterator[User]:
    """A user for as long as the block lasts; the account is there, or is made first."""
    user = User(address, registers=registers)
    user.connect(HOST, port)
    try:
        await user.wait_until("session_start", PATIENCE_S)
        await user.get_roster()
        user.send_presence()
        # The server tells our own presence back (RFC 6121 §4.2.2): messages find us from now on.
        await user.until(lambda: user.boundjid.bare in user.present)
        yield user
    finally:
        await user.disconnect()
