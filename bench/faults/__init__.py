"""Fault experiments: a real node under load is hurt on purpose, and every stanza accounted for.

command            `causeway bench faults`
catalogue          every experiment of the plan by its number, those not run with the reason
experiment         what one is, and the course of an ordinary one: load, trouble, rest, account
stage              the node, remote servers and components around it, the schedule
ends               the generator's ends: they record, come back, read as slowly as told
managed            ends that acknowledge stanzas and resend them (XEP-0198)
traffic            what is sent, and how it is read
recorder           what was sent, what came of it, and the checker
watch              memory, descriptors, log and books of the node
verdict            bounds, and the word pass or fail
tables, page       the result for people

The experiments: `workers_killed`, `steps`, `supervisors_killed`, `acceptors_killed`,
`peers_stalled`, `overload`, `storms`, `surroundings`, `lifecycle`.
"""
