"""What goes into a report: results read once, scored under several conventions, packed for the page's script."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from rolo_bench.boxes import Array, iou, valid
from rolo_bench.datasets.suites import ATTRIBUTES, Suite
from rolo_bench.plots.context import KINDS, Setting, describe, significance
from rolo_bench.plots.style import TRUTH_COLOUR
from rolo_bench.run.store import RunResult, Store
from rolo_bench.scores.conventions import Convention, find_convention
from rolo_bench.scores.provenance import imported, metas_of
from rolo_bench.scores.score import CURVES, score

if TYPE_CHECKING:
    import pandas as pd

SCALE = 30000
"""Curve values travel as whole numbers of 1 / 30000, so with an error below 2e-5; 65535 is "none"."""
BINS = 100
"""Most points of an overlap curve over the frames of a sequence."""


@dataclass(frozen=True)
class ReadOnce:
    """A results store that reads each file once; in all else it is the `Store` inside."""

    store: Store
    _results: dict[tuple[str, ...], list[RunResult]] = field(default_factory=dict)
    _metas: dict[tuple[str, ...], dict[str, Any]] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def meta(self, suite: str, protocol: str, tracker: str) -> dict[str, Any]:
        """As `Store.meta`."""
        key = (suite, protocol, tracker)
        if key not in self._metas:
            self._metas[key] = self.store.meta(*key)
        return self._metas[key]

    def load(
        self, suite: str, protocol: str, tracker: str, sequence: str, meta: dict[str, Any] | None = None
    ) -> list[RunResult]:
        """As `Store.load`."""
        key = (suite, protocol, tracker, sequence)
        if key not in self._results:
            self._results[key] = self.store.load(*key, meta or self.meta(suite, protocol, tracker))
        return self._results[key]


@dataclass(frozen=True)
class Collected:
    """Results and scores of a suite, ready for a report.

    Attributes:
        scores: under the first convention.
        others: the same under each further convention, by name.
    """

    suite: Suite
    store: Store
    scores: pd.DataFrame
    others: dict[str, pd.DataFrame]
    conventions: tuple[Convention, ...]
    metas: dict[str, dict[str, Any]]
    published: frozenset[str]


def collect(
    store: Store,
    suite: Suite,
    trackers: str | Iterable[str] = (),
    protocol: str = "ope",
    conventions: Iterable[str] = ("otb",),
    partial: bool = False,
) -> Collected:
    """Read and score the results of a suite under one or more conventions; the first one leads.

    Raises:
        DataError, UsageError: as `rolo_bench.scores.score.score`.
    """
    rules = tuple(dict.fromkeys(find_convention(c) for c in conventions))
    once = cast(Store, ReadOnce(store))
    names = trackers if isinstance(trackers, str) else tuple(trackers)
    frames = {rule.name: score(once, suite, names, protocol, rule.name, partial) for rule in rules}
    first = frames.pop(rules[0].name)
    metas = metas_of(first, once)
    return Collected(suite, once, first, frames, rules, metas, imported(metas))


def payload(found: Collected, setting: Setting) -> dict[str, Any]:
    """Everything that the page's script draws, as plain values for JSON."""
    names = list(dict.fromkeys(found.scores["sequence"]))
    by_name = {s.name: s for s in found.suite.sequences}
    looks = setting.looks()
    tables = {setting.convention: found.scores} | found.others
    return {
        "trackers": [
            {
                "name": t, "label": setting.label(t), "colour": looks[t].colour, "dash": looks[t].dash,
                "width": looks[t].width, "oracle": t in setting.oracle,
            }
            for t in setting.ranked
        ],
        "sequences": [
            {
                "name": n, "attributes": list(by_name[n].attributes), "frames": len(by_name[n]),
                "first": by_name[n].first_frame,
            }
            for n in names
        ],
        "attributes": ATTRIBUTES,
        "conventions": [{"name": c.name, "rule": c.rule} for c in found.conventions],
        "kinds": [
            {
                "key": k.curve, "title": k.title, "x": k.x.lower(), "value": k.short, "at": k.at,
                "thresholds": [round(float(v), 4) for v in k.thresholds],
            }
            for k in KINDS.values()
        ],
        "scale": SCALE,
        "values": _text(_pack([tables[c.name] for c in found.conventions], names, setting.ranked)),
        "notes": _notes(found, setting, tables),
        "overlaps": _overlaps(found, setting, names),
    }  # fmt: skip


