"""Options that several commands share, with the project file behind them, and the console for all but tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from rolo_bench.errors import find_name
from rolo_bench.project import read_project
from rolo_bench.protocols import PROTOCOLS

console = Console(stderr=True, highlight=False, soft_wrap=True)
if not console.width:  # COLUMNS=0, at which nothing at all would be written
    console.width = 80

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def say(words: str) -> None:
    """Print a sentence beside a table; on a terminal it goes on below after a word, elsewhere it stays one line."""
    console.print(words, markup=False, soft_wrap=not console.is_terminal)


class Whole(click.IntRange):
    """A whole number within a range, and called that."""

    name = "whole number"


class Number(click.FloatRange):
    """A number within a range; NaN, which is within any, and infinity are refused."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number that was typed."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{number} is not a finite number.", param, ctx)
        return number


class Pair(click.ParamType):
    """``NAME=TEXT`` as two texts; ``example`` is for the message."""

    name = "name=text"

    def __init__(self, example: str = 'rolo="ROLO (ours)"') -> None:
        self.example = example

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:  # fmt: skip
        """Name and text."""
        name, sign, text = str(value).partition("=")
        if not (name and sign and text.strip()):
            self.fail(f"{value!r}: write NAME=TEXT, such as {self.example}.", param, ctx)
        return name, text.strip()


KEYS = {"conventions": "convention", "videos": "data"}
"""Options of which the project file gives the default under another name."""


class FromProject(click.Option):
    """An option of the same name as a key of the project file (or one of `KEYS`), which gives its default."""

    def get_default(self, ctx: click.Context, call: bool = True) -> Any:
        """The project file's value, else the option's own default."""
        value = getattr(read_project(), KEYS.get(str(self.name), str(self.name)))
        if value is None:
            return super().get_default(ctx, call)
        return (value,) if self.multiple else value


def together(*options: Decorator) -> Decorator:
    """Several options as one decorator; help lists them in this order."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def suite_option(default: str | None = "demo") -> Decorator:
    """``--suite NAME``: a built-in suite, a folder or a table; None takes the only one in the results."""
    if default is None:
        return click.option(
            "--suite", cls=FromProject, metavar="NAME", help="Suite [default: the only one in the results]."
        )
    return click.option(
        "--suite", cls=FromProject, default=default, show_default=True, metavar="NAME",
        help="Suite: a name (`rolo-bench list suites`), a folder of sequences, or a .csv table.",
    )  # fmt: skip


data_option = click.option(
    "--data",
    cls=FromProject,
    metavar="DIR",
    help="Folder of the videos [default: $ROLO_BENCH_DATA, else the cache].",
)
partial_option = click.option(
    "--partial/--no-partial", cls=FromProject, default=False, help="Take the sequences that are there."
)
data_options = together(suite_option(), data_option, partial_option)
results_option = click.option(
    "--results", cls=FromProject, default="results", show_default=True, metavar="DIR", type=click.Path(path_type=Path),
    help="Folder of the results.",
)  # fmt: skip
protocol_option = click.option(
    "--protocol", type=click.Choice(list(PROTOCOLS), case_sensitive=False), default="ope", show_default=True,
    help="One-pass, temporal or spatial robustness evaluation.",
)  # fmt: skip
trackers_option = click.option(
    "--tracker", "trackers", multiple=True, metavar="NAME", help="Tracker; repeat for several."
)
exclude_option = click.option(
    "--exclude", multiple=True, metavar="NAME", help="Leave this tracker out; repeat for several."
)
convention_option = click.option(
    "--convention", cls=FromProject, metavar="NAME",
    help="Scoring rule: otb, otb-matlab, got10k, pysot, pytracking, pytracking-int, rolo2016, plain, got10k-ao, "
    "uav123, lasot, trackingnet [default: the suite's own, plain where it has none].",
)  # fmt: skip
format_option = click.option(
    "--format", "format_", type=click.Choice(["csv", "md", "latex", "json"]), default=None,
    help="Print nothing but the table, in this format [default: as the file's ending says, else for the terminal].",
)  # fmt: skip
rows_option = click.option(
    "--format", "format_", type=click.Choice(["text", "csv", "json"]), default="text", show_default=True,
    help="For people, or for programs.",
)  # fmt: skip
sequence_option = click.option(
    "--sequence", "only", multiple=True, metavar="NAME", help="Only this sequence; repeat for several."
)
attribute_option = click.option(
    "--attribute", "attributes", multiple=True, metavar="NAME",
    help="Only sequences with this attribute, such as OCC; repeat for several, of which one will do.",
)  # fmt: skip
label_option = click.option(
    "--label", "labels", type=Pair(), multiple=True, metavar="NAME=TEXT",
    help='What a tracker is called, such as rolo="ROLO (ours)"; repeat for several.',
)  # fmt: skip


def labelled(labels: Iterable[tuple[str, str]], known: Iterable[str]) -> dict[str, str]:
    """What trackers are called: as ``--label`` says, of trackers that are known, else the project file."""
    names = list(known)
    return {**read_project().labels, **{find_name("tracker", name, names): text for name, text in labels}}


published_option = click.option(
    "--published",
    is_flag=True,
    help="Add published numbers of the paper's nine trackers, on OTB-100 of modern ones too.",
)


def _film(context: click.Context, option: click.Parameter, path: Path | None) -> Path | None:
    from rolo_bench.run.film import check_film

    return path and check_film(path)


film_option = click.option(
    "--video", type=click.Path(path_type=Path), metavar="FILE", callback=_film,
    help="Film with the boxes drawn in, .mp4, .webm or .gif.",
)  # fmt: skip
serve_option = click.option(
    "--serve", type=click.IntRange(0, 65535), is_flag=False, flag_value=0, metavar="[PORT]",
    help="Show frames and boxes on a web page of this machine alone while it runs [default port: a free one].",
)  # fmt: skip
device_option = click.option("--device", default="cpu", show_default=True, help="cpu, cuda or cuda:N.")


def stored_options(suite: str | None, data: Decorator = data_option) -> Decorator:
    """Which results, under the names that `rolo_bench.scores.scored.load_scores` gives them."""
    return together(
        suite_option(suite), trackers_option, data, results_option, partial_option, protocol_option
    )


all_speeds_option = click.option(
    "--all-speeds",
    is_flag=True,
    help="Show speeds measured beside other jobs or from a cache, too; a note says whose.",
)
scored_options = together(exclude_option, sequence_option, attribute_option, all_speeds_option)
"""Which of the results are looked at, under the names that `rolo_bench.scores.scored.load_scores` gives them."""
