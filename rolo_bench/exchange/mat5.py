"""A strict reader of MATLAB 5 files, for the few types that result files hold.

scipy's reader is built for files that are what they say; a damaged one can end the whole process. Here every
size is checked against what contains it, every compressed part against its Adler-32 checksum, and every array's
shape against its number of values. Cells become lists, structs lists of dictionaries, text ``str``, numbers arrays.

Source: "MAT-File Format", The MathWorks, level 5.
"""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rolo_bench.errors import DataError

LARGEST = 256 << 20
DEEPEST = 12
NUMERIC = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
TEXT = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
MATRIX, COMPRESSED = 14, 15
CELL, STRUCT, CHAR = 1, 2, 4
NUMBERS = range(6, 16)
UNSUPPORTED = object()
"""Stands for a value of a class that result files do not hold (sparse, function, object)."""


@dataclass
class _Cursor:
    """A position in a block of bytes, and the byte order; `take` never goes past the end."""

    data: memoryview
    order: str
    at: int = 0

    def left(self) -> int:
        return len(self.data) - self.at

    def take(self, count: int) -> memoryview:
        if count > self.left():
            raise _Damage
        self.at += count
        return self.data[self.at - count : self.at]

    def element(self) -> tuple[int, memoryview]:
        """Type and contents of the next data element, past its padding."""
        first = struct.unpack(self.order + "I", self.take(4))[0]
        if first >> 16:  # the small form: type and size in four bytes, contents in four
            size = first >> 16
            if size > 4:
                raise _Damage
            return first & 0xFFFF, self.take(4)[:size]
        size = struct.unpack(self.order + "I", self.take(4))[0]
        content = self.take(size)
        if first != COMPRESSED:
            self.take(min(-size % 8, self.left()))
        return first, content


class _Damage(Exception):
    """The bytes are not what the format says."""


def read_variables(data: bytes, path: Path, names: tuple[str, ...]) -> dict[str, Any]:
    """Variables of a file by name; those that are not asked for are checked for size alone and given as None.

    Args:
        data: the file's contents.
        path: for messages.
        names: the variables to read.

    Raises:
        DataError: not a MATLAB 5 file, cut off or damaged.
    """
    order = _byte_order(data, path)
    cursor = _Cursor(memoryview(data), order, 128)
    found: dict[str, Any] = {}
    total = 0
    while cursor.left():
        place = cursor.at
        try:
            kind, content = cursor.element()
            if kind == COMPRESSED:
                content = _inflate(content, LARGEST - total)
                total += len(content)
                inner = _Cursor(content, order)
                kind, content = inner.element()
                if inner.left():
                    raise _Damage
            if kind != MATRIX:
                raise _Damage
            name, value = _matrix(_Cursor(content, order), 0, names)
        except _Damage:
            raise DataError(f"{path}: cut off or damaged at byte {place}") from None
        if name in found:
            raise DataError(f"{path}: holds the variable {name!r} twice")
        found[name] = value
    return found


def _byte_order(data: bytes, path: Path) -> str:
    if data[:8] == b"\x89HDF\r\n\x1a\n" or data[512:520] == b"\x89HDF\r\n\x1a\n":
        raise DataError(f"{path}: a MATLAB 7.3 (HDF5) file; save it again with -v7")
    order = {b"IM": "<", b"MI": ">"}.get(data[126:128])
    if len(data) < 136 or order is None or 0 in data[:4]:
        raise DataError(f"{path}: not a MATLAB 5 file")
    if struct.unpack(order + "H", data[124:126])[0] != 0x0100:
        raise DataError(f"{path}: an unknown version of MATLAB file; save it again with -v7")
    return order


def _inflate(data: memoryview, limit: int) -> memoryview:
    """A compressed part, unpacked in full so that its checksum is compared."""
    engine = zlib.decompressobj()
    try:
        content = engine.decompress(data, limit + 1)
    except zlib.error:
        raise _Damage from None
    if len(content) > limit or not engine.eof or engine.unused_data:
        raise _Damage
    return memoryview(content)


