"""What a synthetic scene is, and the planning of one: who is in it, where everything goes, and when."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rolo_bench.boxes import Array
from rolo_bench.datasets.synthetic import frames as drawing
from rolo_bench.datasets.synthetic import motion, objects, scenery
from rolo_bench.datasets.synthetic.objects import CLASSES, FACING, WALKING, Look, Patch, Pose, make_look
from rolo_bench.datasets.synthetic.scenery import BACKDROPS, DOMAINS, HEIGHT, WIDTH, Image, Key, generator
from rolo_bench.errors import DataError

# what a scene may do, and the OTB attribute that it stands for
EFFECTS = {
    "light": "IV",  # the whole image darkens and brightens
    "shade": "IV",  # light and shadow move over the image
    "turn": "OPR",
    "scale": "SV",
    "poles": "OCC",  # narrow things in front that hide a part of the target
    "deform": "DEF",
    "shake": "MB",  # a hand-held camera
    "smear": "MB",  # a long exposure
    "fast": "FM",
    "spin": "IPR",
    "clutter": "BC",
    "coarse": "LR",
}
ATTRIBUTES = ("IV", "OPR", "SV", "OCC", "DEF", "MB", "FM", "IPR", "OV", "BC", "LR")
_GAIT = {
    "person": 0.36, "car": 0.0, "bird": 0.5, "fish": 0.4, "ball": 0.0, "bottle": 0.1, "star": 0.15, "crate": 0.1
}  # fmt: skip


@dataclass(frozen=True)
class SceneSpec:
    """What a synthetic scene shows.

    Attributes:
        domain, number: its seed; domains (`DOMAINS`) never share a random stream.
        target: class of the target, of `CLASSES`.
        size: about the longer side of the target in px.
        backdrop: the place, of `BACKDROPS`.
        distractors: objects of the target's class and nearly its colours.
        others: objects of other classes.
        effects: of `EFFECTS`.
        occlusions: ``(first, last)`` frames in which something hides the target wholly; cut short
            where the path is too long for an occluder of half the image.
        absences: ``(first, last)`` frames in which the target is outside the image.

    Raises:
        DataError: an unknown domain, class, backdrop or effect.
    """

    name: str
    domain: str
    number: int
    target: str
    size: float
    backdrop: str
    frames: int = 120
    distractors: int = 1
    others: int = 1
    effects: tuple[str, ...] = ()
    occlusions: tuple[tuple[int, int], ...] = ()
    absences: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        for what, value, known in (
            ("domain", self.domain, DOMAINS),
            ("target", self.target, CLASSES),
            ("backdrop", self.backdrop, BACKDROPS),
            *(("effect", e, EFFECTS) for e in self.effects),
        ):
            if value not in known:
                raise DataError(f"scene {self.name}: unknown {what} {value!r}; known: {', '.join(known)}")

    @property
    def attributes(self) -> tuple[str, ...]:
        """The OTB attributes that the scene shows, in OTB's order."""
        found = {EFFECTS[e] for e in self.effects}
        found |= {"OCC"} if self.occlusions else set()
        found |= {"OV"} if self.absences else set()
        return tuple(a for a in ATTRIBUTES if a in found)

    def key(self, part: int) -> Key:
        """The seed of one part of the scene."""
        return (DOMAINS[self.domain], self.number, part)


class SceneObject(NamedTuple):
    """One object in one frame: index into `CLASSES`, whole box ``(4,)`` x, y, w, h, visibility in 0 … 1."""

    class_index: int
    box: Array
    visibility: float

    @classmethod
    def all_of(cls, looks: list[Look], patches: list[Patch], covers: list[Patch]) -> list[SceneObject]:
        """The drawn objects of a frame, in drawing order, with ``covers`` in front of them all."""
        return [
            cls(CLASSES.index(look.kind), patch.box, drawing.shown(patch, patches[k + 1 :] + covers))
            for k, (look, patch) in enumerate(zip(looks, patches))
        ]


@dataclass(frozen=True)
class Actor:
    """One individual and how it stands in every frame."""

    look: Look
    poses: tuple[Pose, ...]


@dataclass(frozen=True)
class Cover:
    """An occluder, premultiplied RGBA, and where it is in every frame."""

    picture: Image
    path: Array  # (N, 2) centre in the image


@dataclass(frozen=True)
class Scene:
    """A planned scene: everything that does not depend on the frame, and the paths."""

    paint: Callable[[], scenery.Place]  # slow, and of no use to who wants the paths alone
    pan: Array  # (N, 2)
    actors: tuple[Actor, ...]  # in drawing order
    target: int  # which of them is the target
    boxes: Array  # (N, 4) of the target
    covers: tuple[Cover, ...]
    finishes: tuple[drawing.Finish, ...]


