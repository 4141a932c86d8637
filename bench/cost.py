"""What processes cost: CPU seconds, and memory as the kernel accounts for it.

Reads /proc, changes nothing. Called by every benchmark that starts a server.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

_KIB: Final = 1024


@dataclass(frozen=True, slots=True)
class Memory:
    """Of several processes together, in bytes.

    `rss_bytes` counts a page shared by two of them twice; `pss_bytes` divides it among all who
    share it, so it is the one that adds up.
    """

    rss_bytes: int
    pss_bytes: int


def cpu_s(pid: int) -> float:
    """CPU seconds of a process so far, user and system, all its threads; not its children.

    Raises psutil.NoSuchProcess when it is gone.
    """
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def running_s(pid: int) -> float:
    """CPU seconds of the threads that a process has now, to the microsecond; for short work.

    `cpu_s` counts ended threads, too, but in ticks of 10 ms. Raises OSError when the process is
    gone.
    """
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((each / "schedstat").read_text().split()[0]) for each in threads) / 1e9


def machine_s() -> float:
    """CPU seconds that all cores have been busy, whoever with; in ticks of 10 ms."""
    words = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, words)
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def memory(pids: Iterable[int]) -> Memory:
    """What these processes hold now. Raises OSError when one is gone or belongs to another user."""
    rss = pss = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            name, _, value = line.partition(":")
            if name == "Rss":
                rss += int(value.split()[0]) * _KIB
            elif name == "Pss":
                pss += int(value.split()[0]) * _KIB
    return Memory(rss, pss)


def family(pid: int) -> dict[str, int]:
    """A process and all below it: names to process ids, a number behind a name that is taken."""
    parent = psutil.Process(pid)
    found: dict[str, int] = {}
    for process in (parent, *parent.children(recursive=True)):
        name, number = process.name(), 1
        while name in found:
            number += 1
            name = f"{process.name()} {number}"
        found[name] = process.pid
    return found
