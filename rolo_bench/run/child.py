"""What runs inside a worker's process; `rolo_bench.run.process` is its other end.

Messages to it are bytes that begin with a letter: ``J`` a job (pickled), then its truth if it asks for it, ``F`` a
frame in shared memory, ``R`` a frame too large for that, ``X`` no more frames. It answers ``M`` and JSON, or ``B`` with
a box, score and seconds.
"""

from __future__ import annotations

import json
import mmap
import os
import pickle
import signal
import struct
import sys
import traceback
from collections.abc import Iterator
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from rolo_bench.errors import RoloBenchError
from rolo_bench.run.in_process import InProcess, shown, threads_of
from rolo_bench.run.plugins import plugin_source
from rolo_bench.run.worker import track_frames
from rolo_bench.sequence import Image

FRAME = struct.Struct("<iii")  # slot, height, width
ANSWER = struct.Struct("<6d")  # box, score, seconds


class _NoMore(Exception):
    """The other end has no further frame."""


def main() -> None:
    """Serve the other end until it closes; never returns."""
    channel, memory = int(sys.argv[1]), int(sys.argv[2])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the other end's
    os.set_inheritable(channel, False)
    os.set_inheritable(memory, False)
    connection = Connection(channel)
    os.register_at_fork(after_in_child=connection.close)  # answers are this process's alone
    try:
        _serve(connection, memory)
    except (EOFError, OSError):  # the other end is gone
        pass
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)  # whatever threads the tracker has left


def _serve(connection: Connection, memory: int) -> None:
    setup = pickle.loads(connection.recv_bytes())
    if isinstance(setup.tracker, str) and setup.tracker.endswith(".py"):
        sys.path.insert(0, str(plugin_source(Path(setup.tracker)).folder))
    worker, work = InProcess(setup), Path.cwd()
    try:
        say(connection, facts=asdict(worker.open()))
    except RoloBenchError as error:
        _refuse(connection, error)
        return
    while True:
        message = connection.recv_bytes()
        if message[:1] == b"J":  # frames of a job that has failed here may still be on their way
            os.chdir(work)
            job = pickle.loads(memoryview(message)[1:])
            try:
                with threads_of(setup.threads):
                    _track(connection, memory, worker, job)
            except RoloBenchError as error:
                _refuse(connection, error)


def _track(connection: Connection, memory: int, worker: InProcess, job: dict[str, Any]) -> None:
    tracker = worker.make()
    oracle = shown(tracker)
    say(connection, oracle=oracle)
    truth = pickle.loads(connection.recv_bytes()) if oracle else None
    with mmap.mmap(memory, job["slots"] * job["size"]) as shared:
        images = _images(connection, shared, job)
        tracked = track_frames(tracker, images, job["box"], job["name"], job["first"], truth)
        try:
            for done, (_, box, score, seconds) in enumerate(tracked, 1):
                if done == job["count"]:
                    next(tracked, None)  # what its end shows is said before its last box
                connection.send_bytes(b"B" + ANSWER.pack(*box, score, seconds))
        except _NoMore:
            say(connection, stopped=True)


def _images(connection: Connection, shared: mmap.mmap, job: dict[str, Any]) -> Iterator[Image]:
    """The frames of a job as they arrive, each in memory of its own: a tracker may keep or change it."""
    for _ in range(job["count"]):
        message = connection.recv_bytes()
        if message[:1] == b"X":
            raise _NoMore
        slot, height, width = FRAME.unpack_from(message, 1)
        if message[:1] == b"R":
            yield np.frombuffer(message, np.uint8, offset=1 + FRAME.size).reshape(height, width, 3).copy()
            continue
        view = np.ndarray((height, width, 3), np.uint8, shared, slot * job["size"])
        image = view.copy()
        del view  # or the memory could not be closed
        yield image


def say(connection: Connection, **what: Any) -> None:
    """One message of names and values."""
    connection.send_bytes(b"M" + json.dumps(what).encode())


def _refuse(connection: Connection, error: RoloBenchError) -> None:
    traceback.print_exception(error)
    say(connection, error=str(error), kind=type(error).__name__)
