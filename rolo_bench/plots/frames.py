"""Pictures of what trackers do: boxes on frames, contact sheets, video, heatmaps, failure strips.

Images are RGB uint8 ``(H, W, 3)``. Names and overlaps stand in a strip under the frame, never on it, so that
they stay legible when boxes lie on top of each other.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from collections.abc import Sequence as Items
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rolo_bench.boxes import Array, iou, valid
from rolo_bench.errors import UsageError
from rolo_bench.plots.style import TRUTH_COLOUR, looks, rgb
from rolo_bench.sequence import Image, Sequence

PAPER, INK = (250, 250, 250), (30, 30, 30)
VIDEO = (".mp4", ".gif")
TEXT = 15


@dataclass(frozen=True)
class Track:
    """One row of boxes to draw: a tracker's, or the truth's.

    Attributes:
        boxes: ``(N, 4)`` in pixels of the frames; NaN rows are not drawn.
        colour: ``#rrggbb``.
        overlaps: ``(N,)`` with the truth, NaN where there is none; None for the truth itself.
    """

    name: str
    boxes: Array
    colour: str
    overlaps: Array | None = None


def tracks(sequence: Sequence, boxes: dict[str, Array], oracle: Iterable[str] = ()) -> tuple[Track, ...]:
    """The truth and trackers of a sequence as tracks, with the colours of the figures in the order given.

    Raises:
        UsageError: a tracker has another number of boxes than the sequence has frames.
    """
    styles = looks(list(boxes), oracle)
    made = [Track("truth", sequence.truth, TRUTH_COLOUR)]
    for name, rows in boxes.items():
        if len(rows) != len(sequence):
            raise UsageError(
                f"{name} on {sequence.name}: {len(rows)} boxes for {len(sequence)} frames; run it again"
            )
        overlaps = np.where(valid(sequence.truth), np.nan_to_num(iou(rows, sequence.truth)), np.nan)
        made.append(Track(name, rows, styles[name].colour, overlaps))
    return tuple(made)


@cache
def _font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size)


def enlarged(image: Image, least: int = 480) -> tuple[Image, float]:
    """An image at least ``least`` pixels wide, and by how much it was scaled (a whole number up to 4, or 1)."""
    import cv2

    factor = min(max(math.ceil(least / image.shape[1]), 1), 4)
    if factor == 1:
        return np.ascontiguousarray(image), 1.0
    return cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC), float(factor)  # type: ignore[return-value]


def draw_box(image: Image, box: Array, colour: str, width: int = 2, border: bool = True) -> None:
    """Draw one box into an image, in place, with a border of the opposite brightness or none; NaN draws nothing."""
    import cv2

    if not valid(box)[0]:
        return
    limit = 4 * max(image.shape)
    x, y, w, h = (float(v) for v in box)
    ends = np.clip([x, y, x + w - 1, y + h - 1], -limit, limit).round().astype(int)
    a, b = (int(ends[0]), int(ends[1])), (int(ends[2]), int(ends[3]))
    ink = rgb(colour)
    if border:
        around = (255, 255, 255) if sum(ink) < 330 else (0, 0, 0)
        cv2.rectangle(image, a, b, around, width + 2, cv2.LINE_8)
    cv2.rectangle(image, a, b, ink, width, cv2.LINE_8)


def boxes_on(
    image: Image, shown: Items[Track], index: int, width: int = 2, scale: float = 1.0, border: bool = True
) -> Image:
    """A copy of a frame with the boxes of frame ``index``: the first tracker above the next, the truth thin on top."""
    canvas = np.array(image, copy=True)
    for track in sorted(reversed(shown), key=lambda t: t.overlaps is None):
        thin = track.overlaps is None and len(shown) > 1
        draw_box(
            canvas, track.boxes[index] * scale, track.colour, max(width - 1, 1) if thin else width, border
        )
    return canvas


def framed(
    sequence: Sequence,
    shown: Items[Track],
    index: int,
    least: int = 480,
    heat: NDArray[Any] | None = None,
) -> Image:
    """One frame with boxes, and under it a strip with sequence, frame number, names and overlaps.

    ``heat`` ``(h, w)`` of 0 … 1 is laid over the frame, under the boxes.
    """
    image, scale = enlarged(sequence.frames.image(index), least)
    if heat is not None:
        image = overlay(image, heat)
    canvas = boxes_on(image, shown, index, 3 if image.shape[1] >= 400 else 2, scale)
    title = f"{sequence.name}  frame {sequence.first_frame + index}"
    return np.vstack([canvas, _strip(title, shown, index, canvas.shape[1])])


def _strip(title: str, shown: Items[Track], index: int, width: int) -> Image:
    """The legend under a frame: as many lines as it needs at this width; a line's height is fixed per sequence."""
    from PIL import Image as Picture
    from PIL import ImageDraw

    font, line, pad = _font(TEXT), TEXT + 9, 8
    entries = [(title, None), *((_entry(t, index), t.colour) for t in shown)]
    widest = [(_entry(t, None), t.colour) for t in shown]
    lines = _broken([(title, None), *widest], font, width - 2 * pad)
    picture = Picture.new("RGB", (width, line * (max(lines) + 1) + pad), PAPER)
    pen = ImageDraw.Draw(picture)
    x, row = pad, 0
    for (text, colour), at in zip(entries, lines):
        if at != row:
            x, row = pad, at
        y = row * line + pad / 2
        if colour:
            pen.rectangle((x, y + 5, x + 14, y + 16), fill=rgb(colour), outline=INK)
            x += 20
        pen.text((x, y), text, fill=INK, font=font)
        slot = text if colour is None else widest[[t.name for t in shown].index(_name(text, shown))][0]
        x += int(font.getlength(slot)) + 18
    return np.asarray(picture, dtype=np.uint8)


