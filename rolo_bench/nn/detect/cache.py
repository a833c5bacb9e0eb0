"""Detections stored once and reused by every tracker, training and study.

A record is found by the detector's identity (weights, size, thresholds, precision, code) and the digest of
the image's pixels, so a stale one cannot be met. Each process that finds something new appends to a segment
file of its own; all segments are memory-mapped for reading. A record counts only if its checksum holds, so a
torn or damaged one is simply made again. Any number of processes may share a folder.

    folder/<identity digest>/identity.txt      what the digest stands for
    folder/<identity digest>/<name>.segment    records: header, boxes, scores, classes, feature, appearance
    folder/<identity digest>/<name>.seconds    of detections that a run shares: key and seconds that each took
"""

from __future__ import annotations

import hashlib
import logging
import mmap
import os
import struct
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from rolo_bench.boxes import Array
from rolo_bench.detection import Describer, Detections, Detector
from rolo_bench.errors import DataError, UsageError
from rolo_bench.files import write_atomic
from rolo_bench.sequence import Image

log = logging.getLogger(__name__)
STORED = 0.01  # least score of what is stored of a built-in detector
SHARED = 0.05  # of what trackers of one run share: who asks for less, which takes longer, has a store apart
MAGIC = b"RBDET\x02\x00\x00"
# magic, key of the image, checksum of header and payload, number of detections, lengths of feature and appearance
HEADER = struct.Struct("<8s16s16sIII")
Counts = tuple[int, int, int]  # the last three
TOOK = struct.Struct("<16sd")  # key of the image, seconds


def image_digest(image: Image) -> bytes:
    """16 bytes that stand for an image's shape and pixels."""
    h = hashlib.blake2b(repr((image.shape, image.dtype.str)).encode(), digest_size=16)
    h.update(np.ascontiguousarray(image).data)
    return h.digest()


def payload_size(counts: Counts) -> int:
    """Bytes after the header: boxes float64, scores float32, classes int32, feature float32, appearance float16."""
    detections, feature, appearance = counts
    return detections * (32 + 4 + 4 + 2 * appearance) + feature * 4


def checksum(key: bytes, counts: Counts, payload: bytes | memoryview) -> bytes:
    """16 bytes over everything in a record that could be damaged."""
    h = hashlib.blake2b(key + struct.pack("<III", *counts), digest_size=16)
    h.update(payload)
    return h.digest()


def encode(key: bytes, found: Detections) -> bytes:
    """One record."""
    looks = np.zeros((len(found), 0)) if found.appearance is None else found.appearance
    parts = (
        (found.boxes, "<f8"), (found.scores, "<f4"), (found.classes, "<i4"), (found.feature, "<f4"), (looks, "<f2")
    )  # fmt: skip
    payload = b"".join(np.ascontiguousarray(values, kind).tobytes() for values, kind in parts)
    counts = len(found.boxes), len(found.feature), looks.shape[1]
    return HEADER.pack(MAGIC, key, checksum(key, counts, payload), *counts) + payload


@dataclass
class Segment:
    """One memory-mapped file of records; ``end`` is how far its records have been listed."""

    path: Path
    view: mmap.mmap | None = None
    end: int = 0

    def news(self) -> Iterator[tuple[bytes, int]]:
        """Key and offset of the records that were added since the last call; stops at a torn or foreign one."""
        size = self.path.stat().st_size
        if size - self.end < HEADER.size:
            return
        if self.view is None or len(self.view) < size:
            with open(self.path, "rb") as file:
                self.view = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        while self.end + HEADER.size <= len(self.view):
            magic, key, _, *counts = HEADER.unpack_from(self.view, self.end)
            stop = self.end + HEADER.size + payload_size(tuple(counts))
            if magic != MAGIC or stop > len(self.view):
                return
            yield key, self.end
            self.end = stop

    def read(self, offset: int, names: tuple[str, ...]) -> Detections | None:
        """The record at ``offset``, of a detector with these classes; None if it is damaged."""
        assert self.view is not None
        _, key, stored, n, f, a = HEADER.unpack_from(self.view, offset)
        start = offset + HEADER.size
        stop = start + payload_size((n, f, a))
        if stop > len(self.view) or checksum(key, (n, f, a), memoryview(self.view)[start:stop]) != stored:
            return None
        boxes = np.frombuffer(self.view, "<f8", n * 4, start).reshape(n, 4)
        scores = np.frombuffer(self.view, "<f4", n, start + n * 32)
        classes = np.frombuffer(self.view, "<i4", n, start + n * 36).astype(np.int64)
        feature = np.frombuffer(self.view, "<f4", f, start + n * 40)
        looks = np.frombuffer(self.view, "<f2", n * a, start + n * 40 + f * 4).reshape(n, a) if a else None
        return Detections(boxes, scores, classes, names, feature, appearance=looks)


