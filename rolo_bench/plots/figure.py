"""A page in inches: heading, axes, ranked legend at the side or below, notes at the foot."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import matplotlib
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from rolo_bench.errors import UsageError
from rolo_bench.files import write_atomic
from rolo_bench.plots.fonts import runs
from rolo_bench.plots.style import MARKERS, PLAIN, STYLES, Form, Look

FORMATS = ("png", "pdf", "svg")
MOST_PIXELS = 1 << 28
"""Of a .png, so that it fits into memory."""
EDGE = 0.08  # inches that stay free at the edges of a page
P = ParamSpec("P")
R = TypeVar("R")


@contextmanager
def house_style(form: Form = PLAIN) -> Iterator[None]:
    """The settings of all figures, for the duration of a block; the caller's own are left alone."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(form.rc())  # type: ignore[arg-type]
        yield


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Decorator: run a drawing function under `house_style` of its keyword ``form``."""

    @wraps(draw)
    def inner(*args: P.args, **kwargs: P.kwargs) -> R:
        form = kwargs.get("form", PLAIN)
        with house_style(form if isinstance(form, Form) else PLAIN):
            return draw(*args, **kwargs)

    return inner


def save(figure: Figure, path: Path | str, dpi: int = 150) -> Path:
    """Write a figure; the ending says the format: ``.png``, ``.pdf`` or ``.svg``.

    The same figure gives the same bytes: no dates and no random identifiers inside.

    Raises:
        UsageError: another ending, or more pixels than `MOST_PIXELS`.
    """
    path = Path(path)
    kind = path.suffix.lower().lstrip(".")
    if kind not in FORMATS:
        raise UsageError(f"{path}: figures are written as .png, .pdf or .svg")
    pixels = math.prod(side * dpi for side in figure.get_size_inches())
    if kind == "png" and pixels > MOST_PIXELS:
        raise UsageError(
            f"{path}: {pixels / 1e6:,.0f} million pixels are too many; give a smaller size or --dpi"
        )
    dateless: dict[str, dict[str, Any]] = {
        "png": {"Software": None},
        "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
        "svg": {"Date": None, "Creator": None},
    }
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=dpi, metadata=dateless[kind])
    write_atomic(path, buffer.getvalue())
    return path


def legible(text: str) -> str:
    """A text that the fonts in use can draw.

    Another installed font joins them where they lack a character, and what none has is escaped.
    """
    if text.isascii() and text.isprintable():
        return text
    families = list(matplotlib.rcParams["font.family"])
    pieces = runs(text, families[0])
    new = [family for _, family, _ in pieces if family not in families]
    matplotlib.rcParams["font.family"] = families + list(dict.fromkeys(new))
    return "".join(piece for piece, _, _ in pieces)


def text_width(text: str, size: float, weight: str = "normal") -> float:
    """Width of a line of text in inches at ``size`` points, in the fonts in use."""
    return size * _width(text, tuple(matplotlib.rcParams["font.family"]), weight) if text else 0.0


@lru_cache(4096)
def _width(text: str, families: tuple[str, ...], weight: str) -> float:
    """Inches to a point of size, with a little to spare for rounding."""
    font = FontProperties(family=list(families), weight=weight, size=100)
    return float(_renderer().get_text_width_height_descent(text, font, False)[0]) / 7200 * 1.01


@lru_cache(1)
def _renderer() -> RendererAgg:
    return RendererAgg(1, 1, 72)


def wrapped(text: str, size: float, width: float, weight: str = "normal") -> list[str]:
    """A text in lines of at most ``width`` inches."""
    lines: list[str] = []
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, size, weight) <= width:
            lines[-1] = longer
        else:
            lines.append(shortened(word, size, width, weight))
    return lines


def shortened(text: str, size: float, width: float, weight: str = "normal") -> str:
    """A text of at most ``width`` inches: a longer one loses of its middle, since names often differ at the end."""
    keep = len(text)
    short = text
    while text_width(short, size, weight) > width and keep > 2:
        keep -= 1
        short = text[: (keep + 1) // 2] + "\N{HORIZONTAL ELLIPSIS}" + text[len(text) - keep // 2 :]
    return short


class Shown(Figure):
    """A figure that a notebook shows by itself; it knows only those of pyplot.

    Attributes:
        left_out: heading and notes that its form leaves out, for a caption.
    """

    left_out: tuple[str, ...] = ()

    def draw(self, renderer: Any) -> None:
        """Draw under `house_style`, whatever the caller's settings are: text then is as wide as it was measured."""
        with house_style():
            super().draw(renderer)

    def savefig(self, fname: Any, **kwargs: Any) -> None:
        """Write the figure under `house_style`, with text as text."""
        with house_style():
            super().savefig(fname, **kwargs)

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()


