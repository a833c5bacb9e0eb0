"""Windows per second of ROLO's LSTM at the paper's size: the tracker's recurrence against torch's own.

    python benchmarks/lstm.py --threads 2 --frames 20

The paper's network has 4102 inputs and 4102 states; its windows hold 6 frames. torch's LSTM runs each window anew;
the recurrence computes a frame's input projection once and advances all windows that hold it in one product. Both
take turns on the same frames; the medians and the largest difference of their states are printed.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from rolo_bench.nn.rolo.config import paper_config
from rolo_bench.nn.rolo.network import push


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
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    width = options.hidden or paper_config().hidden
    lstm = torch.nn.LSTM(width, width, batch_first=True)
    print(f"{width} inputs, {width} states, {options.threads} threads, torch {torch.__version__}")
    print("steps  recurrence  torch's LSTM  (windows per second)  difference")
    for steps in options.steps:
        h = c = torch.zeros(1, 0, width)
        x = torch.randn(1, options.frames + steps, width)
        ours, theirs, far = [], [], 0.0
        with torch.inference_mode():
            for t in range(x.shape[1]):
                begin = time.perf_counter()
                h, c = push(lstm, steps, h, c, x[:, t])
                middle = time.perf_counter()
                if t < steps:
                    continue  # the windows fill up
                other = lstm(x[:, t + 1 - steps : t + 1])[0][:, -1]
                ours.append(middle - begin)
                theirs.append(time.perf_counter() - middle)
                far = max(far, float((h[:, 0] - other).abs().max()))
        print(
            f"{steps:5d}  {1 / np.median(ours):10.2f}  {1 / np.median(theirs):12.2f}  {far:32.1e}", flush=True
        )


if __name__ == "__main__":
    main()