def _pack(tables: list[pd.DataFrame], names: list[str], trackers: Iterable[str]) -> bytes:
    """Curves as little-endian uint16, in the order convention, curve, sequence, tracker, threshold."""
    columns = list(trackers)
    parts = []
    for table in tables:
        rows = {(t, s): i for i, (t, s) in enumerate(zip(table["tracker"], table["sequence"]))}
        order = [rows[t, s] for s in names for t in columns]
        for curve in CURVES:
            values = np.stack(list(table[f"{curve}_curve"]))[order]
            whole = np.clip(np.rint(values * SCALE), 0, 65534)
            parts.append(np.where(np.isfinite(values), whole, 65535).astype("<u2").tobytes())
    return b"".join(parts)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _notes(found: Collected, setting: Setting, tables: dict[str, pd.DataFrame]) -> dict[str, str]:
    """Sentences on significance by ``convention/curve/attribute``; attributes for the leading success curve only."""
    notes = {}
    for name, table in tables.items():
        for kind in KINDS.values():
            if table[kind.scalar].notna().all():
                notes[f"{name}/{kind.curve}/ALL"] = significance(table, setting, kind.scalar, kind.short)
    flags = dict.fromkeys(f for flags in found.scores["attributes"] for f in flags)
    for flag in flags:
        part = found.scores[[flag in have for have in found.scores["attributes"]]]
        notes[f"{setting.convention}/success/{flag}"] = significance(part, setting)
    return notes


def _overlaps(found: Collected, setting: Setting, names: list[str]) -> dict[str, Any] | None:
    """Mean overlap in at most `BINS` stretches of each sequence, as uint8 of 1 / 250; 255 where nothing is known."""
    if setting.protocol != "ope":
        return None
    truths = {s.name: s.truth for s in found.suite.sequences}
    counts, parts = [], []
    for name in names:
        truth = truths[name]
        bins = min(BINS, len(truth))
        edges = np.linspace(0, len(truth), bins + 1).astype(int)
        counts.append(bins)
        for tracker in setting.ranked:
            boxes = found.store.load(setting.suite, "ope", tracker, name)[0].boxes
            parts.append(_binned(boxes, truth, edges))
    return {"bins": counts, "data": _text(b"".join(parts))}


def _binned(boxes: Array, truth: Array, edges: np.ndarray[Any, Any]) -> bytes:
    known = valid(truth)
    overlap = np.where(known, np.nan_to_num(iou(boxes, truth)), 0.0)
    total = np.add.reduceat(overlap, edges[:-1])
    count = np.add.reduceat(known.astype(float), edges[:-1])
    mean = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
    return np.where(np.isnan(mean), 255, np.rint(np.nan_to_num(mean) * 250)).astype(np.uint8).tobytes()


def thumbnails(found: Collected, frames: int, width: int = 320) -> dict[str, list[dict[str, str]]]:
    """Small JPEGs of ``frames`` frames a sequence, as data addresses, with the truth and the three best trackers.

    Raises:
        DataError: the suite was loaded without images.
    """
    import cv2
    from PIL import Image as Picture

    from rolo_bench.plots.frames import Drawn, boxes_on

    setting = describe(found.scores)
    looks = setting.looks()
    best = setting.fair[:3]
    result = {}
    for sequence in found.suite.sequences:
        if sequence.name not in set(found.scores["sequence"]):
            continue
        shown = [Drawn("truth", sequence.truth, TRUTH_COLOUR)]
        for tracker in best if setting.protocol == "ope" else ():
            run = found.store.load(setting.suite, "ope", tracker, sequence.name)[0]
            shown.append(Drawn(tracker, run.boxes, looks[tracker].colour, np.zeros(len(run.boxes))))
        pictures = []
        for index in np.linspace(0, len(sequence) - 1, frames + 2).round().astype(int)[1:-1]:
            image = sequence.frames.image(int(index))
            scale = width / image.shape[1]
            small = cv2.resize(image, (width, round(image.shape[0] * scale)), interpolation=cv2.INTER_AREA)
            drawn = boxes_on(np.asarray(small, np.uint8), shown, int(index), 2, scale, border=False)
            buffer = io.BytesIO()
            Picture.fromarray(drawn).save(buffer, "JPEG", quality=72)
            address = "data:image/jpeg;base64," + _text(buffer.getvalue())
            pictures.append({"frame": str(sequence.first_frame + int(index)), "image": address})
        result[sequence.name] = pictures
    return result