class Cached:
    """A detector whose results are stored in ``folder``; the same contract as the detector itself.

    The arrays it hands out are read-only views of the stored file. Feature maps are not stored.

    Args:
        detector: what is asked on a miss.
        folder: where results lie; created where it is missing.
        threshold: hand out only detections with at least this score. Suppression goes from the best score
            down, so what is left is what the detector itself would give at that threshold, and one store
            filled at a low threshold serves all higher ones.

    Attributes:
        hits, misses: images answered from the store and by the detector so far.

    Raises:
        UsageError: the detector hands out feature maps.
        DataError: the folder cannot be written.
    """

    def __init__(self, detector: Detector, folder: str | Path, threshold: float = 0.0) -> None:
        if getattr(detector, "keep_maps", ()):
            raise UsageError(
                f"{detector.name}: feature maps are not cached; make the detector without keep_maps"
            )
        self.detector, self.threshold = detector, threshold
        self.name, self.classes, self.identity = detector.name, detector.classes, detector.identity
        if threshold:
            self.identity += f":from={threshold:g}"
        self.feature_size, self.size = detector.feature_size, detector.size
        self.appearance = getattr(detector, "appearance", False)
        self.vote = getattr(detector, "vote", 1.0)
        self.hits = self.misses = 0
        self.folder = Path(folder) / hashlib.blake2b(detector.identity.encode(), digest_size=16).hexdigest()
        self._segments: dict[str, Segment] = {}
        self._index: dict[bytes, tuple[Segment, int]] = {}
        self._bad: set[tuple[str, int]] = set()
        self._own: BinaryIO | None = None
        try:
            note = self.folder / "identity.txt"
            if not note.exists():
                write_atomic(note, detector.identity + "\n")
        except OSError as error:
            raise DataError(f"{self.folder}: cannot keep detections there ({error.strerror})") from None

    def __call__(self, images: Sequence[Image]) -> list[Detections]:
        """Detections of each image, from the store where it has them."""
        return self._found(images, [image_digest(image) for image in images])

    def _found(self, images: Sequence[Image], keys: list[bytes]) -> list[Detections]:
        found = [self._lookup(key) for key in keys]
        if any(f is None for f in found):
            self._refresh()
            found = [f if f is not None else self._lookup(key) for f, key in zip(found, keys)]
        todo = [i for i, f in enumerate(found) if f is None]
        self.hits += len(images) - len(todo)
        self.misses += len(todo)
        if todo:
            for i, new in zip(todo, self._detect([images[i] for i in todo], [keys[i] for i in todo])):
                found[i] = new
                self._append(encode(keys[i], new))
        return [above(f, self.threshold) for f in found if f is not None]

    def _detect(self, images: list[Image], keys: list[bytes]) -> list[Detections]:
        return self.detector(images)

    def describe(self, image: Image, boxes: Array) -> NDArray[np.float16]:
        """As of the detector; not stored."""
        assert isinstance(self.detector, Describer)
        return self.detector.describe(image, boxes)

    def recall(self, key: bytes) -> Detections:
        """What is stored of the image with that `image_digest`.

        Raises:
            DataError: nothing, or a damaged record.
        """
        if key not in self._index:
            self._refresh()
        found = self._lookup(key)
        if found is None:
            raise DataError(f"{self.folder}: detections that were stored are gone; run again")
        return above(found, self.threshold)

    def _lookup(self, key: bytes) -> Detections | None:
        if key not in self._index:
            return None
        segment, offset = self._index[key]
        found = segment.read(offset, self.classes)
        if found is None:
            log.warning("%s: damaged record at byte %d; it is made again", segment.path, offset)
            self._bad.add((segment.path.name, offset))
            del self._index[key]
        return found

    def _refresh(self) -> None:
        """List records that this or other processes have added."""
        for path in sorted(self.folder.glob("*.segment")):
            segment = self._segments.setdefault(path.name, Segment(path))
            for key, offset in segment.news():
                if (path.name, offset) not in self._bad:
                    self._index[key] = (segment, offset)

    def _append(self, record: bytes) -> None:
        try:
            if self._own is None:
                path = self.folder / f"{os.getpid()}-{uuid.uuid4().hex[:12]}.segment"
                self._own = open(path, "ab", buffering=0)  # noqa: SIM115 - open as long as the process adds to it
            self._own.write(record)
        except OSError as error:
            raise DataError(
                f"{self.folder}: cannot store detections ({error.strerror}); free space or give "
                "another cache folder"
            ) from None

    def close(self) -> None:
        """Close the segment that this process adds to."""
        if self._own is not None:
            self._own.close()
            self._own = None

    def __del__(self) -> None:
        if getattr(self, "_own", None) is not None:
            self.close()


