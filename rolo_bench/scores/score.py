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
``lt_precision, lt_recall``  precision and recall of long-term tracking
``dropped``             frames on which the convention lets nobody win or lose
``counted``             weight of the sequence in means: 1, or its frames where the convention pools them
``fps``                 frames per second as the convention counts them; NaN where no time is known
``frames, seconds``     number of frames; time in the tracker, NaN where unknown
``success_curve``       array ``(21,)`` over overlap thresholds 0, 0.05 … 1
``precision_curve``     array ``(51,)`` over centre errors of 0 … 50 px
``confidence``          array ``(3, N)`` per frame: score, overlap, whether the target is shown
                        (`rolo_bench.scores.conventions.long_term_curve`); empty without scores
``norm_precision_curve``  array ``(51,)`` over normalised errors of 0 … 0.5
======================  ==========================================================================

`summary` gives one row per tracker, best first: the means over sequences under the names ``tracker, auc,
precision, norm_precision, success50, success75, mean_iou, failures`` (a total) ``, fps, seconds, sequences,
expected, oracle, convention, protocol, suite, auc_low, auc_high`` (95 % bootstrap interval over sequences)
``, rank, p_best, same_as_best``.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rolo_bench.boxes import Array, iou, valid
from rolo_bench.datasets.alignment import find_misfit
from rolo_bench.datasets.suites import Suite, load_suite, tre_omit
from rolo_bench.errors import DataError, UsageError, counted
from rolo_bench.protocols import check_protocol, segments
from rolo_bench.run.stamp import changed_since, lost_plugin, mixed, timed, video
from rolo_bench.run.store import Files, Results, RunResult, Store
from rolo_bench.scores.conventions import Convention, Mask, Runs, find_convention, long_term, official
from rolo_bench.scores.kept import Kept, Scored, key_of, sequence_digest
from rolo_bench.scores.notes import Note, gathered, shortened
from rolo_bench.sequence import Sequence

if TYPE_CHECKING:
    import pandas as pd

CURVES = ("success", "precision", "norm_precision")
"""The curves of a run; each stands in the column of its name with ``_curve`` at the end."""
TOGETHER = 64
"""Sequences that are scored in one go: more are no faster, and take more memory."""
REQUIRE = {
    "all": "trackers that have all sequences",
    "common": "the sequences that all trackers have",
    "any": "each tracker on what it has",
}
"""What is compared where some tracker lacks results."""


def score(
    store: Results | str | os.PathLike[str],
    suite: Suite | str | os.PathLike[str],
    trackers: str | Iterable[str] = (),
    protocol: str = "ope",
    convention: str | None = None,
    partial: bool = False,
    require: str = "all",
    segments: bool = False,
    data: str | os.PathLike[str] | None = None,
    cached: bool = True,
    all_speeds: bool = False,
) -> pd.DataFrame:
    """Scores of trackers on a suite; the columns are those of the module's table.

    ``attrs["compared"]`` says in a line what is compared on what and who is incomplete, ``attrs["uneven"]`` holds
    that again where somebody is, ``attrs["misfits"]`` a line for each result that does not begin with the truth;
    ``attrs["trained"]`` one for each tracker whose weights have seen some of the sequences, ``attrs["stale"]`` a
    `rolo_bench.scores.notes.Note` for each kind of fault that shows in the records of the runs;
    ``attrs["notes"]`` is all that a reader should be told.

    Args:
        store: the results, or their folder.
        suite: as loaded, or its name; the truth is then read from the folder ``data`` as `load_suite` does.
        trackers: one name or several; all that have results on the suite where none is given.
        convention: the rule; by default the official one of the suite, ``plain`` where it has none.
        partial: a suite of which only some sequences are at hand, or have results of anybody, will do.
        require: of `REQUIRE`. With ``all``, a tracker that lacks sequences is left out, named, and does not
            concern the others; with ``common``, sequences that one of them lacks are left out for all.
        cached: keep the scores of each result in the cache, and take them from there while all that they depend on
            has the same contents (`rolo_bench.scores.kept`).
        all_speeds: give frames per second also where they are not those of the tracker alone; a note says whose.

    Raises:
        UsageError: unknown convention, protocol or ``require``.
        DataError: nothing to score or to compare, a result is malformed, changed after it was made, of the wrong
            length, or was made with another annotation; or a tracker's results were made in several ways. The
            message names tracker, sequence and what is wrong.
    """
    if isinstance(store, str | os.PathLike):
        store = Store(Path(store))
    check_protocol(protocol)
    if require not in REQUIRE:
        raise UsageError(f"unknown --require {require!r}; known: {', '.join(REQUIRE)}")
    named = (trackers,) if isinstance(trackers, str) else tuple(trackers)
    if convention is not None:
        find_convention(convention)  # refused before anything is read
    if isinstance(suite, str | os.PathLike):
        suite = load_suite(str(suite), data, partial, images=False, tolerant=partial)
    rule = find_convention(convention or official(suite.family))
    chosen, compared, uneven, idle = _selected(store, suite, protocol, named, require, partial)
    metas = {name: store.meta(suite.name, protocol, name) for name in chosen}
    frame, misfits = _frame(store, suite, protocol, chosen, metas, rule, segments, cached, all_speeds)
    stale = _stale(metas, all_speeds) + _other_images(metas, suite)
    stale += gathered((name, f" is left out: {words}") for name, words in suite.faults)
    stale += gathered((name, " failed on every sequence; left out") for name in idle)
    trained = _trained(metas, {*frame["sequence"]})
    notes = [suite.note()] * bool(suite.missing) + uneven + [*map(str, stale)] + misfits + trained
    frame.attrs |= {
        "compared": compared,
        "uneven": uneven,
        "stale": stale,
        "misfits": misfits,
        "trained": trained,
        "notes": notes,
    }
    return frame


