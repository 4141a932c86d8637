"""The account of a run: what was sent when, what came of each stanza, and when it arrived. Pure.

Called by `ends` with what arrives and by `stage` with what is sent; `findings` is the checker.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from math import isnan, nan
from typing import Final

from bench.faults.traffic import Bounce, Flow
from bench.steady import quantile_ms

NEVER: Final = nan


@dataclass(frozen=True, slots=True)
class Findings:
    """The checker's result. Times in ms, from a stanza's place in the schedule to its arrival."""

    sent: int
    delivered: int
    bounced: int
    lost: int
    """Written to the node, and neither delivered nor bounced."""
    lost_with_stream: int
    """Of the lost, those written to a stream that was cut off before the node had answered."""
    duplicated: int
    """Delivered more often than once, or bounced more often than once."""
    duplicated_resent: int
    """Of these, those that the generator itself has sent twice, as XEP-0198 asks it to."""
    reordered: int
    """Delivered behind a later one of the same JID pair."""
    both: int
    """Delivered and bounced."""
    strange: int
    """Arrived without having been sent, or where they do not belong."""
    p50_ms: float
    p99_ms: float
    worst_ms: float
    reasons: dict[str, int] = field(default_factory=dict)
    """Of the bounces."""

    @property
    def violations(self) -> int:
        """What must be 0 whatever happens."""
        return self.lost + self.duplicated + self.reordered + self.both + self.strange


class Recorder:
    """Stanzas by number, from 0 in the order of the schedule; `clock` gives seconds."""

    def __init__(self, flows: Sequence[Flow], clock: Callable[[], float]) -> None:
        self.flows = flows
        self.clock = clock
        self.due_s = array("d")
        self.took_s = array("d")
        """From its place in the schedule to its arrival; NaN until then."""
        self.strange = 0
        self.answered = 0
        """Stanzas delivered or bounced, each once."""
        self.written = 0
        self.last_bounce_s = 0.0
        """When the last error came back."""
        self._flow = array("I")
        self._sent = bytearray()
        self._delivered = bytearray()
        self._bounced = bytearray()
        self._cut_off: set[int] = set()
        self._resent: set[int] = set()
        self._highest = [-1] * len(flows)
        self._reordered: list[int] = []
        self._why: dict[int, str] = {}
        self._bounces: Counter[int] = Counter()

    def plan(self, flow: int, due_s: float) -> int:
        """The number of a flow's next stanza, to be sent at this time."""
        number = len(self.due_s)
        self.due_s.append(due_s)
        self.took_s.append(NEVER)
        self._flow.append(flow)
        for states in (self._sent, self._delivered, self._bounced):
            states.append(0)
        return number

    def flow_of(self, number: int) -> Flow:
        """Whose stanza it is."""
        return self.flows[self._flow[number]]

    def sent(self, number: int) -> None:
        """It was written to the node."""
        self.written += not self._sent[number]
        self._sent[number] = 1

    def is_open(self, number: int) -> bool:
        """Whether nothing has come of it yet."""
        return not (self._delivered[number] or self._bounced[number])

    def cut_off(self, numbers: Collection[int]) -> None:
        """The stream they were written to is gone; the node may never have had them."""
        self._cut_off.update(filter(self.is_open, numbers))

    def resent(self, numbers: Collection[int]) -> None:
        """Their stream is gone and had not acknowledged them: they are written once more."""
        self._resent.update(numbers)

    def delivered(self, numbers: Sequence[int], domain: str) -> None:
        """These have arrived at the domain."""
        now_s = self.clock()
        for number in numbers:
            if number >= len(self._sent) or not self._sent[number]:
                self.strange += 1
                continue
            which = self._flow[number]
            if self.flows[which].pair.target != domain:
                self.strange += 1
                continue
            self._delivered[number] += self._delivered[number] < 255
            if self._delivered[number] > 1:
                continue
            self.answered += not self._bounced[number]
            self.took_s[number] = now_s - self.due_s[number]
            if number < self._highest[which]:
                self._reordered.append(number)
            else:
                self._highest[which] = number

    def bounced(self, bounce: Bounce, domain: str) -> None:
        """An error came back to the domain that had sent it."""
        number = bounce.number
        if number >= len(self._sent) or self.flow_of(number).pair.sender != domain:
            self.strange += 1
            return
        self._bounced[number] += self._bounced[number] < 255
        if self._bounced[number] == 1:
            self.answered += not self._delivered[number]
            self._why[number] = bounce.reason
            self.last_bounce_s = self.clock()
            self._bounces[int(self.last_bounce_s)] += 1

    def most_bounces_per_s(self) -> int:
        """Errors that came back in the second in which most did."""
        return max(self._bounces.values(), default=0)

    def lost(self) -> list[int]:
        """The numbers of those with no outcome."""
        return [
            number
            for number, was_sent in enumerate(self._sent)
            if was_sent and not self._delivered[number] and not self._bounced[number]
        ]

    def wrong(self) -> list[int]:
        """The numbers of all that are lost, duplicated, reordered or both delivered and bounced."""
        twice = [
            number
            for number, times in enumerate(self._delivered)
            if times + self._bounced[number] > 1
        ]
        return sorted({*self.lost(), *twice, *self._reordered})

    def findings(self, of: Callable[[int, Flow], bool] = lambda number, flow: True) -> Findings:
        """Of the stanzas for which `of(number, flow)` holds; what is strange counts always."""
        chosen = [n for n in range(len(self._sent)) if self._sent[n] and of(n, self.flow_of(n))]
        delivered, bounced = self._delivered, self._bounced
        lost = [n for n in chosen if not delivered[n] and not bounced[n]]
        came = [self.took_s[n] for n in chosen if delivered[n]]
        members = set(chosen) if len(chosen) < len(self._sent) else range(len(self._sent))
        return Findings(
            sent=len(chosen),
            delivered=len(came),
            bounced=sum(1 for n in chosen if bounced[n]),
            lost=len(lost),
            lost_with_stream=sum(n in self._cut_off for n in lost),
            duplicated=sum(max(0, delivered[n] - 1) + max(0, bounced[n] - 1) for n in chosen),
            duplicated_resent=sum(
                max(0, delivered[n] - 1) + max(0, bounced[n] - 1)
                for n in self._resent.intersection(chosen)
            ),
            reordered=sum(n in members for n in self._reordered),
            both=sum(1 for n in chosen if delivered[n] and bounced[n]),
            strange=self.strange,
            p50_ms=quantile_ms(came, 0.5),
            p99_ms=quantile_ms(came, 0.99),
            worst_ms=quantile_ms(came, 1.0),
            reasons=dict(Counter(why for n, why in self._why.items() if n in members)),
        )

    def due_between(self, from_s: float, to_s: float) -> Callable[[int, Flow], bool]:
        """A choice for `findings`: those whose place in the schedule lies there."""
        return lambda number, flow: from_s <= self.due_s[number] < to_s

    def arrivals_between(self, from_s: float, to_s: float) -> int:
        """How many arrived in that time."""
        return sum(
            1
            for due_s, took_s in zip(self.due_s, self.took_s, strict=True)
            if not isnan(took_s) and from_s <= due_s + took_s < to_s
        )
