"""Seeds, noise and the textured places in which synthetic scenes happen.

Everything here is a pure function of a key. A key is a tuple of integers whose first entry is
the domain (`DOMAINS`), handed to numpy's SeedSequence as its spawn key; keys of different
domains can never give the same stream, so what a network was trained on cannot turn up in
the demo suite.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from rolo_bench.sequence import Image

Key = tuple[int, ...]

DOMAINS = {"demo": 1, "train": 2, "valid": 3}
BACKDROPS = ("meadow", "street", "sea", "room", "forest")
WIDTH, HEIGHT = 320, 240
MARGIN = 96  # px by which a place is larger than the image on every side: how far a camera may pan
FAR_RATE = 0.45  # parallax: the far layer moves this much per pixel of camera motion


def generator(key: Key) -> np.random.Generator:
    """The random stream of ``key``: PCG64, seeded by a spawn key, the same on every machine."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy=20160807, spawn_key=key)))


def noise(
    rng: np.random.Generator, height: int, width: int, cell: tuple[float, float], octaves: int = 4
) -> NDArray[np.float32]:
    """Multi-octave value noise ``(height, width)`` in 0 … 1; ``cell`` is the coarsest grain (x, y) in pixels."""
    total = np.zeros((height, width), np.float32)
    weight, sum_of_weights = 1.0, 0.0
    for octave in range(octaves):
        columns = min(width, max(2, round(width / cell[0] * 2**octave) + 1))
        rows = min(height, max(2, round(height / cell[1] * 2**octave) + 1))
        grid = rng.random((rows, columns), dtype=np.float32)
        total += np.float32(weight) * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        sum_of_weights += weight
        weight *= 0.55
    spread = (total / np.float32(sum_of_weights) - np.float32(0.5)) * np.float32(1.7) + np.float32(0.5)
    return np.clip(spread, 0, 1)


def rgb(hue: float, saturation: float, value: float) -> NDArray[np.float64]:
    """An RGB colour ``(3,)`` in 0 … 255 from hue (turns), saturation and value in 0 … 1."""
    return np.array(colorsys.hsv_to_rgb(hue % 1.0, min(max(saturation, 0), 1), min(max(value, 0), 1))) * 255.0


def paint(values: NDArray[np.float32], stops: list[NDArray[np.float64]]) -> Image:
    """Values ``(H, W)`` in 0 … 1 painted with a ramp of colours: RGB uint8 ``(H, W, 3)``."""
    grid = np.linspace(0, 1, len(stops))
    ramp = np.stack(
        [np.interp(np.arange(256) / 255.0, grid, [s[c] for s in stops]) for c in range(3)], axis=1
    )
    table = np.clip(np.rint(ramp), 0, 255).astype(np.uint8)
    return table[np.rint(values * 255).astype(np.uint8)]


@dataclass(frozen=True)
class Place:
    """A backdrop in two layers, each RGB ``(HEIGHT + 2 MARGIN, WIDTH + 2 MARGIN, 3)``.

    ``near`` is premultiplied by ``cover`` (the same shape, 255 where the near layer is opaque) and
    moves with the camera; ``far`` moves at `FAR_RATE` of it.
    """

    far: Image
    near: Image
    open_rows: int  # rows of the layer from the top in which the far layer can be seen at all
    gap: Image  # 255 - cover


def place(key: Key, backdrop: str, clutter: tuple[NDArray[np.float64], ...] = ()) -> Place:
    """Paint a place. ``clutter`` lists colours of blobs to scatter over it (background clutter)."""
    rng = generator(key)
    h, w = HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN
    far, near, cover = _LAYERS[backdrop](rng, h, w)
    if clutter:
        _scatter(rng, near, cover, clutter)
    soft = cv2.merge([cover] * 3)
    near = as_image(cv2.multiply(near, soft, scale=1 / 255))
    holes = np.flatnonzero((cover < 255).any(axis=1))
    return Place(far, near, int(holes[-1]) + 1 if len(holes) else 0, as_image(255 - soft))


def view(at: Place, pan: tuple[float, float]) -> Image:
    """What the camera sees, RGB ``(HEIGHT, WIDTH, 3)``; ``pan`` (px) is cut to the place's margins."""
    image = _shift(at.near, pan)
    rows = min(int(at.open_rows - MARGIN - pan[1]) + 2, HEIGHT)  # below them the near layer is all there is
    if rows > 2:
        gap = _shift(at.gap, pan, rows)
        far = _shift(at.far, (pan[0] * FAR_RATE, pan[1] * FAR_RATE), rows)
        image[:rows] = cv2.add(image[:rows], cv2.multiply(far, gap, scale=1 / 255))
    return image


