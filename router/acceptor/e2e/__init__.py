"""The router's own address and its end-to-end streams (XEP-0246, XEP-0247), in an acceptor.

One acceptor of a node has the sessions; the others answer what needs none. From the outside in:

end_to_end        all of it joined, as the acceptor holds it
listing           who may open a session, and what is answered without one
port              the address as an attached domain, whose other end is this process
outer_server      or as a component of somebody else's server
service           stanzas for the address: which core each is for, and what the cores want said
sessions          each session's transport, and the inner stream on it
express           the sessions that we open and keep
in_band           an in-band bytestream as the transport of a connection
socks5_attempts   a SOCKS5 bytestream in the making; socks5_links, the connections it may get
lan               routers on the same link: found, and joined over TCP without a session
link_records      multicast DNS, by which they are found
proxy             the bytestreams of others, relayed
hub               what inner streams report, and who hears of it
"""
