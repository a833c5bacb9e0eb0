"""What ``run.json`` says, in words: devices, warnings, and where each result came from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rolo_bench.run.store import Store
from rolo_bench.scores.summary import coverage, oracles

if TYPE_CHECKING:
    import pandas as pd

BUSY = 0.5
"""Load per core at the start of a run above which its times are not to be trusted."""


def metas_of(scores: pd.DataFrame, store: Store) -> dict[str, dict[str, Any]]:
    """``run.json`` of each tracker of a score table."""
    first = scores.iloc[0]
    return {t: store.meta(first["suite"], first["protocol"], t) for t in dict.fromkeys(scores["tracker"])}


def imported(metas: dict[str, dict[str, Any]]) -> frozenset[str]:
    """Trackers whose results were taken in from elsewhere."""
    return frozenset(name for name, meta in metas.items() if meta.get("imported"))


def device_of(meta: dict[str, Any]) -> str:
    """What one run was timed on: ``AMD EPYC 7B13, 2 cores, cpu``; empty where unknown."""
    machine = meta.get("machine") or {}
    if meta.get("imported"):
        return ""
    cores = machine.get("cores")
    parts = [machine.get("processor"), f"{cores} cores" if cores else None]
    device = str(machine.get("device") or "")
    if device and device != "cpu":
        parts.append(f"device {device}")
    return ", ".join(str(p) for p in parts if p)


def device_words(metas: dict[str, dict[str, Any]]) -> str:
    """The devices of all measured runs: one, or each with its trackers."""
    groups: dict[str, list[str]] = {}
    for name, meta in metas.items():
        device = device_of(meta)
        if device:
            groups.setdefault(device, []).append(name)
    if len(groups) == 1:
        return next(iter(groups))
    return "; ".join(f"{device} ({', '.join(names)})" for device, names in groups.items())


def warnings_of(scores: pd.DataFrame, metas: dict[str, dict[str, Any]]) -> list[str]:
    """What a reader must know before trusting the numbers, one sentence each."""
    found = []
    expected = int(scores["expected"].iloc[0])
    if scores["sequence"].nunique() < expected:
        found.append(
            f"Partial suite: {coverage(scores)}. Compare these means only with others on the same ones."
        )
    oracle = [t for t in metas if t in oracles(scores)]
    if oracle:
        found.append(f"Oracle: {', '.join(oracle)} was shown the truth; not a fair test, not ranked.")
    for cores, loads in _busy(metas).items():
        low, high = min(loads.values()), max(loads.values())
        found.append(
            f"Timing of {', '.join(loads)}: the machine was busy (load {low:g}{f' to {high:g}' * (low < high)} on "
            f"{cores} cores) when the run began; the frames per second are too low."
        )
    for name, meta in metas.items():
        if isinstance(meta.get("jobs"), int) and meta["jobs"] > 1:
            found.append(
                f"Timing of {name}: {meta['jobs']} sequences ran at once; frames per second are too low."
            )
        failed = [s for s, e in (meta.get("sequences") or {}).items() if e.get("status") == "failed"]
        if failed:
            found.append(f"{name} failed on {', '.join(failed[:5])}{' …' if len(failed) > 5 else ''}.")
    devices = {device_of(m) for m in metas.values()} - {""}
    if len(devices) > 1:
        found.append("Speeds were measured on different machines: " + device_words(metas) + ".")
    if any(m.get("imported") for m in metas.values()):
        found.append("Imported results: their speeds were measured by others on their machines.")
    return found + [
        line for kind in ("stale", "uneven", "misfits", "trained") for line in scores.attrs.get(kind, [])
    ]


def _busy(metas: dict[str, dict[str, Any]]) -> dict[int, dict[str, float]]:
    """Measured runs that began under load, and the load: ``{cores: {tracker: load}}``."""
    groups: dict[int, dict[str, float]] = {}
    for name, meta in metas.items():
        machine = meta.get("machine") or {}
        load, cores = machine.get("load_at_start"), machine.get("cores") or 1
        if isinstance(load, int | float) and load > BUSY * cores and not meta.get("imported"):
            groups.setdefault(int(cores), {})[name] = float(load)
    return groups
