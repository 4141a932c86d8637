"""Jingle sessions for end-to-end XML streams (XEP-0166, XEP-0247), without I/O.

endpoint                   all sessions of one address: whose a stanza is, and who may begin
session, states            one session, either role, and its life as a table
offers, xml_streams        what is on the table; the one content that a session has
security                   TLS before the stream (XTLS), where both sides want it
transport, methods         what a transport method must be, and those that there are
actions, element           the vocabulary; `<jingle/>` read and written
discovery                  what an endpoint says of itself, and reads of others
events, outbox             what is reported, what is to be sent, and what answers are awaited
"""
