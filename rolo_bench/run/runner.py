"""Running trackers on suites, with results that survive an interruption.

The road of a run: what there is on disk and the stamps of now give the jobs to do (`plan`); workers do them; each
result is filed with its record as soon as it is there. A sequence whose result is current is skipped. What was made
with another tracker, options or seed is refused with a hint; what was made from another video, or was damaged since,
is made anew.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rolo_bench.datasets.suites import Suite, load_suite, tre_omit
from rolo_bench.errors import DataError, RoloBenchError, UsageError
from rolo_bench.files import is_path
from rolo_bench.protocols import check_protocol, segments
from rolo_bench.run.cluster import Cluster
from rolo_bench.run.external import kept_command, split_command
from rolo_bench.run.in_process import InProcess, run_sequence
from rolo_bench.run.job import Job, Limits, Setup, Tracked
from rolo_bench.run.live import View
from rolo_bench.run.options import in_texts, names_file
from rolo_bench.run.plugins import COMMAND, Place, kept_origin, locate
from rolo_bench.run.pool import End, Step, Worker, gpus, in_turn, side_by_side
from rolo_bench.run.process import Process, WorkerError
from rolo_bench.run.stamp import Facts, differences, key_of, making, provenance, video
from rolo_bench.run.store import RunResult, Store, check_name

log = logging.getLogger(__name__)
Progress = Callable[[str, int, int], None]
__all__ = ["How", "Outcome", "Progress", "run", "run_sequence", "run_suite"]


@dataclass(frozen=True)
class Outcome:
    """What happened to one sequence or segment: ``done``, ``skipped`` or ``failed``, and why.

    Attributes:
        frames: of the sequence or segment; 0 where no tracker could be started on it.
        fps: frames per second inside the tracker, the first frame apart; NaN where nothing was measured.
        result: what was filed.
        output: the last lines that the tracker printed, where its process was ended.
    """

    stem: str
    what: str
    error: str | None = None
    fps: float = float("nan")
    output: tuple[str, ...] = ()
    frames: int = 0
    result: RunResult | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class How:
    """How a run goes about its jobs; nothing here changes a box but ``threads``, which is recorded.

    Attributes:
        jobs: so many processes at once.
        threads: of torch and OpenCV in each.
        limits: what ends a process.
        retry_failed: try again what failed the last time.
        in_process: run trackers in this process.
        scheduler: run them on the Dask cluster whose scheduler answers at this address or is told of by this file.
        send: send images with the jobs, to a cluster that does not see them.
        view: is shown what the first process does; none of a cluster's.
        shared: folder of detections that trackers of several runs share, each in a process of this machine; the time
            of each is kept, so that speeds are of detecting (`rolo_bench.nn.detect.cache.Shared`).
    """

    jobs: int = 1
    threads: int = 1
    limits: Limits = field(default_factory=Limits)
    retry_failed: bool = True
    in_process: bool = False
    scheduler: str | None = None
    send: bool = False
    view: View | None = None
    shared: str | Path | None = None


def run(
    tracker: str | Path | type,
    suite: str | Suite = "demo",
    *,
    data: str | None = None,
    partial: bool = False,
    protocol: str = "ope",
    results: str | Path = "results",
    options: dict[str, Any] | None = None,
    name: str | None = None,
    force: bool = False,
    seed: int = 0,
    only: Iterable[str] = (),
    progress: Progress | None = None,
    how: How | None = None,
) -> list[Outcome]:
    """Run one tracker on a suite and file the results; what is current is skipped. All of `run_suite` in one call.

    Args:
        tracker: its name, the path of its file, or its class, which is run in this process.
        suite: a name or path, read with ``data``, ``partial`` and ``only``; or a suite as loaded.
        options, seed: keywords of the constructor; seed of the global random numbers, set before each sequence.
        name, force: file the results under another name; make them anew, also those that were made otherwise.
        progress: called with the name of a sequence or segment, frames done and frames in all: of its first frame,
            its last, and between them a few times a second.
        how: processes, threads and limits.

    Raises:
        RoloBenchError: there is no such tracker or suite, or one of the errors of `run_suite`.
    """
    if not isinstance(suite, Suite):
        names = (only,) if isinstance(only, str) else tuple(only)
        suite = load_suite(suite, data, partial, only=names, tolerant=True)
    elif data or partial or only:
        raise UsageError("data, partial and only go with the name of a suite, not with a suite as loaded")
    store = Store(Path(results))
    return list(run_suite(tracker, suite, store, protocol, options, name, force, seed, progress, how))


def run_suite(
    tracker: str | Path | type,
    suite: Suite,
    store: Store,
    protocol: str = "ope",
    options: dict[str, Any] | None = None,
    name: str | None = None,
    force: bool = False,
    seed: int = 0,
    progress: Progress | None = None,
    how: How | None = None,
) -> Iterator[Outcome]:
    """Run a tracker on a suite, writing each result as soon as it is there; yields an outcome each.

    A sequence on which the tracker fails, or whose images cannot be read, is recorded as failed, with the error,
    and the run goes on; the next run tries it again. Results are filed under ``name``, else under the tracker's
    own; ``force`` makes them anew, and removes first what was made otherwise.

    Raises:
        UsageError: results under that name were made otherwise, and ``force`` is not given; or another run is at
            work there.
        TrackerError: the tracker cannot even be made.
    """
    check_protocol(protocol)
    how = how or How()
    place = locate(tracker)
    label = check_name("tracker", name or place.name)
    store = Store(store.root.absolute())  # a tracker may change the working folder
    with ExitStack() as stack:
        work = stack.enter_context(store.held(suite.name, protocol, label))
        stop = threading.Event()
        setup = Setup(
            place.tracker,
            suite.name,
            _absolute(options or {}),
            seed,
            how.threads,
            place.code().libraries,
            None if how.shared is None or how.scheduler else str(Path(how.shared).absolute()),
        )
        here = how.in_process or isinstance(place.tracker, type)
        cluster = Cluster(how.scheduler, setup, how.limits, how.send) if how.scheduler and not here else None
        workers = [] if cluster else _workers(setup, how, work, stop)
        for worker in workers:
            stack.callback(worker.close)
            worker.start()  # all at once: what they load takes seconds
        if cluster:
            stack.callback(cluster.close)
        facts = (cluster or workers[0]).open()
        made = making(place, facts, seed, how.threads)
        book = Book(
            store, suite, protocol, label, place, made, facts, cluster.slots() if cluster else how.jobs
        )
        todo = []
        for step in plan(book, force, how.retry_failed):
            if isinstance(step, Job):
                todo.append(step)
            else:
                yield step
        tell = _teller(progress)
        if cluster is not None or how.jobs > 1:  # the longest first, so that none is left over at the end
            todo.sort(key=lambda job: -job.frames)
        ends = cluster.track(todo, made) if cluster else _spread(todo, workers, stop, tell)
        stack.enter_context(closing(ends))
        for end in ends:
            yield book.file(end.job, end.result)


def _spread(
    todo: list[Job], workers: list[Worker], stop: threading.Event, tell: Callable[[Step], None] | None
) -> Generator[End, None, None]:
    """Jobs done by the workers of this machine; those for which there is none are closed."""
    if isinstance(workers[0], InProcess):
        return in_turn(todo, workers[0], tell)
    needed = max(len(todo), 1)
    for worker in workers[needed:]:
        worker.close()
    return side_by_side(todo, workers[:needed], stop, tell)


def _teller(progress: Progress | None) -> Callable[[Step], None] | None:
    if progress is None:
        return None
    return lambda step: progress(step.job.stem, step.frames, step.job.frames)


def frames_of(suite: Suite, protocol: str) -> int:
    """Frames that a tracker is run over on a suite; those of sequences on which none can be started do not count."""
    total = 0
    for sequence in suite.sequences:
        with suppress(DataError):
            starts = segments(protocol, sequence.truth, omit=tre_omit(sequence))
            total += sum(len(sequence) - s.start for s in starts)
    return total


def _workers(setup: Setup, how: How, work: Path, stop: threading.Event) -> list[Worker]:
    if how.in_process or isinstance(setup.tracker, type):
        return [InProcess(setup, how.view)]
    cards = gpus() if how.jobs > 1 else ()
    return [
        Process(
            setup, how.limits, work / f"worker{k + 1}", work.parent / "run.log", stop,
            cards[k % len(cards)] if len(cards) > 1 else None, None if k else how.view,
        )
        for k in range(how.jobs)
    ]  # fmt: skip


def _absolute(options: dict[str, Any]) -> dict[str, Any]:
    """Options with paths as seen from any folder: a worker has one of its own."""

    def absolute(text: str) -> str:
        there = names_file(text) or (os.sep in text and is_path(text) and Path(text).exists())
        return str(Path(text).absolute()) if there else text

    cache = options.get("cache")
    kept = {"cache": str(Path(cache).absolute())} if isinstance(cache, str) and is_path(cache) else {}
    return {name: in_texts(value, absolute) for name, value in options.items()} | kept


@dataclass
class Book:
    """The records of one tracker, suite and protocol: what is current, and what a run adds."""

    store: Store
    suite: Suite
    protocol: str
    label: str
    place: Place
    made: dict[str, Any]
    facts: Facts
    jobs: int = 1

    def __post_init__(self) -> None:
        self.where = (self.suite.name, self.protocol, self.label)
        self.key = key_of(self.made)
        self.numbers: dict[str, str] = {}  # of the runs that this one has recorded, by machine
        self.seen = sorted({*self.facts.trained_on} & {*self.suite.expected})
        if self.seen:
            log.warning(
                "%s was trained on %d videos of %s: no test of it",
                self.label,
                len(self.seen),
                self.suite.name,
            )

    def read(self) -> None:
        """Read what is there.

        Raises:
            DataError: ``run.json`` is damaged.
        """
        self.meta = self.store.meta(*self.where) or {"sequences": {}}

    def others(self) -> str:
        """In what the results that are there were made otherwise than this run would, in words; empty if in nothing."""
        if not self.meta["sequences"]:
            return ""
        if "imported" in self.meta:
            return "other means (imported)"
        if "makings" not in self.meta:
            return "an older rolo-bench, which kept no stamps"
        found = [differences(old, self.made) for key, old in self.meta["makings"].items() if self._used(key)]
        words = " and ".join(dict.fromkeys(filter(None, found)))
        return f"other {words}" if words else ""

    def _used(self, key: str) -> bool:
        entries = self.meta["sequences"].values()
        return any(e.get("making") == key and e.get("status") != "failed" for e in entries)

    def current(self, job: Job) -> bool:
        """Whether a job's result is there, whole, and made as this run would make it."""
        entry = self.entry(job.stem)
        stamped = entry.get("making") == self.key and all(entry.get(k) == v for k, v in job.video.items())
        whole = entry.get("status") == "complete" and not self.store.damage(*self.where, job.stem, entry)
        return stamped and whole

    def entry(self, stem: str) -> dict[str, Any]:
        """The record of a result, empty where there is none."""
        found: dict[str, Any] = self.meta["sequences"].get(stem, {})
        return found

    def fail(self, stem: str, error: RoloBenchError, more: dict[str, Any], frames: int = 0) -> Outcome:
        """Record a sequence as failed, on which a tracker was to be run over so many frames."""
        with suppress(UsageError):  # a name that no file can have
            self.store.remove(*self.where, stem)
        output = error.output if isinstance(error, WorkerError) else ()
        self._record(stem, more | {"status": "failed", "error": str(error)})
        return Outcome(stem, "failed", str(error), output=output, frames=frames)

    def file(self, job: Job, result: Tracked | RoloBenchError) -> Outcome:
        """File what a job gave."""
        stamp = job.video | {"start": job.segment.start, "making": self.key}
        if isinstance(result, RoloBenchError):
            return self.fail(job.stem, result, stamp, job.frames)
        kept = RunResult(
            self.label, job.sequence.name, self.protocol, result.boxes, result.seconds,
            segment=job.segment.label, start=job.segment.start, scores=result.scores,
        )  # fmt: skip
        files, fps = self.store.digests(kept), speed(result.seconds)
        whole = {"status": "complete", "frames": len(kept.boxes), "files": files, "oracle": result.oracle}
        self._record(
            job.stem, stamp | whole | {"speed": fps}, result.made
        )  # first: what a kill leaves is known as ours
        self.store.save(self.suite.name, kept)
        return Outcome(job.stem, "done", fps=fps.get("mean", float("nan")), frames=job.frames, result=kept)

    def _command(self) -> dict[str, str]:
        """A program's command, where it can be found again by the name of the program."""
        if self.place.origin != COMMAND:
            return {}
        first = Path(split_command(str(self.place.tracker))[0])
        named = shutil.which(first.name)
        found = named is not None and Path(named).absolute() in (
            first.absolute(),
            Path(shutil.which(first) or ""),
        )
        return {"command": kept_command(str(self.place.tracker))} if found else {}

    def _record(self, stem: str, entry: dict[str, Any], made: dict[str, Any] | None = None) -> None:
        """Write a record; the first one of a run, and of each machine, writes with it what the run is."""
        machine = json.dumps(
            {k: v for k, v in ((made or {}).get("machine") or {}).items() if k != "load_at_start"}
        )
        if machine not in self.numbers:
            run = (made or provenance(self.facts, self.jobs)) | {"jobs": self.jobs}
            number = str(1 + max((int(k) for k in self.meta.get("runs", {}) if k.isdigit()), default=0))
            self.numbers[machine] = number
            self.meta.setdefault("runs", {})[number] = run
            self.meta.setdefault("makings", {})[self.key] = self.made
            self.meta |= {
                "tracker": self.label,
                "plugin": self.place.name,
                "origin": kept_origin(self.place),
                **self._command(),
                "protocol": self.protocol,
                "suite": self.suite.name,
                "expected": list(self.suite.expected),
                "options": self.made["options"],
                "seed": self.made["seed"],
                "fingerprint": {k: self.made[k] for k in ("options", "weights")}
                | {"source": self.made["code"]},
                "oracle": self.facts.oracle or bool(self.meta.get("oracle")),
                "trained_on": self.seen,
                **run,
            }
        self.meta["sequences"][stem] = entry | {"run": self.numbers[machine]}
        self.meta["oracle"] = bool(self.meta.get("oracle") or entry.get("oracle"))
        for part, key in (("runs", "run"), ("makings", "making")):  # those of which nothing is left
            used = {e.get(key) for e in self.meta["sequences"].values()}
            self.meta[part] = {k: v for k, v in self.meta[part].items() if k in used}
        self.store.write_meta(*self.where, self.meta)


