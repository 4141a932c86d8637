"""Keys on a stream of ours: asked once, every asker answered, and nobody with another's answer."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace

import pytest

from router.acceptor.dialling.attempts import Approach
from router.acceptor.dialling.keys import Keys
from router.acceptor.dialling.lines import Line
from router.wire.frames import Frame, Verified, VerifyKey
from router.xmpp.errors import MisuseError
from router.xmpp.events import KeyAnswered
from router.xmpp.pair import DomainPair
from tests.support.pump import CAPULET, MONTAGUE, outbound

KEY = VerifyKey("a0.1", 1, DomainPair(CAPULET, MONTAGUE), "s1", "key")
ELSEWHERE = replace(KEY, pair=DomainPair("lear.example", MONTAGUE))


class Desk:
    """Keys, one stream to capulet.example, and what acceptors are told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Frame]] = []
        self.keys = Keys(
            asyncio.get_running_loop(), lambda to, frame: self.told.append((to, frame))
        )
        self.core = outbound(has_certificate=False)
        self.core.bytes_to_send()
        connection = SimpleNamespace(core=self.core, number=1, act=lambda events: None)
        self.line = Line(connection, Approach())  # type: ignore[arg-type]

    def answer(self, verdict: str, frame: VerifyKey = KEY) -> None:
        self.keys.answered(self.line, KeyAnswered(frame.pair, frame.stream_id, verdict))


@pytest.mark.clause("DBK-14")
async def test_a_question_is_asked_once_and_all_who_asked_hear() -> None:
    desk = Desk()
    desk.keys.ask(desk.line, KEY)
    desk.keys.ask(desk.line, replace(KEY, owner="a1.1", request=7))
    assert desk.core.bytes_to_send().count(b"<db:verify") == 1
    desk.answer("valid")
    desk.answer("invalid")
    assert desk.told == [("a0.1", Verified(1, "valid")), ("a1.1", Verified(7, "valid"))]
    assert not desk.line.asked


async def test_another_key_for_the_same_stream_id_gets_no_answer_of_it() -> None:
    desk = Desk()
    desk.keys.ask(desk.line, KEY)
    desk.keys.ask(desk.line, replace(KEY, request=2, key="another"))
    assert desk.told == [("a0.1", Verified(2, "remote-server-timeout"))]


@pytest.mark.clause("BIDI-20")
async def test_a_domain_that_the_stream_is_not_for_is_asked_about_only_on_the_caller_s_word() -> (
    None
):
    desk = Desk()
    with pytest.raises(MisuseError):
        desk.keys.ask(desk.line, ELSEWHERE)
    desk = Desk()
    desk.keys.ask(desk.line, ELSEWHERE, leads_there=True)
    asked = desk.core.bytes_to_send()
    assert b"<db:verify" in asked
    assert b'to="lear.example"' in asked
    desk.answer("valid", ELSEWHERE)
    assert desk.told == [("a0.1", Verified(1, "valid"))]
