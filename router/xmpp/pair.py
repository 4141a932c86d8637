"""The domain pair: who speaks to whom, in that order (XEP-0220 §1.3)."""

from typing import NamedTuple


class DomainPair(NamedTuple):
    """Stanzas from the sender domain to the target domain; both normalised by `jid.domain`."""

    sender: str
    target: str

    def inverse(self) -> "DomainPair":
        """The same two domains, the other way round."""
        return DomainPair(self.target, self.sender)

    def __str__(self) -> str:
        return f"{self.sender} to {self.target}"
