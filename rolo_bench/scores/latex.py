"""Tables for a paper: LaTeX that plain pdflatex compiles, in floats that fit a two-column page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from unicodedata import category, normalize

HEADERS = {
    "tracker": "Tracker", "other": "Other", "sequence": "Sequence", "attribute": "Attribute", "auc": "AUC",
    "auc_95": "95\\,\\% interval", "precision": "Prec.", "norm_precision": "Norm.\\ pr.",
    "success50": "SR$_{0.50}$", "success75": "SR$_{0.75}$", "mean_iou": "Mean IoU", "failures": "Failures",
    "fps": "FPS", "sequences": "Seq.", "vs_best": "vs.\\ best", "dropped": "Dropped", "p": "$p$",
    "p_holm": "$p$ (Holm)", "mean_rank": "Mean rank", "f": "F", "on": "On",
}  # fmt: skip
"""What columns are called; others by their names, with spaces."""
HIGHER = {"auc", "precision", "norm_precision", "success50", "success75", "mean_iou", "recall", "f", "won"}
LOWER = {"failures", "mean_rank"}
"""Columns of a table of trackers whose best number is bold, and the second underlined; speeds are seldom comparable."""
WHOLE = ("mean", "ALL")
"""Names of rows that stand apart: the mean over the others."""
ORACLE = "(oracle)"
"""What `rolo_bench.scores.tables.display_name` puts behind the name of a tracker that takes no part."""
COLUMN, PAGE, ROWS = 237.0, 496.0, 48
"""Points of a column and a page of the narrowest usual styles (CVPR's, ACM's), and rows to a float."""
CHARACTER, GAP = 4.3, 6.0
"""Points of a character in footnotesize, and between two columns."""

SPECIAL = {c: f"\\{c}" for c in "&%$#_{}"} | {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": "$<$", ">": "$>$",
    "|": "$|$", '"': "{''}", "`": r"\textasciigrave{}", "[": "{[}", "*": "{*}",
    "\N{DAGGER}": r"\dag{}", "\N{EN DASH}": r"\textendash{}", "\N{EM DASH}": r"\textemdash{}",
    "\N{MIDDLE DOT}": r"$\cdot$",
    "\N{NO-BREAK SPACE}": "~", "\N{HORIZONTAL ELLIPSIS}": r"\dots{}", "\N{MULTIPLICATION SIGN}": r"$\times$",
    "\N{GREATER-THAN OR EQUAL TO}": r"$\ge$", "\N{LESS-THAN OR EQUAL TO}": r"$\le$", "\N{PLUS-MINUS SIGN}": r"$\pm$",
    "\N{LATIN SMALL LETTER SHARP S}": r"\ss{}", "\N{LATIN SMALL LETTER AE}": r"\ae{}",
    "\N{LATIN CAPITAL LETTER AE}": r"\AE{}", "\N{LATIN SMALL LETTER O WITH STROKE}": r"\o{}",
    "\N{LATIN CAPITAL LETTER O WITH STROKE}": r"\O{}", "\N{LATIN SMALL LETTER L WITH STROKE}": r"\l{}",
    "\N{LATIN CAPITAL LETTER L WITH STROKE}": r"\L{}", "\N{LATIN SMALL LETTER DOTLESS I}": r"\i{}",
}  # fmt: skip
ACCENTS = dict(
    zip("\u0300\u0301\u0302\u0303\u0308\u030a\u030c\u0327\u0304\u0307\u030b\u0306", "`'^~\"rvc=.Hu")
)
"""Accents that every LaTeX has, by their combining characters."""


def escape(text: str) -> str:
    """A text that LaTeX prints as it is; characters that pdflatex has no letter for are named: ``[U+4E2D]``."""
    return "".join(_escaped(c) for c in normalize("NFC", text)).replace("--", "-{}-")


def _escaped(character: str) -> str:
    if character in SPECIAL:
        return SPECIAL[character]
    if character.isascii() and category(character)[0] != "C":
        return character
    apart = normalize("NFD", character)
    if len(apart) == 2 and apart[0].isascii() and apart[1] in ACCENTS:
        return f"\\{ACCENTS[apart[1]]}{{{apart[0]}}}"
    return f"{{[}}U+{ord(character):04X}]"


@dataclass(frozen=True)
class Grid:
    """A table in words.

    Attributes:
        header: names of columns, as LaTeX.
        rows: cells, as LaTeX.
        right: columns that are set flush right.
        apart: rows that have a rule above them.
        lengths: of the longest cell of each column as it is read, in characters.
        turned: whether the header stands upright.
    """

    header: list[str]
    rows: list[list[str]]
    right: list[bool]
    apart: frozenset[int]
    lengths: list[int]
    turned: bool = False

    @property
    def width(self) -> float:
        """Points that it takes, about."""
        return CHARACTER * sum(self.lengths) + GAP * len(self.lengths)

    def part(self, columns: Sequence[int], rows: Sequence[int]) -> Grid:
        """Some of its columns and rows."""

        def some(items: list) -> list:
            return [items[c] for c in columns]

        return replace(
            self, header=some(self.header), rows=[some(self.rows[r]) for r in rows], right=some(self.right),
            apart=frozenset(k for k, r in enumerate(rows) if r in self.apart), lengths=some(self.lengths),
        )  # fmt: skip


def latex(
    names: Sequence[str], cells: Sequence[Sequence[str]], right: Sequence[bool], caption: str = ""
) -> str:  # fmt: skip
    """A table as one or more floats; what they need stands in the comment above.

    The best number of a column (of a row, where the columns are trackers) is bold, the second best underlined; oracles
    take no part.

    Args:
        names: of the columns.
        cells: rows of what is to be read.
        right: columns of numbers.
        caption: what stands under the table, in plain text.
    """
    grid = _grid(names, cells, right)
    if grid.width > PAGE:
        short = [max([2, *(len(_plain(row[k])) for row in grid.rows)]) for k in range(len(names))]
        grid = replace(grid, lengths=[grid.lengths[0], *short[1:]], turned=True)
    packages = "booktabs, graphicx" if grid.turned else "booktabs"
    parts = [grid.part(c, r) for r in _row_blocks(grid) for c in _column_blocks(grid)]
    floats = [_float(part, caption, k) for k, part in enumerate(parts)]
    return f"% needs \\usepackage{{{packages}}}\n" + "".join(floats)


def _grid(names: Sequence[str], cells: Sequence[Sequence[str]], right: Sequence[bool]) -> Grid:
    """A table as LaTeX, with its marks."""
    across = bool(names) and names[0] in ("sequence", "attribute")  # the other columns are trackers
    rows = [[_cell(c, r) for c, r in zip(row, right)] for row in cells]
    marks = _in_rows(names, cells) if across else _in_columns(names, cells)
    for (i, k), mark in marks.items():
        rows[i][k] = mark.format(rows[i][k])
    own = across or "tracker" not in names  # names of columns as they are, not ours in words
    header = [HEADERS.get(n) or escape(n if own else n.replace("_", " ").capitalize()) for n in names]
    lengths = [max(len(_plain(r[k])) for r in [header, *rows]) for k in range(len(names))]
    apart = frozenset(i for i, row in enumerate(cells) if i and row[0] in WHOLE)
    return Grid(header, rows, list(right), apart, lengths)


def _in_rows(names: Sequence[str], cells: Sequence[Sequence[str]]) -> dict[tuple[int, int], str]:
    """How the best cells of each row are set, by row and column."""
    fair = [k for k, n in enumerate(names) if k and n != "sequences" and ORACLE not in n]
    return {
        (i, k): mark
        for i, row in enumerate(cells)
        for k, mark in _marked({k: row[k] for k in fair}, 1).items()
    }


def _in_columns(names: Sequence[str], cells: Sequence[Sequence[str]]) -> dict[tuple[int, int], str]:
    """How the best cells of each column of a table of trackers are set, by row and column."""
    if "tracker" not in names or "other" in names:
        return {}
    fair = [i for i, row in enumerate(cells) if ORACLE not in row[list(names).index("tracker")]]
    signs = {k: 1 if n in HIGHER else -1 for k, n in enumerate(names) if n in HIGHER | LOWER}
    return {
        (i, k): mark
        for k, sign in signs.items()
        for i, mark in _marked({i: cells[i][k] for i in fair}, sign).items()
    }


def _plain(text: str) -> str:
    """About what is read of LaTeX."""
    return re.sub(r"\\[A-Za-z]+|[\\{}$]", "", text)


def _marked(texts: dict[int, str], sign: int) -> dict[int, str]:
    """Which of some numbers are best and second best as they are printed, with how they are set."""
    values = {}
    for key, text in texts.items():
        try:
            values[key] = sign * float(text)
        except ValueError:
            continue
    places = sorted(set(values.values()), reverse=True)
    if len(places) < 2:
        return {}
    styles = {places[0]: r"\textbf{{{}}}", places[1]: r"\underline{{{}}}"}
    return {key: styles[v] for key, v in values.items() if v in styles}


def _cell(text: str, number: bool) -> str:
    """A cell as LaTeX: p values and signs in mathematics, nothing as a dash."""
    if text == "-":
        return "--"
    if found := re.fullmatch(r"p ([<=]) ([\d.]+)", text):
        return f"$p{found[1]}{found[2]}$"
    if found := re.fullmatch(r"([\d.]+) to ([\d.]+)", text):
        return f"{found[1]}--{found[2]}"
    return f"${text}$" if number and text.startswith("-") else escape(text)


def _row_blocks(grid: Grid) -> list[list[int]]:
    """Rows of each float."""
    count = max(-(-len(grid.rows) // ROWS), 1)
    size = -(-len(grid.rows) // count)
    return [list(range(k * size, min((k + 1) * size, len(grid.rows)))) for k in range(count)]


def _column_blocks(grid: Grid) -> list[list[int]]:
    """Columns of each float, about as many in each; the first one, of names, is in all."""
    blocks = [[0]]
    for column in range(1, len(grid.header)):
        if grid.part([*blocks[-1], column], []).width > PAGE and len(blocks[-1]) > 1:
            blocks.append([0])
        blocks[-1].append(column)
    size = -(-(len(grid.header) - 1) // len(blocks))
    even = [[0, *range(k, min(k + size, len(grid.header)))] for k in range(1, len(grid.header), size or 1)]
    if even and all(grid.part(block, []).width <= PAGE for block in even):
        return even
    return blocks if grid.header else [[]]


def _float(grid: Grid, caption: str, number: int) -> str:
    """One float: of a column where it fits, else of the whole page."""
    kind = "table" if grid.width <= COLUMN else "table*"
    spec = "".join("r" if r else "l" for r in grid.right)
    header = [rf"\rotatebox{{90}}{{{h}}}" if grid.turned and k else h for k, h in enumerate(grid.header)]
    lines = [rf"\begin{{{kind}}}[t]", r"\centering\footnotesize\setlength{\tabcolsep}{3pt}"]
    lines += [
        rf"\begin{{tabular}}{{@{{}}{spec}@{{}}}}",
        r"\toprule",
        " & ".join(header) + r" \\",
        r"\midrule",
    ]
    for k, row in enumerate(grid.rows):
        lines += [r"\midrule"] * (k in grid.apart) + [" & ".join(row) + r" \\"]
    lines += [r"\bottomrule", r"\end{tabular}"]
    if caption:
        lines.append(rf"\caption{{{escape(caption)}{' (continued)' if number else ''}}}")
    return "\n".join([*lines, rf"\end{{{kind}}}"]) + "\n"
