"""`causeway bench bidi`: what one connection for both directions (XEP-0288) saves.

cell      one thing to measure, and what was measured
domains   the domain pairs, their certificates, and the two servers that host them
measure   runs cells: N pairs speak for the first time, everything is counted
savings   bidi on against off, from the document alone
page      the report; `command` is the verb
"""
