"""What a reader of scores must know: one note for each kind of fault, with all whom it concerns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

ROOM = 60
"""So many characters of names stand in a sentence; of more, their number."""


@dataclass(frozen=True)
class Note:
    """The same words about one or more things: ``before``, their names, ``after``.

    Attributes:
        about: names of those it concerns; empty where it is about everything.
        noun: what they are, in the plural, where their number stands for them.
    """

    after: str
    about: tuple[str, ...] = ()
    before: str = ""
    noun: str = "trackers"

    def __str__(self) -> str:
        return f"{self.before}{', '.join(self.about)}{self.after}"

    @property
    def head(self) -> str:
        """The sentence with the number of those it concerns in the place of more than `ROOM` characters."""
        return f"{self.before}{len(self.about)} {self.noun}{self.after}" if self.details else str(self)

    @property
    def details(self) -> tuple[str, ...]:
        """The names that `head` leaves out."""
        return self.about if len(self.about) > 1 and len(", ".join(self.about)) > ROOM else ()


def gathered(pairs: Iterable[tuple[str, str]]) -> list[Note]:
    """Notes from pairs of a name and what is said of it: names of which the same is said share one."""
    return joined(Note(words, (name,)) for name, words in pairs)


def joined(notes: Iterable[Note]) -> list[Note]:
    """Notes of which those that say the same of others are one."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for note in notes:
        groups.setdefault((note.after, note.before, note.noun), []).extend(note.about)
    return [
        Note(after, tuple(dict.fromkeys(names)), before, noun)
        for (after, before, noun), names in groups.items()
    ]


def shortened(names: Iterable[str], most: int = 6) -> str:
    """The first names of a list, and a sign where there are more."""
    listed = list(names)
    return ", ".join(listed[:most]) + " …" * (len(listed) > most)
