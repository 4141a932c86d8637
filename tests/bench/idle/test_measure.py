"""A small real run: what it counts is there, and adds up."""

import resource

import pytest

from bench.idle.caller import Auth
from bench.idle.measure import Result, Settings, measure, missing_files
from bench.subjects import installed

FEW = Settings(stops=(8, 16), in_sequence=4, seconds=0.1, bidi=True, settle_s=0.05)


async def measured(name: str, auth: Auth) -> Result:
    told: list[str] = []
    result = await measure(name, auth, FEW, told.append)
    assert told
    return result


def is_whole(result: Result) -> bool:
    return [(each.streams, each.at_once) for each in result.set_up] == [
        (4, 1),
        (4, 8),
        (8, 8),
    ] and [held.streams for held in result.held] == [8, 16]


async def test_streams_by_certificate() -> None:
    result = await measured("causeway", "external")
    assert is_whole(result)
    assert sum(each.cpu_s for each in result.set_up) > 0
    assert result.held[-1].rss_bytes > 0
    assert result.dialled == 0


@pytest.mark.thorough
async def test_streams_by_dialback() -> None:
    result = await measured("causeway", "dialback")
    assert is_whole(result)
    assert result.dialled == 16


@pytest.mark.interop
@pytest.mark.parametrize("auth", ["external", "dialback"])
@pytest.mark.parametrize("name", ["prosody", "ejabberd"])
async def test_streams_of_other_servers(name: str, auth: Auth) -> None:
    if reason := installed(name):
        pytest.skip(reason)
    result = await measured(name, auth)
    assert is_whole(result)
    assert result.dialled == (16 if auth == "dialback" else 0)


def test_open_files_are_looked_at_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (1024, 4096))
    assert missing_files(700, "external") == 0
    assert missing_files(1000, "external") == 1000 + 256 - 1024
    assert missing_files(1000, "dialback") == 2000 + 256 - 1024
