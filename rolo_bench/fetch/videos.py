"""Downloading sequences and published results, and putting them in place once they are verified.

Nobody publishes checksums for the benchmark's archives. What can be checked is: the size where it is known, the
CRC-32 of every file in an archive, the number of frames, and a SHA-256 of every parsed annotation.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

from rolo_bench.boxes import Array
from rolo_bench.boxfiles import read_boxes
from rolo_bench.datasets import otb
from rolo_bench.datasets.suites import Entry, annotation_digest, entries, suite_names, table_rows
from rolo_bench.errors import DataError, RoloBenchError, UsageError, find_name, same_name
from rolo_bench.fetch import archives
from rolo_bench.fetch.download import PATIENT, Patience, Progress, UnreachableError, download
from rolo_bench.folders import cache_folder

SITE = "http://cvlab.hanyang.ac.kr/tracker_benchmark/"
SEQUENCES = SITE + "seq_new/"
RESULTS = {
    "tre": (SITE + "v1.1/pami15_TRE.zip", 223_347_083),
    "sre": (SITE + "v1.1/pami15_SRE.zip", 250_651_768),
}
NINE = ("STRUCK", "OAB", "LSK", "TLD", "CXT", "RS", "VTS", "VTD", "CSK")
"""The trackers that the ROLO paper compares with."""


# Sequences


@dataclass(frozen=True)
class Video:
    """A folder of frames on the benchmark's site and the targets that are annotated in it."""

    name: str
    targets: tuple[Entry, ...]


def videos(suite: str) -> tuple[Video, ...]:
    """Videos of a built-in suite in order; Jogging, Skating2 and Human4 hold targets named ``-1``, ``-2``.

    Raises:
        UsageError: the suite is not one of the benchmark's.
    """
    if suite == "demo":
        raise UsageError("demo is rendered on the fly; there is nothing to fetch")
    grouped: dict[str, list[Entry]] = {}
    for entry in entries(suite):
        grouped.setdefault(re.sub(r"-\d$", "", entry.name), []).append(entry)
    return tuple(Video(name, tuple(targets)) for name, targets in grouped.items())


