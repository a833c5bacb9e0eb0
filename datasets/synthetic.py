"""Synthetic video with exact truth: the ``demo`` suite, and training scenes and images.

A `SceneSpec` says what a scene shows; `RenderedFrames` renders it, any frame at any time, always the
same. Nothing is downloaded and nothing is stored but the suite's table and its frame records.

Truth is the extent of the object's outline in continuous pixel coordinates, exact to the
renderer's half pixel of edge smoothing: the whole object (amodal), hidden or not, also where it
reaches out of the image; a NaN row while it is wholly outside. With motion blur it is the place
at mid-exposure. How much can be seen is told apart as visibility, the share 0 … 1 of the
object's area that lies in the image and under nothing.

The same key gives the same pixels on one platform. Other OpenCV builds may round an
interpolation differently, by a level or two; `signature` is made to be compared with that in
mind.
"""

from __future__ import annotations

import csv
import functools
from dataclasses import dataclass, field
from importlib.resources import files
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from rolo_bench.boxes import Array
from rolo_bench.datasets import synthetic_frames as drawing
from rolo_bench.datasets import synthetic_motion as motion
from rolo_bench.datasets.synthetic_objects import (
    CLASSES,
    FACING,
    WALKING,
    Look,
    Patch,
    Pose,
    box_of,
    draw,
    make_look,
)
from rolo_bench.datasets.synthetic_scenery import (
    BACKDROPS,
    DOMAINS,
    HEIGHT,
    WIDTH,
    Image,
    Key,
    Place,
    generator,
    place,
    view,
)
from rolo_bench.errors import DataError
from rolo_bench.sequence import Sequence

__all__ = [
    "CLASSES",
    "RenderedFrames",
    "SceneObject",
    "SceneSpec",
    "demo_sequences",
    "demo_suite",
    "record_suite",
    "signature",
    "training_image",
    "training_scene",
]

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
_GAIT = {"person": 0.36, "car": 0.0, "bird": 0.5, "fish": 0.4, "ball": 0.0, "bottle": 0.1, "star": 0.15, "crate": 0.1}
_BANK = 40  # backgrounds that training images share
_COVER_BANK = 24


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


@dataclass(frozen=True)
class _Actor:
    look: Look
    poses: tuple[Pose, ...]


@dataclass(frozen=True)
class _Cover:
    picture: Image
    path: Array  # (N, 2) centre in the image


@dataclass(frozen=True)
class _Scene:
    """A planned scene: everything that does not depend on the frame, and the paths."""

    place: Place
    pan: Array  # (N, 2)
    actors: tuple[_Actor, ...]  # in drawing order
    target: int  # which of them is the target
    covers: tuple[_Cover, ...]
    finishes: tuple[drawing.Finish, ...]


def _act(rng: np.random.Generator, look: Look, path: Array, size: float, spec: SceneSpec, jerk: Array) -> _Actor:
    """Give a path a body: scale, rotation, gait and blur for every frame."""
    n, effects = len(path), spec.effects
    t = np.arange(n, dtype=np.float64)
    sizes = size * motion.swell(rng, n, 0.95 if "scale" in effects else 0.1)
    speed = motion.velocity(path)
    facing = look.kind in FACING
    turn = motion.heading(path) if facing else 0.25 * np.sin(t / 15 + rng.uniform(0, 6.28))
    if "turn" in effects:
        turn = turn + (2 * np.pi * t / rng.uniform(70, 120) if not facing else 1.25 * np.sin(t / rng.uniform(9, 15)))
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
    columns = np.column_stack([path + jerk, sizes, angle, turn, phase, bend]).tolist()
    return _Actor(look, tuple(Pose(*row, blur=(dx, dy)) for row, (dx, dy) in zip(columns, blur.tolist())))


