"""Pictures of what trackers do: boxes on frames, contact sheets, video, heatmaps, failure strips.

Images are RGB uint8 ``(H, W, 3)``. Names and overlaps stand in a strip under the frame, never on it, so that
they stay legible when boxes lie on top of each other.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterable
from collections.abc import Sequence as Items
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from PIL import ImageDraw, ImageFont

from rolo_bench.boxes import Array, iou, valid
from rolo_bench.errors import DataError, TrackerError, UsageError
from rolo_bench.files import write_atomic
from rolo_bench.plots.fonts import runs
from rolo_bench.plots.style import ORACLE, PLAIN, TRUTH_COLOUR, Form, looks, rgb
from rolo_bench.run.film import draw_box, draw_line
from rolo_bench.run.store import Store
from rolo_bench.run.worker import guarded, plain, track_frames
from rolo_bench.scores.tables import called, display_name
from rolo_bench.sequence import Image, Sequence, prefetch
from rolo_bench.tracker import LOST

PAPER, INK = (250, 250, 250), (30, 30, 30)
TEXT = 14
SWATCH = 36
SMALL = 24  # pixels; boxes below are drawn in thin lines
FAR = 1e9  # pixels; what lies further off is drawn as if it lay there


@dataclass(frozen=True)
class Drawn:
    """One row of boxes to draw: a tracker's, or the truth's.

    Attributes:
        boxes: ``(N, 4)`` in pixels of the frames; NaN rows are not drawn.
        colour: ``#rrggbb``.
        dash: lengths of dash and gap in line widths; empty is solid.
        overlaps: ``(N,)`` with the truth, NaN where there is none; None for the truth itself.
        lost: ``(N,)`` where the tracker takes the target for lost; None of one that gives no scores.
    """

    name: str
    boxes: Array
    colour: str
    overlaps: Array | None = None
    dash: tuple[float, ...] = ()
    lost: NDArray[np.bool_] | None = None


def tracks(
    sequence: Sequence, boxes: dict[str, Array], oracle: Iterable[str] = (), form: Form = PLAIN
) -> tuple[Drawn, ...]:
    """The truth and trackers of a sequence as rows to draw, looking as in the figures.

    Args:
        boxes: of each tracker ``(N, 4)``, or ``(N, 5)`` with its scores.
        form: says what trackers are called and which colours they have in place of their own.

    Raises:
        UsageError: a tracker has another number of boxes than the sequence has frames, or two would be called the same.
    """
    styles = looks(list(boxes), oracle, form.colours)
    names = called([name.removesuffix(ORACLE) for name in boxes], form.labels)
    made = [Drawn("truth", sequence.truth, TRUTH_COLOUR)]
    for name, rows in boxes.items():
        if len(rows) != len(sequence):
            raise UsageError(
                f"{name} on {sequence.name}: {len(rows)} boxes for {len(sequence)} frames; run it again"
            )
        lost = np.isnan(rows[:, 0]) | (rows[:, 4] < LOST) if rows.shape[1] == 5 else None
        overlaps = np.where(valid(sequence.truth), np.nan_to_num(iou(rows[:, :4], sequence.truth)), np.nan)
        bare = name.removesuffix(ORACLE)
        made.append(
            Drawn(
                names[bare] + name[len(bare) :],
                rows[:, :4],
                styles[name].colour,
                overlaps,
                styles[name].dash,
                lost,
            )
        )
    return tuple(made)


def results_on(
    sequence: Sequence, store: Store, suite: str, trackers: Items[str] = ()
) -> tuple[dict[str, Array], list[str]]:
    """Boxes of trackers on a sequence (all that have results where none is named), and the oracles' names.

    They are ``(N, 4)``, of trackers that give scores ``(N, 5)``.

    Raises:
        DataError: a tracker that is named has no result there.
    """
    found, oracle = {}, []
    for name in trackers or store.trackers(suite, "ope"):
        if not trackers and sequence.name not in store.sequences(suite, "ope", name):
            continue
        meta = store.meta(suite, "ope", name)
        marked = bool(meta.get("oracle"))
        label = display_name(name, oracle=marked)
        result = store.load(suite, "ope", name, sequence.name, meta)[0]
        found[label] = (
            result.boxes if result.scores is None else np.column_stack([result.boxes, result.scores])
        )
        oracle += [label] * marked
    return found, oracle


def spaced(length: int, count: int) -> list[int]:
    """``count`` indices spread evenly from the first to the last of ``length`` frames."""
    return sorted({round(i) for i in np.linspace(0, length - 1, max(min(count, length), 1))})


def parse_frames(text: str, sequence: Sequence) -> list[int]:
    """``1,50,100-110`` as indices; the numbers are those of the video, so BlurCar1 starts at 247.

    Raises:
        UsageError: not such a list.
        DataError: a number outside the sequence.
    """
    indices: list[int] = []
    first, last = sequence.first_frame, sequence.first_frame + len(sequence) - 1
    for part in text.split(","):
        match = re.fullmatch(r"([0-9]{1,18})(?:-([0-9]{1,18}))?", part.strip())
        if match is None:
            raise UsageError(f"--frames {text[:60]!r}: write numbers and ranges, such as 1,50,100-120")
        a, b = int(match[1]), int(match[2] or match[1])
        if not first <= a <= b <= last:
            raise DataError(f"{sequence.name} has frames {first} to {last}; --frames asks for {part[:60]}")
        indices += range(a - first, b - first + 1)
    return indices


@cache
def _font(size: int, path: Path) -> Any:
    return ImageFont.truetype(str(path), size)


def _write(pen: Any, x: float, y: float, text: str, ink: tuple[int, int, int] = INK) -> None:
    """Write a line of text with its top at y, in fonts that have its characters."""
    for piece, _, path in runs(text):
        font = _font(TEXT, path)
        pen.text((x, y + TEXT), piece, fill=ink, font=font, anchor="ls")
        x += font.getlength(piece)


def _length(text: str) -> int:
    """Pixels that a line of text takes."""
    return math.ceil(sum(_font(TEXT, path).getlength(piece) for piece, _, path in runs(text)))


def enlarged(image: Image, least: int = 480) -> tuple[Image, float]:
    """An image at least ``least`` pixels wide, and by how much it was scaled (a whole number up to 4, or 1)."""
    factor = min(max(math.ceil(least / image.shape[1]), 1), 4)
    if factor == 1:
        return np.ascontiguousarray(image), 1.0
    return cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC), float(factor)  # type: ignore[return-value]


def boxes_on(
    image: Image, shown: Items[Drawn], index: int, width: int = 2, scale: float = 1.0, border: bool = True
) -> Image:
    """A copy of a frame with the boxes of frame ``index``: the first tracker above the next, the truth thin on top.

    Boxes of small targets have thin lines, and those of a tracker that takes its target for lost; for a box that is off
    the picture an arrow at the rim says where it is.
    """
    canvas = np.array(image, copy=True)
    for track in sorted(shown[::-1], key=lambda t: t.overlaps is None):
        box = np.clip(track.boxes[index], -FAR, FAR) * scale
        thin = track.overlaps is None and len(shown) > 1
        thin = thin or bool(track.lost is not None and track.lost[index])
        small = valid(box)[0] and box[2:].min() < SMALL
        line = max(width - 1 - small, 1) if thin or small else width
        draw_box(canvas, box, rgb(track.colour), line, border and not small, track.dash)
        _point(canvas, box, rgb(track.colour))
    return canvas


def _point(image: Image, box: Array, colour: tuple[int, int, int], size: int = 9) -> None:
    """An arrow at the rim of an image towards a box that lies outside it; nothing for any other box."""
    height, width = image.shape[:2]
    if not valid(box)[0] or (
        box[0] < width and box[1] < height and box[0] + box[2] > 0 and box[1] + box[3] > 0
    ):
        return
    centre = box[:2] + box[2:] / 2
    tip = np.clip(centre, 1, np.array([width, height]) - 2.0)
    way = (centre - tip) / max(float(np.hypot(*(centre - tip))), 1e-9)
    across = np.array([-way[1], way[0]])
    corners = np.array([tip, tip - size * 1.6 * way + size * across, tip - size * 1.6 * way - size * across])
    points = corners.round().astype(np.int32)
    cv2.fillPoly(image, [points], colour)
    cv2.polylines(image, [points], True, (255, 255, 255) if sum(colour) < 330 else (0, 0, 0), 1, cv2.LINE_AA)


def framed(
    sequence: Sequence,
    shown: Items[Drawn],
    index: int,
    least: int = 480,
    maps: Items[Any] = (),
    legend: bool = True,
) -> Image:
    """One frame with boxes, and under it a strip with sequence, frame number, names and overlaps.

    Args:
        maps: for each frame a heatmap, which is laid over it under the boxes, or None.
        legend: whether names and overlaps are in the strip.
    """
    image, scale = enlarged(sequence.frames.image(index), least)
    if maps and maps[index] is not None:
        image = overlay(image, maps[index])
    canvas = boxes_on(image, shown, index, 3 if image.shape[1] >= 400 else 2, scale)
    title = f"frame {sequence.first_frame + index}"
    if not legend:
        return np.vstack([canvas, _strip(title, (), index, canvas.shape[1])])
    return np.vstack([canvas, _strip(f"{sequence.name}  {title}", shown, index, canvas.shape[1])])


def _strip(title: str, shown: Items[Drawn], index: int | None, width: int) -> Image:
    """The legend under a frame: as many lines as it needs at this width; a line's height is fixed per sequence.

    Beside each name stands its overlap at ``index``, or its mean where that is None.
    """
    line, pad = TEXT + 9, 8
    needs = [_length(title), *(SWATCH + 6 + _length(_entry(t, None)) for t in shown)]
    places = _places(needs, width - 2 * pad)
    strip = np.full((line * (places[-1][1] + 1) + pad, width, 3), PAPER, np.uint8)
    middles = [(pad + left, row * line + pad // 2 + 11) for left, row in places]
    for track, (x, y) in zip(shown, middles[1:]):
        if track.overlaps is None:  # the truth is near white
            strip[y - 5 : y + 6, x - 2 : x + SWATCH + 2] = 90
        draw_line(strip, (x, y), (x + SWATCH, y), rgb(track.colour), 4, [1.7 * d for d in track.dash])
    picture = Picture.fromarray(strip)
    pen = ImageDraw.Draw(picture)
    for text, (x, y) in zip([title, *(_entry(t, index) for t in shown)], middles):
        _write(pen, x + (SWATCH + 6) * (text != title), y - 11, text)
    return np.asarray(picture, dtype=np.uint8)


def _entry(track: Drawn, index: int | None) -> str:
    if track.overlaps is None:
        return track.name
    known = track.overlaps[np.isfinite(track.overlaps)]
    value = (known.mean() if len(known) else np.nan) if index is None else track.overlaps[index]
    text = f"{track.name}  {value:.2f}" if np.isfinite(value) else f"{track.name}  -"
    lost = track.lost is not None and (track.lost.any() if index is None else track.lost[index])
    return f"{text} lost" if lost else text


def _places(needs: list[int], width: int) -> list[tuple[int, int]]:
    """Where each entry stands: pixels from the left, and its line."""
    found, x, row = [], 0, 0
    for need in needs:
        if x and x + need > width:
            x, row = 0, row + 1
        found.append((x, row))
        x += need + 18
    return found


def overlay(image: Image, heatmap: NDArray[Any], strength: float = 0.55) -> Image:
    """A frame with a heatmap over it: ``heatmap`` ``(h, w)`` of 0 … 1 covers the whole frame, bright where it is high.

    Values outside 0 … 1 are cut, NaN is 0.

    Raises:
        ValueError: the heatmap is not two-dimensional.
    """
    if np.ndim(heatmap) != 2:
        raise ValueError(f"a heatmap has shape (h, w), not {np.shape(heatmap)}")
    values = np.clip(np.nan_to_num(np.asarray(heatmap, dtype=np.float32)), 0, 1)
    large = cv2.resize(values, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_LINEAR)
    tint = cv2.applyColorMap((large * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[:, :, ::-1]
    weight = (strength * np.sqrt(large))[:, :, None]
    mixed = image * (1 - weight) + tint * weight
    return np.ascontiguousarray(mixed.round().astype(np.uint8))


def sheet(
    sequence: Sequence, shown: Items[Drawn], indices: Items[int], columns: int = 0, maps: Items[Any] = ()
) -> Image:  # fmt: skip
    """Frames of a sequence in rows, with one legend below that gives each tracker's mean overlap."""
    frames = contact_sheet([framed(sequence, shown, i, 360, maps, legend=False) for i in indices], columns)
    mean = ", mean overlap:" if len(shown) > 1 else ""
    return np.vstack([frames, _strip(f"{sequence.name}{mean}", shown, None, frames.shape[1])])


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


