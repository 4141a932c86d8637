"""Mixed traffic for a given time, and the check that every stanza has exactly one outcome.

command   `causeway bench soak`
measure   one node, several remote domains and components; streams that close and come back
traffic   what is sent: kinds, sizes, who to whom
ends      the generator's ends: each stanza that arrives is recognised; requests are answered
ledger    every stanza's outcome, in order
trend     whether memory grows
page      the report
"""
