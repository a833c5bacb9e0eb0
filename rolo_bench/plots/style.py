"""How trackers look and how figures are set: the same in every figure, report and video.

A tracker's look goes by its name, so that it is the same whatever it is drawn with. No import of matplotlib here: the
report and `rolo-bench show` use the palette alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

COLOURS = (
    "#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9",
    "#333333", "#882255", "#6a3d0f", "#9c54fc", "#2b1fa8", "#74c476",
)  # fmt: skip
"""Okabe and Ito's palette without its yellow (too pale on white), and five more that every eye tells apart."""

DASHES: tuple[tuple[float, ...], ...] = (
    (), (5, 1.6), (7, 1.6, 1.4, 1.6), (1.5, 1.3), (10, 2.2), (4.5, 1.3, 1.3, 1.3, 1.3, 1.3),
)  # fmt: skip
"""Solid, dashed, dash-dotted, dotted, long dashes, dash-dot-dotted: lengths of dash and gap in line widths."""

MARKERS = "osD^vP*X<>ph"
SLOTS = len(COLOURS) * len(DASHES)

KNOWN = (
    "rolo", "yolo", "yolo-sort", "rolo-plus", "mosse", "ncc", "static", "nano", "mil", "vit", "csrt", "kcf",
    "CXT", "RS", "LSK", "VTD", "ATOM", "SiamRPN++", "MDNet", "VTS", "SiamBAN", "DaSiamRPN", "SiamFC", "STRUCK",
    "MEEM", "SRDCF", "KCF", "SAMF", "CSK", "TLD", "OAB", "SiamFC-3s",
)  # fmt: skip
"""Trackers whose slot is their place here: the built-in ones, a colour each, then published ones."""

ORACLE = " (oracle)"  # what `display_name` puts behind a name
ORACLE_COLOUR = "#8c8c8c"
TRUTH_COLOUR = "#f0f0f0"
DAGGER = "\N{DAGGER}"
STYLES = {
    "screen": {
        "family": "DejaVu Sans", "kind": "sans-serif", "weight": "bold", "ink": "#222222", "edge": "#444444",
        "soft": "#555555",
    },
    "paper": {
        "family": "STIXGeneral", "kind": "serif", "weight": "normal", "ink": "#000000", "edge": "#000000",
        "soft": "#222222",
    },
}  # fmt: skip
"""``paper`` sets text in the Times-like STIX fonts that come with matplotlib; no TeX is needed."""


@dataclass(frozen=True)
class Form:
    """How a figure is set.

    Attributes:
        width: of the whole figure in inches, the legend then stands below; None is as wide as it needs, the legend at
            the side. Figures of one width have axes of one size, whatever their legends.
        height: of the whole figure in inches; None is as high as it needs.
        font: size of labels in points; 9, with a width 8, where None. Other text goes with it, down to 6.
        title: None is the figure's own; with an empty one there is no heading at all.
        note: whether the notes stand below.
        style: one of `STYLES`.
        labels: what trackers are called in the figure, by name.
        colours: colours of trackers, ``#rrggbb`` by name, in place of their own.
        order: trackers that come first, in this order; the others follow by rank.
        highlight: trackers drawn in thick lines above all others, named in bold.
    """

    width: float | None = None
    height: float | None = None
    font: float | None = None
    title: str | None = None
    note: bool = True
    grid: bool = True
    style: str = "screen"
    labels: Mapping[str, str] = field(default_factory=dict)
    colours: Mapping[str, str] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    highlight: tuple[str, ...] = ()

    @property
    def base(self) -> float:
        """Size of labels in points."""
        return self.font or (9.0 if self.width is None else 8.0)

    def size(self, share: float) -> float:
        """Points of text that is ``share`` of the labels: not below 6, where the labels are not."""
        return max(share * self.base, min(6.0, self.base))

    @property
    def small(self) -> float:
        """Points of ticks and legends."""
        return self.size(0.89)

    @property
    def tiny(self) -> float:
        """Points of notes and numbers inside."""
        return self.size(0.78)

    def ordered(self, names: Iterable[str]) -> list[str]:
        """Names with those of `order` first."""
        rest = list(names)
        return [n for n in self.order if n in rest] + [n for n in rest if n not in self.order]

    def rc(self) -> dict[str, Any]:
        """Settings of matplotlib.

        Text in PDF and SVG stays text; ``$`` in a name is a dollar; without hinting text is as wide in a PNG of any
        resolution as in a PDF.
        """
        look = STYLES[self.style]
        return {
            "font.family": list(dict.fromkeys([look["family"], look["kind"], "DejaVu Sans"])),
            "font.serif": ["STIXGeneral", "Times New Roman", "Times"], "font.sans-serif": ["DejaVu Sans", "Verdana"],
            "font.size": self.base, "text.parse_math": False, "text.hinting": "no_hinting", "axes.labelsize": self.base,
            "axes.edgecolor": look["edge"], "axes.labelcolor": look["ink"], "axes.linewidth": 0.7,
            "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True, "axes.grid": self.grid,
            "axes.labelpad": 2.5, "grid.color": "#dddddd", "grid.linewidth": 0.6, "text.color": look["ink"],
            "xtick.color": look["edge"], "ytick.color": look["edge"], "xtick.labelsize": self.small,
            "ytick.labelsize": self.small, "legend.fontsize": self.small, "legend.frameon": False,
            "figure.facecolor": "white", "savefig.facecolor": "white", "pdf.fonttype": 42, "svg.fonttype": "none",
            "svg.hashsalt": "rolo-bench", "hatch.linewidth": 0.7,
        }  # fmt: skip


