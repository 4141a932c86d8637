"""What a hostile peer may say once it is known, or where we called it, or as a component."""

from router.xmpp import names
from tests.support.hostile import (
    CAPULET,
    JULIET,
    MONTAGUE,
    ROMEO,
    SPOKEN,
    TO_US,
    TYBALT,
    VERONA,
    Drops,
    Fatal,
    Row,
    Stays,
    Table,
    failure,
    key,
)
from tests.support.scripted_peer import (
    BIDI,
    END,
    PROCEED,
    STARTTLS,
    SUCCESS,
    auth,
    features,
    header,
    message,
)

ADDRESSES: Table = {
    "no sender": Row(f"<message to='{ROMEO}'/>", Fatal("improper-addressing"), "RTE-01"),
    "no target": Row(f"<message from='{JULIET}'/>", Fatal("improper-addressing"), "RTE-01"),
    "an empty sender": Row(message("", ROMEO, 1), Fatal("improper-addressing"), "RTE-01"),
    "an empty target": Row(message(JULIET, "", 1), Fatal("improper-addressing"), "RTE-01"),
    "an empty localpart": Row(message(f"@{CAPULET}", ROMEO, 1), Fatal("improper-addressing"), "D3"),
    "a malformed sender": Row(
        message(f"a&quot;b@{CAPULET}", ROMEO, 1), Fatal("improper-addressing"), "RTE-06"
    ),
    "a sender whose part is too long": Row(
        message(f"{'a' * 1024}@{CAPULET}", ROMEO, 1), Fatal("improper-addressing"), "RTE-06"
    ),
    "a target that is no domain": Row(
        message(JULIET, "romeo@a b", 1), Fatal("improper-addressing"), "RTE-01"
    ),
    "another hosted domain": Row(
        message(JULIET, f"a@{VERONA}", 1), Fatal("host-unknown"), "RTE-02"
    ),
    "transit": Row(message(JULIET, f"a@{TYBALT}", 1), Fatal("host-unknown"), "RTE-04"),
    "to the peer itself": Row(message(JULIET, JULIET, 1), Fatal("host-unknown"), "RTE-04"),
    "another sender": Row(message(f"a@{TYBALT}", ROMEO, 1), Fatal("invalid-from"), "RTE-03"),
    "a domain below the sender's": Row(
        message(f"a@sub.{CAPULET}", ROMEO, 1), Fatal("invalid-from"), "RTE-03"
    ),
    "our own domain as sender": Row(message(ROMEO, ROMEO, 1), Fatal("invalid-from"), "RTE-03"),
    "another domain in the resource": Row(
        message(f"a@{TYBALT}/{CAPULET}", ROMEO, 1), Fatal("invalid-from"), "RTE-13"
    ),
    "two sender domains": Row(
        message(f"a@{CAPULET}@{TYBALT}", ROMEO, 1), Fatal("improper-addressing"), "RTE-13"
    ),
    "a bad iq from another sender": Row(
        f"<iq from='a@{TYBALT}' to='{ROMEO}'/>", Fatal("invalid-from"), "RTE-03"
    ),
}
"""Where stanzas of capulet.example to montague.example are heard, and no others."""

REFUSED: Table = {
    "a malformed target": Row(
        f"<message from='{JULIET}' to='a\"b@{MONTAGUE}' id='x'/>",
        Stays("<jid-malformed "),
        "RTE-06",
    ),
    "a target whose part is too long": Row(
        message(JULIET, f"{'a' * 1024}@{MONTAGUE}", 1), Stays("<jid-malformed "), "RTE-06"
    ),
    "a target with an empty resource": Row(
        message(JULIET, f"{ROMEO}/", 1), Stays("<jid-malformed "), "RTE-06"
    ),
    "an error to a malformed target": Row(
        f"<message type='error' from='{JULIET}' to='a\"b@{MONTAGUE}'/>", Stays(), "RTE-08"
    ),
    "an iq without id": Row(
        f"<iq {SPOKEN} type='get'><a xmlns='urn:a'/></iq>", Stays("<bad-request "), "RTE-09"
    ),
    "an iq without type": Row(f"<iq {SPOKEN} id='x'/>", Stays("<bad-request "), "RTE-09"),
    "an iq of another type": Row(
        f"<iq {SPOKEN} id='x' type='subscribe'/>", Stays("<bad-request "), "RTE-09"
    ),
    "a result without id": Row(f"<iq {SPOKEN} type='result'/>", Stays(), "RTE-08"),
}
"""Stanzas answered with an error and not delivered; the error comes through the acceptor."""

OPEN: Table = {
    "a stanza with a prefix": Row(
        f"<s:message xmlns:s='jabber:server' {SPOKEN}/>", Fatal("bad-namespace-prefix"), "STR-11"
    ),
    "too many elements": Row(
        f"<message {SPOKEN}>" + "<a/>" * 5000 + "</message>", Fatal("policy-violation"), "XML-06"
    ),
    "CDATA that grows": Row(
        f"<message {SPOKEN}><body><![CDATA[{'<' * 200_000}]]></body></message>",
        Fatal("policy-violation"),
        "XML-05",
    ),
    "EXTERNAL again": Row(auth(CAPULET), failure("not-authorized"), "SAS-06"),
    "a response": Row(
        f"<response xmlns='{names.SASL}'>=</response>", failure("not-authorized"), "SAS-06"
    ),
    "bidi too late": Row(BIDI, Stays(), "BIDI-07"),
    "starttls too late": Row(STARTTLS, Drops(f"<failure xmlns='{names.TLS}'/>{END}"), "TLS-04"),
    "features from the wrong side": Row(features(), Stays(), "FEA-01"),
}
"""On a stream that a peer opened and on which it proved its domain."""

