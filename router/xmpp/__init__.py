"""Protocol cores without I/O, clock or chance: octets, facts and time in, events and octets out.

names, jid, pair, errors   the vocabulary
reader/                    octets of a stream → header, runs of stanzas, elements, faults
writer, stanza             what we write; how a stanza is cut out and bounced
states                     the life of a stream, as tables
grants, bidi               who may send what on a stream: here it is decided
external, dialback         proofs of identity (XEP-0178, XEP-0220), with `certificate`'s verdicts
xmlstream                  what every stream does alike
s2s, receiving, initiating the two ends of a server-to-server stream
component                  a component's stream (XEP-0114), and component_client, its other end
e2e, e2e_ends              end-to-end streams (XEP-0246): both roles, and whose stanzas they carry
jingle/                    sessions that set up such a stream (XEP-0166, XEP-0247)
bytestreams/               what carries it: in-band (XEP-0047) or through SOCKS5 (XEP-0065)
policy, events             what the operator decided; what a stream reports
"""
