"""A worker in a process of its own: whatever a tracker does there, the run goes on.

The process is spawned afresh, not forked. It has its own working folder and its own imports, sees no terminal and no
Ctrl-C, and what it prints goes to a log. Images are decoded here, ahead of the tracker, and reach it through memory
that both share and that has no name, so that nothing is left of it whoever is killed.
"""

from __future__ import annotations

import json
import mmap
import os
import pickle
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from rolo_bench import errors
from rolo_bench.errors import DataError, RoloBenchError, TrackerError, UsageError
from rolo_bench.run.child import ANSWER, FRAME
from rolo_bench.run.images import made_once
from rolo_bench.run.job import MARK, Job, Limits, Setup, Tracked, given_scores
from rolo_bench.run.live import View
from rolo_bench.run.stamp import Facts
from rolo_bench.sequence import Image, prefetch

SLOTS = 4
"""Frames in shared memory: so many may be ahead of the tracker."""
SLICE = 0.1
"""Seconds between two looks at what else may have happened while an answer is awaited."""
KEPT = 1 << 16
"""Bytes of what a tracker prints during one job that go into the log, the last ones."""
TOO_MUCH = 1 << 26
"""Bytes that it may print before they are thrown away."""
SHOWN = 5


class Stopped(Exception):
    """The run was asked to stop."""