def _hide(
    spec: SceneSpec, part: int, boxes: Array, world: Array, span: tuple[int, int], taken: list[Array]
) -> _Cover | None:
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
        cost = abs(int((hidden > 0.97).sum()) - length) + 0.4 * int(((hidden > 0.03) & (hidden <= 0.97)).sum())
        cost += 200.0 * float(hidden[:4].max()) + sum(60.0 * float(_covered(other[None], rect)[0]) for other in taken)
        cost += 0.15 * abs(first - span[0])
        if cost < least:
            best, least = rect, cost
    if best is None:
        return None
    taken.append(best)
    w, h = best[2:] - best[:2]
    kind = str(generator(spec.key(part)).choice(["board", "bush"]))
    picture = drawing.make_cover(spec.key(part + 1), kind, int(w) + 3, int(h) + 3)
    return _Cover(picture, (best[:2] + best[2:]) / 2 + world)


def _covered(corners: Array, rect: Array) -> Array:
    """The share ``(N,)`` of each box (``(N, 4)`` left, top, right, bottom) that a rectangle covers."""
    sides = np.minimum(corners[:, 2:], rect[2:]) - np.maximum(corners[:, :2], rect[:2])
    return np.clip(sides, 0, None).prod(axis=1) / (corners[:, 2:] - corners[:, :2]).prod(axis=1)


def _plan(spec: SceneSpec) -> _Scene:
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
    boxes = np.stack([box_of(target.look, pose) for pose in target.poses])

    covers: list[_Cover] = []
    taken: list[Array] = []
    for number, span in enumerate(spec.occlusions):
        cover = _hide(spec, 100 + 2 * number, boxes, world, span, taken)
        covers += [cover] if cover else []
    if "poles" in spec.effects:
        middles = boxes[:, 0] + boxes[:, 2] / 2 - world[:, 0]
        for number, share in enumerate((0.25, 0.52, 0.8)):
            near = np.arange(round((share - 0.1) * n), round((share + 0.1) * n))
            at = int(near[np.argmax(np.abs(middles[near] - middles[0]))])  # as far as can be from the start
            picture = drawing.make_cover(spec.key(200 + number), "pillar", round(0.3 * boxes[at, 2]), HEIGHT)
            covers.append(_Cover(picture, np.array([middles[at], HEIGHT / 2]) + world))

    behind: list[_Actor] = []
    before: list[_Actor] = []
    for number in range(spec.distractors + spec.others):
        own = generator(spec.key(300 + number))
        alike = number < spec.distractors
        kind = spec.target if alike else str(own.choice([c for c in CLASSES if c != spec.target]))
        size = spec.size * own.uniform(0.85, 1.15) if alike else own.uniform(24, 64)
        route = motion.wander(own, n, size, low=kind in WALKING)
        if alike:  # its way crosses the target's; where the target is hidden, just outside the occluder
            if number < len(spec.occlusions):
                at = sum(spec.occlusions[number]) // 2
                reach = 0.5 * float(np.ptp(path[slice(*spec.occlusions[number]), 1])) + 1.2 * spec.size
                offset = (own.uniform(-20, 20), reach if path[at, 1] < HEIGHT / 2 else -reach)
            else:
                at = round(n * own.uniform(0.15, 0.9))
                offset = (own.uniform(-0.4, 0.4) * size, own.uniform(-0.4, 0.4) * size)
            route = motion.meet(route, path, at, offset)
        individual = make_look(spec.key(400 + number), kind, look if alike else None)
        actor = _act(own, individual, route, size, spec, jerk)
        hides = alike and number % 2 == 1 and ("poles" in spec.effects or spec.occlusions)
        (before if hides else behind).append(actor)
    return _Scene(
        place=place(spec.key(2), spec.backdrop, clutter),
        pan=-world,
        actors=(*reversed(behind), target, *before),
        target=len(behind),
        covers=tuple(covers),
        finishes=_finishes(spec, jerk),
    )


