"""What goes into a report: results read once, scored under several conventions, packed for the page's script."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rolo_bench.boxes import Array, iou, valid
from rolo_bench.datasets.suites import ATTRIBUTES, Suite
from rolo_bench.plots.context import KINDS, Setting, significance
from rolo_bench.plots.style import TRUTH_COLOUR
from rolo_bench.report.pictures import Loss, as_values, reels
from rolo_bench.run.store import Files, Results, RunResult
from rolo_bench.scores.conventions import Convention, find_convention
from rolo_bench.scores.provenance import imported, metas_of
from rolo_bench.scores.score import CURVES, score, score_again
from rolo_bench.sequence import Sequence

if TYPE_CHECKING:
    import pandas as pd

SCALE = 30000
"""Curve values travel as whole numbers of 1 / 30000, so with an error below 2e-5; 65535 is "none"."""
BINS = 100
"""Most points of an overlap curve over the frames of a sequence."""


@dataclass(frozen=True)
class ReadOnce:
    """Results of which each file is read once; in all else they are the store inside."""

    store: Results
    _files: dict[tuple[str, ...], list[Files]] = field(default_factory=dict)
    _metas: dict[tuple[str, ...], dict[str, Any]] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        """As `Store.root`."""
        return self.store.root

    def contents(self) -> list[tuple[str, str, str, int]]:
        """As `Store.contents`."""
        return self.store.contents()

    def trackers(self, suite: str, protocol: str = "ope") -> tuple[str, ...]:
        """As `Store.trackers`."""
        return self.store.trackers(suite, protocol)

    def sequences(self, suite: str, protocol: str, tracker: str) -> tuple[str, ...]:
        """As `Store.sequences`."""
        return self.store.sequences(suite, protocol, tracker)

    def find_tracker(self, suite: str, protocol: str, tracker: str) -> str:
        """As `Store.find_tracker`."""
        return self.store.find_tracker(suite, protocol, tracker)

    def meta(self, suite: str, protocol: str, tracker: str) -> dict[str, Any]:
        """As `Store.meta`."""
        key = (suite, protocol, tracker)
        if key not in self._metas:
            self._metas[key] = self.store.meta(*key)
        return self._metas[key]

    def read(
        self,
        suite: str,
        protocol: str,
        tracker: str,
        sequences: Iterable[str],
        meta: dict[str, Any] | None = None,
    ) -> Iterator[list[Files]]:
        """As `Store.read`."""
        meta = meta or self.meta(suite, protocol, tracker)
        for sequence in sequences:
            key = (suite, protocol, tracker, sequence)
            if key not in self._files:
                self._files[key] = next(iter(self.store.read(suite, protocol, tracker, [sequence], meta)))
            yield self._files[key]

    def load(
        self, suite: str, protocol: str, tracker: str, sequence: str, meta: dict[str, Any] | None = None
    ) -> list[RunResult]:
        """As `Store.load`."""
        return [files.result() for files in next(self.read(suite, protocol, tracker, [sequence], meta))]


@dataclass(frozen=True)
class Collected:
    """Results and scores of a suite, ready for a report.

    Attributes:
        scores: under the first convention.
        others: the same under each further convention, by name.
    """

    suite: Suite
    store: Results
    scores: pd.DataFrame
    others: dict[str, pd.DataFrame]
    conventions: tuple[Convention, ...]
    metas: dict[str, dict[str, Any]]
    published: frozenset[str]

    def scored_sequences(self) -> list[Sequence]:
        """The sequences that have scores, in their order."""
        by_name = {s.name: s for s in self.suite.sequences}
        return [by_name[name] for name in dict.fromkeys(self.scores["sequence"])]


def collect(
    store: Results,
    suite: Suite,
    trackers: str | Iterable[str] = (),
    protocol: str = "ope",
    conventions: Iterable[str] = ("otb",),
    partial: bool = False,
    all_speeds: bool = False,
) -> Collected:
    """Read and score the results of a suite under one or more conventions; the first one leads.

    Raises:
        DataError, UsageError: as `rolo_bench.scores.score.score`.
    """
    rules = tuple(dict.fromkeys(find_convention(c) for c in conventions))
    once = ReadOnce(store)
    names = trackers if isinstance(trackers, str) else tuple(trackers)
    first = score(once, suite, names, protocol, rules[0].name, partial, all_speeds=all_speeds)
    others = {rule.name: score_again(first, once, suite, rule.name) for rule in rules[1:]}
    metas = metas_of(first, once)
    return Collected(suite, once, first, others, rules, metas, imported(metas))


def overlaps_of(found: Collected, setting: Setting) -> dict[tuple[str, str], Array]:
    """Overlap with the truth per frame ``(N,)`` by sequence and tracker, NaN where no truth is known; of OPE alone."""
    table = {}
    for sequence in found.scored_sequences() if setting.protocol == "ope" else ():
        known = valid(sequence.truth)
        for tracker in setting.ranked:
            overlaps = np.nan_to_num(iou(_boxes(found, setting, tracker, sequence), sequence.truth))
            table[sequence.name, tracker] = np.where(known, overlaps, np.nan)
    return table


def _boxes(found: Collected, setting: Setting, tracker: str, sequence: Sequence) -> Array:
    return found.store.load(setting.suite, "ope", tracker, sequence.name)[0].boxes


def pictures(
    found: Collected, setting: Setting, frames: int, clips: Iterable[Loss] = ()
) -> list[dict[str, Any]]:
    """`rolo_bench.report.pictures.reels` as plain values for JSON, with the boxes of all trackers.

    Raises:
        DataError: the suite was loaded without images.
    """
    trackers = setting.ranked if setting.protocol == "ope" else ()
    values = []
    for reel in reels(found.scored_sequences(), frames, clips):
        boxes = [reel.sequence.truth, *(_boxes(found, setting, t, reel.sequence) for t in trackers)]
        values.append(as_values(reel, boxes, setting.ranked))
    return values


def payload(
    found: Collected, setting: Setting, overlaps: dict[tuple[str, str], Array], losses: Iterable[Loss]
) -> dict[str, Any]:
    """Everything that the page's script draws but the pictures, as plain values for JSON."""
    names = list(dict.fromkeys(found.scores["sequence"]))
    looks = setting.looks()
    tables = {setting.convention: found.scores} | found.others
    first_frames = {s.name: s.first_frame for s in found.scored_sequences()}
    return {
        "suite": setting.suite_title,
        "trackers": [
            {
                "name": t, "label": setting.label(t), "colour": looks[t].colour, "dash": looks[t].dash,
                "width": looks[t].width, "oracle": t in setting.oracle,
            }
            for t in setting.ranked
        ],
        "sequences": [
            {"name": s.name, "attributes": list(s.attributes), "frames": len(s), "first": s.first_frame}
            for s in found.scored_sequences()
        ],
        "attributes": ATTRIBUTES,
        "conventions": [{"name": c.name, "rule": c.rule} for c in found.conventions],
        "kinds": [
            {
                "key": k.curve, "title": k.title, "x": k.x, "y": k.y, "value": k.short, "at": k.at,
                "thresholds": [round(float(v), 4) for v in k.thresholds],
            }
            for k in KINDS.values()
        ],
        "scale": SCALE,
        "values": _text(_pack([tables[c.name] for c in found.conventions], names, setting.ranked)),
        "notes": _notes(found, setting, tables),
        "overlaps": _overlaps(overlaps, names, setting.ranked) if overlaps else None,
        "truth": TRUTH_COLOUR,
        "losses": [
            {
                "tracker": setting.ranked.index(loss.tracker), "sequence": loss.sequence, "frames": loss.frames,
                "start": first_frames[loss.sequence] + loss.start,
            }
            for loss in losses
        ],
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


def _overlaps(
    overlaps: dict[tuple[str, str], Array], names: Iterable[str], trackers: Iterable[str]
) -> dict[str, Any]:
    """Mean overlap in at most `BINS` stretches of each sequence, as uint8 of 1 / 250; 255 where nothing is known."""
    counts, parts, columns = [], [], list(trackers)
    for name in names:
        rows = np.stack([overlaps[name, tracker] for tracker in columns])
        bins = min(BINS, rows.shape[1])
        counts.append(bins)
        parts.append(_binned(rows, np.linspace(0, rows.shape[1], bins + 1).astype(int)))
    return {"bins": counts, "data": _text(b"".join(parts))}


def _binned(overlaps: Array, edges: np.ndarray[Any, Any]) -> bytes:
    known = np.isfinite(overlaps)
    total = np.add.reduceat(np.nan_to_num(overlaps), edges[:-1], axis=1)
    count = np.add.reduceat(known.astype(float), edges[:-1], axis=1)
    mean = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return np.where(np.isnan(mean), 255, np.rint(np.nan_to_num(mean) * 250)).astype(np.uint8).tobytes()
