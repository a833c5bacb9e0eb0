"""Scores of other toolkits' own code on made-up boxes, written to ``peers.json``; `tests/test_conventions.py` reads it.

Run it where the peers are: ``pip install got10k==0.1.3 six numba pandas`` and, for pysot, a checkout of
StrangerZhang/pysot-toolkit (8b5ced3), for TrackingNet one of SilvioGiancola/TrackingNet-devkit (7eb9e74):

    python tests/golden/make_peers.py PYSOT_TOOLKIT TRACKINGNET_DEVKIT
"""

from __future__ import annotations

import json
import re
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np

SIZE = (320, 240)
FRAMES = 60


def draw(seed: int, kind: str) -> dict[str, np.ndarray]:
    """Truth and output ``(60, 4)`` in the numbers of a file, and absent frames, as a kind of data set has them.

    ``edges`` reach over the image, ``nan`` has frames without truth, ``absent`` flags frames; every kind drifts off
    and comes back, so that all thresholds are passed. Sizes are even where a toolkit rounds halves.
    """
    random = np.random.default_rng(seed)
    steps = random.normal(0, 3, (FRAMES, 2)).cumsum(axis=0)
    sizes = np.abs(random.normal(40, 6, (FRAMES, 2))) + 8
    truth = np.hstack([steps + [120, 90], sizes])
    if kind == "edges":
        truth[::7, 0] = -5.5 - np.arange(len(truth[::7]))
        truth[3::9, 0] = SIZE[0] - 12.25
    drift = 25 * np.sin(np.arange(FRAMES) / 6)[:, None] * random.normal(1, 0.3, (FRAMES, 2))
    boxes = truth + np.hstack([drift, random.normal(0, 4, (FRAMES, 2))])
    boxes[:, 2:] = np.maximum(boxes[:, 2:], 2)
    boxes[0] = truth[0]
    absent = np.zeros(FRAMES, dtype=bool)
    if kind == "nan":
        truth[20:27] = np.nan
    if kind == "absent":
        absent[20:27] = absent[50:53] = True
    return {"truth": np.round(truth, 3), "boxes": np.round(boxes, 3), "absent": absent}


def got10k_scores(drawn: dict[str, np.ndarray], kind: str) -> dict[str, dict[str, Any]]:
    """``ExperimentOTB``, ``ExperimentUAV123`` and ``ExperimentGOT10k`` of the package, without their data sets."""
    from got10k.experiments.got10k import ExperimentGOT10k
    from got10k.experiments.otb import ExperimentOTB
    from got10k.experiments.uav123 import ExperimentUAV123
    from got10k.utils.metrics import rect_iou

    found: dict[str, dict[str, Any]] = {}
    for name, kind_of in (("got10k", ExperimentOTB), ("uav123", ExperimentUAV123)):
        experiment = object.__new__(kind_of)
        experiment.nbins_iou, experiment.nbins_ce = 21, 51
        boxes = drawn["boxes"].copy()
        boxes[0] = drawn["truth"][0]
        success, precision = experiment._calc_curves(*experiment._calc_metrics(boxes, drawn["truth"]))
        found[name] = {
            "success": success.tolist(), "precision": precision.tolist(), "auc": float(success.mean()),
            "precision20": float(precision[20]),
        }  # fmt: skip
    if kind != "nan":
        shown = ~drawn["absent"][1:]
        ious = rect_iou(drawn["boxes"][1:].copy(), drawn["truth"][1:].copy(), bound=SIZE)[shown]
        ao, sr, _, curve = object.__new__(ExperimentGOT10k)._evaluate(ious, np.ones(1))
        found["got10k-ao"] = {
            "auc": float(ao), "success50": float(sr), "success75": float(curve[75]),
            "success": curve[::5].tolist(),
        }  # fmt: skip
    return found


