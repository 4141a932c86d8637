"""Namespaces, grouped by the document that defines them. Strings only, nothing else."""

from typing import Final

# RFC 6120
STREAMS: Final = "http://etherx.jabber.org/streams"
SERVER: Final = "jabber:server"
CLIENT: Final = "jabber:client"
STREAM_ERRORS: Final = "urn:ietf:params:xml:ns:xmpp-streams"
STANZA_ERRORS: Final = "urn:ietf:params:xml:ns:xmpp-stanzas"
TLS: Final = "urn:ietf:params:xml:ns:xmpp-tls"
SASL: Final = "urn:ietf:params:xml:ns:xmpp-sasl"
XML: Final = "http://www.w3.org/XML/1998/namespace"

# XEP-0030
DISCO_INFO: Final = "http://jabber.org/protocol/disco#info"
DISCO_ITEMS: Final = "http://jabber.org/protocol/disco#items"

# XEP-0047
IBB: Final = "http://jabber.org/protocol/ibb"

# XEP-0065
BYTESTREAMS: Final = "http://jabber.org/protocol/bytestreams"

# XEP-0114
COMPONENT: Final = "jabber:component:accept"

# XEP-0166
JINGLE: Final = "urn:xmpp:jingle:1"
JINGLE_0: Final = "urn:xmpp:jingle:0"
JINGLE_ERRORS: Final = "urn:xmpp:jingle:errors:1"

# XEP-0198
STREAM_MANAGEMENT: Final = "urn:xmpp:sm:3"

# XEP-0199
PING: Final = "urn:xmpp:ping"

# XEP-0205 (application-specific condition)
ERRORS: Final = "urn:xmpp:errors"

# XEP-0220
DIALBACK: Final = "jabber:server:dialback"
DIALBACK_FEATURE: Final = "urn:xmpp:features:dialback"

# XEP-0247
JINGLE_XMLSTREAM: Final = "urn:xmpp:jingle:apps:xmlstream:0"

# XEP-0260, XEP-0261
JINGLE_S5B: Final = "urn:xmpp:jingle:transports:s5b:1"
JINGLE_IBB: Final = "urn:xmpp:jingle:transports:ibb:1"
JINGLE_IBB_0: Final = "urn:xmpp:jingle:transports:ibb:0"

# XEP-0288
BIDI: Final = "urn:xmpp:bidi"
BIDI_FEATURE: Final = "urn:xmpp:features:bidi"

# XEP-0478
LIMITS: Final = "urn:xmpp:stream-limits:0"

# Jingle XTLS (never published)
JINGLE_XTLS: Final = "urn:xmpp:jingle:security:xtls:0"
