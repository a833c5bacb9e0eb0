"""How sure a ranking is: bootstrap intervals, paired tests, mean ranks, sequences won.

Everything works on scores per sequence: an array ``(S,)`` of one tracker, or a table ``(S, K)`` with a row per
sequence and a column per tracker. The sequence is the unit of sampling: frames of one video are not
independent, videos are taken to be.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from rolo_bench.boxes import Array

if TYPE_CHECKING:
    import pandas as pd

TIE = 1e-9
"""Scores closer than this are equal: rounding of a mean must not decide who won a sequence."""


def bootstrap_interval(
    values: ArrayLike,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    weights: ArrayLike | None = None,
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean over sequences, weighted where they have weights: (low, high).

    One sequence, or equal scores everywhere, give an interval of no width; no sequence gives NaN.

    Source: Efron 1979; the same draws and percentiles as ``scipy.stats.bootstrap(method="percentile")``.
    """
    x = np.asarray(values, dtype=np.float64)
    known = np.isfinite(x)
    if not known.any():
        return float("nan"), float("nan")
    x = x[known]
    draws = np.random.default_rng(seed).integers(0, len(x), (resamples, len(x)))
    tail = (1 - level) / 2
    if weights is None:
        means = x[draws].mean(axis=1)
    else:
        w = np.asarray(weights, dtype=np.float64)[known]
        means = (x * w)[draws].sum(axis=1) / w[draws].sum(axis=1)
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def paired_p(a: ArrayLike, b: ArrayLike) -> float:
    """Two-sided p of the Wilcoxon signed-rank test on paired scores; 1 where all pairs are equal.

    Pairs that are equal are left out (Wilcoxon's own rule), NaN pairs too.

    Source: Wilcoxon 1945; ``scipy.stats.wilcoxon``.
    """
    d = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    d = d[np.isfinite(d)]
    d = np.where(np.abs(d) <= TIE, 0.0, d)
    if not d.any():
        return 1.0
    return _wilcoxon(d[d != 0].tobytes())


@lru_cache(maxsize=1 << 14)
def _wilcoxon(differences: bytes) -> float:
    """The p of differences; kept, as each figure and table of a page asks it of the same trackers."""
    from scipy.stats import wilcoxon

    return float(wilcoxon(np.frombuffer(differences)).pvalue)


def holm(p: ArrayLike) -> Array:
    """Holm's step-down correction of a family of p values ``(M,)``; NaN stays out of the family.

    Source: Holm 1979: the i-th smallest of m is multiplied by m - i + 1, and none is below one before it.
    """
    raw = np.asarray(p, dtype=np.float64)
    out = raw.copy()
    index = np.flatnonzero(np.isfinite(raw))
    order = index[np.argsort(raw[index], kind="stable")]
    out[order] = np.minimum(np.maximum.accumulate(raw[order] * np.arange(len(order), 0, -1)), 1.0)
    return out


def pairwise(table: pd.DataFrame) -> pd.DataFrame:
    """Every pair of trackers: difference of means, p, Holm-corrected p, sequences won, lost and tied.

    Columns ``tracker, other, difference, p, p_holm, won, lost, tied, significant`` (p_holm below 0.05); only
    sequences that both have are used.
    """
    import pandas as pd

    names = list(table.columns)
    rows = []
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            d = (table[a] - table[b]).to_numpy(float)
            d = d[np.isfinite(d)]
            rows.append(
                {
                    "tracker": a, "other": b, "difference": d.mean() if len(d) else np.nan,
                    "p": paired_p(d, np.zeros_like(d)), "won": int((d > TIE).sum()),
                    "lost": int((d < -TIE).sum()), "tied": int((np.abs(d) <= TIE).sum()),
                }
            )  # fmt: skip
    columns = ["tracker", "other", "difference", "p", "won", "lost", "tied"]
    result = pd.DataFrame(rows, columns=columns)
    result.insert(4, "p_holm", holm(result["p"].to_numpy(float)))
    result["significant"] = result["p_holm"] < 0.05
    return result


