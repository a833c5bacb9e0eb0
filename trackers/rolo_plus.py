"""rolo-plus: YOLO on a crop, an LSTM that expects the next box, a filter, a Siamese network, and a learnt judge."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rolo_bench.association import check_numbers
from rolo_bench.boxes import Array, as_boxes, clip, iou
from rolo_bench.errors import UsageError
from rolo_bench.nn.plus.evidence import (
    around,
    as_annotated,
    as_detected,
    blend,
    evidence,
    fine_evidence,
    habit,
)
from rolo_bench.sequence import Image

GRID = 16  # boxes are kept in parts of a pixel, so that last digits do not add up from frame to frame
RANGES = {
    "context": (0.5, 100.0), "least": (1.0, 1e4), "detections": (0, 10**4), "sharpness": (1e-3, 1e3),
    "learn": (-math.inf, math.inf), "regularisation": (1e-6, 1e6), "support": (0.1, 10.0), "sigma": (0.01, 10.0),
    **dict.fromkeys(("habit", "follow", "first", "forget"), (0.0, 1.0)),
}  # fmt: skip
"""What its numbers may be, from the least to the most."""
STRONGEST, ALIKE = 64, 4  # boxes of the Siamese network that are looked at, and how many, merged, are judged
OFFSET = 8  # detections that are also measured without the first frame's offset and with all of it
SAME = 0.4  # overlap from which on two boxes show the same: the judged one and what may measure it, two given ones
ALIGNED = 0.7  # how far the measured box is drawn to the first one, moved as its pixels, where MOST agree
FEW, MOST = 0.4, 0.7  # share of points up to which it is not drawn at all, and from which on as far as that
STEADY = 0.5  # how far that is drawn to the last given box, moved as its pixels, where all of them agree
WARPS = ((0.3, 0.2), (-0.25, 0.3), (0.2, -0.3))  # shifts of the first crop, in target sizes


class RoloPlus:
    """The strongest causal tracker of rolo-bench. All values were chosen on training video (docs/results_rolo_plus.md).

    A frame goes through one pass of the detector's network on a square crop around the box that the LSTM expects, and
    of NanoTrack's Siamese network (`rolo_bench.nn.plus.siamese`). The filter gives the prior box; the boxes of both
    networks, merged, are the other candidates; the judge estimates the overlap of each with the target; the best
    ones are averaged. What is carried on to the next frame changes its size slowly. Once the target is found, it is
    measured: another judge knows more of more candidates that lie there (a closer look of the Siamese network,
    detections without the first frame's offset and with all of it, the first box as its pixels moved, colours), and
    the best of these are averaged. The box that is given is drawn from that towards the first frame's, then towards
    the last given one, each moved as its pixels did (`rolo_bench.nn.plus.flow`); it has no say in where the target
    is sought. What is returned is cut to the image.

    Args:
        detector: name of a detector whose network is at hand (not a plugin).
        size: side of the detector's input in pixels; by default 320 where it takes any, else its own.
        network: a weights file of ``rolo-bench train plus``, the name of one that comes along, or ``none`` for
            the hand-made judge and no LSTM; by default the one for the detector, or ``none`` if there is none.
        context: side of the crop in mean target sides (the mean of the geometric mean and 0.75 of the longer).
        least: least side of the crop in image pixels.
        motion: use the LSTM; without it the target is expected to stand still.
        siamese: use the Siamese network, whose files are fetched on first use; by default as the judge was trained,
            and without a judge.
        habit: share of the first frame's difference between annotation and detection that is applied later.
        detections: how many merged boxes of the detector are judged.
        follow: share of a change of size that is carried on each frame.
        sharpness: of the averaging of candidates, in estimated overlap.
        learn: least estimated overlap at which the filter learns.
        regularisation, support, sigma, first, forget: of the filter (`rolo_bench.nn.plus.filter`).
        device, half, weights: for the detector.
    """

    suite_defaults = {"demo": {"detector": "demo", "siamese": False}}

    def __init__(
        self, detector: str = "yolox-nano", size: int | None = None, network: str | None = None,
        context: float = 3.0, least: float = 64.0, motion: bool = True, siamese: bool | None = None,
        habit: float = 0.5, detections: int = 24, follow: float = 0.5, sharpness: float = 0.05, learn: float = 0.4,
        regularisation: float = 1.0, support: float = 0.7, sigma: float = 0.15, first: float = 0.3,
        forget: float = 0.02, device: str = "cpu", half: bool = False, weights: str | None = None,
    ) -> None:  # fmt: skip
        from rolo_bench.fetch.weights import obtain
        from rolo_bench.files import digest
        from rolo_bench.nn.detect.registry import open_detector, size_for
        from rolo_bench.nn.plus.file import load_plus, network_path
        from rolo_bench.nn.plus.filter import FilterConfig
        from rolo_bench.nn.plus.siamese import Siamese

        check_numbers(locals(), RANGES)
        self.context, self.least, self.share, self.limit = context, least, habit, detections
        self.follow, self.sharpness, self.learn = follow, sharpness, learn
        self.filter_config = FilterConfig(regularisation, sigma, first, forget, support)
        self.detector = open_detector(
            detector, size=size_for(detector, 320) if size is None else size, device=device, half=half,
            weights=weights, vote=1.0, cache=False,
        )  # fmt: skip
        if not hasattr(self.detector, "network"):
            raise UsageError(f"rolo-plus needs a detector with a network of its own, {detector} has none")
        path = network_path(network, detector)
        self.judge = self.fine = self.motion = None
        learnt = True
        if path:
            self.judge, self.fine, self.motion, about = load_plus(path)
            self.trained_on = tuple(about.get("videos", ()))
            learnt = bool(about.get("siamese", True))
        if siamese and not learnt:
            raise UsageError(
                f"{path}: its judge was trained without the Siamese network; leave siamese=true out"
            )
        self.measures = path is not None
        siamese = learnt if siamese is None else siamese
        networks = obtain("nanotrack") if siamese else ()
        self.siamese = Siamese(*networks) if siamese else None
        self.weights_digests = {p.name: digest(p) for p in (*networks, *([path] if path else []))}
        self.motion = self.motion if motion else None

    def init(self, image: Image, box: Array) -> None:
        """Learn filter, appearance, class and annotation habit from the first frame and warps of it."""
        from rolo_bench.nn.plus.view import one_thread

        with one_thread():
            self._start(image, as_boxes(box)[0])

    def update(self, image: Image) -> Array:
        """Look where the LSTM expects the target, judge the candidates, learn if sure."""
        from rolo_bench.nn.plus.view import one_thread

        with one_thread():
            return self._follow(image)

    def _start(self, image: Image, box: Array) -> None:
        from rolo_bench.nn.plus.colour import likelihoods
        from rolo_bench.nn.plus.filter import start_filter
        from rolo_bench.nn.plus.flow import Patch
        from rolo_bench.nn.plus.networks import Expectation
        from rolo_bench.nn.plus.view import appearance, identity, learn_basis, look

        self.centre, self.size = box[:2] + box[2:] / 2, box[2:].copy()
        side = self._side()
        seen = look(self.detector, image, self.centre, side)
        self.basis = learn_basis(seen.maps, 24, 0.5)
        self.mean = seen.deep.flatten(1).mean(dim=1, keepdim=True)
        mirrored = np.ascontiguousarray(image[:, ::-1])
        other = np.array([image.shape[1] - self.centre[0], self.centre[1]])
        blurred: Any = cv2.GaussianBlur(image, (0, 0), max(1.0, side / 150))
        plan = [
            *[(image, self.centre, 0 * self.size, scale) for scale in (1.0, 0.9, 1.1)],
            *[(image, self.centre, np.array(shift) * self.size, 1.0) for shift in WARPS],
            (blurred, self.centre, 0 * self.size, 1.0),
            (mirrored, other, 0 * self.size, 1.0),
        ]
        views, habits, classes = [], [], np.zeros(seen.classes.shape[1])
        for picture, centre, shift, scale in plan:
            view = look(self.detector, picture, centre + shift, side * scale)
            column, row = view.to_cells(centre)
            views.append((self.basis.project(view.maps), float(row), float(column)))
            truth = around(centre, self.size)
            overlap = np.nan_to_num(iou(view.boxes, truth))
            near = view.scores * np.clip(overlap - 0.3, 0, None) ** 2
            strong = near * (near >= 0.3 * near.max())
            classes += (strong / (view.scores + 1e-12)) @ view.classes
            difference = habit(view.boxes, view.scores, truth)
            if difference is not None:
                habits.append(difference * (np.array([-1, 1, 1, 1]) if picture is mirrored else 1))
        self.habit = np.median(habits, axis=0) if habits else np.zeros(4)
        norm = float(np.linalg.norm(classes))
        self.classes = classes / norm if norm > 0 else np.full(len(classes), len(classes) ** -0.5)
        cells = self.size * seen.cells
        self.filter = start_filter(views, (cells[1], cells[0]), self.filter_config)
        self.colours = likelihoods(image, seen, box)
        self.looks = [appearance(seen, self.basis, box[None]), *identity(seen, self.mean, box[None])]
        self.expectation = Expectation.start(self.motion)
        self.first = self.past = Patch.cut(image, box)
        self.start = self.given = box.copy()
        if self.siamese:
            self.siamese.start(image, self.centre, self.size)

    def _follow(self, image: Image) -> Array:
        from rolo_bench.nn.plus.filter import learn
        from rolo_bench.nn.plus.networks import movement

        before = around(self.centre, self.size)
        expected = self.expectation.box(self.centre, self.size)
        view, maps, best, sure = self.consider(image, expected)
        change = np.clip(self.follow * np.log(best[2:] / expected[2:]), -0.1, 0.1)
        limit = np.array([image.shape[1], image.shape[0]], dtype=np.float64)
        self.size = steady(np.clip(expected[2:] * np.exp(change), 4, 1.2 * limit))
        self.centre = steady(np.clip(best[:2] + best[2:] / 2, 0, limit))
        carried = around(self.centre, self.size)
        self.expectation.step(movement(before, carried))
        if sure > self.learn:
            column, row = view.to_cells(self.centre)
            self.filter = learn(self.filter, maps, float(row), float(column))
        self.given = self.corrected(self.measure(best) if self.measures else best)
        self.past = self.now
        return clip(self.given, (image.shape[1], image.shape[0]))[0]

    def consider(self, image: Image, expected: Array) -> tuple[Any, Any, Array, float]:
        """A look around an expected box: view, projected maps, the box of the target ``(4,)`` and its estimate."""
        from rolo_bench.nn.plus.colour import coloured
        from rolo_bench.nn.plus.filter import peak, sample
        from rolo_bench.nn.plus.networks import judged
        from rolo_bench.nn.plus.view import look, merge

        view = look(self.detector, image, expected[:2] + expected[2:] / 2, self._side())
        maps = self.basis.project(view.maps)
        response = self.filter.response(maps)
        hann = np.hanning(len(response) + 2)[1:-1]
        near = response * (0.5 + 0.5 * np.outer(hann, hann))
        row, column = (int(v) for v in np.unravel_index(int(np.argmax(near)), near.shape))
        middle = view.to_pixels(np.array(peak(response, (row, column))[::-1]))
        prior = around(middle, expected[2:])
        usual = self.share * self.habit
        found = as_annotated(view.boxes, usual)
        similar = self._similar(view)
        worth = view.scores * (0.1 + similar) * (0.05 + np.nan_to_num(iou(found, prior)))
        chosen = np.argsort(-worth, kind="stable")[: 120 if self.limit else 0]
        index, means, votes = merge(found[chosen], view.scores[chosen] + 1e-6, 0.75, self.limit)
        index = chosen[index] if len(index) else index
        known = self._resembling(view, np.vstack([prior, means]))

        def described(
            boxes: Array, alike: Array, marks: Array, own: NDArray[np.int64], again: int = 0
        ) -> NDArray[np.float32]:
            """Evidence on the prior box, detections, those ``own`` of the Siamese network, others, detections again."""

            def rows(detected: Array) -> Array:
                between = len(boxes) - 1 - len(detected) - 2 * again
                return np.concatenate([[0], detected, np.zeros(between), *[detected[:again]] * 2])

            places = view.to_cells(boxes[:, :2] + boxes[:, 2:] / 2)
            mark = np.zeros(len(boxes))
            mark[1 + len(means) :][: len(own)] = marks[own]
            return evidence(
                boxes, rows(view.scores[index]), rows(similar[index]), sample(response, places[:, 1], places[:, 0]),
                float(response[row, column]), prior, expected,
                np.vstack([known, self._resembling(view, boxes[len(known) :])]), rows(votes), mark, alike, marks,
            )  # fmt: skip

        alike, marks = self._alike(image, expected)
        own, shown, _ = merge(alike, marks, 0.75, ALIKE)
        self.candidates = boxes = np.vstack([prior, means, shown])
        self.table = described(boxes, alike, marks, own)
        values = judged(self.judge, self.table)
        best = blend(boxes, values, self.sharpness)
        self._align(image, best)
        if self.measures:
            closer, grades = self._alike(image, expected, closer=True)
            alike, marks = np.vstack([alike, closer]), np.concatenate([marks, grades])
            own, shown, _ = merge(alike, marks, 0.75, ALIKE)
            bare = as_detected(means[:OFFSET], usual)
            aligned = self.aligned[None] if self.agree else np.zeros((0, 4))
            self.fine_candidates = fine = np.vstack(
                [prior, means, shown, aligned, bare, as_annotated(bare, self.habit)]
            )
            self.fine_table = fine_evidence(
                described(fine, alike, marks, own, len(bare)),
                self.siamese.likeness(fine) if self.siamese else np.zeros((len(fine), 2)),
                coloured(self.colours, image, view, fine),
                np.repeat([0, -1, 1], [len(fine) - 2 * len(bare), len(bare), len(bare)]),
                np.nan_to_num(iou(fine, self.aligned)) * (self.agree > 0), self.agree,
            )  # fmt: skip
        return view, maps, best, float(values.max())

    def _align(self, image: Image, best: Array) -> None:
        """Follow the pixels of the first frame's box to this one; none agree where they lie apart from ``best``."""
        from rolo_bench.nn.plus.flow import Patch, moved

        self.now = Patch.cut(image, steady(best))
        self.aligned, self.agree = moved(self.first, self.now, self.start)
        if not np.nan_to_num(iou(self.aligned, best))[0] > SAME:
            self.agree = 0.0

    def measure(self, best: Array) -> Array:
        """The box ``(4,)`` of the target that was judged to be at ``best``, by the candidates that lie there."""
        from rolo_bench.nn.plus.networks import judged

        there = np.nan_to_num(iou(self.fine_candidates, best)) > SAME
        if self.fine is None or not there.any():
            return best
        values = judged(self.fine, self.fine_table)
        return blend(self.fine_candidates[there], values[there], self.sharpness)

    def corrected(self, measured: Array) -> Array:
        """The box ``(4,)`` to give: the measured one, drawn towards the first and the last given one as pixels moved.

        The more points of those two agree, the further; where one lies apart, not at all.
        """
        from rolo_bench.nn.plus.flow import moved

        share = ALIGNED * np.clip((self.agree - FEW) / (MOST - FEW), 0, 1)
        box = measured + share * (self.aligned - measured)
        last, agree = moved(self.past, self.now, self.given)
        share = STEADY * agree if np.nan_to_num(iou(last, measured))[0] > SAME else 0.0
        return steady(box + share * (last - box))

    def _alike(self, image: Image, expected: Array, closer: bool = False) -> tuple[Array, Array]:
        """The best boxes ``(M, 4)`` of the Siamese network, none smaller than a pixel, and their scores ``(M,)``."""
        if self.siamese is None:
            return np.zeros((0, 4)), np.zeros(0)
        seek = self.siamese.closer if closer else self.siamese.search
        boxes, scores = seek(image, steady(expected[:2] + expected[2:] / 2), self.size)
        fit = np.where((boxes[:, 2:] > 1).all(axis=1), scores, 0.0)
        best = np.argsort(-fit, kind="stable")[:STRONGEST]
        best = best[fit[best] > 0]
        return boxes[best], scores[best]

    def _resembling(self, view: Any, boxes: Array) -> Array:
        """Cosines ``(N, 3)`` of boxes with the first frame's: fine maps, deep maps in the box and around it."""
        from rolo_bench.nn.plus.view import appearance, identity, likeness

        if not len(boxes):
            return np.zeros((0, 3))
        looks = [appearance(view, self.basis, boxes), *identity(view, self.mean, boxes)]
        return np.stack([likeness(now, first) for now, first in zip(looks, self.looks)], axis=1)

    def _side(self) -> float:
        mean = float(np.sqrt(self.size.prod()))
        return max(self.least, self.context * (0.5 * mean + 0.375 * float(self.size.max())))

    def _similar(self, view: Any) -> Array:
        """Cosine of each box's class scores with the target's ``(N,)``."""
        return view.classes @ self.classes / (np.linalg.norm(view.classes, axis=1) + 1e-9)


def steady(values: Array) -> Array:
    """Pixels rounded to the grid."""
    return np.round(values * GRID) / GRID
