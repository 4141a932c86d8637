"""Every hostile input in every phase of every kind of stream, in memory."""

import re
import time
from collections.abc import Iterator

import pytest

from router.xmpp import names
from router.xmpp.events import (
    AttachRequested,
    Event,
    KeyAnswered,
    KeyReceived,
    PairAuthorised,
    RunReceived,
    StanzaRefused,
    StartTls,
    StreamClosed,
)
from router.xmpp.states import Phase
from tests.support import hostile_stages as stages
from tests.support.hostile import (
    ADDRESSED,
    HEADERS,
    HOSTED_SENDER,
    IGNORED,
    KEYS,
    PLAIN,
    SASL,
    STANZAS,
    UNPROVED,
    XML,
    Drops,
    Fatal,
    Row,
    Table,
)
from tests.support.hostile_open import (
    ADDRESSES,
    ANSWERS,
    ATTACHED,
    AWAITING,
    CALLED,
    ERRORS,
    OPEN,
    PROCEEDING,
    REFUSED,
    SHAKING,
    UNASKED,
)
from tests.support.hostile_stages import MakeStage
from tests.support.pump import NOW
from tests.support.scripted_peer import END

NEVER = (RunReceived, PairAuthorised, KeyReceived, KeyAnswered, AttachRequested, StartTls)
"""Nothing hostile is delivered, proves anything, or starts anything."""
TEXT = re.compile("<text .*?</text>")
CPU_S = 1.0
"""Generous: the worst takes a tenth of it."""
SLOWLY_BYTES = 4096

EVERY_HEADER = stages.INBOUND_HEADER + stages.OUTBOUND_HEADER + [stages.component_first]
UNPROVED_INBOUND = [stages.plain, *stages.INBOUND_TLS]
SECURE_S2S = [
    *stages.INBOUND_TLS,
    *stages.INBOUND_PROVED,
    stages.called_open,
    stages.called_bidi,
    stages.called_secure_features,
    stages.authenticating,
]
AFTER_HEADER = [
    *UNPROVED_INBOUND,
    *stages.INBOUND_PROVED,
    *stages.OUTBOUND_UNPROVED,
    stages.called_open,
    stages.called_bidi,
]
# Where a component's content namespace changes what a row means, `SHAKING` and `ATTACHED` say it.
OF_SERVERS = ("an element that is no stanza", "a component's stanza", "a namespace with a brace")
COMPONENT_XML = {name: row for name, row in XML.items() if name not in OF_SERVERS}

MATRIX: list[tuple[Table, list[MakeStage]]] = [
    (HEADERS, EVERY_HEADER),
    (ADDRESSED, stages.INBOUND_HEADER),
    (HOSTED_SENDER, [stages.first, stages.secure_first]),
    (AWAITING, stages.OUTBOUND_HEADER),
    (XML, AFTER_HEADER),
    (COMPONENT_XML, [stages.component_header, stages.component]),
    (STANZAS, [*AFTER_HEADER, stages.component_header]),
    (UNPROVED, [*UNPROVED_INBOUND, *stages.OUTBOUND_UNPROVED, stages.called_open]),
    (IGNORED, SECURE_S2S),
    (PLAIN, [stages.plain]),
    (KEYS, [*stages.INBOUND_TLS, *stages.INBOUND_PROVED]),
    (SASL, [stages.secure]),
    (ADDRESSES, [*stages.INBOUND_PROVED, stages.called_bidi]),
    (REFUSED, [*stages.INBOUND_PROVED, stages.called_bidi]),
    (OPEN, stages.INBOUND_PROVED),
    (ERRORS, [*AFTER_HEADER, stages.component_header, stages.component]),
    (ANSWERS, [*stages.OUTBOUND_UNPROVED, stages.called_open, stages.called_bidi]),
    (UNASKED, [stages.called_open]),
    (PROCEEDING, [stages.proceeding]),
    (CALLED, [stages.component_first]),
    (SHAKING, [stages.component_header]),
    (ATTACHED, [stages.component]),
]


def cells() -> Iterator[object]:
    for table, phases in MATRIX:
        for phase in phases:
            for name, row in table.items():
                mark = pytest.mark.clause(row.clause)
                yield pytest.param(phase, row, id=f"{phase.__name__}: {name}", marks=mark)


def heard(make: MakeStage, octets: bytes, size: int) -> tuple[list[Event], str, str, Phase]:
    """The events, what the core had said on this stream, what it says, and where it is then."""
    core, said = make()
    events: list[Event] = []
    begin = time.process_time()
    for at in range(0, len(octets), size):
        events += core.receive_bytes(octets[at : at + size], NOW)
    assert time.process_time() - begin < CPU_S
    return events, said, core.bytes_to_send().decode(), core.phase


@pytest.mark.parametrize(("make", "row"), list(cells()))
def test_what_comes_of_it(make: MakeStage, row: Row) -> None:
    octets = row.octets if isinstance(row.octets, bytes) else row.octets.encode()
    events, said, answer, phase = heard(make, octets, max(1, len(octets)))
    assert not [event for event in events if isinstance(event, NEVER)]
    if isinstance(row.outcome, Fatal):
        assert f"<stream:error><{row.outcome} xmlns='{names.STREAM_ERRORS}'/>" in answer
        assert answer.endswith(f"</stream:error>{END}")
        assert (said + answer).startswith("<?xml version='1.0'?><stream:stream ")
        assert (said + answer).count("<stream:stream ") == 1
        assert isinstance(events[-1], StreamClosed) and phase is Phase.CLOSED
        assert (events[-1].condition, events[-1].abrupt) == (row.outcome, False)
    elif isinstance(row.outcome, Drops):
        assert isinstance(events[-1], StreamClosed) and phase is Phase.CLOSED
        assert answer == row.outcome or events[-1].abrupt
    else:
        assert phase is not Phase.CLOSED
        refused = [event.error.condition for event in events if isinstance(event, StanzaRefused)]
        assert row.outcome in "".join([answer, *(f"<{condition} " for condition in refused)])
        assert row.outcome or answer == ""
    if len(octets) <= SLOWLY_BYTES and not isinstance(row.outcome, Drops):
        slowly = heard(make, octets, 1)
        said_why = [TEXT.sub("", some) for some in (answer, slowly[2])]
        assert (said_why[0], phase) == (said_why[1], slowly[3]), "it depends on segmentation"
        of_interest = [list(map(type, some)) for some in (events, slowly[0])]
        assert of_interest[0] == of_interest[1]
