"""Which keys take effect when, and the rounds of telling everybody."""

from dataclasses import replace
from typing import cast

from router.config import Address, Config, Dns, Domain, Limits, Listen, Peer, Processes
from router.supervisor.processes import Child
from router.supervisor.reload import Reloads, change, possible
from router.wire.control import SPOKEN, Message, Reload, Reloaded

OLD = Config(
    listen=Listen(s2s=(Address("::", 5269),)),
    processes=Processes(acceptors=2, workers=1),
    domains={"montague.example": Domain("component", secret="wherefore")},
)
NEW = replace(
    OLD,
    listen=Listen(s2s=(Address("::", 5270),)),
    processes=Processes(acceptors=3, workers=1),
    dns=Dns(timeout_s=3.0),
    limits=Limits(max_depth=70, lane_window_bytes=4096),
    domains={"verona.example": Domain("component", secret="art thou")},
    peers={"capulet.example": Peer(deny=True)},
)


def test_keys_are_named_by_what_they_need() -> None:
    found = change(OLD, NEW)
    assert found.at_once == (
        'domains."montague.example"',
        'domains."verona.example"',
        "limits.max_depth",
        'peers."capulet.example"',
    )
    assert found.with_processes == ("dns.timeout_s", "limits.lane_window_bytes")
    assert found.with_router == ("listen.s2s", "processes.acceptors")
    assert "art thou" not in str(found)


def test_what_needs_a_start_stays_as_it_is() -> None:
    config = possible(OLD, NEW)
    assert (config.listen, config.processes) == (OLD.listen, OLD.processes)
    assert config.domains == NEW.domains
    assert change(config, NEW).with_router == ("listen.s2s", "processes.acceptors")
    assert change(OLD, OLD) == change(NEW, NEW)


class Told:
    def __init__(self, name: str, speaks: int = SPOKEN) -> None:
        self.id = name
        self.speaks = speaks
        self.heard: list[Message] = []

    def send(self, message: Message) -> None:
        self.heard.append(message)


def test_a_round_is_over_when_all_have_answered_or_are_gone() -> None:
    news: list[None] = []
    reloads = Reloads(lambda: news.append(None))
    children = [Told("a0.1"), Told("a1.1"), Told("w0.1")]
    number = reloads.ask(cast(list[Child], children))
    assert all(child.heard == [Reload(number)] for child in children)
    reloads.answered("a0.1", Reloaded(number, ()))
    reloads.answered("a0.1", Reloaded(number + 1, ("of another round",)))
    reloads.answered("a1.1", Reloaded(number, ("no certificate",)))
    assert not reloads.is_over(number)
    reloads.gone("w0.1")
    assert reloads.is_over(number)
    assert reloads.result(number) == ([], ["a1.1: no certificate"])
    assert news


def test_an_earlier_version_cannot_and_is_not_waited_for() -> None:
    reloads = Reloads(lambda: None)
    number = reloads.ask(cast(list[Child], [Told("a0.1"), Told("a1.1", SPOKEN - 1)]))
    reloads.answered("a0.1", Reloaded(number, ()))
    assert reloads.is_over(number)
    assert reloads.result(number) == ([], ["a1.1: its version cannot"])


def test_who_does_not_answer_is_named() -> None:
    reloads = Reloads(lambda: None)
    number = reloads.ask(cast(list[Child], [Told("a0.1")]))
    reloads.answered("a9.9", Reloaded(number, ()))
    assert reloads.result(number) == (["a0.1"], [])