def failure_strip(sequence: Sequence, track: Drawn, at: int, span: int = 12, count: int = 5) -> Image:
    """``count`` frames from ``span`` before to ``span`` after a failure, cut out around truth and tracker."""
    truth = Drawn("truth", sequence.truth, TRUTH_COLOUR)
    last = len(sequence) - 1
    indices = sorted({round(i) for i in np.clip(np.linspace(at - span, at + span, count), 0, last)} | {at})
    reach = max(_reach(sequence, (truth, track), i) for i in indices)
    cuts = [_cut(sequence, (truth, track), i, reach) for i in indices]
    return contact_sheet(cuts, len(cuts), gap=4)


def write_failures(
    sequence: Sequence, track: Drawn, folder: Path, most: int = 12
) -> tuple[list[int], list[Path]]:
    """Write a strip, a file each, of the first ``most`` failures of a tracker; the indices of all, and the files."""
    found = failures(track.overlaps) if track.overlaps is not None else []
    name = re.sub(r"[^\w.+()-]+", "_", track.name).lstrip(".")
    stem = f"{sequence.name}_{name}"
    paths = [folder / f"{stem}_{sequence.first_frame + at:04d}.png" for at in found[:most]]
    for at, path in zip(found, paths):
        write_image(path, failure_strip(sequence, track, at))
    return found, paths