def _name(text: str, shown: Items[Track]) -> str:
    return max((t.name for t in shown if text.startswith(t.name)), key=len)


def _entry(track: Track, index: int | None) -> str:
    if track.overlaps is None:
        return track.name
    value = 0.0 if index is None else track.overlaps[index]
    return f"{track.name}  {value:.2f}" if np.isfinite(value) else f"{track.name}  \N{EN DASH}"


def _broken(entries: list[tuple[str, str | None]], font: Any, width: int) -> list[int]:
    """The line on which each entry stands."""
    lines, x, row = [], 0, 0
    for text, colour in entries:
        need = int(font.getlength(text)) + (20 if colour else 0)
        if x and x + need > width:
            x, row = 0, row + 1
        lines.append(row)
        x += need + 18
    return lines


def overlay(
    image: Image,
    heatmap: NDArray[Any],
    box: Array | None = None,
    colour: str = "#d55e00",
    strength: float = 0.55,
) -> Image:
    """A frame with a heatmap over it: ``heatmap`` ``(h, w)`` of 0 … 1 covers the whole frame, bright where it is high.

    Values outside 0 … 1 are cut, NaN is 0. ``box`` ``(4,)`` in pixels is drawn on top.

    Raises:
        ValueError: the heatmap is not two-dimensional.
    """
    import cv2

    if np.ndim(heatmap) != 2:
        raise ValueError(f"a heatmap has shape (h, w), not {np.shape(heatmap)}")
    values = np.clip(np.nan_to_num(np.asarray(heatmap, dtype=np.float32)), 0, 1)
    large = cv2.resize(values, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_LINEAR)
    tint = cv2.applyColorMap((large * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[:, :, ::-1]
    weight = (strength * np.sqrt(large))[:, :, None]
    mixed = image * (1 - weight) + tint * weight
    canvas = np.ascontiguousarray(mixed.round().astype(np.uint8))
    if box is not None:
        draw_box(canvas, np.asarray(box, dtype=np.float64), colour)
    return canvas


def contact_sheet(images: Items[Image], columns: int = 0, gap: int = 6) -> Image:
    """Images in rows, ``columns`` to a row (0 chooses), each at its own size in a cell of the largest.

    Raises:
        UsageError: no images.
    """
    if not images:
        raise UsageError("a contact sheet needs at least one frame")
    columns = columns or min(4, math.ceil(math.sqrt(len(images))))
    rows = -(-len(images) // columns)
    columns = min(columns, len(images))
    height, width = (max(i.shape[k] for i in images) for k in (0, 1))
    canvas = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, 3), 255, dtype=np.uint8)
    for k, image in enumerate(images):
        y, x = gap + k // columns * (height + gap), gap + k % columns * (width + gap)
        canvas[y : y + image.shape[0], x : x + image.shape[1]] = image
    return canvas


def failures(overlaps: Array) -> list[int]:
    """Where a tracker loses the target: indices at which its overlap falls to 0 after a frame above 0.

    ``overlaps`` ``(N,)``; NaN (no truth) neither starts nor ends a failure.
    """
    found, tracking = [], False
    for i, value in enumerate(overlaps):
        if np.isnan(value):
            continue
        if value <= 0 and tracking:
            found.append(i)
        tracking = value > 0
    return found


def failure_strip(sequence: Sequence, track: Track, at: int, span: int = 12, count: int = 5) -> Image:
    """``count`` frames from ``span`` before to ``span`` after a failure, cut out around truth and tracker."""
    truth = Track("truth", sequence.truth, TRUTH_COLOUR)
    last = len(sequence) - 1
    indices = sorted({round(i) for i in np.clip(np.linspace(at - span, at + span, count), 0, last)} | {at})
    reach = max(_reach(sequence, (truth, track), i) for i in indices)
    cuts = [_cut(sequence, (truth, track), i, reach) for i in indices]
    return contact_sheet(cuts, len(cuts), gap=4)


def _reach(sequence: Sequence, shown: Items[Track], index: int) -> float:
    """Side in pixels of a square that holds the boxes of a frame with some room."""
    boxes = np.array([t.boxes[index] for t in shown])
    boxes = boxes[valid(boxes)]
    if not len(boxes):
        return 64.0
    extent = (boxes[:, :2] + boxes[:, 2:]).max(axis=0) - boxes[:, :2].min(axis=0)
    height, width = sequence.frames.image(index).shape[:2]
    return float(np.clip(1.5 * extent.max(), 64, max(min(height, width), 1.1 * extent.max())))


def _cut(sequence: Sequence, shown: Items[Track], index: int, reach: float, side: int = 260) -> Image:
    """A square of ``reach`` pixels around the boxes of a frame, drawn ``side`` pixels wide, with its legend."""
    import cv2

    image = sequence.frames.image(index)
    boxes = np.array([t.boxes[index] for t in shown])
    boxes = boxes[valid(boxes)]
    middle = np.array([image.shape[1], image.shape[0]]) / 2
    if len(boxes):
        middle = (boxes[:, :2].min(axis=0) + (boxes[:, :2] + boxes[:, 2:]).max(axis=0)) / 2
    room = np.array([image.shape[1], image.shape[0]]) - reach
    corner = np.where(room > 0, np.clip(middle - reach / 2, 0, np.maximum(room, 0)), middle - reach / 2)
    scale = side / reach
    move = np.array([[scale, 0, -corner[0] * scale], [0, scale, -corner[1] * scale]])
    cut = cv2.warpAffine(image, move, (side, side), flags=cv2.INTER_LINEAR, borderValue=(225, 225, 225))
    for track in shown:
        box = track.boxes[index] - np.array([*corner, 0, 0])
        draw_box(cut, box * scale, track.colour)  # type: ignore[arg-type]
    title = f"frame {sequence.first_frame + index}"
    return np.vstack([cut, _strip(title, shown, index, side)])


def frames_between(
    sequence: Sequence,
    shown: Items[Track],
    indices: Iterable[int],
    least: int = 480,
    maps: Items[NDArray[Any] | None] = (),
) -> Iterator[Image]:
    """Framed images one by one, for video; ``maps`` holds a heatmap or None for each frame of the sequence."""
    for index in indices:
        yield framed(sequence, shown, index, least, maps[index] if maps else None)


def run_with_maps(sequence: Sequence, tracker: Any, stop: int) -> tuple[Array, list[NDArray[Any] | None]]:
    """Run a tracker over the first ``stop`` frames and keep its heatmaps beside its boxes.

    Returns:
        boxes ``(N, 4)``, NaN from frame ``stop`` on, and for each frame the tracker's ``heatmap`` ``(h, w)`` or None.

    Raises:
        UsageError: the tracker has no heatmap.
    """
    boxes = np.full((len(sequence), 4), np.nan)
    maps: list[NDArray[Any] | None] = [None] * len(sequence)
    boxes[0] = sequence.truth[0]
    for index in range(min(stop, len(sequence))):
        image = sequence.frames.image(index)
        if index == 0:
            tracker.init(image, boxes[0])
        else:
            boxes[index] = np.asarray(tracker.update(image), dtype=np.float64)
        heat = getattr(tracker, "heatmap", None)
        maps[index] = None if heat is None else np.array(heat)
    if all(m is None for m in maps):
        raise UsageError("this tracker makes no heatmaps; try --heatmap rolo -o variant=heatmap")
    return boxes, maps


def write_image(path: Path, image: Image) -> Path:
    """Write a PNG or JPEG; the ending says which.

    Raises:
        UsageError: another ending.
    """
    from PIL import Image as Picture

    if path.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise UsageError(f"{path}: pictures are written as .png or .jpg")
    path.parent.mkdir(parents=True, exist_ok=True)
    Picture.fromarray(image).save(path, quality=90)
    return path


def write_video(path: Path, images: Iterable[Image], rate: float = 25.0) -> Path:
    """Write frames of one size as ``.mp4`` or ``.gif``.

    Raises:
        UsageError: another ending, or no frames.
    """
    kind = path.suffix.lower()
    if kind not in VIDEO:
        raise UsageError(f"{path}: videos are written as .mp4 or .gif")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.stem}.part{kind}")
    try:
        (_write_gif if kind == ".gif" else _write_mp4)(part, images, rate)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def _write_gif(path: Path, images: Iterable[Image], rate: float) -> None:
    from PIL import Image as Picture

    pictures = [Picture.fromarray(i).quantize(128, dither=Picture.Dither.NONE) for i in images]
    if not pictures:
        raise UsageError("no frames to write")
    step = max(round(1000 / rate), 20)
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=step, loop=0)


def _write_mp4(path: Path, images: Iterable[Image], rate: float) -> None:
    import cv2

    writer, size = None, (0, 0)
    try:
        for image in images:
            even = image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2]
            if writer is None:
                size = (even.shape[1], even.shape[0])
                writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), rate, size)
                if not writer.isOpened():
                    raise UsageError("this OpenCV cannot write .mp4; write a .gif instead")
            if (even.shape[1], even.shape[0]) != size:
                even = cv2.resize(even, size)  # type: ignore[assignment]
            writer.write(np.ascontiguousarray(even[:, :, ::-1]))
    finally:
        if writer is not None:
            writer.release()
    if writer is None:
        raise UsageError("no frames to write")
