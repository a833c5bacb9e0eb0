"""Results to scores: a tidy DataFrame per (tracker, sequence), and summaries over sequences.

`score` gives one row per tracker and sequence (with ``segments=True`` one per segment of TRE or SRE):

======================  ==========================================================================
column                  meaning
======================  ==========================================================================
``tracker``             name; an oracle run carries the word oracle in it
``sequence, segment``   name; ``tre03`` … or None
``suite, protocol``     what was run
``convention``          the scoring rule (`rolo_bench.conventions`)
``expected``            number of sequences that the suite has in full
``oracle``              True for a tracker that was shown the truth
``attributes``          tuple of challenge flags of the sequence
``auc``                 area under the success curve, 0 … 1
``precision20``         precision at 20 px
``norm_auc``            area under the normalised precision curve
``success50, success75``  success at an overlap of 0.5 and 0.75
``mean_iou``            mean overlap
``failures``            frames with a true box that the output does not touch
``fps``                 frames per second as the convention counts them; NaN where no time is known
``frames, seconds``     number of frames; time in the tracker, NaN where unknown
``success``             array ``(21,)`` over overlap thresholds 0, 0.05 … 1
``precision``           array ``(51,)`` over centre errors of 0 … 50 px
``norm_precision``      array ``(51,)`` over normalised errors of 0 … 0.5
======================  ==========================================================================

`summary` gives one row per tracker, best first: the means over sequences under the names ``tracker, auc,
precision, norm_precision, success50, success75, mean_iou, failures`` (a total) ``, fps, seconds, sequences,
expected, oracle, convention, protocol, suite, auc_low, auc_high`` (95 % bootstrap interval over sequences)
``, rank, p_best, same_as_best``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from rolo_bench.boxes import Array
from rolo_bench.conventions import Convention, find_convention
from rolo_bench.errors import DataError, UsageError
from rolo_bench.protocols import SRE_SHIFTS, tre_starts
from rolo_bench.results import RunResult, Store
from rolo_bench.sequence import Sequence
from rolo_bench.suites import Suite, tre_omit

if TYPE_CHECKING:
    import pandas as pd

CURVES = ("success", "precision", "norm_precision")
SCALARS = (
    "auc", "precision20", "norm_auc", "success50", "success75", "mean_iou", "failures", "fps", "seconds",
)  # fmt: skip
KEYS = (
    "tracker",
    "sequence",
    "segment",
    "suite",
    "protocol",
    "convention",
    "expected",
    "oracle",
    "attributes",
)


def score(
    store: Store,
    suite: Suite,
    trackers: Iterable[str] = (),
    protocol: str = "ope",
    convention: str = "otb",
    partial: bool = False,
    common: bool = True,
    segments: bool = False,
) -> pd.DataFrame:
    """Scores of trackers on a suite; the columns are those of the module's table.

    Args:
        trackers: names; all that have results on the suite where none is given.
        partial: score the sequences that have results; otherwise a missing result is an error.
        common: with ``partial``, keep only sequences on which every tracker has a result, so that trackers
            are compared on the same ground; what was left out stands in ``attrs["notes"]``.
        segments: one row per segment of TRE or SRE; otherwise a sequence's score is the mean of its segments.

    Raises:
        UsageError: unknown convention.
        DataError: nothing to score, a result is missing, malformed, of the wrong length, or was made with
            another annotation; the message names tracker, sequence and lengths.
    """
    import pandas as pd

    rule = find_convention(convention)
    names = tuple(trackers) or store.trackers(suite.name, protocol)
    if not names:
        raise DataError(
            f"no results on {suite.name} ({protocol}) in {store.root}; make some with `rolo-bench run` or "
            "`rolo-bench import`"
        )
    found = {name: _available(store, suite, protocol, name, partial) for name in names}
    notes = [suite.note()] if suite.missing else []
    if common and len({tuple(v) for v in found.values()}) > 1:
        notes += _uneven(found, len(suite.sequences))
        shared = set.intersection(*(set(v) for v in found.values()))
        found = {name: [s for s in have if s in shared] for name, have in found.items()}
    rows: list[dict[str, Any]] = []
    for name, have in found.items():
        rows += _rows(store, suite, protocol, name, have, rule, segments)
    if not rows:
        raise DataError(
            f"{', '.join(names)}: no sequence of {suite.name} on which all have results; name fewer trackers"
        )
    frame = pd.DataFrame(rows)
    frame.attrs["notes"] = notes
    return frame


def _available(store: Store, suite: Suite, protocol: str, tracker: str, partial: bool) -> list[str]:
    """Names of the suite's sequences, in its order, on which a tracker has results."""
    there = set(store.sequences(suite.name, protocol, tracker))
    have = [s.name for s in suite.sequences if s.name in there]
    absent = [s.name for s in suite.sequences if s.name not in there]
    if not have or (absent and not partial):
        listed = ", ".join(absent[:8]) + (" …" if len(absent) > 8 else "")
        entries = store.meta(suite.name, protocol, tracker).get("sequences", {})
        failed = [
            f"{s} failed: {entries[s].get('error')}"
            for s in absent
            if s in entries and entries[s].get("error")
        ]
        raise DataError(
            f"{tracker}: no result on {len(absent)} of {len(suite.sequences)} sequences of {suite.name} "
            f"({protocol}): {listed}; {failed[0] + '; ' if failed else ''}run or import it, "
            "or score what is there with --partial"
        )
    return have


