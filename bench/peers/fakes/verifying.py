"""What both roles of a fake's stream do with dialback (XEP-0220) and with stanzas."""

import asyncio

from bench.peers.fakes import words
from bench.peers.fakes.link import Link
from bench.peers.fakes.reading import Element
from bench.peers.fakes.stream import Pair, Server, Stream

_VERIFICATION_S = 20.0


def domain_of(jid: str) -> str:
    """The domain of an address."""
    return jid.partition("/")[0].rpartition("@")[2].lower()


def pair_of(element: Element) -> Pair:
    """Whose domain speaks to whose."""
    return Pair(domain_of(element.get("from")), domain_of(element.get("to")))


class ServerStream(Stream):
    """A stream between servers, either role. `for_keys`: it is to carry nothing else."""

    def __init__(self, server: Server, link: Link, number: int, *, initiated: bool) -> None:
        super().__init__(server, link, number, initiated=initiated)
        self.for_keys = False
        self._keys_sent: set[Pair] = set()
        self._asked: dict[tuple[Pair, str], asyncio.Future[str]] = {}

    # --- what the server does with it ---

    def send_key(self, pair: Pair) -> str:
        """Our key for `pair`, to be written; the answer ends in `may_send` or `refused`."""
        self._keys_sent.add(pair)
        key = words.dialback_key(self.server.secret, pair.target, pair.sender, self.id)
        return words.dialback("result", *pair, content=key)

    def has_sent_key(self, pair: Pair) -> bool:
        """Whether a key of ours for `pair` waits for its answer."""
        return pair in self._keys_sent

    async def ask(self, pair: Pair, stream_id: str, key: str) -> str:
        """Have the other side verify a key of `pair`, whose sender it is."""
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._asked[pair, stream_id] = answer
        self.write(words.dialback("verify", *pair.inverse(), content=key, id=stream_id))
        try:
            async with asyncio.timeout(_VERIFICATION_S):
                return await answer
        except TimeoutError:
            return "remote-server-timeout"
        finally:
            self._asked.pop((pair, stream_id), None)

    # --- what the roles fill in ---

    def negotiate(self, element: Element) -> None:
        """An element that is neither a stanza nor dialback."""
        raise NotImplementedError

    def peer_proved(self, pair: Pair, mechanism: str) -> None:
        """The other side may send stanzas of `pair`."""
        raise NotImplementedError

    def ours_accepted(self, pair: Pair) -> None:
        """The other side takes stanzas of `pair`."""
        raise NotImplementedError

    # --- what comes ---

    def received_element(self, element: Element) -> None:
        """Dialback, a stanza, or a matter of the role."""
        is_plain = not self.link.is_encrypted and self.profile.requires_tls
        if element.namespace == words.SERVER and element.name in words.STANZAS:
            self._received_stanza(element)
        elif is_plain and not self.initiated and element.name != "starttls":
            self.fail("policy-violation")
        elif element.namespace == words.DIALBACK and self._is_literal(element, "db"):
            self._received_dialback(element)
        else:
            self.negotiate(element)

    def _is_literal(self, element: Element, prefix: str) -> bool:
        return element.prefix == prefix or not self.profile.wants_literal_prefixes

    def _received_stanza(self, stanza: Element) -> None:
        pair = pair_of(stanza)
        if not self.receives:
            self.fail("not-authorized")
        elif all(proved.sender != pair.sender for proved in self.receives):
            self.fail(self.profile.unproved_sender)
        elif pair.target not in self.server.domains:
            self.fail("host-unknown")
        else:
            self.server.received(self, stanza)

    def _received_dialback(self, element: Element) -> None:
        pair = pair_of(element)
        kind, content = element.get("type"), element.text.strip()
        match element.name, bool(kind):
            case "result", True:
                self._key_answered(pair.inverse(), kind, element)
            case "result", False:
                self._key_received(pair, content)
            case "verify", True:
                self._verify_answered(pair, element.get("id"), kind)
            case "verify", False:
                self._verify_received(pair, element.get("id"), content)
            case _:
                self.fail(self.profile.unknown_element)

    # --- initiating server ---

    def _key_answered(self, pair: Pair, kind: str, element: Element) -> None:
        if pair not in self._keys_sent:
            return
        self._keys_sent.discard(pair)
        if kind == "valid":
            self.ours_accepted(pair)
            return
        found = element.find("error")
        condition = found.children[0].name if found is not None and found.children else kind
        self.server.refused(self, pair, condition)
        if kind == "invalid" or not self.sends:
            self.close()

    # --- receiving server ---

    def _key_received(self, pair: Pair, key: str) -> None:
        profile = self.profile
        if self.initiated and not (profile.reverse_dialback == "accepted" and self.is_bidi):
            if profile.reverse_dialback == "invalid-id":
                self.fail("invalid-id")
            return
        if pair.target not in self.server.domains:
            if profile.unknown_target in ("host-unknown", "unsupported-stanza-type"):
                self.fail(profile.unknown_target)
            else:
                self._answer(pair, profile.unknown_target)
        elif pair.target in self.server.refuses:
            self._answer(pair, self.server.refuses[pair.target])
        elif profile.trusts_certificates_for_keys and self._names(pair.sender):
            self._answer(pair, "valid")
        else:
            self.server.start(self._verify(pair, self.id, key))

    def _names(self, domain: str) -> bool:
        """Whether the other side's certificate proves the domain."""
        purpose = self.profile.wants_client_purpose
        return self.server.judge.proves(self.link.chain, domain, client_purpose=purpose)

    async def _verify(self, pair: Pair, stream_id: str, key: str) -> None:
        self._answer(pair, await self.server.verify(pair, stream_id, key))

    def _answer(self, pair: Pair, verdict: str) -> None:
        """Tell the other side about its key: "valid", "invalid" or a condition."""
        back = pair.inverse()
        if verdict == "valid":
            self.write(words.dialback("result", *back, type="valid"))
            self.peer_proved(pair, "dialback")
        elif self.profile.refuses_with_errors:
            condition = "not-authorized" if verdict == "invalid" else verdict
            error = words.stanza_error(condition)
            self.write(words.dialback("result", *back, content=error, type="error"))
        else:
            self.write(words.dialback("result", *back, type="invalid"))
            self.close()

    # --- authoritative server ---

    def _verify_received(self, pair: Pair, stream_id: str, key: str) -> None:
        if self.initiated and not self.profile.answers_on_streams_it_opened:
            return
        ours = words.dialback_key(self.server.secret, pair.sender, pair.target, stream_id)
        verdict = "valid" if key == ours and pair.target in self.server.domains else "invalid"
        self.write(words.dialback("verify", *pair.inverse(), id=stream_id, type=verdict))

    def _verify_answered(self, pair: Pair, stream_id: str, kind: str) -> None:
        if not self.initiated and self.profile.answer_on_accepted != "taken":
            if self.profile.answer_on_accepted == "ends the stream":
                self.fail(self.profile.unknown_element)
            return
        answer = self._asked.get((pair, stream_id))
        if answer is not None and not answer.done():
            answer.set_result("remote-server-not-found" if kind == "error" else kind)