def _finishes(spec: SceneSpec, jerk: Array) -> tuple[drawing.Finish, ...]:
    """Light, blur, resolution and noise of every frame."""
    rng = generator(spec.key(3))
    t = np.arange(spec.frames, dtype=np.float64)
    tint = tuple(float(v) for v in 1 + rng.uniform(-0.07, 0.07, 3))
    gain = np.full(spec.frames, rng.uniform(0.88, 1.08))
    if "light" in spec.effects:
        step = np.tanh((t - rng.uniform(0.3, 0.6) * spec.frames) / 2.5)  # somebody flips a switch
        gain = gain * (0.95 + 0.28 * np.sin(2 * np.pi * t / rng.uniform(45, 80))) * (0.78 - 0.24 * step)
    speed = motion.velocity(jerk)
    corner = rng.uniform(0, 6.28, 2)
    finishes = []
    for i in range(spec.frames):
        cloud = None
        if "shade" in spec.effects:
            cloud = (round(480 + 470 * np.sin(i / 45 + corner[0])), round(360 + 350 * np.sin(i / 60 + corner[1])))
        grain = (int(rng.integers(64)), int(rng.integers(64)))
        blur = (float(speed[i, 0]), float(speed[i, 1]))
        coarse = 2.2 if "coarse" in spec.effects else 1.0
        finishes.append(drawing.Finish(float(gain[i]), tint, cloud, blur, coarse, grain))
    return tuple(finishes)


@dataclass(frozen=True)
class RenderedFrames:
    """A source of frames that renders a spec; each frame is the same in whatever order they are asked for."""

    spec: SceneSpec
    size: tuple[int, int] = field(default=(WIDTH, HEIGHT), init=False)

    def __len__(self) -> int:
        return self.spec.frames

    def __reduce__(self) -> tuple[type[RenderedFrames], tuple[SceneSpec]]:
        return RenderedFrames, (self.spec,)  # what has been rendered stays behind

    @functools.cached_property
    def _scene(self) -> _Scene:
        return _plan(self.spec)

    def _patches(self, index: int) -> tuple[list[Patch], list[Patch]]:
        """The drawn actors and occluders of a frame, each list in drawing order."""
        scene = self._scene
        covers = [drawing.place_cover(c.picture, *c.path[index]) for c in scene.covers if _seen(c, index)]
        return [draw(a.look, a.poses[index]) for a in scene.actors], covers

    def image(self, index: int) -> Image:
        """Frame ``index`` as RGB uint8 ``(240, 320, 3)``.

        Raises:
            IndexError: no such frame.
        """
        self._check(index)
        scene = self._scene
        image = view(scene.place, tuple(scene.pan[index]))
        patches, covers = self._patches(index)
        for actor, patch in zip(scene.actors, patches):
            _put(image, actor.look, patch)
        for cover in covers:
            drawing.paste(image, cover)
        return drawing.finish(image, scene.finishes[index])

    def objects(self, index: int) -> list[SceneObject]:
        """All objects of a frame, the target and what is wholly hidden or outside included.

        Raises:
            IndexError: no such frame.
        """
        self._check(index)
        patches, covers = self._patches(index)
        return [
            SceneObject(
                CLASSES.index(actor.look.kind),
                patches[k].box,
                drawing.shown(patches[k], patches[k + 1 :] + covers),
            )
            for k, actor in enumerate(self._scene.actors)
        ]

    @functools.cached_property
    def truth(self) -> Array:
        """The target's whole boxes ``(N, 4)``; NaN rows while it is wholly outside the image."""
        target = self._scene.actors[self._scene.target]
        boxes = np.stack([box_of(target.look, pose) for pose in target.poses])
        inside = ((boxes[:, :2] < [WIDTH, HEIGHT]) & (boxes[:, :2] + boxes[:, 2:] > 0)).all(axis=1)
        boxes[~inside] = np.nan
        return boxes

    @functools.cached_property
    def visibility(self) -> Array:
        """The share ``(N,)`` in 0 … 1 of the target that can be seen."""
        scene = self._scene
        target = scene.actors[scene.target]
        values = np.empty(len(self))
        for i in range(len(self)):
            mine = box_of(target.look, target.poses[i])
            front = [draw(a.look, a.poses[i]) for a in scene.actors[scene.target + 1 :] if _near(a, i, mine)]
            front += [drawing.place_cover(c.picture, *c.path[i]) for c in scene.covers if _seen(c, i)]
            whole = (mine[:2] >= 0).all() and (mine[:2] + mine[2:] <= [WIDTH, HEIGHT]).all()
            values[i] = 1.0 if whole and not front else drawing.shown(draw(target.look, target.poses[i]), front)
        return values

    def _check(self, index: int) -> None:
        if not 0 <= index < len(self):
            raise IndexError(f"{self.spec.name}: no frame {index}; there are {len(self)}")


