"""What a process costs, as the kernel says; a family has each process under a name of its own."""

import os
import subprocess
import sys

import pytest

from bench.cost import cpu_s, family, memory


def test_cpu_of_a_process_only_grows() -> None:
    before = cpu_s(os.getpid())
    sum(range(2_000_000))
    assert cpu_s(os.getpid()) > before > 0


def test_memory_adds_up_and_shared_pages_count_in_part() -> None:
    one = memory([os.getpid()])
    assert one.rss_bytes >= one.pss_bytes > 1 << 20
    assert memory([os.getpid()] * 2).rss_bytes >= 2 * one.rss_bytes * 0.9
    assert memory([]).rss_bytes == 0


def test_what_is_gone_has_no_memory() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with pytest.raises(OSError):
        memory([ended.pid])


def test_a_family_has_all_below_a_process() -> None:
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    try:
        while len(found := family(os.getpid())) < 3:
            assert child.poll() is None
        assert {os.getpid(), child.pid} < set(found.values())
        assert len(set(found.values())) == len(found)
    finally:
        assert child.stdin is not None
        child.stdin.close()
        child.wait()
