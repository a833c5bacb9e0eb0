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
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from rolo_bench.boxes import Array
from rolo_bench.errors import UsageError
from rolo_bench.nn.closed_loop import Chooser, Footage, draw_footage, draw_rows
from rolo_bench.nn.rolo import Recurrence, Rolo, RoloConfig, box_offset, decode, encode, relative_iou, to_map
from rolo_bench.nn.rolo_data import NOISES, Runs, Track, moved, real_runs, simulated_runs

LENGTH, STARTS = 200, 4  # frames of a run, and first frames of each video
RIGHT = 0.3  # IoU with the truth from which a detection is the target
FAR = 5.0  # in target sizes: where an output is further off, the loss of a stretch has no slope


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Attributes:
        pretrain, finetune: steps of the optimiser on simulated runs alone, and on real runs with simulated.
        batch: windows a step. rate: of Adam, falling to a twentieth along a cosine.
        real_share: share of real windows in fine-tuning.
        feature_dropout: share of windows whose features are dropped whole (an option that the paper tried).
        box_jitter: random offset of fed boxes in box sizes (an option that the paper tried).
        auxiliary: weight of an extra cost that draws the output to the fed detection (the third).
        loss: ``iou`` (1 - IoU and a smooth L1 on the offset) or ``mse``, the paper's.
        refresh: after so many steps the fed boxes of missed frames are made anew from the network's outputs.
        context: frames of a stretch in streaming mode, which is trained with the outputs fed back at once.
        drop: share of the frames of a stretch whose detection is dropped, so that every next frame is learnt to
            be predicted; in a closed loop only of guided stretches.
        guided: share of the stretches in a closed loop on which the truth tells the association where to look.
        predict: weight, in streaming mode, of the loss of what the network would say of every frame if nothing
            were accepted there: that is the centre of the association's reference.
        check: after so many steps the held-out score is taken; patience: checks without a better one.
    """

    pretrain: int = 600
    finetune: int = 900
    batch: int = 128
    rate: float = 2e-3
    real_share: float = 0.6
    feature_dropout: float = 0.7
    box_jitter: float = 0.0
    auxiliary: float = 0.0
    loss: str = "iou"
    refresh: int = 300
    context: int = 60
    drop: float = 0.25
    guided: float = 0.3
    predict: float = 0.0
    check: int = 300
    patience: int = 2
    weight_decay: float = 1e-4
    seed: int = 0


@dataclass
class Fed:
    """What a network is fed over runs: boxes ``(R, T, 4)``, frames since a detection ``(R, T)``, its outputs; where
    that was asked for, what it would have put out had nothing been accepted, and what it said of the detections
    ``(R, T)``: logits of their being the target.
    """

    boxes: Tensor
    missed: Tensor
    outputs: Tensor
    accepted: Tensor
    predictions: Tensor | None = None
    verdicts: Tensor | None = None


@torch.no_grad()
def rollout(network: Rolo, runs: Runs, features: Tensor | None = None) -> Fed:
    """Run a network over all runs at once, each frame's missing box filled by its own last output."""
    return unroll(network.eval(), runs, features)


