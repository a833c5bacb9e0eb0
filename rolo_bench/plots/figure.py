"""A sheet in inches: title, subtitle, axes, ranked legend at the side, notes below."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import matplotlib
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.textpath import TextPath
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from rolo_bench.errors import UsageError
from rolo_bench.files import write_atomic
from rolo_bench.plots.style import RC, Look

FORMATS = ("png", "pdf", "svg")
NOTE_SIZE = 7.0
LINE = 0.135  # inches a line of notes takes
P = ParamSpec("P")
R = TypeVar("R")


@contextmanager
def house_style() -> Iterator[None]:
    """The settings of all figures, for the duration of a block; the caller's own are left alone."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(RC)  # type: ignore[arg-type]
        yield


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Decorator: run a drawing function under `house_style`."""

    @wraps(draw)
    def inner(*args: P.args, **kwargs: P.kwargs) -> R:
        with house_style():
            return draw(*args, **kwargs)

    return inner


def save(figure: Figure, path: Path | str, dpi: int = 150) -> Path:
    """Write a figure; the ending says the format: ``.png``, ``.pdf`` or ``.svg``.

    The same figure gives the same bytes: no dates and no random identifiers inside.

    Raises:
        UsageError: another ending.
    """
    path = Path(path)
    kind = path.suffix.lower().lstrip(".")
    if kind not in FORMATS:
        raise UsageError(f"{path}: figures are written as .png, .pdf or .svg")
    dateless: dict[str, dict[str, Any]] = {
        "png": {"Software": None},
        "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
        "svg": {"Date": None, "Creator": None},
    }
    buffer = io.BytesIO()
    with house_style():
        figure.savefig(buffer, format=kind, dpi=dpi, metadata=dateless[kind])
    write_atomic(path, buffer.getvalue())
    return path


def text_width(text: str, size: float, weight: str = "normal") -> float:
    """Width of a line of text in inches at ``size`` points."""
    if not text.strip():
        return 0.0
    font = FontProperties(family="DejaVu Sans", weight=weight)
    return float(TextPath((0, 0), text, size=size, prop=font, usetex=False).get_extents().width) / 72


def wrap_notes(notes: Sequence[str], width: float) -> list[str]:
    """Notes broken into lines that fit ``width`` inches at `NOTE_SIZE`."""
    characters = max(int(width / 0.0585), 20)
    return [line for note in notes for line in textwrap.wrap(note, characters)]


class Shown(Figure):
    """A figure that a notebook shows by itself; it knows only those of pyplot."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        with house_style():
            self.savefig(buffer, format="png")
        return buffer.getvalue()


def blank(width: float, height: float) -> Figure:
    """An empty figure of ``width`` by ``height`` inches, independent of pyplot."""
    figure = Shown(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def heading(figure: Figure, title: str, subtitle: str, left: float = 0.62, top: float = 0.12) -> None:
    """Title and grey subtitle at the top; ``left`` and ``top`` in inches from the corner."""
    width, height = figure.get_size_inches()
    figure.text(left / width, 1 - top / height, title, size=11.5, weight="bold", va="top")
    figure.text(left / width, 1 - (top + 0.235) / height, subtitle, size=7.8, color="#555555", va="top")


def footing(figure: Figure, lines: Sequence[str], left: float = 0.62, bottom: float = 0.1) -> None:
    """Small grey lines at the bottom."""
    width, height = figure.get_size_inches()
    for i, line in enumerate(reversed(lines)):
        figure.text(
            left / width, (bottom + i * LINE) / height, line, size=NOTE_SIZE, color="#555555", va="bottom"
        )


def place(figure: Figure, left: float, bottom: float, width: float, height: float, **kwargs: Any) -> Axes:
    """Axes at a place given in inches from the lower left corner."""
    w, h = figure.get_size_inches()
    return figure.add_axes((left / w, bottom / h, width / w, height / h), **kwargs)


def sheet(
    title: str,
    subtitle: str,
    notes: Sequence[str],
    legend: Sequence[str] = (),
    axes_size: tuple[float, float] = (4.3, 3.25),
    left: float = 0.62,
    legend_title: str = "",
    below: float = 0.52,
) -> tuple[Figure, Axes]:
    """A figure with one pair of axes, wide enough for the legend's longest line at its right.

    Lengths in inches; ``below`` is the room for the labels under the axes.
    """
    labels = [*legend, legend_title]
    side = 0.72 + max((text_width(t, 8.0) for t in labels), default=0) if legend else 0.2
    width = left + axes_size[0] + max(side, 0.2)
    width = max(width, left + text_width(subtitle, 7.8) + 0.15, left + text_width(title, 11.5, "bold") + 0.15)
    lines = wrap_notes(notes, width - left - 0.15)
    needed = 0.205 * (len(legend) + 1)
    tall = max(axes_size[1], needed)
    foot = below + len(lines) * LINE + (0.08 if lines else 0)
    figure = blank(width, tall + foot + 0.62)
    heading(figure, title, subtitle, left)
    footing(figure, lines, left)
    return figure, place(figure, left, foot, axes_size[0], tall)


def ranked_legend(
    ax: Axes, entries: Sequence[tuple[str, Look]], title: str, extra: Sequence[tuple[str, Line2D]] = ()
) -> None:
    """A legend at the right of the axes, in the order given, ``extra`` ones last."""
    handles = [handle(look) for _, look in entries] + [sample for _, sample in extra]
    legend = ax.legend(
        handles,
        [label for label, _ in entries] + [label for label, _ in extra],
        loc="upper left",
        bbox_to_anchor=(1.02, 1.015),
        borderaxespad=0,
        handlelength=2.6,
        labelspacing=0.45,
        title=title,
        alignment="left",
    )
    legend.get_title().set_fontsize(8)
    legend.get_title().set_color("#555555")


def handle(look: Look) -> Line2D:
    """A sample of a tracker's line."""
    return Line2D([0, 1], [0, 0], **line(look))


def line(look: Look) -> dict[str, Any]:
    """Keywords of matplotlib's ``plot`` for a look."""
    style: Any = (0, look.dash) if look.dash else "solid"
    return {"color": look.colour, "linewidth": look.width, "linestyle": style, "zorder": look.layer}


def log_ticks(axis: Axis, steps: tuple[int, ...] = (1, 2, 5)) -> None:
    """Ticks of a log axis written as plain numbers."""
    axis.set_major_locator(LogLocator(base=10, subs=steps))
    axis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1000 else f"{value:g}")
    )
    axis.set_minor_formatter(NullFormatter())
