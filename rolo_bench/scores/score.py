"""Results to scores: a tidy DataFrame per (tracker, sequence), and summaries over sequences.

`score` gives one row per tracker and sequence (with ``segments=True`` one per segment of TRE or SRE):

======================  ==========================================================================
column                  meaning
======================  ==========================================================================
``tracker``             name
``sequence, segment``   name; ``tre03`` … or None
``suite, protocol``     what was run
``convention``          the scoring rule (`rolo_bench.scores.conventions`)
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
``success_curve``       array ``(21,)`` over overlap thresholds 0, 0.05 … 1
``precision_curve``     array ``(51,)`` over centre errors of 0 … 50 px
``norm_precision_curve``  array ``(51,)`` over normalised errors of 0 … 0.5
======================  ==========================================================================

`summary` gives one row per tracker, best first: the means over sequences under the names ``tracker, auc,
precision, norm_precision, success50, success75, mean_iou, failures`` (a total) ``, fps, seconds, sequences,
expected, oracle, convention, protocol, suite, auc_low, auc_high`` (95 % bootstrap interval over sequences)
``, rank, p_best, same_as_best``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rolo_bench.datasets.suites import Suite, load_suite, tre_omit
from rolo_bench.errors import DataError
from rolo_bench.protocols import check_protocol, segments
from rolo_bench.run.store import RunResult, Store
from rolo_bench.scores.conventions import Convention, find_convention
from rolo_bench.sequence import Sequence

if TYPE_CHECKING:
    import pandas as pd

CURVES = ("success", "precision", "norm_precision")
"""The curves of a run; each stands in the column of its name with ``_curve`` at the end."""


def score(
    store: Store | str | os.PathLike[str],
    suite: Suite | str | os.PathLike[str],
    trackers: str | Iterable[str] = (),
    protocol: str = "ope",
    convention: str = "otb",
    partial: bool = False,
    common: bool = True,
    segments: bool = False,
    data: str | os.PathLike[str] | None = None,
) -> pd.DataFrame:
    """Scores of trackers on a suite; the columns are those of the module's table.

    Args:
        store: the results, or their folder.
        suite: as loaded, or its name; the truth is then read from the folder ``data`` as `load_suite` does.
        trackers: one name or several; all that have results on the suite where none is given.
        partial: score the sequences that have results; otherwise a missing result is an error.
        common: with ``partial``, keep only sequences on which every tracker has a result, so that trackers
            are compared on the same ground; what was left out stands in ``attrs["uneven"]``, which is a part
            of ``attrs["notes"]``.
        segments: one row per segment of TRE or SRE; otherwise a sequence's score is the mean of its segments.

    Raises:
        UsageError: unknown convention or protocol.
        DataError: nothing to score, a result is missing, malformed, of the wrong length, or was made with
            another annotation; the message names tracker, sequence and lengths.
    """
    import pandas as pd

    rule = find_convention(convention)
    if isinstance(store, str | os.PathLike):
        store = Store(Path(store))
    check_protocol(protocol)
    if isinstance(suite, str | os.PathLike):
        suite = load_suite(str(suite), data, partial, images=False)
    names = (trackers,) if isinstance(trackers, str) else tuple(trackers)
    names = names or store.trackers(suite.name, protocol)
    if not names:
        raise DataError(
            f"no results on {suite.name} ({protocol}) in {store.root}; make some with `rolo-bench run` or "
            "`rolo-bench import`"
        )
    found = {name: _available(store, suite, protocol, name, partial) for name in names}
    uneven: list[str] = []
    if common and len({tuple(v) for v in found.values()}) > 1:
        uneven = _uneven(found, len(suite.sequences))
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
    frame.attrs |= {"uneven": uneven, "notes": [suite.note()] * bool(suite.missing) + uneven}
    return frame


def _available(store: Store, suite: Suite, protocol: str, tracker: str, partial: bool) -> list[str]:
    """Names of the suite's sequences, in its order, on which a tracker has results."""
    there = set(store.sequences(suite.name, protocol, tracker))
    have = [s.name for s in suite.sequences if s.name in there]
    absent = [s.name for s in suite.sequences if s.name not in there]
    if not have or (absent and not partial):
        listed = ", ".join(absent[:8]) + (" …" if len(absent) > 8 else "")
        entries = store.meta(suite.name, protocol, tracker).get("sequences", {})
        failed = [f"{s} failed: {why}" for s in absent if (why := entries.get(s, {}).get("error"))]
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
    rows = []
    for sequence in suite.sequences:
        if sequence.name not in have:
            continue
        results = store.load(suite.name, protocol, tracker, sequence.name, meta)
        _check_annotation(meta, results, sequence)
        parts = [_one(result, sequence, rule) for result in _complete(results, sequence, protocol)]
        head = {
            "tracker": tracker, "sequence": sequence.name, "segment": None,
            "suite": suite.name, "protocol": protocol, "convention": rule.name,
            "expected": len(suite.expected), "oracle": bool(meta.get("oracle")), "attributes": sequence.attributes,
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
    } | {f"{name}_curve": getattr(curves, name) for name in CURVES}  # fmt: skip


def _start(result: RunResult, sequence: Sequence) -> int:
    """Index of a result's first frame; a segment without one in ``run.json`` ends with the sequence."""
    if result.segment and not result.start:
        return max(len(sequence) - len(result.boxes), 0)
    return result.start


def _complete(results: list[RunResult], sequence: Sequence, protocol: str) -> list[RunResult]:
    expected = len(segments(protocol, sequence.truth, omit=tre_omit(sequence)))
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
