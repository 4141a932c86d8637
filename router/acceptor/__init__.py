"""The process with the network sockets. It owns every stanza it parsed until its outcome is known.

process, acceptor          the process; what joins everything below
listener, admission        connections that come; how many may be unauthenticated
dialer, dns, addresses     connections we open: whom, where, and what may be dialled
connection                 one socket and its stream core
layer, plain, tls          octets under a stream, with and without TLS
certificates, credential, contexts   our certificates, and the TLS settings they go with
verdict, identifiers       what a peer's certificate proves
ingress, egress, links     stanzas to the shards, from the shards, and the bus between
verification, policies, streams, drain   dialback keys; settings; rows to show; the orderly end
witness, history, questions   what happened between two domains, and what the operator asks
"""