def pysot_scores(root: Path, drawn: dict[str, np.ndarray], lasot: bool) -> dict[str, Any]:
    """``OPEBenchmark`` of pysot-toolkit; its compiled ``region`` module, which it does not use here, is left out."""
    for name in ("colorama", "pysot", "pysot.utils", "pysot.utils.region"):
        sys.modules.setdefault(name, types.ModuleType(name))
    sys.modules["colorama"].Style = sys.modules["colorama"].Fore = None  # type: ignore[attr-defined]
    utils = sys.modules["pysot.utils"]
    for module, file in (
        (utils, "utils/statistics.py"),
        (types.ModuleType("ope"), "evaluation/ope_benchmark.py"),
    ):
        text = (root / "pysot" / file).read_text().replace("from . import region", "")
        text = text.replace("from ..utils import", "from pysot.utils import")
        exec(compile(text, file, "exec"), module.__dict__)
        ope = module
    video = types.SimpleNamespace(name="v", gt_traj=drawn["truth"], pred_trajs={"t": drawn["boxes"]})
    if lasot:
        video.absent = (~drawn["absent"]).astype(np.int8)  # 1 where the target is there
    bench = ope.OPEBenchmark([video])  # type: ignore[attr-defined]
    success = bench.eval_success("t")["t"]["v"]
    precision = bench.eval_precision("t")["t"]["v"]
    scaled = bench.eval_norm_precision("t")["t"]["v"]
    return {
        "success": success.tolist(), "auc": float(success.mean()), "precision": precision.tolist(),
        "norm_precision": scaled.tolist(),
    }  # fmt: skip


def trackingnet_scores(root: Path, drawn: dict[str, np.ndarray]) -> dict[str, Any]:
    """``evaluate`` of the TrackingNet devkit, on two archives of one file each."""
    import tempfile
    import zipfile

    import pandas as pd

    pd.DataFrame.append = lambda self, other: pd.concat(
        [self, other]
    )  # as pandas had it when that was written
    np.trapz = getattr(np, "trapezoid", None) or np.trapz
    module = types.ModuleType("metrics")
    sys.modules.setdefault("tqdm", types.ModuleType("tqdm")).tqdm = lambda rows: rows  # type: ignore[attr-defined]
    text = (root / "metrics.py").read_text().split("import argparse")[0]
    text = re.sub(r"np\.sum\((i [<>]= thres for i in df\[\"\w+\"\])\)", r"np.sum([\1])", text)  # numpy 2
    exec(compile(text, "metrics", "exec"), module.__dict__)
    with tempfile.TemporaryDirectory() as folder:
        for name in ("truth", "boxes"):
            rows = "".join(",".join(f"{v:.3f}" for v in row) + "\n" for row in drawn[name] - [1, 1, 0, 0])
            with zipfile.ZipFile(f"{folder}/{name}.zip", "w") as archive:
                archive.writestr("v.txt", rows)
        return {"auc": module.evaluate(f"{folder}/truth.zip", f"{folder}/boxes.zip")[1] / 100}  # type: ignore[attr-defined]


def main(pysot: Path, devkit: Path) -> None:
    """Draw, score with each peer, and write."""
    cases = []
    for kind in ("inside", "edges", "nan", "absent"):
        for seed in (1, 2, 3):
            drawn = draw(seed, kind)
            for name, values in got10k_scores(drawn, kind).items():
                cases.append(
                    {"peer": "got10k", "convention": name, "kind": kind, "seed": seed, "values": values}
                )
            if kind != "absent":
                values = pysot_scores(pysot, drawn, False)
                cases.append(
                    {"peer": "pysot", "convention": "pysot", "kind": kind, "seed": seed, "values": values}
                )
            if kind in ("inside", "absent"):
                values = pysot_scores(pysot, drawn, True)
                cases.append(
                    {"peer": "pysot", "convention": "lasot", "kind": kind, "seed": seed, "values": values}
                )
            if kind in ("inside", "edges"):
                values = trackingnet_scores(devkit, drawn)
                cases.append(
                    {
                        "peer": "devkit",
                        "convention": "trackingnet",
                        "kind": kind,
                        "seed": seed,
                        "values": values,
                    }
                )
    path = Path(__file__).with_name("peers.json")
    path.write_text(
        json.dumps({"made_with": "tests/golden/make_peers.py", "cases": cases}, indent=None) + "\n"
    )


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
