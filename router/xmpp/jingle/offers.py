"""The transports of one session: which may still be offered, which is on the table, which before.

Plain bookkeeping for `session`, which decides when.
"""

from router.xmpp import names
from router.xmpp.errors import MisuseError
from router.xmpp.jingle.transport import Transport


class Offers:
    """What a session has offered, or been offered, and will offer."""

    def __init__(self) -> None:
        self._untried: tuple[Transport, ...] = ()
        self._on_table: Transport | None = None
        self._sid = ""
        self._former_sid = ""

    @property
    def sid(self) -> str:
        """The bytestream that is spoken of: the one offered by us, or agreed; "" before."""
        return self._sid

    @property
    def on_table(self) -> Transport:
        """The last offer, whoever made it; there must have been one."""
        assert self._on_table is not None
        return self._on_table

    def plan(self, offers: tuple[Transport, ...]) -> None:
        """Offer these in this order.

        Raises MisuseError unless in-band bytestreams are the last choice (XEP-0247 §3).
        """
        in_band = [offer.namespace == names.JINGLE_IBB for offer in offers]
        if in_band.count(True) != 1 or not in_band[-1]:
            raise MisuseError("in-band bytestreams must be the last offer")
        self._untried = offers

    def restrict(self, features: frozenset[str]) -> None:
        """Offer nothing that the peer does not support."""
        self._untried = tuple(offer for offer in self._untried if offer.namespace in features)

    def are_exhausted(self) -> bool:
        """Whether there is nothing left to offer."""
        return not self._untried

    def offer_next(self) -> Transport:
        """Our next offer, on the table from now on."""
        offer, *rest = self._untried
        self._untried = tuple(rest)
        self._on_table = offer
        self.settle()
        return offer

    def put(self, offer: Transport) -> None:
        """The peer's offer is on the table; until `settle`, the bytestream stays what it was."""
        self._on_table = offer

    def settle(self) -> None:
        """The bytestream is that of the offer on the table."""
        self._former_sid, self._sid = self._sid, self.on_table.sid

    def is_former(self, sid: str) -> bool:
        """Whether this is the bytestream that the present one has replaced."""
        return sid == self._former_sid