PLAIN = Form()


@dataclass(frozen=True)
class Look:
    """The look of one tracker.

    Attributes:
        colour: ``#rrggbb``.
        dash: lengths of dash and gap in line widths; empty is solid.
        width: line width in points.
        layer: drawing order; higher is on top.
        marker: as matplotlib calls it.
    """

    colour: str
    dash: tuple[float, ...]
    width: float
    layer: float
    marker: str = "o"


def looks(
    ranked: Sequence[str],
    oracle: Iterable[str] = (),
    colours: Mapping[str, str] | None = None,
    highlight: Iterable[str] = (),
) -> dict[str, Look]:
    """A look for each tracker of a ranking, best first: it goes by the name alone.

    No two of 72 slots share more than one of colour, dash and marker. `KNOWN` trackers have a slot each; others take
    one of the rest by a hash of their name. Where two of those others meet in a colour, the later in the alphabet moves
    on to one that none of them has; the colours of a project file settle it for good. Better trackers are
    drawn later, so on top; oracle trackers are thin, grey and below the others.

    Args:
        colours: in place of the own ones, by name.
        highlight: trackers with thick lines on top.
    """
    marked, lifted, chosen = set(oracle), set(highlight), colours or {}
    slots = _slots(ranked)
    result: dict[str, Look] = {}
    for rank, name in enumerate(ranked):
        block, column = divmod(slots[name], len(COLOURS))
        dash, marker = DASHES[(column + block) % len(DASHES)], MARKERS[(column + 2 * block) % len(MARKERS)]
        if name in marked:
            result[name] = Look(ORACLE_COLOUR, dash, 1.1, 2.5, marker)
            continue
        layer = 3.0 + (len(ranked) - rank) / max(len(ranked), 1) + 2 * (name in lifted)
        width = 2.6 if name in lifted else 1.4
        result[name] = Look(chosen.get(name, COLOURS[column]), dash, width, layer, marker)
    return result


def _slots(names: Iterable[str]) -> dict[str, int]:
    """A place among the `SLOTS` for each name; the first to come are used again where there are more names."""
    own = {n: n.removesuffix(ORACLE) for n in names}
    slots = {n: KNOWN.index(bare) for n, bare in own.items() if bare in KNOWN}
    free, colours = SLOTS - len(KNOWN), set[int]()
    taken = set(slots.values())
    for name in sorted(n for n in own if n not in slots):
        start = crc32(own[name].encode()) % free
        places = [len(KNOWN) + (start + k) % free for k in range(free)] + list(range(len(KNOWN)))
        apart = [p for p in places if p % len(COLOURS) not in colours] or places
        slots[name] = next((p for p in [*apart, *places] if p not in taken), places[0])
        taken.add(slots[name])
        colours.add(slots[name] % len(COLOURS))
    return slots


def rgb(colour: str) -> tuple[int, int, int]:
    """``#rrggbb`` as three integers 0 … 255."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
