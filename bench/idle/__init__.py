"""`causeway bench idle`: what a stream costs that is set up, held and closed, and carries nothing.

`command` is the verb; `measure` runs a round; `caller` dials the server under test in the name of
many domains; `authoritative` answers for them when dialback asks; `tables` is the arithmetic, from
the document; `page` the report.
"""
