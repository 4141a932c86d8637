"""`causeway bench core`: what a stanza costs, stage by stage, in one process and without sockets.

`alone` runs single parts over and over, `journey` carries stanzas all the way through those of an
acceptor and a worker with a `watch` on each stage, `profile` makes figures of that.
"""
