"""The conditions of RFC 6120, and the types they carry."""

import pytest

from router.xmpp.errors import STANZA_CONDITIONS, STREAM_CONDITIONS, StanzaError, StreamError


def test_a_stream_error_has_a_condition_of_the_standard():
    assert len(STREAM_CONDITIONS) == 25  # RFC 6120 §4.9.3
    with pytest.raises(AssertionError):
        StreamError("no-such-condition")


@pytest.mark.clause("RTE-10")
@pytest.mark.parametrize(
    ("condition", "type_"),
    [
        ("remote-server-not-found", "cancel"),
        ("remote-server-timeout", "wait"),
        ("resource-constraint", "wait"),
        ("jid-malformed", "modify"),
        ("bad-request", "modify"),
    ],
)
def test_a_stanza_condition_has_its_type(condition, type_):
    assert StanzaError.of(condition) == StanzaError(condition, type_)


def test_every_type_is_one_of_the_five():
    assert set(STANZA_CONDITIONS.values()) <= {"auth", "cancel", "continue", "modify", "wait"}
