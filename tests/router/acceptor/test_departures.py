"""What becomes of open streams when the configuration is another one."""

from dataclasses import replace

from router.config import Config, Domain
from router.config import Peer as PeerTable
from tests.support.acceptor_node import Node
from tests.support.eventually import eventually
from tests.support.nodes import CAPULET, MONTAGUE
from tests.support.scripted_peer import Peer


def hosted(node: Node) -> Config:
    return node.acceptor._config


async def test_streams_of_a_domain_that_is_gone_end_with_host_gone(
    node: Node, capulet: Peer
) -> None:
    wire = await capulet.authenticated(node.s2s_port)
    config = hosted(node)
    kept = {name: each for name, each in config.domains.items() if name != MONTAGUE}
    node.acceptor.reload(replace(config, domains=kept))
    assert "<host-gone " in await wire.until("</stream:stream>")
    await eventually(lambda: not node.acceptor.connections())


async def test_a_peer_that_is_denied_now_is_sent_away(node: Node, capulet: Peer) -> None:
    wire = await capulet.authenticated(node.s2s_port)
    config = hosted(node)
    node.acceptor.reload(replace(config, peers={CAPULET: PeerTable(deny=True)}))
    assert "<policy-violation " in await wire.until("</stream:stream>")


async def test_all_others_go_on_by_the_new_rules(node: Node, capulet: Peer) -> None:
    wire = await capulet.authenticated(node.s2s_port)
    config = hosted(node)
    more = {**config.domains, "mantua.example": Domain("component", secret="apothecary")}
    node.acceptor.reload(replace(config, domains=more))
    (connection,) = (c for c in node.acceptor.connections() if c.leg == "s2s")
    assert connection.end is None
    assert "mantua.example" in connection.core.policy.perspective.ours
    await wire.closed_in_order()
