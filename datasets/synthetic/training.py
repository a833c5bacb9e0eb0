"""Random scenes and single images to train and validate on, from domains that the demo suite has no part in."""

from __future__ import annotations

import functools

import numpy as np

from rolo_bench.datasets.synthetic import frames as drawing
from rolo_bench.datasets.synthetic import scenery
from rolo_bench.datasets.synthetic.objects import CLASSES, Look, Patch, Pose, draw, make_look
from rolo_bench.datasets.synthetic.scenery import BACKDROPS, DOMAINS, HEIGHT, WIDTH, Image, Key, generator
from rolo_bench.datasets.synthetic.scenes import EFFECTS, SceneObject, SceneSpec
from rolo_bench.errors import DataError

_BANK = 40  # backgrounds that training images share
_COVER_BANK = 24


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
def _bank_place(domain: str, number: int) -> scenery.Place:
    rng = generator((DOMAINS[domain], number, 9_100))
    clutter = tuple(make_look((DOMAINS[domain], number, 9_101), "ball").colours) if number % 4 == 3 else ()
    return scenery.place((DOMAINS[domain], number, 9_102), str(rng.choice(BACKDROPS)), clutter)


@functools.lru_cache(maxsize=2 * _COVER_BANK)
def _bank_cover(domain: str, number: int) -> Image:
    rng = generator((DOMAINS[domain], number, 9_200))
    kind = drawing.COVERS[number % 3]
    w, h = (rng.integers(10, 60), HEIGHT) if kind == "pillar" else rng.integers(24, 120, 2)
    return drawing.make_cover((DOMAINS[domain], number, 9_201), kind, int(w), int(h))


def training_image(
    seed: int, domain: str = "train", count: tuple[int, int] = (1, 5)
) -> tuple[Image, list[SceneObject]]:
    """One random frame for training a detector, and all objects in it, whatever hides them.

    Objects, poses, occluders and light are as in the scenes; backgrounds come from a bank of
    40 places that is painted on first use, which makes an image cost a few milliseconds.

    Args:
        count: least and greatest number of objects; more of them teach more per image.

    Returns:
        RGB uint8 ``(240, 320, 3)`` and the objects in drawing order.

    Raises:
        DataError: ``domain`` is not ``train`` or ``valid``.
    """
    rng = generator(_open(domain, seed, 9_300))
    pan = (float(rng.uniform(-80, 80)), float(rng.uniform(-40, 40)))
    image = scenery.view(_bank_place(domain, int(rng.integers(_BANK))), pan)
    kind = str(rng.choice(CLASSES))
    actors: list[tuple[Look, Patch]] = []
    for number in range(int(rng.integers(count[0], count[1] + 1))):
        look = make_look((DOMAINS[domain], seed, 9_310 + number), kind)
        if actors and rng.random() < 0.5:  # another of the same kind and colours
            look = make_look((DOMAINS[domain], seed, 9_310 + number), actors[-1][0].kind, actors[-1][0])
        kind = str(rng.choice(CLASSES))
        actors.append((look, draw(look, _random_pose(rng))))
    for look, patch in actors:
        drawing.put(image, look, patch)
    covers: list[Patch] = []
    while len(covers) < 2 and rng.random() < 0.35:
        picture = _bank_cover(domain, int(rng.integers(_COVER_BANK)))
        x, y = float(rng.uniform(0, WIDTH)), float(rng.uniform(0, HEIGHT))
        covers.append(drawing.place_cover(picture, x, y))
        drawing.paste(image, covers[-1])
    objects = SceneObject.all_of([look for look, _ in actors], [patch for _, patch in actors], covers)
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
    red, green, blue = (1 + rng.uniform(-0.08, 0.08, 3)).tolist()
    gain = rng.uniform(0.42, 1.35) if rng.random() < 0.3 else rng.uniform(0.85, 1.1)
    cloud = (int(rng.integers(0, 960)), int(rng.integers(0, 720))) if rng.random() < 0.25 else None
    dx, dy = rng.uniform(-8, 8, 2).tolist() if rng.random() < 0.15 else (0.0, 0.0)
    coarse = 2.2 if rng.random() < 0.1 else 1.0
    grain = (int(rng.integers(64)), int(rng.integers(64)))
    return drawing.Finish(float(gain), (red, green, blue), cloud, (dx, dy), coarse, grain)
