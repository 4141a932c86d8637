"""SIGTERM to single processes of a node under load: each is replaced, and nothing shows of it."""

import asyncio
import os
import signal

import pytest

from bench.faults.stage import Scene, staged
from bench.faults.watch import until

LEAVING_S = 20.0


@pytest.mark.thorough
@pytest.mark.timeout(120)
@pytest.mark.clause("STR-15", "STR-16")
async def test_acceptors_and_workers_leave_one_by_one_and_every_stanza_arrives_once() -> None:
    """Peers and components come again, and what the node has to dial anew does not fail."""
    async with staged(Scene(jid_pairs=40)) as stage:
        sending = asyncio.create_task(stage.run(500, float("inf")))
        assert await until(lambda: stage.recorder.answered > 200, 10)
        for leaving in sorted(stage.node.children()):
            os.kill(stage.node.children()[leaving], signal.SIGTERM)
            assert await until(lambda name=leaving: name not in stage.node.children(), LEAVING_S)
            answered = stage.recorder.answered
            assert await until(lambda before=answered: stage.recorder.answered > before + 300, 10)
        stage.stop()
        await sending
        await stage.settle()
        found = stage.recorder.findings()
        complaints = stage.watch.complaints(())
    assert (found.violations, found.bounced) == (0, 0), found
    assert complaints == []
