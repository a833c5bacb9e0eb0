"""Errors that a user can act on, and the words that their messages share: what was meant, numbers of things.

Each message is one line: what is wrong, where, and what to do. The command line prints
the message without a traceback and exits with the class's code.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

MOST = 24
"""Names that a message lists; of more, so many and how many there are."""


class RoloBenchError(Exception):
    """Something failed; the message says what and how to go on, in one line that is safe on any terminal."""

    exit_code = 1

    def __str__(self) -> str:
        return "".join(c if c.isprintable() else " " for c in super().__str__())


class UsageError(RoloBenchError):
    """The request itself is wrong: an unknown name, option or combination."""

    exit_code = 2


class DataError(RoloBenchError):
    """A data, annotation or result file is missing, incomplete or malformed."""


class MissingError(DataError):
    """A file is not there at all: absent, not damaged."""


class WeightsError(RoloBenchError):
    """A weight file is missing, truncated, tampered with or of the wrong kind."""


class TrackerError(RoloBenchError):
    """A plugin, of a tracker or a detector, cannot be loaded, crashed, or broke the contract."""


def find_name(kind: str, name: str, known: Iterable[str], more: str = "", where: str = "") -> str:
    """The known name that is meant: as written, else the only one that differs in case, ``-`` and ``_`` alone.

    The rule is the same for trackers, suites, sequences, attributes, conventions, detectors, weights and tables.
    What is merely near is never taken, only asked about.

    Args:
        kind, where: what it names, and where that was looked for, for the message.
        more: what may be given besides the known names, for the message.

    Raises:
        UsageError: none or several; the message says which are near or, where none is, which there are.
    """
    names = list(known)
    found = same_name(name, names)
    if found is None:
        place = f" {where}" if where else ""
        raise UsageError(f"unknown {kind} {name!r}{place}{did_you_mean(name, names, more)}")
    return found


def same_name(name: str, known: Iterable[str]) -> str | None:
    """The known name that is the same by the rule of `find_name`; None where none is, or several are."""
    names = dict.fromkeys(known)
    same = [n for n in names if _plain(n) == _plain(name)]
    return name if name in names else same[0] if len(same) == 1 else None


def did_you_mean(name: str, known: Iterable[str], more: str = "") -> str:
    """The end of a message about an unknown name: ``; did you mean 'rolo'?``, or else what is known."""
    names = list(dict.fromkeys(known))
    if "," in name and all(same_name(part.strip(), names) for part in name.split(",")):
        return "; name them one by one, each with its option"
    plain: dict[str, list[str]] = {}
    for each in names:
        plain.setdefault(_plain(each), []).append(each)
    near = [n for match in get_close_matches(_plain(name), plain, 3, 0.7) for n in plain[match]]
    if near:
        return f"; did you mean {' or '.join(repr(n) for n in near[:3])}?"
    cut = f" … ({len(names)} in all)" if len(names) > MOST else ""
    return f"; known: {', '.join(names[:MOST]) or 'none'}{cut}{f', {more}' if more else ''}"


def _plain(name: str) -> str:
    return name.casefold().replace("_", "-")


def counted(number: int, noun: str, plural: str = "") -> str:
    """So many of something: ``1 sequence``, ``3 sequences``."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"
