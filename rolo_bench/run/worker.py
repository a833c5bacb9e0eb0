"""The one loop of a tracker over frames: it starts the tracker, keeps the clock and checks every answer.

A plugin is somebody else's code: whatever it raises or returns becomes boxes, or one line that names the frame.
"""

from __future__ import annotations

import logging
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from rolo_bench.boxes import Array
from rolo_bench.errors import RoloBenchError, TrackerError
from rolo_bench.run.external import Program
from rolo_bench.sequence import Image
from rolo_bench.tracker import is_oracle

log = logging.getLogger(__name__)
LONGEST = 300  # characters of a plugin's message that are shown


def track_frames(
    tracker: Any,
    images: Iterable[Image],
    box: Array,
    name: str,
    first: int = 1,
    truth: Array | None = None,
    copies: bool = False,
) -> Iterator[tuple[Image, Array, float, float]]:
    """Run a fresh tracker over RGB images, the first of which shows the target in ``box`` ``(4,)``.

    Yields each image with its box ``(4,)`` (the given one first; NaN where the tracker says "not there"), the tracker's
    score of it (NaN where it gives none) and the seconds inside the tracker. An oracle, and nobody else, is shown the
    row of ``truth`` ``(N, 4)`` before. With ``copies`` the tracker is given copies of the images, since it may write
    into them.

    Raises:
        TrackerError: the tracker raised, wanted to end the program, or returned something that is not a box; the
            message names the video, ``name``, and the frame, counted from ``first``. After the last frame, a program
            (`rolo_bench.run.external`) whose answers were not those of the frames.
    """
    for i, image in enumerate(images):
        given = image.copy() if copies else image
        with guarded(f"{name}, frame {first + i}"):
            if truth is not None and is_oracle(tracker):
                tracker.reveal(truth[i].copy())
            settle()
            begin = time.perf_counter()
            answer = tracker.update(given) if i else tracker.init(given, box.copy())
            settle()
            seconds = time.perf_counter() - begin + lent(tracker)
            found, score = as_answer(answer) if i else (box.copy(), np.nan)
        yield image, found, score, seconds
    if isinstance(tracker, Program):
        with guarded(f"{name}, after its last frame"):
            tracker.finish()


@contextmanager
def guarded(where: str, *passing: type[BaseException]) -> Iterator[None]:
    """Around a plugin's code; Ctrl-C passes, and so do the classes of ``passing``.

    Where this process ignores Ctrl-C, as a worker does, a KeyboardInterrupt is the plugin's own.

    Raises:
        TrackerError: ``where``, then class and first line of what was raised; of our own errors the line alone.
    """
    try:
        yield
    except BaseException as error:  # also SystemExit: a plugin does not end the program
        own = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        if isinstance(error, passing) or (isinstance(error, KeyboardInterrupt) and not own):
            raise
        try:
            text = (str(error).strip().splitlines() or [""])[0][:LONGEST]
        except BaseException:  # the text is the plugin's code as well
            text = ""
        text = "".join(c if c.isprintable() else " " for c in text).strip()
        if not (text and isinstance(error, RoloBenchError)):
            text = f"{type(error).__name__}: {text or 'no message'}"
        log.debug("%s", where, exc_info=error)
        raise TrackerError(f"{where}: {text}") from error


def settle() -> None:
    """Wait until the GPU has done what was asked of it, where torch uses one."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.synchronize()


def lent(tracker: Any) -> float:
    """Seconds that detections took which an earlier tracker of the run has paid for, less what it took to find them."""
    take = getattr(getattr(tracker, "detector", None), "take_lent", None)
    return float(take()) if take is not None else 0.0


def as_answer(answer: Any) -> tuple[Array, float]:
    """What ``update`` returned, a box or a pair of a box and a score, as a new box ``(4,)`` and the score or NaN.

    Raises:
        TrackerError: as `as_box`, or a score that is no finite number; NaN stands for "not there".
    """
    pair = isinstance(answer, (tuple, list)) and len(answer) == 2
    if not pair or not isinstance(plain(answer[0]), (tuple, list, np.ndarray)):
        return as_box(answer), np.nan
    score = _doubles(np.asarray(plain(answer[1])))
    if score.size != 1 or score.dtype.kind not in "iuf" or np.isinf(score).any():
        raise TrackerError(
            f"update returned the score {str(answer[1])[:40]}, expected a finite number or nan"
        )
    box, value = as_box(answer[0]), float(score.item())
    return np.full(4, np.nan) if np.isnan(value) else box, value


def as_box(answer: Any) -> Array:
    """What ``update`` returned as a new box ``(4,)``; NaN in it means "no box", and all four become NaN.

    Raises:
        TrackerError: not four real numbers, one of them infinite, or a negative width or height.
    """
    flat = plain(answer)
    try:
        values = _doubles(np.asarray([plain(v) for v in flat] if isinstance(flat, (list, tuple)) else flat))
    except ValueError:  # lists of unequal length in a list
        values = np.empty(1, dtype=object)
    if values.dtype.kind not in "iuf" or not values.ndim:
        fault = _kind(answer)
        if isinstance(flat, (list, tuple)):
            parts = dict.fromkeys(map(_kind, flat)) if flat is answer else (values.dtype.name,)
            fault += f" of {' and '.join(parts)}"
        elif values.ndim:
            fault += f" of {values.dtype.name}"
    elif values.shape != (4,):
        fault = f"{values.size} values" + (f" of shape {values.shape}" if values.ndim > 1 else "")
    elif np.isinf(values).any():
        fault = "an infinite value"
    elif np.isnan(values).any():
        return np.full(4, np.nan)
    elif (values[2:] < 0).any():
        fault = "a negative width or height"
    else:
        return values.astype(np.float64)
    raise TrackerError(f"update returned {fault}, expected four numbers x, y, w, h")


def _kind(value: Any) -> str:
    return "None" if value is None else type(value).__name__


def _doubles(values: Array) -> Array:
    """Real numbers as they are stored, in which form one of a longer form may be infinite; all else as it is."""
    with np.errstate(over="ignore"):
        return values.astype(np.float64) if values.dtype.kind == "f" else values


def plain(value: Any) -> Any:
    """A tensor, wherever it lies and with or without a gradient, as numbers in lists; all else as it is.

    What the mask of an array hides is NaN.
    """
    if isinstance(value, np.ma.MaskedArray) and value.dtype.kind in "iuf":
        return np.ma.filled(value.astype(np.float64), np.nan)
    return value.detach().cpu().tolist() if hasattr(value, "detach") else value
