"""Every stanza that was sent, until its outcome is known: delivered once and in order, or bounced.

A flow is one ordered sequence: what one JID sends to another, or the answers to it. Memory is that
of the stanzas under way, so a soak may last as long as it likes. Called by `ends` and `measure`.
"""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Flow:
    sent: int = 0
    highest: int = -1
    under_way: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Findings:
    """How many stanzas had which outcome; `lost` had none, `doubled` more than one."""

    sent: int
    delivered: int
    bounced: int
    lost: int
    lost_answers: int
    """Of the lost, results: these must not be bounced (RFC 6120 section 8.2.3), only counted."""
    doubled: int
    reordered: int
    strange: int
    """Arrived without having been sent."""

    def is_good(self, unbounceable: int) -> bool:
        """Nothing lost but answers that the node says it could not bounce, nothing out of order."""
        wrong = self.lost - self.lost_answers + self.doubled + self.reordered + self.strange
        return not wrong and self.lost_answers <= unbounceable


class Ledger:
    """Stanzas by flow and number. Answers to flow f are flow ~f: a request's id is its answer's."""

    def __init__(self) -> None:
        self._flows: dict[int, _Flow] = {}
        self._count: Counter[str] = Counter()
        self.under_way = 0

    def send(self, flow: int) -> int:
        """The number of the next stanza of a flow, from 0."""
        number = self._flow(flow).sent
        self.sent(flow, number)
        return number

    def sent(self, flow: int, number: int) -> None:
        """A stanza of this number leaves: an answer has its request's."""
        state = self._flow(flow)
        state.sent = max(state.sent, number + 1)
        state.under_way.add(number)
        self.under_way += 1
        self._count["sent"] += 1

    def delivered(self, flow: int, number: int) -> None:
        """It arrived where it was to."""
        if self._settled(flow, number, "delivered"):
            state = self._flows[flow]
            self._count["reordered"] += number < state.highest
            state.highest = max(state.highest, number)

    def bounced(self, flow: int, number: int) -> None:
        """It came back as an error."""
        self._settled(flow, number, "bounced")

    def strange(self) -> None:
        """Something arrived that nobody sent."""
        self._count["strange"] += 1

    @property
    def sent_in_all(self) -> int:
        """Stanzas and answers so far."""
        return self._count["sent"]

    def findings(self) -> Findings:
        """As of now; what is under way counts as lost."""
        count = self._count
        return Findings(
            sent=count["sent"],
            delivered=count["delivered"],
            bounced=count["bounced"],
            lost=self.under_way,
            lost_answers=sum(len(state.under_way) for it, state in self._flows.items() if it < 0),
            doubled=count["doubled"],
            reordered=count["reordered"],
            strange=count["strange"],
        )

    def _flow(self, flow: int) -> _Flow:
        return self._flows.setdefault(flow, _Flow())

    def _settled(self, flow: int, number: int, how: str) -> bool:
        state = self._flows.get(flow)
        if state is None or number >= state.sent:
            self.strange()
        elif number not in state.under_way:
            self._count["doubled"] += 1
        else:
            state.under_way.discard(number)
            self.under_way -= 1
            self._count[how] += 1
            return True
        return False
