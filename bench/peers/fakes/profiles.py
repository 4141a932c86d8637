"""Who does what: one frozen table of quirks for each server that can be played.

Numbers in brackets are those of the scenarios in which a quirk matters (`tests/scenarios/`). The
defaults are `plain`: strict, modern, bidirectional, without quirks.
"""

from dataclasses import dataclass, replace
from typing import Final, Literal

from bench.peers.fakes.words import BIDI, BIDI_FEATURE

UnknownTarget = Literal["item-not-found", "not-allowed", "host-unknown", "unsupported-stanza-type"]
ReverseDialback = Literal["accepted", "ignored", "invalid-id"]
AnswerOnAccepted = Literal["taken", "ignored", "ends the stream"]
EmptyAuthzid = Literal["accepted", "challenged", "malformed-request"]


@dataclass(frozen=True, slots=True)
class Profile:
    """What one server does, on streams it accepts and on those it opens."""

    name: str
    about: str

    # --- bidi, XEP-0288 ---
    offers_bidi: bool = True
    """In the features inside TLS. [36]"""
    offers_bidi_in_plaintext: bool = False
    """Before STARTTLS, too, where TLS is not required. [18, 30]"""
    offers_bidi_after_proof: bool = False
    """Once more in the features after SASL, where nobody may ask any more. [17]"""
    asks_for_bidi: bool = True
    """On streams it opens, where it is offered. [21, 36]"""
    asks_in_plaintext: bool = False
    """Already before STARTTLS, where it is offered there. [18]"""
    asks_inside_tls: bool = True
    """There, again or for the first time. [18]"""
    asks_where_drafted: bool = False
    """Looks for the offer in the draft's namespace, so almost never finds one. [21]"""
    bidi_request: str = BIDI
    """The namespace of its request. [9, 20]"""
    bidi_accepted: str = BIDI
    """The one namespace in which it takes a request. [9, 20]"""
    takes_late_bidi: bool = False
    """A request after the proof, or without an offer, takes effect. [8]"""
    bidi_limit_bytes: int | None = None
    """Its request carries this limit for stanzas against the stream (XEP-0478). [15]"""
    bidi_is_the_header_pairs: bool = False
    """Sends against a stream only what belongs to the pair of the stream's header. [2, 4]"""
    keeps_its_own: bool = False
    """Sends nothing against a stream while one of its own stands or is being opened. [3, 11]"""
    closes_its_own: bool = False
    """Closes its own stream as soon as it may send against the peer's. [29]"""
    spreads_by_sender: bool = False
    """With two streams for a pair, each sender sticks to one of them. [24]"""
    leaves_stale_rows: bool = False
    """Forgets one pair only of a stream that broke; what goes to the rest takes a new one. [26]"""
    sends_before_the_header: bool = False
    """What waits for a pair follows SASL success at once, before the new header. [23]"""

    # --- dialback, XEP-0220 ---
    offers_dialback: bool = True
    offers_dialback_errors: bool = True
    """`<errors/>` in the feature. [4]"""
    wants_literal_prefixes: bool = False
    """Knows dialback only by the prefix `db` and features by `stream`. [37]"""
    verifies_on_its_own_stream: bool = False
    """Asks about a key on a stream it proves first and then keeps, not on a transient one. [3]"""
    verifies_in_plaintext: bool = False
    """Asks again without TLS when TLS has failed. [40]"""
    answers_on_streams_it_opened: bool = True
    """Answers db:verify there. [6]"""
    answer_on_accepted: AnswerOnAccepted = "taken"
    """An answer to db:verify on a stream it has accepted. [12]"""
    reverse_dialback: ReverseDialback = "ignored"
    """What becomes of a key on a bidi stream that it opened. [7, 31]"""
    asks_reverse_dialback: bool = False
    """Proves a further domain of its own on a bidi stream that it has accepted. [32]"""
    unknown_target: UnknownTarget = "item-not-found"
    """A key for a domain it lacks: a dialback error, or the end of the stream. [5, 27, 39]"""
    refuses_with_errors: bool = True
    """A refused key costs its pair, by a dialback error; or the stream, by "invalid". [33]"""
    trusts_certificates_for_keys: bool = False
    """A key whose sender the certificate names is valid unasked (XEP-0344). [31]"""
    piggybacks: bool = False
    """Proves further domains on a stream it already has to that server, unasked. [39, 42]"""
    replies_by_stream: bool = False
    """A reply of its own takes the way of the stream's header pair, whoever it is for. [4]"""

    # --- TLS and SASL EXTERNAL ---
    requires_tls: bool = True
    """Offers nothing but STARTTLS before it, and takes nothing else. [19, 30]"""
    offers_external_to_all: bool = False
    """Judges the certificate only when EXTERNAL is used. [28, 41]"""
    wants_client_purpose: bool = False
    """A certificate for servers alone proves nothing to it. [28]"""
    empty_authzid: EmptyAuthzid = "accepted"
    """`<auth/>` without an identity, or with "=". [38]"""
    sends_authzid: bool = True
    """Names itself in `<auth/>`; if not, it sends "=". [38]"""
    closes_after_sasl_failure: bool = False
    """A refused EXTERNAL is the end of the stream. [41]"""

    # --- limits, errors and ends ---
    max_bytes_before_proof: int | None = None
    """A larger element is answered policy-violation. [16]"""
    unknown_element: str = "unsupported-stanza-type"
    """The stream error for an element it does not know, or not now. [8, 9, 19, 20]"""
    unproved_sender: str = "invalid-from"
    """The stream error for a stanza of a domain not proved on the stream. [22, 31]"""
    writes_wrong_closing_tag: bool = False
    """Ends with `</stream:close>` after a stream error. [34]"""
    counts_one_way_only_as_life: bool = False
    """Idle means: nothing sent on its own streams, nothing received on accepted ones. [25]"""