def score_again(scores: pd.DataFrame, store: Results, suite: Suite, convention: str) -> pd.DataFrame:
    """A table of `score` for the same results under another convention, without its notes: they would be the same.

    Raises:
        UsageError: unknown convention.
    """
    protocol = str(scores["protocol"].iloc[0])
    chosen = {str(t): list(part["sequence"]) for t, part in scores.groupby("tracker", sort=False)}
    metas = {name: store.meta(suite.name, protocol, name) for name in chosen}
    return _frame(store, suite, protocol, chosen, metas, find_convention(convention))[0]


def _frame(
    store: Results, suite: Suite, protocol: str, chosen: dict[str, list[str]], metas: dict[str, dict[str, Any]],
    rule: Convention, segments: bool = False, cached: bool = True, all_speeds: bool = False,
) -> tuple[pd.DataFrame, list[str]]:  # fmt: skip
    """The scores of trackers on sequences, and a line for each result that does not begin with the truth."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    misfits: list[str] = []
    against = Against(suite, rule, all_speeds)
    for name, have in chosen.items():
        kept = None
        if cached:
            kept = Kept((str(store.root.resolve()), suite.name, protocol, name, rule.name))
        rows += _rows(store, against, protocol, name, metas[name], have, segments, misfits, kept)
        if kept is not None:
            kept.save()
    return pd.DataFrame(rows), misfits


def _selected(
    store: Results, suite: Suite, protocol: str, named: tuple[str, ...], require: str, partial: bool
) -> tuple[dict[str, list[str]], str, list[str], tuple[str, ...]]:
    """What `_chosen` gives of the trackers that were named, or of all; and those that have failed everywhere.

    Raises:
        DataError: there is nothing to compare.
    """
    named = tuple(store.find_tracker(suite.name, protocol, n) for n in named)
    names = named or store.trackers(suite.name, protocol)
    if not names:
        raise DataError(
            f"no results on {suite.name} ({protocol}) in {store.root}{_elsewhere(store)}; make some with "
            "`rolo-bench run` or `rolo-bench import`"
        )
    there = {name: set(store.sequences(suite.name, protocol, name)) for name in names}
    idle = () if named else tuple(n for n in names if not there[n])
    if len(idle) < len(names):
        names = tuple(n for n in names if n not in idle)
    found = {name: [s.name for s in suite.sequences if s.name in there[name]] for name in names}
    chosen, compared, uneven = _chosen(found, suite, require, partial)
    for name, have in found.items():
        if (not have and name in named) or (not chosen and require == "all"):
            raise _lacking(store, suite, protocol, name, have)
    if not chosen:
        raise DataError(
            f"{', '.join(names)}: no sequence of {suite.name} on which all have results; name fewer trackers"
        )
    return chosen, compared, uneven, idle


def _elsewhere(store: Results) -> str:
    """What there is instead, for a message."""
    others = dict.fromkeys(f"{suite} ({protocol})" for suite, protocol, _, _ in store.contents())
    return f"; there are some on {', '.join(others)}" if others else ""


def _trained(metas: dict[str, dict[str, Any]], sequences: set[str]) -> list[str]:
    """A sentence on each tracker that was trained on some of the sequences."""
    found = []
    for name, meta in metas.items():
        seen = sorted(sequences & {*(meta.get("trained_on") or ())})
        if seen:
            share = f"{len(seen)} of these {len(sequences)} sequences ({shortened(seen)})"
            found.append(f"{name} was trained on {share}: no test of it")
    return found


def _stale(metas: dict[str, dict[str, Any]], all_speeds: bool) -> list[Note]:
    """Trackers whose results are not what they would make now, of which that cannot be told, or that have no speed."""
    said = []
    for name, meta in metas.items():
        changed = changed_since(meta)
        if changed:
            said.append((name, f": {changed} changed since these results were made"))
        elif lost_plugin(meta):
            said.append(
                (
                    name,
                    f": whether {lost_plugin(meta)} changed since cannot be told, as it is neither here nor in "
                    "$ROLO_BENCH_TRACKERS",
                )
            )
        elif meta.get("fingerprint") and not meta.get("makings") and not meta.get("imported"):
            said.append((name, ": made before stamps; what these results depend on was not recorded in full"))
        elif not meta:
            said.append((name, ": no record (run.json) says what made these boxes"))
    untimed = [n for n, m in metas.items() if not all(timed(m, e) for e in m.get("sequences", {}).values())]
    words = ": timed beside other jobs or from a cache; frames per second "
    words += "are not those of the tracker alone" if all_speeds else "left out"
    return gathered([*said, *((name, words) for name in untimed)])


def _other_images(metas: dict[str, dict[str, Any]], suite: Suite) -> list[Note]:
    """Trackers that were run on other images, of a suite that was loaded with its images."""
    found: dict[str, list[str]] = {}
    unread = []
    for sequence in suite.sequences:
        kept = {n: m.get("sequences", {}).get(sequence.name, {}).get("images") for n, m in metas.items()}
        try:
            now = video(sequence).get("images") if any(kept.values()) else None
        except DataError as error:
            unread.append(Note(str(error)))
            continue
        for name in (n for n, k in kept.items() if k and now and k != now):
            found.setdefault(name, []).append(sequence.name)
    return unread + gathered((n, f": images of {shortened(s)} changed since") for n, s in found.items())


def _chosen(
    found: dict[str, list[str]], suite: Suite, require: str, partial: bool
) -> tuple[dict[str, list[str]], str, list[str]]:
    """Trackers and sequences that are compared, a line on that, and the same line where somebody is incomplete."""
    order = [s.name for s in suite.sequences]
    chosen = {name: have for name, have in found.items() if have}
    if require == "all":
        anybody = set().union(*map(set, found.values()))
        wanted = len([s for s in order if s in anybody] if partial else order)
        chosen = {name: have for name, have in chosen.items() if len(have) == wanted}
    elif require == "common" and chosen:
        shared = set.intersection(*(set(have) for have in chosen.values()))
        chosen = {name: [s for s in order if s in shared] for name in chosen if shared}
    if not chosen:
        return {}, "", []
    line = _compared(chosen, found, suite)
    if len({tuple(have) for have in found.values()}) == 1:
        return chosen, line, []
    line += f" (--require {require}: {REQUIRE[require]})"
    return chosen, line, [line]


def _compared(chosen: dict[str, list[str]], found: dict[str, list[str]], suite: Suite) -> str:
    """``3 trackers on 11 of 30 sequences of otb30; incomplete: TLD has 2 of 11; left out: TLD``."""
    counts, total = sorted({len(have) for have in chosen.values()}), len(suite.sequences)
    shown = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    trackers = f"{len(chosen)} trackers" if len(chosen) > 1 else next(iter(chosen))
    line = f"{trackers} on {shown} of {counted(len(suite.expected), 'sequence')} of {suite.name}"
    if len({tuple(have) for have in found.values()}) > 1:
        line += f"; incomplete: {', '.join(f'{n} has {len(h)} of {total}' for n, h in found.items() if len(h) < total)}"
    left = ", ".join(n for n in found if n not in chosen)
    return line + (f"; left out: {left}" if left else "")


def _lacking(store: Results, suite: Suite, protocol: str, tracker: str, have: list[str]) -> DataError:
    """The error of a tracker that lacks results where it was asked for, or where nobody has them all."""
    absent = [s.name for s in suite.sequences if s.name not in have]
    listed = ", ".join(absent[:8]) + (" …" if len(absent) > 8 else "")
    entries = store.meta(suite.name, protocol, tracker).get("sequences", {})
    failed = [f"{s} failed: {why}" for s in absent if (why := entries.get(s, {}).get("error"))]
    return DataError(
        f"{tracker}: no result on {len(absent)} of {len(suite.sequences)} sequences of {suite.name} "
        f"({protocol}): {listed}; {failed[0] + '; ' if failed else ''}run or import it, or compare what is there "
        "with --require common or --require any"
    )


@dataclass
class Against:
    """What results are scored against, and what is looked up of it for every result."""

    suite: Suite
    rule: Convention
    all_speeds: bool = False

    def __post_init__(self) -> None:
        self.expected: dict[str, int] = {}
        self.firsts = {s.name: s.truth[0] for s in self.suite.sequences}
        self.truths = {s.name: s.truth_digest() for s in self.suite.sequences}
        firsts = repr([(name, box.tolist()) for name, box in self.firsts.items()])
        rest = (hashlib.sha256(firsts.encode()).hexdigest(), self.rule.name)
        self.digests = {s.name: (sequence_digest(s), *rest) for s in self.suite.sequences}

    def check(self, results: list[Files], sequence: Sequence) -> None:
        """Refuse results on a sequence that are incomplete, or were made with another annotation.

        Raises:
            DataError: they are.
        """
        name, protocol = sequence.name, results[0].protocol
        if name not in self.expected:
            omit = tre_omit(sequence) if protocol == "tre" else ()
            self.expected[name] = len(segments(protocol, sequence.truth, omit=omit))
        if len(results) < self.expected[name]:
            raise DataError(
                f"{results[0].tracker} on {name}: {len(results)} of {self.expected[name]} segments of {protocol}; "
                "run or import the rest"
            )
        for files in results:
            if (files.entry.get("truth") or self.truths[name]) != self.truths[name]:
                raise DataError(
                    f"{files.label}: was run with another annotation than the one it is scored with; "
                    "name the same --data, or run it again"
                )

    def scores(self, asked: list[tuple[Files, Sequence]], kept: Kept | None) -> list[Scored]:
        """The scores of results, and what is wrong with the first box of each; kept ones where there are such.

        Raises:
            DataError: a result is malformed, or of another length.
        """
        keys = [
            "" if kept is None else key_of(files, *self.digests[sequence.name]) for files, sequence in asked
        ]
        found = [None if kept is None else kept.get(key) for key in keys]
        new = [i for i, scored in enumerate(found) if scored is None]
        pairs = [(asked[i][0].result(), asked[i][1]) for i in new]
        for i, pair, scores in zip(new, pairs, score_results(pairs, self.rule)):
            found[i] = scored = scores, "" if pair[0].protocol == "sre" else self._misfit(*pair)
            if kept is not None and pair[0].scores is None:
                kept.put(keys[i], scored)
        whole = [scored for scored in found if scored is not None]
        for scores, _ in whole:
            scores.setdefault("confidence", np.zeros((3, 0)))
        return whole

    def _misfit(self, result: RunResult, sequence: Sequence) -> str:
        """How a result does not begin with the truth, with the likely cause; not of SRE, which starts beside it."""
        others = self.firsts.copy()
        del others[sequence.name]
        found = find_misfit(result.boxes, sequence.truth[_start(result, sequence) :], others)
        return str(found) if found else ""


def _rows(
    store: Results, against: Against, protocol: str, tracker: str, meta: dict[str, Any], have: list[str],
    segments: bool, misfits: list[str], kept: Kept | None,
) -> list[dict[str, Any]]:  # fmt: skip
    """A row per sequence or segment; what does not begin with the truth is added to ``misfits``."""
    if mixed(meta):
        raise DataError(
            f"{tracker}: {mixed(meta)}; make them anew with `rolo-bench run --force`, or set them aside with "
            "`rolo-bench verify --prune`"
        )
    suite, rows = against.suite, []
    known = {s.name: s for s in suite.sequences}
    reading = store.read(suite.name, protocol, tracker, have, meta)
    while found := list(islice(reading, TOGETHER)):
        for results in found:
            against.check(results, known[results[0].sequence])
        asked = [(files, known[files.sequence]) for results in found for files in results]
        scored = iter(against.scores(asked, kept))
        for results in found:
            sequence, parts = known[results[0].sequence], []
            for files, (part, misfit) in zip(results, scored):
                misfits += [f"{files.label}: {misfit}"] * bool(misfit)
                if not (against.all_speeds or timed(meta, files.entry)):
                    part["fps"] = float("nan")
                parts.append(part)
            head = {
                "tracker": tracker, "sequence": sequence.name, "segment": None,
                "suite": suite.name, "protocol": protocol, "convention": against.rule.name,
                "expected": len(suite.expected), "oracle": bool(meta.get("oracle")), "attributes": sequence.attributes,
            }  # fmt: skip
            if segments:
                rows += [head | {"segment": f.segment} | part for f, part in zip(results, parts)]
            else:
                rows.append(head | _mean(parts))
    return rows


def score_results(pairs: list[tuple[RunResult, Sequence]], rule: Convention) -> list[dict[str, Any]]:
    """The scores of results, each on its sequence, by their columns.

    Raises:
        DataError: one has another length than its sequence, or nobody can score that here.
    """
    if not pairs:
        return []
    parts = [_part(result, sequence) for result, sequence in pairs]
    runs = Runs.joined(parts)
    curves, (precision, recall) = rule.curves(runs), long_term(runs)
    columns = {
        "auc": curves.auc, "precision20": curves.precision20, "norm_auc": curves.norm_auc,
        "success50": curves.success50, "success75": curves.success75, "mean_iou": curves.mean_iou,
        "lt_precision": precision, "lt_recall": recall, "failures": curves.failures, "dropped": curves.dropped,
        "fps": [rule.fps(result.seconds) for result, _ in pairs], "frames": [len(r.boxes) for r, _ in pairs],
        "seconds": [_total(result.seconds) for result, _ in pairs],
        "counted": runs.lengths - 1 - curves.dropped if rule.pooled else np.ones_like(runs.lengths),
    }  # fmt: skip
    numbers = zip(*(np.asarray(values).tolist() for values in columns.values()))
    lines = zip(*(getattr(curves, name) for name in CURVES))
    names = (*columns, *(f"{name}_curve" for name in CURVES))
    scores = [dict(zip(names, row + line)) for row, line in zip(numbers, lines, strict=True)]
    for i, (result, sequence) in enumerate(pairs):
        if result.scores is not None:
            sure = result.scores[_known(result, sequence)]
            scores[i] = {"confidence": _confidence(sure, *parts[i][:3])} | scores[i]
    return scores


def _total(seconds: Array) -> float:
    known = seconds[np.isfinite(seconds)]
    return float(known.sum()) if len(known) else float("nan")


def _known(result: RunResult, sequence: Sequence) -> Any:
    """Which frames of a result are annotated."""
    return slice(None) if sequence.annotated is None else sequence.annotated[_start(result, sequence) :]


def _part(result: RunResult, sequence: Sequence) -> tuple[Array, Array, Mask | None, tuple[int, int] | None]:
    """What a convention scores of a result; raises as `score_results`."""
    start, known = _start(result, sequence), _known(result, sequence)
    truth = sequence.truth[start:]
    if len(truth) != len(result.boxes):
        raise DataError(
            f"{result.label}: {len(result.boxes)} boxes for {len(truth)} frames; run or import it again"
        )
    if len(truth) > 1 and len(truth[known]) < 2:
        raise DataError(
            f"{sequence.name}: only its first box is known, so nobody can score it here; "
            "write the results for its server with `rolo-bench export`"
        )
    absent = None if sequence.absent is None else sequence.absent[start:][known]
    return result.boxes[known], truth[known], absent, sequence.extent


def _confidence(sure: Array, boxes: Array, truth: Array, absent: Mask | None) -> Array:
    """Scores, overlaps and whether the target is shown ``(3, N)``, on the frames that are annotated."""
    shown = valid(truth) if absent is None else valid(truth) & ~absent
    sure = np.where(np.isnan(sure), np.inf, sure)
    overlaps = np.where(shown, np.nan_to_num(iou(boxes, truth)), 0.0)
    return np.stack([np.where(np.isnan(boxes).any(axis=1), np.nan, sure), overlaps, shown])


def _start(result: RunResult, sequence: Sequence) -> int:
    """Index of a result's first frame; a segment without one in ``run.json`` ends with the sequence."""
    if result.segment and not result.start:
        return max(len(sequence) - len(result.boxes), 0)
    return result.start


def _mean(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """The mean of a sequence's segments; frames and seconds are totals.

    Source: ROLO authors' evaluation. Deviation: the OTB toolkits pool the frames of all segments instead.
    """
    if len(parts) == 1:
        return parts[0]
    total = {name: sum(p[name] for p in parts) for name in ("frames", "seconds", "counted")}
    means = {name: np.mean([p[name] for p in parts], axis=0) for name in parts[0] if name != "confidence"}
    return means | total | {"confidence": np.zeros((3, 0))}
