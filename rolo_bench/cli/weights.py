"""`rolo-bench fetch weights`, and the table of `rolo-bench list weights`."""

from __future__ import annotations

import click

from rolo_bench.cli.options import console


def list_weights_table() -> list[tuple[str, ...]]:
    """Rows of name, file, size, SHA-256, licence and place, with a head row."""
    from rolo_bench.weights import REGISTRY, status

    rows: list[tuple[str, ...]] = [("detector", "file", "bytes", "sha256", "licence", "where")]
    for detector, choices in REGISTRY.items():
        for number, choice in enumerate(choices):
            for file in choice:
                place, path = status(file)
                rows.append(
                    (
                        detector + (" (or)" if number else ""),
                        file.name,
                        str(path.stat().st_size if path else file.size or "?"),
                        file.sha256[:12] if file.sha256 else "of first download",
                        file.licence,
                        f"{place}: {path}" if path else place,
                    )
                )
    return rows


@click.command(epilog="Example: rolo-bench fetch weights yolox-nano")
@click.argument("names", metavar="DETECTOR", nargs=-1, required=True)
def weights(names: tuple[str, ...]) -> None:
    """Download the weights of detectors into the cache, checked; what is there already is only checked."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn

    from rolo_bench.weights import fetch, registered

    for name in names:
        registered(name)  # refuse an unknown name before anything is fetched
    tasks: dict[str, TaskID] = {}
    with Progress(
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), console=console, transient=True
    ) as bar:

        def report(file: str, done: int, total: int) -> None:
            if file not in tasks:
                tasks[file] = bar.add_task(file)
            bar.update(tasks[file], completed=done, total=total or None)

        for name in names:
            for path in fetch(name, report):
                click.echo(path)
