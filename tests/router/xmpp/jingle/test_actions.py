"""The closed vocabularies are the standard's, and so are Jingle's own errors on the wire."""

import pytest
from lxml import etree

from router.xmpp import names
from router.xmpp.errors import STANZA_CONDITIONS, StanzaError
from router.xmpp.jingle import actions
from router.xmpp.stanza import error_element


def test_there_are_fifteen_actions_and_seventeen_reasons() -> None:
    assert len(actions.ACTIONS) == 15
    assert len(actions.REASONS) == 17
    assert all(name == action.value for name, action in actions.ACTIONS.items())


@pytest.mark.clause("JXS-08", "JXS-09", "JXS-10")
@pytest.mark.parametrize(
    ("error", "condition", "type_of", "own"),
    [
        (actions.UNKNOWN_SESSION, "item-not-found", "cancel", "unknown-session"),
        (actions.OUT_OF_ORDER, "unexpected-request", "wait", "out-of-order"),
        (actions.UNSUPPORTED_INFO, "feature-not-implemented", "modify", "unsupported-info"),
        (actions.TIE_BREAK, "conflict", "cancel", "tie-break"),
    ],
)
def test_jingles_errors(error: StanzaError, condition: str, type_of: str, own: str) -> None:
    assert condition in STANZA_CONDITIONS
    element = etree.fromstring(error_element(error))
    assert element.get("type") == type_of
    assert [child.tag for child in element] == [
        f"{{{names.STANZA_ERRORS}}}{condition}",
        f"{{{names.JINGLE_ERRORS}}}{own}",
    ]
