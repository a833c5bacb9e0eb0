"""How well trackers do on videos that they were not trained on: cross-validation over whole recordings.

Detections are taken from the store, so that a set of options is measured in about a minute. Every video is run from
several first frames, forward and backward in time; the score is the `otb` AUC, its error that over recordings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from collections.abc import Sequence as Rows
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rolo_bench.boxes import Array, valid
from rolo_bench.detection import Detections
from rolo_bench.errors import DataError, UsageError
from rolo_bench.run.plugins import find_plugin, parse_options
from rolo_bench.run.worker import track_frames
from rolo_bench.scores.conventions import find_convention
from rolo_bench.sequence import Image, Sequence

if TYPE_CHECKING:
    import pandas as pd

    from rolo_bench.nn.train.runs import DetectedVideo

LEAST = 10  # frames of a run
OTHER = "feature=other"  # of a variant: the first frame looks as that of another recording
# Options of a tracker that say what its detector does or need the truth of each frame, which stored detections do not
# know, or that name weights in place of those that are trained.
REFUSED = ("detector", "size", "device", "half", "weights", "cache", "association", "variant", "vote")


@dataclass(frozen=True)
class Variant:
    """A tracker and its options, written ``rolo steps=1``; ``other`` where `OTHER` is among them."""

    text: str
    tracker: str
    options: dict[str, Any]
    other: bool

    @classmethod
    def of(cls, text: str) -> Variant:
        """Read a variant.

        Raises:
            UsageError: a word that is not KEY=VALUE, an unknown tracker, or one of the options `REFUSED`.
        """
        tracker, *words = text.split() or [""]
        options = parse_options(tuple(w for w in words if w != OTHER))
        refused = [k for k in options if k in REFUSED]
        if refused:
            raise UsageError(
                f"{text}: {refused[0]} cannot be set here, where all read the same stored detections"
            )
        return cls(text, find_plugin(tracker).name, options, OTHER in words)

    def make(self, **given: Any) -> Any:
        """The tracker, with what is given beside its options.

        Raises:
            UsageError: one that does not run on stored detections, or refuses its options.
        """
        plugin = find_plugin(self.tracker)
        if not {"detector", "cache"} <= {*plugin.options()}:
            raise UsageError(
                f"{self.text}: study transfer needs a tracker that runs on stored detections, as rolo and yolo do"
            )
        return plugin.make(given | self.options)


class Replay:
    """A detector that knows a video: it gives what was found in the frames of a run, whatever image it is shown."""

    name, identity, classes, feature_size, size = "replay", "replay", (), 0, 0
    appearance = True

    def __init__(self, found: Iterable[Detections], looks: NDArray[np.float16] | None) -> None:
        self.found, self.looks = iter(found), looks

    def __call__(self, images: Rows[Image]) -> list[Detections]:
        """The next frame's."""
        return [next(self.found)]

    def describe(self, image: Image, boxes: Array) -> NDArray[np.float16]:
        """Appearance of the first box."""
        assert self.looks is not None
        return self.looks


