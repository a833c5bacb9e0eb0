"""`rolo-bench fetch data | results | weights`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rolo_bench.cli.options import Number, console, data_option
from rolo_bench.errors import DataError, UsageError, counted

if TYPE_CHECKING:
    from rolo_bench.fetch.download import Progress


mirror_option = click.option(
    "--mirror", metavar="URL", help="Address under which the archives lie, instead of the benchmark's site."
)
timeout_option = click.option(
    "--timeout", default=30.0, show_default=True, metavar="SECONDS", type=Number(min=0.1),
    help="Give a connection up after this long without data.",
)  # fmt: skip


@click.group(epilog="Example: rolo-bench fetch data otb30 --data ~/otb")
def fetch() -> None:
    """Download data, published results or weights; what is interrupted goes on where it stopped."""


@fetch.command(epilog="Example: rolo-bench fetch data Dog Suv --data ~/otb")
@click.argument("names", metavar="[SUITE] [SEQUENCE]...", nargs=-1, required=True)
@data_option
@mirror_option
@click.option(
    "--archive", metavar="PATH", type=click.Path(path_type=Path),
    help="Unpack from a folder of <Seq>.zip files, or from one archive, instead of downloading.",
)  # fmt: skip
@click.option("--unchecked", is_flag=True, help="Accept annotations other than the benchmark's.")
@click.option("--keep", is_flag=True, help="Keep the downloaded archives in the cache.")
@timeout_option
def data(
    names: tuple[str, ...], data: str | None, mirror: str | None, archive: Path | None, unchecked: bool, keep: bool,
    timeout: float,
) -> None:  # fmt: skip
    """Get the videos of a suite (otb30, otb50, otb100, cvpr13), or some; what is there and complete is left alone.

    Sequences are named alone, such as Dog Suv, or after the suite that they belong to.

    Each video is unpacked beside its place, its frames are counted and the SHA-256 of its annotation is
    compared; only then does it appear in the data folder.
    """
    from rolo_bench.fetch.download import Patience
    from rolo_bench.fetch.videos import asked_for, fetch_data
    from rolo_bench.folders import data_folder

    suite, only = asked_for(names)
    place, patience = data_folder(data), Patience(timeout)
    count: Counter[str] = Counter()
    with progress_lines() as progress:
        for video in fetch_data(suite, place, mirror, archive, unchecked, keep, patience, progress, only):
            count[video.what] += 1
            if video.what != "there":
                line = f"{video.name}: {video.what}" + (f": {video.line}" if video.line else "")
                console.print(line, markup=False)
    line = (
        f"{suite}: {counted(count['fetched'], 'video')} fetched, {count['there']} there already, in {place}"
    )
    console.print(line, markup=False)
    if count["failed"]:
        failed = f"{count['failed']} of {count.total()} videos failed"
        raise DataError(f"{failed} (see above); the same command tries them again")


@fetch.command(epilog="Example: rolo-bench fetch results && rolo-bench import otb-mat DIR --suite otb30")
@click.argument("what", type=click.Choice(["nine", "modern"]), default="nine")
@click.option(
    "--protocol", type=click.Choice(["tre", "sre"]), default="tre", show_default=True,
    help="TRE, whose first start serves as one-pass evaluation, or SRE.",
)  # fmt: skip
@click.option(
    "--to", "folder", metavar="DIR", type=click.Path(path_type=Path), help="Where to unpack [default: the cache]."
)  # fmt: skip
@mirror_option
@click.option("--archive", metavar="FILE", type=click.Path(path_type=Path), help="Use this archive.")
@click.option("--all", "every", is_flag=True, help="All trackers of the archive, not only the paper's nine.")
@timeout_option
def results(
    what: str,
    protocol: str,
    folder: Path | None,
    mirror: str | None,
    archive: Path | None,
    every: bool,
    timeout: float,
) -> None:
    """Get raw results: of the nine trackers that the ROLO paper compares with (about 220 MB), or of modern ones.

    nine are the benchmark authors' results; modern is one-pass evaluation on OTB-100 of ATOM, DaSiamRPN, MDNet,
    SiamBAN, SiamFC and SiamRPN++ (14 MB in 600 files, from a public repository that states no licence).
    """
    from rolo_bench.fetch.download import Patience
    from rolo_bench.fetch.modern import fetch_modern
    from rolo_bench.fetch.videos import fetch_results

    patience = Patience(timeout)
    if what == "modern":
        if archive or every or protocol != "tre":
            raise UsageError(
                "modern results are files of one-pass evaluation: --archive, --all and --protocol go with nine"
            )
        with progress_lines() as progress:
            place, count = fetch_modern(folder, mirror, patience, progress)
        console.print(f"{count} result files in {place}", markup=False)
        console.print(
            f"take them in with: rolo-bench import pysot {place} --suite otb100 --pad none", markup=False
        )
        return
    with progress_lines() as progress:
        place, count = fetch_results(folder, protocol, mirror, archive, every, patience, progress)
    console.print(f"{count} result files in {place}", markup=False)
    extra = " --protocol sre" if protocol == "sre" else ""
    console.print(f"take them in with: rolo-bench import otb-mat {place} --suite otb30{extra}", markup=False)


@contextmanager
def progress_lines() -> Iterator[Progress | None]:
    """A bar on a terminal; in a log a line when a file is begun."""
    if console.is_terminal:
        with _bar() as progress:
            yield progress
        return
    seen: set[str] = set()

    def plain(what: str, done: int, total: int | None) -> None:
        if what not in seen:
            seen.add(what)
            size = "" if total is None or "unpacking" in what else f" ({total / 1e6:.1f} MB)"
            console.print(f"{what}{size}", markup=False)

    yield plain


@contextmanager
def _bar() -> Iterator[Progress]:
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
    with Bar(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task("", total=None)

        def show(what: str, done: int, total: int | None) -> None:
            bar.update(task, description=what, completed=done, total=total)

        yield show


@fetch.command(epilog="Example: rolo-bench fetch weights yolox-nano")
@click.argument("names", metavar="NAME", nargs=-1, required=True)
def weights(names: tuple[str, ...]) -> None:
    """Download weights, such as those of detectors, into the cache, checked; what is there already is only checked.

    A file in the folder of ROLO_BENCH_WEIGHTS will do, and so will any of the files that a detector can be read from.
    """
    from rolo_bench.errors import WeightsError
    from rolo_bench.fetch.weights import at_hand, fetch, registered

    for name in names:
        registered(name)  # refuse an unknown name before anything is fetched
    with progress_lines() as progress:
        for name in names:
            there = None
            with suppress(WeightsError):
                there = at_hand(name)
            for path in there or fetch(name, progress):
                click.echo(path)
            if there:
                console.print(f"{name}: there already, its SHA-256 is as it should be", markup=False)
