"""Windows per second of ROLO's LSTM at the paper's size: the tracker's recurrence against torch's own.

    python benchmarks/lstm.py --threads 2 --frames 20

The paper's network has 4102 inputs and 4102 states; its windows hold 6 frames. torch's LSTM runs each window anew;
the recurrence computes a frame's input projection once and advances all windows that hold it in one product. Both
take turns on the same frames; the medians and the largest difference of their states are printed.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numpy as np
import torch

from rolo_bench.nn.rolo.config import paper_config
from rolo_bench.nn.rolo.network import Packed, push


@dataclass
class Found:
    """Seconds a window of the recurrence as the tracker runs it, of torch's LSTM, of reading the weights once.

    ``far`` is the largest difference of states.
    """

    ours: list[float]
    theirs: list[float]
    floor: list[float]
    far: float = 0.0


def measure(
    threads: int, steps: int, frames: int, width: int = 0, kind: torch.dtype = torch.float32
) -> Found:
    """Both on the same frames, in turns, and the memory floor: the weights read once, by a product with a vector."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    width = width or paper_config().hidden
    lstm = torch.nn.LSTM(width, width, batch_first=True)
    fast = Packed(lstm, steps, kind)
    w_in, w_state = lstm.all_weights[0][:2]
    h = c = torch.zeros(1, 0, width)
    x = torch.randn(1, frames + steps, width)
    found = Found([], [], [])
    with torch.inference_mode():
        for t in range(x.shape[1]):
            begin = time.perf_counter()
            h, c = push(fast, steps, h, c, x[:, t])
            middle = time.perf_counter()
            if t < steps:
                continue  # the windows fill up
            other = lstm(x[:, t + 1 - steps : t + 1])[0][:, -1]
            later = time.perf_counter()
            w_in @ x[0, t], w_state @ x[0, t]
            found.floor.append(time.perf_counter() - later)
            found.ours.append(middle - begin)
            found.theirs.append(later - middle)
            found.far = max(found.far, float((h[:, 0] - other).abs().max()))
    return found


def main() -> None:
    """Time both, for each number of steps."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 3, 6, 9])
    parser.add_argument(
        "--hidden", type=int, default=0, help="size of inputs and state [default: the paper's]"
    )
    parser.add_argument("--half", action="store_true", help="weights of the recurrence in bfloat16")
    options = parser.parse_args()
    print(f"{options.threads} threads, torch {torch.__version__}; windows per second")
    print("steps  recurrence  torch's LSTM  weights read once  difference")
    for steps in options.steps:
        kind = torch.bfloat16 if options.half else torch.float32
        found = measure(options.threads, steps, options.frames, options.hidden, kind)
        rates = (1 / np.median(seconds) for seconds in (found.ours, found.theirs, found.floor))
        print("{:5d}  {:10.2f}  {:12.2f}  {:17.2f}  {:10.1e}".format(steps, *rates, found.far), flush=True)


if __name__ == "__main__":
    main()
