"""Putting a synthetic frame together: background, objects, occluders, light, blur and noise."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cv2
import numpy as np
from cv2.typing import MatLike

from rolo_bench.datasets.synthetic import scenery
from rolo_bench.datasets.synthetic.objects import GROUNDED, Look, Patch, line_kernel
from rolo_bench.datasets.synthetic.scenery import HEIGHT, WIDTH, Image, Key, as_image, generator, noise, rgb

COVERS = ("pillar", "board", "bush")


@dataclass(frozen=True)
class Finish:
    """What happens to a frame after everything is drawn.

    Attributes:
        gain: brightness factor; 1 leaves it.
        tint: per channel factors of the light's colour.
        cloud: ``(x, y)`` corner, px, in the shadow map, or None for no local shadow.
        blur: camera motion during the exposure, px.
        coarse: factor by which the resolution is reduced (1: not).
        grain: which window of the sensor-noise tile is added.
    """

    gain: float = 1.0
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    cloud: tuple[int, int] | None = None
    blur: tuple[float, float] = (0.0, 0.0)
    coarse: float = 1.0
    grain: tuple[int, int] = (0, 0)


def paste(image: Image, patch: Patch) -> None:
    """Lay a premultiplied patch over an image, in place; what lies outside is cut off."""
    h, w = patch.pixels.shape[:2]
    x0, y0, x1, y1 = max(patch.x, 0), max(patch.y, 0), min(patch.x + w, WIDTH), min(patch.y + h, HEIGHT)
    if x0 >= x1 or y0 >= y1:
        return
    part = patch.pixels[y0 - patch.y : y1 - patch.y, x0 - patch.x : x1 - patch.x]
    clear = 255 - part[..., 3]
    behind = cv2.multiply(image[y0:y1, x0:x1], cv2.merge([clear, clear, clear]), scale=1 / 255)
    image[y0:y1, x0:x1] = cv2.add(behind, cv2.cvtColor(part, cv2.COLOR_RGBA2RGB))


def shown(patch: Patch, front: list[Patch]) -> float:
    """The share 0 … 1 of a patch's area that is inside the image and not under the patches in front."""
    alpha = patch.pixels[..., 3]
    total = float(alpha.sum(dtype=np.int64))
    h, w = alpha.shape
    x0, y0, x1, y1 = max(patch.x, 0), max(patch.y, 0), min(patch.x + w, WIDTH), min(patch.y + h, HEIGHT)
    if x0 >= x1 or y0 >= y1 or total == 0:
        return 0.0
    left = alpha[y0 - patch.y : y1 - patch.y, x0 - patch.x : x1 - patch.x].copy()
    for other in front:
        oh, ow = other.pixels.shape[:2]
        a0, b0 = max(x0, other.x), max(y0, other.y)
        a1, b1 = min(x1, other.x + ow), min(y1, other.y + oh)
        if a0 < a1 and b0 < b1:
            over = other.pixels[b0 - other.y : b1 - other.y, a0 - other.x : a1 - other.x, 3]
            part = left[b0 - y0 : b1 - y0, a0 - x0 : a1 - x0]
            left[b0 - y0 : b1 - y0, a0 - x0 : a1 - x0] = cv2.multiply(part, 255 - over, scale=1 / 255)
    return float(left.sum(dtype=np.int64)) / total


@functools.lru_cache(maxsize=1)
def _blot() -> Image:
    """A soft dark ellipse ``(32, 96)``: how much light a shadow on the ground takes away."""
    y, x = np.mgrid[-1:1:32j, -1:1:96j]
    return np.rint(np.clip(1.15 - np.sqrt(x * x + y * y), 0, 1) ** 1.3 * 120).astype(np.uint8)


def shadow(look: Look, patch: Patch) -> Patch | None:
    """The shadow that a drawn object throws on the ground, or None for one that floats."""
    box = patch.box
    if look.kind not in GROUNDED:
        return None
    w, h = max(8, round(1.25 * box[2])), max(4, round(0.16 * min(box[3], 2 * box[2]) + 2))
    alpha = cv2.resize(_blot(), (w, h), interpolation=cv2.INTER_AREA)
    pixels = np.zeros((h, w, 4), np.uint8)
    pixels[..., 3] = alpha
    return Patch(pixels, round(box[0] + 0.42 * box[2] - 0.42 * w), round(box[1] + box[3] - 0.55 * h))


def put(image: Image, look: Look, patch: Patch) -> None:
    """Lay a drawn object over an image, in place, after the shadow that it throws."""
    shade = shadow(look, patch)
    if shade is not None:
        paste(image, shade)
    paste(image, patch)


