"""The published form of every frame, byte for byte, and what is refused."""

from dataclasses import replace

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.wire import frames
from router.wire.codec import BadFrame, decode, encode, has_form
from router.wire.frames import (
    VERSION,
    Again,
    Announced,
    Attach,
    AttachAnswer,
    Attached,
    Data,
    Detached,
    Dial,
    DialFailed,
    Dialling,
    Ended,
    Forward,
    Frame,
    Granted,
    Hold,
    Joined,
    Progress,
    Reject,
    Release,
    Resume,
    ResumeAnswer,
    Retire,
    Returned,
    Revoked,
    StreamId,
    Sync,
    Synced,
    Verified,
    Verify,
    VerifyKey,
)
from router.xmpp.errors import MisuseError
from router.xmpp.pair import DomainPair
from router.xmpp.stanza import Counts

PAIR = DomainPair("a.example", "b.example")
PAIR_OCTETS = b"\x92\xa9a.example\xa9b.example"

GOLDEN = [
    (
        Data(7, 2, 70000, Counts(1, 2, 3), PAIR, 4, StreamId("a1.2", 9), b"<iq/>"),
        b"\x99\x01\x01\x07\x02\xce\x00\x01\x11p\x93\x01\x02\x03"
        + PAIR_OCTETS
        + b"\x04\x92\xa4a1.2\x09",
    ),
    (
        Data(7, 1, 1, Counts(1, 0, 0), PAIR, 4, None, b"<message/>"),
        b"\x99\x01\x01\x07\x01\x01\x93\x01\x00\x00" + PAIR_OCTETS + b"\x04\xc0",
    ),
    (
        Granted(9, PAIR, True, "external"),
        b"\x96\x01\x02\x09" + PAIR_OCTETS + b"\xc3\xa8external",
    ),
    (Revoked(9, PAIR), b"\x94\x01\x03\x09" + PAIR_OCTETS),
    (Dialling(PAIR), b"\x93\x01\x04" + PAIR_OCTETS),
    (
        DialFailed(PAIR, "remote-server-not-found", "cancel", "no SRV"),
        b"\x96\x01\x05" + PAIR_OCTETS + b"\xb7remote-server-not-found\xa6cancel\xa6no SRV",
    ),
    (Verify(5, PAIR, "s1", "k1"), b"\x96\x01\x06\x05" + PAIR_OCTETS + b"\xa2s1\xa2k1"),
    (Attach(6, "a.example", 9), b"\x95\x01\x07\x06\xa9a.example\x09"),
    (Attached("a.example", 9), b"\x94\x01\x08\xa9a.example\x09"),
    (Detached("a.example", 9), b"\x94\x01\x09\xa9a.example\x09"),
    (Announced(300), b"\x93\x01\x0a\xcd\x01\x2c"),
    (
        Forward("a0.1", 7, 2, 70000, Counts(1, 2, 3), PAIR, 4, 9, 69999, b"<iq/>"),
        b"\x9b\x02\x14\xa4a0.1\x07\x02\xce\x00\x01\x11p\x93\x01\x02\x03"
        + PAIR_OCTETS
        + b"\x04\x09\xce\x00\x01\x11o",
    ),
    (
        Reject(7, 2, 70000, 6, "resource-constraint", "wait", ""),
        b"\x99\x01\x15\x07\x02\xce\x00\x01\x11p\x06\xb3resource-constraint\xa4wait\xa0",
    ),
    (Dial(PAIR), b"\x93\x01\x16" + PAIR_OCTETS),
    (
        VerifyKey("a0.1", 5, PAIR, "s1", "k1"),
        b"\x97\x01\x17\xa4a0.1\x05" + PAIR_OCTETS + b"\xa2s1\xa2k1",
    ),
    (AttachAnswer(6, False), b"\x94\x01\x18\x06\xc2"),
    (Retire(9, PAIR), b"\x94\x01\x1a\x09" + PAIR_OCTETS),
    (Release(9, PAIR), b"\x94\x02\x1b\x09" + PAIR_OCTETS),
    (Joined(300), b"\x93\x01\x19\xcd\x01\x2c"),
    (Progress(7, 2, 9, 12, 10, "tcp"), b"\x98\x01\x1e\x07\x02\x09\x0c\x0a\xa3tcp"),
    (Returned(7, 2, 11, 12), b"\x96\x01\x1f\x07\x02\x0b\x0c"),
    (Verified(5, "valid"), b"\x94\x01\x20\x05\xa5valid"),
    (Ended(7, 9), b"\x94\x02\x21\x07\x09"),
    (Sync(3, ((5, 2), (63, 300))), b"\x94\x02\x22\x03\x92\x92\x05\x02\x92\x3f\xcd\x01\x2c"),
    (Synced(3), b"\x93\x02\x23\x03"),
    (Hold(7, 2, True), b"\x95\x02\x24\x07\x02\xc3"),
    (Again(7, 2, 12, 0, True), b"\x97\x02\x25\x07\x02\x0c\x00\xc3"),
    (Resume(9, "a0.1.s", PAIR, 3), b"\x96\x02\x26\x09\xa6a0.1.s" + PAIR_OCTETS + b"\x03"),
    (ResumeAnswer(9, True, 7), b"\x95\x02\x27\x09\xc3\x07"),
]