_PLAIN: Final = Profile("plain", "strict, modern, bidirectional, without quirks")

_PROSODY_12: Final = replace(
    _PLAIN,
    name="prosody-0.12",
    about="verifies on a stream it keeps; reverse dialback and late bidi end the stream",
    bidi_is_the_header_pairs=True,
    keeps_its_own=True,
    offers_dialback_errors=False,
    verifies_on_its_own_stream=True,
    answers_on_streams_it_opened=False,
    answer_on_accepted="ignored",
    reverse_dialback="invalid-id",
    unknown_target="unsupported-stanza-type",
    refuses_with_errors=False,
    replies_by_stream=True,
    empty_authzid="malformed-request",
    max_bytes_before_proof=10_000,  # Debian's build
    unproved_sender="not-authorized",
)

_EJABBERD_26: Final = replace(
    _PLAIN,
    name="ejabberd-26.07",
    about="asks for bidi in plaintext, too; offers it again after SASL",
    offers_bidi_in_plaintext=True,
    offers_bidi_after_proof=True,
    asks_in_plaintext=True,
    takes_late_bidi=True,
    bidi_is_the_header_pairs=True,
    spreads_by_sender=True,
    leaves_stale_rows=True,
    unknown_target="not-allowed",
    offers_external_to_all=True,
    max_bytes_before_proof=8192,
    unknown_element="not-authorized",
    counts_one_way_only_as_life=True,
)

_EJABBERD_25: Final = replace(
    _EJABBERD_26,
    name="ejabberd-25.03",
    about="takes bidi but never asks for it: it looks for the draft's feature",
    asks_where_drafted=True,
)

_EJABBERD_24: Final = replace(
    _EJABBERD_26,
    name="ejabberd-24.10",
    about="bidi only in the namespace of the feature; refuses certificates for servers alone",
    asks_in_plaintext=False,
    bidi_request=BIDI_FEATURE,
    bidi_accepted=BIDI_FEATURE,
    wants_client_purpose=True,
)

_METRE: Final = replace(
    _PLAIN,
    name="metre",
    about="takes reverse dialback; closes its own stream for a bidi one; bidi in plaintext",
    requires_tls=False,
    offers_bidi_in_plaintext=True,
    takes_late_bidi=True,
    closes_its_own=True,
    answer_on_accepted="ends the stream",
    reverse_dialback="accepted",
    asks_reverse_dialback=True,
    unknown_target="host-unknown",
    trusts_certificates_for_keys=True,
    empty_authzid="challenged",
    unproved_sender="not-authorized",
    writes_wrong_closing_tag=True,
)

_OPENFIRE: Final = replace(
    _PLAIN,
    name="openfire",
    about="no bidi; names itself by '='; piggybacks; retries verification without TLS",
    offers_bidi=False,
    asks_for_bidi=False,
    wants_literal_prefixes=True,
    verifies_in_plaintext=True,
    trusts_certificates_for_keys=True,
    piggybacks=True,
    sends_authzid=False,
)

_MONGOOSEIM: Final = replace(
    _PLAIN,
    name="mongooseim",
    about="no bidi; a refused EXTERNAL ends the stream; wants an explicit identity",
    offers_bidi=False,
    asks_for_bidi=False,
    wants_literal_prefixes=True,
    offers_dialback_errors=False,
    unknown_target="host-unknown",
    refuses_with_errors=False,
    offers_external_to_all=True,
    empty_authzid="malformed-request",
    closes_after_sasl_failure=True,
)

_JABBERD2: Final = replace(
    _PLAIN,
    name="jabberd2",
    about="no bidi, no dialback errors; piggybacks without asking",
    offers_bidi=False,
    asks_for_bidi=False,
    offers_dialback_errors=False,
    refuses_with_errors=False,
    piggybacks=True,
)

PROFILES: Final[dict[str, Profile]] = {
    profile.name: profile
    for profile in (
        _PLAIN,
        _PROSODY_12,
        replace(
            _PROSODY_12,
            name="prosody-13",
            about="prosody-0.12 that puts stream limits into its bidi request",
            bidi_limit_bytes=512 * 1024,
        ),
        _EJABBERD_24,
        _EJABBERD_25,
        _EJABBERD_26,
        _METRE,
        _OPENFIRE,
        _MONGOOSEIM,
        _JABBERD2,
    )
}
