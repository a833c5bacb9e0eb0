"""The learnt parts of rolo-plus: an LSTM that expects the next box, and a network that judges candidates.

The LSTM is ROLO's idea with what transfers between videos: it reads the movement of the accepted boxes in
units of the target's size and gives the next movement, the place where to look and the prior box. The judge
reads `FEATURES` of each candidate box and estimates how well it overlaps the target.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rolo_bench.boxes import Array, centers, iou
from rolo_bench.errors import WeightsError

FORMAT = "rolo-plus-1"
# One row of evidence per candidate; the first candidate is the prior box at the filter's peak.
FEATURES = (
    "prior",  # 1 for the prior box, 0 for a detection
    "score", "log_score",  # of the detector, best class
    "classes", "class_score",  # cosine with the target's class scores at the start; times score
    "response", "peak", "relative_response",  # of the filter at the centre; its maximum; their ratio
    "iou_prior", "iou_expected",  # overlap with the prior and with the box expected by the LSTM
    "dx", "dy",  # distance from the expected centre in target sizes
    "log_width", "log_height", "change_width", "change_height",  # against the expected size; absolute values
    "first_look", "recent_look",  # cosine of appearance with the first frame and with the recent past
    "first_rank", "recent_rank",  # the same less the best candidate's
    "votes",  # log of 1 + number of the network's boxes merged into this one
    "lead",  # class_score less that of the best other candidate
    "best_class_score",
)  # fmt: skip
LIMIT = 2.0  # movements are cut to this many target sizes
GAIN = 10.0  # movements are this much larger inside the LSTM


class Motion(nn.Module):
    """LSTM from movements to the next movement: dx, dy over the target's mean side, log changes of w, h."""

    def __init__(self, hidden: int = 32) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, hidden, batch_first=True)
        self.out = nn.Linear(hidden, 4)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(
        self, moves: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Movements ``(B, T, 4)`` to expected next movements ``(B, T, 4)`` and the state."""
        values, state = self.lstm(moves.clamp(-LIMIT, LIMIT) * GAIN, state)
        return self.out(values) / GAIN, state


class Judge(nn.Module):
    """Perceptron from evidence ``(…, F)`` to the logit of the overlap with the target ``(…,)``."""

    mean: Tensor
    scale: Tensor

    def __init__(self, features: int = len(FEATURES), hidden: int = 32) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))
        self.layers = nn.Sequential(
            nn.Linear(features, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, 1)
        )

    def forward(self, evidence: Tensor) -> Tensor:
        return self.layers((evidence - self.mean) / self.scale).squeeze(-1)


@dataclass
class Expectation:
    """The LSTM run over one video.

    Attributes:
        motion: the network; None expects no movement.
        move: ``(4,)`` expected next movement.
    """

    motion: Motion | None
    move: Array
    state: tuple[Tensor, Tensor] | None = None

    @classmethod
    def start(cls, motion: Motion | None) -> Expectation:
        """Before the second frame: standing still so far."""
        fresh = cls(motion, np.zeros(4))
        fresh.step(np.zeros(4))
        return fresh

    def step(self, move: Array) -> None:
        """Take the movement of the accepted box."""
        if self.motion is not None:
            with torch.inference_mode():
                out, self.state = self.motion(
                    torch.as_tensor(move, dtype=torch.float32)[None, None], self.state
                )
            self.move = out[0, 0].double().numpy()

    def box(self, centre: Array, size: Array) -> Array:
        """Where the LSTM expects the box ``(4,)``, from the last accepted one."""
        middle = centre + self.move[:2] * np.sqrt(size.prod())
        sides = size * np.exp(self.move[2:])
        return np.concatenate([middle - sides / 2, sides])


def movement(before: Array, after: Array) -> Array:
    """From one box ``(4,)`` to the next ``(4,)`` as the LSTM reads it."""
    shift = (centers(after) - centers(before))[0] / np.sqrt(before[2] * before[3])
    return np.concatenate([shift, np.log(after[2:] / before[2:])])


def evidence(
    boxes: Array, scores: Array, classes: Array, responses: Array, top: float, prior: Array, expected: Array,
    first_look: Array, recent_look: Array, votes: Array,
) -> NDArray[np.float32]:  # fmt: skip
    """What the judge reads, ``(N, len(FEATURES))``; row 0 is the prior box.

    Args:
        boxes: ``(N, 4)`` candidates.
        scores, classes, responses, first_look, recent_look, votes: ``(N,)`` as in `FEATURES`.
        top: maximum of the filter's response.
        prior, expected: ``(4,)`` box at the filter's peak, box expected by the LSTM.
    """
    n = len(boxes)
    shift = np.abs(centers(boxes) - centers(expected)) / expected[2:]
    change = np.log(boxes[:, 2:] / expected[2:])
    together = scores * classes
    ordered = np.sort(together)[::-1]
    others = np.where(np.arange(n) == int(np.argmax(together)), ordered[1] if n > 1 else 0.0, ordered[0])
    columns = [
        np.arange(n) == 0, scores, np.log(scores + 1e-3), classes, together,
        responses, np.full(n, top), responses / max(top, 0.05), iou(boxes, prior), iou(boxes, expected),
        shift[:, 0], shift[:, 1], change[:, 0], change[:, 1], np.abs(change[:, 0]), np.abs(change[:, 1]),
        first_look, recent_look, first_look - first_look.max(), recent_look - recent_look.max(),
        np.log1p(votes), together - others, np.full(n, together.max()),
    ]  # fmt: skip
    return np.stack(columns, axis=1).astype(np.float32)


def rule(table: NDArray[np.float32]) -> Array:
    """A hand-made judge ``(N,)`` for detectors without a trained one; values near 0 … 1."""
    column = {name: table[:, k] for k, name in enumerate(FEATURES)}
    change = column["change_width"] + column["change_height"]
    found = 0.45 * np.clip(column["response"], 0, 1) + 0.35 * np.sqrt(column["class_score"])
    found = found + 0.2 * column["iou_prior"] - 0.15 * change
    return np.where(column["prior"] > 0, 0.35 * column["peak"] + 0.15, found).astype(np.float64)


def judged(judge: Judge | None, table: NDArray[np.float32]) -> Array:
    """Estimated overlap ``(N,)`` of each candidate; by `rule` without a judge."""
    if judge is None:
        return rule(table)
    with torch.inference_mode():
        return judge(torch.from_numpy(table)).sigmoid().double().numpy()


def blend(boxes: Array, values: Array, sharpness: float = 0.05, overlap: float = 0.4) -> Array:
    """Mean ``(4,)`` of the best candidate and those that overlap it, weighted by ``exp(value / sharpness)``."""
    best = int(np.argmax(values))
    weights = np.exp((values - values[best]) / sharpness) * (iou(boxes, boxes[best]) > overlap)
    return np.average(boxes, axis=0, weights=weights)


def habit(found: Array, scores: Array, truth: Array) -> Array | None:
    """How the annotation differs from what the detector finds on the first frame: ``(4,)`` or None.

    Offset of the centre over the detection's size and logarithms of the ratios of width and height, from the
    mean of the boxes that overlap the truth, weighted by score and overlap above 0.3.
    """
    weights = scores * np.clip(iou(found, truth) - 0.3, 0, None) ** 2
    if not weights.max() > 0:
        return None
    weights = np.where(weights >= 0.3 * weights.max(), weights, 0.0)
    mean = np.average(found, axis=0, weights=weights)
    shift = (centers(truth) - centers(mean))[0] / mean[2:]
    return np.concatenate([shift, np.log(truth[2:] / mean[2:])])


def as_annotated(boxes: Array, habit: Array) -> Array:
    """Detections ``(N, 4)`` moved and scaled to how the target was annotated."""
    middle = centers(boxes) + habit[:2] * boxes[:, 2:]
    sides = boxes[:, 2:] * np.exp(habit[2:])
    return np.hstack([middle - sides / 2, sides])


def save_plus(path: Path, judge: Judge, motion: Motion, about: dict[str, Any]) -> None:
    """Write both networks in float16 with the notes on their training, as safetensors."""
    from safetensors.torch import save_file

    parts = {"judge": judge, "motion": motion}
    tensors = {
        f"{part}.{key}": value.detach().half().contiguous()
        for part, module in parts.items()
        for key, value in module.state_dict().items()
    }
    metadata = {
        "format": FORMAT,
        "features": json.dumps(FEATURES),
        "about": json.dumps(about, sort_keys=True),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    save_file(tensors, partial, metadata)
    partial.replace(path)


def load_plus(path: Path) -> tuple[Judge, Motion]:
    """Both networks in evaluation mode.

    Raises:
        WeightsError: no such file, damaged, or not weights of rolo-plus.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise WeightsError(f"{path}: no such rolo-plus weights; train them with `rolo-bench train plus`")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {k: file.get_tensor(k).float() for k in file.keys()}  # noqa: SIM118 - not a mapping
        if metadata.get("format") != FORMAT or json.loads(metadata["features"]) != list(FEATURES):
            raise WeightsError(
                f"{path}: not weights of this rolo-plus; train them with `rolo-bench train plus`"
            )
        judge = Judge(hidden=len(tensors["judge.layers.0.bias"]))
        motion = Motion(hidden=tensors["motion.out.weight"].shape[1])
        for part, module in (("judge.", judge), ("motion.", motion)):
            module.load_state_dict(
                {k.removeprefix(part): v for k, v in tensors.items() if k.startswith(part)}
            )
    except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise WeightsError(f"{path}: damaged rolo-plus weights ({str(error).splitlines()[0][:80]})") from None
    return judge.eval().requires_grad_(False), motion.eval().requires_grad_(False)


def shipped_path(name: str) -> Path:
    """Where weights that come with the package lie."""
    return Path(__file__).resolve().parent.parent / "shipped" / f"{name}.safetensors"
