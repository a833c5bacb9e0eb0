"""The command line: ``rolo-bench COMMAND``. Each group of commands is a module, loaded when it is used."""

from __future__ import annotations

import importlib
import io
import os
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from rolo_bench.errors import RoloBenchError, did_you_mean, same_name

COMMANDS = {
    "run": ("rolo_bench.cli.run:run", "Run a tracker on a suite."),
    "demo": ("rolo_bench.cli.run:demo", "Run, score and plot on the synthetic suite; nothing to download."),
    "track": ("rolo_bench.cli.track:track", "Run a tracker on your own video or camera."),
    "annotate": (
        "rolo_bench.cli.annotate:annotate",
        "Draw the true boxes of your own video, in the browser.",
    ),
    "score": ("rolo_bench.cli.score:score", "Score results and print one row a tracker."),
    "plot": ("rolo_bench.cli.plot:plot", "Draw success, precision, speed and other figures."),
    "report": ("rolo_bench.cli.report:report", "Write one self-contained HTML report."),
    "compare": ("rolo_bench.cli.compare:compare", "Two trackers, runs or result folders beside each other."),
    "show": ("rolo_bench.cli.show:show", "Draw boxes of trackers on frames, sheets or a video."),
    "import": ("rolo_bench.cli.import_:import_", "Take in results of other toolkits."),
    "export": ("rolo_bench.cli.export:export", "Write results in layouts of other toolkits."),
    "fetch": ("rolo_bench.cli.fetch:fetch", "Download data, published results or weights."),
    "train": ("rolo_bench.cli.train:train", "Train backbone, detector or tracker."),
    "study": ("rolo_bench.cli.study:study", "Studies of the paper: step size, occlusion."),
    "audit": ("rolo_bench.cli.audit:audit", "Which rule made a printed number?"),
    "compare-conventions": (
        "rolo_bench.cli.audit:compare_conventions",
        "The same boxes under every toolkit's convention.",
    ),
    "check": ("rolo_bench.cli.check:check", "Look over a suite or a tracker before a long night."),
    "verify": ("rolo_bench.cli.results:verify", "Find results that are edited, foreign or stale."),
    "results": ("rolo_bench.cli.results:results", "Rename or remove results."),
    "list": ("rolo_bench.cli.list_:list_", "List trackers, suites, weights or results."),
    "init": ("rolo_bench.cli.init:init", "Write a project file, so that options need not be repeated."),
    "bench": ("rolo_bench.cli.bench:bench", "Time the parts of a run on this machine."),
}


