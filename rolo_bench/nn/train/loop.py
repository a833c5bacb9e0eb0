"""One training loop for all networks: seeded, resumable to the same result, with averaged weights and curves.

    fit = run(network, objective, Schedule(steps=3000), folder, evaluate=scores, config={"data": "synthetic"})

Everything random is drawn from the step's number or from a `Stream` that the checkpoint keeps, so a run that was
stopped and resumed ends with the same weights as one that was not (same machine, same number of threads). The
folder holds ``checkpoint.pt`` and ``curves.csv``, each replaced whole or not at all, and at the end ``curves.png``.
"""

from __future__ import annotations

import copy
import csv
import io
import json
import math
import pickle
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from rolo_bench.errors import UsageError, WeightsError
from rolo_bench.files import write_atomic

Objective = Callable[[nn.Module, int], dict[str, Tensor]]
Row = dict[str, float]


@dataclass
class Stream:
    """Randomness that runs on from step to step; with it torch's own generator is not seeded by step either.

    Attributes:
        rng: of whatever numpy draws.
        kept: what an objective takes over from steps before: tensors, or tuples of them, by name.
    """

    rng: np.random.Generator
    kept: dict[str, Any] = field(default_factory=dict)

    def state_dict(self) -> dict[str, Any]:
        """Where both generators are, and what is kept."""
        numpy = json.dumps(self.rng.bit_generator.state)
        return {"numpy": numpy, "torch": torch.get_rng_state(), "kept": self.kept}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.rng.bit_generator.state = json.loads(state["numpy"])
        torch.set_rng_state(state["torch"])
        self.kept = state["kept"]


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train.

    Attributes:
        steps: updates in all.
        rate: highest learning rate of AdamW; reached after ``warmup`` steps, then half a cosine down to 1 %.
        decay: weight decay, of matrices and kernels only; with ``vectors`` of biases and norms, too.
        average: the evaluated weights are a running mean with this memory per step (shorter at the start); 0 takes
            the weights themselves.
        clip: gradients are scaled to at most this norm; 0 for never.
        every: steps between evaluations, checkpoints and rows of the curves.
        begin: evaluations up to this step neither keep weights nor count for the patience.
        patience: evaluations without a better score after which training stops; 0 for never.
        seed: of whatever is drawn.
    """

    steps: int
    rate: float = 1e-3
    warmup: int = 100
    decay: float = 1e-4
    vectors: bool = False
    average: float = 0.998
    clip: float = 10.0
    every: int = 250
    begin: int = 0
    patience: int = 0
    seed: int = 0

    def rate_at(self, step: int) -> float:
        """The learning rate of a step (from 0)."""
        if step < self.warmup:
            return self.rate * (step + 1) / self.warmup
        done = (step - self.warmup) / max(self.steps - self.warmup, 1)
        return self.rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))


@dataclass(frozen=True)
class Fit:
    """The outcome: the network with the best averaged weights, its step and score, and the curves."""

    network: nn.Module
    step: int
    score: float
    curves: list[Row]


def step_seed(seed: int, step: int) -> int:
    """A seed for one step; different seeds and steps give unrelated streams."""
    return (seed * 0x9E3779B1 + step * 0x85EBCA77 + 0x2545F491) % 2**31


def run(
    network: nn.Module, objective: Objective, schedule: Schedule, folder: Path | None, *,
    evaluate: Callable[[nn.Module], dict[str, float]] | None = None,
    pace: Callable[[int], dict[str, Any]] | None = None, stream: Stream | None = None,
    config: dict[str, Any] | None = None, report: Callable[[Row], None] | None = None,
) -> Fit:  # fmt: skip
    """Train, or go on from the folder's checkpoint.

    Args:
        network: with its starting weights, on its device; trained in place.
        objective: of network and step number: named terms, of which ``loss`` is minimised. It draws whatever
            is random from `step_seed`, with which torch's own generator is seeded before each step, or from the
            ``stream``. It may set the gradients itself and give a loss without a graph (`Shards` of `detector`).
        folder: where checkpoint and curves go; None keeps nothing.
        evaluate: of the averaged network (in evaluation mode): named figures, of which ``score`` is to be high.
        pace: the optimiser's settings at a step (``lr``, ``betas``), in place of the schedule's rate.
        stream: what the objective draws from, where that is not the step's number.
        config: what else the run depends on; a checkpoint of another configuration is refused.
        report: called with each new row of the curves.

    Raises:
        UsageError: the folder holds a run of another configuration.
        WeightsError: the checkpoint is damaged.
    """
    identity = json.dumps({"schedule": asdict(schedule), **(config or {})}, sort_keys=True)
    average = copy.deepcopy(network).requires_grad_(False) if schedule.average else network
    optimiser = make_optimiser(network, schedule)
    state: dict[str, Any] = {
        "step": 0,
        "curves": [],
        "best": None,
        "best_step": 0,
        "score": -math.inf,
        "stale": 0,
    }
    parts: dict[str, Any] = {"network": network, "average": average, "optimiser": optimiser}
    parts |= {"stream": stream} if stream is not None else {}
    if folder is not None and (folder / "checkpoint.pt").is_file():
        resume(folder / "checkpoint.pt", identity, parts, state)
    pairs = list(zip(average.state_dict().values(), network.state_dict().values()))
    terms: list[dict[str, float]] = []
    since = time.perf_counter()
    while state["step"] < schedule.steps and not (schedule.patience and state["stale"] >= schedule.patience):
        step = state["step"]
        if stream is None:
            torch.manual_seed(step_seed(schedule.seed, step))
        settings = pace(step) if pace else {"lr": schedule.rate_at(step)}
        terms.append(update(network, optimiser, settings, objective, schedule.clip, step))
        if average is not network:
            follow(pairs, min(schedule.average, (1 + step) / (10 + step)))
        state["step"] += 1
        if state["step"] % schedule.every and state["step"] != schedule.steps:
            continue
        row: Row = {"step": state["step"], "learning_rate": settings["lr"]}
        row |= mean_terms(terms)
        row["seconds"] = round(time.perf_counter() - since, 3)
        figures = evaluate(average.eval()) if evaluate else {}
        score = figures.get("score", float(state["step"]))  # without evaluation the last weights are the best
        if state["step"] > schedule.begin:
            keep_best(state, score, average)
        row |= figures
        state["curves"].append(row)
        if folder is not None:
            whole = state | {name: part.state_dict() for name, part in parts.items()}
            write_checkpoint(folder / "checkpoint.pt", identity, whole)
            write_curves(folder, state["curves"])
        if report:
            report(row)
        terms, since = [], time.perf_counter()
    draw_curves(folder, state["curves"])
    if state["best"] is not None:
        average.load_state_dict(state["best"])
    return Fit(average.eval(), state["best_step"], state["score"], state["curves"])


def make_optimiser(network: nn.Module, schedule: Schedule) -> torch.optim.AdamW:
    """AdamW; vectors (biases, batch norm) are decayed only where the schedule says so."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": schedule.decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": schedule.decay * schedule.vectors},
    ]
    return torch.optim.AdamW(groups, lr=schedule.rate, foreach=True)