@dataclass(frozen=True)
class Entry:
    """A line of a legend: a name, which may be shortened, what stands behind it, and a sample."""

    name: str
    value: str
    sample: Line2D
    bold: bool = False

    def text(self, form: Form) -> str:
        """The whole line, short enough for a figure whose width is given."""
        sample = 3.3 * form.small / 72
        room = (form.width or 99.0) - 2 * EDGE - sample - text_width(self.value, form.small, self.weight)
        return shortened(legible(self.name), form.small, room, self.weight) + self.value

    @property
    def weight(self) -> str:
        """Of its font."""
        return "bold" if self.bold else "normal"


@dataclass(frozen=True)
class Page:
    """A figure whose heading, legend and notes stand, and the rectangle in inches that is left for axes."""

    figure: Shown
    left: float
    bottom: float
    width: float
    height: float

    def axes(
        self, left: float = 0, bottom: float = 0, width: float | None = None, height: float | None = None,
        **kwargs: Any,
    ) -> Axes:  # fmt: skip
        """Axes at a place given in inches from the lower left corner of the rectangle; all of it where not given."""
        w, h = self.figure.get_size_inches()
        box = (
            (self.left + left) / w, (self.bottom + bottom) / h,
            (self.width if width is None else width) / w, (self.height if height is None else height) / h,
        )  # fmt: skip
        return self.figure.add_axes(box, **kwargs)


def page(
    form: Form,
    title: str,
    subtitle: str,
    notes: Sequence[str],
    width: float,
    tall: Callable[[float], float],
    entries: Sequence[Entry] = (),
    legend_title: str = "",
    around: tuple[float, float, float, float] | None = None,
) -> Page:
    """A figure with all but its axes.

    Args:
        width: of the axes in inches, where the form gives none.
        tall: their height, by their width.
        around: room at the left, below, right and above for what stands around the axes; by default for the labels of
            two axes.

    Raises:
        UsageError: no room is left for the axes.
    """
    em = form.base / 72
    left, below, right, above = around or (4.7 * em, 3.6 * em, 0.17, 0.0)
    figure = Shown(figsize=(1, 1))
    FigureCanvasAgg(figure)
    figure.left_out = (*((title, subtitle) if form.title == "" else ()), *(() if form.note else notes))
    legend, legend_width, legend_height = _legend(figure, form, entries, legend_title)
    heads = _heading(form, title, subtitle)
    if form.width is None:
        aside, under = legend_width + 0.14 * bool(legend), 0.0
        total = max(left + width + right + aside, *(text_width(*h) + 2 * EDGE for h in heads), 0)
    else:
        under = legend_height + 0.06 * bool(legend)
        total, width = form.width, form.width - left - right
    room = total - 2 * EDGE
    heads = [(line, size, weight) for t, size, weight in heads for line in wrapped(t, size, room, weight)]
    lines = [s for n in notes if n and form.note for s in wrapped(legible(n), form.tiny, room)]
    pitch = 1.38 * form.tiny / 72
    foot = EDGE + pitch * len(lines) + 0.05 * bool(lines)
    head = EDGE + sum(1.35 * size for _, size, _ in heads) / 72 + 0.09 * bool(heads) + above
    spent = head + below + under + foot
    height = tall(width) if form.height is None else form.height - spent
    if (form.width and width < 0.8) or (form.height and height < 0.5):
        raise UsageError(_no_room(form, left + right, spent))
    bottom = foot + below + under
    corner = (EDGE, foot + legend_height)
    if form.width is None:
        bottom += max(legend_height - height - below, 0)
        corner = (left + width + 0.14, bottom + height)
    figure.set_size_inches(total, bottom + height + head)
    if legend:
        legend.set_bbox_to_anchor((corner[0] / total, corner[1] / (bottom + height + head)))
    _write(figure, form, heads, lines, pitch)
    return Page(figure, left, bottom, width, height)


def _no_room(form: Form, across: float, down: float) -> str:
    if form.height is not None:
        return (
            f"a height of {form.height:.3g}in leaves no room for the axes: with heading, legend and notes this figure "
            f"needs {down + 0.5:.2g}in or more; leave --height out, or say --no-note, --no-title"
        )
    return f"a width of {form.width:.3g}in leaves no room for the axes: this figure needs {across + 0.8:.2g}in or more"