def _uneven(found: dict[str, list[str]], total: int) -> list[str]:
    shared = len(set.intersection(*(set(v) for v in found.values())))
    counts = ", ".join(f"{name} {len(have)}" for name, have in found.items() if len(have) != total)
    return [
        f"trackers have different sequences ({counts} of {total}); compared on the {shared} that all have"
    ]


def _rows(
    store: Store, suite: Suite, protocol: str, tracker: str, have: list[str], rule: Convention, segments: bool
) -> list[dict[str, Any]]:
    meta = store.meta(suite.name, protocol, tracker)
    oracle = bool(meta.get("oracle", False))
    rows = []
    for sequence in suite.sequences:
        if sequence.name not in have:
            continue
        results = store.load(suite.name, protocol, tracker, sequence.name, meta)
        _check_annotation(meta, results, sequence)
        parts = [_one(result, sequence, rule) for result in _complete(results, sequence, protocol)]
        head = {
            "tracker": display_name(tracker, oracle), "sequence": sequence.name, "segment": None,
            "suite": suite.name, "protocol": protocol, "convention": rule.name,
            "expected": len(suite.expected), "oracle": oracle, "attributes": sequence.attributes,
        }  # fmt: skip
        if segments:
            rows += [head | {"segment": r.segment} | part for r, part in zip(results, parts)]
        else:
            rows.append(head | _mean(parts))
    return rows


def _one(result: RunResult, sequence: Sequence, rule: Convention) -> dict[str, Any]:
    truth = sequence.truth[_start(result, sequence) :]
    if len(truth) != len(result.boxes):
        raise DataError(
            f"{result.label}: {len(result.boxes)} boxes for {len(truth)} frames; run or import it again"
        )
    curves = rule.score(result.boxes, truth)
    seconds = result.seconds[np.isfinite(result.seconds)]
    return {
        "auc": curves.auc, "precision20": curves.precision20, "norm_auc": curves.norm_auc,
        "success50": curves.success50, "success75": curves.success75, "mean_iou": curves.mean_iou,
        "failures": curves.failures, "fps": rule.fps(result.seconds), "frames": len(truth),
        "seconds": float(seconds.sum()) if len(seconds) else float("nan"),
        "success": curves.success, "precision": curves.precision, "norm_precision": curves.norm_precision,
    }  # fmt: skip


def _start(result: RunResult, sequence: Sequence) -> int:
    """Index of a result's first frame; a TRE segment without one in ``run.json`` ends with the sequence."""
    if result.protocol == "tre" and not result.start:
        return max(len(sequence) - len(result.boxes), 0)
    return result.start


def _complete(results: list[RunResult], sequence: Sequence, protocol: str) -> list[RunResult]:
    expected = {"ope": 1, "sre": len(SRE_SHIFTS)}.get(protocol)
    if expected is None:
        expected = len(tre_starts(sequence.truth, tre_omit(sequence)))
    if len(results) < expected:
        raise DataError(
            f"{results[0].tracker} on {sequence.name}: {len(results)} of {expected} segments of {protocol}; "
            "run or import the rest"
        )
    return results


def _check_annotation(meta: dict[str, Any], results: list[RunResult], sequence: Sequence) -> None:
    entries = meta.get("sequences", {})
    for result in results:
        digest = entries.get(result.stem, {}).get("truth")
        if digest and digest != sequence.truth_digest():
            raise DataError(
                f"{result.label}: was run with another annotation than the one it is scored with; "
                "name the same --data, or run it again"
            )