def runs(track: DetectedVideo, starts: int) -> Iterator[NDArray[np.int64]]:
    """Frames in order of each run: from several first frames with truth, forward and backward in time."""
    known = valid(track.truth)
    for way in (1, -1):
        order = np.arange(len(known))[::way]
        for start in range(starts):
            part = order[start * len(order) // starts :]
            part = part[int(np.argmax(known[part])) :] if known[part].any() else part[:0]
            if len(part) >= LEAST:
                yield part


def run_auc(
    tracker: Any, track: DetectedVideo, order: NDArray[np.int64], other: DetectedVideo | None
) -> float:
    """AUC of a tracker on one run; the first frame looks as that of another video, where one is given."""
    looks = track.look(int(order[0])) if other is None else other.look(int(np.argmax(valid(other.truth))))
    tracker.detector = Replay((track.found[i] for i in order), looks)
    tracker.detector.appearance = looks is not None
    blank = np.zeros((track.size[1], track.size[0], 3), dtype=np.uint8)
    images = (blank for _ in order)
    boxes = np.stack([b for _, b, *_ in track_frames(tracker, images, track.truth[order[0]], track.name)])
    return float(find_convention("otb").score(boxes, track.truth[order]).auc)


def measure(
    variant: Variant, tracks: Rows[DetectedVideo], options: dict[str, Any], starts: int,
    others: Rows[DetectedVideo] = (),
) -> Iterator[tuple[str, float]]:  # fmt: skip
    """Recording and AUC of each run of a variant over tracks; ``others`` is where the look of another comes from."""
    tracker = variant.make(**options)
    for number, track in enumerate(tracks):
        other = others[number % len(others)] if variant.other else None
        for order in runs(track, starts):
            yield track.group, run_auc(tracker, track, order, other)


def parted(tracks: Rows[DetectedVideo], folds: int, starts: int) -> dict[str, int]:
    """The fold of each recording.

    Raises:
        UsageError: fewer recordings than folds.
        DataError: a video too short to be run on.
    """
    short = [t.name for t in tracks if next(runs(t, starts), None) is None]
    if short:
        raise DataError(f"{short[0]}: fewer than {LEAST} frames from the first with truth on; leave it out")
    groups = sorted({t.group for t in tracks})
    if len(groups) < folds:
        raise UsageError(f"{len(groups)} recordings cannot be parted into {folds} folds")
    return dict(zip(np.random.default_rng(0).permutation(groups), np.arange(len(groups)) % folds))


def transfer(
    videos: Rows[Sequence], variants: Rows[Variant], out: Path, *, detector: str = "yolox-nano",
    cache: str | None = None, motion: Path | None = None, folds: int = 5, seeds: int = 1, starts: int = 2,
    steps: int = 6, report: Callable[[str], None] = lambda line: None, device: str = "cpu",
    size: int | None = None, vote: float | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Measure variants on videos; ROLO networks are trained on the other folds, into ``out``.

    Args:
        steps: frames in a window of the networks that are trained.
        device: of detector and networks; of trackers, too, where it is another than the processor.
        size, vote: of `rolo_bench.nn.detect.options.DetectorOptions`; by default as trackers use the detector.

    Returns:
        A row a variant, seed, recording: ``variant, seed, recording, auc``.

    Raises:
        UsageError: fewer recordings than folds, or a variant that cannot be made.
        DataError: a video too short to be run on.
    """
    import pandas as pd

    from rolo_bench.nn.train.rolo import set_up, train_tracker
    from rolo_bench.nn.train.rolo_loss import RoloRecipe
    from rolo_bench.nn.train.tracks import collect

    made, _ = set_up(detector, size, cache, device=device, vote=vote)
    given = {"detector": detector} | ({} if device == "cpu" else {"device": device})
    for variant in variants:  # before hours of training
        variant.make(**given)
    tracks, _ = collect(videos, made, False, report=report)
    part = parted(tracks, folds, starts)
    rows = []
    for seed in range(seeds):
        for fold in range(folds):
            held = [t for t in tracks if part[t.group] == fold]
            others = [(v, t) for v, t in zip(videos, tracks) if part[t.group] != fold]
            network = out / f"fold{fold}-seed{seed}"
            if any(v.tracker == "rolo" for v in variants):
                train_tracker(
                    [v for v, _ in others], network, detector=detector, cache=cache, motion=motion, steps=steps,
                    recipe=RoloRecipe(seed=seed), device=device, size=size, vote=vote,
                )  # fmt: skip
            for variant in variants:
                own = variant.tracker == "rolo" and "network" not in variant.options
                options = given | ({"network": str(network / "rolo.safetensors")} if own else {})
                found = list(measure(variant, held, options, starts, [t for _, t in others]))
                rows += [(variant.text, seed, recording, auc) for recording, auc in found]
                report(f"seed {seed}, fold {fold}: {variant.text} {np.mean([auc for _, auc in found]):.3f}")
    table = pd.DataFrame(rows, columns=["variant", "seed", "recording", "auc"])
    return table.groupby(["variant", "seed", "recording"], sort=False, as_index=False).mean()


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Mean AUC of each variant, its standard error over recordings, and the paired difference to the first variant.

    Columns ``variant, auc, error, difference, difference_error, recordings, seeds``.
    """
    import pandas as pd

    means = table.groupby(["variant", "recording"], sort=False)["auc"].mean().unstack("variant")
    first, rows = table["variant"].iloc[0], []
    for name in dict.fromkeys(table["variant"]):
        apart = means[name] - means[first]
        rows.append((name, means[name].mean(), means[name].sem(), apart.mean(), apart.sem(), len(means),
                     table["seed"].nunique()))  # fmt: skip
    names = ["variant", "auc", "error", "difference", "difference_error", "recordings", "seeds"]
    return pd.DataFrame(rows, columns=names)