def _seen(cover: _Cover, index: int) -> bool:
    """Whether an occluder is in the image at all."""
    x, y = cover.path[index]
    h, w = cover.picture.shape[:2]
    return -w < 2 * x < 2 * WIDTH + w and -h < 2 * y < 2 * HEIGHT + h


def _near(actor: _Actor, index: int, box: Array) -> bool:
    """Whether an actor may touch a box."""
    pose = actor.poses[index]
    x, y = box[:2] + box[2:] / 2
    reach = pose.size + 0.5 * max(box[2], box[3]) + 30
    return abs(pose.x - x) < reach and abs(pose.y - y) < reach


def _put(image: Image, look: Look, patch: Patch) -> None:
    shade = drawing.shadow(look, patch)
    if shade is not None:
        drawing.paste(image, shade)
    drawing.paste(image, patch)


@functools.lru_cache(maxsize=1)
def demo_suite() -> tuple[tuple[str, SceneSpec], ...]:
    """The scenes of the ``demo`` suite, by name, in the table's order."""
    specs = []
    for row in _table("demo.csv"):
        spec = SceneSpec(
            name=row["name"],
            domain="demo",
            number=int(row["number"]),
            target=row["target"],
            size=float(row["size"]),
            backdrop=row["backdrop"],
            frames=int(row["frames"]),
            distractors=int(row["distractors"]),
            others=int(row["others"]),
            effects=tuple(row["effects"].split()),
            occlusions=_spans(row["occlusions"]),
            absences=_spans(row["absences"]),
        )
        specs.append((spec.name, spec))
    return tuple(specs)


def _spans(text: str) -> tuple[tuple[int, int], ...]:
    """``"40-60 90-100"`` as pairs of numbers."""
    return tuple((int(a), int(b)) for a, b in (part.split("-") for part in text.split()))


def demo_sequences() -> tuple[Sequence, ...]:
    """The ``demo`` suite as sequences with truth, attributes and visibility.

    Truth and visibility come from a table that the renderer wrote (three decimals), so that they are the
    same to the last bit on every machine and cost nothing; a test holds the renderer to it.
    """
    recorded: dict[str, list[list[float]]] = {}
    for row in _table("demo_truth.csv"):
        recorded.setdefault(row["name"], []).append([float(row[c]) for c in ("x", "y", "w", "h", "visibility")])
    sequences = []
    for name, spec in demo_suite():
        values = np.asarray(recorded[name])
        frames = RenderedFrames(spec)
        sequences.append(Sequence(name, frames, values[:, :4], spec.attributes, visibility=values[:, 4]))
    return tuple(sequences)


