"""ROLO: a recurrent network over detections and image features that gives the target's box.

At each frame the input is the detector's feature of the whole image and the box that the association of
section II.B accepted; an LSTM (torch's standard cell: equation 2 of the paper prints a sigmoid for g and
leaves out the update of the cell) turns the last frames into a box. Causal: the box of frame t depends on
frames up to t.

Three forms of network, named in `RoloConfig.form`:

- ``absolute``, the paper: input feature + (0, x, y, w, h, 0), output x, y, w, h relative to the image;
- ``heatmap``, the paper's alternative: 32 × 32 maps in and out (`rolo_bench.nn.heatmap`). The paper's map spans
  the image; `RoloConfig.window` lets it span, as a deviation, a few times the box that was fed at the frame
  before, so that small targets cover whole cells and place carries no identity;
- ``offset``, a deviation and the default: the output is a bounded offset to the box that was fed, in units of
  its size, and the input also holds motion (`MOTION`), which does not depend on the place in the image. A streaming
  network of this form may also be told the score of the detection, in the place that the paper leaves 0, and judge
  whether the detection is the target (`STREAMING`); what it rejects counts as not detected. Trained on
  many scenes of one kind it may be told its place, too (`RoloConfig.place`), which says where things turn.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from rolo_bench.association import Association, centred
from rolo_bench.boxes import Array, as_boxes, from_relative, iou, to_relative, valid
from rolo_bench.errors import UsageError, WeightsError
from rolo_bench.nn.detector import Detections
from rolo_bench.nn.heatmap import CELLS, from_heatmap, into_window, out_of_window, to_heatmap

FORMS = ("offset", "absolute", "heatmap")
FORMAT = "rolo-1"
# What the offset form is told beside feature and box: was a detection accepted, for how many frames was none,
# movement of the fed box since the frame before (4), given box against the first detection (4).
MOTION = 10
# With ``motion`` "output" also the movement of the last output (4), and movements up to MOST of the box are told
# apart, not up to half of it.
PACE, MOST = 4, 3.0
PLACE = 2  # with ``place`` also how far the fed box is from the middle of the image, in box sizes
LEAST_FIRST_IOU = 0.5  # below, the first detection says nothing about how the given box was drawn
# Association (and place) that networks of a detector are trained with and carry, beside `RoloConfig`'s own values;
# OTHERS was chosen by cross-validation on 18 training videos with yolox-nano and yolo-nano-voc alike
# (docs/results.md), the demo detector's on 70 scenes of the generator's domain `valid`.
CHOSEN: dict[str, dict[str, Any]] = {
    "demo": {
        "threshold": 0.05,
        "iou_min": 0.05,
        "widen": 0.1,
        "prefer": 0.5,
        "centre": "prediction",
        "place": True,
    }
}
# A streaming network of the offset form is also told the score, judges, and moves up to three box sizes a frame.
STREAMING: dict[str, Any] = {"motion": "output", "confidence": True, "judge": True, "limit": MOST}
OTHERS: dict[str, Any] = {"threshold": 0.05, "widen": 0.05, "size_limit": 1.2, "prefer": 0.3}


@dataclass(frozen=True)
class RoloConfig:
    """Everything needed to build the network and to use it as it was trained.

    Attributes:
        form: ``offset``, ``absolute`` or ``heatmap``.
        feature_size: length of the detector's feature; 0 leaves features out.
        projection: features are normalised and projected to this many; 0 feeds them as they are (the paper).
        hidden: size of the LSTM's state; 4102 is the paper's.
        steps: frames in a window, whose state starts at zero; 0 is streaming, one state for the whole video.
        missing: what is fed where no detection is accepted: ``output`` (the last output), ``last`` (the last
            accepted box) or ``zero``.
        confidence: whether the input's last value is the score of the accepted detection (0 where none is); the
            paper has that place and leaves it 0.
        judge: whether a streaming network of the offset form also says if the detection that it is fed is the target;
            one that it rejects counts as none.
        motion: what the offset form's movement is measured from: the box ``fed`` at the frame before, or the
            network's last ``output``, which is smoother; that also tells how the output moved, and is for
            streaming only.
        place: whether the offset form is told the place in the image in box sizes, and trained without moving its
            stretches about, so that it may learn how things move in an image; for training on many videos.
        limit: bound of the offset in box sizes, and of the logarithm of the change of size.
        window: sides of the heatmap in those of the box fed at the frame before; 0 is the image, the paper.
        dropout: share of projected features dropped in training.
        history, iou_min, threshold, widen, size_limit, prefer: the association's.
        centre: centre of the association's reference: ``history`` (the paper) or, as a deviation, ``prediction``,
            where the network would put the target in this frame if no detection were accepted.
        detector, size: the detector whose detections it was trained on, and its input side.
    """

    form: str = "offset"
    feature_size: int = 4096
    projection: int = 16
    hidden: int = 64
    steps: int = 6
    missing: str = "output"
    confidence: bool = False
    judge: bool = False
    motion: str = "fed"
    place: bool = False
    limit: float = 1.0
    window: float = 0.0
    dropout: float = 0.7
    history: int = 2
    iou_min: float = 0.1
    threshold: float = 0.1
    widen: float = 0.0
    size_limit: float = 0.0
    prefer: float = 0.0
    centre: str = "history"
    detector: str = "yolox-nano"
    size: int | None = 416

    def __post_init__(self) -> None:
        for name, known in (
            ("form", FORMS),
            ("missing", ("output", "last", "zero")),
            ("centre", ("history", "prediction")),
            ("motion", ("fed", "output")),
        ):
            if getattr(self, name) not in known:
                raise UsageError(f"{name} must be one of {', '.join(known)}, not {getattr(self, name)!r}")
        if self.hidden < 1 or self.steps < 0 or self.feature_size < 0 or self.projection < 0:
            raise UsageError("hidden must be 1 or more; steps, feature_size and projection 0 or more")
        if (self.judge or self.motion == "output") and (self.steps or self.form != "offset"):
            raise UsageError(
                "motion from the output and judging need the offset form and steps 0 (streaming)"
            )

    def association(self) -> Association:
        """A fresh association with these settings."""
        return Association(self.history, self.iou_min, self.threshold, self.widen, size_limit=self.size_limit,
                           prefer=self.prefer)  # fmt: skip

    @property
    def box_inputs(self) -> int:
        """Inputs beside the feature."""
        motion = MOTION + PACE * (self.motion == "output") + PLACE * self.place
        return {"offset": 6 + motion, "absolute": 6, "heatmap": CELLS * CELLS}[self.form]

    @property
    def outputs(self) -> int:
        """Values that the network puts out."""
        return CELLS * CELLS if self.form == "heatmap" else 4 + self.judge


def paper_config(feature_size: int = 4096, steps: int = 6, form: str = "absolute") -> RoloConfig:
    """The paper's own size: 4096 + 6 inputs, a state of the same 4102, features fed as they are."""
    inputs = feature_size + (CELLS * CELLS if form == "heatmap" else 6)
    return RoloConfig(form=form, feature_size=feature_size, projection=0, hidden=inputs, steps=steps, widen=0.0,
                      missing="zero", dropout=0.0)  # fmt: skip


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


