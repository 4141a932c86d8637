"""What every experiment stands on: a real node, remote servers and components around it, a clock.

`Stage` sends by the schedule and keeps the account; an experiment makes the trouble meanwhile.
Called by the modules of experiments.
"""

import asyncio
import random
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Final

from bench.accepting import HOST, server_context
from bench.authority import Authority
from bench.faults.ends import HearingComponent, HearingRemote, Home, Opening, Road
from bench.faults.managed import ManagedHome, ManagedRemote
from bench.faults.recorder import Recorder
from bench.faults.traffic import Flow, flows
from bench.faults.watch import Watch, until
from bench.peers.causeway import Causeway, Toml
from bench.remote import client_context
from router.xmpp.pair import DomainPair
from workers.dialling import dialler

SECRET: Final = "s3cr3t"
TICK_S: Final = 0.005
SETTLE_S: Final = 5.0
POLL_S: Final = 0.02
PLACING_TRIES: Final = 40
JID_PAIRS: Final = 200
PRESS_AT_ONCE: Final = 400
MAX_BURST_S: Final = 0.25
"""A generator that was held up for longer does not send more than this at once to catch up."""

Weights = Callable[[Flow], float]


class Unplaced(RuntimeError):
    """The kernel would not give a stream to the acceptor that the experiment wants."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What a node and its surroundings look like.

    The first `bidi` of the remote domains open a stream for each of their pairs and take what
    comes for them on it (XEP-0288); to the others the node opens its own. `inward` and `outward`:
    whether the flows go to the components, and to the remote domains.
    """

    remotes: int = 4
    hosted: int = 2
    unserved: int = 0
    """Hosted domains that no component attaches for."""
    bidi: int = 2
    inward: bool = True
    outward: bool = True
    jid_pairs: int = JID_PAIRS
    acceptors: int = 2
    workers: int = 2
    settings: Mapping[str, Toml] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    extra_flows: tuple[Flow, ...] = ()
    is_managed: bool = False
    """Whether the remote servers have stream management."""
    dialled_from: int | None = None
    """The slot of the acceptor from which the node is to open its streams."""


def hosted_name(number: int) -> str:
    """A domain of the node."""
    return f"montague{number}.lit"


def remote_names(count: int, acceptors: int, dialled_from: int | None) -> list[str]:
    """Remote domains; where it matters, only such as the node dials from that acceptor."""
    slots = [f"a{slot}.1" for slot in range(acceptors)]
    names: list[str] = []
    number = 0
    while len(names) < count:
        name, number = f"capulet{number}.lit", number + 1
        if dialled_from is None or dialler(name, slots) == slots[dialled_from]:
            names.append(name)
    return names


