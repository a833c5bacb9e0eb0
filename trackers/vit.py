"""OpenCV's ViT tracker; its network is a file of the user's."""

from __future__ import annotations

from pathlib import Path

from rolo_bench.errors import TrackerError
from rolo_bench.files import digest
from rolo_bench.run.opencv import OpenCVTracker, create


class Vit(OpenCVTracker):
    """OpenCV's ViT tracker.

    Args:
        model: the network as ONNX, such as ``object_tracking_vittrack_2023sep.onnx`` of OpenCV's model zoo.
    """

    def __init__(self, model: str = "") -> None:
        if not Path(model).is_file():
            raise TrackerError(
                f"{model or 'vit'}: needs its network; name the ONNX file with --option model=FILE "
                "(object_tracking_vittrack_2023sep.onnx of OpenCV's model zoo)"
            )
        self.weights_digests = {Path(model).name: digest(Path(model))}
        super().__init__(lambda: create("Vit", net=model))
