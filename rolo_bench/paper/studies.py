"""Studies of the paper: the step size (figure 6), and what happens while the detector fails (figures 3, 4).

`step_sizes` and `occlusion` are the studies in full, the others their parts. Training lies in
`rolo_bench.nn.train.rolo`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rolo_bench.boxes import Array, as_boxes, iou, iou_matrix, valid
from rolo_bench.datasets.suites import Suite
from rolo_bench.detection import look_at
from rolo_bench.errors import DataError, UsageError, counted
from rolo_bench.run.store import Store
from rolo_bench.scores.statistics import bootstrap_interval
from rolo_bench.sequence import Sequence, prefetch

if TYPE_CHECKING:
    import pandas as pd

    from rolo_bench.detection import Detections, Detector
    from rolo_bench.nn.rolo.network import Rolo

Looks = NDArray[np.float16] | None
VALID_IOU = 0.5
STEPS = (1, 3, 6, 9)
"""Step sizes of the paper's figure 6."""
TRACKERS = ("rolo", "yolo-sort", "yolo")


def detector_for(suite: Suite) -> str:
    """The detector of a study on a suite where none is named."""
    return "demo" if suite.name == "demo" else "yolox-nano"


def step_networks(detector: str) -> list[Path]:
    """The networks for `STEPS` that come with rolo-bench.

    Raises:
        UsageError: there are none for this detector.
    """
    from rolo_bench.nn.rolo.file import network_path

    return [network_path(None, detector, "default" if n == 6 else f"steps{n}") for n in STEPS]


def trained_step_networks(
    videos: Iterable[str], folder: Path, detector: str, *, motion: Path | None = None, seed: int = 0,
    cache: str | None = None, scenes: int = 150, report: Callable[[str], None] = lambda line: None,
    device: str = "cpu",
) -> list[Path]:  # fmt: skip
    """Networks for `STEPS` trained as by `train tracker`, which takes what is finished and refuses a run of others.

    Args:
        videos: folders of videos, or ``synthetic``, of which there are so many ``scenes``.
        motion: folder of annotations for pre-training.
        device: of detector and networks.
    """
    from rolo_bench.nn.train.rolo import train_tracker
    from rolo_bench.nn.train.rolo_loss import RoloRecipe
    from rolo_bench.nn.train.tracks import synthetic_paths, training_sequences

    names = tuple(videos)
    sequences = training_sequences(names, scenes=scenes, seed=seed)
    more = synthetic_paths(scenes, seed) if "synthetic" in names else ()
    paths = [folder / f"steps-{detector}-{n}" / "rolo.safetensors" for n in STEPS]
    words = ["rolo-bench study steps", *(f"--train {Path(name).name}" for name in names)]
    words += [f"--detector {detector} --seed {seed}", *([f"--motion {motion.name}"] if motion else [])]
    for n, path in zip(STEPS, paths):
        report(f"{n} steps: training on {counted(len(sequences), 'video')}")
        train_tracker(
            sequences, path.parent, detector=detector, cache=cache, motion=motion, more=more, steps=n,
            recipe=RoloRecipe(seed=seed), command=" ".join(words), device=device,
        )  # fmt: skip
    return paths


def step_sizes(
    suite: Suite, networks: Iterable[Path], cache: str | bool = True, words: str = "",
    report: Callable[[str], None] = lambda line: None, device: str = "cpu",
) -> pd.DataFrame:  # fmt: skip
    """Mean IoU and LSTM frames per second of networks that differ in their steps: the paper's figure 6.

    Columns are those of `steps_row` and ``suite, coverage, detector, convention, hidden, device``;
    `rolo_bench.plots.steps` draws them.

    Args:
        networks: weight files of networks on one detector.
        cache: folder for detections; True for the cache folder.
        words: what the speeds are measured on, for the column ``device``.
        device: of detector and networks.
    """
    import pandas as pd

    from rolo_bench.nn.detect.registry import open_detector
    from rolo_bench.nn.rolo.file import load_rolo

    loaded = [load_rolo(path)[0].to(device) for path in networks]
    config = loaded[0].config
    detector = open_detector(
        config.detector,
        size=config.size,
        vote=config.vote,
        threshold=config.threshold,
        cache=cache,
        appearance=config.alike > 0,
        device=device,
    )
    watched = {}
    for sequence in suite.sequences:
        looks = look_at(detector, sequence.frames.image(0), sequence.truth[:1])
        watched[sequence.name] = (*detections(sequence, detector), sequence.truth, looks)
        report(f"{sequence.name}: detections")
    rows = []
    for network in loaded:
        rows.append(steps_row(network, watched))
        report(f"{network.config.steps} steps: mean IoU {rows[-1]['mean_iou']:.4f}")
    return pd.DataFrame(rows).assign(
        suite=suite.name, coverage=suite.note() or counted(len(suite.sequences), "sequence"),
        detector=config.detector, convention="otb", hidden=config.hidden, device=words,
    )  # fmt: skip


