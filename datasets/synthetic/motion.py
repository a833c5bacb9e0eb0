"""How things move in synthetic scenes: smooth curving paths, meetings, hiding and leaving.

All functions are pure: random numbers come from a generator that is passed in, times are frame
numbers, lengths are pixels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rolo_bench.datasets.synthetic.scenery import HEIGHT, WIDTH

Path = NDArray[np.float64]  # (N, 2) x, y


def wander(rng: np.random.Generator, frames: int, size: float, fast: bool = False, low: bool = False) -> Path:
    """A smooth path ``(N, 2)`` of an object's centre inside the image.

    Two sinusoids per axis: it curves, slows down towards its turning points and never stops being
    predictable. ``fast`` shortens the periods so that the steps exceed 20 px at their largest;
    ``low`` keeps to the lower half of the image, for what stands on the ground.
    """
    t = np.arange(frames, dtype=np.float64)
    path = np.empty((frames, 2))
    for axis, side in enumerate((WIDTH, HEIGHT)):
        middle, span = 0.5 * side, max(0.5 * side - 0.5 * size, 0.15 * side) * 0.9
        if axis == 0:
            span *= rng.uniform(0.85, 1.0)
            periods = (24, 29) if fast else (75, 140)
        else:
            span *= rng.uniform(0.45, 0.95)
            periods = (40, 60) if fast else (60, 150)
            if low:
                middle, span = 0.66 * side, 0.55 * span
        period, second = rng.uniform(*periods), rng.uniform(1.7, 2.6)
        first = np.sin(2 * np.pi * t / period + rng.uniform(0, 2 * np.pi))
        overtone = np.sin(2 * np.pi * t / (period * second) + rng.uniform(0, 2 * np.pi))
        path[:, axis] = middle + span * (0.76 * first + 0.24 * overtone)
    return path


def meet(path: Path, other: Path, frame: int, offset: tuple[float, float], width: float = 14.0) -> Path:
    """``path`` bent smoothly so that it is at ``other`` plus ``offset`` at ``frame``."""
    t = np.arange(len(path), dtype=np.float64)
    pull = np.exp(-(((t - frame) / width) ** 2))[:, None]
    return path + pull * (other[frame] + np.asarray(offset) - path[frame])


def leave(path: Path, first: int, last: int, size: float) -> Path:
    """``path`` pushed out of the image at its nearer side: wholly outside from ``first`` to ``last``."""
    t = np.arange(len(path), dtype=np.float64)
    ramp = 16.0
    away = np.clip(np.minimum((t - first) / ramp + 1, (last - t) / ramp + 1), 0, 1)
    away = away * away * (3 - 2 * away)
    middle = path[(first + last) // 2, 0]
    goal = -0.75 * size if middle < WIDTH / 2 else WIDTH + 0.75 * size
    moved = path.copy()
    moved[:, 0] += away * (goal - path[:, 0])
    return moved


def drift(rng: np.random.Generator, frames: int, reach: float) -> Path:
    """A slow camera pan ``(N, 2)`` of at most ``reach`` px sideways and a third of it up and down."""
    t = np.arange(frames, dtype=np.float64)
    x = reach * np.sin(2 * np.pi * t / rng.uniform(110, 240) + rng.uniform(0, 6.28))
    y = reach / 3 * np.sin(2 * np.pi * t / rng.uniform(90, 200) + rng.uniform(0, 6.28))
    return np.stack([x, y], axis=1)


def shake(rng: np.random.Generator, frames: int, reach: float) -> Path:
    """Jerks of a hand-held camera ``(N, 2)``: at most ``reach`` px, with bursts."""
    t = np.arange(frames, dtype=np.float64)
    burst = np.clip(np.sin(2 * np.pi * t / rng.uniform(35, 55) + rng.uniform(0, 6.28)), 0, 1)
    rates = rng.uniform(5, 9, 2)
    phases = rng.uniform(0, 6.28, 2)
    return reach * burst[:, None] * np.sin(2 * np.pi * t[:, None] / rates + phases)


def swell(rng: np.random.Generator, frames: int, octaves: float) -> NDArray[np.float64]:
    """A smooth factor ``(N,)`` between ``2**-octaves`` and ``2**octaves``, near 1 at the first frame."""
    t = np.arange(frames, dtype=np.float64)
    sign = 1.0 if rng.random() < 0.5 else -1.0
    return 2.0 ** (octaves * sign * np.sin(2 * np.pi * t / rng.uniform(70, 130)))


def velocity(path: Path) -> Path:
    """Central differences ``(N, 2)`` in pixels per frame."""
    return np.gradient(path, axis=0) if len(path) > 1 else np.zeros_like(path)


def heading(path: Path) -> NDArray[np.float64]:
    """The turn ``(N,)`` in radians of something that looks where it goes: 0 right, pi left, smooth between."""
    return np.arccos(np.clip(np.tanh(velocity(path)[:, 0] / 0.7), -1, 1))
