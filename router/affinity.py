"""Which CPU a process runs on, where the operator wants one for each (`[processes] pin`).

A stanza crosses four threads of two processes on its way through ZeroMQ. Where each waking of one
also wakes another CPU, that is most of the time a lone stanza takes. Called by acceptors and
workers before they start threads, which inherit it.
"""

import os


def pin(slot: int) -> int:
    """Keep this process on one of the CPUs it may use, chosen by its slot; which one."""
    allowed = sorted(os.sched_getaffinity(0))
    cpu = allowed[slot % len(allowed)]
    os.sched_setaffinity(0, {cpu})
    return cpu
