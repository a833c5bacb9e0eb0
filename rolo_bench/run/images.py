"""Which images a result was made from: one SHA-256 over the contents of a sequence's frames.

Contents, not size and time: a copy on another machine is the same video, and a replaced image of the same size is
another one. Reading them all takes a moment, so the outcome is kept in the cache under size, both time stamps and
inode of every file; a file that was touched in any way is read again.
"""

from __future__ import annotations

import hashlib
import io
import stat
import time
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rolo_bench.datasets.place import NoFrames
from rolo_bench.errors import DataError, MissingError
from rolo_bench.files import write_atomic
from rolo_bench.folders import cache_folder
from rolo_bench.run.code import read_code
from rolo_bench.run.plugins import source_of
from rolo_bench.sequence import ArrayFrames, FrameSource, Image, ImageFiles, read_frame, unreadable

LARGEST = 100_000_000
"""Pixels of an image; more would take a gigabyte to decode."""
SETTLED = 2_000_000_000  # ns after which a file that changes once more has another time stamp


def images_digest(frames: FrameSource) -> str:
    """SHA-256 of what frames are made of: contents of files, pixels of arrays; of rendered ones, their recipe.

    Raises:
        MissingError, DataError: a file is not there, or is no regular file that can be read.
    """
    if isinstance(frames, ImageFiles | NoFrames):
        return _of_files(frames.paths)
    if isinstance(frames, ArrayFrames):
        found = hashlib.sha256()
        for image in frames.images:
            found.update(repr((image.shape, image.dtype.str)).encode())
            found.update(np.ascontiguousarray(image).data)
        return found.hexdigest()
    inner = getattr(frames, "source", None)
    if inner is not None and hasattr(inner, "image"):  # a part of a video
        where = f"{getattr(frames, 'start', 0)} {getattr(frames, 'stop', 0)} {images_digest(inner)}"
        return hashlib.sha256(where.encode()).hexdigest()
    source = source_of(type(frames))
    code = read_code(source).digest if source is not None else type(frames).__qualname__
    return hashlib.sha256(f"{code} {frames!r}".encode()).hexdigest()


@dataclass(frozen=True)
class MadeOnce:
    """Frames that take longer to make than to read: each is kept in a folder when it is first made.

    A frame that cannot be kept, or was damaged there, is made again.
    """

    source: FrameSource
    folder: Path

    def __len__(self) -> int:
        return len(self.source)

    def image(self, index: int) -> Image:
        """Frame ``index``, made or read."""
        path = self.folder / f"{index}.npy"
        with suppress(OSError, ValueError, EOFError):
            return np.load(path)
        image = self.source.image(index)
        content = io.BytesIO()
        np.save(content, image)
        with suppress(OSError):
            write_atomic(path, content.getvalue(), durable=False)
        return image


def made_once(frames: FrameSource, folder: str | None, name: str) -> FrameSource:
    """The frames of a video; those that are rendered are kept in a run's own folder, where it has one."""
    inner = frames
    while hasattr(inner, "source"):
        inner = inner.source
    if folder is None or isinstance(inner, ImageFiles | ArrayFrames):
        return frames
    return MadeOnce(frames, Path(folder) / "frames" / name)


def _check(path: Path, data: bytes) -> None:
    """Refuse what is no image, or too large an image to decode, by its first bytes."""
    from PIL import Image as Picture

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Picture.open(io.BytesIO(data)) as picture:
                width, height = picture.size
    except Picture.DecompressionBombError:
        width = height = LARGEST
    except Exception:  # whatever a damaged header makes of the reader
        raise DataError(
            f"{path}: not a readable image ({len(data)} bytes); fetch the sequence again"
        ) from None
    if width * height > LARGEST:
        raise DataError(
            f"{path}: an image of more than {LARGEST // 10**6} million pixels; cut or scale the video"
        )


def _of_files(paths: tuple[Path, ...]) -> str:
    signature, newest = hashlib.sha256(), 0
    for path in paths:
        try:
            status = path.stat()
        except OSError as error:
            raise unreadable(path, error, MissingError) from None
        if not stat.S_ISREG(status.st_mode):
            raise DataError(f"{path}: not a regular file; fetch the sequence again")
        newest = max(newest, status.st_mtime_ns, status.st_ctime_ns)
        line = (str(path), status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        signature.update(repr(line).encode())
    note = cache_folder("frames") / f"{signature.hexdigest()}.txt"
    try:
        kept = note.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        kept = ""
    if len(kept) == 64:
        return kept
    found = hashlib.sha256()
    for path in paths:
        data = read_frame(path)
        _check(path, data)
        found.update(f"{len(data)} ".encode())
        found.update(data)
    if abs(time.time_ns() - newest) > SETTLED:
        with suppress(OSError):  # a cache that cannot be written costs time alone
            write_atomic(note, found.hexdigest() + "\n")
    return found.hexdigest()