class Shared(Cached):
    """Detections that the trackers of one run share, with the seconds that each took when it was made.

    Whoever asks is charged what the detector took for the image, be it now or for an earlier tracker of the run, and
    not for the store: `take_lent` gives what has to be added to the time on the clock, so that speeds are those of
    detecting. It stands in a stamp as the detector itself.

    Args:
        detector: a built-in one, with a threshold that serves all trackers.
        folder: the run's own.
        threshold: as of `Cached`.
    """

    def __init__(self, detector: Any, folder: str | Path, threshold: float) -> None:
        super().__init__(detector, folder, threshold)
        self.identity = detector.identity_at(threshold)
        self.seconds: dict[bytes, float] = {}
        self.lent = 0.0

    def __call__(self, images: Sequence[Image]) -> list[Detections]:
        """As of `Cached`."""
        begin = time.perf_counter()
        keys = [image_digest(image) for image in images]
        found = self._found(images, keys)
        if any(key not in self.seconds for key in keys):
            self._read_seconds()
        owed = sum(self.seconds.get(key, 0.0) for key in keys)
        self.lent += owed - (time.perf_counter() - begin)
        return found

    def take_lent(self) -> float:
        """Seconds to add to those on the clock since the last call; less than 0 where the store took longer."""
        lent, self.lent = self.lent, 0.0
        return lent

    def _detect(self, images: list[Image], keys: list[bytes]) -> list[Detections]:
        begin = time.perf_counter()
        found = super()._detect(images, keys)
        spent = (time.perf_counter() - begin) / len(images)
        self.seconds |= dict.fromkeys(keys, spent)
        with open(self.folder / f"{os.getpid()}.seconds", "ab", buffering=0) as file:
            file.write(b"".join(TOOK.pack(key, spent) for key in keys))
        return found

    def _read_seconds(self) -> None:
        for path in self.folder.glob("*.seconds"):
            data = path.read_bytes()
            whole = data[: len(data) // TOOK.size * TOOK.size]
            self.seconds = dict(TOOK.iter_unpack(whole)) | self.seconds


@dataclass(frozen=True)
class Stored(Sequence[Detections]):
    """Detections of a video's frames that are read when they are looked at, less the feature of the whole image."""

    store: Cached
    keys: tuple[bytes, ...]

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: Any) -> Any:
        found = self.store.recall(self.keys[index])
        return replace(found, feature=found.feature[:0])


def above(found: Detections, threshold: float) -> Detections:
    """The detections with at least a score; they come first, as scores fall."""
    n = int((found.scores >= threshold).sum())
    if n == len(found.scores):
        return found
    looks = None if found.appearance is None else found.appearance[:n]
    return replace(
        found, boxes=found.boxes[:n], scores=found.scores[:n], classes=found.classes[:n], appearance=looks
    )
