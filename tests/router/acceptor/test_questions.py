"""The operator's questions to one acceptor with real streams."""

from router.acceptor.questions import Rows, answer
from router.wire.control import Ask
from tests.support.acceptor_node import OWN, Node
from tests.support.eventually import eventually
from tests.support.nodes import CAPULET, MONTAGUE, VERONA
from tests.support.scripted_peer import Peer


def ask(node: Node, what: str, *arguments: str) -> Rows:
    return answer(Ask(1, what, arguments), node.acceptor, OWN, node.loop.time())


async def test_explain_has_streams_and_notes(node: Node, capulet: Peer) -> None:
    assert ask(node, "explain", MONTAGUE, CAPULET) == []
    await capulet.authenticated(node.s2s_port)
    stream, *notes = await eventually(lambda: ask(node, "explain", MONTAGUE, CAPULET))
    assert (stream["part"], stream["acceptor"], stream["sends"]) == ("stream", OWN, "external")
    assert {(note["part"], note["acceptor"]) for note in notes} == {("note", OWN)}
    assert "authorised" in {note["what"] for note in notes}
    assert ask(node, "explain", VERONA, CAPULET) == []


async def test_close_closes_what_carries_the_pair_and_nothing_else(
    node: Node, capulet: Peer
) -> None:
    wire = await capulet.authenticated(node.s2s_port)
    await eventually(lambda: ask(node, "explain", MONTAGUE, CAPULET))
    assert ask(node, "close", VERONA, CAPULET) == []
    (closed,) = ask(node, "close", MONTAGUE, CAPULET)
    assert (closed["acceptor"], closed["remote"]) == (OWN, CAPULET)
    await wire.until("</stream:stream>")
    await wire.closed_in_order()
    notes = [row for row in ask(node, "explain", MONTAGUE, CAPULET) if row["part"] == "note"]
    assert any(note.get("by_operator") for note in notes)


async def test_streams_and_what_others_answer(node: Node, capulet: Peer) -> None:
    await capulet.authenticated(node.s2s_port)
    (row,) = ask(node, "streams")
    assert row["remote"] == CAPULET
    assert ask(node, "pairs") == ()


async def test_who_has_no_sessions_shows_none_and_opens_none(node: Node) -> None:
    assert list(ask(node, "e2e")) == []
    assert ask(node, "e2e open", CAPULET) == ()
