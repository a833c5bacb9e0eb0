"""Which font has a character: names in any script are legible in figures and pictures, or escaped."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any
from unicodedata import category

SHIPPED = {"DejaVu Sans": "DejaVuSans.ttf", "STIXGeneral": "STIXGeneral.ttf"}
"""Files of fonts that come with matplotlib, by family."""
SYMBOLS = ("Last Resort", "STIXSize", "STIXNon", "cm")
"""How families begin whose glyphs are no letters, or stand at other letters' places."""


@cache
def shipped(family: str = "DejaVu Sans") -> Path:
    """The file of a font that comes with matplotlib, which is not imported for it."""
    found: Any = importlib.util.find_spec("matplotlib")
    return Path(found.submodule_search_locations[0]) / "mpl-data" / "fonts" / "ttf" / SHIPPED[family]


@cache
def characters(path: Path) -> frozenset[int]:
    """Code points that a font file has glyphs for."""
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(str(path)).get_charmap())


@cache
def other_font(character: str) -> tuple[str, Path] | None:
    """Family and file of an upright font that has a character, a sans-serif of normal weight before others."""
    from matplotlib.font_manager import fontManager

    def far(entry: Any) -> tuple[bool, bool, str]:
        return entry.weight not in (400, "normal", "regular"), "Sans" not in entry.name, entry.name

    for entry in sorted(fontManager.ttflist, key=far):
        if entry.style != "normal" or entry.name.startswith(SYMBOLS):
            continue
        try:
            if ord(character) in characters(Path(entry.fname)):
                return entry.name, Path(entry.fname)
        except (OSError, RuntimeError):  # not a font that matplotlib can draw
            continue
    return None


def runs(text: str, family: str = "DejaVu Sans") -> list[tuple[str, str, Path]]:
    r"""A text in pieces ``(text, family, file)``, each of characters that its font has.

    What no installed font has, and what cannot be printed, is written as Python escapes it: ``\u4e2d``.
    """
    first = (family, shipped(family))
    pieces: list[tuple[str, str, Path]] = []
    for character in text:
        font: tuple[str, Path] | None = first
        drawn = category(character)[0] != "C"  # no control character, mark of direction or the like
        if drawn and not character.isascii() and ord(character) not in characters(first[1]):
            font = other_font(character)
        if font is None or not drawn:
            character, font = character.encode("unicode_escape").decode(), first
        if pieces and pieces[-1][1:] == font:
            pieces[-1] = (pieces[-1][0] + character, *font)
        else:
            pieces.append((character, *font))
    return pieces