def against_best(table: pd.DataFrame) -> dict[str, float]:
    """Holm-corrected p of each tracker against the one with the highest mean; the best itself has 1."""
    best = table.mean().idxmax()
    others = [c for c in table.columns if c != best]
    corrected = holm([paired_p(table[best], table[c]) for c in others])
    return {str(best): 1.0} | {str(c): float(p) for c, p in zip(others, corrected)}


def sequence_ranks(table: ArrayLike) -> Array:
    """Rank of each tracker on each sequence ``(S, K)``: 1 is best, equal scores share the mean of their ranks."""
    from scipy.stats import rankdata

    scores = np.asarray(table, dtype=np.float64)
    return rankdata(-np.round(scores / TIE) * TIE, axis=1)


def sequences_won(table: pd.DataFrame) -> pd.DataFrame:
    """Per tracker: sequences on which it is alone best (``won``) or best with others (``shared``), and mean rank.

    Only sequences on which every tracker has a score count. No trackers give no rows.
    """
    import pandas as pd

    if table.shape[1] == 0:
        return pd.DataFrame(columns=["tracker", "won", "shared", "mean_rank"])
    scores = table.dropna().to_numpy(float)
    top = scores >= scores.max(axis=1, keepdims=True) - TIE
    alone = top & (top.sum(axis=1, keepdims=True) == 1)
    ranks = sequence_ranks(scores).mean(axis=0)
    won, shared = alone.sum(axis=0), (top & ~alone).sum(axis=0)
    return pd.DataFrame({"tracker": list(table.columns), "won": won, "shared": shared, "mean_rank": ranks})


@dataclass(frozen=True)
class RankTest:
    """Friedman's test with Nemenyi's critical difference.

    Attributes:
        mean_ranks: ``(K,)`` in the order of the columns; 1 is best.
        p: Friedman's p: small when the trackers are not all alike; 1 where all scores are equal.
        critical_difference: two trackers whose mean ranks differ by more than this differ significantly.
    """

    names: tuple[str, ...]
    mean_ranks: Array
    p: float
    critical_difference: float

    def groups(self) -> list[tuple[str, ...]]:
        """Largest runs of trackers, in rank order, that do not differ significantly; each of two or more."""
        order = np.argsort(self.mean_ranks, kind="stable")
        ranks = self.mean_ranks[order]
        runs: list[tuple[int, int]] = []
        for i in range(len(ranks)):
            j = int(np.searchsorted(ranks, ranks[i] + self.critical_difference, side="right"))
            if j - i > 1 and (not runs or j > runs[-1][1]):
                runs.append((i, j))
        return [tuple(self.names[k] for k in order[i:j]) for i, j in runs]


def rank_test(table: pd.DataFrame, level: float = 0.05) -> RankTest:
    """Friedman's test on a table (S sequences, K trackers) without gaps, and Nemenyi's critical difference.

    Source: Demšar 2006, section 3.2.2: CD = q sqrt(K (K + 1) / (6 S)), q the studentized range over sqrt 2.

    Raises:
        ValueError: fewer than two trackers, or a NaN in the table.
    """
    from scipy.stats import friedmanchisquare, studentized_range

    scores = table.to_numpy(float)
    count, trackers = scores.shape
    if trackers < 2 or not np.isfinite(scores).all():
        raise ValueError("a rank test needs two or more trackers with a score on every sequence")
    ranks = sequence_ranks(scores)
    q = studentized_range.ppf(1 - level, trackers, np.inf) / np.sqrt(2)
    if (ranks == ranks[:, :1]).all():
        p = 1.0
    elif trackers == 2:  # Friedman's chi-square needs three; with two it is the sign test's normal form
        p = paired_p(scores[:, 0], scores[:, 1])
    else:
        p = float(friedmanchisquare(*(-ranks).T).pvalue)
    critical = float(q * np.sqrt(trackers * (trackers + 1) / (6 * count)))
    return RankTest(tuple(str(c) for c in table.columns), ranks.mean(axis=0), p, critical)