@dataclass(slots=True)
class Stage:
    """A running scene. Times are those of `time.monotonic`."""

    scene: Scene
    node: Causeway
    recorder: Recorder
    home: Home
    watch: Watch
    remotes: dict[DomainPair, Road]
    components: dict[str, Road]
    root: Path
    authority: Authority
    worst_lag_s: float = 0.0
    """By how much the generator itself was held up at most."""
    own_share: float = 0.0
    """Of a core, used by the generator while it sent."""
    not_written: int = 0
    """Stanzas of the schedule that found no way to the node until the end."""
    notes: dict[str, float] = field(default_factory=dict)
    """What the trouble has to tell the judge."""
    _is_stopped: bool = False

    @property
    def roads(self) -> list[Road]:
        """All streams that the generator opens."""
        return [*self.remotes.values(), *self.components.values()]

    def road(self, flow: Flow) -> Road:
        """Where its stanzas enter the node."""
        return self.remotes.get(flow.pair) or self.components[flow.pair.sender]

    async def run(
        self, per_s: float, seconds: float, weight: Weights = lambda flow: 1.0, seed: int = 1
    ) -> None:
        """Send by the schedule, the flows in turn, each as often as its weight says."""
        order = _order(self.recorder.flows, weight, seed)
        began_s, own_s, turn = time.monotonic(), time.process_time(), 0
        planned_s = began_s
        self._is_stopped = False
        while (now_s := time.monotonic()) < began_s + seconds and not self._is_stopped:
            self.worst_lag_s = max(self.worst_lag_s, now_s - planned_s)
            due = int((now_s - began_s) * per_s) + 1
            limit = int(per_s * MAX_BURST_S) + 1
            for _ in range(min(due - turn, limit)):
                which = order[turn % len(order)]
                flow = self.recorder.flows[which]
                number = self.recorder.plan(which, began_s + turn / per_s)
                self.road(flow).send(number)
                turn += 1
            for road in self.roads:
                road.flush()
            planned_s = time.monotonic() + TICK_S
            await asyncio.sleep(TICK_S)
        self.own_share = (time.process_time() - own_s) / (time.monotonic() - began_s)

    def stop(self) -> None:
        """End `run` before its time."""
        self._is_stopped = True

    async def press(self, window: int, seconds: float) -> float:
        """Send as fast as the node answers, so many under way; stanzas answered a second."""
        order = _order(self.recorder.flows, lambda flow: 1.0, 1)
        began_s, own_s, turn = time.monotonic(), time.process_time(), 0
        answered = self.recorder.answered
        while (now_s := time.monotonic()) < began_s + seconds:
            room = window - (self.recorder.written - self.recorder.answered)
            for _ in range(min(room, PRESS_AT_ONCE)):
                which = order[turn % len(order)]
                self.road(self.recorder.flows[which]).send(self.recorder.plan(which, now_s))
                turn += 1
            for road in self.roads:
                road.flush()
            await asyncio.sleep(0 if room > 0 else TICK_S / 5)
        took_s = time.monotonic() - began_s
        self.own_share = (time.process_time() - own_s) / took_s
        return (self.recorder.answered - answered) / took_s

    def give_up_waiting(self) -> int:
        """Stanzas that the node has not taken are not sent any more; how many."""
        return sum(road.give_up() for road in self.roads)

    async def settle(self, patience_s: float = SETTLE_S) -> None:
        """Until nothing is under way, or nothing has come for so long."""
        quiet_since_s, before = time.monotonic(), -1
        while self._is_moving() and time.monotonic() - quiet_since_s < patience_s:
            for road in self.roads:
                road.flush()
            if self.recorder.answered != before:
                quiet_since_s, before = time.monotonic(), self.recorder.answered
            await asyncio.sleep(POLL_S)
        self.not_written = sum(road.waiting for road in self.roads)

    def _is_moving(self) -> bool:
        waiting = any(road.waiting for road in self.roads)
        return waiting or self.recorder.answered < self.recorder.written


def _order(every: Sequence[Flow], weight: Weights, seed: int) -> list[int]:
    """Indices of the flows in the order in which they take turns, drawn once."""
    weights = [weight(flow) for flow in every]
    least = min(each for each in weights if each > 0)
    order = [n for n, each in enumerate(weights) for _ in range(round(each / least))]
    random.Random(seed).shuffle(order)
    return order


@asynccontextmanager
async def staged(
    scene: Scene,
    node_kind: type[Causeway] = Causeway,
    before_start: Callable[[Causeway], None] = lambda node: None,
) -> AsyncIterator[Stage]:
    """The node started, components attached, remote servers connected, the watch begun."""
    with tempfile.TemporaryDirectory(prefix="causeway-faults-") as directory:
        async with AsyncExitStack() as stack:
            yield await _set_up(scene, Path(directory), stack, node_kind, before_start)


