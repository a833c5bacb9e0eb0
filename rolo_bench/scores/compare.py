"""Two trackers, two runs or two folders of results beside each other: what differs, by how much, and how surely.

Every difference is the second less the first. The sequence is the unit: intervals are bootstrapped over paired
differences, the test is Wilcoxon's on them, and only sequences that both have take part.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rolo_bench.datasets.suites import Suite, load_suite, suite_label, suite_names
from rolo_bench.errors import DataError, UsageError, counted, did_you_mean
from rolo_bench.protocols import PROTOCOLS
from rolo_bench.run.store import Store
from rolo_bench.scores.notes import joined, shortened
from rolo_bench.scores.provenance import DEPENDS, in_words, origin
from rolo_bench.scores.score import score
from rolo_bench.scores.scored import chosen_suite
from rolo_bench.scores.statistics import TIE, bootstrap_interval, holm, paired_p
from rolo_bench.scores.summary import MEANS, mean
from rolo_bench.scores.tables import called, p_text, render

if TYPE_CHECKING:
    import pandas as pd

ABSENT = "\N{EN DASH}"
"""What stands for a value that one side does not have."""


@dataclass(frozen=True)
class Difference:
    """One thing in which two runs differ.

    Attributes:
        what: ``options threshold``, ``versions numpy``, ``truth`` …
        depends: whether boxes depend on it; the others are circumstances.
    """

    what: str
    first: str
    second: str
    depends: bool


@dataclass(frozen=True)
class Comparison:
    """What `compare` found.

    Attributes:
        first, second: how the two are called.
        metrics: a row per metric: ``metric, first, second, difference, low, high`` (95 % interval of the difference)
            ``, better, worse, equal`` (sequences on which the second is so).
        sequences: a row per sequence: ``sequence, first, second, difference`` of AUC, ``failures_first,
            failures_second`` (frames), ``boxes`` (``same`` or ``differ``).
        p: of the paired test of AUC; corrected (Holm) where several pairs are compared.
        differs: in what the runs differ.
        same: what both have alike.
        unknown: what is not recorded of both.
        notes: what else a reader must know.
    """

    first: str
    second: str
    suite: str
    protocol: str
    convention: str
    expected: int
    metrics: pd.DataFrame
    sequences: pd.DataFrame
    p: float
    differs: tuple[Difference, ...]
    same: tuple[str, ...]
    unknown: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """In a sentence: which is better in AUC, and whether that is significant."""
        auc, count = self.metrics.iloc[0], len(self.sequences)
        same = int((self.sequences["boxes"] == "same").sum())
        if same == count:
            return f"The boxes are the same on all {count} sequences."
        if count < 2:
            return "One sequence only: no statement on a difference can be made."
        test = f"paired Wilcoxon test, {p_text(self.p)}, {count} sequences"
        if self.p >= 0.05:
            return f"No significant difference in AUC ({test})."
        ahead = self.second if auc["difference"] > 0 else self.first
        return f"{ahead} is significantly better in AUC ({test})."


def compare(
    first: pd.DataFrame,
    second: pd.DataFrame,
    names: tuple[str, str],
    metas: tuple[dict[str, Any], dict[str, Any]] = ({}, {}),
    same_boxes: Mapping[str, bool] | None = None,
) -> Comparison:
    """Two score tables of one tracker each, of the same suite, protocol and convention.

    Args:
        names: how the two are called.
        metas: what ``run.json`` says of each.
        same_boxes: by sequence, whether the boxes of both are the same.

    Raises:
        DataError: they have no sequence in common.
    """
    import pandas as pd

    there = set(second["sequence"])
    order = [s for s in first["sequence"] if s in there]
    if not order:
        raise DataError(f"{names[0]} and {names[1]}: no sequence that both have results on")
    a, b = (t.set_index("sequence").loc[order] for t in (first, second))
    known = same_boxes or {}
    sequences = pd.DataFrame(
        {
            "sequence": order, "first": a["auc"].to_numpy(), "second": b["auc"].to_numpy(),
            "difference": (b["auc"] - a["auc"]).to_numpy(),
            "failures_first": a["failures"].to_numpy(), "failures_second": b["failures"].to_numpy(),
            "boxes": ["same" if known.get(s) else "differ" for s in order],
        }
    )  # fmt: skip
    head = first.iloc[0]
    differs, same, unknown = _origins(metas, order)
    alone = {name: len(t) - len(order) for name, t in zip(names, (first, second))}
    return Comparison(
        *names, head["suite"], head["protocol"], head["convention"], int(head["expected"]), _metrics(a, b), sequences,
        paired_p(b["auc"], a["auc"]), differs, same, unknown,
        tuple(f"{name} has {n} more sequences, which take no part" for name, n in alone.items() if n),
    )  # fmt: skip


def _metrics(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """A row per metric that both have; ``fps`` without interval, since speeds of sequences are not comparable."""
    import pandas as pd

    weights = a["counted"].to_numpy(float)
    rows: list[tuple[Any, ...]] = []
    for name, column in MEANS.items():
        d = (b[column] - a[column]).to_numpy(float)
        if not np.isfinite(d).any():
            continue
        low, high = bootstrap_interval(d, weights=None if (weights == weights[0]).all() else weights)
        one, two = (float(mean(t, column)) for t in (a, b))
        counts = (int((d > TIE).sum()), int((d < -TIE).sum()), int((np.abs(d) <= TIE).sum()))
        rows.append((name, one, two, two - one, low, high, *counts))
    if a["fps"].notna().any() and b["fps"].notna().any():
        one, two = a["fps"].mean(), b["fps"].mean()
        rows.append(("fps", one, two, two - one, np.nan, np.nan, None, None, None))
    columns = ["metric", "first", "second", "difference", "low", "high", "better", "worse", "equal"]
    table = pd.DataFrame(rows, columns=columns)
    return table.astype({c: "Int64" for c in columns[-3:]})


def _origins(
    metas: tuple[dict[str, Any], dict[str, Any]], sequences: Iterable[str]
) -> tuple[tuple[Difference, ...], tuple[str, ...], tuple[str, ...]]:
    """In what two runs differ, what they have alike, and what of all that is not recorded of both."""
    told = [origin(meta) for meta in metas]
    unknown = [p for p in dict.fromkeys([*DEPENDS, *told[0], *told[1]]) if not all(p in t for t in told)]
    a, b = (_flat({k: v for k, v in t.items() if k not in unknown}) for t in told)
    differs = [
        Difference(
            what,
            _shown(a.get(what), b.get(what)),
            _shown(b.get(what), a.get(what)),
            what.split()[0] in DEPENDS,
        )
        for what in dict.fromkeys([*a, *b])
        if a.get(what) != b.get(what)
    ]
    same = [what for what in a if a[what] == b.get(what)]
    for part in ("truth", "images"):
        both, other = _videos(metas, sequences, part)
        if other:
            words = f"others on {len(other)} of {len(both)} sequences"
            differs.append(Difference(part, f"of {shortened(other)}", words, True))
        else:
            (same if both else unknown).append(part)
    return tuple(sorted(differs, key=lambda d: not d.depends)), tuple(same), tuple(unknown)


def _videos(
    metas: tuple[dict[str, Any], dict[str, Any]], sequences: Iterable[str], part: str
) -> tuple[list[str], list[str]]:
    """The sequences of which both tell the digest of truth or images, and those of which it is another."""
    a, b = ({s: e.get(part) for s, e in (m.get("sequences") or {}).items()} for m in metas)
    both = [s for s in sequences if a.get(s) and b.get(s)]
    return both, [s for s in both if a[s] != b[s]]


def _flat(facts: Mapping[str, Any]) -> dict[str, str]:
    """The tables in what `origin` tells taken apart: ``options step`` for ``step`` of ``options``."""
    found: dict[str, str] = {}
    for key, value in facts.items():
        found |= {f"{key} {k}": v for k, v in value.items()} if isinstance(value, dict) else {key: value}
    return found


def _shown(value: str | None, other: str | None) -> str:
    """A value in words; of two that look alike when cut, the parts that the other lacks."""
    if value is None:
        return ABSENT
    if other is not None and in_words(value) == in_words(other):
        parts = value.split(":")
        return " ".join(p for p in parts if p not in other.split(":")) or ABSENT
    return in_words(value)


@dataclass(frozen=True)
class Side:
    """One of the two that are compared: a tracker of a store, or, where that is None, all of its trackers."""

    store: Store
    tracker: str | None = None
    suite: str | None = None
    protocol: str | None = None


def find_side(text: str, results: Path) -> Side:
    """What was named: a tracker of a results folder, the folder of one run, or another results folder.

    Raises:
        UsageError: it is none of them.
    """
    store, path = Store(results), Path(text)
    known = _trackers(store)
    if text in known:
        return Side(store, text)
    folder = path.resolve()
    if (path / "run.json").is_file() or (path.is_dir() and folder.parent.name in PROTOCOLS):
        suite, protocol = folder.parents[1].name, folder.parent.name
        return Side(Store(path / "../../.."), folder.name, suite, protocol)
    if path.is_dir() and Store(path).contents():
        return Side(Store(path))
    raise UsageError(
        f"{text}: neither a tracker in {results} nor a folder of results{did_you_mean(text, known)}"
    )


def _trackers(store: Store) -> set[str]:
    return {t for suite in store.suites() for p in PROTOCOLS for t in store.trackers(suite, p)}


def trackers_of(
    first: str | os.PathLike[str], second: str | os.PathLike[str], results: str | os.PathLike[str] = "results"
) -> list[str]:
    """The trackers that two named sides can be about; raises what `find_side` raises."""
    sides = [find_side(os.fspath(text), Path(results)) for text in (first, second)]
    return sorted({t for s in sides for t in ([s.tracker] if s.tracker else _trackers(s.store))})


def compare_results(
    first: str | os.PathLike[str], second: str | os.PathLike[str], results: str | os.PathLike[str] = "results",
    suite: str | None = None, trackers: Iterable[str] = (), data: str | os.PathLike[str] | None = None,
    partial: bool = False, protocol: str = "ope", convention: str | None = None, only: Iterable[str] = (),
    attributes: Iterable[str] = (), labels: Mapping[str, str] | None = None,
) -> list[Comparison]:  # fmt: skip
    """Compare two trackers of ``results``, two folders of one run, or two results folders.

    Of two folders each tracker that both have is compared with itself, or those in ``trackers``. A tracker that is
    compared with a folder is compared with its namesake there.

    Args:
        labels: what trackers are called, by name.

    Raises:
        UsageError: something named is not there, the two cannot be compared, or would be called the same.
        DataError: as `rolo_bench.scores.score.score`.
    """
    sides = tuple(find_side(os.fspath(text), Path(results)) for text in (first, second))
    label, protocol = _where(sides, suite, protocol)
    loaded = load_suite(label, data, partial, False, tuple(only), partial, tuple(attributes))
    pairs = _pairs(sides, loaded.name, protocol, tuple(trackers))
    names = called((t for pair in pairs for t in pair), labels or {})
    found = [_one_pair(sides, pair, names, loaded, protocol, convention, partial) for pair in pairs]
    corrected = holm([c.p for c in found])
    return [replace(c, p=float(p)) for c, p in zip(found, corrected)]


def _where(sides: tuple[Side, ...], suite: str | None, protocol: str) -> tuple[str, str]:
    """Suite, as it can be loaded, and protocol that both sides are about."""
    suites = {s.suite for s in sides if s.suite} | ({suite_label(suite)} if suite else set())
    protocols = {s.protocol for s in sides if s.protocol}
    for kind, values in (("suites", suites), ("protocols", protocols)):
        if len(values) > 1:
            raise UsageError(f"results of different {kind} cannot be compared: {', '.join(sorted(values))}")
    name = suite or (suites.pop() if suites else chosen_suite(sides[0].store, None))
    if not suite and name not in suite_names():
        raise UsageError(f"results on {name} are of a folder or table of yours; name it with --suite PATH")
    return name, protocols.pop() if protocols else protocol


def _pairs(
    sides: tuple[Side, ...], suite: str, protocol: str, wanted: tuple[str, ...]
) -> list[tuple[str, str]]:
    """The trackers that are compared with each other."""
    a, b = sides
    if a.tracker or b.tracker:
        pairs = [(a.tracker or b.tracker or "", b.tracker or a.tracker or "")]
    else:
        there = b.store.trackers(suite, protocol)
        pairs = [(t, t) for t in a.store.trackers(suite, protocol) if t in there]
        pairs = [p for p in pairs if p[0] in wanted] if wanted else pairs
        if not pairs:
            raise UsageError(
                f"{a.store.root} and {b.store.root} have no tracker on {suite} ({protocol}) in common"
            )
    if a.store.root.resolve() == b.store.root.resolve() and pairs[0][0] == pairs[0][1]:
        raise UsageError("both are the same results; name two trackers, two runs or two folders")
    return pairs


def _one_pair(
    sides: tuple[Side, ...], pair: tuple[str, str], shown: Mapping[str, str], suite: Suite, protocol: str,
    convention: str | None, partial: bool,
) -> Comparison:  # fmt: skip
    first, second = tables = [
        score(side.store, suite, tracker, protocol, convention, partial, "any")
        for side, tracker in zip(sides, pair)
    ]
    metas = [side.store.meta(suite.name, protocol, t) for side, t in zip(sides, pair)]
    names = [
        shown[t] + (f" in {_place(s, sides)}" if pair[0] == pair[1] else "") for s, t in zip(sides, pair)
    ]
    shared = set(first["sequence"]) & set(second["sequence"])
    same = {
        name: _same_boxes(*(s.store.load(suite.name, protocol, t, name, m) for s, t, m in zip(sides, pair, metas)))
        for name in shared
    }  # fmt: skip
    found = compare(first, second, (names[0], names[1]), (metas[0], metas[1]), same)
    notes = [str(n) for n in joined(n for t in tables for n in t.attrs["stale"])] + [
        line for t in tables for kind in ("misfits", "trained") for line in t.attrs[kind]
    ]
    return replace(found, notes=(*found.notes, *dict.fromkeys(notes)))


def _place(side: Side, sides: tuple[Side, ...]) -> str:
    """How a results folder is called: by its name, or where both are named alike by its path."""
    names = {s.store.root.resolve().name for s in sides}
    root = side.store.root.resolve()
    return root.name if len(names) > 1 else str(root)


def _same_boxes(first: list[Any], second: list[Any]) -> bool:
    return len(first) == len(second) and all(
        np.array_equal(a.boxes, b.boxes, equal_nan=True) for a, b in zip(first, second)
    )


def as_record(found: Comparison) -> dict[str, Any]:
    """A comparison as plain values for JSON; what is not known is None."""
    tables = {name: json.loads(render(getattr(found, name), "json")) for name in ("metrics", "sequences")}
    plain = {
        name: getattr(found, name)
        for name in ("first", "second", "suite", "protocol", "convention", "expected")
    }
    differs = [
        {"what": d.what, "first": d.first, "second": d.second, "boxes_depend_on_it": d.depends}
        for d in found.differs
    ]
    return plain | tables | {
        "p": found.p, "verdict": found.verdict, "differs": differs, "same": list(found.same),
        "unknown": list(found.unknown), "notes": list(found.notes),
    }  # fmt: skip


def sequence_rows(found: Iterable[Comparison]) -> pd.DataFrame:
    """The sequences of all comparisons in one table, with the names of the two in front."""
    import pandas as pd

    parts = []
    for one in found:
        part = one.sequences.copy()
        part.insert(0, "name_first", one.first)
        part.insert(1, "name_second", one.second)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def metric_rows(found: Comparison) -> pd.DataFrame:
    """The metrics for people: rounded, and the interval in one column."""
    import pandas as pd

    rows = []
    for row in found.metrics.to_dict("records"):
        places = 1 if row["metric"] == "fps" else 3
        interval = f"{_signed(row['low'])} to {_signed(row['high'])}" if np.isfinite(row["low"]) else ""
        counts = {k: "" if pd.isna(row[k]) else str(row[k]) for k in ("better", "worse", "equal")}
        values = {side: f"{row[side]:.{places}f}" for side in ("first", "second")}
        change = {"change": _signed(row["difference"], places), "interval_95": interval}
        rows.append({"metric": row["metric"]} | values | change | counts)
    return pd.DataFrame(rows)


def _signed(value: float, places: int = 3) -> str:
    return f"{round(value, places) + 0:+.{places}f}"  # + 0 makes -0 positive


def share(found: Comparison) -> str:
    """Of how many sequences: ``11 of 30 sequences``."""
    count = len(found.sequences)
    return counted(count, "sequence") if count == found.expected else f"{count} of {found.expected} sequences"


def in_text(found: Comparison, most: int = 0) -> str:
    """A comparison as text for a terminal; with ``most``, only so many of the sequences that differ most each way."""
    where = f"{found.suite}, {found.protocol.upper()}, convention {found.convention}, {share(found)}"
    blocks = [
        f"first   {found.first}\nsecond  {found.second}\n{where}; differences are second less first",
        render(metric_rows(found)) + "\n" + found.verdict,
    ]
    table = found.sequences.sort_values("difference", kind="stable", ascending=False, ignore_index=True)
    if (table["boxes"] == "differ").any():
        cut = most and len(table) > 2 * most
        head = f"The {most} sequences on which the second gains most and loses most:\n" if cut else ""
        if cut:
            table = table.iloc[[*range(most), *range(len(table) - most, len(table))]]
        blocks.append((head + render(table)).rstrip())
    lines = []
    for depends, words in ((True, "Boxes depend on it, and it differs:"), (False, "Else it differs:")):
        rows = [d for d in found.differs if d.depends == depends]
        lines += [words, *(f"  {d.what}: {d.first} | {d.second}" for d in rows)] if rows else []
    lines += [f"The same: {', '.join(found.same)}."] if found.same else []
    lines += [f"Not recorded of both: {', '.join(found.unknown)}."] if found.unknown else []
    return "\n\n".join([*blocks, "\n".join([*lines, *found.notes])]) + "\n"