def _mean(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """The mean of a sequence's segments; frames and seconds are totals.

    Source: ROLO authors' evaluation. Deviation: the OTB toolkits pool the frames of all segments instead.
    """
    if len(parts) == 1:
        return parts[0]
    total = {name: sum(p[name] for p in parts) for name in ("frames", "seconds")}
    return {name: np.mean([p[name] for p in parts], axis=0) for name in parts[0]} | total


def display_name(tracker: str, oracle: bool) -> str:
    """The name under which a tracker is shown; an oracle says so."""
    return f"{tracker} (oracle)" if oracle and "oracle" not in tracker.lower() else tracker


def mean_curves(scores: pd.DataFrame) -> dict[str, dict[str, Array]]:
    """The mean curves of each tracker over its sequences: ``{tracker: {"success": (21,), …}}``, best AUC first."""
    curves = {
        str(name): {c: np.mean(np.stack(list(rows[c])), axis=0) for c in CURVES}
        for name, rows in scores.groupby("tracker", sort=False)
    }
    return dict(sorted(curves.items(), key=lambda item: -item[1]["success"].mean()))


def matrix(scores: pd.DataFrame, column: str = "auc") -> pd.DataFrame:
    """One scalar as a table: a row per sequence in the suite's order, a column per tracker."""
    order = list(dict.fromkeys(scores["sequence"]))
    names = list(dict.fromkeys(scores["tracker"]))
    return scores.pivot_table(
        index="sequence", columns="tracker", values=column, aggfunc="mean", dropna=False
    ).loc[order, names]


def summary(scores: pd.DataFrame, seed: int = 0, resamples: int = 2000) -> pd.DataFrame:
    """One row per tracker, best AUC first: means over sequences, intervals, and whether it differs from the best.

    ``p_best`` is the paired Wilcoxon test against the first tracker, Holm-corrected over the trackers, on the
    sequences that both have; ``same_as_best`` is True where it is 0.05 or more. Equal AUCs share a ``rank``.
    An oracle takes no part in that: its ``rank`` is 0 and its ``p_best`` NaN.
    """
    import pandas as pd

    from rolo_bench.statistics import against_best, bootstrap_interval

    rows = []
    for name, part in scores.groupby("tracker", sort=False):
        low, high = bootstrap_interval(part["auc"].to_numpy(float), seed=seed, resamples=resamples)
        first = part.iloc[0]
        rows.append(
            {
                "tracker": name,
                "auc": part["auc"].mean(),
                "precision": part["precision20"].mean(),
                "norm_precision": part["norm_auc"].mean(),
                **{c: part[c].mean() for c in ("success50", "success75", "mean_iou")},
                "failures": part["failures"].sum(),
                "fps": part["fps"].mean(),
                "seconds": part["seconds"].sum(min_count=1),
                "sequences": len(part),
                **{c: first[c] for c in ("expected", "oracle", "convention", "protocol", "suite")},
                "auc_low": low,
                "auc_high": high,
            }
        )
    table = pd.DataFrame(rows).sort_values("auc", ascending=False, kind="stable", ignore_index=True)
    fair = ~table["oracle"].astype(bool)
    ranks = table["auc"].where(fair).round(12).rank(ascending=False, method="min")
    table["rank"] = ranks.fillna(0).astype(int)
    p = against_best(matrix(scores[~scores["oracle"].astype(bool)])) if fair.any() else {}
    table["p_best"] = [p.get(name, float("nan")) for name in table["tracker"]]
    table["same_as_best"] = fair & ~(table["p_best"] < 0.05)
    table.attrs["notes"] = list(scores.attrs.get("notes", []))
    return table


def with_published(table: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """A summary with rows of published numbers for the same sequences, marked ``(published)``, best AUC first.

    Raises:
        UsageError: the scores are not of one-pass evaluation under the benchmark authors' rule, or of sequences
            for which nothing is published.
    """
    import pandas as pd

    from rolo_bench import reference

    first = scores.iloc[0]
    if first["protocol"] != "ope" or first["convention"] not in reference.SAME_RULE:
        raise UsageError("published numbers stand beside OPE under the convention otb or otb-matlab only")
    rows = reference.published_summary(scores["sequence"])
    if rows.empty:
        raise UsageError(f"nothing is published for the sequences of {first['suite']}; leave --published out")
    rows = rows.assign(**{c: first[c] for c in ("expected", "convention", "protocol", "suite")}, oracle=False)
    both = pd.concat([table.assign(published=False), rows.assign(published=True)], ignore_index=True)
    return both.sort_values(["auc", "mean_iou"], ascending=False, na_position="last", ignore_index=True)


def coverage(table: pd.DataFrame) -> str:
    """``16 of 30 sequences``, or ``30 sequences``: what a summary or its scores stand for."""
    counts = sorted({int(n) for n in table["sequences"]} if "sequences" in table else _counts(table))
    expected = int(table["expected"].iloc[0])
    shown = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"{expected} sequences" if counts == [expected] else f"{shown} of {expected} sequences"


def _counts(scores: pd.DataFrame) -> set[int]:
    return {int(n) for n in scores.groupby("tracker")["sequence"].nunique()}


def by_attribute(scores: pd.DataFrame) -> pd.DataFrame:
    """Means over the sequences that carry a challenge flag: one row per (attribute, tracker).

    Columns ``attribute, tracker, auc, precision, norm_precision, mean_iou, sequences``; ``ALL`` comes first.
    """
    import pandas as pd

    flags = pd.Series([("ALL", *flags) for flags in scores["attributes"]], index=scores.index)
    tagged = scores.assign(attribute=flags).explode("attribute")
    rows = [
        {
            "attribute": flag, "tracker": tracker, "auc": part["auc"].mean(),
            "precision": part["precision20"].mean(), "norm_precision": part["norm_auc"].mean(),
            "mean_iou": part["mean_iou"].mean(), "sequences": len(part),
        }
        for (flag, tracker), part in tagged.groupby(["attribute", "tracker"], sort=False)
    ]  # fmt: skip
    return pd.DataFrame(rows)
