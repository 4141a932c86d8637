"""What may happen to a model's world: what goes on by itself, and what goes wrong; and its rest.

A paused worker is one whose links nobody delivers for a while. Called by `search`.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

from tests.model import frames
from tests.model.egress import Egress
from tests.model.frames import Frame, LaneId, Mutant
from tests.model.network import GONE, Broken
from tests.model.owner import Lane, Owner
from tests.model.worker import Worker
from tests.model.world import Bounds, World

Action = tuple[Any, ...]
"""A name, and what it happens to."""

_HANDLERS: Final[dict[type, tuple[str, Callable[..., None]]]] = {
    frames.Data: ("worker", Worker.on_data),
    frames.Announced: ("worker", Worker.on_announced),
    frames.Granted: ("worker", Worker.on_granted),
    frames.Revoked: ("worker", Worker.on_revoked),
    frames.Forward: ("egress", Egress.on_forward),
    frames.Ended: ("egress", Egress.on_ended),
    frames.Sync: ("egress", Egress.on_sync),
    frames.Synced: ("owner", Owner.on_synced),
    frames.Joined: ("owner", Owner.on_joined),
    frames.Progress: ("owner", Owner.on_progress),
    frames.Reject: ("owner", Owner.on_reject),
    frames.Bounced: ("owner", Owner.on_bounced),
    frames.Returned: ("owner", Owner.on_returned),
    frames.Hold: ("owner", Owner.on_hold),
    frames.Again: ("owner", Owner.on_again),
}
_SETTLED_AFTER: Final = 1_000
"""Steps after which a world that is left alone should long be at rest."""


def begin(bounds: Bounds, mutant: Mutant | None = None) -> World:
    """A world where all have met and nothing has happened."""
    world = World(bounds, mutant)
    settle(world)
    return world


# --- what may happen next ---


def steps(world: World) -> Iterator[Action]:
    """What goes on by itself, in a world without faults."""
    for source, target in world.links:
        yield "deliver", source, target
    now = len(world.history) - 1
    for (kind, name), piece in world.pieces.items():
        if name in world.dead:
            continue
        if kind == "egress":
            yield from _stream_steps(world, name)
        elif piece.version < now:  # type: ignore[attr-defined]
            yield "learn", kind, name
    current = world.history[-1]
    if current.worker in world.dead and _replacement(world):
        yield ("seat",)
    if current.acceptors & world.dead:
        yield ("bury",)


def _stream_steps(world: World, name: str) -> Iterator[Action]:
    for number, stream in world.read("egress", name).streams.items():
        if stream.dirty:
            yield "report", name, number
        if stream.leaving and next(world.read("egress", name).gone_by(number, world), None):
            yield "go", name, number
        if stream.unsent:
            yield "write", name, number
        elif stream.lanes and world.read("egress", name).is_congested(number):
            yield "release", name, number
        if stream.acked < stream.written:
            yield "acknowledge", name, number
        elif not stream.open and not stream.unsent:
            yield "finish", name, number


def faults(world: World) -> Iterator[Action]:
    """What comes from outside, or goes wrong, as often as the bounds allow."""
    budget = world.budget
    for (kind, name), piece in world.pieces.items():
        if name in world.dead:
            continue
        if kind == "worker":
            yield from _worker_faults(world, name)
        elif kind == "owner":
            yield from _ingress(world, name)
            if budget["refuse"]:
                yield from _refusals(world, name)
            if budget["poison"] and not (piece.live or piece.suspicious):  # type: ignore[attr-defined]
                yield "poison", name
            if budget["open"]:
                yield "open", name
            if budget["die"] and name != world.acceptors[0]:
                yield "die", name
        else:
            yield from _stream_faults(world, name)
    if budget["join"]:
        yield "join", f"J{budget['join']}"
    if budget["move"] and world.history[-1].worker not in world.dead and _replacement(world):
        yield ("move",)
    if budget["cut"]:
        yield from (("cut", *link) for link in world.links if link[0] in world.dead)
    if budget["overflow"]:
        yield from (("overflow", *link) for link in world.links if _is_early(world, link))
    if budget["lose"]:
        yield from (("lose", *link) for link in world.links if _heals(world, link))


def _ingress(world: World, name: str) -> Iterator[Action]:
    lanes: dict[LaneId, Lane] = world.read("owner", name).lanes
    for lane, state in lanes.items():
        if world.budget["parse"] and not state.is_succeeded:
            yield "parse", name, lane
        if world.budget["hang_up"] and state.ingress_open:
            yield "hang_up", name, lane


def _refusals(world: World, name: str) -> Iterator[Action]:
    owner: Owner = world.read("owner", name)
    for lane in owner.lanes:
        if owner.newest_unsent(lane, world) is not None:
            yield "refuse", name, lane


def _worker_faults(world: World, name: str) -> Iterator[Action]:
    worker: Worker = world.read("worker", name)
    if world.budget["crash"] and (worker.generation or world.history[-1].worker == name):
        yield "crash", name
    if world.budget["expire"] and worker.backlog:
        yield "expire", name


def _stream_faults(world: World, name: str) -> Iterator[Action]:
    for number, stream in world.read("egress", name).streams.items():
        if world.budget["close"]:
            yield "close", name, number
        if world.budget["leave"] and stream.lanes:
            yield "leave", name, number
        if world.budget["retire"] and stream.open:
            yield "retire", name, number
        if world.budget["grant"] and world.read("egress", name).is_congested(number):
            yield "grant", name, number


def _is_early(world: World, link: tuple[str, str]) -> bool:
    """Whether the worker may have no room for the first frame of this link."""
    frame = world.links[link][0]
    if not isinstance(frame, frames.Data):
        return False
    worker: Worker = world.read("worker", link[1])
    return worker.may_refuse(frame)


def _heals(world: World, link: tuple[str, str]) -> bool:
    """Whether the loss of the first frame shows by the second: links lose nothing else.

    It does not while the egress awaits what it has asked for: nobody asks twice.
    """
    match world.links[link][:2]:
        case (frames.Forward() as lost, frames.Forward() as following):
            egress: Egress = world.read("egress", link[1])
            is_same = (lost.lane, lost.epoch) == (following.lane, following.epoch)
            return is_same and not egress.lacks(lost.stream, lost.lane)
    return False


def _replacement(world: World) -> str | None:
    """The next worker round from the present one that is alive."""
    workers = [name for kind, name in world.pieces if kind == "worker"]
    at = workers.index(world.history[-1].worker)
    others = workers[at + 1 :] + workers[:at]
    return next((name for name in others if name not in world.dead), None)


# --- making it happen ---


def act(world: World, action: Action) -> None:
    """Raises Broken when the promise is."""
    name, *where = action
    if name in world.budget:
        world.budget[name] -= 1
    _ACTS[name](world, *where)


def _deliver(world: World, source: str, target: str) -> None:
    frame = _pop(world, source, target)
    kind, handler = _HANDLERS[type(frame)]
    handler(world.change(kind, target), source, frame, world)


def _pop(world: World, source: str, target: str) -> Frame:
    frame, *rest = world.links.pop((source, target))
    if rest:
        world.links[source, target] = tuple(rest)
    return frame


def _overflow(world: World, source: str, target: str) -> None:
    world.change("worker", target).refuse(_pop(world, source, target), world)


def _lose(world: World, source: str, target: str) -> None:
    _pop(world, source, target)


def _learn(world: World, kind: str, name: str) -> None:
    piece = world.change(kind, name)
    membership = world.history[piece.version + 1]
    if kind == "owner":
        world.change("egress", name).learn(membership)
    piece.learn(membership, world)


def _lease_to(world: World, worker: str | None) -> None:
    assert worker is not None
    now = world.history[-1]
    new = now._replace(worker=worker, generation=now.generation + 1)
    world.history = (*world.history, new)


def _bury(world: World) -> None:
    now = world.history[-1]
    world.history = (*world.history, now._replace(acceptors=now.acceptors - world.dead))


def _die(world: World, name: str) -> None:
    world.dead |= {name}
    for link in [link for link in world.links if link[1] == name]:
        del world.links[link]
    for (lane, number), outcome in world.outcomes.items():
        if lane.owner == name and not outcome:
            world.outcomes[lane, number] = GONE


def _poison(world: World, name: str) -> None:
    world.change("owner", name).suspicious = True


def _cut(world: World, source: str, target: str) -> None:
    """The last frame of one that died never left it."""
    rest = world.links.pop((source, target))[:-1]
    if rest:
        world.links[source, target] = rest


def _of(kind: str, method: Callable[..., None]) -> Callable[..., None]:
    """An action on one actor."""

    def on_one(world: World, name: str, *rest: Any) -> None:
        method(world.change(kind, name), *rest, world)

    return on_one


_ACTS: Final[dict[str, Callable[..., None]]] = {
    "deliver": _deliver,
    "learn": _learn,
    "seat": lambda world: _lease_to(world, _replacement(world)),
    "move": lambda world: _lease_to(world, _replacement(world)),
    "bury": _bury,
    "crash": _die,
    "die": _die,
    "cut": _cut,
    "poison": _poison,
    "join": World.join,
    "lose": _lose,
    "overflow": _overflow,
    "parse": _of("owner", Owner.parse),
    "hang_up": _of("owner", Owner.hang_up),
    "refuse": _of("owner", Owner.refuse),
    "open": _of("egress", Egress.open),
    "report": _of("egress", Egress.report),
    "write": _of("egress", Egress.write),
    "acknowledge": _of("egress", Egress.acknowledge),
    "grant": _of("egress", Egress.grant),
    "release": _of("egress", Egress.release),
    "leave": _of("egress", Egress.leave),
    "go": _of("egress", Egress.go),
    "retire": _of("egress", Egress.retire),
    "close": _of("egress", Egress.close),
    "finish": _of("egress", Egress.close),
    "expire": _of("worker", Worker.expire),
}
ACTIONS: Final = frozenset(_ACTS)


# --- rest ---


def settle(world: World) -> None:
    """Leave the world alone until nothing moves; then G1: nothing is left over."""
    for _ in range(_SETTLED_AFTER):
        action = next(steps(world), None) or _expiry(world)
        if action is None:
            break
        _ACTS[action[0]](world, *action[1:])
    else:
        raise Broken("it never comes to rest")
    left = [stanza for stanza, outcome in world.outcomes.items() if not outcome]
    if left:
        raise Broken(f"left without an outcome: {left}")


def _expiry(world: World) -> Action | None:
    for kind, name in world.pieces:
        if kind == "worker" and name not in world.dead and world.read(kind, name).backlog:
            return "expire", name
    return None
