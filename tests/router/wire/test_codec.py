"""Any frame survives the wire; anything else is a BadFrame and nothing worse."""

import contextlib

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.wire.codec import BadFrame, decode, encode
from router.wire.frames import VERSION, Data, StreamId
from router.xmpp.pair import DomainPair
from router.xmpp.stanza import Counts

NUMBER = st.integers(0, 2**63 - 1)
COUNTS = st.builds(Counts, NUMBER, NUMBER, NUMBER)
PAIRS = st.builds(DomainPair, st.text(), st.text())
STREAMS = st.none() | st.builds(StreamId, st.text(), NUMBER)
RUNS = st.builds(
    Data, NUMBER, NUMBER, NUMBER, COUNTS, PAIRS, NUMBER, STREAMS, st.binary(max_size=200)
)


@given(RUNS)
def test_a_run_arrives_as_it_was_sent(frame):
    assert decode(encode(frame)) == frame


def test_the_octets_of_a_run_are_a_part_of_their_own_and_untouched():
    octets = b"<message/>" * 3
    frame = Data(1, 1, 1, Counts(3, 0, 0), DomainPair("a", "b"), 0, None, octets)
    assert encode(frame)[1] is octets


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=3))
def test_any_octets_are_a_frame_or_a_bad_frame(parts):
    with contextlib.suppress(BadFrame):
        decode(parts)


@pytest.mark.parametrize("parts", [[], [b""], [b"\x92\x01"], [b"\xdd\xff\xff\xff\xff"]])
def test_what_is_cut_off_or_lies_about_its_length(parts):
    with pytest.raises(BadFrame):
        decode(parts)


def test_another_version_is_named():
    with pytest.raises(BadFrame, match=f"version {VERSION + 1}"):
        decode([msgpack.packb([VERSION + 1, 25, 1])])