def _table(name: str) -> list[dict[str, str]]:
    """The rows of a table that is shipped with the package."""
    text = files("rolo_bench.datasets").joinpath(f"tables/{name}").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def training_scene(seed: int, domain: str = "train", frames: int = 120) -> SceneSpec:
    """A random scene like those of the demo suite, from a domain that it has no part in.

    Raises:
        DataError: ``domain`` is not ``train`` or ``valid``.
    """
    rng = generator(_open(domain, seed, 9_000))
    effects = tuple(e for e in EFFECTS if e != "coarse" and rng.random() < 0.25)
    coarse = rng.random() < 0.1
    size = rng.uniform(17, 21) if coarse else float(np.exp(rng.uniform(np.log(24), np.log(72))))
    occlusions: list[tuple[int, int]] = []
    start = int(rng.integers(18, 45))
    while start + 30 < frames and len(occlusions) < 3 and rng.random() < 0.7:
        length = int(rng.integers(8, 26))
        occlusions.append((start, min(start + length, frames - 8)))
        start += length + int(rng.integers(18, 40))
    absences: tuple[tuple[int, int], ...] = ()
    if "fast" in effects or rng.random() < 0.12:
        occlusions = []
        if frames >= 80 and rng.random() < 0.5:
            leave = int(rng.integers(30, frames - 40))
            absences = ((leave, leave + int(rng.integers(4, 14))),)
    return SceneSpec(
        name=f"{domain}-{seed}",
        domain=domain,
        number=seed,
        target=str(rng.choice(CLASSES)),
        size=float(size),
        backdrop=str(rng.choice(BACKDROPS)),
        frames=frames,
        distractors=int(rng.integers(0, 4)),
        others=int(rng.integers(0, 3)),
        effects=(*effects, "coarse") if coarse else effects,
        occlusions=tuple(occlusions),
        absences=absences,
    )


def _open(domain: str, seed: int, part: int) -> Key:
    """The key of something to train or validate on; the demo suite's domain is refused."""
    if domain not in ("train", "valid"):
        raise DataError(f"domain {domain!r} is not for training; use 'train' or 'valid'")
    return (DOMAINS[domain], seed, part)


@functools.lru_cache(maxsize=2 * _BANK)
def _bank_place(domain: str, number: int) -> Place:
    rng = generator((DOMAINS[domain], number, 9_100))
    clutter = tuple(make_look((DOMAINS[domain], number, 9_101), "ball").colours) if number % 4 == 3 else ()
    return place((DOMAINS[domain], number, 9_102), str(rng.choice(BACKDROPS)), clutter)


@functools.lru_cache(maxsize=2 * _COVER_BANK)
def _bank_cover(domain: str, number: int) -> Image:
    rng = generator((DOMAINS[domain], number, 9_200))
    kind = drawing.COVERS[number % 3]
    w, h = (int(rng.integers(10, 60)), HEIGHT) if kind == "pillar" else (int(v) for v in rng.integers(24, 120, 2))
    return drawing.make_cover((DOMAINS[domain], number, 9_201), kind, w, h)


def training_image(seed: int, domain: str = "train") -> tuple[Image, list[SceneObject]]:
    """One random frame for training a detector, and all objects in it, whatever hides them.

    Objects, poses, occluders and light are as in the scenes; backgrounds come from a bank of
    40 places that is painted on first use, which makes an image cost a few milliseconds.

    Returns:
        RGB uint8 ``(240, 320, 3)`` and the objects in drawing order.

    Raises:
        DataError: ``domain`` is not ``train`` or ``valid``.
    """
    rng = generator(_open(domain, seed, 9_300))
    pan = (float(rng.uniform(-80, 80)), float(rng.uniform(-40, 40)))
    image = view(_bank_place(domain, int(rng.integers(_BANK))), pan)
    kind = str(rng.choice(CLASSES))
    actors: list[tuple[Look, Patch]] = []
    for number in range(int(rng.integers(1, 6))):
        look = make_look((DOMAINS[domain], seed, 9_310 + number), kind)
        if actors and rng.random() < 0.5:  # another of the same kind and colours
            look = make_look((DOMAINS[domain], seed, 9_310 + number), actors[-1][0].kind, actors[-1][0])
        kind = str(rng.choice(CLASSES))
        actors.append((look, draw(look, _random_pose(rng))))
    for look, patch in actors:
        _put(image, look, patch)
    covers: list[Patch] = []
    while len(covers) < 2 and rng.random() < 0.35:
        picture = _bank_cover(domain, int(rng.integers(_COVER_BANK)))
        covers.append(drawing.place_cover(picture, float(rng.uniform(0, WIDTH)), float(rng.uniform(0, HEIGHT))))
        drawing.paste(image, covers[-1])
    patches = [patch for _, patch in actors]
    objects = [
        SceneObject(CLASSES.index(look.kind), patch.box, drawing.shown(patch, patches[k + 1 :] + covers))
        for k, (look, patch) in enumerate(actors)
    ]
    return drawing.finish(image, _random_finish(rng)), objects


