"""Unpacking archives that come from elsewhere, so that none of them can do harm.

Looking and acting are apart: `plan` reads the archive's list and refuses what is unsafe; `unpack` writes into a
fresh folder and counts what really comes out. Nothing is ever written outside that folder.
"""

from __future__ import annotations

import errno
import lzma
import os
import shutil
import stat
import struct
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from rolo_bench.errors import DataError

IGNORED = {"__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini"}


@dataclass(frozen=True)
class Limits:
    """What an archive may hold before it is taken for a bomb.

    Attributes:
        size: bytes in all, unpacked.
        files: number of files.
        ratio: times that a file larger than 1 MiB may grow (JPEG grows hardly at all, text and matrices by
            less than 100).
    """

    size: int = 8 << 30
    files: int = 200_000
    ratio: float = 200.0


DEFAULT = Limits()


@dataclass(frozen=True)
class Member:
    """One file of an archive: its entry, and its checked path inside the target folder."""

    info: zipfile.ZipInfo
    path: PurePosixPath


@contextmanager
def opened(archive: Path) -> Iterator[zipfile.ZipFile]:
    """A zip archive, open for reading.

    Raises:
        DataError: no such file, or not a zip archive; also for damage met while it is open.
    """
    try:
        with zipfile.ZipFile(archive) as file:
            yield file
    except FileNotFoundError:
        raise DataError(f"{archive}: no such file") from None
    except (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, lzma.LZMAError, EOFError) as error:
        raise DataError(f"{archive}: not a whole zip archive ({error})") from None
    except (
        ValueError,
        RuntimeError,
        MemoryError,
        struct.error,
    ) as error:  # of kinds of packing that are not known, too
        raise DataError(f"{archive}: a damaged zip archive ({error})") from None
    except OSError as error:
        if error.errno not in (
            errno.EINVAL,
            None,
        ):  # a place before the file's begin; bzip2's own; else the disk's
            raise
        raise DataError(f"{archive}: a damaged zip archive ({error})") from None


def plan(archive: Path, limits: Limits = DEFAULT) -> list[Member]:
    """The files that unpacking would write, in the archive's order.

    Raises:
        DataError: not a zip file, or an entry that leads outside, is a link, encrypted, a duplicate, or beyond
            the limits.
    """
    with opened(archive) as file:
        infos = file.infolist()
    if len(infos) > limits.files:
        raise DataError(f"{archive}: {len(infos)} files, more than the {limits.files} allowed; not unpacked")
    total, seen, members = 0, set(), []
    for info in infos:
        path = safe_path(archive, info)
        if info.is_dir() or IGNORED & set(path.parts):
            continue
        total += info.file_size
        if total > limits.size:
            raise DataError(f"{archive}: unpacks to more than {limits.size} bytes; not unpacked")
        if info.file_size > 1 << 20 and info.file_size > limits.ratio * max(info.compress_size, 1):
            raise DataError(
                f"{archive}: {path} grows more than {limits.ratio:.0f} times; taken for a zip bomb"
            )
        if info.flag_bits & 0x1:
            raise DataError(f"{archive}: {path} is encrypted")
        key = str(path).casefold()
        if key in seen:
            raise DataError(f"{archive}: {path} stands there twice")
        seen.add(key)
        members.append(Member(info, path))
    parents = {str(p).casefold() for m in members for p in m.path.parents}
    clash = next((m.path for m in members if str(m.path).casefold() in parents), None)
    if clash is not None:
        raise DataError(f"{archive}: {clash} is both a file and a folder")
    return members


def safe_path(archive: Path, info: zipfile.ZipInfo) -> PurePosixPath:
    """An entry's path, if it stays inside.

    Raises:
        DataError: absolute, with ``..``, a drive or a control character, or a link or device.
    """
    name = info.orig_filename.replace("\\", "/")  # as some Windows programs separate folders
    path = PurePosixPath(name)
    if (
        not path.parts
        or path.is_absolute()
        or ".." in path.parts
        or ":" in name
        or any(ord(c) < 32 for c in name)
        or len(name) > 512
        or any(len(part.encode(errors="replace")) > 255 for part in path.parts)
    ):
        raise DataError(f"{archive}: entry {name[:80]!r} would be written outside the folder; not unpacked")
    mode = info.external_attr >> 16
    if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise DataError(f"{archive}: entry {name[:80]!r} is a link or device; not unpacked")
    return path


def unpack(
    archive: Path, folder: Path, members: list[Member], progress: Callable[[int, int], None] | None = None
) -> None:
    """Write planned files into a folder that is new or empty, checking each one's size and CRC-32.

    Args:
        progress: called with files done and files in all.

    Raises:
        DataError: the archive is damaged, or a file is larger than the archive says.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise DataError(f"{folder}: not empty; unpacking goes into a new folder only")
    with opened(archive) as file:
        for number, member in enumerate(members, 1):
            target = folder.joinpath(*member.path.parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            with file.open(member.info) as source, target.open("xb") as sink:
                left = member.info.file_size
                while block := source.read(1 << 20):
                    left -= len(block)
                    if left < 0:
                        raise DataError(f"{archive}: {member.path} is larger than the archive says; stopped")
                    sink.write(block)
            if left:
                raise DataError(f"{archive}: {member.path} is cut off ({left} bytes missing)")
            if progress is not None:
                progress(number, len(members))


def check(archive: Path, limits: Limits = DEFAULT) -> list[Member]:
    """`plan`, and every file read once so that its CRC-32 is compared; nothing is written.

    Raises:
        DataError: unsafe, damaged or not a zip archive.
    """
    members = plan(archive, limits)
    with opened(archive) as file:
        for member in members:
            with file.open(member.info) as source:
                while source.read(1 << 20):
                    pass
    return members


@contextmanager
def unpacked(
    archive: Path, beside: Path, members: list[Member], progress: Callable[[int, int], None] | None = None
) -> Iterator[Path]:
    """A temporary folder under ``beside`` with the planned files; it is gone afterwards, whatever happened."""
    beside.mkdir(parents=True, exist_ok=True)
    for stale in beside.glob(".unpack-*"):  # of a process that was killed
        if time.time() - stale.stat().st_mtime > 86_400:
            shutil.rmtree(stale, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=".unpack-", dir=beside))
    try:
        unpack(archive, folder / "files", members, progress)
        yield folder / "files"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def put_in_place(folder: Path, target: Path) -> Path | None:
    """Move a finished folder to its place; what was there is kept beside it and returned.

    Both lie on one file system, so that a reader sees the old folder or the new one, never a part.
    """
    kept = None
    if target.exists():
        kept = next(
            p for n in range(1, 1000) if not (p := target.with_name(f"{target.name}.old{n}")).exists()
        )
        os.replace(target, kept)
    os.replace(folder, target)
    return kept
