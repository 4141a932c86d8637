"""`causeway bench throughput`: CPU per stanza and stanzas per second, beside other servers.

command    the options; `tables` for the terminal, `page` for the report
cells      what is measured: mode, pairs, size, acceptors
measure    the servers, the rounds, the clock; `ends` and `flow` load them, `relays` is for HAProxy
ratios     medians, ratios within a round, targets: from the JSON document alone
"""