def speed(seconds: np.ndarray[Any, Any]) -> dict[str, float]:
    """Frames per second inside the tracker, mean and median; the first frame, in which it starts, counts for itself."""
    spent = seconds[1:]
    if not len(spent) or not spent.sum() > 0:
        return {}
    return {
        "mean": float(f"{len(spent) / spent.sum():.5g}"),
        "median": float(f"{1 / max(float(np.median(spent)), 1e-9):.5g}"),
        "start": float(f"{seconds[0]:.5g}"),
    }


def plan(book: Book, force: bool, retry_failed: bool) -> Iterator[Job | Outcome]:
    """What there is to do, and what became of the rest: skipped, or failed before it began.

    What is on disk and not to be trusted is set aside or, with ``force`` and where it was made otherwise, removed.

    Raises:
        UsageError: results were made otherwise, and ``force`` is not given.
        DataError: ``run.json`` is damaged, and ``force`` is not given.
    """
    folder = book.store.folder(*book.where)
    try:
        book.read()
    except DataError:
        if not force:
            raise
        book.store.set_aside(*book.where, "run.json", *(p.name for p in folder.glob("*.txt")))
        book.read()
    other = book.others()
    if other and not force:
        raise UsageError(
            f"{folder}: results of {book.label} made with {other}; keep them and choose --name OTHER, "
            "or make them anew with --force"
        )
    if other:  # never files of two makings side by side
        book.store.clear(*book.where)
        book.meta = {"sequences": {}}
    for name, words in book.suite.faults:
        yield book.fail(name, DataError(words), {"making": book.key})
    for sequence in book.suite.sequences:
        try:
            starts = segments(book.protocol, sequence.truth, sequence.size, tre_omit(sequence))
            seen = video(sequence)
        except DataError as error:
            yield book.fail(sequence.name, error, {"truth": sequence.truth_digest(), "making": book.key})
            continue
        for segment in starts:
            job = Job(sequence, segment, seen)
            entry = book.entry(job.stem)
            failed = entry.get("status") == "failed" and entry.get("making") == book.key
            if not force and book.current(job):
                yield Outcome(job.stem, "skipped", frames=job.frames)
            elif not force and failed and not retry_failed:
                yield Outcome(job.stem, "skipped", entry.get("error"), frames=job.frames)
            else:
                if not entry or book.store.damage(*book.where, job.stem, entry):
                    book.store.make_room(*book.where, job.stem, entry)
                yield job
