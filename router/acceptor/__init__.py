"""The process with the network sockets. It owns every stanza it parsed until its outcome is known.

process, acceptor          the process; what joins everything below
listener, admission        connections that come; how many may be unauthenticated
openings, dialling/        what kinds of connection there are; those that we open
connection                 one socket and its stream core; throttle, how fast it is read
layer, plain, tls          octets under a stream, with and without TLS
certificates/              ours, and what a peer's proves
ingress, egress, links     stanzas to the shards, from the shards, and the bus between
e2e/                       the router's own address, and streams inside others
verification, policies, liveness, drain   dialback keys; settings; dead streams; the orderly end
streams, steps, witness, history, questions   what is shown, logged and kept for the operator
"""
