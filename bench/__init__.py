"""Measurements, the demo, and the real servers they run against. The router never imports it.

commands     the verbs of `causeway bench`; `result` keeps what they measure
bidi         what connection reuse saves; `delay` and `distance` make the path long
core         each stage of a stanza alone
throughput   a whole node under load from `remote`, which is made of the router's own cores
demo         `causeway demo`, with slixmpp components driven by `traffic`
peers        a real Causeway and a real Prosody on loopback; `authority` makes their certificates
peers.fakes  servers that behave like other people's, for `causeway bench fake` and the scenarios
"""
