"""Starts the role processes, keeps them alive, tells them of each other, drains them.

run_dir     the directory of one running router: lock, sockets, configuration snapshot
listeners   the listening sockets, one per acceptor slot and address
processes   slots, incarnations, deaths, the restart budget
membership  pure: workers on seats, owners of shards, generations
questions   what the operator asks all processes
explanation pure: what they know of one domain pair, made an answer
drain       the order in which everything ends
supervisor  the loop that joins them; carries no client traffic
build       the versions this program runs on
"""
