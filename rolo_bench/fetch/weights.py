"""Where detector weights come from: a registry of files, a folder of the user's own, a verified cache.

A file is looked for in the folder of ``ROLO_BENCH_WEIGHTS`` (for machines without internet) and those right below it,
then in the cache, then fetched. Wherever it lies, it is checked before it is used: against its SHA-256, or where nobody
publishes one, against that of the first download and for the structure of what its name says.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from rolo_bench.datasets.suites import table_rows
from rolo_bench.errors import DataError, WeightsError, find_name
from rolo_bench.fetch.download import PATIENT, BusyError, Patience, Progress, download
from rolo_bench.fetch.formats import flaw
from rolo_bench.files import digest, write_atomic
from rolo_bench.folders import cache_folder, weights_folder

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WeightFile:
    """One file: its name in folder and cache, address, SHA-256 (None: nobody publishes it), bytes, licence."""

    name: str
    url: str
    sha256: str | None
    size: int | None
    licence: str


@lru_cache(maxsize=1)
def registry() -> dict[str, tuple[tuple[WeightFile, ...], ...]]:
    """Detector: choices of which one serves, each a tuple of files that belong together. The first is fetched."""
    found: dict[str, dict[str, tuple[WeightFile, ...]]] = {}
    for row in table_rows("weights.csv"):
        size = int(row["bytes"]) if row["bytes"] else None
        file = WeightFile(row["file"], row["url"], row["sha256"] or None, size, row["licence"])
        choices = found.setdefault(row["detector"], {})
        choices[row["choice"]] = (*choices.get(row["choice"], ()), file)
    return {detector: tuple(choices.values()) for detector, choices in found.items()}


def registered(detector: str) -> tuple[tuple[WeightFile, ...], ...]:
    """The registry's choices for a detector.

    Raises:
        UsageError: a name that is not in the registry.
    """
    return registry()[find_name("weights", detector, registry())]


def pin(path: Path) -> Path:
    """File that keeps the SHA-256 of a first download."""
    return path.with_name(path.name + ".sha256")


def fault(file: WeightFile, path: Path) -> str:
    """What is wrong with the file at ``path``: its size, SHA-256 or structure; empty if nothing is."""
    size = path.stat().st_size
    if file.size is not None and size != file.size:
        return f"{size} bytes, {file.size} expected; truncated or another file"
    expected = file.sha256
    if expected is None:
        if problem := flaw(path, Path(file.name).suffix):
            return problem
        expected = pin(path).read_text(errors="replace").strip() if pin(path).is_file() else None
    if expected is not None and digest(path) != expected:
        return f"SHA-256 is {digest(path)[:12]}…, {expected[:12]}… expected; damaged or another file"
    return ""


def local(detector: str, folder: Path, advice: str) -> tuple[Path, ...] | None:
    """Verified paths of the first choice that lies complete in a folder; None where there is none.

    Args:
        advice: what to do about a file that is not what it should be.

    Raises:
        WeightsError: a file is there but is not what it should be.
    """
    for choice in registered(detector):
        paths = tuple(folder / file.name for file in choice)
        if all(p.is_file() for p in paths):
            for file, path in zip(choice, paths):
                if problem := fault(file, path):
                    raise WeightsError(f"{path}: {problem}; {advice}")
            return paths
    return None


def own_folders() -> list[Path]:
    """The user's own folder and those right below it; none where ``ROLO_BENCH_WEIGHTS`` is not set."""
    folder = weights_folder()
    if folder is None or not folder.is_dir():
        return []
    return [folder, *sorted(p for p in folder.iterdir() if p.is_dir())]


def own(detector: str) -> tuple[Path, ...] | None:
    """Verified paths of a detector's files in one of the user's own folders; None where they are not there.

    Raises:
        WeightsError: a file is there but is not what it should be; nothing is changed in that folder.
    """
    advice = "it lies in your own folder (ROLO_BENCH_WEIGHTS) and is left alone, replace or delete it"
    return next(filter(None, (local(detector, folder, advice) for folder in own_folders())), None)


def at_hand(detector: str) -> tuple[Path, ...] | None:
    """Verified paths of a detector's files in the user's own folder or in the cache; None where they are not there.

    Raises:
        UsageError: unknown detector.
        WeightsError: a file is there but is not what it should be.
    """
    advice = f"`rolo-bench fetch weights {detector}` fetches it again"
    return own(detector) or local(detector, cache_folder("weights"), advice)


def obtain(detector: str) -> tuple[Path, ...]:
    """Verified paths of a detector's files, fetched if they are not at hand.

    Raises:
        UsageError: unknown detector.
        WeightsError: a file is damaged, or missing and cannot be fetched.
    """
    return at_hand(detector) or fetch(detector)


def fetch(detector: str, progress: Progress | None = None) -> tuple[Path, ...]:
    """Paths of a detector's files in the user's own folder, or in the cache, fetched where missing or damaged.

    Raises:
        UsageError: unknown detector.
        WeightsError: a download failed, or a file in the user's own folder is damaged.
    """
    if mine := own(detector):
        return mine
    folder = cache_folder("weights")
    with suppress(WeightsError):  # what is damaged is fetched
        if there := local(detector, folder, ""):
            return there
    return tuple(fetch_file(file, folder, progress) for file in registered(detector)[0])


def fetch_file(
    file: WeightFile, folder: Path, progress: Progress | None = None, patience: Patience = PATIENT
) -> Path:
    """One file in ``folder``, downloaded unless it is there and what it should be.

    Where nobody publishes a SHA-256, the file must have the structure of what its name says; the SHA-256 is
    then kept beside it and checked from then on.

    Raises:
        WeightsError: it cannot be had, or what came is not what was expected.
    """
    path = folder / file.name

    def verify(part: Path) -> None:
        if file.sha256 is None:
            if problem := flaw(part, path.suffix):
                raise WeightsError(f"{file.url}: what came is {problem}; nothing is kept, {advice}")
            write_atomic(pin(path), digest(part) + "\n")

    advice = f"try again, or put {file.name} into a folder and set ROLO_BENCH_WEIGHTS to it"
    while not path.is_file() or fault(file, path):
        log.info("fetching %s", file.url)
        try:
            return download(file.url, path, file.size, file.sha256, patience, progress, verify)
        except BusyError as error:  # it can be used as soon as the other process is done
            if error.idle > patience.attempts * patience.timeout:
                raise WeightsError(str(error)) from None
            time.sleep(0.2)
        except DataError as error:
            raise WeightsError(f"{error}; {advice}") from None
    return path


def status(file: WeightFile) -> tuple[str, Path | None]:
    """Where a file is on this machine: ``own folder``, ``cache``, ``damaged`` or ``not here``, and its path."""
    places = [("own folder", folder) for folder in own_folders()]
    for label, folder in (*places, ("cache", cache_folder("weights"))):
        if (folder / file.name).is_file():
            path = folder / file.name
            return ("damaged" if fault(file, path) else label), path
    return "not here", None


def table() -> list[tuple[str, ...]]:
    """Rows of detector, file, bytes, SHA-256, licence and place, with a head row."""
    rows: list[tuple[str, ...]] = [("detector", "file", "bytes", "sha256", "licence", "where")]
    for detector, choices in registry().items():
        for number, file in ((n, file) for n, choice in enumerate(choices) for file in choice):
            place, path = status(file)
            size = path.stat().st_size if path else file.size or "?"
            digits = file.sha256[:12] if file.sha256 else "of first download"
            name, where = detector + (" (or)" if number else ""), f"{place}: {path}" if path else place
            rows.append((name, file.name, str(size), digits, file.licence, where))
    return rows
