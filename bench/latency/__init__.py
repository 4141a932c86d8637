"""How long a stanza is under way: alone, at fixed offered rates, up to saturation.

command       `causeway bench latency`, and its tables
measure       rounds over the subjects: a lone stanza, the rates, the search for saturation
course        one measurement between two ends: the schedule, and what arrived of it
ends          the two ends, in this process and by its clock; the floor that is the generator's own
alarm         waking at a point in time, to the microsecond
schedule      when each stanza is due
distribution  quantiles and histograms
saturation    what counts as saturated, and where to look next
summary       medians, saturation and targets, from the rows of a document
tables, page  the report

A first look takes half a minute:

    causeway bench latency --mode in --rates 2000 --rounds 1 --seconds 3 --lone 500
"""