def unroll(
    network: Rolo,
    runs: Runs,
    features: Tensor | None = None,
    predict: bool = False,
    chooser: Chooser | None = None,
) -> Fed:
    """As `rollout`, in the mode that the network is in, with gradients from every output to those before.

    With ``predict`` also what the network would put out at each frame if nothing were accepted there. A ``chooser``
    chooses the detections of the frames after the first, where the network's predictions let it look.
    """
    config = network.config
    accepted, given = torch.from_numpy(runs.accepted), torch.from_numpy(runs.given)
    drawn, rows, scores = map(torch.from_numpy, (runs.drawn, runs.rows, runs.scores))
    count, length = accepted.shape[:2]
    recurrence = Recurrence(network.lstm, config.steps, count)
    fed, missed, outputs, predictions, verdicts = [], [], [], [], []
    chosen = []
    none = torch.isnan(accepted[:, 0, :1])
    last = before = torch.where(none, given, accepted[:, 0])
    older = output = given
    since, nothing = torch.zeros(count), torch.zeros(count)

    def advance(t: int, now: Tensor, since: Tensor, sure: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Box shown to the network, its output and all that it says, with the frame's box, misses and score."""
        shown = now
        if config.missing == "zero" and config.form != "offset":
            shown = torch.where((since > 0)[:, None], torch.full_like(now, float("nan")), now)
        inputs = encode(config, shown, before, since, drawn, (older, output), sure)
        said = network.head(recurrence.push(network.inputs(_features(features, rows[:, t], network), inputs)))
        box = decode(config, said, shown, before)
        good = torch.isfinite(box).all(dim=1, keepdim=True) & (box[:, 2:] > 0).all(dim=1, keepdim=True)
        return shown, torch.where(good, box, output), said

    for t in range(length):
        start = recurrence.h, recurrence.c
        if predict or config.judge or chooser:  # the frame as if nothing were accepted
            predicted = advance(t, output, since + 1, nothing)[1] if t else given
            without = recurrence.h, recurrence.c
            recurrence.h, recurrence.c = start
            predictions.append(predicted)
        new, sure = accepted[:, t], scores[:, t]
        if chooser and t:
            new, sure = chooser.choose(t, predicted.detach())
        none = torch.isnan(new[:, 0])
        gone = none & (t > 0)
        last = torch.where(none[:, None], last, new)
        now = torch.where(gone[:, None], output, last) if config.missing == "output" else last
        shown, box, said = advance(t, now, torch.where(gone, since + 1, nothing), sure)
        if config.judge:
            verdicts.append(said[:, 4])
            refused = (said[:, 4] < 0) & ~none & (t > 0)
            gone = gone | refused
            pick = refused[:, None]
            shown, box = torch.where(pick, output, shown), torch.where(pick, predicted, box)
            if t:
                recurrence.h = torch.where(pick[:, None], without[0], recurrence.h)
                recurrence.c = torch.where(pick[:, None], without[1], recurrence.c)
        since = torch.where(gone, since + 1, nothing)
        older, output = output, given if t == 0 else box
        before = shown if config.judge else now
        if chooser and t:
            chooser.take(new, ~gone)
        chosen.append(new)
        fed.append(shown)
        missed.append(since)
        outputs.append(output)
    return Fed(
        torch.stack(fed, dim=1),
        torch.stack(missed, dim=1),
        torch.stack(outputs, dim=1),
        torch.stack(chosen, dim=1),
        torch.stack(predictions, dim=1) if predict else None,
        torch.stack(verdicts, dim=1) if config.judge else None,
    )


def _features(table: Tensor | None, rows: Tensor, network: Rolo) -> Tensor | None:
    """Features ``(..., F)`` of rows; a row of -1 is a frame without: a constant, normalised to zeros."""
    if table is None or not network.config.feature_size:
        return None
    values = table[rows.clamp(min=0)].float()
    return torch.where((rows >= 0)[..., None], values, torch.zeros(()))


@torch.no_grad()
def score(network: Rolo, runs: Runs, features: Tensor | None = None) -> NDArray[np.float64]:
    """Mean IoU of each run ``(R,)`` over the frames with truth, the first left out."""
    outputs = rollout(network, runs, features).outputs
    truth = torch.from_numpy(runs.truth)
    values = torch.nan_to_num(relative_iou(outputs, truth), nan=0.0)[:, 1:]
    known = ~torch.isnan(truth[:, 1:, 0])
    return ((values * known).sum(dim=1) / known.sum(dim=1).clamp(min=1)).double().numpy()


@dataclass
class Window:
    """A batch of windows: fed boxes, boxes fed before, truth ``(B, n, 4)``, and the rest of the input."""

    fed: Tensor
    before: Tensor
    truth: Tensor
    missed: Tensor
    drawn: Tensor
    rows: Tensor
    scores: Tensor
    weight: Tensor


def draw_windows(
    runs: Runs, fed: Fed, count: int, steps: int, rng: np.random.Generator, recipe: Recipe, move: bool
) -> Window:
    """Random windows, moved as a whole: mirrored, shifted and scaled, so that place carries no identity.

    A window at the start of a run counts at all its frames; others mostly at the last, which saw all of it.
    """
    length = runs.accepted.shape[1]
    run = rng.integers(len(runs), size=count)
    known = (~np.isnan(runs.truth[run, :, 0])).cumsum(axis=1).argmax(axis=1) + 1
    start = (rng.random(count) * np.maximum(known - steps + 1, 1)).astype(np.int64)
    start[rng.random(count) < 0.08] = 0
    at = np.minimum(start[:, None] + np.arange(steps), length - 1)  # (B, n)
    r = torch.from_numpy(run)[:, None]
    t = torch.from_numpy(at)
    weight = torch.full((count, steps), 0.1)
    weight[:, -1] = 1.0
    weight[torch.from_numpy(start == 0)] = 1.0
    boxes = fed.boxes[r, t]
    before = fed.boxes[r, (t - 1).clamp(min=0)]
    truth = torch.from_numpy(runs.truth)[r, t]
    rows = torch.from_numpy(runs.rows)[r, t]
    drawn = torch.from_numpy(runs.drawn)[r].expand(count, steps, 4)
    if recipe.box_jitter:
        wobble = torch.from_numpy(rng.normal(0, recipe.box_jitter, (count, steps, 2)).astype(np.float32))
        boxes = torch.cat([boxes[..., :2] + wobble * boxes[..., 2:], boxes[..., 2:]], dim=-1)
    if move:
        boxes, before, truth, drawn = moved((boxes, before, truth, drawn), rng)
    scores = torch.from_numpy(runs.scores)[r, t]
    return Window(boxes, before, truth, fed.missed[r, t], drawn, rows, scores, weight)


def window_loss(network: Rolo, window: Window, features: Tensor | None, recipe: Recipe) -> Tensor:
    """The loss of a batch of windows; frames whose truth is unknown or out of reach do not count."""
    config = network.config
    boxes = encode(config, window.fed, window.before, window.missed, window.drawn, score=window.scores)
    x = network.inputs(features, boxes)
    raw = network(x)
    known = ~torch.isnan(window.truth[..., 0])
    truth = torch.where(known[..., None], window.truth, torch.full((), 0.5))
    fed = torch.nan_to_num(window.fed, nan=0.5)
    near = relative_iou(fed, truth) > 0.02 if config.form != "absolute" else known
    weight = window.weight * known * near
    if config.form == "heatmap":
        # the map before it is cut to 0 … 1, so that gradients pass
        map_ = to_map(config, window.fed, window.before) + raw
        each = ((map_ - to_map(config, truth, window.before)) ** 2).sum(dim=-1)
    elif recipe.loss == "mse" or config.form == "absolute":
        each = ((decode(config, raw, fed, window.before) - truth) ** 2).sum(dim=-1)
    else:
        box = decode(config, raw, fed, window.before)
        wanted = box_offset(truth, fed).clamp(-config.limit, config.limit)
        slack = F.smooth_l1_loss(box_offset(box, fed), wanted, reduction="none", beta=0.1).sum(dim=-1)
        each = 1 - relative_iou(box, truth) + 0.25 * slack
    if recipe.auxiliary and config.form != "heatmap":
        each = each + recipe.auxiliary * ((decode(config, raw, fed, window.before) - fed) ** 2).sum(dim=-1)
    return (each * weight).sum() / weight.sum().clamp(min=1)


def draw_stretches(
    runs: Runs, count: int, frames: int, rng: np.random.Generator, recipe: Recipe, stay: bool = False
) -> Runs:
    """Random stretches of runs, moved as a whole like windows, each as if a tracker were started at its beginning.

    Every third stretch is the beginning of its run.
    """
    run = rng.integers(len(runs), size=count)
    known = (~np.isnan(runs.truth[run, :, 0])).cumsum(axis=1).argmax(axis=1) + 1
    start = (rng.random(count) * np.maximum(known - frames + 1, 1)).astype(np.int64)
    start[rng.random(count) < 1 / 3] = 0
    start[np.isnan(runs.truth[run, start, 0])] = 0  # the box given at the beginning is the truth
    r, at = (
        run[:, None],
        np.minimum(start[:, None] + np.arange(frames), runs.accepted.shape[1] - 1),
    )  # (B, frames)
    accepted = runs.accepted[r, at]
    if recipe.box_jitter:
        wobble = rng.normal(0, recipe.box_jitter, (count, frames, 2)).astype(np.float32)
        accepted[..., :2] += wobble * accepted[..., 2:]
    accepted[:, 1:][rng.random((count, frames - 1)) < recipe.drop] = np.nan
    scores = np.where(np.isnan(accepted[..., 0]), 0, runs.scores[r, at])
    parts = (accepted, runs.truth[run, start][:, None], runs.truth[r, at], runs.drawn[run][:, None])
    shown, given, truth, drawn = moved(tuple(map(torch.from_numpy, parts)), rng, stay)  # type: ignore[arg-type]
    return Runs(
        shown.numpy(), truth.numpy(), drawn[:, 0].numpy(), given[:, 0].numpy(), runs.rows[r, at], scores
    )


def stretch_loss(
    network: Rolo, runs: Runs, features: Tensor | None, recipe: Recipe, chooser: Chooser | None = None
) -> Tensor:
    """The loss of whole stretches, the network's outputs fed back where nothing was accepted: a streaming network
    learns to go on through misses. The first frame does not count, nor those without truth.
    """
    config = network.config
    fed = unroll(network, runs, features, recipe.predict > 0, chooser)
    truth = torch.from_numpy(runs.truth)
    known = ~torch.isnan(truth[..., 0])
    weight = known.float()
    weight[:, 0] = 0
    truth = torch.where(known[..., None], truth, torch.full((), 0.5))

    def errors(boxes: Tensor) -> Tensor:
        if recipe.loss == "mse" or config.form == "absolute":
            return ((boxes - truth) ** 2).sum(dim=-1)
        miss = box_offset(boxes, truth).clamp(-FAR, FAR)
        slack = F.smooth_l1_loss(miss, torch.zeros_like(miss), reduction="none", beta=0.1).sum(dim=-1)
        return 1 - relative_iou(boxes, truth) + 0.25 * slack

    each = errors(fed.outputs)
    if fed.predictions is not None:
        each = each + recipe.predict * errors(fed.predictions)
    if fed.verdicts is not None:
        detected = fed.accepted
        label = torch.nan_to_num(relative_iou(detected, torch.from_numpy(runs.truth)), nan=0.0) >= RIGHT
        doubt = F.binary_cross_entropy_with_logits(fed.verdicts, label.float(), reduction="none")
        asked = ~torch.isnan(detected[..., 0])
        asked[:, 0] = False
        verdict_loss = (doubt * asked).sum() / asked.sum().clamp(min=1)
    if recipe.auxiliary:
        each = each + recipe.auxiliary * ((fed.outputs - torch.nan_to_num(fed.boxes, nan=0.5)) ** 2).sum(
            dim=-1
        )
    loss = (each * weight).sum() / weight.sum().clamp(min=1)
    return loss if fed.verdicts is None else loss + verdict_loss


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
    from rolo_bench.nn.tracks import held_out, trajectories
    from rolo_bench.suites import entries

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
            loss = window_loss(network, window, _features(shown, window.rows, network), recipe)
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
