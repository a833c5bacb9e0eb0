"""Videos as tracks for training: detections and features of each frame, splits of the paper, trajectories."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rolo_bench import sequence as seq
from rolo_bench.boxes import Array, valid
from rolo_bench.detection import Detections, Detector, look_at
from rolo_bench.errors import DataError, UsageError
from rolo_bench.nn.detect.cache import Cached, Stored, image_digest
from rolo_bench.nn.train.runs import DetectedVideo

SPLITS = ("all", "first-third", "third-truth")
BATCH = 8
NUMBERED = re.compile(r"(?<=.)-\d+$|(?<=[A-Za-z])\d{1,2}$")


def video_group(name: str) -> str:
    """The recording of a target: ``Jogging-2`` and ``Jogging-1`` are one, as are Bolt2 and Bolt.

    Longer numbers, and those behind another sign (VID's), tell recordings apart.
    """
    return NUMBERED.sub("", name)


def cut(sequence: seq.Sequence, split: str) -> seq.Sequence:
    """The frames of a split: ``first-third`` (experiments 2 of the paper) or all."""
    return sequence.slice(0, max(len(sequence) // 3, 1)) if split == "first-third" else sequence


def make_track(
    sequence: seq.Sequence, detector: Detector, keep_features: bool, split: str = "all"
) -> tuple[DetectedVideo, Tensor | None]:
    """A track with its detections, and its features ``(N, F)`` float16.

    With split ``third-truth`` (experiment 3 of the paper) all frames are seen and the truth of every third counts.

    Raises:
        UsageError: unknown split.
    """
    if split not in SPLITS:
        raise UsageError(f"split must be one of {', '.join(SPLITS)}, not {split!r}")
    part = cut(sequence, split)
    found: list[Detections] = []
    keys: list[bytes] = []  # a store is read when it is needed, so that any number of videos fits
    features: list[Tensor] = []
    images: list[seq.Image] = []
    size = (1, 1)
    for i, image in enumerate(seq.prefetch(part.frames)):
        images.append(image)
        size = (image.shape[1], image.shape[0])
        if len(images) == BATCH or i + 1 == len(part):
            several = detector(images)
            if keep_features:
                features += [torch.from_numpy(np.array(one.feature, dtype=np.float16)) for one in several]
            if isinstance(detector, Cached):
                keys += map(image_digest, images)
            else:
                found += [replace(one, feature=one.feature[:0]) for one in several]
            images = []
    seen = Stored(detector, tuple(keys)) if isinstance(detector, Cached) else tuple(found)
    counted = np.arange(len(part)) % 3 == 0 if split == "third-truth" else None

    def look(frame: int) -> NDArray[np.float16] | None:
        return look_at(detector, part.frames.image(frame), part.truth[frame : frame + 1])

    track = DetectedVideo(
        part.name, part.truth, seen, size, video_group(part.name), counted, lru_cache(None)(look)
    )
    return track, torch.stack(features) if keep_features else None


def collect(
    sequences: Sequence[seq.Sequence],
    detector: Detector,
    keep_features: bool,
    split: str = "all",
    report: Callable[[str], None] = lambda line: None,
    folder: Path | None = None,
) -> tuple[list[DetectedVideo], Tensor | None]:
    """Tracks of sequences and the table ``(M, F)`` of their features, in one order.

    The table lies in a file without a name in a ``folder`` (by default that for temporary files) and is read where it
    is needed, so that any number of videos fits.

    Raises:
        DataError: a sequence has no frame with truth.
    """
    tracks, width = [], 0
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        for sequence in sequences:
            if not valid(sequence.truth).any():
                raise DataError(f"{sequence.name}: no frame has truth; leave it out of training")
            track, features = make_track(sequence, detector, keep_features, split)
            tracks.append(track)
            if features is not None:
                file.write(features.numpy().tobytes())
                width = features.shape[1]
            report(f"{sequence.name}: {len(track.found)} frames")
        file.flush()
        # the mapping keeps the file after it is closed
        table = np.memmap(file, np.float16, "r+").reshape(-1, width) if width else None
    return tracks, torch.from_numpy(table) if table is not None else None


def trajectories(folder: Path, leave_out: set[str]) -> list[Array]:
    """True trajectories ``(N, 4)`` of the annotation files ``<Seq>.txt`` of a folder, without some names.

    Raises:
        DataError: none there.
    """
    from rolo_bench.boxfiles import read_boxes

    files = sorted(p for p in folder.glob("*.txt") if p.stem not in leave_out)
    if not files:
        raise DataError(f"{folder}: holds no annotation files NAME.txt")
    return [read_boxes(p) for p in files]


def motion_paths(folder: Path | None, truths: list[Array]) -> list[Array]:
    """Trajectories to learn motion from: of a folder's annotation files less those of OTB-30; without one, the truths.

    Raises:
        DataError: the folder holds none.
    """
    from rolo_bench.datasets.suites import entries

    return truths if folder is None else trajectories(folder, {e.name for e in entries("otb30")})


def paths_digest(paths: Sequence[Array]) -> str:
    """SHA-256 of trajectories ``(N, 4)``, for what a training depends on."""
    return hashlib.sha256(b"".join(p.tobytes() for p in paths)).hexdigest()


def held_out(tracks: Sequence[DetectedVideo], share: float, seed: int) -> set[int]:
    """Indices of tracks to hold out: whole groups, chosen by the seed, about ``share`` of all groups.

    Raises:
        UsageError: that is none or all of them.
    """
    groups = sorted({t.group for t in tracks})
    count = round(share * len(groups))
    if not 0 < count < len(groups):
        raise UsageError(
            f"to hold out {share:g} of {len(groups)} recordings leaves none to "
            f"{'train on' if count else 'hold out'}; videos whose names differ in a short number are one recording"
        )
    chosen = {groups[i] for i in np.random.default_rng(seed).permutation(len(groups))[:count]}
    return {i for i, t in enumerate(tracks) if t.group in chosen}


def training_sequences(
    folders: Sequence[str],
    suites: Sequence[str] = (),
    videos: str | None = None,
    scenes: int = 150,
    seed: int = 0,
) -> list[seq.Sequence]:
    """Training videos of folders in OTB, VOT or ILSVRC VID layout (``synthetic``: scenes of the generator) and suites.

    Raises:
        UsageError: none named.
    """
    from rolo_bench.datasets import vid
    from rolo_bench.datasets.suites import load_suite

    found: list[seq.Sequence] = []
    for folder in folders:
        if folder == "synthetic":
            found += synthetic_scenes(scenes, seed)
        elif vid.is_vid_folder(Path(folder)):
            found += vid.load_vid(Path(folder))
        else:
            found += load_suite(folder).sequences
    for suite in suites:
        found += load_suite(suite, videos).sequences
    if not found:
        raise UsageError("name training videos with --data DIR or --suite NAME")
    return found


def synthetic_paths(count: int, seed: int) -> list[Array]:
    """True trajectories of further training scenes of the generator, without their frames."""
    from rolo_bench.datasets.synthetic.suite import RenderedFrames, training_scene

    return [RenderedFrames(training_scene(100_000 * seed + 50_000 + i)).truth for i in range(count)]


def synthetic_scenes(count: int, seed: int) -> list[seq.Sequence]:
    """Rendered training scenes of the generator, from a domain that the demo suite has no part in."""
    from rolo_bench.datasets.synthetic.suite import RenderedFrames, training_scene

    scenes = [RenderedFrames(training_scene(100_000 * seed + i)) for i in range(count)]
    return [seq.Sequence(s.spec.name, s, s.truth) for s in scenes if valid(s.truth[:1])[0]]