def box_offset(target: Tensor, reference: Tensor) -> Tensor:
    """Offset ``(..., 4)`` from reference to target boxes, both centre and size: in reference sizes, and logs."""
    centre = (target[..., :2] - reference[..., :2]) / reference[..., 2:]
    return torch.cat([centre, torch.log(target[..., 2:] / reference[..., 2:])], dim=-1)


def add_offset(reference: Tensor, offset: Tensor) -> Tensor:
    """The inverse of `box_offset`."""
    centre = reference[..., :2] + offset[..., :2] * reference[..., 2:]
    return torch.cat([centre, reference[..., 2:] * torch.exp(offset[..., 2:])], dim=-1)


def relative_iou(a: Tensor, b: Tensor) -> Tensor:
    """IoU ``(...)`` of boxes given as centre and size ``(..., 4)``."""
    low = torch.maximum(a[..., :2] - a[..., 2:] / 2, b[..., :2] - b[..., 2:] / 2)
    high = torch.minimum(a[..., :2] + a[..., 2:] / 2, b[..., :2] + b[..., 2:] / 2)
    inter = (high - low).clamp(min=0).prod(dim=-1)
    area = a[..., 2:].clamp(min=0).prod(dim=-1) + b[..., 2:].clamp(min=0).prod(dim=-1)
    return inter / (area - inter + 1e-9)


