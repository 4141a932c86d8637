"""Control messages on the wire: a published format; hostile octets are one error."""

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.wire import control
from router.wire.control import (
    Answer,
    Ask,
    Beat,
    Drain,
    Drained,
    Hello,
    Leaving,
    Membership,
    Message,
    PeerFacts,
    Ready,
    Reload,
    Reloaded,
)
from router.wire.control_codec import BadMessage, decode, encode

GOLDEN = [
    (Hello("a0.3", 77, "d1", ("s2s",)), "960301a461302e334da2643191a3733273"),
    (Ready(), "920302"),
    (Beat((("n", ("in",), 2.5),)), "9303039193a16e91a2696ecb4004000000000000"),
    (Answer(5, ({"a": 1, "b": ("x", None)},)), "950304059182a16101a16292a178c0c2"),
    (Drained(2), "93030502"),
    (
        PeerFacts((("c", "bidi", "kills", 2.5),)),
        "9303069194a163a462696469a56b696c6c73cb4004000000000000",
    ),
    (
        Membership(9, (("a0.1", "ipc:///r/a0.1.bus"),), ("w0.1", ""), (1, 0), ("a0.1",), ("w3.4",)),
        "980314099192a461302e31b16970633a2f2f2f722f61302e312e62757392a477302e31a092010091a461302e3191a477332e34",
    ),
    (Ask(5, "streams"), "95031505a773747265616d7390"),
    (Ask(5, "close", ("m", "c")), "95031505a5636c6f736592a16da163"),
    (Drain(4), "93031604"),
    (Leaving(), "920307"),
    (Reload(3), "93031703"),
    (Reloaded(3, ("no",)), "9403080391a26e6f"),
]


@pytest.mark.parametrize(("message", "octets"), GOLDEN, ids=lambda value: type(value).__name__)
def test_golden_bytes(message: Message, octets: str) -> None:
    assert encode(message).hex() == octets
    assert decode(bytes.fromhex(octets)) == message


EARLIER = [
    (Hello("a0.3", 77, speaks=1), [2, 1, "a0.3", 77]),
    (Ready(), [2, 2]),
    (Membership(9, (), ("w0.1",), (1,)), [2, 20, 9, [], ["w0.1"], [1]]),
    (Drain(4), [2, 22, 4]),
]


@pytest.mark.parametrize(("message", "values"), EARLIER, ids=lambda value: type(value).__name__)
def test_the_version_before_is_spoken(message: Message, values: list[object]) -> None:
    assert msgpack.unpackb(encode(message, 2)) == values
    assert decode(msgpack.packb(values)) == message


def test_what_the_version_before_lacks_is_left_out() -> None:
    told = Membership(9, (), ("w0.1",), (1,), ("a0.1",), ("w3.4",), (("a0.1", 1),))
    assert encode(told, 2) == encode(Membership(9, (), ("w0.1",), (1,)), 2)


def test_what_goes_without_saying_is_not_said_and_what_is_not_known_is_passed_over() -> None:
    named = Membership(9, (), (), (), speaks=(("a0.1", 1),))
    assert decode(encode(named)) == named
    assert len(msgpack.unpackb(encode(named))) == len(msgpack.unpackb(encode(GOLDEN[6][0]))) + 1
    version, kind, *values = msgpack.unpackb(encode(Hello("a0.3", 77, "d1", ("s2s",), 3)))
    later = msgpack.packb([version, kind, *values, "of a version to come"])
    assert decode(later) == Hello("a0.3", 77, "d1", ("s2s",), 3)


def test_every_message_has_golden_bytes() -> None:
    kinds = {
        cls
        for cls in vars(control).values()
        if isinstance(cls, type) and issubclass(cls, Message) and cls is not Message
    }
    assert {type(message) for message, _ in GOLDEN} == kinds


@pytest.mark.parametrize(
    "values",
    [
        [1, 2],
        [4, 2],
        [True, 2],
        [3, 99],
        [3],
        [3, 1, "a0.1"],
        [3, 1, "a0.1", "77", "", []],
        [3, 1, "a0.1", True, "", []],
        [3, 1, "a0.1", 77],
        [3, 1, "a0.1", 77, "", [], "2"],
        [3, 22, 1.0],
        [3, 3, [["n", ["in"]]]],
        [3, 6, [["c", "bidi", "kills"]]],
        [3, 21, 5, "close", [1]],
        [3, [2], 1],
        [2, 1, "a0.1", 77, ""],
        [2, 2, "too much"],
        {"a": 3},
    ],
    ids=str,
)
def test_what_is_not_a_message_is_bad(values: object) -> None:
    with pytest.raises(BadMessage):
        decode(msgpack.packb(values))


@given(st.binary(max_size=64))
def test_any_octets_are_a_message_or_bad(octets: bytes) -> None:
    try:
        message = decode(octets)
    except BadMessage:
        return
    assert decode(encode(message)) == message
