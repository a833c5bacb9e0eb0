"""Weight files that say what they are: tensors with a format, settings and notes, as safetensors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from rolo_bench.errors import WeightsError


def pack(tensors: dict[str, Tensor], format_: str, **notes: Any) -> bytes:
    """The file as bytes; notes are kept as JSON."""
    metadata = {"format": format_, **{k: json.dumps(v, sort_keys=True) for k, v in notes.items()}}
    return save({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, metadata)


@contextmanager
def usable(path: Path, what: str, remedy: str) -> Iterator[None]:
    """Whatever goes wrong inside means that the file is not what it should be.

    Raises:
        WeightsError: says that the file is missing or not ``what``, and the ``remedy``.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such weight file; {remedy}")
    try:
        yield
    except (
        SafetensorError,
        OSError,
        LookupError,
        AttributeError,
        TypeError,
        ValueError,
        RuntimeError,
    ) as error:
        line = (str(error).splitlines() or [""])[0][:100]
        raise WeightsError(f"{path}: damaged or not {what} ({line}); {remedy}") from None


def unpack(path: Path, format_: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors in float32 and notes of a file of that format; to be called inside `usable`.

    Raises:
        ValueError: another format, or values that are not finite.
    """
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        tensors = {k: file.get_tensor(k).float() for k in file.keys()}  # noqa: SIM118 - not a mapping
    if metadata.get("format") != format_:
        raise ValueError(f"format {metadata.get('format')!r}, not {format_!r}")
    if not all(bool(torch.isfinite(t).all()) for t in tensors.values()):
        raise ValueError("holds values that are not finite")
    return tensors, {k: json.loads(v) for k, v in metadata.items() if k != "format"}
