"""Weight files of rolo-plus."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rolo_bench.errors import UsageError, did_you_mean
from rolo_bench.files import write_atomic
from rolo_bench.folders import shipped_folder
from rolo_bench.nn.detect.weight_file import pack, unpack, usable
from rolo_bench.nn.plus.evidence import FINE
from rolo_bench.nn.plus.networks import Judge, Motion

FORMAT = "rolo-plus-2"


def save_plus(path: Path, judge: Judge, fine: Judge, motion: Motion, about: dict[str, Any]) -> None:
    """Write the networks in float16 with the notes on their training, as safetensors."""
    tensors = {
        f"{part}.{key}": value.half()
        for part, module in (("judge", judge), ("fine", fine), ("motion", motion))
        for key, value in module.state_dict().items()
    }
    write_atomic(path, pack(tensors, FORMAT, features=FINE, about=about))


def load_plus(path: Path) -> tuple[Judge, Judge, Motion, dict[str, Any]]:
    """Judge, judge of fine candidates, and LSTM in evaluation mode, and the notes on their training.

    Raises:
        WeightsError: no such file, damaged, or not weights of this rolo-plus.
    """
    with usable(path, "weights of this rolo-plus", "train them with `rolo-bench train plus`"):
        tensors, notes = unpack(path, FORMAT)
        if notes["features"] != list(FINE):
            raise ValueError("made for other evidence")
        judge = Judge(hidden=len(tensors["judge.layers.0.bias"]))
        fine = Judge(len(FINE), len(tensors["fine.layers.0.bias"]))
        motion = Motion(hidden=tensors["motion.out.weight"].shape[1])
        for part, module in (("judge.", judge), ("fine.", fine), ("motion.", motion)):
            module.load_state_dict(
                {k.removeprefix(part): v for k, v in tensors.items() if k.startswith(part)}
            )
            module.eval().requires_grad_(False)
    return judge, fine, motion, notes.get("about", {})


def network_path(name: str | None, detector: str) -> Path | None:
    """The weights file of a rolo-plus: a file or the name of one that comes along, or that of a detector.

    None for ``none``, and where none comes along for the detector.

    Raises:
        UsageError: unknown name; the message lists the known ones.
    """
    if name == "none" or (name and Path(name).suffix == ".safetensors"):
        return None if name == "none" else Path(name)
    folder = shipped_folder()
    path = folder / f"{name or f'rolo-plus-{Path(detector).stem}'}.safetensors"
    if path.is_file():
        return path
    if name is None:
        return None
    known = [*sorted(p.stem for p in folder.glob("rolo-plus*.safetensors")), "none"]
    raise UsageError(
        f"no rolo-plus weights {name!r} come with rolo-bench{did_you_mean(name, known, 'or give a file')}"
    )
