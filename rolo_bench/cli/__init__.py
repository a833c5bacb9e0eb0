"""The command line: ``rolo-bench COMMAND``. Each group of commands is a module, loaded when it is used."""

from __future__ import annotations

import importlib
import io
import sys
from typing import Any

import click

from rolo_bench.errors import RoloBenchError, did_you_mean

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
        click.echo(f"rolo-bench: {_misused(error)}", err=True)
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


def _misused(error: click.UsageError) -> str:
    """What click says, and which help to see."""
    if error.ctx is None:
        return error.format_message()
    path, words = error.ctx.command_path, error.format_message()
    if isinstance(error, click.NoSuchOption) and isinstance(error.ctx.command, click.Group):
        words = f"{path} has no option {error.option_name}; those of a command come after its name"
    return f"{words} (see `{path} --help`)"


def entry() -> None:
    """Entry point of the console script."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # the shell closed it
            setattr(sys, name, io.StringIO())
    sys.exit(main())