def occlusion(
    store: Store, suite: Suite, trackers: str | Iterable[str] = TRACKERS, detector: str | None = None,
    cache: str | bool = True, valid_iou: float = VALID_IOU, threshold: float = 0.1,
    report: Callable[[str], None] = lambda line: None, device: str = "cpu",
) -> pd.DataFrame:  # fmt: skip
    """Mean IoU of stored results over the frames in which the detector finds no valid box: `occlusion_table`.

    Where the suite says in which frames the target is hidden, a second part is over these.

    Args:
        detector, threshold: its name (by default as `detector_for` says) and the least score of a detection.
        cache: folder for detections; True for the cache folder.
        valid_iou: a detection counts as valid from this IoU with the truth on.
        device: of the detector.

    Raises:
        UsageError: a tracker has no results on the suite.
        DataError: no frame counts, or a result is missing.
    """
    import pandas as pd

    from rolo_bench.nn.detect.options import side_of
    from rolo_bench.nn.detect.registry import open_detector

    names = (trackers,) if isinstance(trackers, str) else tuple(trackers)
    lost = [n for n in names if n not in store.trackers(suite.name)]
    if lost:
        raise UsageError(
            f"no results of {', '.join(lost)} on {suite.name} in {store.root}; make them with `rolo-bench run`"
        )
    name = detector or detector_for(suite)
    made = open_detector(name, size=side_of(name), threshold=threshold, cache=cache, device=device)
    truth = {s.name: s.truth for s in suite.sequences}
    boxes = {n: {s: store.load(suite.name, "ope", n, s)[0].boxes for s in truth} for n in names}
    failures = {}
    for sequence in suite.sequences:
        failures[sequence.name] = detector_failures(sequence, detections(sequence, made)[0], valid_iou)
        report(f"{sequence.name}: {int(failures[sequence.name].frames.sum())} frames")
    parts = [occlusion_table(boxes, truth, {k: f.frames for k, f in failures.items()}, "no valid detection")]
    hidden = {k: f.unseen for k, f in failures.items() if f.unseen is not None}
    if len(hidden) == len(truth):
        parts.append(occlusion_table(boxes, truth, hidden, "target hidden by more than half"))
    return pd.concat(parts, ignore_index=True)


def detections(sequence: Sequence, detector: Detector) -> tuple[list[Detections], tuple[int, int]]:
    """Detections of every frame, and the image's size (width, height)."""
    found, size = [], (1, 1)
    for image in prefetch(sequence.frames):
        size = (image.shape[1], image.shape[0])
        found += detector([image])
    return found, size


def overlaps(boxes: Array, truth: Array) -> Array:
    """Overlap ``(N,)`` as in the `otb` convention: the first box counts as right, no box or no truth as 0."""
    values = np.nan_to_num(iou(as_boxes(boxes), truth), nan=0.0)
    values[0] = 1.0
    return values


