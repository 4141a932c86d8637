"""Connections that we open: whom, where, in which way, and what comes of it.

dialer      the dials of this acceptor, from a worker's wish to a grant or a reason why not
lines       what a dial is, and the stream that it leads to or shares
joining     what a dial or a key does with a stream that others have opened
sharing     whether such a stream takes the pair or the key; directory finds those that may
keys        which keys are asked about on which stream of ours
turns       how many go to one place at once
places      route or DNS, less what may not be dialled: dns, addresses
attempts    how an attempt ended, and what to try instead; findings, what that teaches of a peer
backoff     what failed, and how long it is left alone
"""
