"""The learnt parts of rolo-plus: an LSTM that expects the next box, and a network that judges candidates.

The LSTM is ROLO's idea with what transfers between videos: it reads the movement of the accepted boxes in
units of the target's size and gives the next movement, the place where to look and the prior box. The judge
reads `FEATURES` of each candidate box and estimates how well it overlaps the target; another one, of the same form,
reads `FINE` of more candidates and measures the target once it is found.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rolo_bench.boxes import Array, centers
from rolo_bench.nn.plus.evidence import FEATURES, around, rule

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
        return around(centre + self.move[:2] * np.sqrt(size.prod()), size * np.exp(self.move[2:]))


def movement(before: Array, after: Array) -> Array:
    """From one box ``(4,)`` to the next ``(4,)`` as the LSTM reads it."""
    shift = (centers(after) - centers(before))[0] / np.sqrt(before[2] * before[3])
    return np.concatenate([shift, np.log(after[2:] / before[2:])])


def judged(judge: Judge | None, table: NDArray[np.float32]) -> Array:
    """Estimated overlap ``(N,)`` of each candidate in thousandths; by `rule` without a judge."""
    if judge is None:
        return np.round(rule(table), 3)
    with torch.inference_mode():
        return np.round(judge(torch.from_numpy(table)).sigmoid().double().numpy(), 3)
