"""ROLO: a recurrent network over detections and image features that gives the target's box.

At each frame the input is the detector's feature of the whole image and the box that the association of
section II.B accepted; an LSTM (torch's standard cell: equation 2 of the paper prints a sigmoid for g and
leaves out the update of the cell) turns the last frames into a box. Causal: the box of frame t depends on
frames up to t.

Three forms of network, named in `RoloConfig.form`:

- ``absolute``, the paper: input feature + (0, x, y, w, h, 0), output x, y, w, h relative to the image;
- ``heatmap``, the paper's alternative: 32 × 32 maps in and out (`rolo_bench.nn.rolo.heatmap`). The paper's map spans
  the image; `RoloConfig.window` lets it span, as a deviation, a few times the box that was fed at the frame
  before, so that small targets cover whole cells and place carries no identity;
- ``offset``, a deviation and the default: the output is a bounded offset to the box that was fed, in units of
  its size, and the input also holds motion (`MOTION`), which does not depend on the place in the image. A streaming
  network of this form may also be told the score of the detection, in the place that the paper leaves 0, and judge
  whether the detection is the target (`STREAMING`); what it rejects counts as not detected. Trained on
  many scenes of one kind it may be told its place, too (`RoloConfig.place`), which says where things turn.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rolo_bench.nn.rolo.config import RoloConfig


class Rolo(nn.Module):
    """Feature projection, LSTM and the layer that reads the state."""

    def __init__(self, config: RoloConfig) -> None:
        super().__init__()
        self.config = config
        width = config.feature_size
        if width and config.projection:
            self.project: nn.Module | None = nn.Linear(width, config.projection)
            width = config.projection
        else:
            self.project = None
        self.drop = nn.Dropout(config.dropout)
        self.lstm = nn.LSTM(width + config.box_inputs, config.hidden, batch_first=True)
        self.head = nn.Linear(config.hidden, config.outputs)
        if config.form != "absolute":  # starts as "the fed box"
            nn.init.zeros_(self.head.weight)
            nn.init.zeros_(self.head.bias)
        if config.judge:
            nn.init.constant_(self.head.bias[4:], 2.0)  # starts by believing

    def inputs(self, features: Tensor | None, boxes: Tensor) -> Tensor:
        """The LSTM's input ``(..., I)`` from features ``(..., F)`` and box inputs ``(..., box_inputs)``.

        Features are normalised to mean 0 and variance 1 each time; None stands for dropped ones: zeros.
        """
        if not self.config.feature_size:
            return boxes
        if features is None:
            width = self.config.projection or self.config.feature_size
            return torch.cat([boxes.new_zeros((*boxes.shape[:-1], width)), boxes], dim=-1)
        x = F.layer_norm(features, features.shape[-1:])
        if self.project is not None:
            x = self.drop(torch.tanh(self.project(x)))
        return torch.cat([x, boxes], dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.lstm(x)  # (B, T, H), state zero at the start
        return self.head(states)  # (B, T, outputs)


class Recurrence:
    """The LSTM, frame by frame, for R videos at once: windowed (``steps`` frames) or streaming (0).

    The input projection of a frame is computed once. All windows that hold the frame (they began at this
    frame, the one before, … ``steps`` - 1 before) are advanced together in one product with the recurrent
    weights, so that a frame costs one pass over them whatever the number of steps. The same numbers as
    torch's LSTM run anew over each window.
    """

    def __init__(self, lstm: nn.LSTM, steps: int, videos: int = 1) -> None:
        weights: list[Tensor] = list(lstm.parameters())
        self.w_in, self.w_state = weights[:2]
        self.bias = weights[2] + weights[3]
        self.steps = steps
        self.h = self.w_in.new_zeros((videos, 0, lstm.hidden_size))  # oldest window first
        self.c = self.h

    def push(self, x: Tensor) -> Tensor:
        """State ``(R, H)`` after the frame with input ``(R, I)``, of the window that ends there."""
        zero = self.h.new_zeros((self.h.shape[0], 1, self.h.shape[2]))
        if self.steps or not self.h.shape[1]:
            keep = slice(1, None) if self.steps and self.h.shape[1] == self.steps else slice(None)
            self.h = torch.cat([self.h[:, keep], zero], dim=1)  # (R, windows, H)
            self.c = torch.cat([self.c[:, keep], zero], dim=1)
        gates = F.linear(x, self.w_in, self.bias)[:, None] + F.linear(
            self.h, self.w_state
        )  # (R, windows, 4 H)
        i, f, g, o = gates.chunk(4, dim=2)
        self.c = torch.sigmoid(f) * self.c + torch.sigmoid(i) * torch.tanh(g)
        self.h = torch.sigmoid(o) * torch.tanh(self.c)
        return self.h[:, 0]