def _heading(form: Form, title: str, subtitle: str) -> list[tuple[str, float, str]]:
    """Text, size and weight of title and subtitle."""
    if form.title == "":
        return []
    own = legible(title if form.title is None else form.title)
    heads = [
        (own, 1.22 * form.base, STYLES[form.style]["weight"]),
        (legible(subtitle), form.size(0.84), "normal"),
    ]
    return [h for h in heads if h[0]]


def _write(
    figure: Figure, form: Form, heads: list[tuple[str, float, str]], lines: list[str], pitch: float
) -> None:
    """Put heading and notes on a page."""
    width, height = figure.get_size_inches()
    soft, down = STYLES[form.style]["soft"], EDGE
    for line, size, weight in heads:
        colour = STYLES[form.style]["ink"] if size > form.base else soft
        figure.text(EDGE / width, 1 - down / height, line, size=size, weight=weight, va="top", color=colour)
        down += 1.35 * size / 72
    for k, line in enumerate(reversed(lines)):
        y = (EDGE + k * pitch) / height
        figure.text(EDGE / width, y, line, size=form.tiny, color=soft, va="bottom")


def _legend(
    figure: Figure, form: Form, entries: Sequence[Entry], title: str
) -> tuple[Legend | None, float, float]:
    """The legend, one column at the side or as many below as fit, with its width and height in inches."""
    if not entries:
        return None, 0.0, 0.0
    texts = [e.text(form) for e in entries]
    columns = 1
    if form.width is not None:
        em, room = form.small / 72, form.width - 2 * EDGE
        widths = [text_width(t, form.small, e.weight) + 3.3 * em for t, e in zip(texts, entries)]
        columns = max(n for n in range(1, len(widths) + 1) if n == 1 or _across(widths, n, 1.2 * em) <= room)
        columns = -(-len(widths) // -(-len(widths) // columns))  # no column shorter than it must be
    legend = figure.legend(
        [e.sample for e in entries], texts, loc="upper left", bbox_to_anchor=(0, 1), borderaxespad=0, borderpad=0,
        handlelength=2.6, handletextpad=0.6, labelspacing=0.35, columnspacing=1.2, ncols=columns, title=title or None,
        alignment="left", title_fontsize=form.small,
    )  # fmt: skip
    legend.get_title().set_color(STYLES[form.style]["soft"])
    for text, entry in zip(legend.get_texts(), entries):
        text.set_fontweight(entry.weight)
    box = legend.get_window_extent(figure.canvas.get_renderer())  # type: ignore[attr-defined]
    return legend, box.width / figure.dpi, box.height / figure.dpi


def _across(widths: list[float], columns: int, gap: float) -> float:
    """Width of a legend whose lines are as wide as given, filled column by column."""
    rows = -(-len(widths) // columns)
    blocks = [widths[k : k + rows] for k in range(0, len(widths), rows)]
    return sum(max(block) for block in blocks) + gap * (len(blocks) - 1)


def handle(look: Look, form: Form, **style: Any) -> Line2D:
    """A sample of a tracker's line and marker."""
    return Line2D([0, 1], [0, 0], marker=look.marker, **(line(look, form) | marks(form) | style))


def line(look: Look, form: Form = PLAIN) -> dict[str, Any]:
    """Keywords of matplotlib's ``plot`` for a look."""
    style: Any = (0, look.dash) if look.dash else "solid"
    width = look.width * form.base / 9
    return {"color": look.colour, "linewidth": width, "linestyle": style, "zorder": look.layer}


def marks(form: Form) -> dict[str, Any]:
    """Keywords for markers on lines."""
    return {"markersize": 0.45 * form.base, "markeredgewidth": 0.0}


def sparse(look: Look, points: int) -> tuple[int, int]:
    """Which of the points of a curve carry its marker: four or five, at other places for other markers."""
    step = max(points // 5, 1)
    return MARKERS.index(look.marker) * step // len(MARKERS), step


def log_ticks(axis: Axis, steps: tuple[int, ...] = (1, 2, 5)) -> None:
    """Ticks of a log axis written as plain numbers, thousands as ``10k``."""
    axis.set_major_locator(LogLocator(base=10, subs=steps))
    axis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    axis.set_minor_formatter(NullFormatter())


def _short(value: float) -> str:
    if value < 1000:
        return f"{value:g}"
    return f"{value / 1000:g}k" if value < 1e6 else f"{value / 1e6:g}M"
