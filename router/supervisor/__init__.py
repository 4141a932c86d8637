"""Starts the role processes, keeps them alive, tells them of each other, drains them.

run_dir     the directory of one running router: locks, sockets, snapshot, lease
lease       the numbers that survive a supervisor
listeners   the listening sockets, one per acceptor slot and address
activation  those that a service manager opened
door        the control socket: links, and sockets that come with them
adoption    the processes of a supervisor that is gone
processes   slots, incarnations, deaths, the restart budget
membership  pure: workers on seats, owners of shards, generations
roster      the membership as it is told, its numbers in the lease
crew        all processes together: what each message, death and silence leads to
rolling     replacing them one after another
reload      an edited configuration: what it changes, and when
questions   what the operator asks all processes
explanation pure: what they know of one domain pair, made an answer
views       the processes, to show
drain       the order in which everything ends
supervisor  the node: what it shows, what the operator wants, its beginning and end
notify      what the service manager is told
news, tasks waiting and working in the supervisor's loop
build       the versions this program runs on
"""
