"""Files written whole or not at all, and their SHA-256."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import tempfile
import time
from functools import lru_cache
from pathlib import Path

from rolo_bench.errors import UsageError

NAME = re.compile(r"\w[\w.+\-() ]*")
"""Names of trackers, suites and sequences, which are names of files as well; letters of any language."""


def check_name(kind: str, name: str) -> str:
    """A tracker, suite or sequence name that is safe as a file name.

    Raises:
        UsageError: it is empty, starts with a dot, holds a path separator, or looks like a file of times.
    """
    if not NAME.fullmatch(name) or name.endswith(("_time", " ", ".")) or len(name.encode()) > 200:
        raise UsageError(
            f"{kind} name {name[:60]!r}{'…' * (len(name) > 60)}: use letters, digits, '-', '_', '.', '+', at most 200 "
            "bytes of them, start with a letter or digit, and do not end with _time"
        )
    return name


def is_path(text: str) -> bool:
    """Whether a text that stands in a file can be the path of one: nothing in it that makes the system stumble."""
    parts = text.replace("\\", "/").split("/")
    return (
        0 < len(text) < 2000
        and "\0" not in text
        and all(len(p.encode(errors="replace")) < 256 for p in parts)
    )


def write_atomic(path: Path, data: str | bytes, durable: bool = True) -> None:
    """Write a file so that a reader sees the old or the new one, never a part; text as UTF-8.

    What is no file, such as ``/dev/stdout`` or a pipe, is written to and stays what it is.
    Without ``durable`` a machine that loses power may be left with neither, which is a cache's to bear.

    Raises:
        OSError: it cannot be written; it carries the path, or that of a file in the place of its folder.
    """
    content = data.encode() if isinstance(data, str) else data
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, "is a file, not a folder", error.filename) from None
    try:
        if _is_stream(path):
            path.write_bytes(content)
        else:
            _write_whole(path, content, durable)
    except OSError as error:
        error.filename = str(path)
        raise


def _is_stream(path: Path) -> bool:
    """Whether a path is something that is written to, and no file that another can take the place of."""
    link = os.readlink(path) if path.is_symlink() else ""
    places = (os.path.realpath(path.parent), link)  # /dev/stdout leads to where the system lists what is open
    return path.exists() and (not path.is_file() or any(p.startswith("/proc/") for p in places))


def _write_whole(path: Path, content: bytes, durable: bool) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def digest(path: Path) -> str:
    """SHA-256 of a file as hex; remembered while size and time stamp stay the same."""
    status = path.stat()
    fresh = time.time_ns() - status.st_mtime_ns < 2_000_000_000  # could change again under the same stamp
    find = _digest.__wrapped__ if fresh else _digest
    return find(str(path), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)
def _digest(path: str, size: int, modified: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
