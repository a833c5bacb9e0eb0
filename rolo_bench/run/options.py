"""Options of trackers and detectors, held to what was declared."""

from __future__ import annotations

import inspect
import os
import re
import types
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from rolo_bench.errors import UsageError, did_you_mean
from rolo_bench.files import is_path


def declared(cls: type, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """What kind of value each keyword of a constructor takes: as annotated; ``bool`` by its default, too; else Any."""
    try:
        hints = get_type_hints(cls.__init__)  # type: ignore[misc]
    except Exception:  # the annotations are the plugin's own code, and may name what is not there at run time
        hints = {}
    return {name: hints.get(name, bool if isinstance(v, bool) else Any) for name, v in defaults.items()}


def names_file(text: str) -> bool:
    """Whether a text among the options means a file: there is one, and it is written with an ending or a folder."""
    return is_path(text) and bool(Path(text).suffix or os.sep in text) and Path(text).is_file()


def in_texts(value: Any, change: Callable[[str], str]) -> Any:
    """The value of an option with each text in it changed, also within lists, tuples and the values of dictionaries."""
    if isinstance(value, str):
        return change(value)
    if type(value) in (list, tuple):
        return type(value)(in_texts(v, change) for v in value)
    if type(value) is dict:
        return {k: in_texts(v, change) for k, v in value.items()}
    return value


def check_options(
    whose: str, kinds: Mapping[str, Any], given: Mapping[str, Any], others: bool = False
) -> None:
    """Refuse options that are not there, and values of another kind than declared.

    Args:
        whose: begins the message, such as ``tracker yolo``.
        kinds: by option what it takes: ``bool``, ``int``, ``float``, ``str``, None, Literal and unions of them;
            what is declared as anything else is not looked at.
        others: whether options that are not among ``kinds`` pass.

    Raises:
        UsageError: such an option; the message names it, what was expected and what was given.
    """
    for name, value in given.items():
        if name not in kinds:
            if not others:
                raise UsageError(f"{whose}: unknown option {name!r}{did_you_mean(name, kinds)}")
        elif not _fits(value, kinds[name]):
            raise UsageError(f"{whose}: option {name} must be {_words(kinds[name])}, not {value!r}")


def described(cls: type) -> dict[str, str]:
    """What the docstring of a class says of each option, in its section ``Args`` or ``Attributes``."""
    lines = (inspect.getdoc(cls) or "").splitlines()
    begin = next((i for i, line in enumerate(lines, 1) if line in ("Args:", "Attributes:")), len(lines))
    found: dict[str, str] = {}
    current: tuple[str, ...] = ()
    for line in lines[begin:]:
        if line and not line.startswith(" "):
            break
        head = re.match(r"    (?! )\**([\w, *]+?): (.*)", line)
        if head:
            current = tuple(name.strip(" *") for name in head[1].split(","))
            found |= dict.fromkeys(current, head[2])
        elif line.strip():
            found |= {name: f"{found[name]} {line.strip()}" for name in current}
    return found


KINDS: dict[Any, tuple[str, Callable[[Any], bool]]] = {
    bool: ("true or false", lambda v: isinstance(v, bool)),
    int: ("a whole number", lambda v: isinstance(v, Integral) and not isinstance(v, bool)),
    float: ("a number", lambda v: isinstance(v, Real) and not isinstance(v, bool)),
    str: ("a text", lambda v: isinstance(v, str)),
    type(None): ("None", lambda v: v is None),
}


def _parts(kind: Any) -> tuple[Any, ...]:
    """The members of a union; any other kind is the only member of itself."""
    return get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value is of a declared kind, as far as can be told."""
    return any(
        value in get_args(part) if get_origin(part) is Literal else part not in KINDS or KINDS[part][1](value)
        for part in _parts(kind)
    )


def _words(kind: Any) -> str:
    """A declared kind for people: ``a number or None``."""
    words = [
        f"one of {', '.join(map(str, get_args(part)))}" if get_origin(part) is Literal else KINDS[part][0]
        for part in _parts(kind)
    ]
    return " or ".join(words)
