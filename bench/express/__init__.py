"""`causeway bench express`: what an express lane carries where a server in between throttles.

`ways` starts the servers, `measure` runs it; `tables` and `page` show what came of it.
"""
