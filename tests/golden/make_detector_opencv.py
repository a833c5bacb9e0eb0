"""Record what OpenCV 4's Darknet importer finds with yolo-nano-voc on 20 frames: numbers only, no images.

OpenCV 5 reads no Darknet files, so this runs in an environment of its own, without rolo_bench:

    python -m venv cv4 && cv4/bin/pip install "opencv-python-headless<5" numpy
    cv4/bin/python tests/golden/make_detector_opencv.py ../shared tests/golden/detector_yolo_nano_voc_opencv4.json

OpenCV drops class scores below 0.2 unless the cfg says otherwise, so ``thresh`` is added to its [yolo] layers.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np

SIZE, THRESHOLD, NMS = 416, 0.05, 0.45
FRAMES = (
    "otb/Bird1/img/0040.jpg",
    "otb/Car4/img/0300.jpg",
    "otb/CarDark/img/0010.jpg",
    "otb/CarScale/img/0160.jpg",
    "otb/Couple/img/0001.jpg",
    "otb/Diving/img/0120.jpg",
    "otb/Dog/img/0030.jpg",
    "otb/Human7/img/0200.jpg",
    "otb/Human9/img/0150.jpg",
    "otb/Suv/img/0500.jpg",
    "otb/Woman/img/0400.jpg",
    "train/Basketball/img/0100.jpg",
    "train/Biker/img/0020.jpg",
    "train/Bird2/img/0050.jpg",
    "train/Bolt/img/0150.jpg",
    "train/Car1/img/0250.jpg",
    "train/Crossing/img/0060.jpg",
    "train/Jogging-1/img/0100.jpg",
    "train/MotorRolling/img/0080.jpg",
    "train/RedTeam/img/0200.jpg",
)


def detect(net: cv2.dnn.Net, image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes ``(D, 4)`` x, y, w, h in pixels, scores and classes after class-wise suppression, best first."""
    height, width = image.shape[:2]
    net.setInput(cv2.dnn.blobFromImage(image, 1 / 255.0, (SIZE, SIZE), swapRB=True, crop=False))
    rows = np.concatenate(net.forward(net.getUnconnectedOutLayersNames())).astype(np.float64)
    scores, classes = rows[:, 5:].max(axis=1), rows[:, 5:].argmax(axis=1)
    keep = scores >= THRESHOLD
    rows, scores, classes = rows[keep], scores[keep], classes[keep]
    boxes = np.hstack([rows[:, :2] - rows[:, 2:4] / 2, rows[:, 2:4]]) * [width, height, width, height]
    index = cv2.dnn.NMSBoxesBatched(boxes.tolist(), scores.tolist(), classes.tolist(), THRESHOLD, NMS)
    index = sorted(np.asarray(index, dtype=int).ravel().tolist(), key=lambda i: -scores[i])
    return boxes[index], scores[index], classes[index]


def main(shared: Path, target: Path) -> None:
    """Run the network on every frame and write the numbers."""
    stem = shared / "weights" / "MobileNetV2-YOLOv3-Nano-voc"
    cfg = stem.with_suffix(".cfg").read_text().replace("[yolo]\n", "[yolo]\nthresh=0.001\n")
    weights = stem.with_suffix(".weights").read_bytes()
    net = cv2.dnn.readNetFromDarknet(np.frombuffer(cfg.encode(), np.uint8), np.frombuffer(weights, np.uint8))
    frames = []
    for name in FRAMES:
        boxes, scores, classes = detect(net, cv2.imread(str(shared / "data" / name)))
        frames.append(
            {
                "frame": name,
                "boxes": np.round(boxes, 4).tolist(),
                "scores": np.round(scores, 7).tolist(),
                "classes": classes.tolist(),
            }
        )
    made = {
        "command": f"python tests/golden/{Path(__file__).name} ../shared tests/golden/{target.name}",
        "opencv": cv2.__version__,
        "size": SIZE,
        "threshold": THRESHOLD,
        "nms": NMS,
        "frames": frames,
    }
    target.write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
