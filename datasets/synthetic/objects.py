"""The things that move in synthetic scenes: outlines, looks, and drawing them.

An object is a list of coloured polygons (parts) in its own coordinates: the longer side is about
1, y points down, it faces right. A `Pose` places it in the image; a `Look` gives it colours, a
surface texture and proportions. Its true box is the extent of all its vertices, known to a
fraction of a pixel whether or not anything hides it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from rolo_bench.datasets.synthetic.scenery import Image, Key, as_image, generator, noise, rgb

Points = NDArray[np.float64]
Part = tuple[Points, int]  # outline (K, 2) and index into the look's colours

CLASSES = ("person", "car", "bird", "fish", "ball", "bottle", "star", "crate")
GROUNDED = frozenset({"person", "car", "bottle", "crate", "ball"})  # these throw a shadow on the ground
WALKING = frozenset({"person", "car", "crate"})  # these stay on the ground
FACING = frozenset({"person", "car", "bird", "fish"})  # these look where they go
# foreshortening: the share of its width that is left when it is seen end on (1: drawn in the round)
_NARROWEST = {
    "person": 0.6, "car": 0.4, "bird": 0.4, "fish": 0.36, "ball": 1, "bottle": 0.7, "star": 0.34, "crate": 1
}  # fmt: skip
_SHIFT = 4  # fractional bits of the coordinates given to OpenCV


@dataclass(frozen=True)
class Look:
    """What one individual looks like.

    Attributes:
        kind: its class, a name of `CLASSES`.
        colours: ``(6, 3)`` RGB in 0 … 255: main, second, dark, light, skin, accent.
        texture: ``(64, 64, 4)`` uint8 factors for the colours, 128 is 1; alpha stays 128.
        build: ``(4,)`` in 0 … 1, proportions.
    """

    kind: str
    colours: NDArray[np.float64]
    texture: Image
    build: NDArray[np.float64]


@dataclass(frozen=True)
class Pose:
    """Where an object is and how it stands; lengths in image pixels, angles in radians."""

    x: float
    y: float
    size: float
    angle: float = 0.0  # in the image plane
    turn: float = 0.0  # about the vertical axis; pi is facing left
    phase: float = 0.0  # of its gait, wing beat or roll
    bend: float = 0.0  # non-rigid bending, as a share of its size
    blur: tuple[float, float] = (0.0, 0.0)  # motion during the exposure


@dataclass(frozen=True)
class Patch:
    """A drawn thing: premultiplied RGBA uint8 ``(h, w, 4)`` whose corner is at pixel ``x, y``."""

    pixels: Image
    x: int
    y: int
    box: NDArray[np.float64] = field(default_factory=lambda: np.full(4, np.nan))  # true, of an object; or NaN


def make_look(key: Key, kind: str, like: Look | None = None, likeness: float = 0.85) -> Look:
    """The look of one individual. With ``like``, one that is easily mistaken for that look."""
    rng = generator(key)
    hue, accent = rng.random(), rng.random()
    colours = np.stack(
        [
            rgb(hue, rng.uniform(0.45, 0.95), rng.uniform(0.55, 0.98)),
            rgb(hue + rng.uniform(0.2, 0.8), rng.uniform(0.3, 0.9), rng.uniform(0.35, 0.98)),
            rgb(hue, 0.5, rng.uniform(0.08, 0.25)),
            rgb(0.55, rng.uniform(0.0, 0.25), rng.uniform(0.85, 1.0)),
            rgb(rng.uniform(0.04, 0.09), rng.uniform(0.3, 0.6), rng.uniform(0.4, 0.95)),
            rgb(accent, rng.uniform(0.5, 1.0), rng.uniform(0.5, 1.0)),
        ]
    )
    build = rng.random(4)
    grain = noise(rng, 64, 64, (24, 24), 3)
    u, v = np.meshgrid(np.arange(64, dtype=np.float32) / 64, np.arange(64, dtype=np.float32) / 64)
    style, rate, lean = rng.random(), rng.uniform(3, 8), rng.uniform(-1, 1)
    if style < 0.3:
        pattern = np.sign(np.sin(2 * np.pi * rate * (v + lean * u)))
    elif style < 0.55:
        pattern = np.sign(np.sin(2 * np.pi * rate * u) * np.sin(2 * np.pi * rate * v) - 0.25)
    else:
        pattern = np.zeros_like(u)
    tone = 128 + 62 * (grain - 0.5) + 17 * pattern + 36 * (0.5 - v) + 14 * (0.5 - u)
    texture = cv2.merge(
        [np.clip(np.rint(tone), 40, 235).astype(np.uint8)] * 3 + [np.full((64, 64), 128, np.uint8)]
    )
    if like is not None:
        colours = likeness * like.colours + (1 - likeness) * colours
        build = likeness * like.build + (1 - likeness) * build
    return Look(kind, colours, texture, build)


def _ellipse(x: float, y: float, rx: float, ry: float, count: int = 20) -> Points:
    return _circle(count) * (rx, ry) + (x, y)


@functools.cache
def _circle(count: int) -> Points:
    angles = np.arange(count) * (2 * np.pi / count)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _limb(
    x: float, y: float, angle: float, length: float, wide: float, narrow: float
) -> tuple[Points, float, float]:
    """A tapered limb hanging from ``x, y`` at ``angle`` from straight down, and where it ends."""
    s, c = np.sin(angle), np.cos(angle)
    ex, ey = x + length * s, y + length * c
    a, b = wide / 2, narrow / 2
    return (
        np.array(
            [
                [x - a * c, y + a * s], [x - 0.7 * a * s, y - 0.7 * a * c], [x + a * c, y - a * s],
                [ex + b * c, ey - b * s], [ex + 0.8 * b * s, ey + 0.8 * b * c], [ex - b * c, ey + b * s],
            ]
        ),
        ex,
        ey,
    )  # fmt: skip


def _person(build: NDArray[np.float64], phase: float, turn: float) -> list[Part]:
    parts: list[Part] = []
    stout = 0.85 + 0.4 * build[0]
    swing = 0.55 * np.sin(phase)
    for side in (-1, 1):  # the far leg and arm first
        hip = swing * side
        knee = hip - 0.55 * max(0.0, np.cos(phase) * side) - 0.08
        thigh, kx, ky = _limb(0.0, 0.02, hip, 0.24, 0.125 * stout, 0.095 * stout)
        shin, fx, fy = _limb(kx, ky, knee, 0.22, 0.09 * stout, 0.065 * stout)
        shoe = np.array([[-0.045, -0.02], [0.02, -0.03], [0.095, 0.015], [-0.045, 0.02]]) + [fx, fy]
        parts += [(thigh, 1), (shin, 1), (shoe, 2)]
        shoulder = -0.8 * swing * side
        upper, ex, ey = _limb(0.0, -0.27, shoulder, 0.17, 0.085 * stout, 0.07 * stout)
        fore, hx, hy = _limb(ex, ey, shoulder + 0.45, 0.15, 0.065 * stout, 0.05 * stout)
        sleeve = 0 if build[1] < 0.5 else 4
        arm: list[Part] = [(upper, 0), (fore, sleeve), (_ellipse(hx, hy, 0.03, 0.03, 8), 4)]
        if side < 0:
            parts += arm
            continue
        w = 0.12 * stout
        torso = np.array(
            [[-0.5 * w, -0.34], [0.5 * w, -0.34], [1.1 * w, -0.29], [w, -0.08], [0.95 * w, 0.07],
             [-0.95 * w, 0.07], [-w, -0.08], [-1.1 * w, -0.29]]
        )  # fmt: skip
        parts += [(torso, 0), (torso[[3, 4, 5, 6]] * [1.0, 0.4] + [0, 0.045], 2)]
        parts += [(np.array([[-0.03, -0.38], [0.03, -0.38], [0.035, -0.32], [-0.035, -0.32]]), 4)]
        parts += [(_ellipse(0.005, -0.425, 0.068, 0.085, 16), 4)]
        hair = _ellipse(-0.012, -0.455, 0.072, 0.066, 16)
        hair[2:7, 1] = -0.45
        parts += [(hair, 5 if build[2] < 0.5 else 2)]
        parts += arm
    return parts


def _car(build: NDArray[np.float64], phase: float, turn: float) -> list[Part]:
    roof = 0.21 + 0.08 * build[0]
    nose = 0.04 * build[1]
    body = np.array(
        [[-0.5, 0.10], [-0.49, -0.05], [-0.43, -0.09], [-0.30, -0.10], [-0.20, -roof], [0.08, -roof - 0.01],
         [0.24, -0.09], [0.43, -0.055 - nose], [0.495, 0.0], [0.5, 0.10], [0.46, 0.13], [-0.47, 0.13]]
    )  # fmt: skip
    glass = np.array([[-0.245, -0.095], [-0.175, -roof + 0.03], [0.07, -roof + 0.02], [0.185, -0.09]])
    post = np.array([[-0.06, -0.09], [-0.05, -roof + 0.02], [-0.02, -roof + 0.02], [-0.025, -0.09]])
    sill = np.array([[-0.48, 0.07], [0.49, 0.07], [0.46, 0.13], [-0.47, 0.13]])
    door = np.array([[-0.045, -0.085], [-0.035, -0.085], [-0.035, 0.07], [-0.045, 0.07]])
    parts: list[Part] = [(body, 0), (sill, 2), (glass, 3), (post, 0), (door, 2)]
    if build[2] < 0.5:
        parts.append((np.array([[-0.495, -0.01], [0.49, -0.01], [0.495, 0.03], [-0.497, 0.03]]), 1))
    parts.append((np.array([[0.44, -0.04], [0.485, -0.015], [0.49, 0.02], [0.45, 0.0]]), 3))
    parts.append((np.array([[-0.497, -0.045], [-0.455, -0.05], [-0.46, 0.0], [-0.495, 0.01]]), 5))
    for x in (-0.29, 0.30):
        parts.append((_ellipse(x, 0.125, 0.098, 0.098), 2))
        parts.append((_ellipse(x, 0.125, 0.058, 0.058, 14), 3))
        spoke = _ellipse(x, 0.125, 0.058, 0.015, 8)
        c, s = np.cos(phase), np.sin(phase)
        parts.append(((spoke - [x, 0.125]) @ np.array([[c, s], [-s, c]]) + [x, 0.125], 2))
    return parts


def _bird(build: NDArray[np.float64], phase: float, turn: float) -> list[Part]:
    beat = np.sin(phase)
    span = 0.36 + 0.12 * build[0]
    tip = -span * beat
    parts: list[Part] = []
    far = np.array(
        [[0.14, -0.04], [0.10, tip * 0.75 - 0.03], [-0.03, tip * 0.98], [-0.10, tip * 0.6], [-0.13, -0.02]]
    )
    parts.append((far, 2))
    tail = np.array([[-0.24, -0.05], [-0.50, -0.10], [-0.46, 0.0], [-0.50, 0.07], [-0.24, 0.04]])
    parts.append((tail, 1))
    parts.append((_ellipse(-0.02, 0.0, 0.30, 0.115 + 0.03 * build[1]), 0))
    parts.append((_ellipse(-0.02, 0.05, 0.22, 0.06, 14), 3))
    parts.append((_ellipse(0.29, -0.06, 0.10, 0.088, 16), 0))
    parts.append((np.array([[0.37, -0.085], [0.50, -0.04], [0.37, -0.02]]), 5))
    parts.append((_ellipse(0.32, -0.08, 0.02, 0.02, 8), 2))
    near = np.array(
        [[0.16, -0.02], [0.15, tip * 0.6], [0.06, tip], [-0.04, tip * 0.95 + 0.02], [-0.14, tip * 0.6 + 0.03],
         [-0.16, 0.03]]
    )  # fmt: skip
    parts.append((near, 1))
    return parts


def _fish(build: NDArray[np.float64], phase: float, turn: float) -> list[Part]:
    deep = 0.17 + 0.09 * build[0]
    x = np.linspace(-0.30, 0.5, 13)
    shape = np.sin(np.pi * (x + 0.36) / 0.86) ** 0.8
    top, low = -deep * shape, deep * shape
    body = np.concatenate([np.stack([x, top], 1), np.stack([x, low], 1)[::-1]])
    tail = np.array([[-0.27, -0.04], [-0.50, -0.19], [-0.44, 0.0], [-0.50, 0.19], [-0.27, 0.04]])
    dorsal = np.array(
        [[-0.12, -deep * 0.8], [-0.05, -deep - 0.10], [0.16, -deep * 0.95], [0.12, -deep * 0.7]]
    )
    belly = np.array([[-0.05, deep * 0.8], [-0.10, deep + 0.08], [0.10, deep * 0.85]])
    band = np.array([[0.10, -deep * 0.95], [0.17, -deep * 0.93], [0.15, deep * 0.95], [0.08, deep * 0.96]])
    parts: list[Part] = [(tail, 1), (dorsal, 1), (belly, 1), (body, 0)]
    for offset in (0.0, -0.19)[: 1 + int(build[1] < 0.6)]:
        parts.append((band * [1.0, 0.93 - 0.9 * abs(offset)] + [offset, 0.0], 5))
    fin = np.array([[0.16, 0.02], [0.0, 0.0 + 0.06 * np.sin(2 * phase)], [-0.02, 0.09], [0.14, 0.07]])
    eye, pupil = _ellipse(0.36, -0.05, 0.042, 0.042, 12), _ellipse(0.37, -0.05, 0.022, 0.022, 8)
    parts += [(fin, 1), (eye, 3), (pupil, 2)]
    waved = []
    for outline, colour in parts:
        shift = 0.075 * np.sin(phase + 4.0 * outline[:, 0]) * np.clip(0.45 - outline[:, 0], 0, None)
        waved.append((outline + np.stack([np.zeros_like(shift), shift], 1), colour))
    return waved


def _ball(build: NDArray[np.float64], phase: float, turn: float) -> list[Part]:
    pole = np.array([0.20 * np.sin(turn + 0.8), -0.15 * np.cos(phase * 0.5)])
    sectors = 6 if build[0] < 0.6 else 8
    parts: list[Part] = [(_ellipse(0, 0, 0.5, 0.5, 32), 3)]
    a = phase + _spokes(sectors)  # (sectors, 6)
    unit = np.stack([np.cos(a), np.sin(a)], 2)
    rim = 0.5 * unit
    ends = np.stack([-unit[:, [0, -1], 1], unit[:, [0, -1], 0]], 2)
    middle = 0.5 * (rim[:, [0, -1]] + pole) + 0.06 * ends
    leaves = np.concatenate(
        [np.broadcast_to(pole, (sectors, 1, 2)), middle[:, :1], rim, middle[:, 1:]], axis=1
    )
    for k in range(sectors):
        parts.append((leaves[k], (0, 3, 5)[k % 3] if build[1] < 0.5 else (0, 3)[k % 2]))
    parts.append((_ellipse(pole[0], pole[1], 0.06, 0.06, 12), 1))
    return parts


@functools.cache
def _spokes(sectors: int) -> NDArray[np.float64]:
    """Angles ``(sectors, 6)`` along the rim of each sector of a ball."""
    return np.stack([np.linspace(k, k + 1, 6) * (2 * np.pi / sectors) for k in range(sectors)])


def _bottle(build: NDArray[np.float64], phase: float, turn: float) -> list[Part]:
    w, n = 0.13 + 0.05 * build[0], 0.045 + 0.02 * build[1]
    right = np.array(
        [[n, -0.44], [n, -0.27], [0.55 * w + n * 0.4, -0.19], [w, -0.08], [w, 0.44], [w * 0.85, 0.5]]
    )
    body = np.concatenate([right, (right * [-1.0, 1.0])[::-1]])
    label = np.array([[-w, 0.04], [w, 0.04], [w, 0.30], [-w, 0.30]])
    badge = _ellipse(0.5 * w * np.sin(turn + phase * 0.3), 0.17, 0.45 * w, 0.075, 14)
    cap = np.array([[-n - 0.01, -0.5], [n + 0.01, -0.5], [n + 0.01, -0.415], [-n - 0.01, -0.415]])
    gleam = np.array([[-0.7 * w, -0.05], [-0.45 * w, -0.08], [-0.45 * w, 0.44], [-0.7 * w, 0.44]])
    return [(body, 0), (gleam, 3), (label, 1), (badge, 5), (cap, 2)]


def _star(build: NDArray[np.float64], phase: float, turn: float) -> list[Part]:
    inner = 0.21 + 0.05 * build[0] + 0.02 * np.sin(phase)
    angles = -np.pi / 2 + np.arange(10) * (np.pi / 5)
    radius = np.where(np.arange(10) % 2 == 0, 0.5, inner)
    rim = np.stack([radius * np.cos(angles), radius * np.sin(angles)], 1)
    parts: list[Part] = [(rim, 0)]
    centre = np.zeros((1, 2))
    for k in range(0, 10, 2):  # a darker facet on one side of each ray
        parts.append((np.concatenate([centre, rim[[k, (k + 1) % 10]]]), 1))
    parts.append((_ellipse(0, 0, 0.11, 0.11, 14), 5))
    return parts


def _crate(build: NDArray[np.float64], phase: float, turn: float) -> list[Part]:
    yaw = turn + 0.6
    half = np.array([0.36, 0.33 + 0.08 * build[0], 0.36])
    c, s, tilt = np.cos(yaw), np.sin(yaw), 0.36
    axes = np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])  # rows: the box's own axes in the world
    parts: list[Part] = []
    for axis, sign, colour in ((1, -1, 3), (0, 1, 0), (0, -1, 0), (2, 1, 1), (2, -1, 1)):
        normal = sign * axes[axis]
        if normal[2] * np.cos(tilt) - normal[1] * np.sin(tilt) <= 0.02:  # it faces away
            continue
        u, v = (k for k in range(3) if k != axis)

        def project(
            a: float, b: float, n: NDArray = normal * half[axis], u: int = u, v: int = v
        ) -> list[float]:
            p = n + a * half[u] * axes[u] + b * half[v] * axes[v]
            return [p[0], p[1] * np.cos(tilt) + p[2] * np.sin(tilt)]

        parts.append((np.array([project(-1, -1), project(1, -1), project(1, 1), project(-1, 1)]), colour))
        for low, high in ((-0.8, -0.08), (0.08, 0.8)):
            panel = [project(-0.8, low), project(0.8, low), project(0.8, high), project(-0.8, high)]
            parts.append((np.array(panel), 5))
    return parts


_OUTLINES: dict[str, Callable[[NDArray[np.float64], float, float], list[Part]]] = {
    "person": _person, "car": _car, "bird": _bird, "fish": _fish,
    "ball": _ball, "bottle": _bottle, "star": _star, "crate": _crate,
}  # fmt: skip


def _affine(pose: Pose, kind: str) -> NDArray[np.float64]:
    """Object to image coordinates ``(2, 3)``: foreshortening, mirroring, size, rotation, place."""
    c = np.cos(pose.turn)
    least = _NARROWEST[kind]
    narrow = 1.0 if least == 1 else (1.0 if c >= 0 else -1.0) * (least + (1 - least) * abs(c))
    ca, sa = np.cos(pose.angle), np.sin(pose.angle)
    right, down = pose.size * narrow, pose.size
    return np.array([[right * ca, -down * sa, pose.x], [right * sa, down * ca, pose.y]])


def outline(look: Look, pose: Pose) -> list[Part]:
    """The parts of an object as polygons in image coordinates (continuous, pixel centres at .5)."""
    parts = _OUTLINES[look.kind](look.build, pose.phase, pose.turn)
    points = np.concatenate([p for p, _ in parts])
    if pose.bend:
        points = points.copy()
        points[:, 0] += pose.bend * np.sin(5.0 * points[:, 1] + pose.phase)
        points[:, 1] += 0.6 * pose.bend * np.sin(4.0 * points[:, 0] + 0.7 * pose.phase)
    matrix = _affine(pose, look.kind)
    points = points @ matrix[:, :2].T + matrix[:, 2]
    ends = np.cumsum([len(p) for p, _ in parts])
    return [(points[end - len(p) : end], colour) for end, (p, colour) in zip(ends, parts)]


def extent(parts: list[Part]) -> NDArray[np.float64]:
    """The box ``(4,)`` x, y, w, h around all vertices."""
    points = np.concatenate([p for p, _ in parts])
    low, high = points.min(axis=0), points.max(axis=0)
    return np.concatenate([low, high - low])


def box_of(look: Look, pose: Pose) -> NDArray[np.float64]:
    """The true box ``(4,)`` of an object: the whole of it, hidden or not, inside the image or not."""
    return extent(outline(look, pose))


def draw(look: Look, pose: Pose) -> Patch:
    """Draw an object at twice the resolution, shade it, and bring it down to size."""
    parts = outline(look, pose)
    box = extent(parts)
    pad = 3 + int(max(abs(pose.blur[0]), abs(pose.blur[1])) / 2)
    x0, y0 = int(np.floor(box[0])) - pad, int(np.floor(box[1])) - pad
    w, h = int(np.ceil(box[0] + box[2])) + pad - x0, int(np.ceil(box[1] + box[3])) + pad - y0
    big = np.zeros((2 * h, 2 * w, 4), np.uint8)
    colours = np.clip(np.rint(look.colours), 0, 255).astype(int).tolist()
    # OpenCV counts pixel centres as whole numbers and its smooth edges reach half a pixel out
    scale, offset = 2 * (1 << _SHIFT), np.array([x0, y0])
    for points, colour in parts:
        fixed = np.rint((points - offset) * scale - (1 << _SHIFT) / 2).astype(np.int32)
        cv2.fillPoly(big, [fixed], (*colours[colour], 255), cv2.LINE_AA, _SHIFT)
    flat = as_image(cv2.resize(big, (w, h), interpolation=cv2.INTER_AREA))
    pixels = cv2.multiply(flat, _shading(look, pose, flat[..., 3], (x0, y0)), scale=1 / 128)
    return Patch(_smear(as_image(pixels), pose.blur), x0, y0, box)


def _shading(look: Look, pose: Pose, alpha: Image, corner: tuple[int, int]) -> Image:
    """Factors ``(h, w, 4)``, 128 is 1: the surface texture, lit from the upper left."""
    forward = _affine(pose, look.kind)
    forward = np.hstack([forward[:, :2], forward[:, 2:] - np.array(corner)[:, None]])
    # texture pixel = (object coordinate + 0.5) * 64
    matrix = np.hstack(
        [forward[:, :2] / 64, forward[:, 2:] - 0.5 * forward[:, :2].sum(axis=1, keepdims=True)]
    )
    size = (alpha.shape[1], alpha.shape[0])
    texture = cv2.warpAffine(look.texture, matrix, size, borderMode=cv2.BORDER_REFLECT_101)
    reach = max(1, int(pose.size / 14))
    soft = cv2.blur(alpha, (2 * reach + 1, 2 * reach + 1), borderType=cv2.BORDER_CONSTANT)
    step = max(1, (reach + 1) // 2)
    padded = cv2.copyMakeBorder(soft, step, step, step, step, cv2.BORDER_CONSTANT, value=0)
    lit, dark = padded[2 * step :, 2 * step :], padded[: -2 * step, : -2 * step]
    tone = cv2.addWeighted(lit, 0.22, dark, -0.26, 128.0)
    full = np.full_like(tone, 128)
    return as_image(cv2.multiply(texture, cv2.merge([tone, tone, tone, full]), scale=1 / 128))


def _smear(pixels: Image, blur: tuple[float, float]) -> Image:
    """Motion blur along a straight line of ``blur`` pixels (dx, dy)."""
    length = max(abs(blur[0]), abs(blur[1]))
    if length < 1.5:
        return pixels
    return as_image(cv2.filter2D(pixels, -1, line_kernel(blur), borderType=cv2.BORDER_CONSTANT))


def line_kernel(blur: tuple[float, float]) -> NDArray[np.float32]:
    """A normalised kernel for blur along a line of ``blur`` pixels (dx, dy)."""
    side = 2 * int(np.ceil(max(abs(blur[0]), abs(blur[1])) / 2)) + 1
    kernel = np.zeros((side, side), np.uint8)
    middle = side // 2
    ends = [
        (round((middle + sign * blur[0] / 2) * 16), round((middle + sign * blur[1] / 2) * 16))
        for sign in (-1, 1)
    ]
    cv2.line(kernel, ends[0], ends[1], 255, 1, cv2.LINE_AA, 4)
    return (kernel / np.float32(kernel.sum())).astype(np.float32)
