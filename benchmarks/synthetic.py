"""How long the synthetic generator takes: seconds a demo sequence, training images a second.

Run from a checkout: ``python benchmarks/synthetic.py``. One core; planning (textures, paths) is part
of a sequence's time. Seconds are those of the process, so that other jobs disturb them less.
"""

from __future__ import annotations

import time

import cv2

from rolo_bench.datasets.synthetic.suite import RenderedFrames, demo_suite, training_image


def main() -> None:
    """Print one line per sequence and one for training images."""
    cv2.setNumThreads(1)
    slowest = 0.0
    print("sequence       frames  render s  ms/frame  truth and visibility s")
    for name, spec in demo_suite():
        frames = RenderedFrames(spec)
        start = time.process_time()
        for i in range(len(frames)):
            frames.image(i)
        rendered = time.process_time() - start
        start = time.process_time()
        frames = RenderedFrames(spec)
        frames.truth, frames.visibility  # noqa: B018 (computed on first use)
        known = time.process_time() - start
        slowest = max(slowest, rendered)
        print(
            f"{name:14s} {len(frames):6d}  {rendered:8.3f}  {1e3 * rendered / len(frames):8.2f}  {known:8.3f}"
        )
    print(f"slowest sequence: {slowest:.3f} s")
    start = time.process_time()
    for seed in range(200):
        training_image(seed)
    cold = time.process_time() - start
    start = time.process_time()
    for seed in range(200, 800):
        training_image(seed)
    print(
        f"training images: {600 / (time.process_time() - start):.0f} a second ({cold:.2f} s for the first 200)"
    )


if __name__ == "__main__":
    main()