def update(
    network: nn.Module, optimiser: torch.optim.Optimizer, settings: dict[str, Any], objective: Objective,
    clip: float, step: int,
) -> dict[str, float]:  # fmt: skip
    """One step with the optimiser's settings: loss, gradients, weights. Gives the terms of the loss.

    Raises:
        WeightsError: the loss is not finite.
    """
    if not network.training:
        network.train()
    for group in optimiser.param_groups:
        group |= settings
    optimiser.zero_grad(set_to_none=True)
    terms = objective(network, step)
    if terms["loss"].requires_grad:
        terms["loss"].backward()
    if not torch.isfinite(terms["loss"]):
        raise WeightsError(f"the loss is not finite at step {step}; a lower rate may help")
    if clip:
        nn.utils.clip_grad_norm_(network.parameters(), clip)
    optimiser.step()
    return {name: float(value.detach()) for name, value in terms.items()}


def follow(pairs: list[tuple[Tensor, Tensor]], memory: float) -> None:
    """Move the mean, the first of each of ``pairs``, towards the second; counters are taken over."""
    move = get_ema_multi_avg_fn(memory)
    move(*map(list, zip(*(p for p in pairs if p[0].is_floating_point()))), None)
    for mean, value in pairs:
        if not mean.is_floating_point():
            mean.copy_(value)


def mean_terms(terms: list[dict[str, float]]) -> Row:
    """The mean of each term over steps."""
    return {name: sum(t[name] for t in terms) / len(terms) for name in terms[0]}


def keep_best(state: dict[str, Any], score: float, network: nn.Module) -> None:
    """Take note of the weights, or of another evaluation without a better score."""
    if score > state["score"]:
        best = copy.deepcopy(network.state_dict())
        state |= {"score": score, "best_step": state["step"], "best": best, "stale": 0}
    else:
        state["stale"] += 1


def resume(path: Path, identity: str, parts: dict[str, Any], state: dict[str, Any]) -> None:
    """Restore the parts and the state that `run` wrote."""
    state |= read_checkpoint(path, identity)
    for name, part in parts.items():
        part.load_state_dict(state.pop(name))


def write_checkpoint(path: Path, identity: str, state: dict[str, Any]) -> None:
    """Everything that is needed to go on, and what it belongs to."""
    buffer = io.BytesIO()
    torch.save({"identity": identity, **state}, buffer)
    write_atomic(path, buffer.getvalue())


def read_checkpoint(path: Path, identity: str) -> dict[str, Any]:
    """What `write_checkpoint` wrote, if it is of the same configuration.

    Raises:
        UsageError: another configuration.
        WeightsError: damaged.
    """
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        found = saved.pop("identity")
    except (
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        LookupError,
        AttributeError,
        OSError,
        ValueError,
    ) as error:
        raise WeightsError(
            f"{path}: damaged checkpoint ({type(error).__name__}); delete it to start anew"
        ) from None
    if found != identity:
        old, new = json.loads(found), json.loads(identity)
        names = [k for k in sorted({*old, *new}) if old.get(k) != new.get(k)]
        raise UsageError(
            f"{path}: a run with other settings ({', '.join(names)}); give another folder or delete it"
        )
    return saved


def write_curves(folder: Path, curves: list[Row]) -> None:
    """``curves.csv``: a row for each evaluation."""
    names = list(dict.fromkeys(name for row in curves for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: f"{v:.6g}" for k, v in row.items()} for row in curves)
    write_atomic(folder / "curves.csv", text.getvalue())


def draw_curves(folder: Path | None, curves: list[Row]) -> None:
    """``curves.png`` in a folder, of two rows or more."""
    if folder is not None and len(curves) > 1:
        import pandas as pd

        from rolo_bench import plots

        plots.save(plots.curves(pd.DataFrame(curves)), folder / "curves.png")


def use_threads(count: int | None) -> None:
    """Let torch compute with so many threads; None leaves it as it is."""
    if count:
        torch.set_num_threads(count)