def asked_for(names: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """A suite and the sequences of it that were named, none for all: the first name may be the suite's.

    Sequences alone are those of otb100, which has all.

    Raises:
        UsageError: a name that is neither; the message says which come near.
    """
    suite = same_name(names[0], suite_names())
    wanted = names[1:] if suite else names
    known = [n for v in videos(suite or "otb100") for n in (v.name, *(t.name for t in v.targets))]
    kind, known = ("sequence", known) if suite else ("sequence or suite", [*known, *suite_names()])
    return suite or "otb100", tuple(find_name(kind, name, known) for name in wanted)


@lru_cache(maxsize=1)
def file_digests() -> dict[str, tuple[int, str]]:
    """Rows and SHA-256 of every annotation file of TB-100, parsed, with the rows outside the benchmark's range."""
    return {r["name"]: (int(r["rows"]), r["sha256"]) for r in table_rows("annotation_digests.csv")}


def has_true_annotation(root: Path, entry: Entry, truth: Array) -> bool:
    """Whether a target's truth ``(N, 4)`` in the benchmark's range, and the rest of its file, are the recorded ones."""
    if annotation_digest(truth) != entry.digest:
        return False
    whole = read_boxes(otb.find_truth(root, entry.name)[1])
    rows, digest = file_digests().get(entry.name, (0, ""))
    return len(whole) != rows or annotation_digest(whole) == digest


def check_video(root: Path, video: Video, unchecked: bool = False) -> None:
    """Check a video's folder: all frames of every target's range, and its annotations' SHA-256.

    Args:
        root: the folder that holds the videos.
        unchecked: accept annotations other than the benchmark's.

    Raises:
        DataError: what is missing or different.
    """
    for entry in video.targets:
        sequence = otb.load_sequence(root, entry.name, entry.first, entry.last)
        if not unchecked and not has_true_annotation(root, entry, sequence.truth):
            raise DataError(
                f"{root / video.name}: the annotation of {entry.name} is not the benchmark's (SHA-256 differs); "
                "take it anyway with --unchecked"
            )


def is_there(root: Path, video: Video, unchecked: bool = False) -> bool:
    """Whether a video is complete in a data folder."""
    try:
        check_video(root, video, unchecked)
    except RoloBenchError:
        return False
    return True


def find_root(members: list[archives.Member], name: str) -> PurePosixPath | None:
    """The folder inside an archive that holds a video: one with an annotation, and of that name.

    An archive of one video may have any or no folder on top.
    """
    roots = {m.path.parent for m in members if re.fullmatch(r"groundtruth_rect(\.\d)?\.txt", m.path.name)}
    named = [r for r in roots if r.name.casefold() == name.casefold()]
    if named:
        return min(named, key=lambda r: len(r.parts))
    return next(iter(roots)) if len(roots) == 1 else None


def install(
    archive: Path, video: Video, data: Path, unchecked: bool = False, progress: Progress | None = None
) -> Path | None:
    """Unpack a video from an archive, check it, and only then put it in its place.

    Returns:
        Where a folder that was there before and was not complete is kept, or None.

    Raises:
        DataError: the archive is unsafe or damaged, does not hold the video, or it fails its check.
    """
    members = archives.plan(archive)
    root = find_root(members, video.name)
    if root is None:
        raise DataError(f"{archive}: holds no folder of {video.name} with a groundtruth_rect file")
    inside = [m for m in members if root in m.path.parents]
    ticks = None if progress is None else lambda done, of: progress(f"{video.name}: unpacking", done, of)
    with archives.unpacked(archive, data, inside, ticks) as folder:
        staged = folder.parent / "checked" / video.name
        staged.parent.mkdir()
        folder.joinpath(*root.parts).replace(staged)
        check_video(staged.parent, video, unchecked)
        return archives.put_in_place(staged, data / video.name)


@dataclass(frozen=True)
class Fetched:
    """What became of one video: ``there`` already, ``fetched`` or ``failed``; and a line on it."""

    name: str
    what: str
    line: str = ""


def fetch_data(
    suite: str,
    data: Path,
    mirror: str | None = None,
    archive: Path | None = None,
    unchecked: bool = False,
    keep: bool = False,
    patience: Patience = PATIENT,
    progress: Progress | None = None,
    only: tuple[str, ...] = (),
) -> Iterator[Fetched]:
    """Get the videos of a suite that are not there yet; yields what became of each.

    Args:
        data: folder of videos; each appears in it when complete and checked.
        mirror: address under which ``<Seq>.zip`` lie, instead of the benchmark's site.
        archive: a folder of ``<Seq>.zip`` files, or one archive that holds the videos' folders.
        keep: keep downloaded archives.
        only: names of videos, or of targets in them, to get alone; all where there are none.

    Raises:
        UsageError: unknown suite, or both mirror and archive.
        UnreachableError: the server cannot be reached.
    """
    if mirror and archive:
        raise UsageError("give --mirror or --archive, not both")
    if archive is not None and not archive.exists():
        raise UsageError(f"{archive}: no such file or folder")
    for video in videos(suite):
        if only and not {video.name, *(t.name for t in video.targets)} & {*only}:
            continue
        if is_there(data, video, unchecked):
            yield Fetched(video.name, "there")
            continue
        try:
            if archive is not None:
                source = archive if archive.is_file() else _local(archive, video.name)
            else:
                url = f"{(mirror or SEQUENCES).rstrip('/')}/{video.name}.zip"
                source = _archive(url, None, patience, progress)
            kept = install(source, video, data, unchecked, progress)
            if archive is None and not keep:
                source.unlink(missing_ok=True)
            line = f"an incomplete folder that was there is kept as {kept.name}" if kept else ""
            yield Fetched(video.name, "fetched", line)
        except UnreachableError:
            raise
        except RoloBenchError as error:
            yield Fetched(video.name, "failed", str(error))


def _local(folder: Path, name: str) -> Path:
    found = [p for p in folder.glob("*.zip") if p.stem.casefold() == name.casefold()]
    if not found:
        raise DataError(f"{folder / name}.zip: no such file")
    return found[0]


def _archive(url: str, size: int | None, patience: Patience, progress: Progress | None) -> Path:
    """A safe and whole zip archive from the cache, or fetched; no error page, nothing damaged on its way."""
    target = cache_folder("archives") / url.rsplit("/", 1)[1]

    def verify(path: Path) -> None:
        try:
            archives.check(path)
        except DataError as error:
            raise DataError(f"{target.name}: what came is not the archive ({error})") from None

    with suppress(DataError):
        if target.is_file() and size in (None, target.stat().st_size):
            verify(target)
            return target
    try:
        return download(url, target, size, None, patience, progress, verify)
    except DataError as error:
        raise type(error)(f"{error}; --mirror URL or --archive FILE take it from elsewhere") from None


# Published results


def fetch_results(
    folder: Path | None = None,
    protocol: str = "tre",
    mirror: str | None = None,
    archive: Path | None = None,
    every: bool = False,
    patience: Patience = PATIENT,
    progress: Progress | None = None,
) -> tuple[Path, int]:
    """Get the published raw results of the nine trackers and unpack them into a folder of their own.

    Args:
        folder: parent of the new folder ``pami15_TRE`` or ``pami15_SRE``; by default in the cache.
        protocol: ``tre`` (whose first start serves as one-pass evaluation) or ``sre``.
        mirror: address under which the archive lies, instead of the benchmark's site.
        archive: the archive itself, downloaded by other means.
        every: all trackers of the archive, not only the nine.

    Returns:
        The folder and the number of files in it.

    Raises:
        DataError: it cannot be had, is damaged, or holds no results.
    """
    url, size = RESULTS[protocol]
    name = url.rsplit("/", 1)[1]
    folder = folder or cache_folder("published")
    target = folder / name.removesuffix(".zip")
    if mirror and archive:
        raise UsageError("give --mirror or --archive, not both")
    if archive is None:
        own = f"{mirror.rstrip('/')}/{name}" if mirror else url
        source = _archive(own, None if mirror else size, patience, progress)
    elif archive.is_file():
        source = archive
    else:
        raise UsageError(f"{archive}: no such file")
    nine = re.compile(rf"_({'|'.join(NINE)})(-V)?\.mat", re.IGNORECASE)
    members = [
        m for m in archives.plan(source) if m.path.suffix == ".mat" and (every or nine.search(m.path.name))
    ]
    if not members:
        raise DataError(f"{source}: holds no result files of the nine trackers ({', '.join(NINE)})")
    ticks = None if progress is None else lambda done, of: progress(f"{name}: unpacking", done, of)
    with archives.unpacked(source, folder, members, ticks) as staged:
        kept = archives.put_in_place(staged, target)
        if kept is not None:
            shutil.rmtree(kept)  # an older unpacking of the same archive; nobody's own work
    return target, len(members)
