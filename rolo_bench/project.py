"""The project file: what would otherwise stand on every command line, kept beside the results.

``rolo-bench.toml``, or the table ``[tool.rolo-bench]`` of a ``pyproject.toml``, in the working folder. Options on the
command line come before it, environment variables after it. It sets options and how trackers are called and coloured,
nothing else: no result and no number depends on it but through the values that it gives.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from rolo_bench.errors import UsageError, did_you_mean

FILE, OTHER, TABLE = "rolo-bench.toml", "pyproject.toml", "rolo-bench"
COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True)
class Project:
    """What a project file says; None and empty where it says nothing.

    Attributes:
        path: the file; None where there is none.
        data, results: folders, as seen from the working folder.
        labels: names to show in the place of trackers' own, by tracker.
        colours: ``#rrggbb`` by tracker.
    """

    path: Path | None = None
    suite: str | None = None
    data: str | None = None
    results: str | None = None
    partial: bool | None = None
    convention: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    colours: Mapping[str, str] = field(default_factory=dict)


KEYS = tuple(f.name for f in fields(Project) if f.name != "path")
KINDS: dict[str, type] = {"partial": bool, "labels": dict, "colours": dict}  # the rest are texts
WORDS = {bool: "true or false", dict: "a table of trackers", str: "a text in quotes"}


ABOUT = {
    "suite": "a name (`rolo-bench list suites`), a folder of sequences, or a .csv table",
    "data": "folder of the videos",
    "results": "folder of the results",
    "partial": "take the sequences that are there",
    "convention": "scoring rule (docs/conventions.md)",
}
EXAMPLE = Project(
    None, "otb30", "~/otb", "results", True, "otb", {"rolo": "ROLO (ours)"}, {"rolo": "#d62728"}
)


def project_text(project: Project) -> str:
    """A project file that says what ``project`` says; the rest stands in it as comments.

    Raises:
        UsageError: a value that it may not have.
    """
    lines = ["# Options of rolo-bench in this folder; those on the command line come before them."]
    for key, about in ABOUT.items():
        value = getattr(project, key)
        mark, shown = ("# ", getattr(EXAMPLE, key)) if value is None else ("", value)
        lines.append(f"{mark}{key} = {_quoted(shown)}  # {about}")
    for key in ("labels", "colours"):
        table = getattr(project, key)
        mark, shown = ("", table) if table else ("# ", getattr(EXAMPLE, key))
        lines += ["", f"{mark}[{key}]"]
        lines += [f"{mark}{_quoted(tracker)} = {_quoted(word)}" for tracker, word in shown.items()]
    text = "\n".join(lines) + "\n"
    _checked(Path(FILE), tomllib.loads(text))
    return text


def _quoted(value: str | bool) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # which TOML asks for


def read_project(folder: str | os.PathLike[str] = ".") -> Project:
    """The project file of a folder, `FILE` before `OTHER`; empty where there is neither.

    Folders that begin with ``~`` lie in the home folder; relative ones of ``data`` and ``results`` in ``folder``.

    Raises:
        UsageError: it is not TOML, or a key or value is none that it may have; the message names it.
    """
    for path in (Path(folder) / FILE, Path(folder) / OTHER):
        try:
            table: Any = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            continue
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
            if path.name == OTHER:  # another tool's affair
                continue
            raise UsageError(f"{path}: not a TOML file: {error}") from None
        if path.name == OTHER:
            tools = table.get("tool")
            table = tools.get(TABLE) if isinstance(tools, dict) else None
            if table is None:
                continue
        return _checked(path, table)
    return Project()


def _checked(path: Path, table: Any) -> Project:
    if not isinstance(table, dict):
        raise UsageError(f"{path}: tool.{TABLE} must be a table, not {_kind(table)}")
    given: dict[str, Any] = {"path": path}
    for key, value in table.items():
        if key not in KEYS:
            raise UsageError(f"{path}: unknown key {key!r}{did_you_mean(key, KEYS)}")
        wanted = KINDS.get(key, str)
        if not isinstance(value, wanted) or value == "":
            raise UsageError(f"{path}: {key} must be {WORDS[wanted]}, not {_kind(value)}")
        if isinstance(value, str) and "\0" in value:
            raise UsageError(f"{path}: {key} holds a character that no name has, NUL")
        given[key] = value
    for key in {"labels", "colours"} & given.keys():
        for tracker, value in given[key].items():
            if not isinstance(value, str) or not value.strip():
                raise UsageError(f"{path}: {key}.{tracker} must be a text in quotes, not {_kind(value)}")
            if key == "colours" and not COLOUR.fullmatch(value):
                raise UsageError(f'{path}: colours.{tracker} must be written as "#1f77b4", not {value!r}')
    for key in {"suite", "data", "results"} & given.keys():
        place = os.path.expanduser(given[key])
        given[key] = place if key == "suite" else str(path.parent / place)
    return Project(**given)


def _kind(value: Any) -> str:
    """A value in words, for a message."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "a list"
    return repr(value) if value != "" else "an empty text"
