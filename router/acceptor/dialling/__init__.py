"""Connections that we open: whom, where, in which way, and what comes of it.

dialer      the dials of this acceptor, from a worker's wish to a grant or a reason why not
lines       what a dial is, and the stream that it leads to or shares
sharing     whether a stream that is open already takes the pair; directory finds those that may
places      route or DNS, less what may not be dialled: dns, addresses
attempts    how an attempt ended, and what to try instead; findings, what that teaches of a peer
backoff     what failed, and how long it is left alone
"""
