"""Byte streams between two XMPP entities, without I/O: in-band, and through SOCKS5.

ibb_elements, ibb_transport   `<open/>`, `<data/>`, `<close/>`; the Jingle transport (XEP-0261)
ibb_window                    blocks sent and not yet acknowledged, and what is sent again
ibb, ibb_table                one in-band bytestream (XEP-0047); all that one address has
socks5                        the SOCKS5 handshake, both ends (RFC 1928, XEP-0065 §5.3.2)
s5b_transport, nomination     candidates (XEP-0260) and which of them carries the stream
listening                     who may connect to our direct candidates
streamhost, proxy, relay      the proxy role (XEP-0065 §4, §6): what it is asked, pairs, octets
"""