def _reach(sequence: Sequence, shown: Items[Drawn], index: int) -> float:
    """Side in pixels of a square that holds the boxes of a frame with some room."""
    boxes = np.array([t.boxes[index] for t in shown])
    boxes = boxes[valid(boxes)]
    if not len(boxes):
        return 64.0
    extent = (boxes[:, :2] + boxes[:, 2:]).max(axis=0) - boxes[:, :2].min(axis=0)
    height, width = sequence.frames.image(index).shape[:2]
    return float(np.clip(1.5 * extent.max(), 64, max(min(height, width), 1.1 * extent.max())))


def _cut(sequence: Sequence, shown: Items[Drawn], index: int, reach: float, side: int = 260) -> Image:
    """A square of ``reach`` pixels around the boxes of a frame, drawn ``side`` pixels wide, with its legend."""
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
        draw_box(cut, box * scale, rgb(track.colour), dash=track.dash)  # type: ignore[arg-type]
    title = f"frame {sequence.first_frame + index}"
    return np.vstack([cut, _strip(title, shown, index, side)])


def run_with_maps(sequence: Sequence, tracker: Any, stop: int) -> tuple[Array, list[NDArray[Any] | None]]:
    """Run a tracker over the first ``stop`` frames and keep its heatmaps beside its boxes.

    Returns:
        boxes ``(N, 4)``, NaN from frame ``stop`` on, and for each frame the tracker's ``heatmap`` ``(h, w)`` or None.

    Raises:
        UsageError: the tracker has no heatmap.
        TrackerError: it failed, or its heatmap is not one; the message names the frame.
    """
    boxes = np.full((len(sequence), 4), np.nan)
    maps: list[NDArray[Any] | None] = [None] * len(sequence)
    images = prefetch(sequence.frames, 0, min(stop, len(sequence)))
    truth, first = sequence.truth, sequence.first_frame
    tracked = track_frames(tracker, images, truth[0], sequence.name, first, truth)
    for index, (_, boxes[index], *_) in enumerate(tracked):
        with guarded(f"{sequence.name}, frame {first + index}"):
            heat = plain(getattr(tracker, "heatmap", None))
            if heat is not None:
                maps[index] = values = np.array(heat, dtype=np.float32)
                if values.ndim != 2 or not values.size:
                    raise TrackerError(f"heatmap of shape {values.shape}, expected (h, w)")
    if all(m is None for m in maps):
        raise UsageError("this tracker makes no heatmaps; try --heatmap rolo -o variant=heatmap")
    return boxes, maps


def write_image(path: Path, image: Image) -> Path:
    """Write a PNG or JPEG; the ending says which.

    Raises:
        UsageError: another ending.
    """
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise UsageError(f"{path}: pictures are written as .png or .jpg")
    buffer = io.BytesIO()
    Picture.fromarray(image).save(buffer, "PNG" if path.suffix.lower() == ".png" else "JPEG", quality=90)
    write_atomic(path, buffer.getvalue())
    return path