def steps_row(
    network: Rolo, watched: Mapping[str, tuple[list[Detections], tuple[int, int], Array, Looks]]
) -> dict[str, Any]:
    """Mean IoU over sequences with its interval, and frames per second of association and LSTM without detector.

    Args:
        network: a trained network; its own number of steps is used.
        watched: per sequence its detections, image size, truth ``(N, 4)`` and the first box's appearance.
    """
    from rolo_bench.nn.rolo.follower import follow

    means, seconds, frames = [], 0.0, 0
    for found, size, truth, looks in watched.values():
        begin = time.perf_counter()
        boxes = follow(network, found, truth[0], size, looks)
        seconds += time.perf_counter() - begin
        frames += len(truth) - 1
        means.append(overlaps(boxes, truth).mean())
    low, high = bootstrap_interval(means)
    return {
        "steps": network.config.steps,
        "mean_iou": float(np.mean(means)),
        "mean_iou_low": low,
        "mean_iou_high": high,
        "fps": frames / seconds,
    }


@dataclass(frozen=True)
class Failure:
    """Frames in which a detector found no valid box: no detection reaches an IoU with the truth.

    Attributes:
        frames: ``(N,)`` True where it failed, the first frame left out.
        unseen: ``(N,)`` True where the generator says that most of the target is hidden; None for real video.
    """

    frames: NDArray[np.bool_]
    unseen: NDArray[np.bool_] | None


def detector_failures(sequence: Sequence, found: list[Detections], least_iou: float = VALID_IOU) -> Failure:
    """Where the detector failed on a target that is in the image; measured against the truth, for studies only.

    Args:
        found: detections of each frame, above the threshold that the trackers use.
        least_iou: a detection is valid at this IoU with the truth or above.
    """
    known = valid(sequence.truth)
    known[0] = False
    best = [iou_matrix(t, f.boxes).max(initial=-1.0) for t, f in zip(sequence.truth, found)]
    failed = ~(np.array(best) >= least_iou) & known
    unseen = None if sequence.visibility is None else (np.asarray(sequence.visibility) < 0.5) & known
    return Failure(failed, unseen)


def occlusion_table(
    boxes: Mapping[str, Mapping[str, Array]],
    truth: Mapping[str, Array],
    chosen: Mapping[str, NDArray[np.bool_]],
    label: str,
) -> pd.DataFrame:
    """Mean IoU of trackers over chosen frames, with intervals over frames' stretches and over sequences.

    A stretch is a row of chosen frames without a gap; its frames are not independent, so whole stretches are
    drawn. Columns ``frames, tracker, mean_iou, low, high, sequence_low, sequence_high, count, stretches,
    sequences``; ``mean_iou`` is over frames, ``low`` and ``high`` its 95 % interval over stretches.

    Args:
        boxes: tracker to sequence to boxes ``(N, 4)``.
        truth: sequence to truth ``(N, 4)``.
        chosen: sequence to which frames count ``(N,)``.

    Raises:
        DataError: no frame counts.
    """
    import pandas as pd

    names = [n for n in truth if chosen[n].any()]
    if not names:
        raise DataError(f"{label}: no such frame in these sequences, so there is nothing to compare")
    rows = []
    for tracker, own in boxes.items():
        parts, per_sequence = [], []
        for name in names:
            values = overlaps(own[name], truth[name])
            parts += [values[a:b] for a, b in stretches(chosen[name])]
            per_sequence.append(values[chosen[name]].mean())
        low, high = stretch_interval(parts)
        outer = bootstrap_interval(per_sequence)
        count = sum(len(p) for p in parts)
        rows.append(
            {
                "frames": label,
                "tracker": tracker,
                "mean_iou": float(np.concatenate(parts).mean()),
                "low": low,
                "high": high,
                "sequence_low": outer[0],
                "sequence_high": outer[1],
                "count": count,
                "stretches": len(parts),
                "sequences": len(names),
            }
        )
    return pd.DataFrame(rows)


def stretches(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Rows of True without a gap as (first, behind the last)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2])]


def stretch_interval(parts: list[Array]) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the mean over frames, whole stretches drawn with replacement."""
    sums, sizes = np.array([p.sum() for p in parts]), np.array([len(p) for p in parts])
    draws = np.random.default_rng(0).integers(0, len(parts), (2000, len(parts)))
    means = sums[draws].sum(axis=1) / sizes[draws].sum(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)
