"""Record what OpenCV 4's Darknet importer makes of [crop] and [connected] in two small networks.

OpenCV 5 reads no Darknet files, so this runs in an environment of its own, without rolo_bench:

    python -m venv cv4 && cv4/bin/pip install "opencv-python-headless<5" numpy
    cv4/bin/python tests/golden/make_darknet_v1_opencv.py tests/golden/darknet_v1_opencv4.json

Weights and image are a sine and a cosine, which the test makes again. OpenCV knows neither [local] nor files whose
connected layers lie transposed, and it loses the weights of what follows a [crop].
"""

from __future__ import annotations

import json
import struct
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

NET = "[net]\nwidth=12\nheight=12\nchannels=3\n"
CFGS = {
    "crop": NET + "[crop]\ncrop_width=5\ncrop_height=4\nflip=0\nangle=0\nsaturation=1.5\nexposure=1.5\n",
    "connected": NET + "[convolutional]\nfilters=4\nsize=3\nstride=1\npad=1\nactivation=leaky\n"
    "[maxpool]\nsize=2\nstride=2\n[connected]\noutput=9\nactivation=leaky\n"
    "[connected]\noutput=13\nactivation=linear\n",
}
FLOATS = {"crop": 0, "connected": 4 + 108 + 9 + 9 * 144 + 13 + 13 * 9}


def main(out: Path) -> None:
    """Run each network on the same image and write what comes out."""
    image = (np.cos(np.arange(432)) / 2 + 0.5).astype(np.float32).reshape(1, 3, 12, 12)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        cfg, weights = Path(folder, "n.cfg"), Path(folder, "n.weights")
        for name, text in CFGS.items():
            cfg.write_text(text)
            values = (np.sin(np.arange(FLOATS[name])) / 4).astype("<f4")
            weights.write_bytes(struct.pack("<iiii", 0, 1, 0, 0) + values.tobytes())
            network = cv2.dnn.readNetFromDarknet(str(cfg), str(weights))
            network.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
            network.setInput(image)
            values = network.forward()
            found[name] = {"cfg": text, "floats": FLOATS[name], "shape": list(values.shape[1:]),
                           "output": [round(float(v), 6) for v in values.ravel()]}  # fmt: skip
    out.write_text(json.dumps({"opencv": cv2.__version__, "networks": found}, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
