"""Who makes loopback as long as a real path: the kernel's netem, or the relays themselves.

Netem delays packets, so that TCP's own round trips are real; it needs root and a kernel that has
it, and a network namespace, which this process then stays in. Called by `bidi`.
"""

import ctypes
import os
import subprocess
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from bench.delay import Relay

CLONE_NEWNET: Final = 0x40000000
_NETEM: Final = ("netem", "limit", "100000")
_RATE: Final = "100gbit"


class Distance(Protocol):
    """Something that puts a round trip between the servers."""

    @property
    def name(self) -> str:
        """For the document: what does it."""

    def lengthen(self, relays: Iterable[Relay], rtt_s: float) -> None:
        """From now on it takes `rtt_s` to the relays and back."""


class ByRelay:
    """The relays hold octets back."""

    name = "delay proxy"

    def lengthen(self, relays: Iterable[Relay], rtt_s: float) -> None:
        """Tell the relays."""
        for relay in relays:
            relay.rtt_s = rtt_s


class ByKernel:
    """Packets from and to the relays' ports are held back; those of other ports are not.

    `queue` is the queueing discipline and its arguments, to which the delay is added; one without
    a delay of its own ("pfifo") shows only which packets would be held back.
    """

    name = "netem"

    def __init__(self, queue: Sequence[str] = _NETEM) -> None:
        self._queue = tuple(queue)

    def lengthen(self, relays: Iterable[Relay], rtt_s: float) -> None:
        """Rebuild the queues of loopback. Raises OSError with the words of `tc`."""
        if "htb" in _tc("qdisc", "show", "dev", "lo"):
            _tc("qdisc", "del", "dev", "lo", "root")
        _tc("qdisc", "add", "dev", "lo", "root", "handle", "1:", "htb", "default", "1")
        for name in ("1:1", "1:2"):
            _tc("class", "add", "dev", "lo", "parent", "1:", "classid", name, "htb", "rate", _RATE)
        delay = ("delay", f"{rtt_s / 2 * 1000:g}ms") if self._queue[0] == "netem" else ()
        _tc("qdisc", "add", "dev", "lo", "parent", "1:2", "handle", "2:", *self._queue, *delay)
        for relay in relays:
            for way in ("sport", "dport"):
                match = ("u32", "match", "ip", way, str(relay.port), "0xffff")
                _tc("filter", "add", "dev", "lo", "parent", "1:", "protocol", "ip", *match,
                    "flowid", "1:2")  # fmt: skip


def why_no_netem() -> str:
    """Empty, or why the kernel cannot do it here."""
    try:
        tried = subprocess.run(
            ["unshare", "--net", "tc", "qdisc", "add", "dev", "lo", "root", "netem"],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        return str(error)
    if not tried.returncode:
        return ""
    if "kind is unknown" in tried.stderr:
        return "no netem in this kernel"
    return " ".join(tried.stderr.split())


def enter_namespace() -> None:
    """Move this process, and all that it starts from now on, to a network of its own.

    Only loopback is in it. Raises OSError without the right to.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def _tc(*words: str) -> str:
    """What `tc` answers. Raises OSError with its words when it fails."""
    said = subprocess.run(["tc", *words], capture_output=True, text=True, check=False)
    if said.returncode:
        raise OSError(f"tc {' '.join(words)}: {said.stderr.strip()}")
    return said.stdout