async def _set_up(
    scene: Scene,
    root: Path,
    stack: AsyncExitStack,
    node_kind: type[Causeway],
    before_start: Callable[[Causeway], None],
) -> Stage:
    authority = Authority.make(root / "certs")
    local = [hosted_name(n) for n in range(scene.hosted)]
    unserved = [f"verona{n}.lit" for n in range(scene.unserved)]
    remote = remote_names(scene.remotes, scene.acceptors, scene.dialled_from)
    files = {
        name: tuple(map(str, authority.issue(name, eku="both")))
        for name in (*local, *unserved, *remote)
    }
    pairs = [DomainPair(*names) for names in product(remote, local)]
    ways = [pair for pair in pairs if scene.inward]
    ways += [pair.inverse() for pair in pairs if scene.outward]
    lost_ways = [DomainPair(*names) for names in product(remote, unserved)]
    every = [*flows([*ways, *lost_ways], scene.jid_pairs), *scene.extra_flows]
    recorder = Recorder(every, time.monotonic)
    home = (ManagedHome if scene.is_managed else Home)(
        {name: server_context(*files[name]) for name in remote}, recorder
    )
    listener = await stack.enter_async_context(home.listener)
    node = _node(node_kind, scene, root, authority, remote, listener.port)
    before_start(node)
    await stack.enter_async_context(node)
    clients = {name: client_context(*files[name]) for name in remote}

    def dial(pair: DomainPair) -> Opening:
        kind = ManagedRemote if scene.is_managed else HearingRemote
        return lambda: kind(pair, clients[pair.sender]).serve(recorder, pair.sender)

    def attach(domain: str) -> Opening:
        return lambda: HearingComponent(domain, SECRET).serve(recorder, domain)

    components = {name: Road(attach(name), lambda: node.component_port, recorder) for name in local}
    has_bidi = set(remote[: scene.bidi])
    dialling = [pair for pair in (*pairs, *lost_ways) if scene.inward or pair.sender in has_bidi]
    remotes = {pair: Road(dial(pair), lambda: node.s2s_port, recorder) for pair in dialling}
    for road in (*components.values(), *remotes.values()):
        stack.push_async_callback(road.close)
        await road.open()
    watch = await stack.enter_async_context(Watch(node))
    return Stage(scene, node, recorder, home, watch, remotes, components, root, authority)


def _node(
    kind: type[Causeway],
    scene: Scene,
    root: Path,
    authority: Authority,
    remote: Sequence[str],
    port: int,
) -> Causeway:
    home = root / "node"
    home.mkdir()
    one_way: dict[str, Toml] = {name: {"bidi": False} for name in remote[scene.bidi :]}
    domains = [hosted_name(n) for n in range(scene.hosted)]
    domains += [f"verona{n}.lit" for n in range(scene.unserved)]
    settings = dict(scene.settings)
    peers = settings.pop("peers", {})
    assert isinstance(peers, Mapping)
    return kind(
        home,
        certificates=root / "certs",
        trust_anchors=authority.anchors,
        components=dict.fromkeys(domains, SECRET),
        routes=dict.fromkeys(remote, (HOST, port)),
        # The generator proves itself by certificates alone, and takes those.
        dialback=False,
        acceptors=scene.acceptors,
        workers=scene.workers,
        settings={**settings, "peers": {**one_way, **peers}},
        environment=scene.environment,
    )


async def place(stage: Stage, road: Road, slot: int) -> None:
    """Have the stream end up at the acceptor of this slot, by opening it again and again.

    Raises Unplaced when the kernel's choice never fell on it.
    """
    for _ in range(PLACING_TRIES):
        await until(lambda: road.end is not None, SETTLE_S)
        if await _slot_of(stage, road) == slot:
            return
        await road.leave()
    raise Unplaced(f"no stream at acceptor {slot} in {PLACING_TRIES} tries")


async def _slot_of(stage: Stage, road: Road) -> int | None:
    assert road.end is not None
    host, port = road.end.name()
    for row in await stage.node.streams():
        if row["address"] in (f"{host}:{port}", f"[{host}]:{port}"):
            return int(row["acceptor"][1:].split(".")[0])
    return None