def parts(frame: Frame, control: bytes) -> list[bytes]:
    return [control] if frame.OCTETS is None else [control, getattr(frame, frame.OCTETS)]


@pytest.mark.parametrize(("frame", "control"), GOLDEN, ids=lambda value: type(value).__name__)
def test_the_published_bytes(frame, control):
    assert encode(frame) == parts(frame, control)
    assert decode(parts(frame, control)) == frame


def test_every_kind_has_golden_bytes_and_a_number_of_its_own():
    kinds = [
        cls
        for cls in vars(frames).values()
        if isinstance(cls, type) and issubclass(cls, Frame) and cls is not Frame
    ]
    assert {type(frame) for frame, _ in GOLDEN} == set(kinds)
    assert len({cls.KIND for cls in kinds}) == len(kinds)


@pytest.mark.parametrize(("frame", "control"), GOLDEN, ids=lambda value: type(value).__name__)
def test_a_field_short_a_field_more_or_cut_off_is_refused(frame, control):
    octets = parts(frame, control)[1:]
    fields = msgpack.unpackb(control)
    bad = [msgpack.packb(fields[:-1]), msgpack.packb([*fields, 1]), control[:-1], control + b"\x00"]
    for each in bad:
        with pytest.raises(BadFrame):
            decode([each, *octets])


@pytest.mark.parametrize(("frame", "control"), GOLDEN, ids=lambda value: type(value).__name__)
def test_a_part_too_many_or_too_few_is_refused(frame, control):
    good = parts(frame, control)
    with pytest.raises(BadFrame):
        decode([*good, b""])
    with pytest.raises(BadFrame):
        decode(good[:-1])


@pytest.mark.parametrize(("frame", "control"), GOLDEN, ids=lambda value: type(value).__name__)
def test_a_field_of_another_type_is_refused(frame, control):
    fields = msgpack.unpackb(control)
    for place in range(2, len(fields)):
        for wrong in (1.5, {}, [[]]):
            changed = [*fields[:place], wrong, *fields[place + 1 :]]
            with pytest.raises(BadFrame):
                decode([msgpack.packb(changed), *parts(frame, control)[1:]])


def test_another_version_and_an_unknown_kind_are_refused():
    for version in (0, VERSION + 1, True, "1", None):
        with pytest.raises(BadFrame, match=f"version {version!r}"):
            decode([msgpack.packb([version, Joined.KIND, 7])])
    with pytest.raises(BadFrame):
        decode([msgpack.packb([1, 255, 7])])


def test_a_frame_of_the_version_before_is_understood():
    """A process that was not upgraded yet says of no run what was forwarded before it."""
    newest = Forward("a0.1", 7, 2, 5, Counts(1, 0, 0), PAIR, 4, 9, 0, b"<message/>")
    control, octets = encode(newest)
    version, *fields, _ = msgpack.unpackb(control)
    assert version == 2
    assert decode([msgpack.packb([1, *fields]), octets]) == newest
    assert decode([msgpack.packb([1, Ended.KIND, 7])]) == Ended(7, 0)
    assert decode([msgpack.packb([2, Joined.KIND, 7])]) == Joined(7)


def test_a_process_of_the_version_before_gets_the_form_it_knows():
    run = Forward("a0.1", 7, 2, 5, Counts(1, 0, 0), PAIR, 4, 9, 3, b"<message/>")
    control, octets = encode(run, 1)
    assert msgpack.unpackb(control)[:2] == [1, Forward.KIND]
    assert decode([control, octets]) == replace(run, after=0)
    assert msgpack.unpackb(encode(Ended(7, 9), 1)[0]) == [1, Ended.KIND, 7]
    assert encode(Joined(7), 1) == encode(Joined(7))


def test_what_the_version_before_lacks_has_no_form_in_it():
    lacking = {type(frame) for frame, _ in GOLDEN if not has_form(frame, 1)}
    assert lacking >= {Sync, Synced, Hold, Again, Resume, ResumeAnswer}
    assert not lacking & {Forward, Ended, Returned, Progress}
    assert all(has_form(frame, VERSION) for frame, _ in GOLDEN)
    with pytest.raises(MisuseError):
        encode(Synced(3), 1)


def test_numbers_are_not_truth_values():
    with pytest.raises(BadFrame):
        decode([msgpack.packb([1, Joined.KIND, True])])
    with pytest.raises(BadFrame):
        decode([msgpack.packb([1, AttachAnswer.KIND, 6, 1])])


@given(st.lists(st.binary(max_size=64), max_size=3))
def test_any_octets_are_a_frame_or_refused(message):
    try:
        frame = decode(message)
    except BadFrame:
        return
    assert decode(encode(frame)) == frame


def test_a_dialback_key_is_not_shown() -> None:
    """A frame may get into a traceback or a log; its key must not."""
    pair = DomainPair("capulet.example", "montague.example")
    for frame in (
        frames.Verify(1, pair, "id1", "s3cr3t-key"),
        frames.VerifyKey("a0.1", 1, pair, "id1", "s3cr3t-key"),
    ):
        assert "s3cr3t-key" not in repr(frame)
        assert "capulet.example" in repr(frame)