def _act(
    rng: np.random.Generator, look: Look, path: Array, size: float, spec: SceneSpec, jerk: Array
) -> Actor:
    """Give a path a body: scale, rotation, gait and blur for every frame."""
    n, effects = len(path), spec.effects
    t = np.arange(n, dtype=np.float64)
    sizes = size * motion.swell(rng, n, 0.95 if "scale" in effects else 0.1)
    speed = motion.velocity(path)
    facing = look.kind in FACING
    turn = motion.heading(path) if facing else 0.25 * np.sin(t / 15 + rng.uniform(0, 6.28))
    if "turn" in effects:
        turn = turn + (
            2 * np.pi * t / rng.uniform(70, 120) if not facing else 1.25 * np.sin(t / rng.uniform(9, 15))
        )
    angle = 0.06 * np.sin(t / 9 + rng.uniform(0, 6.28))
    if look.kind in ("bird", "fish"):
        angle = angle + np.arctan2(speed[:, 1], np.abs(speed[:, 0]) + 2.0) * np.sign(np.cos(turn)) * 0.7
    if "spin" in effects:
        angle = angle + 2 * np.pi * t / rng.uniform(60, 100) * (1 if rng.random() < 0.5 else -1)
    phase = rng.uniform(0, 6.28) + _GAIT[look.kind] * t
    if look.kind in ("car", "ball"):
        phase = phase + np.cumsum(np.abs(speed[:, 0]) if facing else speed[:, 0]) / (0.5 * size)
    bend = 0.06 * np.abs(np.sin(t / 13)) if "deform" in effects else np.zeros(n)
    exposure = 0.8 if "smear" in effects else 0.35 if "fast" in effects else 0.0
    blur = np.clip(exposure * speed, -24, 24)
    rows = np.column_stack([path + jerk, sizes, angle, turn, phase, bend, blur]).tolist()
    return Actor(
        look, tuple(Pose(x, y, s, a, turned, p, b, (dx, dy)) for x, y, s, a, turned, p, b, dx, dy in rows)
    )


def _hide(
    spec: SceneSpec, part: int, boxes: Array, world: Array, span: tuple[int, int], taken: list[Array]
) -> Cover | None:
    """An occluder, fixed in the world, that hides the target wholly for about ``span``.

    Of the occluders for spans up to 24 frames earlier or later, the one that keeps closest to the
    wanted number of hidden frames, leaves the first frames free, and stands apart from those ``taken``
    (to which it is added).
    """
    still = boxes - np.hstack([world, np.zeros_like(world)])  # as seen by a camera that does not move
    corners = np.hstack([still[:, :2], still[:, :2] + still[:, 2:]])
    length, best, least = span[1] - span[0] + 1, None, np.inf
    for first in range(max(6, span[0] - 24), min(span[0] + 25, len(boxes) - length), 2):
        part_ = corners[first : first + length]
        rect = np.concatenate([part_[:, :2].min(axis=0), part_[:, 2:].max(axis=0)])
        size = rect[2:] - rect[:2]
        if size[0] > 0.55 * WIDTH or size[1] > 0.7 * HEIGHT:
            continue
        hidden = _covered(corners, rect)
        partly = int(((hidden > 0.03) & (hidden <= 0.97)).sum())
        cost = abs(int((hidden > 0.97).sum()) - length) + 0.4 * partly
        crowded = sum(60.0 * float(_covered(other[None], rect)[0]) for other in taken)
        cost += 200.0 * float(hidden[:4].max()) + crowded
        cost += 0.15 * abs(first - span[0])
        if cost < least:
            best, least = rect, cost
    if best is None:
        return None
    taken.append(best)
    w, h = best[2:] - best[:2]
    kind = str(generator(spec.key(part)).choice(["board", "bush"]))
    picture = drawing.make_cover(spec.key(part + 1), kind, int(w) + 3, int(h) + 3)
    return Cover(picture, (best[:2] + best[2:]) / 2 + world)


def _covered(corners: Array, rect: Array) -> Array:
    """The share ``(N,)`` of each box (``(N, 4)`` left, top, right, bottom) that a rectangle covers."""
    sides = np.minimum(corners[:, 2:], rect[2:]) - np.maximum(corners[:, :2], rect[:2])
    return np.clip(sides, 0, None).prod(axis=1) / (corners[:, 2:] - corners[:, :2]).prod(axis=1)


