"""ROLO: a recurrent network over detections and image features that gives the target's box.

At each frame the input is the detector's feature of the whole image and the box that the association of
section II.B accepted; an LSTM (torch's standard cell: equation 2 of the paper prints a sigmoid for g and
leaves out the update of the cell) turns the last frames into a box. Causal: the box of frame t depends on
frames up to t.

Three forms of network, named in `RoloConfig.form`:

- ``absolute``, the paper: input feature + (0, x, y, w, h, 0), a state as large, and of its output the units at the
  box's place are x, y, w, h relative to the image;
- ``heatmap``, the paper's alternative: 32 × 32 maps in and out (`rolo_bench.nn.rolo.heatmap`). The paper's map spans
  the image; `RoloConfig.window` lets it span, as a deviation, a few times the box that was fed at the frame
  before, so that small targets cover whole cells and place carries no identity;
- ``offset``, a deviation and the default: the output is a bounded offset to the box that was fed, in units of
  its size, and the input also holds motion (`MOTION`), which does not depend on the place in the image. Its visual
  feature is a comparison: how like the accepted detection's region of the detector's feature maps is to the target's in
  the first frame, and to what was accepted since (`RoloConfig.likeness`). Before the network corrects it, the fed
  box is moved by half of what lay between detection and given box in the first frame (`RoloConfig.share`). Half of what
  the network then says is applied (`RoloConfig.correction`): it has seen few videos and says too much. A streaming
  network of this form may also be told the score of the detection, in the place that the paper leaves 0, and judge
  whether the detection is the target (`STREAMING`); what it rejects counts as not detected. Trained on
  many scenes of one kind it may be told its place, too (`RoloConfig.place`), which says where things turn.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rolo_bench.nn.detect.fused import PackedLinear
from rolo_bench.nn.rolo.coding import decode, encode
from rolo_bench.nn.rolo.config import LIKENESS, RoloConfig

LARGE = 1 << 24  # numbers of an LSTM, from which on no cache holds them


class StateBox(nn.Module):
    """The paper's output: of a state that is laid out as its input, 4096 + (0, x, y, w, h, 0), the box's place.

    Source: the ROLO authors' ``ROLO_network_test_all.py``, units 4097 to 4100.
    """

    def __init__(self, feature_size: int) -> None:
        super().__init__()
        self.first = feature_size + 1

    def forward(self, state: Tensor) -> Tensor:
        """The box ``(..., 4)`` in a state ``(..., H)``."""
        return state[..., self.first : self.first + 4]


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
        self.head: nn.Module = StateBox(config.feature_size)
        if config.form != "absolute":  # starts as "the fed box"
            self.head = linear = nn.Linear(config.hidden, config.outputs)
            nn.init.zeros_(linear.weight)
            nn.init.zeros_(linear.bias)
            if config.judge:
                nn.init.constant_(linear.bias[4:], 2.0)  # starts by believing

    def inputs(self, features: Tensor | None, boxes: Tensor) -> Tensor:
        """The LSTM's input ``(..., I)`` from features ``(..., F)`` and box inputs ``(..., box_inputs)``.

        The paper's are fed as they are, others normalised to mean 0 and variance 1; None, dropped ones, gives zeros.
        """
        if not self.config.feature_size:
            return boxes
        if features is None:
            width = self.config.projection or self.config.feature_size
            return torch.cat([boxes.new_zeros((*boxes.shape[:-1], width)), boxes], dim=-1)
        x = features
        if self.project is not None:
            x = self.drop(torch.tanh(self.project(F.layer_norm(x, x.shape[-1:]))))
        return torch.cat([x, boxes], dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.lstm(x)  # (B, T, H), state zero at the start
        return self.head(states)  # (B, T, outputs)


class Packed(nn.Module):
    """An LSTM's products for inference on a processor, with weights so large that reading them is what takes time."""

    def __init__(self, lstm: nn.LSTM, rows: int, kind: torch.dtype = torch.float32) -> None:
        super().__init__()
        w_in, w_state, *bias = lstm.all_weights[0]
        self.bias = nn.Parameter((bias[0] + bias[1]).detach(), requires_grad=False)
        self.into, self.state = PackedLinear(w_in, 1, kind), PackedLinear(w_state, rows, kind)


def pack(network: Rolo, half: bool = False) -> None:
    """Lay the LSTM's weights out for inference on a processor, in place, where they are large and torch can.

    Outputs change in the last digits, with ``half``, bfloat16 weights, in the third. A network whose weights lie in the
    processor's cache stays to the bit what it is.
    """
    lstm = network.lstm
    large = sum(p.numel() for p in lstm.parameters()) > LARGE
    if large and next(lstm.parameters()).device.type == "cpu":
        with suppress(Exception):  # a private operator may fail in any way
            kind = torch.bfloat16 if half else torch.float32
            network.lstm = Packed(lstm, max(network.config.steps, 1), kind)  # type: ignore[assignment]


def gates_of(lstm: nn.LSTM | Packed, x: Tensor, h: Tensor) -> Tensor:
    """Input and state ``(R, I)`` and ``(R, windows, H)`` through the weights: ``(R, windows, 4 H)``."""
    if isinstance(lstm, Packed):
        return (lstm.into(x) + lstm.bias)[:, None] + lstm.state(h.flatten(0, 1)).unflatten(0, h.shape[:2])
    w_in, w_state, *bias = lstm.all_weights[0]
    return F.linear(x, w_in, bias[0] + bias[1])[:, None] + F.linear(h, w_state)