class WorkerError(TrackerError):
    """The tracker's process ended, hung or used too much; ``output`` has the last lines that it printed."""

    def __init__(self, text: str, output: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.output = output


class Gone(WorkerError):
    """The tracker's process has ended."""


class Process:
    """A worker in a child process, which is started when it is first needed and again after it died.

    Args:
        setup: how its tracker is made.
        limits: what ends it.
        work: its working folder, made here.
        log: file that what it prints is appended to.
        stop: set by whoever wants the run to end.
        gpu: the one GPU that it is to see.
        view: shown frames with their boxes, each before the next one is sent, so that the tracker's clock stands.
    """

    def __init__(
        self,
        setup: Setup,
        limits: Limits,
        work: Path,
        log: Path,
        stop: threading.Event,
        gpu: str | None = None,
        view: View | None = None,
    ) -> None:
        self.setup, self.limits, self.work, self.log, self.stop, self.gpu, self.view = (
            setup,
            limits,
            work,
            log,
            stop,
            gpu,
            view,
        )
        self.child: subprocess.Popen[bytes] | None = None
        self.facts: Facts | None = None
        self.output = work.with_name(f"{work.name}.out")
        self._name, self._deadline, self._looked = "", float("inf"), 0.0
        self._ready = self._answered = False  # the tracker is made; the job's first frame is answered
        self._file, self._size, self._shared = -1, 0, mmap.mmap(-1, 1)

    def start(self) -> None:
        """Start the process, unless it has been, and have it begin to make the tracker; nothing is waited for.

        Raises:
            UsageError: an option that cannot be sent.
        """
        try:
            setup = pickle.dumps(self.setup)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise UsageError(
                f"options cannot be sent to another process ({error}); use --in-process"
            ) from None
        if self.child is None:
            self._start()
            self._send(setup)

    def open(self) -> Facts:
        """Start the process and have it make the tracker once.

        Raises:
            UsageError: an option that the tracker does not have, or that cannot be sent.
            TrackerError: it cannot be found or made, or another one was made before.
        """
        self.start()
        name = Path(str(self.setup.tracker)).stem
        self._name, self._deadline = f"tracker {name} cannot be made", float("inf")
        try:
            facts = Facts(**self._told(self._receive(self.limits.start, "--start-timeout"))["facts"])
        except BaseException:
            self._keep("making the tracker")
            self.kill()
            raise
        if self.facts is not None and facts != self.facts:
            self.kill()
            raise TrackerError(
                f"tracker {name}: its weights or options are others now than when the run began"
            )
        self._keep("making the tracker")
        self.facts, self._ready = facts, True
        return facts

    def track(self, job: Job, tick: Callable[[int], None] | None = None) -> Tracked:
        """Run one job; ``tick`` is told the number of frames that are done.

        Raises:
            WorkerError: the process ended, hung or used too much; it is started again for the next job.
            TrackerError: the tracker failed; the message names the frame.
            DataError: an image cannot be read.
            Stopped: the run is to end.
        """
        stood, self._answered = self._ready, False
        if not stood:
            self.open()
        self._name = part = job.part.name
        limit = self.limits.sequence
        self._deadline = float("inf") if limit is None else time.monotonic() + limit
        try:
            frames = made_once(job.sequence.frames, self.setup.shared, job.sequence.name)
            with closing(prefetch(frames, job.segment.start)) as images:
                return self._track(job, images, tick)
        except (WorkerError, Stopped, KeyboardInterrupt) as error:
            self.kill()
            if (
                stood and not self._answered and isinstance(error, Gone)
            ):  # which an earlier job may have caused
                return self.track(job, tick)
            raise
        finally:
            self._keep(part if not job.segment.label else job.stem)

    def _track(self, job: Job, images: Iterator[Image], tick: Callable[[int], None] | None) -> Tracked:
        part = job.part
        count, first = len(part), part.first_frame
        boxes, scores, seconds = np.full((count, 4), np.nan), np.full(count, np.nan), np.zeros(count)
        image = _checked(next(images), part.name, first)
        size, shared = self._memory(image.nbytes)
        order = {
            "name": part.name, "first": first, "count": count, "box": job.segment.box, "slots": SLOTS, "size": size
        }  # fmt: skip
        self._send(b"J" + pickle.dumps(order))
        self._name = f"{part.name}, before its first frame"
        oracle = bool(self._told(self._receive(self.limits.start, "--start-timeout"))["oracle"])
        if oracle:
            self._send(pickle.dumps(part.truth))
        sent = 0
        for done in range(count):
            wanted = self.view is not None and self.view.due()
            while sent < min(done + (1 if wanted else SLOTS), count) and (
                sent == done or not self._waiting()
            ):
                if sent:
                    try:
                        image = _checked(next(images), part.name, first + sent)
                    except DataError:
                        self._stop_job()
                        raise
                self._put(image, sent % SLOTS, size, shared)
                sent += 1
            self._name = f"{part.name}, frame {first + done}"
            answer = self._receive(self.limits.frame)
            if answer[:1] != b"B":
                self._told(answer)
            *boxes[done], scores[done], seconds[done] = ANSWER.unpack_from(answer, 1)
            self._answered = True
            if self.view is not None and wanted and sent == done + 1:  # nothing is being tracked meanwhile
                self.view.of_run(self.setup.tracker, part, done, image, boxes[done])
            if tick is not None:
                tick(done + 1)
        return Tracked(boxes, seconds, oracle, scores=given_scores(scores))

    def _put(self, image: Image, slot: int, size: int, shared: mmap.mmap) -> None:
        header = FRAME.pack(slot, *image.shape[:2])
        if image.nbytes > size:
            self._send(b"R" + header + image.tobytes())
            return
        np.copyto(np.ndarray(image.shape, np.uint8, shared, slot * size), image)
        self._send(b"F" + header)

    def _stop_job(self) -> None:
        """Tell the child that no more frames come, and wait until it knows."""
        self._send(b"X")
        with suppress(TrackerError):
            while True:
                answer = self._receive(self.limits.frame)
                if answer[:1] == b"M" and self._told(answer):
                    return

    def _memory(self, least: int) -> tuple[int, mmap.mmap]:
        """Size of a slot, and shared memory for `SLOTS` of them."""
        if self._size < least:
            self._size = least
            os.ftruncate(self._file, SLOTS * least)
            self._shared = mmap.mmap(self._file, SLOTS * least)
        return self._size, self._shared

    def _start(self) -> None:
        _end_all(self.work)  # of a run that was killed
        self.work.mkdir(parents=True, exist_ok=True)
        self.output.write_bytes(b"")
        self._file, self._size = _memory_file(), 0
        ours, theirs = socket.socketpair()
        environment = _absolute(os.environ) | {
            MARK: str(self.work), "PYTHONUNBUFFERED": "1", "PYTHONHASHSEED": "0", "PYTHONFAULTHANDLER": "1",
            **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(self.setup.threads)),
        }  # fmt: skip
        environment.pop("ROLO_BENCH_SHARED", None)
        if self.setup.shared is not None:
            environment["ROLO_BENCH_SHARED"] = self.setup.shared
        if self.gpu is not None:
            environment["CUDA_VISIBLE_DEVICES"] = self.gpu
        command = [
            sys.executable,
            "-m",
            "rolo_bench.run.start",
            str(theirs.fileno()),
            str(self._file),
            str(os.getpid()),
        ]
        with theirs, open(self.output, "ab") as output:
            self.child = subprocess.Popen(
                command, cwd=self.work, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                pass_fds=(theirs.fileno(), self._file), start_new_session=True,
            )  # fmt: skip
        self._connection = Connection(ours.detach())
        self._answers = select.poll()  # Connection.poll makes a new one each time
        self._answers.register(self._connection.fileno(), select.POLLIN)

    def _send(self, message: bytes) -> None:
        with suppress(
            OSError
        ):  # of a child that is gone the answers are read first; `_receive` meets its end
            self._connection.send_bytes(message)

    def _waiting(self) -> bool:
        """Whether an answer is there."""
        return bool(self._answers.poll(0))

    def _receive(self, limit: float | None, option: str = "--frame-timeout") -> bytes:
        """The next answer of the child, which has ``limit`` seconds for it, as the user set by ``option``."""
        assert self.child is not None
        begin = time.monotonic()
        while True:
            try:
                if self._answers.poll(1000 * SLICE):
                    if time.monotonic() - self._looked > SLICE:
                        self._look(begin, None, option)
                    return self._connection.recv_bytes()
            except (EOFError, OSError):
                raise self._ended() from None
            if self.child.poll() is not None and not self._waiting():
                raise self._ended()
            self._look(begin, limit, option)

    def _look(self, begin: float, limit: float | None, option: str) -> None:
        """Raise what ends the wait for an answer, if anything does."""
        now = self._looked = time.monotonic()
        if self.stop.is_set():
            raise Stopped
        if limit is not None and now - begin > limit:
            raise self._failure(f"no answer for {limit:g} s ({option})")
        if now > self._deadline:
            raise self._failure(f"longer than {self.limits.sequence:g} s (--timeout)")
        if self.limits.memory is not None and _memory_of(self.child) > self.limits.memory:
            raise self._failure(f"more than {_size(self.limits.memory)} of memory (--memory)")
        if self.output.stat().st_size > TOO_MUCH:
            os.truncate(self.output, 0)

    def _told(self, answer: bytes) -> dict[str, Any]:
        """A message of names and values; raises the error that it may hold."""
        try:
            told: dict[str, Any] = json.loads(answer[1:]) if answer[:1] == b"M" else {}
        except ValueError:
            told = {}
        if "error" in told:
            kind = getattr(errors, str(told.get("kind")), TrackerError)
            raise (kind if issubclass(kind, RoloBenchError) else TrackerError)(str(told["error"]))
        if not told:
            raise self._failure("its process answered with something else than a box")
        return told

    def _ended(self) -> WorkerError:
        """The process is gone: why."""
        assert self.child is not None
        try:
            status = self.child.wait(5)
        except subprocess.TimeoutExpired:
            return self._failure("its process closed the connection")
        if status >= 0:
            return self._failure(f"its process ended itself with status {status}", Gone)
        name = signal.Signals(-status).name if -status in set(signal.Signals) else f"signal {-status}"
        more = ", as the system does when memory runs out" if name == "SIGKILL" else ""
        return self._failure(f"its process was ended by {name}{more}", Gone)

    def _failure(self, what: str, kind: type[WorkerError] = WorkerError) -> WorkerError:
        lines = _tail(self.output, 4096).decode(errors="replace").splitlines()
        plain = ("".join(c if c.isprintable() else " " for c in line).rstrip()[:200] for line in lines)
        return kind(f"{self._name}: {what}", tuple(filter(None, plain))[-SHOWN:])

    def _keep(self, title: str) -> None:
        """Append what the process has printed to the log, and forget it."""
        with suppress(OSError):
            size = self.output.stat().st_size
            if not size:
                return
            data = _tail(self.output, KEPT)
            os.truncate(self.output, 0)
            cut = f" ({size - len(data)} bytes before it left out)" if size > len(data) else ""
            with open(self.log, "ab") as log:
                log.write(f"== {title}{cut}\n".encode() + data.rstrip(b"\n") + b"\n")

    def close(self) -> None:
        """End the process, and whatever it has started."""
        if self.child is not None:
            self._connection.close()
            if self._ready:  # and may end what it has to end
                with suppress(subprocess.TimeoutExpired):
                    self.child.wait(2)
            self.kill()

    def kill(self) -> None:
        """End the process, and whatever it has started, at once."""
        child, self.child, self._ready = self.child, None, False
        if child is None:
            return
        with suppress(OSError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        _end_all(self.work)  # of those in groups of their own
        self._connection.close()
        os.close(self._file)


def _checked(image: Image, name: str, number: int) -> Image:
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise DataError(f"{name}, frame {number}: not an RGB image of 8 bits")
    return image


def _absolute(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment with the paths that are ours as seen from any folder."""
    found = dict(environment)
    for name, value in environment.items():
        if name.startswith("ROLO_BENCH_") and value and (os.sep in value or os.path.exists(value)):
            found[name] = os.path.abspath(value)
    if environment.get("PYTHONPATH"):
        parts = environment["PYTHONPATH"].split(os.pathsep)
        found["PYTHONPATH"] = os.pathsep.join(os.path.abspath(p) for p in parts)
    return found


def _memory_file() -> int:
    """A file in memory that has no name; where there is none such, one on disk that has lost it."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("frames")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _size(count: int) -> str:
    """Bytes in words: ``4 GB``, ``500 MB``."""
    return f"{count / 1e9:g} GB" if count >= 10**9 else f"{count / 1e6:g} MB"


def _end_all(work: Path) -> None:
    """End every process that was started from a worker in this folder, whatever group it has moved to."""
    import psutil

    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == str(work):
                process.kill()


def _memory_of(child: subprocess.Popen[bytes] | None) -> int:
    """Bytes of memory that a process and those it started hold."""
    import psutil

    total = 0
    with suppress(psutil.Error):
        process = psutil.Process(child.pid if child else os.getpid())
        for each in [process, *process.children(recursive=True)]:
            with suppress(psutil.Error):
                total += each.memory_info().rss
    return total


def _tail(path: Path, most: int) -> bytes:
    try:
        with open(path, "rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - most, 0))
            return file.read()
    except OSError:
        return b""
