"""Between our processes: frames on ZeroMQ, lanes that lose nothing, and the control channel.

frames, codec, fields      every message on the bus, and its form on the wire
shard, endpoints           who owns a domain pair; where processes find each other
bus                        ZeroMQ sockets on the event loop
owner, egress              the two halves of a lane: retention, and what a stream has taken
control, control_codec, control_link   supervisor and processes
"""
