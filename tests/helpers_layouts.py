"""Made-up samples of every layout of data set: two targets that move on tiny images."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from rolo_bench.datasets.masks import encode

WIDTH, HEIGHT, FRAMES = 64, 48, 8
TRUTH = np.column_stack(
    [3 + 2.0 * np.arange(FRAMES), 14 + np.arange(FRAMES), np.full(FRAMES, 14.0), np.full(FRAMES, 12.0)]
)


def images(folder: Path, pattern: str = "{:04d}.jpg", numbers: range = range(1, FRAMES + 1)) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    picture = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    for n in numbers:
        assert cv2.imwrite(str(folder / pattern.format(n)), picture)


def write(path: Path, rows: np.ndarray | str, separator: str = ",") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not isinstance(rows, str):
        rows = "".join(separator.join(f"{v:.10g}" for v in row) + "\n" for row in rows)
    path.write_text(rows, encoding="utf-8")


def one_based(boxes: np.ndarray) -> np.ndarray:
    return boxes + [1, 1, 0, 0]


def otb(root: Path, boxes: np.ndarray) -> None:
    images(root / "Walk" / "img", numbers=range(1, len(boxes) + 1))
    write(root / "Walk" / "groundtruth_rect.txt", one_based(boxes))


def vot(root: Path, boxes: np.ndarray) -> None:
    images(root / "ball" / "color", "{:08d}.jpg", range(1, len(boxes) + 1))
    write(root / "ball" / "groundtruth.txt", boxes)
    write(root / "list.txt", "ball\n")


def vot_masks(root: Path, boxes: np.ndarray) -> None:
    vot(root, boxes)
    write(root / "ball" / "groundtruth.txt", "".join(encode(b) + "\n" for b in boxes))


def vots(root: Path, boxes: np.ndarray) -> None:
    vot(root, boxes)
    (root / "ball" / "groundtruth.txt").rename(root / "ball" / "groundtruth_1.txt")
    write(root / "ball" / "groundtruth_2.txt", boxes)


def got10k(root: Path, boxes: np.ndarray) -> None:
    folder = root / "GOT-10k_Val_000001"
    images(folder, "{:08d}.jpg", range(1, len(boxes) + 1))
    write(folder / "groundtruth.txt", one_based(boxes))
    write(folder / "cover.label", "8\n" * len(boxes))
    write(folder / "absence.label", "0\n" * len(boxes))
    write(folder / "meta_info.ini", f"[METAINFO]\nresolution: ({WIDTH}, {HEIGHT})\n")
    write(root / "list.txt", folder.name)


def lasot(root: Path, boxes: np.ndarray, flat: bool = False) -> None:
    folder = root / "cup-1" if flat else root / "cup" / "cup-1"
    images(folder / "img", "{:08d}.jpg", range(1, len(boxes) + 1))
    write(folder / "groundtruth.txt", one_based(boxes))
    write(folder / "full_occlusion.txt", ",".join("0" * len(boxes)))
    write(folder / "out_of_view.txt", ",".join("0" * len(boxes)))


def uav123(root: Path, boxes: np.ndarray) -> None:
    """A video of which nothing stands in the table, so that it is taken whole."""
    images(root / "data_seq" / "UAV123" / "plane", "{:06d}.jpg", range(1, len(boxes) + 1))
    write(root / "anno" / "UAV123" / "plane.txt", one_based(boxes))


def nfs(root: Path, boxes: np.ndarray) -> None:
    images(root / "toy" / "30" / "toy", "{:05d}.jpg", range(1, len(boxes) + 1))
    corners = np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]])
    rows = (f'0 {" ".join(f"{v:.10g}" for v in c)} {i} 0 0 1 "thing"\n' for i, c in enumerate(corners))
    write(root / "toy" / "30" / "toy.txt", "".join(rows))


def trackingnet(root: Path, boxes: np.ndarray) -> None:
    images(root / "frames" / "abc_0", "{}.jpg", range(len(boxes)))
    write(root / "anno" / "abc_0.txt", boxes)


def tc128(root: Path, boxes: np.ndarray) -> None:
    images(root / "Bike_ce2" / "img", numbers=range(75, 90 + len(boxes)))
    write(root / "Bike_ce2" / "Bike_ce2_gt.txt", one_based(boxes))
    write(root / "Bike_ce2" / "Bike_ce2_frames.txt", f"81,{80 + len(boxes)}")


def visdrone(root: Path, boxes: np.ndarray) -> None:
    images(root / "sequences" / "uav01", "img{:07d}.jpg", range(1, len(boxes) + 1))
    write(root / "annotations" / "uav01.txt", one_based(boxes))


def mot(root: Path, boxes: np.ndarray) -> None:
    images(root / "MOT-01" / "img1", "{:06d}.jpg", range(1, len(boxes) + 1))
    rows = [[i + 1, 3, *box, 1, 1, 1] for i, box in enumerate(one_based(boxes))]
    write(root / "MOT-01" / "gt" / "gt.txt", np.array(rows))


def davis(root: Path, boxes: np.ndarray) -> None:
    images(root / "JPEGImages" / "480p" / "dog", "{:05d}.jpg", range(len(boxes)))
    folder = root / "Annotations" / "480p" / "dog"
    folder.mkdir(parents=True)
    for i, (x, y, w, h) in enumerate(np.rint(boxes).astype(int)):
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[y : y + h, x : x + w] = 255
        assert cv2.imwrite(str(folder / f"{i:05d}.png"), mask)


def pysot(root: Path, boxes: np.ndarray) -> None:
    images(root / "Walk" / "img", numbers=range(1, len(boxes) + 1))
    rows = one_based(boxes).tolist()
    names = [f"Walk/img/{i:04d}.jpg" for i in range(1, len(boxes) + 1)]
    table = {"Walk": {"video_dir": "Walk", "init_rect": rows[0], "img_names": names, "gt_rect": rows}}
    write(root / "OTB.json", json.dumps(table))


SAMPLES: dict[str, tuple[str, Callable[[Path, np.ndarray], None]]] = {
    "otb": ("OTB", otb),
    "vot": ("VOT", vot),
    "vot-masks": ("VOT", vot_masks),
    "vots": ("VOT", vots),
    "got10k": ("GOT-10k", got10k),
    "lasot": ("LaSOT", lasot),
    "lasot-flat": ("LaSOT", lambda root, boxes: lasot(root, boxes, flat=True)),
    "uav123": ("UAV123", uav123),
    "nfs": ("NfS", nfs),
    "trackingnet": ("TrackingNet", trackingnet),
    "tc128": ("Temple-Color 128", tc128),
    "visdrone": ("VisDrone-SOT", visdrone),
    "mot": ("MOT", mot),
    "davis": ("DAVIS", davis),
    "pysot": ("pysot", pysot),
}
"""Samples by name: their layout, and what writes boxes ``(N, 4)`` as one."""
