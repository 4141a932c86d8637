"""Causeway's edge, and the vocabulary both sides of the bus speak. In the order a stanza meets it:

xmpp         streams without sockets: octets and facts in, events and octets out
wire         between our processes: frames, lanes, shards, the control channel
acceptor     the only code with network sockets: connections, TLS, dialling, retention
supervisor   starts acceptors and workers as commands, and restarts them
http         what a node shows: /live /ready /metrics /api and a page
cli          the `causeway` command, a file for each verb

`config`, `metrics`, `log` and `peer_memory` are below all of them, `budget` adds up what a
configuration may come to need; `workers`, beside this package, decides routes.
"""
