"""Stream cores brought to every stage of their life, to be spoken to with `hostile`'s tables."""

import hashlib
from collections.abc import Callable
from typing import NamedTuple

from router.xmpp import names
from router.xmpp.certificate import Evidence
from router.xmpp.component import ComponentStream
from router.xmpp.events import KeyReceived
from router.xmpp.initiating import InitiatingStream
from router.xmpp.reader import Limits
from router.xmpp.receiving import ReceivingStream
from router.xmpp.xmlstream import XmlStream
from tests.support.pump import (
    AUTH,
    BIDI,
    CAPULET,
    MONTAGUE,
    NOW,
    PAIR,
    STARTTLS,
    Proves,
    features,
    header,
    ids,
    policy,
    say,
)

VERONA = "verona.example"
SECRET = "wherefore"
EXTERNAL = f"<mechanisms xmlns='{names.SASL}'><mechanism>EXTERNAL</mechanism></mechanisms>"
BIDI_FEATURE = f"<bidi xmlns='{names.BIDI_FEATURE}'/>"
DIALBACK = f"<dialback xmlns='{names.DIALBACK_FEATURE}'><errors/></dialback>"
FULL = Limits(max_stanza_bytes=262_144, max_depth=64, max_attributes=64)


class Stage(NamedTuple):
    """A core, and what it has said on the present stream so far."""

    core: XmlStream
    said: str


# --- streams that a peer opens ---


def first() -> Stage:
    """In plaintext, before any header."""
    return Stage(ReceivingStream(policy(MONTAGUE, VERONA, limits=FULL), ids(), NOW), "")


def plain() -> Stage:
    """In plaintext, at our features."""
    core, _ = first()
    return Stage(core, say(core, header())[1])


def secure_first() -> Stage:
    """Inside TLS, before any header."""
    core, _ = plain()
    say(core, STARTTLS)
    core.tls_established(Proves(CAPULET), NOW)
    return Stage(core, "")


def secure(sees: Evidence | None = None, more: str = "") -> Stage:
    """Inside direct TLS, at our features."""
    settings = policy(MONTAGUE, VERONA, limits=FULL)
    core = ReceivingStream(settings, ids(), NOW, direct_tls=True)
    core.tls_established(sees or Proves(CAPULET), NOW)
    return Stage(core, say(core, header() + more)[1])


def sasl() -> Stage:
    """We have challenged."""
    core, said = secure()
    return Stage(core, said + say(core, f"<auth xmlns='{names.SASL}' mechanism='EXTERNAL'/>")[1])


def restart() -> Stage:
    """After our success."""
    core, _ = secure()
    say(core, AUTH)
    return Stage(core, "")


def external() -> Stage:
    """Proved by EXTERNAL, with bidi."""
    core, _ = secure(more=BIDI)
    say(core, AUTH)
    return Stage(core, say(core, header())[1])


def verifying() -> Stage:
    """A dialback key is being verified."""
    core, said = secure(Proves())
    _, more = say(core, f"<db:result from='{CAPULET}' to='{MONTAGUE}'>key</db:result>")
    return Stage(core, said + more)


def dialback() -> Stage:
    """Proved by dialback, with bidi."""
    core, said = secure(Proves(), BIDI)
    assert isinstance(core, ReceivingStream)
    events, _ = say(core, f"<db:result from='{CAPULET}' to='{MONTAGUE}'>key</db:result>")
    assert isinstance(events[-1], KeyReceived)
    core.answer_key(events[-1].pair, events[-1].stream_id, "valid", NOW)
    return Stage(core, said + core.bytes_to_send().decode())


# --- streams that we open ---


def _calling(*, direct_tls: bool = False) -> tuple[InitiatingStream, str]:
    core = InitiatingStream(
        policy(MONTAGUE, VERONA, limits=FULL), ids(), PAIR, NOW, direct_tls=direct_tls
    )
    core.open()
    if direct_tls:
        core.tls_established(Proves(CAPULET), NOW)
    return core, core.bytes_to_send().decode()


def called() -> Stage:
    """In plaintext, our header sent."""
    return Stage(*_calling())


def called_features() -> Stage:
    """In plaintext, features due."""
    core, said = _calling()
    return Stage(core, said + say(core, header(CAPULET, MONTAGUE, stream_id="a"))[1])


def proceeding() -> Stage:
    """STARTTLS asked for."""
    core, said = called_features()
    return Stage(core, said + say(core, features(STARTTLS))[1])


def called_secure() -> Stage:
    """Inside TLS, our header sent."""
    return Stage(*_calling(direct_tls=True))


def called_secure_features() -> Stage:
    """Inside TLS, features due."""
    core, said = called_secure()
    return Stage(core, said + say(core, header(CAPULET, MONTAGUE, stream_id="b"))[1])


def _offered(*offered: str) -> Stage:
    core, said = called_secure_features()
    return Stage(core, said + say(core, features(*offered))[1])


def authenticating() -> Stage:
    """Our EXTERNAL sent."""
    return _offered(EXTERNAL, DIALBACK)


def called_restart() -> Stage:
    """After the peer's success, our header sent."""
    core, _ = _offered(EXTERNAL)
    return Stage(core, say(core, f"<success xmlns='{names.SASL}'/>")[1])


def called_restart_features() -> Stage:
    """The restarted stream's features due."""
    core, said = called_restart()
    return Stage(core, said + say(core, header(CAPULET, MONTAGUE, stream_id="c"))[1])


def called_open() -> Stage:
    """We may send; without bidi."""
    core, said = called_restart_features()
    return Stage(core, said + say(core, features(DIALBACK))[1])


def called_bidi() -> Stage:
    """Both may send."""
    core, _ = _offered(EXTERNAL, BIDI_FEATURE)
    said = say(core, f"<success xmlns='{names.SASL}'/>")[1]
    said += say(core, header(CAPULET, MONTAGUE, stream_id="c"))[1]
    return Stage(core, said + say(core, features(DIALBACK))[1])


def asking() -> Stage:
    """Our dialback key sent, with bidi."""
    return _offered(BIDI_FEATURE, DIALBACK)


# --- components ---


def component_first() -> Stage:
    """Before a component's header."""
    settings = policy(MONTAGUE, VERONA, limits=FULL)
    return Stage(ComponentStream(settings, ids(), {VERONA: SECRET}, NOW), "")


def component_header() -> Stage:
    """Before its handshake."""
    core, _ = component_first()
    return Stage(core, say(core, header(None, VERONA, version=None, content=names.COMPONENT))[1])


def component() -> Stage:
    """Attached."""
    core, said = component_header()
    assert isinstance(core, ComponentStream)
    digest = hashlib.sha1(f"{core.stream_id}{SECRET}".encode()).hexdigest()
    say(core, f"<handshake>{digest}</handshake>")
    core.answer_attach(True, NOW)
    return Stage(core, said + core.bytes_to_send().decode())


MakeStage = Callable[[], Stage]
INBOUND_HEADER: list[MakeStage] = [first, secure_first, restart]
INBOUND_TLS: list[MakeStage] = [secure, sasl, verifying]
INBOUND_PROVED: list[MakeStage] = [external, dialback]
OUTBOUND_HEADER: list[MakeStage] = [called, called_secure, called_restart]
OUTBOUND_UNPROVED: list[MakeStage] = [
    called_features,
    proceeding,
    called_secure_features,
    authenticating,
    called_restart_features,
    asking,
]
