"""Reports of got10k's own experiments on made-up data sets, in ``got10k.json`` for `tests/test_conventions.py`.

Run it where that is installed, apart from this project: ``pip install got10k==0.1.3``, then

    python tests/golden/make_got10k.py

Its readers, its experiments and their ``report`` run as they are. It has no experiment for LaSOT, and its reader of
LaSOT does not start (``_check_integrity`` is called with an argument too many): ``ExperimentOTB`` stands in on LaSOT's
files. NfS at 30 frames a second comes with the annotation of 240, as the authors give it.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

SIZE = (320, 240)
SETS = ("GOT-10k", "LaSOT", "UAV123", "NfS-30", "NfS-240", "TC-128", "DTB70")


def drawn(random: np.random.Generator, count: int) -> np.ndarray:
    """A target that wanders ``(count, 4)``, 1-based, with fractions."""
    steps = random.normal(0, 3, (count, 2)).cumsum(axis=0)
    return np.round(np.hstack([steps + [120, 90], np.abs(random.normal(40, 3, (count, 2))) + 8]), 3)


def moved(random: np.random.Generator, truth: np.ndarray) -> np.ndarray:
    """An output that drifts off and comes back."""
    there = np.nan_to_num(truth, nan=50.0)
    drift = 25 * np.sin(np.arange(len(truth)) / 6)[:, None] * random.normal(1, 0.3, (len(truth), 2))
    boxes = there + np.hstack([drift, random.normal(0, 4, (len(truth), 2))])
    return np.round(np.hstack([boxes[:, :2], np.maximum(boxes[:, 2:], 2)]), 3)


def put(path: Path, rows: np.ndarray | list, form: str = "%.3f", by: str = ",") -> None:
    """Write a table, and the folder that it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savetxt(path, np.asarray(rows), fmt=form, delimiter=by)


def frames(folder: Path, count: int, first: int = 1, digits: int = 5) -> None:
    """Empty files by the names of images; nobody looks inside."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        (folder / f"{number:0{digits}d}.jpg").touch()


def lay(name: str, root: Path) -> dict[str, list[np.ndarray]]:
    """Write a data set as its authors lay it out, and give a tracker's outputs on each sequence in its numbers."""
    random, results = np.random.default_rng(SETS.index(name)), {}
    for number, count in enumerate((40, 61, 109), 1):
        truth, title = drawn(random, count), f"seq_{number}"
        repetitions = 3 if name == "GOT-10k" else 1
        if name == "GOT-10k":
            title = f"GOT-10k_Val_{number:06d}"
            folder, cover = root / "val" / title, random.integers(0, 9, count)
            cover[0] = 8
            put(folder / "groundtruth.txt", truth)
            for label, values in (("cover", cover), ("absence", cover == 0), ("cut_by_image", 0 * cover)):
                put(folder / f"{label}.label", values, "%d")
            (folder / "meta_info.ini").write_text(f"[METAINFO]\nresolution: {SIZE}\n")
            frames(folder, count, digits=8)
            with (root / "val" / "list.txt").open("a") as file:
                file.write(title + "\n")
        elif name == "LaSOT":
            title = f"cup-{number}"
            put(root / "cup" / title / "groundtruth.txt", truth)
            for label in ("full_occlusion", "out_of_view"):
                put(
                    root / "cup" / title / f"{label}.txt",
                    random.integers(0, 2, (1, count)) * (number == 2),
                    "%d",
                )
            frames(root / "cup" / title / "img", count, digits=8)
        elif name == "UAV123":
            title, count = (("uav6", 109), ("uav2", 133), ("bird1_1", 253))[number - 1]
            truth = drawn(random, count)
            truth[20:27] = np.nan
            put(root / "anno" / "UAV123" / f"{title}.txt", truth)
            frames(root / "data_seq" / "UAV123" / title.split("_")[0], 1)
            for other in ("README", "LICENSE"):  # it wants more than three things in the folder
                (root / other).touch()
        elif name.startswith("NfS"):
            rate = name[-2:].lstrip("-") if name == "NfS-30" else "240"
            dense = drawn(random, count * 8 - 3) if rate == "30" else truth
            rows = [
                f'0 {x:.3f} {y:.3f} {x + w:.3f} {y + h:.3f} {k} 0 0 1 "thing"\n'
                for k, (x, y, w, h) in enumerate(dense)
            ]
            folder = root / title / rate
            frames(folder / title, count)
            (folder / f"{title}.txt").write_text("".join(rows))
            truth = dense[::8] if rate == "30" else truth
        elif name == "TC-128":
            put(root / title / f"{title}_gt.txt", truth)
            put(root / title / f"{title}_frames.txt", [[81, 80 + count]], "%d")
            frames(root / title / "img", count + 20, 75, 4)
        else:
            put(root / title / "groundtruth_rect.txt", truth)
            frames(root / title / "img", count)
        results[title] = [moved(random, truth) for _ in range(repetitions)]
    return results


def experiment(name: str, root: Path, out: str) -> Any:
    """The package's experiment of a data set."""
    from got10k import experiments
    from got10k.datasets import TColor128

    TColor128._download = lambda self, folder: None
    if name == "GOT-10k":
        return experiments.ExperimentGOT10k(str(root), "val", result_dir=f"{out}/r", report_dir=f"{out}/p")
    if name == "LaSOT":
        found = object.__new__(experiments.ExperimentOTB)
        found.result_dir, found.report_dir, found.nbins_iou, found.nbins_ce = f"{out}/r", f"{out}/p", 21, 51
        found.dataset = type("Files", (list,), {})()
        files = sorted(root.glob("*/*/groundtruth.txt"))
        found.dataset.extend((None, np.loadtxt(file, delimiter=",")) for file in files)
        found.dataset.seq_names = [file.parent.name for file in files]
        return found
    kinds = {"UAV123": "ExperimentUAV123", "TC-128": "ExperimentTColor128", "DTB70": "ExperimentDTB70"}
    kind, more = kinds.get(name, "ExperimentNfS"), {}
    if kind == "ExperimentNfS":
        more = {"fps": int(name.split("-")[1])}
    return getattr(experiments, kind)(str(root), result_dir=f"{out}/r", report_dir=f"{out}/p", **more)


def main() -> None:
    """Lay out, report, and write."""
    import matplotlib

    matplotlib.use("Agg")
    cases = {}
    for name in SETS:
        with tempfile.TemporaryDirectory() as folder:
            results = lay(name, Path(folder, "data"))
            found = experiment(name, Path(folder, "data"), folder)
            for title, runs in results.items():
                for number, boxes in enumerate(runs, 1):
                    place = f"T/{title}/{title}_{number:03d}.txt" if name == "GOT-10k" else f"T/{title}.txt"
                    put(Path(found.result_dir, place), boxes)
                if name == "GOT-10k":
                    put(
                        Path(found.result_dir, "T", title, f"{title}_time.txt"),
                        np.full((len(boxes), 3), 0.01),
                    )
            overall = found.report(["T"])["T"]["overall"]
            cases[name] = {k: v for k, v in overall.items() if k != "speed_fps"}
    text = json.dumps({"made_with": "tests/golden/make_got10k.py", "got10k": "0.1.3", "cases": cases})
    Path(__file__).with_name("got10k.json").write_text(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
