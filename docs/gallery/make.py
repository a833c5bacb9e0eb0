"""Make every picture of docs/gallery.md from the demo suite: ``python docs/gallery/make.py``.

Trackers that have no results yet are run first (nothing is downloaded). ``--results DIR`` takes an own folder
of results, ``--tracker NAME`` other trackers.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image as Picture

from rolo_bench import plots
from rolo_bench.cli import main
from rolo_bench.errors import RoloBenchError
from rolo_bench.run.plugins import find_plugin
from rolo_bench.scores.scored import load_scores
from rolo_bench.tracker import suite_defaults

HERE = Path(__file__).parent
TRACKERS = ("rolo", "yolo-sort", "yolo", "mosse", "ncc", "static")
LIMIT = 150_000
CHROMIUM = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --hide-scrollbars --virtual-time-budget=4000"
)


def runnable(names: tuple[str, ...]) -> tuple[str, ...]:
    """The trackers that can be made here; the others are named and left out."""
    good = []
    for name in names:
        try:
            plugin = find_plugin(name)
            plugin.make(suite_defaults(plugin.cls, "demo"))
            good.append(name)
        except RoloBenchError as error:
            print(f"left out {name}: {error}", file=sys.stderr)
    return tuple(good)


def call(*arguments: object) -> None:
    """One rolo-bench command; stops where it fails."""
    code = main([str(a) for a in arguments])
    if code:
        raise SystemExit(f"rolo-bench {arguments[0]} ended with code {code}")


def slim_photo(path: Path) -> None:
    """Fewer pixels until the file is below the limit; frames stay JPEG: a palette would change the boxes' colours."""
    with Picture.open(path) as opened:
        picture = opened.convert("RGB")
    for share in (1.0, 0.85, 0.7, 0.6, 0.5):
        size = (round(picture.width * share), round(picture.height * share))
        picture.resize(size, Picture.Resampling.LANCZOS).save(path, quality=85)
        if path.stat().st_size < LIMIT:
            break
    print(f"{path.name}: {path.stat().st_size // 1000} kB")


def slim(path: Path) -> None:
    """Fewer colours, then fewer pixels, until the file is below the limit."""
    for colours, share in ((256, 1.0), (128, 1.0), (128, 0.8), (96, 0.65), (64, 0.5)):
        with Picture.open(path) as opened:
            picture = opened.convert("RGB")
        size = (round(picture.width * share), round(picture.height * share))
        small = picture.resize(size, Picture.Resampling.LANCZOS) if share < 1 else picture
        small.quantize(colours, method=Picture.Quantize.MEDIANCUT, dither=Picture.Dither.NONE).save(
            path.with_suffix(".slim"), "PNG", optimize=True
        )
        if path.with_suffix(".slim").stat().st_size < LIMIT:
            break
    path.with_suffix(".slim").replace(path)
    print(f"{path.name}: {path.stat().st_size // 1000} kB")


def screenshot(page: Path, width: int, height: int, target: Path) -> bool:
    """The top of a page as a picture; False where there is no Chromium."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not browser:
        print(f"left out {target.name}: no Chromium on PATH", file=sys.stderr)
        return False
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [
            browser,
            *CHROMIUM.split(),
            f"--user-data-dir={profile}",
            f"--window-size={width},{height}",
        ]
        command += [f"--screenshot={target.resolve()}", page.resolve().as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
    return True


def worst(scores, tracker: str) -> str:
    """The sequence on which a tracker loses its target most often."""
    part = scores[(scores["tracker"] == tracker) & (scores["failures"] > 0)]
    return str(part.sort_values("failures")["sequence"].iloc[-1])


def pictures_of_frames(results: Path, trackers: tuple[str, ...], scores, work: Path) -> None:
    """Contact sheet and failure strip."""
    named = [part for t in trackers[:4] for part in ("--tracker", t)]
    common = ("--suite", "demo", "--results", results)
    loser = worst(scores, trackers[-2] if len(trackers) > 1 else trackers[0])
    call("show", loser, *named, *common, "--sheet", HERE / "sheet.jpg")
    call("show", loser, "--tracker", trackers[-2], *common, "--failures", "--folder", work)
    strips = sorted(work.glob("*.png"))
    if strips:  # the first loss: a later one may be of a box that the target but passed
        with Picture.open(strips[0]) as strip:
            strip.convert("RGB").save(HERE / "failure.jpg", quality=90)


def make(results: Path, names: tuple[str, ...]) -> None:
    """Run what is missing and draw everything."""
    trackers = runnable(names)
    each = [part for t in trackers for part in ("--tracker", t)]
    call("run", *each, "--suite", "demo", "--results", results)
    call("plot", "all", *each, "--suite", "demo", "--results", results, "--folder", HERE, "--dpi", 110)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        found = load_scores(results, "demo", trackers, None, False, "ope", "otb")
        ranked = tuple(plots.speed_table(found.scores)["tracker"])
        pictures_of_frames(results, ranked, found.scores, work / "strips")
        page = work / "report.html"
        call("report", *each, "--suite", "demo", "--results", results, "-o", page)
        screenshot(page, 1280, 1500, HERE / "report.png")
        screenshot(page, 500, 1400, HERE / "report-narrow.png")
    for path in sorted(HERE.glob("*.png")):
        slim(path)
    for path in sorted(HERE.glob("*.jpg")):
        slim_photo(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, help="folder of results [default: a new temporary one]")
    parser.add_argument("--tracker", action="append", help=f"tracker [default: {' '.join(TRACKERS)}]")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        make(given.results or Path(scratch), tuple(given.tracker or TRACKERS))