def plan(spec: SceneSpec) -> Scene:
    """Lay out a scene. Pure: the same spec gives the same scene."""
    n = spec.frames
    rng = generator(spec.key(0))
    look = make_look(spec.key(1), spec.target)
    clutter = tuple(look.colours[[0, 1, 5, 3]]) if "clutter" in spec.effects else ()
    pan = motion.drift(rng, n, rng.uniform(20, 70))
    jerk = motion.shake(rng, n, 8.0) if "shake" in spec.effects else np.zeros((n, 2))
    world = jerk - pan  # where a point of the world that was at 0 is seen

    path = motion.wander(rng, n, spec.size, "fast" in spec.effects, spec.target in WALKING)
    for first, last in spec.absences:
        path = motion.leave(path, first, last, spec.size * 1.5)
    target = _act(rng, look, path, spec.size, spec, jerk)
    boxes = np.stack([objects.box_of(target.look, pose) for pose in target.poses])

    behind: list[Actor] = []
    before: list[Actor] = []
    for number in range(spec.distractors + spec.others):
        hides = number < spec.distractors and number % 2 == 1 and ("poles" in spec.effects or spec.occlusions)
        (before if hides else behind).append(_companion(spec, number, look, path, jerk))
    return Scene(
        paint=functools.partial(scenery.place, spec.key(2), spec.backdrop, clutter),
        pan=-world,
        actors=(*reversed(behind), target, *before),
        target=len(behind),
        boxes=boxes,
        covers=_occluders(spec, boxes, world),
        finishes=_finishes(spec, jerk),
    )


def _companion(spec: SceneSpec, number: int, look: Look, path: Array, jerk: Array) -> Actor:
    """Who else is there: first the distractors, like the target's ``look`` and crossing its ``path``."""
    own = generator(spec.key(300 + number))
    alike = number < spec.distractors
    kind = spec.target if alike else str(own.choice([c for c in CLASSES if c != spec.target]))
    size = spec.size * own.uniform(0.85, 1.15) if alike else own.uniform(24, 64)
    route = motion.wander(own, len(path), size, low=kind in WALKING)
    if alike and number < len(spec.occlusions):  # where the target is hidden, just outside the occluder
        at = sum(spec.occlusions[number]) // 2
        reach = 0.5 * float(np.ptp(path[slice(*spec.occlusions[number]), 1])) + 1.2 * spec.size
        offset = (own.uniform(-20, 20), reach if path[at, 1] < HEIGHT / 2 else -reach)
        route = motion.meet(route, path, at, offset)
    elif alike:
        at = round(len(path) * own.uniform(0.15, 0.9))
        offset = (own.uniform(-0.4, 0.4) * size, own.uniform(-0.4, 0.4) * size)
        route = motion.meet(route, path, at, offset)
    individual = make_look(spec.key(400 + number), kind, look if alike else None)
    return _act(own, individual, route, size, spec, jerk)


def _occluders(spec: SceneSpec, boxes: Array, world: Array) -> tuple[Cover, ...]:
    """Everything that stands in front of the target: what hides it wholly, then poles."""
    covers: list[Cover] = []
    taken: list[Array] = []
    for number, span in enumerate(spec.occlusions):
        cover = _hide(spec, 100 + 2 * number, boxes, world, span, taken)
        covers += [cover] if cover else []
    if "poles" in spec.effects:
        middles, n = boxes[:, 0] + boxes[:, 2] / 2 - world[:, 0], spec.frames
        for number, share in enumerate((0.25, 0.52, 0.8)):
            near = np.arange(round((share - 0.1) * n), round((share + 0.1) * n))
            at = int(near[np.argmax(np.abs(middles[near] - middles[0]))])  # as far as can be from the start
            picture = drawing.make_cover(spec.key(200 + number), "pillar", round(0.3 * boxes[at, 2]), HEIGHT)
            covers.append(Cover(picture, np.array([middles[at], HEIGHT / 2]) + world))
    return tuple(covers)


def _finishes(spec: SceneSpec, jerk: Array) -> tuple[drawing.Finish, ...]:
    """Light, blur, resolution and noise of every frame."""
    rng = generator(spec.key(3))
    t = np.arange(spec.frames, dtype=np.float64)
    red, green, blue = (1 + rng.uniform(-0.07, 0.07, 3)).tolist()
    gain = np.full(spec.frames, rng.uniform(0.88, 1.08))
    if "light" in spec.effects:
        step = np.tanh((t - rng.uniform(0.3, 0.6) * spec.frames) / 2.5)  # somebody flips a switch
        gain = gain * (0.95 + 0.28 * np.sin(2 * np.pi * t / rng.uniform(45, 80))) * (0.78 - 0.24 * step)
    speed = motion.velocity(jerk)
    corner = rng.uniform(0, 6.28, 2)
    finishes = []
    for i in range(spec.frames):
        x, y = 480 + 470 * np.sin(i / 45 + corner[0]), 360 + 350 * np.sin(i / 60 + corner[1])
        cloud = (round(x), round(y)) if "shade" in spec.effects else None
        grain = (int(rng.integers(64)), int(rng.integers(64)))
        blur = (float(speed[i, 0]), float(speed[i, 1]))
        coarse = 2.2 if "coarse" in spec.effects else 1.0
        finishes.append(drawing.Finish(float(gain[i]), (red, green, blue), cloud, blur, coarse, grain))
    return tuple(finishes)
