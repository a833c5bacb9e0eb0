"""Jobs spread over workers: one in this process, or several side by side in processes of their own."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rolo_bench.errors import RoloBenchError, TrackerError
from rolo_bench.run.job import Job, Tracked
from rolo_bench.run.process import Stopped
from rolo_bench.run.stamp import Facts

TICK = 0.1
"""Seconds between two words on the progress of a job."""


class Worker(Protocol):
    """What runs jobs one after another."""

    def start(self) -> None:
        """Begin to load what it needs, without waiting for it."""

    def open(self) -> Facts:
        """Make the tracker once."""

    def track(self, job: Job, tick: Callable[[int], None] | None = None) -> Tracked:
        """Run one job."""

    def close(self) -> None:
        """End it."""


@dataclass(frozen=True)
class Step:
    """So many frames of a job are done."""

    job: Job
    frames: int


@dataclass(frozen=True)
class End:
    """A job is over: what it gave, or why it gave nothing."""

    job: Job
    result: Tracked | RoloBenchError


def in_turn(
    jobs: Iterable[Job], worker: Worker, tell: Callable[[Step], None] | None
) -> Generator[End, None, None]:
    """One job after another in this thread; ``tell`` is called as `_paced` says."""
    for job in jobs:
        yield _one(job, worker, _paced(job, tell))


def _paced(job: Job, tell: Callable[[Step], None] | None) -> Callable[[int], None] | None:
    """What a worker calls after each frame: it tells of the first, of the last, and between them every `TICK` seconds.

    Looking at the clock costs a frame nothing that could be measured; telling would.
    """
    if tell is None:
        return None
    last, told = job.frames, -TICK

    def tick(done: int) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told >= TICK or done == last:
            told = now
            tell(Step(job, done))

    return tick


def side_by_side(
    jobs: Iterable[Job],
    workers: list[Worker],
    stop: threading.Event,
    tell: Callable[[Step], None] | None,
) -> Generator[End, None, None]:
    """Jobs as workers become free, each worker in a thread of its own; ``tell`` is called in the thread of the caller.

    However this ends, also by Ctrl-C, ``stop`` is set and every worker is closed before it does.
    """
    waiting, told = deque(jobs), queue.SimpleQueue[Step | End | BaseException | None]()

    def serve(worker: Worker) -> None:
        try:
            while not stop.is_set():
                try:
                    job = waiting.popleft()
                except IndexError:
                    break
                told.put(_one(job, worker, _paced(job, told.put if tell else None)))
        except Stopped:
            pass
        except BaseException as error:  # a fault of ours, not to be lost in a thread
            told.put(error)
        finally:
            worker.close()
            told.put(None)

    threads = [
        threading.Thread(target=serve, args=(w,), name=f"worker {k}") for k, w in enumerate(workers, 1)
    ]
    running = len(threads)
    try:
        for thread in threads:
            thread.start()
        while running:
            event = told.get()
            if event is None:
                running -= 1
            elif isinstance(event, Step):
                if tell is not None:
                    tell(event)
            elif isinstance(event, BaseException):
                raise event
            else:
                yield event
    finally:
        stop.set()
        for thread in threads:
            if thread.ident is not None:
                thread.join()


def _one(job: Job, worker: Worker, tick: Callable[[int], None] | None) -> End:
    try:
        return End(job, worker.track(job, tick))
    except RoloBenchError as error:
        return End(job, error)
    except MemoryError:
        return End(job, TrackerError(f"{job.stem}: not enough memory for its images"))


def gpus() -> tuple[str, ...]:
    """GPUs that processes may be given, by the names that ``CUDA_VISIBLE_DEVICES`` takes."""
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if listed is not None:
        return tuple(part.strip() for part in listed.split(",") if part.strip())
    found = (p.name.removeprefix("nvidia") for p in Path("/dev").glob("nvidia[0-9]*"))
    return tuple(sorted((n for n in found if n.isdigit()), key=int))
