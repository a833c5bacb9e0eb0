"""What all pages share: one file each, that loads nothing, with a content policy that allows only what is in it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

CIVIDIS = ((0, 34, 78), (65, 77, 107), (124, 123, 120), (187, 172, 106), (254, 232, 56))
"""Five points of matplotlib's cividis: readable with every kind of colour vision, and in grey."""
LEVELS = 20
"""Shades of a heat table between 0 and 1."""


@dataclass(frozen=True)
class Cell:
    """One coloured cell of a table: its number, its shade (0 … `LEVELS`, None for none), and whether it is the best."""

    value: str
    level: int | None
    best: bool


def shade(value: float) -> tuple[str, str]:
    """Background and ink for a score of 0 … 1; NaN is white."""
    if not np.isfinite(value):
        return "#ffffff", "#222222"
    at = min(max(value, 0.0), 1.0) * (len(CIVIDIS) - 1)
    k = min(int(at), len(CIVIDIS) - 2)
    mixed = [round(a + (b - a) * (at - k)) for a, b in zip(CIVIDIS[k], CIVIDIS[k + 1])]
    return "#{:02x}{:02x}{:02x}".format(*mixed), "#ffffff" if value < 0.5 else "#000000"


def heat_rows(table: pd.DataFrame, fair: Iterable[str]) -> list[tuple[str, list[Cell]]]:
    """Rows ``(name, cells)`` of a table with a column per tracker; best among ``fair`` ones only."""
    chosen = set(fair)
    values = table.to_numpy(float)
    pool = np.where(np.isfinite(values) & [c in chosen for c in table.columns], values, -np.inf)
    best = (pool >= pool.max(axis=1, keepdims=True, initial=-np.inf) - 1e-9) & np.isfinite(pool)
    return [
        (str(name), [_cell(v, bool(b)) for v, b in zip(row, marks)])
        for name, row, marks in zip(table.index, values, best)
    ]


def _cell(value: float, best: bool) -> Cell:
    if not np.isfinite(value):
        return Cell("\N{EN DASH}", None, best)
    return Cell(f"{value:.3f}", round(min(max(value, 0.0), 1.0) * LEVELS), best)


def render(template: str, scripts: Iterable[str], data: dict[str, Any], **values: Any) -> str:
    """A page as text.

    Args:
        template: file in ``templates``, which extends ``base.html``.
        scripts: files in ``templates`` that run one after another, in one scope.
        data: values for the scripts, each as JSON in an element of its name.
        values: what the template asks for.
    """
    import jinja2
    from markupsafe import Markup

    loader = jinja2.FunctionLoader(_template)
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, loader=loader)
    style = _template("page.css") + _heat_style()
    script = '"use strict";\n(function () {\n' + "".join(map(_template, scripts)) + "})();\n"
    policy = {
        "default-src": "'none'", "img-src": "data:", "style-src": _allowed(style), "script-src": _allowed(script),
        "base-uri": "'none'", "form-action": "'none'",
    }  # fmt: skip
    return environment.get_template(template).render(
        policy="; ".join(f"{name} {rule}" for name, rule in policy.items()),
        style=Markup(style),
        script=Markup(script),
        data={name: Markup(script_json(value)) for name, value in data.items()},
        made=now(),
        version=version("rolo-bench"),
        **values,
    )


def now() -> str:
    """Date and time as a page shows them."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _template(name: str) -> str:
    return files("rolo_bench.report").joinpath("templates", name).read_text(encoding="utf-8")


def _heat_style() -> str:
    shades = ((k, *shade(k / LEVELS)) for k in range(LEVELS + 1))
    return "\n".join(f".h{k} {{ background: {paper}; color: {ink}; }}" for k, paper, ink in shades) + "\n"


def _allowed(text: str) -> str:
    """The source of a content policy that allows this very text, inline, and no other."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def script_json(value: Any) -> str:
    """JSON that cannot end the script element it stands in."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
