"""Weight files of ROLO."""

from __future__ import annotations

import json
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import torch

from rolo_bench.errors import UsageError, WeightsError
from rolo_bench.files import write_atomic
from rolo_bench.folders import shipped_folder
from rolo_bench.nn.rolo.config import RoloConfig
from rolo_bench.nn.rolo.network import Rolo

FORMAT = "rolo-1"


def save_rolo(network: Rolo, path: Path, about: dict[str, Any] | None = None, half: bool = True) -> None:
    """Write weights with their configuration and what is known about their training, as safetensors."""
    from safetensors.torch import save

    kind = torch.float16 if half else torch.float32
    tensors = {k: v.detach().to(kind).contiguous().cpu() for k, v in network.state_dict().items()}
    metadata = {
        "format": FORMAT,
        "config": json.dumps(asdict(network.config), sort_keys=True),
        "about": json.dumps(about or {}, sort_keys=True),
    }
    write_atomic(path, save(tensors, metadata))


def load_rolo(path: str | Path, **changes: Any) -> tuple[Rolo, dict[str, Any]]:
    """A network in evaluation mode and the notes on its training.

    Args:
        path: a file that `save_rolo` wrote.
        changes: settings of `RoloConfig` to use in place of those it was trained with; None keeps.

    Raises:
        WeightsError: no such file, damaged, or not a ROLO network.
        UsageError: a change that makes another network.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"{path}: no such ROLO weights; train them with `rolo-bench train tracker`")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {k: file.get_tensor(k).float() for k in file.keys()}  # noqa: SIM118 - not a mapping
        if metadata.get("format") != FORMAT:
            raise WeightsError(
                f"{path}: not ROLO weights (format {metadata.get('format')!r}, not {FORMAT!r})"
            )
        known = {f.name for f in fields(RoloConfig)}
        stored = {k: v for k, v in json.loads(metadata["config"]).items() if k in known}
        config = replace(RoloConfig(**stored), **{k: v for k, v in changes.items() if v is not None})
        if not all(bool(torch.isfinite(t).all()) for t in tensors.values()):
            raise WeightsError(f"{path}: holds values that are not finite; train the weights anew")
        network = Rolo(config)
        network.load_state_dict(tensors)
        about = json.loads(metadata.get("about", "{}"))
    except (SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise WeightsError(f"{path}: damaged or not ROLO weights: {str(error).splitlines()[0]}") from error
    return network.eval(), about


def shipped_path(name: str) -> Path:
    """Where weights that come with rolo-bench lie, by name (``rolo-yolox-nano``).

    Raises:
        UsageError: unknown name; the message lists the known ones.
    """
    folder = shipped_folder()
    path = folder / f"{name}.safetensors"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in folder.glob("rolo-*.safetensors"))) or "none"
        raise UsageError(f"no ROLO weights {name!r} come with rolo-bench; known: {known}, or give a file")
    return path
