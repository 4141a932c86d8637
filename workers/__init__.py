"""Routing workers: which stream a stanza leaves on. No socket but the bus, no stanza of their own.

In the order a frame meets them: `process` (the loop), `routing` (every decision), `shards` (what is
ours), `hosted` (attachments), `lanes` (one stream an epoch), `pairs` (streams and dials of a pair),
`backlog` (what waits for a stream). `python -m workers` starts one, for the supervisor.
"""
