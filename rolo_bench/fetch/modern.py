"""Per-frame results of modern trackers on OTB-100, from a public repository: file by file, each checked."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from rolo_bench.datasets.table import table_rows
from rolo_bench.fetch.download import PATIENT, Patience, Progress, download
from rolo_bench.files import digest
from rolo_bench.folders import cache_folder

SOURCE = "https://raw.githubusercontent.com/Soarkey/tracking_raw_results/b85df5aa3e3b0904be5248c8a7aa51b3ab608033/OTB100"


def fetch_modern(
    folder: Path | None = None,
    mirror: str | None = None,
    patience: Patience = PATIENT,
    progress: Progress | None = None,
) -> tuple[Path, int]:
    """Get the results into ``<folder>/modern/<tracker>/<Seq>.txt``; what is there and whole is left alone.

    Args:
        folder: by default in the cache.
        mirror: address under which ``<tracker>/<Seq>.txt`` lie, instead of the repository.

    Returns:
        The folder and the number of files in it.

    Raises:
        DataError: a file cannot be had, or is not what it should be.
    """
    target = (folder or cache_folder("published")) / "modern"
    rows = table_rows("modern_results.csv")
    for number, row in enumerate(rows, 1):
        path = target / row["tracker"] / row["file"]
        if progress is not None:
            progress("results of modern trackers", number, len(rows))
        if path.is_file() and digest(path) == row["sha256"]:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        url = f"{(mirror or SOURCE).rstrip('/')}/{quote(row['tracker'])}/{quote(row['file'])}"
        download(url, path, int(row["bytes"]), row["sha256"], patience)
    return target, len(rows)