def encode(
    config: RoloConfig,
    fed: Tensor,
    before: Tensor,
    missed: Tensor,
    drawn: Tensor,
    outputs: tuple[Tensor, Tensor] | None = None,
    score: Tensor | None = None,
) -> Tensor:
    """Box inputs ``(..., box_inputs)`` of a frame.

    Args:
        fed: ``(..., 4)`` the box fed at this frame, relative centre and size; NaN for zeros.
        before: ``(..., 4)`` the box fed at the frame before.
        missed: ``(...)`` frames in a row without an accepted detection; 0 where there is one.
        drawn: ``(..., 4)`` offset from the first detection to the given box; 0 where unknown.
        outputs: the network's last but one and last output, each ``(..., 4)``; needed for motion from the output.
        score: ``(...)`` of the accepted detection, 0 where none is; needed where the network is told.
    """
    if config.form == "heatmap":
        return to_map(config, fed, before)
    zero = torch.zeros_like(missed)[..., None]
    sure = score[..., None] if config.confidence and score is not None else zero
    paper = torch.cat([zero, torch.nan_to_num(fed, nan=0.0), sure], dim=-1)  # equation 3: (0, x, y, w, h, 0)
    if config.form == "absolute":
        return paper
    known = torch.stack([(missed == 0).to(fed.dtype), torch.log1p(missed) / 3], dim=-1)
    if config.motion == "fed":
        moved = (box_offset(fed, before) * 4).clamp(-2, 2)
    else:
        assert outputs is not None
        older, last = outputs
        since = torch.where(missed[..., None] > 0, older, last)  # the output before that of the fed box
        moves = torch.cat([box_offset(fed, since), box_offset(last, older)], dim=-1)  # (..., 4 + PACE)
        moved = 2 * moves.clamp(-MOST, MOST)
    parts = [paper, known, moved, drawn.clamp(-1, 1)]
    if config.place:
        parts.append((fed[..., :2] - 0.5) / fed[..., 2:] / 4)
    return torch.cat(parts, dim=-1)


def decode(config: RoloConfig, output: Tensor, fed: Tensor, before: Tensor) -> Tensor:
    """The box ``(..., 4)``, relative centre and size, of a network output ``(..., outputs)``; the rest as `encode`."""
    if config.form == "absolute":
        return output
    if config.form == "heatmap":
        box = from_heatmap(heat(config, output, fed, before))
        return out_of_window(box, before, config.window) if config.window else box
    return add_offset(fed, config.limit * torch.tanh(output[..., :4] / config.limit))


def to_map(config: RoloConfig, box: Tensor, before: Tensor) -> Tensor:
    """The map ``(..., 1024)`` of a box, in the window that the box fed before sets."""
    return to_heatmap(into_window(box, before, config.window) if config.window else box)


def heat(config: RoloConfig, output: Tensor, fed: Tensor, before: Tensor) -> Tensor:
    """The map ``(..., 1024)`` of a heatmap network's output: the fed box's map, corrected."""
    return (to_map(config, fed, before) + output).clamp(0, 1)


def first_offset(given: Tensor, found: Tensor) -> Tensor:
    """Offset ``(4,)`` from the first frame's detection to the given box: how this target's box is drawn."""
    return torch.nan_to_num(box_offset(given, found), nan=0.0)


