"""Frames per second of a detector in torch, onnxruntime and OpenCV: same network, same input, same run.

    python benchmarks/detectors.py --threads 2 --rounds 10

Each engine runs as it is at its best: onnxruntime and OpenCV with their own defaults, all with the same number
of threads. The engines take turns in blocks of 20 calls, so that whatever else the machine does meets them all
alike. Idle threads spin for a while (onnxruntime's, and torch's in OpenMP) and would take the cores from the
engine that comes next, so each block begins with a pause and a few calls that are not counted. Shown are the
median and the least time of all calls; the first ratio is of medians, the second of least times, which count
where other programs run on the machine. Needs the files of yolox-nano (.onnx) and yolo-nano-voc in ROLO_BENCH_WEIGHTS.
OpenCV 5 reads no Darknet files; with OpenCV 4 the second table has its row, too.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch

from rolo_bench.folders import weights_folder
from rolo_bench.nn.detect import darknet_load, yolox_load
from rolo_bench.nn.detect.registry import load_detector

SIZE = 416
PAUSE, WARM, BLOCK = 0.2, 5, 20  # seconds before a block, its calls that do not count, those that do
Engines = dict[str, Callable[[], object]]
Times = list[float]


def measure(engines: Engines, rounds: int) -> dict[str, Times]:
    """Seconds of single calls of each engine, over ``rounds`` blocks that the engines take in turns."""
    seconds: dict[str, Times] = {name: [] for name in engines}
    for _ in range(rounds):
        for name, run in engines.items():
            time.sleep(PAUSE)
            for call in range(WARM + BLOCK):
                begin = time.perf_counter()
                run()
                if call >= WARM:
                    seconds[name].append(time.perf_counter() - begin)
    return seconds


def show(title: str, seconds: dict[str, Times], reference: str) -> None:
    """One table: milliseconds, frames per second, and speed relative to the reference engine."""
    print(f"\n{title}")
    print(f"{'engine':34s} {'ms':>8s} {'least':>8s} {'fps':>8s} {'ratio':>7s} {'least':>7s}")
    base = seconds[reference]
    for name, s in seconds.items():
        print(f"{name:34s} {np.median(s) * 1e3:8.2f} {min(s) * 1e3:8.2f} {1 / np.median(s):8.1f} "
              f"{np.median(base) / np.median(s):7.2f} {min(base) / min(s):7.2f}")  # fmt: skip


def onnx_engines(path: Path, threads: int) -> Engines:
    """yolox-nano on a processor, from 416 x 416 input.

    onnxruntime, OpenCV and torch's second row give the export's raw outputs; the detector's own path
    goes on to decoded boxes, best class and feature.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    detector = load_detector("yolox-nano", size=SIZE, weights=path)
    plain = yolox_load.build("yolox-nano", path)
    image = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    x = detector.tensor([image])  # type: ignore[attr-defined]
    blob = np.ascontiguousarray(x.numpy())
    contiguous = torch.from_numpy(blob)
    net = cv2.dnn.readNetFromONNX(str(path))

    def opencv() -> object:
        net.setInput(blob)
        return net.forward()

    return {
        "onnxruntime": lambda: session.run(None, {"images": blob}),
        "torch (the detector's path)": lambda: detector.network(x),  # type: ignore[attr-defined]
        "torch (outputs as in the ONNX)": lambda: detector.network.outputs(x),  # type: ignore[attr-defined]
        "torch (plain eager)": lambda: plain.outputs(contiguous),
        f"opencv {cv2.__version__}": opencv,
    }


def darknet_engines(cfg: Path, weights: Path) -> Engines:
    """yolo-nano-voc from 416 x 416 input to boxes and scores before suppression, on a processor."""
    detector = load_detector("yolo-nano-voc", size=SIZE)
    plain = darknet_load.build("yolo-nano-voc", cfg, weights, SIZE)
    image = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    x = detector.tensor([image])  # type: ignore[attr-defined]
    blob = np.ascontiguousarray(x.numpy())
    contiguous = torch.from_numpy(blob)
    engines: Engines = {
        "torch (the detector's path)": lambda: detector.network(x),  # type: ignore[attr-defined]
        "torch (plain eager)": lambda: plain(contiguous),
    }
    read = getattr(cv2.dnn, "readNetFromDarknet", None)
    if read is None or int(cv2.__version__.split(".")[0]) >= 5:
        return engines
    net = read(str(cfg), str(weights))
    names = net.getUnconnectedOutLayersNames()

    def opencv() -> object:
        net.setInput(blob)
        return net.forward(names)

    return {f"opencv {cv2.__version__}": opencv, **engines}


def whole_detectors(devices: list[tuple[str, bool, int]]) -> Engines:
    """From RGB images of 640 x 480 to detections, suppression and copies to the host included."""
    image = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    engines: Engines = {}
    for name in ("yolox-nano", "yolo-nano-voc"):
        for device, half, batch in devices:
            detector = load_detector(name, size=SIZE, threshold=0.1, device=device, half=half)
            label = f"{name} {device}{' half' if half else ''} batch {batch}"
            engines[label] = partial(detector, [image] * batch)
    return engines


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    folder = weights_folder()
    if folder is None:
        parser.error("set ROLO_BENCH_WEIGHTS to a folder with the weight files")
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    stem = folder / "MobileNetV2-YOLOv3-Nano-voc"
    print(f"torch {torch.__version__}, {options.threads} threads, {options.rounds} blocks of {BLOCK} calls, "
          f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")  # fmt: skip
    with torch.inference_mode():
        show(
            f"yolox-nano, {SIZE} x {SIZE}, network alone, CPU",
            measure(onnx_engines(folder / "yolox_nano.onnx", options.threads), options.rounds),
            "onnxruntime",
        )
        engines = darknet_engines(stem.with_suffix(".cfg"), stem.with_suffix(".weights"))
        show(
            f"yolo-nano-voc, {SIZE} x {SIZE}, network alone, CPU",
            measure(engines, options.rounds),
            next(iter(engines)),
        )
    devices = [("cpu", False, 1)]
    if torch.cuda.is_available():
        print(f"\n{torch.cuda.get_device_name()}")
        devices += [("cuda", half, batch) for half in (False, True) for batch in (1, 16)]
    whole = measure(whole_detectors(devices), options.rounds)
    batches = {name: [s / int(name.rsplit(" ", 1)[1]) for s in times] for name, times in whole.items()}
    show("whole detector, 640 x 480 images, per image", batches, next(iter(batches)))


if __name__ == "__main__":
    main()
