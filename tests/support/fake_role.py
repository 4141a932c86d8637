"""A role process that only speaks control messages: what the supervisor's tests start as a command.

    python fake_role.py ROLE BEHAVIOUR JOURNAL --config … --slot … and so on

BEHAVIOUR is "serve", "die" (before Hello), "unready" (Hello, no Ready), "deaf" (ignores Drain),
"learn" (says that it learned something of a peer called as it is itself) or "earlier" (speaks the
version before). What only the first
incarnation does: "leave" (asks to be replaced when it is told of the membership), "crash" (exits 1
some time after that), "once" (serves; later ones die).
Each message received is a line of JSON in JOURNAL. Every connection it accepts gets its id.
"""

import argparse
import asyncio
import dataclasses
import json
import os
import socket
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from router.wire.control import (
    DRAIN_END,
    OLDEST,
    Answer,
    Ask,
    Beat,
    Drain,
    Drained,
    Hello,
    Leaving,
    Membership,
    Message,
    PeerFacts,
    Ready,
    Reload,
    Reloaded,
)
from router.wire.control_link import ControlLink, beat, connect

HEALTHY_S = 1.2  # longer than what the supervisor calls young

COUNTERS = (
    ("causeway_tcp_connections_total", ("in",), 1),
    ("causeway_stanzas_in_flight", (), 1),
)


class FakeRole:
    def __init__(self, role: str, arguments: argparse.Namespace) -> None:
        self.id = f"{role}{arguments.slot}.{arguments.incarnation}"
        self.arguments = arguments
        self.ended = asyncio.Event()
        self.link: ControlLink | None = None
        self.is_leaving = False

    def received(self, message: Message) -> None:
        line = {"id": self.id, "kind": type(message).__name__, **dataclasses.asdict(message)}
        with self.arguments.journal.open("a") as journal:
            journal.write(json.dumps(line) + "\n")
        assert self.link is not None
        is_first = self.arguments.incarnation == "1"
        match message:
            case Membership() if self.arguments.behaviour == "leave" and is_first:
                if not self.is_leaving:
                    self.is_leaving = True
                    self.link.send(Leaving())
            case Membership() if self.arguments.behaviour == "crash" and is_first:
                asyncio.get_running_loop().call_later(HEALTHY_S, os._exit, 1)
            case Reload(number=number):
                self.link.send(Reloaded(number, ()))
            case Ask(request=request, what=what, arguments=arguments):
                row = {"acceptor": self.id, "number": 1, "asked": (what, *arguments)}
                self.link.send(Answer(request, (row,)))
            case Drain(phase=phase) if self.arguments.behaviour != "deaf":
                self.link.send(Drained(phase))
                if phase == DRAIN_END:
                    self.link.send(Beat(COUNTERS))
                    self.ended.set()

    async def run(self) -> None:
        for listen in self.arguments.listen:
            sock = socket.socket(fileno=int(listen.rpartition(":")[2]))
            await asyncio.start_server(self.greet, sock=sock)
        self.link = await connect(self.arguments.control, self.received, self.ended.set)
        if self.arguments.behaviour == "earlier":
            self.link.speaks = OLDEST
        self.link.send(Hello(self.id, os.getpid()))
        if self.arguments.behaviour != "unready":
            self.link.send(Ready())
        if self.arguments.behaviour == "learn":
            self.link.send(PeerFacts(((self.id, "proof", "external", time.time()),)))
        beating = asyncio.create_task(beat(self.link, lambda: COUNTERS))
        await self.ended.wait()
        beating.cancel()
        self.link.close()
        await asyncio.sleep(0)

    async def greet(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self.id.encode())
        writer.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("role")
    parser.add_argument("behaviour")
    parser.add_argument("journal", type=Path)
    for name in ("--config", "--slot", "--incarnation", "--control"):
        parser.add_argument(name, required=True)
    parser.add_argument("--listen", action="append", default=[])
    arguments = parser.parse_args()
    if arguments.behaviour == "die" or (
        arguments.behaviour == "once" and arguments.incarnation != "1"
    ):
        sys.exit(3)
    asyncio.run(FakeRole(arguments.role[0], arguments).run())


if __name__ == "__main__":
    main()
