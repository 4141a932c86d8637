"""Every experiment by its number: what goes wrong, what is asked for, and who runs it.

Those this program or machine cannot do are here, too, with the reason. Called by `command`.
"""

from typing import Final

from bench.faults import (
    acceptors_killed,
    lifecycle,
    overload,
    peers_stalled,
    steps,
    storms,
    supervisors_killed,
    surroundings,
    workers_killed,
)
from bench.faults.experiment import Experiment


def _elsewhere(number: int, title: str, fault: str, reason: str) -> Experiment:
    return Experiment(number, title, fault, "", needs=lambda: reason)


EXPERIMENTS: Final = (
    Experiment(
        1,
        "worker killed every 2 s",
        "kill -9 a worker that owns shards every 2 s for 60 s",
        "clean; p99 < 500 ms; no stanza later than 500 ms",
        workers_killed.kill_one_by_one,
    ),
    Experiment(
        2,
        "all workers killed at once",
        "kill -9 all workers and the spare at one instant, 5 times",
        "clean; stall < 1 s",
        workers_killed.kill_all,
    ),
    Experiment(
        3,
        "worker frozen 5 s",
        "SIGSTOP a worker for 5 s, then SIGCONT, 10 times",
        "clean; stall < 1.5 s",
        workers_killed.freeze,
    ),
    Experiment(
        4,
        "poison stanza",
        "a stanza that makes every worker exit (test hook)",
        "it is bounced once, all others clean; at most 2 workers die",
        steps.poison,
    ),
    Experiment(
        5,
        "supervisor killed",
        "kill -9 the supervisor, started again after 10 s",
        "clean; the others live on; no stall above 50 ms",
        supervisors_killed.alone,
    ),
    Experiment(
        6,
        "supervisor and a worker killed",
        "kill -9 both at once, the supervisor started again after 10 s",
        "clean; nothing bounced meanwhile",
        supervisors_killed.with_a_worker,
    ),
    Experiment(
        7,
        "egress acceptor killed, SM peers",
        "kill -9 the acceptor that writes to peers with stream management; in doubt: bounce",
        "lost, duplicated, reordered 0; both <= what is in doubt <= 1,000 a stream",
        acceptors_killed.egress_managed,
    ),
    Experiment(
        8,
        "egress acceptor killed, SM peers, resend",
        "as 7; in doubt: resend",
        "lost 0, bounced 0; duplicated <= 1,000 a stream",
        acceptors_killed.egress_resending,
    ),
    Experiment(
        9,
        "egress acceptor killed, level tcp",
        "kill -9 the acceptor that writes to peers without stream management",
        "lost, duplicated, reordered 0; both <= what is in doubt",
        acceptors_killed.egress,
    ),
    Experiment(
        10,
        "ingress acceptor killed, SM peers",
        "kill -9 the acceptor that reads from peers, which resend what is not acknowledged",
        "lost 0; duplicates only of what was resent",
        acceptors_killed.ingress_managed,
    ),
    Experiment(
        11,
        "ingress acceptor killed, no SM",
        "as 10, peers without stream management",
        "lost only on the cut streams, <= 64 KiB + 1 MiB a lane",
        acceptors_killed.ingress,
    ),
    Experiment(
        12,
        "acceptors killed every 5 s",
        "kill -9 one of three acceptors every 5 s for 60 s",
        "lost only on cut streams; streams back in 3 s; no growth",
        acceptors_killed.again_and_again,
    ),
    Experiment(
        13,
        "peer stops reading",
        "a peer reads nothing for 120 s; R to it, R to others",
        "p99 of the others +50 % at most; its own bounce; nothing lost",
        peers_stalled.stopped,
    ),
    Experiment(
        14,
        "peer reads 1 kB/s",
        "a peer reads 1 kB/s; R/8",
        "others stall 2 s at most",
        peers_stalled.slow,
    ),
    Experiment(
        16,
        "connections reset",
        "the kernel resets the node's connections to one peer after another, every 3 s",
        "lost, duplicated, reordered 0; both <= what is in doubt",
        peers_stalled.resets,
        peers_stalled.cannot_reset,
    ),
    Experiment(
        18,
        "1 kbit/s to one peer of 20",
        "one of 20 peers reads 125 octets a second",
        "the other 19 get 95 % of their rate",
        peers_stalled.one_of_twenty,
    ),
    Experiment(
        22,
        "hostile connections",
        "`causeway bench hostile`: 50 a second of 11 kinds beside R/2",
        "ordinary stanzas clean, nothing forged, p99 < 250 ms",
        surroundings.hostile_peers,
    ),
    Experiment(
        24,
        "error loop",
        "peers answer the node's errors with errors, 1,000/s",
        "over within 1 s of the end",
        storms.loop,
    ),
    Experiment(
        25,
        "bounce storm",
        "100,000 stanzas of a remote domain for a hosted one that is not there",
        "2,000 bounces, then 500 a second; the rest counted; others clean",
        storms.dead_destination,
    ),
    Experiment(
        26,
        "twice what the node carries",
        "offered load twice saturation for 120 s",
        "goodput >= 90 % of saturation; clean; p99 < 100 ms 5 s later",
        overload.twice_capacity,
    ),
    Experiment(
        29,
        "descriptors run out",
        "RLIMIT_NOFILE is reached in a storm of connections",
        "clean; no busy loop; recovers",
        surroundings.no_descriptors,
    ),
    Experiment(
        30,
        "log not read",
        "the log is a full pipe that nobody reads",
        "clean; no stall",
        surroundings.log_not_read,
    ),
    Experiment(
        32,
        "rolling restart",
        "`causeway restart`, twice",
        "clean; each process exits 0 within 20 s",
        lifecycle.rolling_restart,
    ),
    Experiment(
        33,
        "domains added and removed by SIGHUP",
        "500 domains come and go; a served one is removed",
        "clean for the unchanged; the removed one is told host-gone",
        lifecycle.reload,
    ),
    Experiment(
        34,
        "garbage in the bus, its files deleted",
        "100,000 bad frames by a process of the same user",
        "clean; nobody ends",
        surroundings.strangers_in_the_bus,
    ),
    Experiment(
        35,
        "worker killed at each step",
        "kill -9 at each of 9 steps of the protocol (test hook), 100 seeds each",
        "clean at every step",
        steps.each_step,
    ),
    Experiment(
        36,
        "two workers for one shard",
        "forwards and refusals with a lease that is over",
        "clean: they count for nothing",
        surroundings.two_owners,
    ),
    Experiment(
        37,
        "certificate expires and is rotated",
        "the certificate of a domain expires and is replaced under load; R/2",
        "clean; streams stay; new ones get the new certificate",
        lifecycle.certificates,
    ),
    _elsewhere(
        15,
        "black hole",
        "packets to a peer are dropped",
        "needs a packet filter (nft), which this machine lacks",
    ),
    _elsewhere(
        17,
        "lossy path",
        "200 ms, 2 % loss, 1 % reordering",
        "needs netem, which this kernel lacks",
    ),
    _elsewhere(19, "DNS misbehaves", "failures, loops, rebinding", "not built"),
    _elsewhere(20, "silent connections", "4,096 and 100/s more", "not built; 22 has some of it"),
    _elsewhere(21, "half handshakes", "2,000", "not built; 22 has some of it"),
    _elsewhere(23, "dialback fan-out", "200 domains, 10 streams", "not built; 22 has some of it"),
    _elsewhere(27, "memory limit", "cgroup limit at the budget", "needs a cgroup with memory.max"),
    _elsewhere(28, "one worker starved", "20 % of a core", "needs a cgroup with cpu.max"),
    _elsewhere(31, "wall clock moves", "an hour each way", "would move the clock of all here"),
    _elsewhere(38, "soak for 8 h", "a mix of these", "run them with --rounds, or bench soak"),
    _elsewhere(39, "stanzas of inner streams lost", "", "comes with the gateway"),
    _elsewhere(40, "metrics scraped by many", "", "not built"),
)
"""Every one of the plan; those that cannot be run come last."""


def chosen(numbers: list[int]) -> list[Experiment]:
    """Those of these numbers, or all. Raises KeyError for a number that there is none of."""
    by_number = {each.number: each for each in EXPERIMENTS}
    return [by_number[number] for number in numbers] if numbers else list(EXPERIMENTS)
