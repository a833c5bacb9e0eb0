"""Weight files of ROLO."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import torch

from rolo_bench.errors import UsageError, did_you_mean
from rolo_bench.files import write_atomic
from rolo_bench.folders import shipped_folder
from rolo_bench.nn.detect.weight_file import pack, unpack, usable
from rolo_bench.nn.rolo.config import RoloConfig
from rolo_bench.nn.rolo.network import Rolo

FORMAT = "rolo-1"
# Settings that make another network.
FIXED = ("form", "feature_size", "projection", "hidden", "confidence", "judge", "motion", "place", "likeness")


def save_rolo(network: Rolo, path: Path, about: dict[str, Any] | None = None, half: bool = True) -> None:
    """Write weights with their configuration and what is known about their training, as safetensors."""
    kind = torch.float16 if half else torch.float32
    tensors = {k: v.to(kind) for k, v in network.state_dict().items()}
    write_atomic(path, pack(tensors, FORMAT, config=asdict(network.config), about=about or {}))


def load_rolo(path: str | Path, **changes: Any) -> tuple[Rolo, dict[str, Any]]:
    """A network in evaluation mode and the notes on its training.

    Args:
        path: a file that `save_rolo` wrote.
        changes: settings of `RoloConfig` to use in place of those it was trained with; None keeps.

    Raises:
        WeightsError: no such file, damaged, or not a ROLO network.
        UsageError: a change that makes another network, or an unknown setting.
    """
    path, known = Path(path), {f.name for f in fields(RoloConfig)}
    unknown = sorted({*changes} - known)
    if unknown:
        raise UsageError(f"rolo has no setting {unknown[0]!r}{did_you_mean(unknown[0], sorted(known))}")
    with usable(path, "ROLO weights", "train them with `rolo-bench train tracker`"):
        tensors, notes = unpack(path, FORMAT)
        try:
            stored = RoloConfig(**notes["config"])  # a setting that is not known would change what it does
        except UsageError as error:  # of the file, not of the caller
            raise ValueError(str(error)) from None
        network = Rolo(stored)
        network.load_state_dict(tensors)
    given = {k: v for k, v in changes.items() if v is not None}
    fixed = [k for k in FIXED if given.get(k, getattr(stored, k)) != getattr(stored, k)]
    if fixed:
        raise UsageError(
            f"{fixed[0]} of a network is fixed when it is trained; {path.name} has {getattr(stored, fixed[0])!r}"
        )
    network.config = replace(stored, **given)
    return network.eval(), notes.get("about", {})


def network_path(name: str | None, detector: str, variant: str = "default") -> Path:
    """The weights file of a ROLO: a file or the name of one that comes along, or that of a detector and a variant.

    Where none comes along for the detector it is the one for any; scenes of the generator need the demo detector's own.

    Raises:
        UsageError: there is none.
    """
    if name is not None:
        return Path(name) if Path(name).suffix == ".safetensors" else shipped_path(name)
    if variant == "paper":
        raise UsageError(
            "the paper's network is too large to come along; make it with `rolo-bench train tracker --paper-size` "
            "and give it as -o network=FILE"
        )
    ending = "" if variant == "default" else f"-{variant}"
    own = shipped_folder() / f"rolo-{detector}{ending}.safetensors"
    return own if own.is_file() else shipped_path(own.stem if detector == "demo" else f"rolo{ending}")


def shipped_path(name: str) -> Path:
    """Where weights that come with rolo-bench lie, by name (``rolo-demo``).

    Raises:
        UsageError: unknown name; the message lists the known ones.
    """
    folder = shipped_folder()
    path = folder / f"{name}.safetensors"
    if not path.is_file():
        if Path(name).is_file():
            raise UsageError(f"{name}: weights of ROLO are a .safetensors file of `rolo-bench train tracker`")
        known = sorted(p.stem for p in folder.glob("rolo*.safetensors") if "plus" not in p.stem)
        raise UsageError(
            f"no ROLO weights {name!r} come with rolo-bench{did_you_mean(name, known, 'or give a file')}"
        )
    return path
