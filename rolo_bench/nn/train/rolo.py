"""Training ROLO on runs of the association: closed-loop rollouts, windows, losses, early stopping."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rolo_bench.boxes import Array
from rolo_bench.errors import UsageError
from rolo_bench.nn.rolo.config import RoloConfig
from rolo_bench.nn.rolo.network import Rolo
from rolo_bench.nn.train.footage import Footage, draw_footage, draw_rows
from rolo_bench.nn.train.rollout import rollout, score, shown_features
from rolo_bench.nn.train.rolo_loss import Recipe, draw_stretches, draw_windows, stretch_loss, window_loss
from rolo_bench.nn.train.runs import Runs, Track, real_runs
from rolo_bench.nn.train.simulated import NOISES, simulated_runs
from rolo_bench.sequence import Sequence as Video

LENGTH, STARTS = 200, 4  # frames of a run, and first frames of each video


@dataclass(frozen=True)
class Prepared:
    """Runs to train on: simulated, real, and held out, with the names of the videos held out."""

    simulated: Runs
    real: Runs
    held_out: Runs | None
    held_out_names: list[str]


def prepare_runs(
    tracks: list[Track], config: RoloConfig, motion: Path | None, share: float, seed: int,
    length: int = LENGTH, starts: int = STARTS, simulated: int = 600, more: Sequence[Array] = (),
) -> Prepared:  # fmt: skip
    """Runs over tracks, some of whose groups are held out, and simulated ones over trajectories.

    Args:
        motion: folder of annotation files, of which the names of OTB-30 are left out; None takes the truth of
            the tracks that are not held out.
        share: share of the groups to hold out; 0 for none.
        more: further trajectories ``(N, 4)`` in pixels for simulated runs.
    """
    from rolo_bench.datasets.suites import entries
    from rolo_bench.nn.train.tracks import held_out, trajectories

    out = held_out(tracks, share, seed) if share else set()
    runs, owner = real_runs(tracks, config, length, starts)
    aside = np.isin(owner, sorted(out))
    if motion is not None:
        paths = trajectories(motion, {e.name for e in entries("otb30")})
    else:
        paths = [t.truth for i, t in enumerate(tracks) if i not in out]
    return Prepared(
        simulated_runs(
            [*paths, *more],
            simulated,
            length,
            np.random.default_rng(seed),
            NOISES.get(config.detector),
            tracks[0].size if config.place else None,  # scenes of one kind have one size
        ),
        runs.take(np.flatnonzero(~aside)),
        runs.take(np.flatnonzero(aside)) if out else None,
        [tracks[i].name for i in sorted(out)],
    )


def write_curves(progress: Progress, path: Path) -> None:
    """The curves of a training as CSV: ``step, loss, held_out_iou``."""
    rows = zip(progress.steps, progress.loss, progress.held_out)
    text = "step,loss,held_out_iou\n" + "".join(f"{s},{v:.6f},{h:.6f}\n" for s, v, h in rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@dataclass
class Progress:
    """Curves of a training: per check the step, mean loss since the last, and held-out mean IoU."""

    steps: list[int] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    held_out: list[float] = field(default_factory=list)
    best: float = -1.0
    best_step: int = 0


def train(
    config: RoloConfig,
    recipe: Recipe,
    simulated: Runs | None,
    real: Runs | None,
    held_out: Runs | None = None,
    features: Tensor | None = None,
    checkpoint: Path | None = None,
    report: Callable[[str], None] = lambda line: None,
    begin_with: dict[str, Tensor] | None = None,
    closed: Footage | None = None,
) -> tuple[Rolo, Progress]:
    """Train a network: simulated runs first, then real ones among them; the best on held-out runs is kept.

    Args:
        begin_with: weights to start from, of a network of the same configuration.
        held_out: runs of videos that are not in ``real``; None trains to the end and keeps the last.
        features: ``(M, F)`` table that ``rows`` of the real runs point into.
        closed: what a streaming network is fine-tuned on in place of ``real``: its own predictions lead the
            association as they will in use.
        checkpoint: file to go on from if it is there, and to keep the state in.

    Raises:
        UsageError: a streaming network of the heatmap form.
    """
    if not config.steps and config.form == "heatmap":
        raise UsageError("a heatmap network is trained in windows; give --steps 1 or more")
    torch.manual_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)
    network = Rolo(config)
    if begin_with is not None:
        network.load_state_dict(begin_with)
    optimiser = torch.optim.AdamW(network.parameters(), recipe.rate, weight_decay=recipe.weight_decay)
    tunes = real is not None or closed is not None
    total = (recipe.pretrain if simulated is not None else 0) + (recipe.finetune if tunes else 0)
    turn = recipe.pretrain if simulated is not None else 0
    progress, best, begin = Progress(), {k: v.clone() for k, v in network.state_dict().items()}, 0
    if checkpoint is not None and checkpoint.is_file():
        begin, best = _resume(checkpoint, config, recipe, network, optimiser, progress, rng)
        report(f"going on from step {begin} of {total}")
    losses: list[float] = []
    fed_real = fed_sim = None
    for step in range(begin, total):
        for group in optimiser.param_groups:
            fall = 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * step / total))
            group["lr"] = recipe.rate * fall * min(1, (step + 1) / 50)
        tuning = step >= turn and tunes
        if config.steps and (step % recipe.refresh == 0 or step in (begin, turn)):
            fed_sim = rollout(network, simulated) if simulated is not None else None
            fed_real = rollout(network, real, features) if real is not None and tuning else None
        network.train()
        use_real = tuning and (simulated is None or rng.random() < recipe.real_share)
        source, fed = (real, fed_real) if use_real else (simulated, fed_sim)
        shown = (
            features if use_real and features is not None and rng.random() >= recipe.feature_dropout else None
        )
        if use_real and closed is not None:
            rows = draw_rows(closed, recipe.batch, recipe.context, rng)
            stretches, chooser = draw_footage(
                closed, config, rows, recipe.guided, recipe.drop, recipe.box_jitter, rng
            )
            loss = stretch_loss(network, stretches, shown, recipe, chooser)
        elif fed is None:
            assert source is not None
            stretches = draw_stretches(source, recipe.batch, recipe.context, rng, recipe, config.place)
            loss = stretch_loss(network, stretches, shown, recipe)
        else:
            assert source is not None
            window = draw_windows(source, fed, recipe.batch, config.steps, rng, recipe, move=not config.place)
            loss = window_loss(network, window, shown_features(shown, window.rows, network), recipe)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        losses.append(loss.item())
        done = step + 1
        if done % recipe.check == 0 or done == total:
            value = float(score(network, held_out, features).mean()) if held_out is not None else float("nan")
            progress.steps.append(done)
            progress.loss.append(float(np.mean(losses)))
            progress.held_out.append(value)
            losses = []
            better = held_out is None or value > progress.best
            if better and (done > turn or not tunes or held_out is None):
                progress.best, progress.best_step = value, done
                best = {k: v.clone() for k, v in network.state_dict().items()}
            if checkpoint is not None:
                _keep(checkpoint, config, recipe, network, optimiser, progress, best, done, rng)
            held = f"  held-out IoU {value:.4f}" if held_out is not None else ""
            report(f"step {done:5d} of {total}  loss {progress.loss[-1]:.4f}{held}")
            waited = (done - max(progress.best_step, turn)) / recipe.check
            if held_out is not None and done > turn and waited >= recipe.patience:
                report(f"no better for {recipe.patience} checks: stops")
                break
    network.load_state_dict(best)
    return network.eval(), progress


def _keep(
    path: Path, config: RoloConfig, recipe: Recipe, network: Rolo, optimiser: torch.optim.Optimizer,
    progress: Progress, best: dict[str, Tensor], step: int, rng: np.random.Generator,
) -> None:  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    torch.save(
        {
            "config": json.dumps(asdict(config), sort_keys=True), "recipe": json.dumps(asdict(recipe), sort_keys=True),
            "network": network.state_dict(), "optimiser": optimiser.state_dict(), "best": best,
            "progress": asdict(progress), "step": step, "torch": torch.get_rng_state(),
            "numpy": json.dumps(rng.bit_generator.state),
        },
        partial,
    )  # fmt: skip
    partial.replace(path)


def _resume(
    path: Path, config: RoloConfig, recipe: Recipe, network: Rolo, optimiser: torch.optim.Optimizer,
    progress: Progress, rng: np.random.Generator,
) -> tuple[int, dict[str, Tensor]]:  # fmt: skip
    state: dict[str, Any] = torch.load(path, weights_only=True)
    same = state["config"] == json.dumps(asdict(config), sort_keys=True)
    if not same or state["recipe"] != json.dumps(asdict(recipe), sort_keys=True):
        raise UsageError(f"{path}: was made with other settings; give another file or delete it")
    network.load_state_dict(state["network"])
    optimiser.load_state_dict(state["optimiser"])
    for key, value in state["progress"].items():
        setattr(progress, key, value)
    torch.set_rng_state(state["torch"])
    rng.bit_generator.state = json.loads(state["numpy"])
    return state["step"], state["best"]


def training_sequences(
    folders: tuple[str, ...], suites: tuple[str, ...], videos: str | None, scenes: int, seed: int
) -> list[Video]:
    """The videos that the options name.

    Raises:
        UsageError: none named.
    """
    from rolo_bench.datasets import vid
    from rolo_bench.datasets.suites import load_suite

    found: list[Video] = []
    for folder in folders:
        if folder == "synthetic":
            from rolo_bench.nn.train.tracks import synthetic_scenes

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
