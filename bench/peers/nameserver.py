"""An authoritative name server on loopback, in a thread of its own: a zone in, the questions out.

Owns one UDP socket. Answers what it was given and nothing else: no recursion, no TCP.
Called by the tests, and by `ejabberd` beside it, which has no other static routes.
"""

import socket
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

Zone = Mapping[str, Mapping[str, Sequence[str]]]


class Nameserver:
    """Answers on UDP at 127.0.0.1:`port` from `zone`, {name: {type: [rdata, …]}}.

    A name that is not in the zone has the records `otherwise`, by default none: it does not exist
    (NXDOMAIN). Names in `silent` get no answer and
    names in `failing` get SERVFAIL; all three may be changed while it runs. `asked` has every
    question so far, as (name without the final dot, type).
    """

    def __init__(
        self,
        zone: Zone,
        *,
        ttl_s: int = 300,
        silent: Sequence[str] = (),
        failing: Sequence[str] = (),
        otherwise: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.zone = dict(zone)
        self.otherwise = dict(otherwise or {})
        self.ttl_s = ttl_s
        self.silent = set(silent)
        self.failing = set(failing)
        self.asked: list[tuple[str, str]] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def address(self) -> str:
        """As `[dns] resolvers` takes it."""
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stop:
            stop.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            octets, client = self._socket.recvfrom(4096)
            if not octets:
                return
            if (answer := self._answer(dns.message.from_wire(octets))) is not None:
                self._socket.sendto(answer.to_wire(), client)

    def _answer(self, query: dns.message.Message) -> dns.message.Message | None:
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind))
        if name in self.silent:
            return None
        answer = dns.message.make_response(query, recursion_available=True)
        answer.flags |= dns.flags.AA
        records = self.zone.get(name, self.otherwise)
        if name in self.failing:
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif kind in records:
            answer.answer.append(self._rrset(question.name, kind, records[kind]))
        else:
            if name not in self.zone and not self.otherwise:
                answer.set_rcode(dns.rcode.NXDOMAIN)
            soa = f". . 1 1 1 1 {self.ttl_s}"
            answer.authority.append(self._rrset(dns.name.root, "SOA", [soa]))
        return answer

    def _rrset(self, name: dns.name.Name, kind: str, records: Sequence[str]) -> dns.rrset.RRset:
        return dns.rrset.from_text_list(name, self.ttl_s, "IN", kind, records)
