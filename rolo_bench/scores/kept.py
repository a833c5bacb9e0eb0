"""Scores of results that were scored before, found again by content, so that none can be stale.

A key is the SHA-256 over all that the scores of one result depend on: the very bytes of its files, the sequence that
it is held against, the convention, the code that scores. A file of the cache holds the scores of one tracker's results
under their keys; one that is damaged, or that another process replaces meanwhile, costs time alone.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from rolo_bench.files import write_atomic
from rolo_bench.folders import cache_folder
from rolo_bench.run.store import Files
from rolo_bench.sequence import Sequence

CODE = (
    "boxes.py", "boxfiles.py", "protocols.py", "run/store.py", "scores/conventions.py", "scores/kept.py",
    "scores/score.py",
)  # fmt: skip
"""What turns bytes into scores, beside ``datasets/alignment.py``; its SHA-256 is a part of every key."""
MOST = 1000
"""Files that are kept; the oldest go."""
NUMBERS = (
    "auc", "precision20", "norm_auc", "success50", "success75", "mean_iou", "lt_precision", "lt_recall",
    "failures", "dropped", "fps", "frames", "seconds", "counted",
)  # fmt: skip
"""In the order in which a result's scores are made, as that of columns."""
WHOLE = ("failures", "dropped", "frames", "counted")
LENGTHS = {"success_curve": 21, "precision_curve": 51, "norm_precision_curve": 51}
WIDTH = len(NUMBERS) + sum(LENGTHS.values())
HEAD = struct.Struct(
    "<8s32sI"
)  # magic, SHA-256 of the rest, length of the JSON that comes before the numbers
MAGIC = b"RBSCORE1"
Scored = tuple[dict[str, Any], str]
"""The scores of one result, and what is wrong with its first box in words; empty where nothing is."""


@lru_cache(maxsize=1)
def code_digest() -> str:
    """SHA-256 over the code that scores, and NumPy's version."""
    from rolo_bench.datasets import alignment

    here = Path(__file__).resolve().parents[1]
    found = hashlib.sha256(np.__version__.encode())
    for path in (*(here / name for name in CODE), Path(alignment.__file__)):
        found.update(path.read_bytes())
    return found.hexdigest()


def sequence_digest(sequence: Sequence) -> str:
    """SHA-256 over what scores depend on of a sequence."""
    found = hashlib.sha256(repr((sequence.name, len(sequence), sequence.extent)).encode())
    found.update(sequence.truth.tobytes())
    for mask in (sequence.absent, sequence.annotated):
        found.update(b"none" if mask is None else np.asarray(mask, dtype=bool).tobytes())
    return found.hexdigest()


def key_of(files: Files, *rest: str) -> str:
    """The key of a result's scores; ``rest`` are digests and names of all else that they depend on."""
    contents = sorted(files.digests.items())
    whole = (code_digest(), files.protocol, files.segment, files.entry.get("start", 0), contents, rest)
    return hashlib.sha256(repr(whole).encode()).hexdigest()


@dataclass
class Kept:
    """Scores of one tracker's results by key, read from a file of the cache and written back by `save`.

    Args:
        names: what tells the tracker's results from those of others: folder, suite, protocol, name, convention.
    """

    names: Iterable[str]
    rows: dict[str, Scored] = field(default_factory=dict)
    used: dict[str, Scored] = field(default_factory=dict)

    def __post_init__(self) -> None:
        name = hashlib.sha256("\0".join(self.names).encode()).hexdigest()[:32]
        self.path = cache_folder("scores") / f"{name}.scores"
        with suppress(OSError, ValueError, KeyError, TypeError, OverflowError, struct.error, RecursionError):
            self.rows = _unpacked(self.path.read_bytes())

    def get(self, key: str) -> Scored | None:
        """What is kept under a key."""
        found = self.rows.get(key)
        if found is not None:
            self.used[key] = found
            return dict(found[0]), found[1]
        return None

    def put(self, key: str, scored: Scored) -> None:
        """Keep scores."""
        self.used[key] = (dict(scored[0]), scored[1])

    def save(self) -> None:
        """Write what was asked for and put since, if any of that is new or gone."""
        if self.used.keys() == self.rows.keys():
            return
        with suppress(OSError):  # a cache that cannot be written costs time alone
            new = not self.path.exists()
            write_atomic(self.path, _packed(self.used), durable=False)
            if new:
                files = sorted(self.path.parent.glob("*.scores"), key=lambda p: p.stat().st_mtime)
                for path in files[:-MOST]:
                    path.unlink(missing_ok=True)


def _packed(rows: dict[str, Scored]) -> bytes:
    table = np.array(
        [
            np.concatenate([[scores[n] for n in NUMBERS], *(scores[n] for n in LENGTHS)])
            for scores, _ in rows.values()
        ],
        dtype="<f8",
    )
    notes = json.dumps([[key, words] for key, (_, words) in rows.items()]).encode()
    rest = notes + table.tobytes()
    return HEAD.pack(MAGIC, hashlib.sha256(rest).digest(), len(notes)) + rest


def _unpacked(data: bytes) -> dict[str, Scored]:
    """The rows of a file's content; none where it is damaged, or none of ours."""
    magic, digest, length = HEAD.unpack_from(data)
    rest = memoryview(data)[HEAD.size :]
    if magic != MAGIC or hashlib.sha256(rest).digest() != digest:
        return {}
    notes = json.loads(bytes(rest[:length]))
    table = np.frombuffer(rest[length:], "<f8").reshape(len(notes), WIDTH)
    curves = np.split(table, np.cumsum([len(NUMBERS), *LENGTHS.values()])[:-1], axis=1)[1:]
    rows = {}
    for i, ((key, words), values) in enumerate(zip(notes, table[:, : len(NUMBERS)].tolist())):
        scores: dict[str, Any] = dict(zip(NUMBERS, values))
        scores |= {name: int(scores[name]) for name in WHOLE}
        scores |= {name: curve[i] for name, curve in zip(LENGTHS, curves)}
        rows[str(key)] = scores, str(words)
    return rows
