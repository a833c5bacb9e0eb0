"""Intervals, tests and ranks: hand-computed cases and agreement with scipy on the same data."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rolo_bench.scores.statistics import (
    against_best,
    bootstrap_interval,
    holm,
    paired_p,
    pairwise,
    rank_test,
    sequence_ranks,
    sequences_won,
)


def scores(count: int, shift: float = 0.0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).beta(2, 2, count) + shift


def test_bootstrap_agrees_with_scipy() -> None:
    values = scores(30)
    ours = bootstrap_interval(values, seed=3, resamples=20_000)
    theirs = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(3)
    ).confidence_interval
    # The same draws, so the same interval: not merely one that is close.
    assert ours == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_bootstrap_covers_the_mean_and_narrows() -> None:
    low, high = bootstrap_interval(scores(30))
    assert low < scores(30).mean() < high
    wide = np.diff(bootstrap_interval(scores(30)))[0]
    assert np.diff(bootstrap_interval(scores(300)))[0] < wide / 2
    assert np.diff(bootstrap_interval(scores(30), level=0.5))[0] < wide
    assert bootstrap_interval(scores(30), seed=1) == bootstrap_interval(scores(30), seed=1)


def test_bootstrap_of_nothing_one_and_equal_values() -> None:
    assert np.isnan(bootstrap_interval([])).all() and np.isnan(bootstrap_interval([np.nan])).all()
    assert bootstrap_interval([0.4]) == (0.4, 0.4)
    assert bootstrap_interval([0.25] * 9) == (0.25, 0.25)


def test_wilcoxon_agrees_with_scipy() -> None:
    a, b = scores(30, seed=1), scores(30, seed=2)
    assert paired_p(a, b) == scipy.stats.wilcoxon(a, b).pvalue
    assert paired_p(a, b) == paired_p(b, a)


def test_wilcoxon_by_hand() -> None:
    # Five pairs, all in favour of one: of 2^5 sign patterns the two extreme ones are as unlikely: 2 / 32.
    assert paired_p([1, 2, 3, 4, 5], [0, 0, 0, 0, 0]) == pytest.approx(2 / 32)


def test_a_tie_gives_a_tie() -> None:
    same = scores(30)
    assert paired_p(same, same) == 1.0
    assert paired_p(same, same + 1e-12) == 1.0  # rounding is no difference
    table = pd.DataFrame({"a": same, "b": same, "c": same})
    pairs = pairwise(table)
    assert (pairs["p_holm"] == 1).all() and not pairs["significant"].any()
    assert (pairs["tied"] == 30).all() and (pairs["won"] == 0).all() and (pairs["lost"] == 0).all()
    assert set(against_best(table).values()) == {1.0}
    test = rank_test(table)
    assert (
        test.p == 1.0 and test.mean_ranks.tolist() == [2.0, 2.0, 2.0] and test.groups() == [("a", "b", "c")]
    )
    won = sequences_won(table)
    assert (won["won"] == 0).all() and (won["shared"] == 30).all() and (won["mean_rank"] == 2).all()


def test_holm_by_hand() -> None:
    # Sorted 0.01, 0.02, 0.03, 0.5 times 4, 3, 2, 1: 0.04, 0.06, 0.06, 0.5; each at least the one before it.
    assert holm([0.5, 0.01, 0.03, 0.02]) == pytest.approx([0.5, 0.04, 0.06, 0.06])
    # 0.02 * 3 = 0.06 stands, 0.025 * 2 = 0.05 is lifted to it, 0.9 stays below 1.
    assert holm([0.02, 0.025, 0.9]) == pytest.approx([0.06, 0.06, 0.9])
    assert holm([0.6, 0.7]) == pytest.approx([1.0, 1.0])
    assert holm([]).tolist() == []


def test_holm_leaves_missing_tests_out_of_the_family() -> None:
    corrected = holm([0.01, np.nan, 0.04])
    assert (
        corrected[0] == pytest.approx(0.02) and np.isnan(corrected[1]) and corrected[2] == pytest.approx(0.04)
    )


@settings(max_examples=80, deadline=None)
@given(arrays(float, st.integers(1, 12), elements=st.floats(0, 1)))
def test_holm_between_raw_and_bonferroni(p: np.ndarray) -> None:
    corrected = holm(p)
    assert (corrected >= p).all() and (corrected <= np.minimum(p * len(p), 1) + 1e-15).all()
    order = np.argsort(p, kind="stable")
    assert (np.diff(corrected[order]) >= 0).all()


def test_pairwise_counts_and_family() -> None:
    table = pd.DataFrame({"a": [0.9, 0.8, 0.7, 0.5], "b": [0.1, 0.8, 0.9, 0.4], "c": [0.0, 0.1, 0.2, 0.3]})
    pairs = pairwise(table).set_index(["tracker", "other"])
    ab = pairs.loc[("a", "b")]
    assert (ab["won"], ab["lost"], ab["tied"]) == (2, 1, 1)
    assert ab["difference"] == pytest.approx((0.8 + 0 - 0.2 + 0.1) / 4)
    # Four pairs all in favour of a: 2 / 16; three comparisons, so times 3.
    assert pairs.loc[("a", "c"), "p"] == pytest.approx(0.125)
    assert pairs.loc[("a", "c"), "p_holm"] == pytest.approx(0.375)
    assert pairwise(table[["a"]]).empty


def test_against_best_uses_sequences_that_both_have() -> None:
    table = pd.DataFrame({"a": [0.9, 0.8, np.nan], "b": [0.1, np.nan, 0.3]})
    assert against_best(table) == {"a": 1.0, "b": 1.0}  # one common pair says nothing: p is 1


def test_ranks_by_hand() -> None:
    ranks = sequence_ranks([[0.9, 0.5, 0.5, 0.1], [0.2, 0.4, 0.3, 0.1]])
    assert ranks.tolist() == [[1, 2.5, 2.5, 4], [3, 1, 2, 4]]


def test_sequences_won_by_hand() -> None:
    table = pd.DataFrame({"a": [0.9, 0.5, 0.3, 0.2], "b": [0.1, 0.5, 0.4, np.nan]})
    won = sequences_won(table).set_index("tracker")
    assert won.loc["a", ["won", "shared"]].tolist() == [1, 1] and won.loc[
        "b", ["won", "shared"]
    ].tolist() == [1, 1]
    assert won["mean_rank"].tolist() == [1.5, 1.5]


def test_friedman_agrees_with_scipy_and_nemenyi_with_the_book() -> None:
    table = pd.DataFrame({name: scores(30, shift, seed) for seed, (name, shift) in enumerate(
        {"a": 0.3, "b": 0.2, "c": 0.0, "d": 0.0}.items())})  # fmt: skip
    test = rank_test(table)
    assert test.p == pytest.approx(scipy.stats.friedmanchisquare(*table.to_numpy().T).pvalue)
    assert test.mean_ranks == pytest.approx(scipy.stats.rankdata(-table.to_numpy(), axis=1).mean(axis=0))
    # Demsar 2006, table 5: q for 4 classifiers at 0.05 is 2.569; CD = 2.569 sqrt(4 * 5 / (6 * 30)).
    assert test.critical_difference == pytest.approx(2.569 * np.sqrt(20 / 180), abs=5e-4)
    # and for 10 classifiers 3.164
    ten = pd.DataFrame({str(i): scores(30, 0, i) for i in range(10)})
    assert rank_test(ten).critical_difference == pytest.approx(3.164 * np.sqrt(110 / 180), abs=5e-4)


def test_groups_join_what_does_not_differ() -> None:
    rng = np.random.default_rng(0)
    base = rng.uniform(0.3, 0.5, 60)
    table = pd.DataFrame({
        "worst": base - 0.2, "best": base + 0.2, "good": base + rng.normal(0, 0.05, 60),
        "also": base + rng.normal(0, 0.05, 60),
    })  # fmt: skip
    groups = rank_test(table).groups()
    assert [set(g) for g in groups] == [{"good", "also"}]


def test_rank_test_needs_a_full_table() -> None:
    with pytest.raises(ValueError, match="two or more trackers"):
        rank_test(pd.DataFrame({"a": [0.1, 0.2]}))
    with pytest.raises(ValueError, match="on every sequence"):
        rank_test(pd.DataFrame({"a": [0.1, np.nan], "b": [0.1, 0.2]}))


def test_two_trackers() -> None:
    a, b = scores(30, 0.2, 1), scores(30, 0.0, 2)
    test = rank_test(pd.DataFrame({"a": a, "b": b}))
    assert test.p == scipy.stats.wilcoxon(a, b).pvalue
    assert test.critical_difference == pytest.approx(1.960 * np.sqrt(2 * 3 / (6 * 30)), abs=5e-4)
