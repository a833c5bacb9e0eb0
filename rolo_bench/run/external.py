"""Trackers in other languages: a program that reads a request a line and answers each with a line.

``init X Y W H PATH`` starts it on an image with the target's box, ``frame PATH`` asks for the box on the next one; the
answer to each is ``X Y W H``, or ``nan`` for "not there", and a fifth number for how sure it is. Pixels count from 0,
images are PNG files, and the program is started anew for each sequence; at its end its input is closed, and it has no
more to say. It never sees a frame before it has answered for the one before. Programs for VOT's toolkit speak TraX
(`Trax`).
"""

from __future__ import annotations

import hashlib
import os
import re
import select
import shlex
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np

from rolo_bench.boxes import Array
from rolo_bench.datasets.masks import box_of
from rolo_bench.errors import TrackerError, UsageError
from rolo_bench.files import digest
from rolo_bench.run.job import MARK
from rolo_bench.sequence import Image

LACKING = "protocol=trax needs the package vot-trax: pip install 'rolo-bench[trax]'"
GLANCE = 0.1
"""Seconds after which it is looked whether a program that is silent has ended."""
LONGEST = 65536
"""Bytes of a line; what goes on beyond them is no answer."""
UNASKED = (
    "{} wrote {!r} without being asked; a request has one line as answer, other words go to standard error"
)
BEHIND = (
    "{} wrote {!r} when all was answered: a line too many before it, such as a banner, has put each answer "
    "behind its frame; a request has one line as answer, other words go to standard error"
)
UNENDED = (
    "{} did not end within {:g} s after its input was closed, so that a line may be to come, "
    "and its answers those of other frames"
)
WRONG = "{} answered {!r}, expected four numbers X Y W H and perhaps a score, or nan"


class Command:
    """A program behind the tracker contract.

    Args:
        command: the program with its arguments.
        timeout: seconds for one answer.
    """

    def __init__(self, command: str, timeout: float) -> None:
        self.words, self.timeout = shlex.split(command), timeout
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> subprocess.Popen[bytes]:
        """Start the program, in a folder for what lasts as long as it does."""
        home = os.environ.get(MARK)  # of a worker, which goes with the run, however that ends
        self.folder = tempfile.TemporaryDirectory(prefix="rolo-bench-", dir=home)
        self.errors: IO[str] = open(  # noqa: SIM115 - closed in close
            Path(self.folder.name) / "stderr.txt", "w+", encoding="utf-8", errors="replace"
        )
        self.process = subprocess.Popen(
            self.words, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors
        )
        return self.process

    def init(self, image: Image, box: Array) -> None:
        """Start the program and its target."""
        self.start()
        self.unread = b""
        self.ask("init " + " ".join(f"{v:.6f}" for v in box), image)

    def update(self, image: Image) -> Array | tuple[Array, float]:
        """The program's box, with its score if it gives one; NaN where it says ``nan``."""
        answer = self.ask("frame", image)
        try:
            values = np.array([float(v) for v in re.split(r"[,\s]+", answer.strip())])
        except ValueError:
            values = np.zeros(0)
        if values.shape == (5,):
            return values[:4], float(values[4])
        if values.shape != (4,) and not (values.shape == (1,) and np.isnan(values[0])):
            raise TrackerError(WRONG.format(self.words[0], answer.strip()[:60]))
        return np.broadcast_to(values, (4,)).copy()

    def picture(self, image: Image) -> Path:
        """The image as a file, which the next one takes the place of."""
        import cv2

        path = Path(self.folder.name) / "frame.png"
        cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 1])
        return path

    def ask(self, request: str, image: Image) -> str:
        """One request with an image, and the line that comes back.

        Raises:
            TrackerError: the program ended, did not answer in time, or has said more than it was asked.
        """
        assert self.process is not None and self.process.stdin is not None
        path = self.picture(image)
        if unasked := self.line(0):  # every answer after it would be that of another frame
            raise TrackerError(UNASKED.format(self.words[0], unasked.strip()[:60]))
        with suppress(OSError):  # a program that has ended is told by its missing answer
            self.process.stdin.write(f"{request} {path}\n".encode())
        answer = self.line(self.timeout)
        if answer is None:
            self.close()
            raise self.late()
        if not answer:
            raise self.ended(self.process.wait(5))
        return answer

    def line(self, limit: float) -> str | None:
        """The next line with its end, waited for ``limit`` seconds; empty where no more comes, None where none came."""
        assert self.process is not None and self.process.stdout is not None
        stream, until = self.process.stdout.fileno(), time.monotonic() + limit
        waiting = select.poll()
        waiting.register(stream, select.POLLIN)
        while b"\n" not in self.unread and len(self.unread) < LONGEST:
            if not waiting.poll(1000 * max(until - time.monotonic(), 0)):
                return None
            if not (read := os.read(stream, LONGEST)):
                break
            self.unread += read
        line, end, self.unread = self.unread.partition(b"\n")
        return (line + end).decode("utf-8", "replace")

    def finish(self) -> None:
        """End the program after its last answer by closing its input, and see that it has no more to say.

        A line that it wrote too early, but later than its first request, was taken for an answer: then each one is that
        of the frame before, and that of the last frame is still to come. Empty lines and comments (``#``) are none.

        Raises:
            TrackerError: it has, or goes on for longer than an answer may take.
        """
        assert self.process is not None and self.process.stdin is not None
        self.process.stdin.close()
        limit = time.monotonic() + self.timeout
        try:
            while time.monotonic() < limit:
                ended = self.process.poll() is not None  # though what it has started may hold its output open
                line = self.line(GLANCE)
                if line == "" or (line is None and ended):
                    return
                if line and line.strip() and not line.lstrip().startswith("#"):
                    raise TrackerError(BEHIND.format(self.words[0], line.strip()[:60]))
            raise TrackerError(UNENDED.format(self.words[0], self.timeout))
        finally:
            self.close()

    def late(self) -> TrackerError:
        """The error of a program that does not answer in time."""
        return TrackerError(f"{self.words[0]} did not answer within {self.timeout:g} s")

    def ended(self, status: int) -> TrackerError:
        """The error of a program that ended, with the last line that it wrote to standard error."""
        self.errors.seek(0)
        last = (self.errors.read().strip().splitlines() or ["it said nothing on stderr"])[-1]
        return TrackerError(f"{self.words[0]} ended (exit code {status}): {last}")

    def close(self) -> None:
        """End the program."""
        process, self.process = self.process, None
        if process is None:
            return
        with suppress(OSError):
            process.stdin.close()  # type: ignore[union-attr]
        try:
            process.wait(2)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()  # type: ignore[union-attr]
        self.errors.close()
        self.folder.cleanup()

    def __del__(self) -> None:
        self.close()