def as_image(values: object) -> Image:
    """What OpenCV returned, under its exact type."""
    return np.asarray(values, dtype=np.uint8)


def _shift(layer: Image, pan: tuple[float, float], rows: int = HEIGHT) -> Image:
    """The upper ``rows`` of the window of a layer at ``pan``, to a thirty-second of a pixel."""
    x, y = (round(min(max(p, 1 - MARGIN), MARGIN - 1) * 32) / 32 + MARGIN for p in pan)
    left, top = int(x), int(y)
    part = layer[top : top + rows + 1, left : left + WIDTH + 1]
    return blend_shift(part, x - left, y - top)


def blend_shift(pixels: Image, dx: float, dy: float) -> Image:
    """Pixels ``(h + 1, w + 1, C)`` read ``dx, dy`` in 0 … 1 further on, linearly: ``(h, w, C)``."""
    rows = cv2.addWeighted(pixels[:, :-1], 1 - dx, pixels[:, 1:], dx, 0)
    return as_image(cv2.addWeighted(rows[:-1], 1 - dy, rows[1:], dy, 0))


def _sky(rng: np.random.Generator, h: int, w: int) -> Image:
    hue = rng.uniform(0.52, 0.64)
    clouds = noise(rng, h, w, (150, 70), 5)
    fall = np.linspace(0.35, -0.15, h, dtype=np.float32)[:, None]
    return paint(
        np.clip(clouds + fall - 0.1, 0, 1),
        [rgb(hue, 0.10, 0.97), rgb(hue, 0.28, 0.92), rgb(hue, 0.45, 0.85), rgb(hue + 0.02, 0.6, 0.7)],
    )


def _ridge(
    rng: np.random.Generator, w: int, level: float, height: float, grain: float
) -> NDArray[np.float64]:
    """The height of a skyline ``(w,)`` in rows."""
    return level + height * (noise(rng, 2, w, (grain, 2), 4)[0].astype(np.float64) - 0.5)


def _below(ridge: NDArray[np.float64], h: int) -> Image:
    """Coverage ``(h, w)``: 255 below a skyline, smooth over one pixel."""
    rows = np.arange(h)[:, None]
    return np.rint(np.clip(rows - ridge[None] + 0.5, 0, 1) * 255).astype(np.uint8)


def _over(under: Image, paint_: Image, cover: Image) -> Image:
    alpha = cv2.merge([cover] * 3)
    return as_image(
        cv2.add(cv2.multiply(under, 255 - alpha, scale=1 / 255), cv2.multiply(paint_, alpha, scale=1 / 255))
    )


def _meadow(rng: np.random.Generator, h: int, w: int) -> tuple[Image, Image, Image]:
    far = _sky(rng, h, w)
    hills = noise(rng, h, w, (90, 40), 5)
    slopes = paint(hills, [rgb(0.45, 0.35, 0.45), rgb(0.38, 0.35, 0.55), rgb(0.33, 0.4, 0.6)])
    far = _over(far, slopes, _below(_ridge(rng, w, h * 0.42, 60, 160), h))
    hue = rng.uniform(0.17, 0.33)
    ground = noise(rng, h, w, (70, 22), 6)
    blades = noise(rng, h, w, (5, 14), 2)
    mixed = np.clip(0.62 * ground + 0.38 * blades, 0, 1)
    grass = [
        rgb(hue + 0.03, 0.65, 0.25),
        rgb(hue, 0.6, 0.45),
        rgb(hue - 0.03, 0.5, 0.62),
        rgb(hue - 0.06, 0.4, 0.75),
    ]
    cover = _below(_ridge(rng, w, h * rng.uniform(0.36, 0.52), 26, 120), h)
    near = paint(mixed, grass)
    for _ in range(int(rng.integers(10, 40))):  # flowers, stones and shrubs, larger towards the front
        y = rng.uniform(0.5 * h, h)
        reach = rng.uniform(2, 9) * (y / h) ** 2
        shades = [rgb(hue, 0.6, 0.3), rgb(0.1, 0.1, 0.6), rgb(0.13, 0.7, 0.9), rgb(0.9, 0.3, 0.95)]
        shade = shades[int(rng.integers(4))]
        for _ in range(int(rng.integers(1, 7))):
            spot = (rng.uniform(0, w), y + rng.uniform(-6, 6))
            centre = (round(spot[0] * 16), round(spot[1] * 16))
            axes = (round(reach * 16), round(reach * 10))
            cv2.ellipse(
                near, centre, axes, 0, 0, 360, (shade * rng.uniform(0.7, 1.1)).tolist(), -1, cv2.LINE_AA, 4
            )
    return far, near, cover


