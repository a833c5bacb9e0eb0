"""What ``run.json`` says, in words: devices, warnings, and where each result came from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rolo_bench.run.store import Results
from rolo_bench.scores.notes import Note
from rolo_bench.scores.summary import coverage, oracles

if TYPE_CHECKING:
    import pandas as pd

BUSY = 0.5
"""Load per core at the start of a run above which its times are not to be trusted."""
LONG = 40
"""So many characters of a value of `origin` are shown in full."""
DEPENDS = ("code", "options", "weights", "seed", "threads", "versions", "loop")
"""What the boxes of a run depend on, beside the video: the parts of a making (`rolo_bench.run.stamp`)."""


def metas_of(scores: pd.DataFrame, store: Results) -> dict[str, dict[str, Any]]:
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


def origin(meta: dict[str, Any]) -> dict[str, Any]:
    """Where a tracker's results come from: texts, and tables of texts; what is not known is left out.

    What the boxes depend on (`DEPENDS`) is that of the stamp, where there is one; the rest is what happened to be so.
    """
    taken = meta.get("imported")
    source = taken if isinstance(taken, dict) else {}
    machine = meta.get("machine") or {}
    made = _making(meta)
    listed = {
        "from": f"imported ({source.get('format', 'unknown format')})"
        if taken
        else meta.get("origin") or "unknown",
        "options": meta.get("options"),
        "weights": (meta.get("fingerprint") or {}).get("weights") or meta.get("weights"),
        "seed": meta.get("seed"),
        **{part: made[part] for part in DEPENDS if part in made},
        "made": meta.get("made") or source.get("made"),
        "machine": device_of(meta),
        "load at start": machine.get("load_at_start"),
        "jobs": meta.get("jobs"),
        "detections from a cache": "yes" if meta.get("cached") else None,
        "installed": meta.get("versions"),
        "revision": meta.get("git"),
    }
    return {
        key: {str(k): str(v) for k, v in value.items()} if isinstance(value, dict) else str(value)
        for key, value in listed.items()
        if value not in (None, "")
    }


def in_words(value: str | Mapping[str, str]) -> str:
    """A value of `origin` in a line; long ones, which are digests, are cut."""
    if isinstance(value, str):
        return value if len(value) <= LONG else value[:12]
    return ", ".join(f"{k}: {in_words(v)}" for k, v in value.items()) or "none"


def _making(meta: Mapping[str, Any]) -> dict[str, Any]:
    """How the results were made, where all were made in one way."""
    makings = meta.get("makings") or {}
    used = {str(e.get("making")) for e in (meta.get("sequences") or {}).values()} & makings.keys()
    return dict(makings[used.pop()]) if len(used) == 1 else {}


def warnings_of(scores: pd.DataFrame, metas: dict[str, dict[str, Any]]) -> list[Note]:
    """What a reader must know before trusting the numbers, a note for each kind."""
    found = []
    expected = int(scores["expected"].iloc[0])
    if scores["sequence"].nunique() < expected:
        found.append(
            Note(f"Partial suite: {coverage(scores)}. Compare these means only with others on the same ones.")
        )
    oracle = tuple(t for t in metas if t in oracles(scores))
    if oracle:
        found.append(Note(" saw the truth: no fair test, not ranked.", oracle, "Oracle: "))
    measured = set(scores.loc[scores["fps"].notna(), "tracker"])  # of the others no speed is shown
    for cores, loads in _busy({n: m for n, m in metas.items() if n in measured}).items():
        low, high = min(loads.values()), max(loads.values())
        words = (
            f": the machine was busy (load {low:g}{f' to {high:g}' * (low < high)} on {cores} cores) when the run "
            "began; the frames per second may be too low."
        )
        found.append(Note(words, tuple(loads), "Timing of "))
    failed = tuple(
        f"{name} on {sequence}"
        for name, meta in metas.items()
        for sequence, entry in (meta.get("sequences") or {}).items()
        if entry.get("status") == "failed"
    )
    if failed:
        found.append(Note(".", failed, "Failed: ", "runs of a sequence"))
    devices = {device_of(m) for m in metas.values()} - {""}
    if len(devices) > 1:
        found.append(Note("Speeds were measured on different machines: " + device_words(metas) + "."))
    if measured & imported(metas):
        found.append(Note("Imported results: their speeds were measured by others on their machines."))
    return found + _noted(scores)


def _noted(scores: pd.DataFrame) -> list[Note]:
    """What scoring has noted, one note for each kind."""
    attrs = scores.attrs
    kinds = {
        "misfits": "results do not begin with the truth",
        "trained": "trackers were trained on some of these sequences: no test of them",
    }
    found = [*attrs.get("stale", []), *map(Note, attrs.get("uneven", []))]
    for kind, many in kinds.items():
        lines = attrs.get(kind, [])
        if lines:
            found.append(Note(lines[0]) if len(lines) == 1 else Note("", tuple(lines), noun=many))
    return found


def _busy(metas: dict[str, dict[str, Any]]) -> dict[int, dict[str, float]]:
    """Measured runs that began under load, and the load: ``{cores: {tracker: load}}``."""
    groups: dict[int, dict[str, float]] = {}
    for name, meta in metas.items():
        machine = meta.get("machine") or {}
        load, cores = machine.get("load_at_start"), machine.get("cores") or 1
        if isinstance(load, int | float) and load > BUSY * cores and not meta.get("imported"):
            groups.setdefault(int(cores), {})[name] = float(load)
    return groups