class Trax(Command):
    """A program behind the tracker contract that is spoken to in TraX, through that protocol's own library.

    Boxes go out and come in as rectangles; a program that knows polygons or masks alone is given those, and the box
    around what it answers counts. Its ``confidence`` is the score.

    Raises:
        UsageError: the package of the protocol is not installed.
    """

    def __init__(self, command: str, timeout: float) -> None:
        super().__init__(command, timeout)
        try:
            import trax.client
        except ImportError:
            raise UsageError(LACKING) from None
        self.trax = trax

    def init(self, image: Image, box: Array) -> None:
        """Start the program and its target.

        Raises:
            TrackerError: it is no TraX tracker, or wants what is not at hand: another image than a colour one.
        """
        process = self.start()
        assert process.stdin is not None and process.stdout is not None
        with self._within():
            streams = process.stdin.fileno(), process.stdout.fileno()
            self.client = self.trax.client.Client(streams, log=lambda *_: None)  # it fails without a log
            if "color" not in self.client.channels:
                raise TrackerError(
                    f"{self.words[0]} wants images of {', '.join(self.client.channels)}, not of colour"
                )
            region = self._region(box, image)
            self.client.initialize({"color": self._image(image)}, [(region, {})], {})

    def update(self, image: Image) -> Array | tuple[Array, float]:
        """The program's box, with its confidence if it gives one; NaN for an empty or special region."""
        with self._within():
            objects, _ = self.client.frame({"color": self._image(image)}, {}, [])
        if not objects:
            return np.full(4, np.nan)
        region, properties = objects[0]
        box, score = self._box(region), properties.get("confidence")
        return box if score is None else (box, float(score))

    @contextmanager
    def _within(self) -> Iterator[None]:
        """A request: the program is ended if it takes longer than it may.

        Raises:
            TrackerError: it did, it ended, or it answered with something else.
        """
        process, late = self.process, threading.Event()
        assert process is not None

        def stop() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(self.timeout, stop)
        timer.start()
        try:
            yield
        except self.trax.TraxException as error:
            with suppress(Exception):
                process.wait(1)
            if late.is_set():
                raise self.late() from None
            if process.poll() is not None:
                raise self.ended(process.returncode) from None
            raise TrackerError(f"{self.words[0]}: {error}") from None
        finally:
            timer.cancel()

    def finish(self) -> None:
        """Nothing is to be seen: messages of the protocol are told from other lines."""

    def _image(self, image: Image) -> Any:
        """An image in a form that the program takes: a file, pixels, or the contents of a file."""
        formats = self.client.image_formats
        if "path" in formats:
            return self.trax.image.FileImage.create(str(self.picture(image)))
        if "memory" in formats:
            return self.trax.image.MemoryImage.create(image)
        return self.trax.image.BufferImage.create(self.picture(image).read_bytes())

    def _region(self, box: Array, image: Image) -> Any:
        """A box ``(4,)`` as a region that the program takes."""
        x, y, w, h = (float(v) for v in box)
        formats, kinds = self.client.region_formats, self.trax.region
        if "rectangle" in formats:
            return kinds.Rectangle.create(x, y, w, h)
        if "polygon" in formats:
            return kinds.Polygon.create([(x, y), (x + w, y), (x + w, y + h), (x, y + h)])
        mask = np.zeros(image.shape[:2], dtype=np.uint8)
        mask[max(round(y), 0) : round(y + h), max(round(x), 0) : round(x + w)] = 1
        return kinds.Mask.create(mask)

    def _box(self, region: Any) -> Array:
        """The box around a region."""
        if region.type == "rectangle":
            return np.array(region.bounds(), dtype=np.float64)
        if region.type == "polygon":
            points = np.array([region.get(k) for k in range(region.size())])
            return np.concatenate([points.min(axis=0), np.ptp(points, axis=0)])
        if region.type == "mask":
            return box_of(region.array()) + [*region.offset(), 0, 0]
        return np.full(4, np.nan)

    def close(self) -> None:
        """End the program, after the library's end of the line, which needs its log to the last."""
        client = self.__dict__.pop("client", None)
        if client is not None:
            client._handle = None
        super().close()