def _street(rng: np.random.Generator, h: int, w: int) -> tuple[Image, Image, Image]:
    far = _sky(rng, h, w)
    horizon = round(h * rng.uniform(0.5, 0.6))
    asphalt = noise(rng, h, w, (60, 25), 6)
    tone = rng.uniform(0.3, 0.55)
    near = paint(asphalt, [rgb(0.6, 0.05, tone - 0.14), rgb(0.6, 0.04, tone), rgb(0.1, 0.06, tone + 0.16)])
    cover = np.zeros((h, w), np.uint8)
    cover[horizon:] = 255
    grime = cv2.merge([np.rint(150 + 105 * noise(rng, h, w, (40, 40), 5)).astype(np.uint8)] * 3)
    x = 0
    while x < w:
        width, top = int(rng.integers(36, 90)), horizon - int(rng.integers(60, 190))
        wall = rgb(rng.random(), rng.uniform(0.05, 0.45), rng.uniform(0.4, 0.85))
        cv2.rectangle(near, (x, top), (x + width - 1, horizon), wall.tolist(), -1)
        cover[max(top, 0) : horizon, x : x + width] = 255
        pane = rgb(0.58, rng.uniform(0.1, 0.5), rng.uniform(0.2, 0.9))
        step_x, step_y = int(rng.integers(10, 17)), int(rng.integers(13, 22))
        for wy in range(top + 6, horizon - step_y, step_y):
            for wx in range(x + 5, x + width - step_x + 3, step_x):
                glow = pane * rng.uniform(0.6, 1.1)
                cv2.rectangle(near, (wx, wy), (wx + step_x - 6, wy + step_y - 7), glow.tolist(), -1)
        x += width + int(rng.integers(0, 12))
    near[:horizon] = cv2.multiply(near[:horizon], grime[:horizon], scale=1 / 230)
    kerb = horizon + 14
    near[horizon:kerb] = cv2.add(near[horizon:kerb], np.full_like(near[horizon:kerb], 42))
    for lane in (kerb + 40, kerb + 105):
        for start in range(-20, w, 70):
            quad = np.array(
                [[start, lane], [start + 38, lane], [start + 34, lane + 6], [start - 6, lane + 6]]
            )
            cv2.fillPoly(near, [quad.astype(np.int32)], (214, 210, 190), cv2.LINE_AA)
    return far, near, cover


def _sea(rng: np.random.Generator, h: int, w: int) -> tuple[Image, Image, Image]:
    hue = rng.uniform(0.47, 0.62)
    waves = 0.6 * noise(rng, h, w, (60, 14), 5) + 0.4 * noise(rng, h, w, (120, 80), 4)
    depth = np.linspace(0.18, -0.18, h, dtype=np.float32)[:, None]
    near = paint(
        np.clip(waves + depth, 0, 1),
        [
            rgb(hue + 0.03, 0.85, 0.22),
            rgb(hue, 0.75, 0.45),
            rgb(hue - 0.02, 0.6, 0.62),
            rgb(hue - 0.04, 0.25, 0.92),
        ],
    )
    sand = paint(
        noise(rng, h, w, (50, 18), 6), [rgb(0.1, 0.5, 0.35), rgb(0.11, 0.42, 0.6), rgb(0.12, 0.3, 0.8)]
    )
    near = _over(near, sand, _below(_ridge(rng, w, h * rng.uniform(0.72, 0.95), 50, 90), h))
    return near, near.copy(), np.full((h, w), 255, np.uint8)


