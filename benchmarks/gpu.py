"""Networks on a GPU, or on a processor by the same code: milliseconds, frames a second, achieved compute and bandwidth.

    python benchmarks/gpu.py --device cuda
    python benchmarks/gpu.py --device cpu --small

YOLOv1 at 448 px, YOLOX from nano to x, and the paper's LSTM (4102 inputs and states) at 1, 3, 6 and 9 steps; one image
or video at a time and many, in float32 and half precision, on CUDA also as a graph that is launched whole. Weights are
random, which changes no speed. Compute counts multiplications and additions; bandwidth counts the weights once a call,
which bounds what one image can reach. Beside it stand the paper's frames per second: YOLO and LSTM together 20, and of
the LSTM alone 271, 110, 61 and 42 (figure 6).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from rolo_bench.nn.detect.torch_detector import pick_device
from rolo_bench.nn.detect.yolov1 import PLANS, YoloV1
from rolo_bench.nn.detect.yolox import VARIANTS, YOLOX
from rolo_bench.nn.rolo.config import paper_config
from rolo_bench.nn.rolo.network import push

PAPER = {"yolov1": "20", 1: "271", 3: "110", 6: "61", 9: "42"}
WARM, LEAST = 5, 0.3  # calls that do not count; seconds that those take at least which do


@dataclass(frozen=True)
class Case:
    """One thing to time: a call, how many frames it is of, the bytes of its weights, what the paper says."""

    name: str
    call: Callable[[], object]
    frames: int
    weights: int
    paper: str = ""


def bytes_of(network: nn.Module) -> int:
    """Of the weights."""
    return sum(p.numel() * p.element_size() for p in network.parameters())


def convolutional(
    small: bool, device: torch.device, kind: torch.dtype, batches: tuple[int, ...]
) -> Iterator[Case]:
    """The detectors' networks, from input to boxes before suppression."""
    names = ["yolov1-tiny", "yolox-nano"] if small else ["yolov1", *VARIANTS]
    for name in names:
        if name in VARIANTS:
            depth, width, separable, size = VARIANTS[name]
            network: nn.Module = YOLOX(depth, width, separable)
        else:
            network, size = YoloV1(PLANS[name]), PLANS[name].size
        network = network.eval().requires_grad_(False).to(device, kind).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for batch in batches:
            x = torch.rand(batch, 3, size, size, device=device, dtype=kind)
            x = x.contiguous(memory_format=torch.channels_last)
            yield Case(f"{name} {size} px", lambda x=x, n=network: n(x), batch, bytes_of(network),
                       PAPER.get(name, "") if batch == 1 else "")  # type: ignore[misc]  # fmt: skip


def recurrent(
    small: bool, device: torch.device, kind: torch.dtype, batches: tuple[int, ...]
) -> Iterator[Case]:
    """The paper's LSTM, one frame at a time of one video and of many."""
    width = 512 if small else paper_config().hidden
    lstm = nn.LSTM(width, width, batch_first=True, device=device, dtype=kind).requires_grad_(False)
    for steps in (1, 3, 6, 9):
        for batch in batches:
            x = torch.rand(batch, width, device=device, dtype=kind)
            h = c = torch.zeros(batch, steps, width, device=device, dtype=kind)  # windows as full as they get
            yield Case(f"LSTM {width}, {steps} steps", lambda s=steps, h=h, c=c, x=x: push(lstm, s, h, c, x), batch,
                       bytes_of(lstm), PAPER[steps] if batch == 1 and not small else "")  # type: ignore[misc]  # fmt: skip


def as_graph(call: Callable[[], object]) -> Callable[[], object]:
    """A call as a CUDA graph, whose kernels are launched all at once."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph.replay


def seconds_of(call: Callable[[], object], device: torch.device) -> float:
    """Median seconds of a call, done when the device says so."""

    def once() -> float:
        begin = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - begin

    for _ in range(WARM):
        once()
    found: list[float] = []
    while sum(found) < LEAST or len(found) < 5:
        found.append(once())
    return statistics.median(found)


def flops_of(call: Callable[[], object]) -> int:
    """Floating point operations of a call."""
    with FlopCounterMode(display=False) as counter:
        call()
    return int(counter.get_total_flops())


def show(case: Case, how: str, call: Callable[[], object], flops: int, device: torch.device) -> None:
    """Time a case one way and print its row."""
    seconds = seconds_of(call, device)
    print(
        f"| {case.name} | {case.frames} | {how} | {1000 * seconds:.2f} | {case.frames / seconds:.1f} "
        f"| {flops / seconds / 1e12:.2f} | {case.weights / seconds / 1e9:.0f} | {case.paper} |",
        flush=True,
    )


def main() -> None:
    """Print a row for each network, precision and batch."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--small", action="store_true", help="small networks, to try the code out")
    options = parser.parse_args()
    device = pick_device(options.device, False)[0]
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "processor"
    print(f"{name}, torch {torch.__version__}\n")
    print("| network | batch | how | ms | frames a second | TFLOP/s | GB/s of weights | paper's fps |")
    print("|" + "---|" * 8)
    batches = (1, 2) if options.small else (1, 16)
    with torch.inference_mode():
        for half in (False, True):
            kind = pick_device(options.device, half)[1]
            precision = str(kind).removeprefix("torch.")
            for make in (convolutional, recurrent):
                for case in make(options.small, device, kind, batches):
                    flops = flops_of(case.call)
                    show(case, precision, case.call, flops, device)
                    if device.type == "cuda":
                        show(case, f"{precision}, graph", as_graph(case.call), flops, device)


if __name__ == "__main__":
    main()