FILES = {".py": "--tracker", ".csv": "--suite"}
"""Files by their ending, and the options that take such a path."""


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports one only when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        return getattr(importlib.import_module(module), attribute)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with the command that may have been meant."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.UsageError(f"no command {args[0]!r}{did_you_mean(args[0], COMMANDS)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands from the table, so that help imports nothing."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: rolo-bench run --tracker ncc --suite demo",
)
@click.version_option(package_name="rolo-bench", prog_name="rolo-bench")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.pass_context
def cli(ctx: click.Context, debug: bool) -> None:
    """Benchmark single-object trackers, and ROLO in PyTorch."""
    ctx.obj = {"debug": debug}
    if debug:
        import logging

        logging.basicConfig(level=logging.DEBUG, format="%(name)s: %(message)s")


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 1 for failure, 2 for misuse, 130 when interrupted."""
    arguments: list[str] = sys.argv[1:] if argv is None else list(argv)
    debug = "--debug" in arguments
    if debug:  # accepted anywhere on the line
        arguments = ["--debug", *(a for a in arguments if a != "--debug")]
    try:
        value: Any = cli.main(args=arguments, prog_name="rolo-bench", standalone_mode=False)
        return value if isinstance(value, int) else 0
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.exceptions.NoArgsIsHelpError as stop:
        click.echo(stop.format_message())
        return 0
    except click.UsageError as error:
        click.echo(f"rolo-bench: {_misused(error, arguments)}", err=True)
        return 2
    except click.Abort:
        click.echo(
            "rolo-bench: interrupted; what is done is kept, the same command goes on from there", err=True
        )
        return 130
    except click.ClickException as error:
        click.echo(f"rolo-bench: {error.format_message()}", err=True)
        return error.exit_code
    except RoloBenchError as error:
        if debug:
            raise
        click.echo(f"rolo-bench: {error}", err=True)
        return error.exit_code
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except OSError as error:
        if debug:
            raise
        where = f"{error.filename}: " if error.filename else ""
        click.echo(
            f"rolo-bench: {where}{error.strerror or error}; check the path, rights and free space", err=True
        )
        return 1


def _misused(error: click.UsageError, line: list[str]) -> str:
    """What click says of a command line, or more than it does, and which help to see."""
    if error.ctx is None:
        return error.format_message()
    path, words, command = error.ctx.command_path, error.format_message(), error.ctx.command
    if isinstance(error, click.NoSuchOption) and isinstance(command, click.Group):
        words = f"{path} has no option {error.option_name}; those of a command come after its name"
    elif isinstance(error, click.BadParameter) and isinstance(error.param, click.Argument):
        words = _exchanged(error.ctx, error.param, line) or words
    elif type(error) is click.UsageError and not isinstance(command, click.Group):
        words = _surplus(error.ctx, line) or words
    return f"{words} (see `{path} --help`)"


def _parsed(context: click.Context, line: list[str]) -> tuple[dict[str, Any], list[str]]:
    """What a command line gives for each parameter of its command, and the words that are too many."""
    depth = len(context.command_path.split()) - 1 + ("--debug" in line)
    values, rest, _ = context.command.make_parser(context).parse_args(line[depth:])
    return dict(values), rest


def _exchanged(context: click.Context, first: click.Argument, line: list[str]) -> str:
    """What to say where the second of two arguments is what the first should be; empty where it is not."""
    order = [p for p in context.command.params if isinstance(p, click.Argument)]
    if len(order) != 2 or order[0] is not first or not isinstance(first.type, click.Choice):
        return ""
    values = _parsed(context, line)[0]
    one, two = (str(values[str(p.name)]) for p in order)
    if two.lower() not in first.type.choices:
        return ""
    names = [p.human_readable_name for p in order]
    return f"{names[0]} comes before {names[1]}: {shlex.join([*context.command_path.split(), two, one])}"


def _surplus(context: click.Context, line: list[str]) -> str:
    """What to say of words that are too many: which options take them, and how the command is used."""
    extra = _parsed(context, line)[1]
    options = [_option_of(word, context.command) for word in extra]
    named = " ".join(shlex.join([o, w]) for o, w in zip(options, extra) if o)
    usage = " ".join([context.command_path, *context.command.collect_usage_pieces(context)])
    return f"unexpected {shlex.join(extra)!r}{f'; write {named}' if named else ''}; usage: {usage}"


def _option_of(word: str, command: click.Command) -> str:
    """The option of a command that takes a word: a tracker, suite, convention or their file, or a choice; or none."""
    from rolo_bench.datasets.suites import suite_names
    from rolo_bench.run.plugins import builtin_names
    from rolo_bench.scores.conventions import CONVENTIONS

    known: dict[str, Iterable[str]] = {
        "--tracker": builtin_names(), "--suite": suite_names(), "--convention": CONVENTIONS
    }  # fmt: skip
    for option in (p for p in command.params if isinstance(p, click.Option)):
        names = (
            option.type.choices if isinstance(option.type, click.Choice) else known.get(option.opts[-1], ())
        )
        if same_name(word, names) or FILES.get(Path(word).suffix) == option.opts[-1]:
            return option.opts[-1]
    return ""


def entry() -> None:
    """Entry point of the console script."""
    free = 0
    while free < 3:  # what the shell closed is no place for our pipes and files
        free = os.open(os.devnull, os.O_RDWR)
    os.close(free)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # the shell closed it
            setattr(sys, name, io.StringIO())
    sys.exit(main())