def _room(rng: np.random.Generator, h: int, w: int) -> tuple[Image, Image, Image]:
    floor = round(h * rng.uniform(0.6, 0.72))
    hue, value = rng.random(), rng.uniform(0.45, 0.85)
    plaster = noise(rng, h, w, (40, 40), 6)
    near = paint(
        plaster, [rgb(hue, 0.4, value - 0.25), rgb(hue, 0.3, value), rgb(hue + 0.03, 0.22, value + 0.1)]
    )
    if rng.random() < 0.6:  # bricks or tiles
        step_x, step_y = int(rng.integers(22, 44)), int(rng.integers(11, 24))
        line = (rgb(hue, 0.25, value - 0.3)).tolist()
        for row, y in enumerate(range(0, floor, step_y)):
            cv2.line(near, (0, y), (w, y), line, 1, cv2.LINE_AA)
            for x in range((row % 2) * step_x // 2, w, step_x):
                cv2.line(near, (x, y), (x, y + step_y), line, 1, cv2.LINE_AA)
    for _ in range(int(rng.integers(2, 6))):  # pictures and shelves
        x, y = int(rng.integers(0, w - 60)), int(rng.integers(10, floor - 70))
        dx, dy = int(rng.integers(26, 70)), int(rng.integers(20, 54))
        art = paint(noise(rng, dy, dx, (18, 18), 3), [rgb(rng.random(), 0.5, v) for v in (0.25, 0.55, 0.9)])
        cv2.rectangle(near, (x - 3, y - 3), (x + dx + 2, y + dy + 2), rgb(0.08, 0.5, 0.3).tolist(), -1)
        near[y : y + dy, x : x + dx] = art[:, : w - x]
    hue = rng.uniform(0.04, 0.11)
    wood = noise(rng, h, w, (160, 7), 5)
    boards = paint(wood, [rgb(hue, 0.6, 0.25), rgb(hue, 0.55, 0.45), rgb(hue + 0.02, 0.45, 0.65)])
    near[floor:] = boards[floor:]
    for y in range(floor, h, 22):
        cv2.line(near, (0, y), (w, y), rgb(hue, 0.6, 0.2).tolist(), 1, cv2.LINE_AA)
    return near, near.copy(), np.full((h, w), 255, np.uint8)


def _forest(rng: np.random.Generator, h: int, w: int) -> tuple[Image, Image, Image]:
    hue = rng.uniform(0.2, 0.4)
    leaves = noise(rng, h, w, (36, 30), 6)
    greens = [
        rgb(hue, 0.7, 0.12),
        rgb(hue, 0.6, 0.32),
        rgb(hue - 0.05, 0.5, 0.55),
        rgb(hue - 0.08, 0.25, 0.85),
    ]
    far = paint(leaves, greens)
    litter = noise(rng, h, w, (30, 12), 6)
    near = paint(
        litter, [rgb(0.07, 0.6, 0.18), rgb(0.09, 0.5, 0.36), rgb(0.13, 0.45, 0.52), rgb(hue, 0.4, 0.6)]
    )
    cover = _below(_ridge(rng, w, h * rng.uniform(0.55, 0.7), 30, 80), h)
    bark = paint(
        noise(rng, h, w, (6, 60), 4), [rgb(0.07, 0.45, 0.15), rgb(0.08, 0.35, 0.38), rgb(0.1, 0.25, 0.55)]
    )
    for _ in range(int(rng.integers(5, 10))):
        x, wide = float(rng.uniform(0, w)), float(rng.uniform(5, 15))
        foot = h * rng.uniform(0.62, 0.8)
        lean = rng.uniform(-12, 12)
        quad = np.array(
            [[x - wide + lean, -2], [x + wide + lean, -2], [x + 1.4 * wide, foot], [x - 1.4 * wide, foot]]
        )
        trunk = np.zeros((h, w), np.uint8)
        cv2.fillPoly(trunk, [np.rint(quad).astype(np.int32)], 255, cv2.LINE_AA)
        near = _over(near, bark, trunk)
        cover = np.maximum(cover, trunk)
    return far, near, cover


def _scatter(
    rng: np.random.Generator, near: Image, cover: Image, colours: tuple[NDArray[np.float64], ...]
) -> None:
    """Blobs of the given colours all over a layer (in place): clutter that looks like the target's colours."""
    h, w = cover.shape
    angles = np.linspace(0, 2 * np.pi, 14, endpoint=False)
    for number in range(130):
        radius = rng.uniform(6, 19) * (1 + 0.45 * np.sin(3 * angles + rng.uniform(0, 6)) * rng.random())
        spot = np.stack(
            [rng.uniform(0, w) + radius * np.cos(angles), rng.uniform(0, h) + radius * np.sin(angles)], 1
        )
        colour = np.clip(colours[number % len(colours)] * rng.uniform(0.6, 1.15), 0, 255)
        points = np.rint(spot * 16).astype(np.int32)
        cv2.fillPoly(near, [points], colour.tolist(), cv2.LINE_AA, shift=4)
        cv2.fillPoly(cover, [points], 255, cv2.LINE_AA, shift=4)


_LAYERS = {"meadow": _meadow, "street": _street, "sea": _sea, "room": _room, "forest": _forest}
