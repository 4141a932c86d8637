"""`causeway bench hostile`: what a flood of hostile connections costs those who behave.

`measure` runs it and `flood` makes the connections; `tables` and `page` show what came of it.
"""