def _matrix(cursor: _Cursor, depth: int, wanted: tuple[str, ...] | None = None) -> tuple[str, Any]:
    """Name and value of a matrix element; nothing may be left over."""
    if not cursor.left():
        return "", np.zeros((0, 0))  # how MATLAB writes an empty field
    if depth > DEEPEST:
        raise _Damage
    kind, content = cursor.element()
    if kind != 6 or len(content) != 8:
        raise _Damage
    flags = struct.unpack(cursor.order + "I", content[:4])[0]
    number, is_complex = flags & 0xFF, bool(flags & 0x0800)
    kind, content = cursor.element()
    if kind != 5 or len(content) % 4 or not 8 <= len(content) <= 32:
        raise _Damage
    shape = struct.unpack(f"{cursor.order}{len(content) // 4}i", content)
    if min(shape) < 0:
        raise _Damage
    kind, content = cursor.element()
    if kind not in (1, 2):
        raise _Damage
    name = bytes(content).decode("latin-1")
    if wanted is not None and name not in wanted:
        return name, None
    if number in NUMBERS:
        value: Any = _numbers(cursor, shape)
        if is_complex:
            value = value + 1j * _numbers(cursor, shape)
    elif number == CHAR:
        value = _text(cursor, shape)
    elif number in (CELL, STRUCT):
        value = _container(cursor, shape, number, depth)
    else:
        return name, UNSUPPORTED
    if cursor.left():
        raise _Damage
    return name, value


def _numbers(cursor: _Cursor, shape: tuple[int, ...]) -> np.ndarray:
    """An array of numbers as float64, whatever integer type they were stored in."""
    kind, content = cursor.element()
    if kind not in NUMERIC:
        raise _Damage
    dtype = np.dtype(cursor.order + NUMERIC[kind])
    if len(content) != dtype.itemsize * math.prod(shape):
        raise _Damage
    return np.frombuffer(content, dtype=dtype).astype(np.float64).reshape(shape, order="F")


def _text(cursor: _Cursor, shape: tuple[int, ...]) -> str:
    if not cursor.left() and not math.prod(shape):
        return ""
    kind, content = cursor.element()
    if kind not in TEXT:
        raise _Damage
    width = {"utf-16": "-le", "utf-32": "-le"} if cursor.order == "<" else {"utf-16": "-be", "utf-32": "-be"}
    coding = TEXT[kind] + width.get(TEXT[kind], "")
    try:
        text = bytes(content).decode(coding)
    except UnicodeDecodeError:
        raise _Damage from None
    if len(text) != math.prod(shape):
        raise _Damage
    return text if shape[0] <= 1 else "\n".join(text[i :: shape[0]] for i in range(shape[0]))


def _container(cursor: _Cursor, shape: tuple[int, ...], number: int, depth: int) -> list[Any]:
    """Cells as a list of values, structs as a list of dictionaries, in MATLAB's order."""
    fields = _field_names(cursor) if number == STRUCT else [""]
    count = math.prod(shape)
    if count * len(fields) * 8 > cursor.left():  # each member takes at least its tag
        raise _Damage
    items = []
    for _ in range(count):
        members = {}
        for field in fields:
            kind, content = cursor.element()
            if kind != MATRIX:
                raise _Damage
            members[field] = _matrix(_Cursor(content, cursor.order), depth + 1)[1]
        items.append(members if number == STRUCT else members[""])
    return items


def _field_names(cursor: _Cursor) -> list[str]:
    kind, content = cursor.element()
    if kind != 5 or len(content) != 4:
        raise _Damage
    size = struct.unpack(cursor.order + "i", content)[0]
    kind, content = cursor.element()
    if kind not in (1, 2) or not 0 < size <= 256 or len(content) % size:
        raise _Damage
    raw = bytes(content)
    names = [raw[i : i + size].split(b"\0", 1)[0].decode("latin-1") for i in range(0, len(raw), size)]
    if len(set(names)) != len(names) or not all(names) or any(raw[size - 1 :: size]):  # each ends with a zero
        raise _Damage
    return names
