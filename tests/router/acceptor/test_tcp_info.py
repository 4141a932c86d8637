"""What the kernel says of a connection on loopback."""

import socket

from router.acceptor.tcp_info import tcp_info, unacknowledged
from tests.support.acceptors import HOST
from tests.support.eventually import eventually


async def test_what_the_other_kernel_has_is_acknowledged_whoever_reads_it() -> None:
    with socket.create_server((HOST, 0)) as listening:
        with socket.create_connection(listening.getsockname()) as ours:
            before = tcp_info(ours)
            assert before is not None
            ours.sendall(b"x" * 1000)

            def acknowledged() -> int:
                info = tcp_info(ours)
                return info.acknowledged - before.acknowledged if info is not None else 0

            await eventually(lambda: acknowledged() == 1000)
            assert 0 < before.round_trip_s < 1
            assert 0 <= before.silent_s < 60
        assert tcp_info(ours) is None
    assert tcp_info(None) is None


async def test_what_is_on_its_way_is_known_until_it_is_acknowledged() -> None:
    with socket.create_server((HOST, 0)) as listening:
        with socket.create_connection(listening.getsockname()) as ours:
            ours.setblocking(False)
            sent = 0
            while unacknowledged(ours) == 0:  # until nothing more fits at the other end
                sent += ours.send(b"x" * 65_536)
            assert 0 < unacknowledged(ours) <= sent
        assert unacknowledged(ours) == 0
    assert unacknowledged(None) == 0