class Follower:
    """A trained network with its association on one video: what the tracker is without its detector.

    ``start`` and ``step`` take `Detections`; ``step`` gives the box ``(4,)`` in pixels. After each step
    ``accepted`` tells which detection was accepted, or None.
    """

    def __init__(self, network: Rolo, size: tuple[int, int]) -> None:
        self.network, self.config, self.size = network, network.config, size
        self.recurrence = Recurrence(network.lstm, self.config.steps)
        self.association = self.config.association()
        self.accepted: int | None = None
        self.chosen: int | None = None  # by the association, before the network judges
        self.verdict = 0.0
        self.map: Tensor | None = None

    def start(self, found: Detections, box: Array) -> None:
        """Begin at the given box ``(4,)`` in pixels."""
        self.box = as_boxes(box)[0].astype(np.float64)
        self.accepted = self.chosen = self.association.start(self.box, found)
        given = self._relative(self.box)
        first = given
        self.drawn = torch.zeros_like(given)
        if self.accepted is not None:
            detection = found.boxes[self.accepted]
            first = self._relative(detection)
            if iou(detection, self.box)[0] >= LEAST_FIRST_IOU:
                self.drawn = first_offset(given, first)
                self.association.recent.append(detection)
        self.last = self.fed = first
        self.older = self.output = given
        self.missed = 0
        self._push(found, first, 0.0, self._score(found))

    def step(self, found: Detections) -> Array:
        """The box ``(4,)`` of the next frame in pixels."""
        reference = self.association.reference()
        if self.config.centre == "prediction" and (predicted := self._predict(found)) is not None:
            reference = centred(reference, predicted)
        self.chosen = self.association.choose(found, reference)
        box = self.advance(found, self.chosen)
        self.association.take(found, self.accepted)
        return box

    def _predict(self, found: Detections) -> Array | None:
        """The box ``(4,)`` of the coming frame as if no detection were accepted; nothing is kept of it."""
        kept = self.recurrence.h, self.recurrence.c, self.fed
        output = self._push(found, self.output, self.missed + 1.0)
        self.recurrence.h, self.recurrence.c, self.fed = kept
        box = from_relative(output.double().numpy(), self.size)[0]
        return box if valid(box)[0] else None

    def advance(self, found: Detections, index: int | None) -> Array:
        """As `step`, with the detection chosen by someone else (None: none)."""
        kept = self.recurrence.h, self.recurrence.c, self.fed, self.last, self.missed
        output = self._take(found, index)
        if index is not None and self.config.judge and self.verdict < 0:  # not the target: as if not detected
            self.recurrence.h, self.recurrence.c, self.fed, self.last, self.missed = kept
            output = self._take(found, None)
        box = from_relative(output.double().numpy(), self.size)[0]
        self.older = self.output
        if valid(box)[0]:
            self.output, self.box = output, box
        return self.box

    def _take(self, found: Detections, index: int | None) -> Tensor:
        """The network's output ``(4,)`` with that detection accepted, or none."""
        self.accepted = index
        self.missed = 0 if index is not None else self.missed + 1
        if index is not None:
            fed = self.last = self._relative(found.boxes[index])
        elif self.config.missing == "output":
            fed = self.output
        else:
            fed = self.last
        return self._push(found, fed, float(self.missed), self._score(found))

    def image_map(self) -> NDArray[np.float32] | None:
        """The last map of the heatmap form over the whole image ``(h, w)``, for overlays; None in other forms."""
        import cv2

        if self.map is None:
            return None
        low, sides = np.zeros(2), np.array(self.size, dtype=np.float64)
        if self.config.window:
            x, y, w, h = from_relative(self.map_centre.double().numpy(), self.size)[0]
            sides = np.array([w, h]) * self.config.window
            low = np.array([x + w / 2, y + h / 2]) - sides / 2
        scale = sides / CELLS  # image pixels per cell; pixel and cell centres lie at halves
        move = np.array(
            [[scale[0], 0, low[0] + scale[0] / 2 - 0.5], [0, scale[1], low[1] + scale[1] / 2 - 0.5]]
        )
        cells = self.map.numpy().reshape(CELLS, CELLS)
        return cv2.warpAffine(cells, move, self.size)  # type: ignore[return-value]

    def _score(self, found: Detections) -> float:
        return float(found.scores[self.accepted]) if self.accepted is not None else 0.0

    def _push(self, found: Detections, fed: Tensor, missed: float, score: float = 0.0) -> Tensor:
        with torch.inference_mode():
            blank = missed > 0 and self.config.missing == "zero" and self.config.form != "offset"
            shown = torch.full_like(fed, float("nan")) if blank else fed
            outputs = self.older[None], self.output[None]
            box_inputs = encode(
                self.config, shown[None], self.fed[None], torch.tensor([missed]), self.drawn[None], outputs,
                torch.tensor([score]),
            )  # fmt: skip
            features = torch.from_numpy(np.array(found.feature, dtype=np.float32))[None]
            x = self.network.inputs(features, box_inputs)
            raw = self.network.head(self.recurrence.push(x))
            before, self.fed = self.fed[None], fed
            if self.config.judge:
                self.verdict = float(raw[0, 4])
            if self.config.form == "heatmap":
                self.map = heat(self.config, raw, shown[None], before)[0]
                self.map_centre = before[0]
            return decode(self.config, raw, shown[None], before)[0]

    def _relative(self, box: Array) -> Tensor:
        return torch.from_numpy(to_relative(box, self.size)[0]).float()