def _random_pose(rng: np.random.Generator) -> Pose:
    size = float(np.exp(rng.uniform(np.log(18), np.log(110))))
    angle = rng.uniform(-3.14, 3.14) if rng.random() < 0.3 else rng.uniform(-0.35, 0.35)
    turn = rng.uniform(0, 6.28) if rng.random() < 0.5 else float(rng.choice([0.0, 3.14]))
    blur = tuple(rng.uniform(-1, 1, 2) * min(14.0, 0.4 * size)) if rng.random() < 0.25 else (0.0, 0.0)
    return Pose(
        x=float(rng.uniform(0, WIDTH)),
        y=float(rng.uniform(0, HEIGHT)),
        size=size,
        angle=float(angle),
        turn=float(turn),
        phase=float(rng.uniform(0, 12.5)),
        bend=float(rng.uniform(0, 0.06)) if rng.random() < 0.3 else 0.0,
        blur=(float(blur[0]), float(blur[1])),
    )


def _random_finish(rng: np.random.Generator) -> drawing.Finish:
    tint = tuple(float(v) for v in 1 + rng.uniform(-0.08, 0.08, 3))
    gain = rng.uniform(0.42, 1.35) if rng.random() < 0.3 else rng.uniform(0.85, 1.1)
    cloud = (int(rng.integers(0, 960)), int(rng.integers(0, 720))) if rng.random() < 0.25 else None
    blur = tuple(float(v) for v in rng.uniform(-8, 8, 2)) if rng.random() < 0.15 else (0.0, 0.0)
    coarse = 2.2 if rng.random() < 0.1 else 1.0
    grain = (int(rng.integers(64)), int(rng.integers(64)))
    return drawing.Finish(float(gain), tint, cloud, blur, coarse, grain)


def signature(image: Image) -> NDArray[np.uint8]:
    """A small picture ``(6, 8, 3)`` of an image by which a change of the renderer is noticed.

    Means of 40 × 40 px blocks: another rounding in an interpolation moves them by less than one
    level, any change that can be seen by more.
    """
    return cv2.resize(image, (8, 6), interpolation=cv2.INTER_AREA)


def record_suite() -> tuple[str, str]:
    """The tables of the demo suite's truth and of its frame signatures, as CSV text.

    For whoever changes the renderer on purpose: write them to ``datasets/tables/demo_truth.csv`` and
    ``demo_frames.csv``, and say in the changelog that results on the suite are not comparable any more.
    """
    truth, frames = ["name,frame,x,y,w,h,visibility"], ["name,frame,signature"]
    for name, spec in demo_suite():
        source = RenderedFrames(spec)
        for i, row in enumerate(np.column_stack([source.truth, source.visibility])):
            truth.append(f"{name},{i}," + ",".join(f"{v:.3f}" for v in row))
        for i in (0, len(source) // 2, len(source) - 1):
            frames.append(f"{name},{i},{signature(source.image(i)).tobytes().hex()}")
    return "\n".join(truth) + "\n", "\n".join(frames) + "\n"
