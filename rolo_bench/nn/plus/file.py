"""Weight files of rolo-plus."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rolo_bench.errors import WeightsError
from rolo_bench.files import write_atomic
from rolo_bench.folders import shipped_folder
from rolo_bench.nn.plus.evidence import FEATURES
from rolo_bench.nn.plus.networks import Judge, Motion

FORMAT = "rolo-plus-1"


def save_plus(path: Path, judge: Judge, motion: Motion, about: dict[str, Any]) -> None:
    """Write both networks in float16 with the notes on their training, as safetensors."""
    from safetensors.torch import save

    parts = {"judge": judge, "motion": motion}
    tensors = {
        f"{part}.{key}": value.detach().half().contiguous()
        for part, module in parts.items()
        for key, value in module.state_dict().items()
    }
    metadata = {
        "format": FORMAT,
        "features": json.dumps(FEATURES),
        "about": json.dumps(about, sort_keys=True),
    }
    write_atomic(path, save(tensors, metadata))


def load_plus(path: Path) -> tuple[Judge, Motion]:
    """Both networks in evaluation mode.

    Raises:
        WeightsError: no such file, damaged, or not weights of rolo-plus.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise WeightsError(f"{path}: no such rolo-plus weights; train them with `rolo-bench train plus`")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {k: file.get_tensor(k).float() for k in file.keys()}  # noqa: SIM118 - not a mapping
        if metadata.get("format") != FORMAT or json.loads(metadata["features"]) != list(FEATURES):
            raise WeightsError(
                f"{path}: not weights of this rolo-plus; train them with `rolo-bench train plus`"
            )
        judge = Judge(hidden=len(tensors["judge.layers.0.bias"]))
        motion = Motion(hidden=tensors["motion.out.weight"].shape[1])
        for part, module in (("judge.", judge), ("motion.", motion)):
            module.load_state_dict(
                {k.removeprefix(part): v for k, v in tensors.items() if k.startswith(part)}
            )
    except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise WeightsError(f"{path}: damaged rolo-plus weights ({str(error).splitlines()[0][:80]})") from None
    return judge.eval().requires_grad_(False), motion.eval().requires_grad_(False)


def shipped_path(name: str) -> Path:
    """Where weights that come with the package lie."""
    return shipped_folder() / f"{name}.safetensors"