def follow(network: Rolo, found: list[Detections], box: Array, size: tuple[int, int]) -> Array:
    """Boxes ``(N, 4)`` of a whole video whose detections are at hand; row 0 is the given box."""
    network.eval()
    follower = Follower(network, size)
    follower.start(found[0], box)
    return np.stack([as_boxes(box)[0]] + [follower.step(f) for f in found[1:]])


def save_rolo(network: Rolo, path: Path, about: dict[str, Any] | None = None, half: bool = True) -> None:
    """Write weights with their configuration and what is known about their training, as safetensors."""
    from safetensors.torch import save_file

    kind = torch.float16 if half else torch.float32
    tensors = {k: v.detach().to(kind).contiguous().cpu() for k, v in network.state_dict().items()}
    metadata = {
        "format": FORMAT,
        "config": json.dumps(asdict(network.config), sort_keys=True),
        "about": json.dumps(about or {}, sort_keys=True),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    save_file(tensors, partial, metadata)
    partial.replace(path)


def load_rolo(path: str | Path, **changes: Any) -> tuple[Rolo, dict[str, Any]]:
    """A network in evaluation mode and the notes on its training.

    Args:
        path: a file that `save_rolo` wrote.
        changes: settings of `RoloConfig` to use in place of those it was trained with; None keeps.

    Raises:
        WeightsError: no such file, damaged, or not a ROLO network.
        UsageError: a change that makes another network.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"{path}: no such ROLO weights; train them with `rolo-bench train tracker`")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {k: file.get_tensor(k).float() for k in file.keys()}  # noqa: SIM118 - not a mapping
        if metadata.get("format") != FORMAT:
            raise WeightsError(
                f"{path}: not ROLO weights (format {metadata.get('format')!r}, not {FORMAT!r})"
            )
        known = {f.name for f in fields(RoloConfig)}
        stored = {k: v for k, v in json.loads(metadata["config"]).items() if k in known}
        config = replace(RoloConfig(**stored), **{k: v for k, v in changes.items() if v is not None})
        network = Rolo(config)
        network.load_state_dict(tensors)
        about = json.loads(metadata.get("about", "{}"))
    except (SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise WeightsError(f"{path}: damaged or not ROLO weights: {str(error).splitlines()[0]}") from error
    return network.eval(), about


def shipped_path(name: str) -> Path:
    """Where weights that come with rolo-bench lie, by name (``rolo-yolox-nano``).

    Raises:
        UsageError: unknown name; the message lists the known ones.
    """
    folder = Path(__file__).resolve().parents[1] / "shipped"
    path = folder / f"{name}.safetensors"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in folder.glob("rolo-*.safetensors"))) or "none"
        raise UsageError(f"no ROLO weights {name!r} come with rolo-bench; known: {known}, or give a file")
    return path