def make_cover(key: Key, kind: str, width: int, height: int) -> Image:
    """An occluder that hides a rectangle of ``width`` by ``height`` px: premultiplied RGBA.

    The picture is larger than that rectangle by the same border on every side, except for a
    pillar, which is as high as the image and more.
    """
    rng = generator(key)
    border = 8 if kind != "bush" else round(0.11 * max(width, height)) + 10
    w, h = width + 2 * border, (2 * HEIGHT if kind == "pillar" else height + 2 * border)
    hue, value = rng.random(), rng.uniform(0.35, 0.7)
    if kind == "bush":
        texture = noise(rng, h, w, (16, 16), 4)
        hue = rng.uniform(0.22, 0.4)
        face = scenery.paint(texture, [rgb(hue, 0.75, 0.1), rgb(hue, 0.65, 0.35), rgb(hue - 0.05, 0.5, 0.65)])
        angles = np.linspace(0, 2 * np.pi, 90, endpoint=False)
        ragged = 1 + 0.05 * np.sin(9 * angles + rng.uniform(0, 6))
        ragged += 0.035 * np.sin(23 * angles + rng.uniform(0, 6))
        c, s = np.cos(angles), np.sin(angles)
        edge = np.stack(
            [np.sign(c) * np.abs(c) ** 0.45 * (w / 2 - 3), np.sign(s) * np.abs(s) ** 0.45 * (h / 2 - 3)], 1
        )
        edge = edge * ragged[:, None] / 1.085 + [w / 2, h / 2]
    else:
        texture = noise(rng, h, w, (7, 90) if kind == "pillar" else (60, 9), 5)
        face = scenery.paint(
            texture, [rgb(hue, 0.35, value - 0.25), rgb(hue, 0.3, value), rgb(hue + 0.03, 0.2, value + 0.25)]
        )
        edge = np.array([[2, 2], [w - 3, 2], [w - 3, h - 3], [2, h - 3]], dtype=np.float64)
        if kind == "pillar":
            round_ = (0.55 + 0.5 * np.sin(np.pi * (np.arange(w) + 0.5) / w) ** 0.7)[None, :, None]
            face = np.clip(face * round_, 0, 255).astype(np.uint8)
        else:
            frame = rgb(hue, 0.5, value - 0.3).tolist()
            cv2.rectangle(face, (3, 3), (w - 4, h - 4), frame, 4, cv2.LINE_AA)
            for x in range(16 + border, w - 8, max(18, w // 6)):
                cv2.line(face, (x, 4), (x, h - 5), frame, 1, cv2.LINE_AA)
    alpha = np.zeros((h, w), np.uint8)
    cv2.fillPoly(alpha, [np.rint(edge * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    soft = cv2.merge([alpha] * 3)
    return np.dstack([cv2.multiply(face, soft, scale=1 / 255), alpha])


def place_cover(cover: Image, x: float, y: float) -> Patch:
    """An occluder with its centre at ``x, y``, to a thirty-second of a pixel."""
    h, w = cover.shape[:2]
    left, top = round((x - w / 2) * 32) / 32, round((y - h / 2) * 32) / 32
    x0, y0 = int(np.floor(left)), int(np.floor(top))
    cut = max(0, -y0 - 2)  # a pillar is much higher than the image: shift only what can be seen
    keep = cover[cut : max(cut + 1, min(h, HEIGHT - y0 + 2))]
    framed = cv2.copyMakeBorder(keep, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    return Patch(scenery.blend_shift(as_image(framed), 1 - (left - x0), 1 - (top - y0)), x0, y0 + cut)


@functools.lru_cache(maxsize=1)
def _clouds() -> Image:
    """The shadow map ``(960, 1280, 3)`` through which local light falls; it stands for all scenes."""
    values = noise(generator((0, 1)), 960, 1280, (170, 150), 3)
    light = np.clip((values - 0.42) * 5.0, 0, 1)
    return as_image(cv2.merge([np.rint(112 + 143 * light).astype(np.uint8)] * 3))


@functools.lru_cache(maxsize=1)
def _grain() -> tuple[Image, Image]:
    """Sensor noise as what to add and what to take away, each ``(HEIGHT + 64, WIDTH + 64, 3)``."""
    rng = generator((0, 2))
    dice = rng.integers(0, 256, (4, HEIGHT + 64, WIDTH + 64, 3), dtype=np.uint8)
    values = (dice.sum(axis=0, dtype=np.int16) - 510) // 49  # about normal, standard deviation 3
    return np.clip(values, 0, 255).astype(np.uint8), np.clip(-values, 0, 255).astype(np.uint8)


def finish(image: Image, how: Finish) -> Image:
    """Light, camera blur, resolution and noise: a new image of the same shape."""
    frame: MatLike = image
    if how.cloud is not None:
        x, y = how.cloud
        frame = cv2.multiply(frame, _clouds()[y : y + HEIGHT, x : x + WIDTH], scale=1 / 255)
    if how.gain != 1.0 or how.tint != (1.0, 1.0, 1.0):
        levels = np.arange(256)[:, None] * np.asarray(how.tint)[None] * how.gain
        # a soft shoulder: what would be over 230 is squeezed rather than cut
        levels = np.where(levels > 230, 230 + 25 * (1 - np.exp(-(levels - 230) / 60)), levels)
        frame = cv2.LUT(frame, np.rint(np.clip(levels, 0, 255)).astype(np.uint8)[None])
    if max(abs(how.blur[0]), abs(how.blur[1])) >= 1.5:
        frame = cv2.filter2D(frame, -1, line_kernel(how.blur), borderType=cv2.BORDER_REPLICATE)
    if how.coarse > 1:
        small = (round(WIDTH / how.coarse), round(HEIGHT / how.coarse))
        frame = cv2.resize(frame, small, interpolation=cv2.INTER_AREA)
        frame = cv2.resize(frame, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
    more, less = _grain()
    gx, gy = how.grain
    window = (slice(gy, gy + HEIGHT), slice(gx, gx + WIDTH))
    return as_image(cv2.subtract(cv2.add(frame, more[window]), less[window]))
