"""Whether a weight file can be what its name says, seen from its structure alone; nothing in it is loaded or run."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rolo_bench.errors import DataError
from rolo_bench.fetch.archives import opened

# the first pickle of PyTorch's format before 1.6: its magic number 0x1950a86a20f9469cfc6c
LEGACY = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
SMALLEST = 1 << 14
"""Bytes below which nothing is a detector's network; the smallest one registered has 3 MB."""


def flaw(path: Path, kind: str) -> str:
    """What is wrong with a file of a kind (``.pth``, ``.weights``, ``.onnx``, ``.cfg``); empty if nothing is."""
    with path.open("rb") as file:
        head = file.read(1 << 12)
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return "a web page, no weights"
    if kind != ".cfg" and (size := path.stat().st_size) < SMALLEST:
        return f"{size} bytes, too short for weights"
    return _FLAWS[kind](path, head)


def _checkpoint(path: Path, head: bytes) -> str:
    if head.startswith(LEGACY):
        return ""
    try:
        with opened(path) as archive:
            names = archive.namelist()
    except DataError:
        names = []
    fine = head.startswith(b"PK") and any(name.endswith("/data.pkl") for name in names)
    return "" if fine else "no whole checkpoint of PyTorch"


def darknet_header(head: bytes) -> int:
    """Bytes of the header that Darknet weights begin with; 0 where they begin with something else."""
    major, minor = np.frombuffer(head, "<i4", 2).tolist()
    if not (0 <= major < 1000 and 0 <= minor < 1000):
        return 16 if unversioned(head) else 0
    return 20 if major * 10 + minor >= 2 else 16  # the count of images seen grew from 4 to 8 bytes


def unversioned(head: bytes) -> bool:
    """Whether Darknet weights are of before December 2015: three floats lie where the version came to lie.

    They are learning rate, momentum and decay. Read as integers they are far above 1000, by which Darknet knows files
    whose connected layers lie transposed.
    """
    floats = np.frombuffer(head, "<f4", 3)
    return bool(((floats > 1e-9) & (floats < 1)).all())


def _darknet(path: Path, head: bytes) -> str:
    header = darknet_header(head)
    if not header:
        return "without the header of Darknet weights"
    if path.stat().st_size % 4:
        return "no whole number of floats"
    values = np.memmap(path, "<f4", "r", header)
    sample = values[:: max(1, len(values) // 4096)]
    fine = np.isfinite(sample).all() and (sample != sample[0]).any()
    return "" if fine else "no Darknet weights (values that are not finite, or all the same)"


def _onnx(path: Path, head: bytes) -> str:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load_from_string(path.read_bytes())
    except (DecodeError, ValueError, TypeError):
        return "no readable ONNX file"
    whole = model.graph.node and model.graph.initializer and model.opset_import  # the last stands at the end
    return "" if whole else "no whole network in ONNX form"


def _cfg(path: Path, head: bytes) -> str:
    lines = (line.strip() for line in head.decode("utf-8", "replace").splitlines())
    first = next((line for line in lines if line and line[0] not in "#;"), "")
    return "" if first.lower() in ("[net]", "[network]") else "no Darknet cfg, it does not start with [net]"


_FLAWS = {".pth": _checkpoint, ".weights": _darknet, ".onnx": _onnx, ".cfg": _cfg}