def push(lstm: nn.LSTM | Packed, steps: int, h: Tensor, c: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """The LSTM's next frame with input ``(R, I)``, for R videos at once: windowed (``steps`` frames) or streaming (0).

    The input projection of a frame is computed once. All windows that hold the frame (they began at this
    frame, the one before, … ``steps`` - 1 before) are advanced together in one product with the recurrent
    weights, so that a frame costs one pass over them whatever the number of steps. The same numbers as
    torch's LSTM run anew over each window.

    Args:
        h, c: ``(R, windows, H)`` the state of each window, the oldest first, which ends at the frame; none at first.
    """
    if steps or not h.shape[1]:
        zero = h.new_zeros((h.shape[0], 1, h.shape[2]))
        keep = slice(1, None) if steps and h.shape[1] == steps else slice(None)
        h, c = torch.cat([h[:, keep], zero], dim=1), torch.cat([c[:, keep], zero], dim=1)  # (R, windows, H)
    i, f, g, o = gates_of(lstm, x, h).chunk(4, dim=2)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


class State(NamedTuple):
    """What ROLO keeps from frame to frame, of R videos at once; boxes ``(R, 4)`` are relative centre and size.

    Attributes:
        h, c: the LSTM's, as in `push`.
        drawn: offset from the first detection to the given box; 0 where unknown.
        before, fed: the boxes fed at the last frame but one and the last.
        shown: the latter as the network was shown it: NaN where ``missing`` is ``zero`` and it was.
        last: the last accepted detection, or the given box.
        older, output: the last but one and the last output.
        missed: ``(R,)`` frames in a row without an accepted detection.
        said: ``(R, outputs)`` what the network put out at the last frame, shown the detection that was chosen.
        chosen: that detection, also where it was refused; NaN for none.
        predicted: the output as it would have been without, if that was asked for.
    """

    h: Tensor
    c: Tensor
    drawn: Tensor
    before: Tensor
    fed: Tensor
    shown: Tensor
    last: Tensor
    older: Tensor
    output: Tensor
    missed: Tensor
    said: Tensor
    chosen: Tensor
    predicted: Tensor


# A detection (R, 4), NaN for none; its score (R,), 0 for none; its likeness (R, LIKENESS), 0 where unknown.
Choice = tuple[Tensor, Tensor, Tensor]


def begin(network: Rolo, given: Tensor, choice: Choice, drawn: Tensor, features: Tensor | None) -> State:
    """The state after the first frame, whose output is the given box; the rest as in `advance`."""
    chosen, score, likeness = choice
    first = torch.where(torch.isnan(chosen), given, chosen)
    none = given.new_zeros((len(given), 0, network.config.hidden))
    state = State(none, none, drawn, first, first, first, first, given, given, score, score, chosen, given)
    return advance(network, state, features, (first, score, likeness))._replace(output=given, chosen=chosen)


def step(
    network: Rolo, state: State, features: Tensor | None, choose: Callable[[Tensor], Choice], predict: bool
) -> State:
    """The state after a further frame; ``choose`` is told the output that is predicted, if it is, or the last one."""
    zero = torch.zeros_like(state.missed)
    nothing = torch.full_like(state.fed, float("nan")), zero, zero[:, None].expand(-1, LIKENESS)
    judge = network.config.judge
    miss = advance(network, state, features, nothing) if predict or judge else state
    hit = advance(network, state, features, choose(miss.output.detach()))._replace(predicted=miss.output)
    if not judge:
        return hit
    refused = (hit.said[:, 4:] < 0) & (hit.missed == 0)[:, None]  # not the target: as if not detected
    if not refused.any():
        return hit
    kept = {
        name: torch.where(refused.view(-1, *[1] * (value.ndim - 1)), getattr(miss, name), value)
        for name, value in hit._asdict().items()
        if name in ("h", "c", "fed", "shown", "last", "output", "missed")
    }
    return hit._replace(**kept)


def advance(network: Rolo, state: State, features: Tensor | None, choice: Choice) -> State:
    """The state after a frame at which that detection was accepted; features ``(R, F)``, None for dropped ones."""
    config, (chosen, score, likeness) = network.config, choice
    none = torch.isnan(chosen)
    last = torch.where(none, state.last, chosen)
    fed = torch.where(none, state.output, chosen) if config.missing == "output" else last
    missed = torch.where(none[:, 0], state.missed + 1, 0.0)
    seen = fed
    if config.missing == "zero" and config.form != "offset":
        seen = torch.where(none, float("nan"), fed)
    outputs = state.older, state.output
    inputs = encode(config, seen, state.fed, missed, state.drawn, outputs, score, likeness)
    h, c = push(network.lstm, config.steps, state.h, state.c, network.inputs(features, inputs))
    said = network.head(h[:, 0])
    box = decode(config, said, seen, state.fed, missed, state.drawn)
    good = torch.isfinite(box).all(dim=1, keepdim=True) & (box[:, 2:] > 0).all(dim=1, keepdim=True)
    return state._replace(
        h=h, c=c, before=state.fed, fed=fed, shown=seen, last=last, older=state.output,
        output=torch.where(good, box, state.output), missed=missed, said=said, chosen=chosen,
    )  # fmt: skip