class Program:
    """The tracker contract of a program, which a loop tells of the end of its frames by ``finish``."""

    program: Command

    def init(self, image: Image, box: Array) -> None:
        """Start the program and its target."""
        self.program.init(image, box)

    def update(self, image: Image) -> Array | tuple[Array, float]:
        """The program's answer."""
        return self.program.update(image)

    def finish(self) -> None:
        """No more frames come: `Command.finish`."""
        self.program.finish()


def split_command(command: str) -> list[str]:
    """The words of a command.

    Raises:
        UsageError: a quote in it has no end.
    """
    try:
        return shlex.split(command)
    except ValueError as error:
        raise UsageError(f"{command}: no command ({error})") from None


def kept_command(command: str) -> str:
    """A command with the names of its files alone, as results keep it: where they lie is nobody's business."""
    return shlex.join(Path(w).name if Path(w).is_file() else w for w in split_command(command))


def from_anywhere(command: str) -> str:
    """A command whose files are named in full, since a tracker runs in a folder of its own."""
    return shlex.join(str(Path(w).absolute()) if Path(w).is_file() else w for w in split_command(command))


def command_tracker(command: str) -> tuple[str, type, str]:
    """Name, class and SHA-256 of a program that is a tracker; the digest covers the files that the command names.

    Raises:
        UsageError: no such program.
    """
    words = split_command(command)
    if not words or shutil.which(words[0]) is None:
        raise UsageError(
            f"{command}: no such program; name a tracker, the path of a plugin file, or a command"
        )
    files = [Path(shutil.which(words[0]) or words[0]), *(Path(w) for w in words[1:] if Path(w).is_file())]
    content = [kept_command(command), *(digest(f) for f in files)]

    class External(Program):
        __doc__ = f"The program `{command}`."

        def __init__(self, timeout: float = 60.0, protocol: Literal["lines", "trax"] = "lines") -> None:
            self.program = (Trax if protocol == "trax" else Command)(command, timeout)

    return files[-1].stem, External, hashlib.sha256("\n".join(content).encode()).hexdigest()
