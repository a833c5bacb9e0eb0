"""What stands around the numbers of a figure: suite, protocol, convention, marks, and what differs significantly."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from rolo_bench.boxes import Array
from rolo_bench.errors import DataError
from rolo_bench.plots.style import DAGGER, PLAIN, Form, Look, looks
from rolo_bench.protocols import PROTOCOLS
from rolo_bench.scores.conventions import ERROR_THRESHOLDS, NORM_THRESHOLDS, OVERLAP_THRESHOLDS
from rolo_bench.scores.statistics import against_best
from rolo_bench.scores.summary import coverage, matrix, oracles, ranked
from rolo_bench.scores.tables import called, display_name

SUITE_NAMES = {
    "otb30": "OTB-30",
    "otb30-train": "OTB-30, training part",
    "otb30-test": "OTB-30, test part",
    "otb50": "OTB-50",
    "otb100": "OTB-100",
    "cvpr13": "OTB-2013",
    "demo": "demo suite",
}
DOT = "  \N{MIDDLE DOT}  "
ORACLE_NOTE = "Oracle trackers were shown the truth: no fair test, left out of all comparisons."


@dataclass(frozen=True)
class Kind:
    """What tells one curve plot from another.

    Attributes:
        curve: one of `rolo_bench.scores.score.CURVES`.
        scalar, short: column by which its legend is ranked, and that in words.
        at: the threshold at which the curve is that scalar; None where the scalar is its mean.
        x, y: labels of the axes.
    """

    curve: str
    scalar: str
    short: str
    at: int | None
    thresholds: Array
    title: str
    x: str
    y: str
    legend: str


KINDS = {
    k.curve: k
    for k in (
        Kind(
            "success", "auc", "AUC", None, OVERLAP_THRESHOLDS, "Success", "Overlap threshold",
            "Success rate", "ranked by [AUC]",
        ),
        Kind(
            "precision", "precision20", "precision at 20 px", 20, ERROR_THRESHOLDS, "Precision",
            "Centre error threshold (pixels)", "Precision", "ranked by [precision at 20 px]",
        ),
        Kind(
            "norm_precision", "norm_auc", "normalised precision", None, NORM_THRESHOLDS, "Normalised precision",
            "Centre error relative to the target's size", "Precision", "ranked by [mean over 0 \N{EN DASH} 0.5]",
        ),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Setting:
    """The circumstances of a score table.

    Attributes:
        suite, protocol, convention: as in the table.
        coverage: ``16 of 30 sequences``.
        ranked: trackers, best AUC first.
        oracle: those that were shown the truth.
        published: those whose boxes were imported from what others published.
        trained: a sentence on each whose weights have seen some of the sequences.
        form: how figures are set; it says what trackers are called and what comes first.
    """

    suite: str
    protocol: str
    convention: str
    coverage: str
    ranked: tuple[str, ...]
    oracle: frozenset[str]
    published: frozenset[str]
    trained: tuple[str, ...] = ()
    form: Form = PLAIN

    @property
    def suite_title(self) -> str:
        """The suite's name as people write it."""
        return SUITE_NAMES.get(self.suite, self.suite)

    @property
    def subtitle(self) -> str:
        """Suite, number of sequences, protocol and convention in one line."""
        protocol = PROTOCOLS[self.protocol].title
        parts = [self.suite_title, self.coverage, protocol, f"convention: {self.convention}"]
        return DOT.join(p for p in parts if p)

    @property
    def fair(self) -> list[str]:
        """The trackers that may be compared, best AUC first: all but oracles."""
        return [t for t in self.ranked if t not in self.oracle]

    @property
    def shown(self) -> list[str]:
        """All trackers, those first that the form puts first, the others best AUC first."""
        return self.form.ordered(self.ranked)

    def name(self, tracker: str) -> str:
        """What a tracker is called in this figure."""
        return self.form.labels.get(tracker, tracker)

    def label(self, tracker: str) -> str:
        """A tracker's name as people read it, with a dagger where its boxes were published by others."""
        name = display_name(self.name(tracker), oracle=tracker in self.oracle)
        return name + DAGGER * (tracker in self.published)

    def looks(self, others: Iterable[str] = ()) -> dict[str, Look]:
        """The look of each tracker, and of others beside them: by name, so the same in every figure."""
        names = [*self.ranked, *(n for n in others if n not in self.ranked)]
        return looks(names, self.oracle, self.form.colours, self.form.highlight)

    def marks_note(self) -> list[str]:
        """Sentences that explain the marks in use."""
        notes = []
        if self.oracle:
            notes.append(ORACLE_NOTE)
        if self.published:
            notes.append(f"{DAGGER} boxes published by others, scored here.")
        return [*notes, *(f"{line}." for line in self.trained)]


def describe(scores: pd.DataFrame, published: Iterable[str] = (), form: Form = PLAIN) -> Setting:
    """The setting of a score table as `rolo_bench.scores.score.score` makes it.

    Raises:
        DataError: the table is empty or holds more than one suite, protocol or convention.
        UsageError: two trackers would be called the same.
    """
    if not len(scores):
        raise DataError("no scores to draw; make some with `rolo-bench run` or `rolo-bench import`")
    one = {}
    for column in ("suite", "protocol", "convention"):
        values = list(dict.fromkeys(scores[column]))
        if len(values) > 1:
            raise DataError(
                f"scores hold several values of {column}: {', '.join(values)}; choose one of them"
            )
        one[column] = str(values[0])
    names = ranked(scores)
    called(names, form.labels)
    imported = frozenset(published) & frozenset(names)
    return Setting(
        **one, coverage=coverage(scores), ranked=names, oracle=oracles(scores), published=imported,
        trained=tuple(scores.attrs.get("trained", ())), form=form,
    )  # fmt: skip


def significance(
    scores: pd.DataFrame, setting: Setting, column: str = "auc", metric: str = "AUC"
) -> str:  # fmt: skip
    """One sentence: which trackers do not differ significantly from the best one; empty when it stands alone.

    Oracle trackers take no part. Paired Wilcoxon test over sequences with Holm's correction, level 0.05.
    """
    fair = setting.fair
    if len(fair) < 2:
        return ""
    table = matrix(scores, column)[fair].dropna()
    if len(table) < 2:
        return f"One sequence only: no statement on differences in {metric} can be made."
    p = against_best(table)
    first = str(table.mean().idxmax())
    rest = [t for t in fair if t != first]
    same = [setting.name(t) for t in rest if p[t] >= 0.05]
    best, gap = setting.name(first), "\N{NO-BREAK SPACE}"
    test = f"paired Wilcoxon, Holm, {len(table)} sequences, p{gap}\N{GREATER-THAN OR EQUAL TO}{gap}0.05"
    if not same:
        return f"{best} differs significantly from every other tracker in {metric} ({test.replace(chr(8805), '<')})."
    if len(same) == len(rest) and len(rest) > 1:
        return f"No tracker differs significantly from the best, {best}, in {metric} ({test})."
    return f"Not significantly different from the best, {best}, in {metric} ({test}): {', '.join(same)}."
