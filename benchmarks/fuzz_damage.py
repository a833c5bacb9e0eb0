"""How inputs of the fuzzer are damaged: by the structure that they have, and by bytes."""

from __future__ import annotations

import json
import random
from contextlib import suppress

NUMBERS = (
    "0", "-0", "1", "-1", "1e9", "1e-9", "1e15", "1e16", "9007199254740993", "0.1", ".5", "5.", "1e400", "-1e400",
    "nan", "NaN", "inf", "-inf", "1_0", "0x10", "1,5", "٣", "1e5", "007", "2147483648", "4294967295", "9" * 20,
    "9" * 400, "1.7976931348623157e308", "4.9e-324", "-3", "0.30000000000000004", "1e", "1.2.3", "--1", "+1", "true",
    "null", "None", "x", "m", "M", "", " ", "1 2",
)  # fmt: skip
WHOLE = (
    0, 1, 2, 3, 4, 7, 8, 15, 16, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**63,
)  # fmt: skip
SEPARATORS = (",", ";", "\t", " ", ", ", "  ", "|", ",,")


def lines_of(data: bytes) -> list[str]:
    """The lines of a text, whatever its bytes."""
    return data.decode("utf-8", "surrogateescape").split("\n")


def damage_text(data: bytes, rng: random.Random) -> bytes:
    """Rows and cells lost, doubled, spoilt or exchanged; other separators, ends of lines and encodings."""
    lines = lines_of(data)
    at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    separator = next((s for s in ",;\t" if s in lines[at]), None)
    cells = lines[at].split(separator)
    deed = rng.randrange(13)
    if deed == 0:
        del lines[at]
    elif deed == 1:
        lines.insert(other, lines[at])
    elif deed == 2:
        lines[at], lines[other] = lines[other], lines[at]
    elif deed == 3:
        lines.insert(at, "")
    elif deed <= 6 and cells:
        cells[rng.randrange(len(cells))] = rng.choice(NUMBERS)
        lines[at] = (separator or " ").join(cells)
    elif deed == 7 and cells:
        del cells[rng.randrange(len(cells))]
        lines[at] = (separator or " ").join(cells)
    elif deed == 8:
        new = rng.choice(SEPARATORS)
        lines = [new.join(line.split(separator)) for line in lines] if rng.random() < 0.5 else lines
        lines[at] = new.join(lines[at].split(separator))
    elif deed == 9 and cells:
        lines[at] = (separator or " ").join([*cells, rng.choice(cells)])
    elif deed == 10:
        lines = [line + rng.choice(("\r", " ", "")) for line in lines]
    text = "\n".join(lines)
    if deed == 11:
        text = text[: rng.randrange(len(text) + 1)]
    if deed == 12:
        coding = rng.choice(("utf-16", "utf-8-sig", "utf-16-le", "latin-1", "utf-32"))
        return text.encode(coding, "replace")
    return text.encode("utf-8", "surrogateescape")


def damage_bytes(data: bytes, rng: random.Random) -> bytes:
    """Bits turned, whole numbers of 1 to 8 bytes put in, parts lost, doubled or cut."""
    out = bytearray(data)
    at = rng.randrange(len(out)) if out else 0
    deed = rng.randrange(6)
    if deed == 0 and out:
        out[at] ^= 1 << rng.randrange(8)
    elif deed <= 2:
        width = rng.choice((1, 2, 4, 8))
        value = rng.choice(WHOLE) % (1 << 8 * width)
        out[at : at + width] = value.to_bytes(width, rng.choice(("little", "big")))
    elif deed == 3:
        del out[at : at + rng.choice((1, 2, 4, 8, 16, 64))]
    elif deed == 4:
        out[at:at] = out[at : at + rng.choice((1, 4, 8, 32))]
    else:
        del out[at:]
    return bytes(out)


def damage_json(data: bytes, rng: random.Random) -> bytes:
    """One value of a JSON text exchanged, lost or doubled; what is no JSON is damaged as text."""
    try:
        whole = [json.loads(data)]
    except (ValueError, RecursionError):
        return damage_text(data, rng)
    places: list[tuple[dict | list, str | int]] = []
    todo: list[dict | list] = [whole]
    while todo:
        node = todo.pop()
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            places.append((node, key))  # type: ignore[arg-type]
            if isinstance(node[key], dict | list):  # type: ignore[index]
                todo.append(node[key])  # type: ignore[index]
    node, key = rng.choice(places)
    deed = rng.randrange(5)
    if deed == 0 and node is not whole:
        del node[key]  # type: ignore[arg-type]
    elif deed == 1:
        other, its = rng.choice(places)
        with suppress(IndexError, KeyError):  # a part of what was taken out
            node[key] = json.loads(json.dumps(other[its]))  # type: ignore[index]
    elif deed == 2 and isinstance(node, list):
        node.insert(rng.randrange(len(node) + 1), node[key])  # type: ignore[index]
    else:
        odd = (
            None,
            True,
            0,
            -1,
            1.5,
            1e300,
            2**70,
            "",
            "x",
            "\ud800",
            "nan",
            [],
            [[]],
            {},
            [1, 2, 3, 4],
            float("nan"),
        )
        node[key] = rng.choice(odd)  # type: ignore[index]
    if rng.random() < 0.05:
        return damage_text(json.dumps(whole[0]).encode(), rng)
    return json.dumps(whole[0], indent=rng.choice((None, 1))).encode()
