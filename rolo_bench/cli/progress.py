"""What a run shows while it is at work: a bar over the frames of all trackers on a terminal, plain lines in a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from rolo_bench.cli.options import console
from rolo_bench.errors import counted

if TYPE_CHECKING:
    from rich.console import RenderableType

REFRESH = 4
"""Pictures a second. The bar is drawn in a thread of its own from what was last told, so no frame waits for it."""


class Board:
    """How far runs of trackers one after another are, in frames, and how long the rest will take.

    Args:
        each: frames of one run.
        trackers: of each run, in their order; one that is repeated stands there as often.
        clock: seconds from any start.
    """

    def __init__(
        self, each: int, trackers: Sequence[str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.each, self.trackers, self.count, self.clock = each, trackers, len(trackers), clock
        self.paces: dict[str, float] = {}  # seconds a frame of each tracker that has run
        self._start(0, "")

    def begin(self, index: int, title: str) -> None:
        """The run of this number starts; its pace is not that of the one before."""
        pace = self._pace()
        if pace is not None:
            self.paces[self.trackers[self.index]] = pace
        self._start(index, title)

    def _start(self, index: int, title: str) -> None:
        self.index, self.title, self.finished = index, title, index * self.each
        self.under_way: dict[str, tuple[int, int]] = {}
        self.begun, self.before, self.tracked = self.clock(), 0, 0
        self.since: float | None = None  # a frame is done: from then on the pace is that of tracking alone

    def tick(self, stem: str, frame: int, frames: int) -> None:
        """So many frames of a sequence are done."""
        if self.since is None and not self.tracked:
            self.since, self.before = self.clock(), frame
        self.under_way[stem] = (frame, frames)

    def end(self, stem: str, frames: int, tracked: int | None = None) -> None:
        """A sequence of so many frames is over; of these ``tracked`` took time, by default those that were told of."""
        seen = self.under_way.pop(stem, (0, 0))[0]
        self.finished += frames
        self.tracked += seen if tracked is None else tracked

    @property
    def frames(self) -> int:
        """Frames that are done, of all trackers."""
        return self.finished + sum(frame for frame, _ in list(self.under_way.values()))

    def left(self) -> float | None:
        """Seconds that the rest takes: of trackers that have run at their pace, of others at the mean of these.

        None until the tracker at work has a pace.
        """
        now = self.trackers[self.index] if self.trackers else ""
        pace = self._pace() or self.paces.get(now)
        if pace is None:
            return None
        paces = self.paces | {now: pace}
        mean = sum(paces.values()) / len(paces)
        later = sum(paces.get(t, mean) for t in self.trackers[self.index + 1 :])
        return max((self.index + 1) * self.each - self.frames, 0) * pace + self.each * later

    def _pace(self) -> float | None:
        """Seconds a frame of the run at work; None until it has tracked some."""
        spent = self.clock() - (self.begun if self.since is None else self.since)
        tracked = self.tracked + self.frames - self.finished - self.before
        return spent / tracked if tracked > 0 and spent > 0 else None

    def share(self) -> str:
        """Frames that are done as a share: ``41 %``."""
        return f"{100 * self.frames // max(self.each * self.count, 1)} %"

    def words(self) -> str:
        """Share, frames, and the time that is left: ``41 %  8,120 of 19,800 frames  0:12:03 left``."""
        total, left = self.each * self.count, self.left()
        share = f"{self.share()}  {self.frames:,} of {counted_frames(total)}"
        return f"{share}  {duration(left)} left" if left is not None else f"{share}  starting"

    def at_work(self) -> str:
        """The tracker, and where it is: ``ncc (2 of 3): Human9 120/305, Suv 30/945``."""
        places = [f"{stem} {frame}/{frames}" for stem, (frame, frames) in list(self.under_way.items())]
        number = f" ({self.index + 1} of {self.count})" if self.count > 1 else ""
        return f"{self.title}{number}: {', '.join(places) or 'starting'}"


def counted_frames(number: int) -> str:
    """``1 frame``, ``19,800 frames``."""
    return f"{number:,} {counted(number, 'frame').split()[1]}"


def duration(seconds: float) -> str:
    """``0:12:03``."""
    return str(timedelta(seconds=round(seconds)))


def animated() -> bool:
    """Whether there is a terminal that can be drawn on."""
    return console.is_terminal and not console.is_dumb_terminal


@contextmanager
def shown(board: Board) -> Iterator[None]:
    """While it lasts, the board stands at the foot of the terminal; in a log nothing does."""
    if not animated():
        yield
        return
    from rich.live import Live

    with Live(
        get_renderable=lambda: _picture(board), console=console, refresh_per_second=REFRESH, transient=True
    ):
        yield


def _picture(board: Board) -> RenderableType:
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    line = Table.grid(padding=(0, 1), expand=True)
    line.add_column(ratio=1)
    line.add_column(no_wrap=True)
    total = board.each * board.count
    line.add_row(ProgressBar(max(total, 1), board.frames), Text(board.words()))
    return Group(line, Text(board.at_work(), style="dim", no_wrap=True, overflow="ellipsis"))
