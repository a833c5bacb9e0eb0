"""Several results of one tracker on one sequence: starts of a protocol, or repetitions of the same."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from rolo_bench.errors import DataError, RoloBenchError, counted
from rolo_bench.exchange.reading import Found, Reading, read_bytes
from rolo_bench.exchange.text import repetition
from rolo_bench.protocols import PROTOCOLS


def choose(readings: list[Reading], protocol: str | None) -> list[Reading]:
    """The starts of the wanted protocol.

    A ``.mat`` file of TRE serves as OPE by its first start, as the OTB authors do; ``protocol=None`` takes
    what the file is, and OPE from such a file. Several readings of OPE are repetitions.

    Raises:
        DataError: the file holds another protocol, or it is not clear which.
    """
    held = readings[0].protocol
    first = readings[0]
    if held == "ope" and protocol in (None, "sre") and _begin_apart(readings):
        if protocol == "sre" and len(readings) == PROTOCOLS["sre"].usual:
            return [replace(r, protocol="sre") for r in readings]
        raise DataError(
            f"{first.source}: {len(readings)} results from the same frame with different first boxes; "
            "--protocol ope takes them as repetitions, --protocol sre takes twelve as the shifts of SRE"
        )
    if held == "tre" and protocol is None and len({r.first for r in readings}) < len(readings):
        raise DataError(
            f"{first.source}: {len(readings)} results, some of which begin at the same frame; "
            "--protocol tre takes them as starts of TRE, --protocol ope the first alone"
        )
    if held == "tre" and (protocol == "ope" or (protocol is None and first.source.suffix == ".mat")):
        note = f"the first of {len(readings)} starts of TRE, taken as one-pass evaluation"
        return [replace(first, protocol="ope", notes=(*first.notes, note))]
    if protocol not in (None, held):
        raise DataError(
            f"{first.source}: holds {held.upper()}, not {protocol}; import it with --protocol {held}"
        )
    return readings


def _begin_apart(readings: list[Reading]) -> bool:
    """Whether first boxes are not all the same, to half a pixel."""
    firsts = np.array([r.boxes[0] for r in readings])
    return not np.allclose(firsts, firsts[0], rtol=0, atol=0.5, equal_nan=True)


def find_runs(found: list[Found], held: Callable[[Found], list[Reading]]) -> list[Found]:
    """Files with the repetition of its tracker that each is, in the order of the files.

    Repetitions are numbered files of a sequence, or several runs in a ``.mat`` file. A tracker of which they are the
    same on every sequence has none, and its first is taken; where they differ on some, the one run of a sequence on
    which they do not serves each.

    Args:
        held: what a file holds of the wanted protocol.
    """
    groups: dict[tuple[str, Path], dict[str, dict[int, tuple[Found, bytes]]]] = {}
    others = []
    for item in found:
        group = groups.setdefault((item.tracker, item.path.parent.parent), {}).setdefault(item.sequence, {})
        for number, mark in _marks(item, held):
            part = replace(item, number=number if item.path.suffix == ".mat" else 0)
            if group.setdefault(number, (part, mark))[0] is not part:
                others.append(item)  # two files of one name, of which the second is refused
    return [run for group in groups.values() for run in _numbered(group)] + others


def _marks(item: Found, held: Callable[[Found], list[Reading]]) -> list[tuple[int, bytes]]:
    """Number of each repetition that a file is or holds, and what is the same where results are."""
    number = repetition(item.path)
    try:
        if item.path.suffix == ".mat":
            readings = held(item)
            if len(readings) > 1 and readings[0].protocol == "ope":
                return [(r.number, r.boxes.tobytes()) for r in readings]
        elif len(number) == 3:
            return [(int(number), hashlib.sha256(read_bytes(item.path)).digest())]
    except RoloBenchError:  # is said when the file is imported
        pass
    return [(int(number or 0), b"")]


def _numbered(group: dict[str, dict[int, tuple[Found, bytes]]]) -> list[Found]:
    """The files of one tracker's sequences with their repetitions."""
    varied = [len({mark for _, mark in runs.values()}) > 1 for runs in group.values()]
    firsts = [runs[min(runs)][0] for runs in group.values()]
    most, name = max(map(len, group.values())), firsts[0].tracker or "the tracker"
    if not any(varied):
        if most > 1:
            note = f"{most} repetitions of {name} that are the same: one is taken"
            firsts[0] = replace(firsts[0], notes=(note,))
        return firsts
    numbers = sorted({n for runs, differ in zip(group.values(), varied) if differ for n in runs})
    note = (
        f"{len(numbers)} repetitions of {name}, filed as …_000 to …_{len(numbers) - 1:03d}; "
        "`score --view repeats` gives mean and spread"
    )
    if not all(varied):
        note += f"; those of {counted(varied.count(False), 'sequence')} do not differ, and one serves each"
    parts = []
    for place, number in enumerate(numbers):
        for first, runs, differ in zip(firsts, group.values(), varied):
            part = runs[number][0] if differ and number in runs else None if differ else first
            if part is not None:
                parts.append(replace(part, run=f"_{place:03d}"))
    return [replace(parts[0], notes=(note,)), *parts[1:]]
