"""What an in-band bytestream reports."""

import pytest

from router.xmpp.bytestreams.ibb_events import Closed, CloseReason


@pytest.mark.parametrize("reason", CloseReason)
def test_an_end_is_clean_when_one_side_wanted_it_and_nothing_is_left(reason: CloseReason) -> None:
    in_order = reason in (CloseReason.LOCAL, CloseReason.PEER)
    assert Closed(reason).is_clean() is in_order
    assert not Closed(reason, unsent_bytes=1).is_clean()