ERRORS: Table = {
    "a stream error": Row(
        f"<stream:error><reset xmlns='{names.STREAM_ERRORS}'/></stream:error>{END}",
        Drops(END),
        "ERR-02",
    ),
    "one of before": Row(
        f"<stream:error><xml-not-well-formed xmlns='{names.STREAM_ERRORS}'/></stream:error>",
        Drops(END),
        "ERR-02",
    ),
    "one we do not know": Row(
        "<stream:error><weather xmlns='urn:x'/></stream:error>", Drops(END), "ERR-02"
    ),
    "one without a condition": Row("<stream:error/>", Drops(END), "ERR-02"),
    "a stanza behind one": Row("<stream:error/>" + message(JULIET, ROMEO, 1), Drops(END), "ERR-01"),
    "a stanza behind the end": Row(END + message(JULIET, ROMEO, 1), Drops(END), "STR-15"),
}
"""At any time after a header."""

ANSWERS: Table = {
    "starttls": Row(STARTTLS, Stays(), "TLS-04"),
    "EXTERNAL": Row(auth(CAPULET), Stays(), "SAS-06"),
    "bidi": Row(BIDI, Stays(), "BIDI-07"),
}
"""What only the server that opened a stream may say: on streams that we opened."""

UNASKED: Table = {
    "proceed": Row(PROCEED, Stays(), "TLS-03"),
    "success": Row(SUCCESS, Stays(), "SAS-07"),
    "a challenge": Row(f"<challenge xmlns='{names.SASL}'/>", Stays(), "SAS-04"),
    "a SASL failure": Row(f"<failure xmlns='{names.SASL}'/>", Stays(), "SAS-09"),
    "a TLS failure": Row(f"<failure xmlns='{names.TLS}'/>", Stays(), "TLS-04"),
    "features": Row(features(), Stays(), "FEA-05"),
    "a key": Row(key(), Stays(), "BIDI-15"),
}
"""Answers to nothing, on a stream that we opened without bidi and that is open."""

AWAITING: Table = {
    "a version in words": Row(
        header(CAPULET, MONTAGUE, version="abc"), Fatal("unsupported-version"), "STR-07"
    ),
}
"""Where we opened a stream and the peer's header is due, in addition to `HEADERS`."""

PROCEEDING: Table = {
    "octets behind proceed": Row(PROCEED + features(), Drops(), "TLS-03"),
    "white space behind proceed": Row(PROCEED + " ", Drops(), "TLS-03"),
    "a verdict": Row(key(tag="verify", id="i", type="valid"), Stays(), "TLS-03"),
    "refusal": Row(f"<failure xmlns='{names.TLS}'/>{END}", Drops(), "TLS-08"),
}
"""Where we have asked for STARTTLS."""

CALLED: Table = {
    "a server's namespace": Row(header(None, VERONA), Fatal("invalid-namespace"), "CMP-01"),
    "a domain not hosted": Row(
        header(None, "nope", xmlns=names.COMPONENT), Fatal("host-unknown"), "CMP-02"
    ),
    "no domain": Row(header(None, None, xmlns=names.COMPONENT), Fatal("host-unknown"), "CMP-02"),
    "a user": Row(header(None, ROMEO, xmlns=names.COMPONENT), Fatal("host-unknown"), "CMP-02"),
}
"""A component's header."""

SHAKING: Table = {
    "a stanza": Row(message(f"a@{VERONA}", ROMEO, 1), Fatal("not-authorized"), "CMP-03"),
    "a stanza without addresses": Row("<message/>", Fatal("not-authorized"), "CMP-03"),
    "a wrong handshake": Row("<handshake>abc</handshake>", Fatal("not-authorized"), "CMP-03"),
    "an empty handshake": Row("<handshake/>", Fatal("not-authorized"), "CMP-03"),
    "a handshake that is not ASCII": Row(
        "<handshake>\N{SNOWMAN}</handshake>", Fatal("not-authorized"), "CMP-03"
    ),
    "an element": Row("<foo xmlns='urn:x'/>", Fatal("not-authorized"), "CMP-03"),
    "an element that is no stanza": Row("<foo/>", Fatal("not-authorized"), "CMP-03"),
    "starttls": Row(STARTTLS, Fatal("not-authorized"), "CMP-03"),
    "a dialback key": Row(
        f"<db:result xmlns:db='{names.DIALBACK}' {TO_US}>a</db:result>",
        Fatal("not-authorized"),
        "CMP-03",
    ),
}
"""A component before its handshake."""

ATTACHED: Table = {
    "no sender": Row(f"<message to='{ROMEO}'/>", Fatal("improper-addressing"), "CMP-04"),
    "no target": Row(f"<message from='a@{VERONA}'/>", Fatal("improper-addressing"), "CMP-04"),
    "another sender": Row(message(JULIET, ROMEO, 1), Fatal("invalid-from"), "CMP-04"),
    "another hosted sender": Row(message(ROMEO, JULIET, 1), Fatal("invalid-from"), "CMP-04"),
    "a server's stanza": Row(
        f"<message xmlns='jabber:server' from='a@{VERONA}' to='{ROMEO}'/>",
        Fatal("invalid-namespace"),
        "CMP-01",
    ),
    "an element that is no stanza": Row("<foo/>", Fatal("unsupported-stanza-type"), "STR-18"),
    "a second handshake": Row("<handshake>abc</handshake>", Stays(), "CMP-03"),
    "another namespace": Row("<foo xmlns='urn:x'/>", Stays(), "STR-18"),
}
"""An attached component, of verona.example."""
