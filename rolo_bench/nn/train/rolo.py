"""Training ROLO on runs of the association: simulated ones first, then real ones among them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rolo_bench.boxes import Array
from rolo_bench.detection import Detector
from rolo_bench.errors import UsageError
from rolo_bench.files import digest
from rolo_bench.nn.detect.options import chosen_for, side_of
from rolo_bench.nn.detect.registry import open_detector
from rolo_bench.nn.detect.torch_detector import pick_device
from rolo_bench.nn.rolo.config import CHOSEN, STREAMING, RoloConfig, paper_config
from rolo_bench.nn.rolo.file import load_rolo, save_rolo
from rolo_bench.nn.rolo.network import Rolo
from rolo_bench.nn.train.footage import Footage, draw_footage, draw_rows, footage
from rolo_bench.nn.train.loop import Fit, Row, Schedule, Stream, run
from rolo_bench.nn.train.rollout import fed_as_zeros, rollout, score, shown_features
from rolo_bench.nn.train.rolo_loss import RoloRecipe, draw_stretches, draw_windows, stretch_loss, window_loss
from rolo_bench.nn.train.runs import DetectedVideo, Runs, real_runs
from rolo_bench.nn.train.simulated import NOISES, simulated_runs
from rolo_bench.nn.train.tracks import collect, held_out, motion_paths, paths_digest
from rolo_bench.sequence import Sequence as Video

LENGTH, STARTS = 200, 4  # frames of a run, and first frames of each video
WARMUP = 50  # steps
WINDOW = 4.0  # sides of a heatmap in those of the box fed before


@dataclass(frozen=True)
class Prepared:
    """Runs to train on: simulated, real, and held out, with the names of the videos held out."""

    simulated: Runs
    real: Runs
    held_out: Runs | None
    held_out_names: list[str]


def prepare_runs(
    tracks: list[DetectedVideo], config: RoloConfig, motion: Sequence[Array], share: float, seed: int,
    length: int = LENGTH, starts: int | None = None, simulated: int = 600, more: Sequence[Array] = (),
) -> Prepared:  # fmt: skip
    """Runs over tracks, some of whose groups are held out, and simulated ones over trajectories.

    Args:
        motion: trajectories ``(N, 4)`` in pixels; none takes the truth of the tracks that are not held out.
        share: share of the groups to hold out; 0 for none.
        starts: first frames of runs of each track; by default `STARTS`, or 1 if no track is longer than a run.
        more: further trajectories for simulated runs.
    """
    starts = starts or (STARTS if any(len(t.truth) > length for t in tracks) else 1)
    out = held_out(tracks, share, seed) if share else set()
    runs, owner = real_runs(tracks, config, length, starts)
    aside = np.isin(owner, sorted(out))
    paths = motion or [t.truth for i, t in enumerate(tracks) if i not in out]
    return Prepared(
        simulated_runs(
            [*paths, *more], simulated, length, np.random.default_rng(seed), NOISES.get(config.detector),
            tracks[0].size if config.place else None,  # scenes of one kind have one size
        ),
        runs.take(np.flatnonzero(~aside)),
        runs.take(np.flatnonzero(aside)) if out else None,
        [tracks[i].name for i in sorted(out)],
    )  # fmt: skip


@dataclass
class RoloObjective:
    """The loss of a step: over windows or, of a streaming network, stretches of simulated runs; from step ``turn`` on
    of real ones, too.

    Attributes:
        real: None trains on simulated runs alone; simulated: None on real ones alone.
        features: ``(M, F)`` table that ``rows`` of the real runs point into.
        closed: what a streaming network is fine-tuned on in place of ``real``: its own predictions lead the
            association as they will in use.
        stream: what is drawn from; it also keeps what windows were fed when it was last made anew.
    """

    recipe: RoloRecipe
    simulated: Runs | None
    real: Runs | None
    features: Tensor | None
    closed: Footage | None
    stream: Stream

    def __post_init__(self) -> None:
        self.tunes = self.real is not None or self.closed is not None
        self.turn = self.recipe.pretrain if self.simulated is not None else 0
        self.steps = self.turn + (self.recipe.finetune if self.tunes else 0)

    def rate(self, step: int) -> dict[str, Any]:
        """The learning rate falls to a twentieth along a cosine, after a rise."""
        fall = 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * step / self.steps))
        return {"lr": self.recipe.rate * fall * min(1, (step + 1) / WARMUP)}

    def __call__(self, network: nn.Module, step: int) -> dict[str, Tensor]:
        """The loss of a step."""
        assert isinstance(network, Rolo)
        recipe, config, rng = self.recipe, network.config, self.stream.rng
        tuning = self.tunes and step >= self.turn
        if config.steps and (step % recipe.refresh == 0 or step == self.turn):
            self.feed(network, tuning)
        use_real = tuning and (self.simulated is None or rng.random() < recipe.real_share)
        dropped = not use_real or self.features is None or rng.random() < recipe.feature_dropout
        features = None if dropped else self.features
        if use_real and self.closed is not None:
            rows = draw_rows(self.closed, recipe.batch, recipe.context, rng)
            stretches, chooser = draw_footage(
                self.closed, config, rows, recipe.guided, recipe.drop, recipe.box_jitter, rng
            )
            return {"loss": stretch_loss(network, stretches, features, recipe, chooser)}
        source = self.real if use_real else self.simulated
        assert source is not None
        if not config.steps:
            stretches = draw_stretches(source, recipe.batch, recipe.context, rng, recipe, config.place)
            return {"loss": stretch_loss(network, stretches, features, recipe)}
        fed, missed = self.stream.kept["real" if use_real else "simulated"]
        window = draw_windows(
            source, fed, missed, recipe.batch, config.steps, rng, recipe, move=not config.place
        )
        return {"loss": window_loss(network, window, shown_features(features, window.rows, network), recipe)}

    def feed(self, network: Rolo, tuning: bool) -> None:
        """Make the fed boxes of missed frames anew from the network's outputs."""
        for name, runs, features in (
            ("simulated", self.simulated, None), ("real", self.real if tuning else None, self.features)
        ):  # fmt: skip
            if runs is not None and network.config.missing == "zero" and network.config.form != "offset":
                self.stream.kept[name] = fed_as_zeros(runs)
            elif runs is not None:
                fed = rollout(network, runs, features)
                self.stream.kept[name] = fed.boxes.cpu(), fed.missed.cpu()
        network.train()


