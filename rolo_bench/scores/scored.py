"""The scores of a results folder with all that figures and reports need to know beside them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rolo_bench.errors import DataError, UsageError, find_name
from rolo_bench.protocols import PROTOCOLS

if TYPE_CHECKING:
    import pandas as pd

    from rolo_bench.run.store import Store


@dataclass(frozen=True)
class Scored:
    """Scores of a store, and what figures and reports need to know beside them."""

    scores: pd.DataFrame
    metas: dict[str, dict[str, Any]]
    published: frozenset[str]
    device: str


def chosen_suite(store: Store, suite: str | None) -> str:
    """The suite asked for, else the only one in the store.

    Raises:
        DataError: the store is empty.
        UsageError: several suites and none asked for, or one that was filed under the name of a folder.
    """
    from rolo_bench.datasets.suites import suite_names

    if suite:
        return suite
    found = [s for s in store.suites() if any((store.root / s / p).is_dir() for p in PROTOCOLS)]
    if not found:
        raise DataError(
            f"{store.root}: no results there; make some with `rolo-bench run --tracker ncc --suite demo`, or "
            "name the folder with --results DIR"
        )
    if len(found) > 1:
        raise UsageError(f"{store.root} holds results on {', '.join(found)}; choose one with --suite NAME")
    if found[0] not in suite_names():
        raise UsageError(
            f"results on {found[0]} are of a folder or table of yours; name it with --suite PATH"
        )
    return found[0]


def chosen_trackers(
    store: Store, suite: str, protocol: str, trackers: str | Iterable[str] = (), exclude: Iterable[str] = ()
) -> tuple[str, ...]:
    """The trackers asked for, or with ``exclude`` all that have results, less those; empty stands for all.

    Raises:
        UsageError: one to leave out is not there, or none is left.
    """
    from rolo_bench.datasets.suites import suite_label

    names, out = (trackers,) if isinstance(trackers, str) else tuple(trackers), tuple(exclude)
    if not out:
        return names
    names = names or store.trackers(suite_label(suite), protocol)
    out = tuple(find_name("tracker to leave out", name, names) for name in out)
    if not set(names) - set(out):
        raise UsageError("--exclude leaves no tracker")
    return tuple(n for n in names if n not in out)


def load_scores(
    results: str | os.PathLike[str] = "results", suite: str | None = None, trackers: str | Iterable[str] = (),
    data: str | os.PathLike[str] | None = None, partial: bool = False, protocol: str = "ope",
    convention: str | None = None, require: str = "all", exclude: Iterable[str] = (), only: Iterable[str] = (),
    attributes: Iterable[str] = (),
    cached: bool = True, all_speeds: bool = False,
) -> Scored:  # fmt: skip
    """Read and score what is in a results folder; the suite is the only one there unless it is named.

    ``only`` names sequences, ``attributes`` what a sequence must have one of; ``all_speeds`` is as of
    `rolo_bench.scores.score.score`.

    Raises:
        DataError, UsageError: as `chosen_suite`, `rolo_bench.datasets.suites.load_suite` and
            `rolo_bench.scores.score.score`.
    """
    from rolo_bench.datasets.suites import load_suite
    from rolo_bench.run.store import Store
    from rolo_bench.scores.provenance import device_words, imported, metas_of
    from rolo_bench.scores.score import score

    store = Store(Path(results))
    name = chosen_suite(store, suite)
    trackers = chosen_trackers(store, name, protocol, trackers, exclude)
    loaded = load_suite(name, data, partial, False, tuple(only), partial, tuple(attributes))
    scores = score(
        store, loaded, trackers, protocol, convention, partial, require, cached=cached, all_speeds=all_speeds
    )
    metas = metas_of(scores, store)
    return Scored(scores, metas, imported(metas), device_words(metas))