def train(
    config: RoloConfig, recipe: RoloRecipe, simulated: Runs | None, real: Runs | None,
    held_out: Runs | None = None, features: Tensor | None = None, folder: Path | None = None,
    report: Callable[[Row], None] | None = None, begin_with: dict[str, Tensor] | None = None,
    closed: Footage | None = None, identity: dict[str, Any] | None = None, device: str = "cpu",
) -> Fit:  # fmt: skip
    """Train a network: simulated runs first, then real ones among them; the best on held-out runs is kept.

    Args:
        begin_with: weights to start from, of a network of the same configuration.
        held_out: runs of videos that are not in ``real``; None trains to the end and keeps the last.
        features, closed: as in `RoloObjective`.
        folder, report: as in `rolo_bench.nn.train.loop.run`.
        identity: what the data are; a checkpoint of others is refused.
        device: of the network.

    Raises:
        UsageError: a streaming network of the heatmap form, or a folder of another run.
    """
    if not config.steps and config.form == "heatmap":
        raise UsageError("a heatmap network is trained in windows; give --steps 1 or more")
    if config.steps and (config.judge or config.motion == "output"):
        raise UsageError("motion from the output and judging are learnt streaming; give --steps 0")
    torch.manual_seed(recipe.seed)
    network = Rolo(config)
    if begin_with is not None:
        try:
            network.load_state_dict(begin_with)
        except RuntimeError:
            raise UsageError(
                "the weights to start from are of another configuration; give the settings they were trained with"
            ) from None
    network = network.to(pick_device(device, False)[0])
    objective = RoloObjective(
        recipe, simulated, real, features, closed, Stream(np.random.default_rng(recipe.seed))
    )

    def held_out_iou(net: nn.Module) -> dict[str, float]:
        assert isinstance(net, Rolo) and held_out is not None
        return {"score": float(score(net, held_out, features).mean())}

    schedule = Schedule(
        steps=objective.steps, rate=recipe.rate, decay=recipe.weight_decay, vectors=True, average=0, clip=1.0,
        every=recipe.check, begin=objective.turn if objective.tunes and held_out is not None else 0,
        patience=recipe.patience, seed=recipe.seed,
    )  # fmt: skip
    return run(
        network, objective, schedule, folder, evaluate=held_out_iou if held_out is not None else None,
        pace=objective.rate, stream=objective.stream, report=report,
        config={"network": asdict(config), "recipe": asdict(recipe), **(identity or {})},
    )  # fmt: skip


def set_up(
    detector: str, size: int | None = None, cache: str | None = None, *, form: str = "offset",
    paper_size: bool = False, steps: int = 6, hidden: int | None = None, centre: str | None = None,
    widen: float | None = None, device: str = "cpu", vote: float | None = None,
) -> tuple[Detector, RoloConfig]:  # fmt: skip
    """The detector, and the configuration of a network on it, with the association chosen for it."""
    size = side_of(detector, size)
    chosen = chosen_for({"others": {}} if paper_size else CHOSEN, detector, centre=centre, widen=widen)
    streaming = form == "offset" and not steps and not paper_size
    if streaming:  # the association is led by the network, see `footage`, which knows no likeness
        chosen = chosen | STREAMING | {"alike": 0.0, "likeness": False}
    if streaming or form != "offset":  # its predictions lead the association, or it says no offset
        chosen = chosen | {"correction": 1.0}
    made = open_detector(
        detector, size=size, threshold=chosen.get("threshold", 0.1), cache=cache or True, device=device,
        vote=vote, appearance=chosen.get("alike", 0.0) > 0,
    )  # fmt: skip
    chosen = chosen | {"vote": getattr(made, "vote", 1.0)}
    if paper_size:
        return made, replace(paper_config(made.feature_size, steps), detector=detector, size=size, **chosen)
    heatmap = form == "heatmap"
    return made, RoloConfig(
        form=form, feature_size=0 if form == "offset" else made.feature_size, steps=steps, detector=detector,
        size=size, hidden=hidden or (128 if heatmap else 64), missing="zero" if form == "absolute" else "output",
        window=WINDOW if heatmap else 0.0, **chosen,
    )  # fmt: skip


def train_tracker(
    videos: Sequence[Video], out: Path, *, detector: str = "yolox-nano", size: int | None = None,
    cache: str | None = None, motion: Path | None = None, more: Sequence[Array] = (), split: str = "all",
    hold_out: float = 0.0, start: Path | None = None, form: str = "offset", paper_size: bool = False,
    steps: int = 6, hidden: int | None = None, centre: str | None = None, widen: float | None = None,
    recipe: RoloRecipe | None = None, command: str = "", device: str = "cpu", vote: float | None = None,
    note: Callable[[str], None] = lambda line: None, report: Callable[[Row], None] | None = None,
) -> Fit:  # fmt: skip
    """Train ROLO on videos, or go on training, and write ``<out>/rolo.safetensors``.

    Args:
        size: side of the detector's input; by default that of `SIDES`, else its own.
        cache: folder for detections; by default in the cache folder.
        motion: folder of annotation files for simulated runs, of which the names of OTB-30 are left out; None
            takes the truth of the videos that are not held out.
        more: further trajectories ``(N, 4)`` in pixels for simulated runs.
        split: of `rolo_bench.nn.train.tracks.SPLITS`.
        hold_out: share of the videos for early stopping; 0 trains to the end.
        start: weights to fine-tune.
        form, steps, hidden: as in `RoloConfig`; hidden None is 64, of a heatmap 128.
        paper_size: the paper's network: absolute boxes, 4102 inputs and states, the paper's association; it learns from
            real runs alone, since simulated ones have no features.
        centre, widen: of the association, as in `RoloConfig`; by default what was chosen for the detector.
        command: what the weights file is to say made it.
        device: of detector and network: ``cpu``, ``cuda`` or ``cuda:N``.
        vote: of `rolo_bench.nn.detect.options.DetectorOptions`, for studies.
        note: called with the name and length of each video once its detections are there.
        report: called with each row of the curves.

    Returns:
        The fit; its score is the held-out mean IoU.

    Raises:
        UsageError: settings that do not go together, or a folder of another run.
        DataError: a video without truth.
    """
    made, config = set_up(
        detector, size, cache, form=form, paper_size=paper_size, steps=steps, hidden=hidden, centre=centre,
        widen=widen, device=device, vote=vote,
    )  # fmt: skip
    recipe = recipe or RoloRecipe()
    begin = load_rolo(start)[0].state_dict() if start else None
    led = not config.steps and config.centre == "prediction"  # by its own predictions, which are learnt, too
    recipe = replace(recipe, predict=1.0 if led else recipe.predict)
    paths = motion_paths(motion, [])
    identity = {
        "videos": {v.name: v.truth_digest() for v in videos}, "detector": made.identity, "split": split,
        "hold_out": hold_out, "start": digest(start) if start else None,
        "motion": paths_digest(paths), "more": paths_digest(more),
    }  # fmt: skip
    tracks, features = collect(videos, made, config.feature_size > 0, split, note, out)
    runs = prepare_runs(
        tracks, config, paths, hold_out, recipe.seed, simulated=max(600, 2 * len(tracks)), more=more
    )
    fit = train(
        replace(config, correction=1.0), recipe, None if paper_size else runs.simulated, runs.real, runs.held_out,
        features, out, report, begin, footage(tracks, config, runs.held_out_names) if led else None, identity, device,
    )  # fmt: skip
    about = {
        "videos": [t.name for t in tracks], "held_out": runs.held_out_names, "split": split,
        "motion": Path(motion or "").name, "recipe": asdict(recipe), "best_step": fit.step,
        "held_out_iou": fit.score if runs.held_out is not None else None, "command": command,
    }  # fmt: skip
    assert isinstance(fit.network, Rolo)
    fit.network.config = config
    save_rolo(fit.network.cpu(), out / "rolo.safetensors", about)
    return fit
