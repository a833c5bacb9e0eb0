"""Jobs on a Dask cluster: each machine runs its trackers in processes of their own, and this one gathers the results.

Only this process writes results, so no lock has to hold between machines. A machine that dies in mid-job costs
nothing: Dask gives the job to another. What a machine would make otherwise (another version of a library, other weights
or code) is refused there, not mixed in.
"""

from __future__ import annotations

import json
import pickle
import tempfile
import threading
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rolo_bench import errors
from rolo_bench.errors import RoloBenchError, TrackerError, UsageError
from rolo_bench.run.job import Job, Limits, Setup, Tracked
from rolo_bench.run.plugins import locate
from rolo_bench.run.pool import End
from rolo_bench.run.process import Process, WorkerError
from rolo_bench.run.stamp import Facts, differences, making, provenance
from rolo_bench.sequence import FrameSource, Image, ImageFiles, decode

if TYPE_CHECKING:
    from distributed import Client

_IDLE: dict[bytes, list[Process]] = {}  # on a machine of the cluster: processes that wait for their next job
_LOCK = threading.Lock()


@dataclass(frozen=True)
class ImageData:
    """Frames as the contents of their files, to be sent where the files are not."""

    files: tuple[bytes, ...]

    def __len__(self) -> int:
        return len(self.files)

    def image(self, index: int) -> Image:
        """One file's image, as it is decoded where the file is; raises as `decode`."""
        return decode(self.files[index], f"frame {index + 1}")


def _address(named: str) -> str:
    """The address of a scheduler that is named by it, or by its scheduler file.

    Raises:
        ValueError: the file is no scheduler file.
    """
    if not named.endswith(".json"):
        return named
    told = json.loads(Path(named).read_text(encoding="utf-8"))
    if not (isinstance(told, dict) and isinstance(told.get("address"), str)):
        raise ValueError("no scheduler file")
    return str(told["address"])


def packed(frames: FrameSource) -> FrameSource:
    """Frames that can be sent: contents in the place of files."""
    return (
        ImageData(tuple(p.read_bytes() for p in frames.paths)) if isinstance(frames, ImageFiles) else frames
    )


class Cluster:
    """A connection to the scheduler of a Dask cluster, by its address or the path of its scheduler file.

    Args:
        send: send images with each job; otherwise all machines read them under the same path.

    Raises:
        UsageError: Dask is not installed, or nothing answers there.
    """

    def __init__(self, address: str, setup: Setup, limits: Limits, send: bool = False) -> None:
        try:
            from distributed import Client
            from distributed.comm import get_address_host_port
        except ImportError:
            raise UsageError("--scheduler needs Dask: pip install 'rolo-bench[cluster]'") from None
        if address.endswith(".json") and not Path(address).is_file():
            raise UsageError(f"--scheduler {address}: no such scheduler file")
        where = {"scheduler_file": address} if address.endswith(".json") else {"address": address}
        try:  # looked at first, as a client that cannot begin waits long before it ends
            get_address_host_port(_address(address))
            self.client: Client = Client(**where, timeout=10, set_as_default=False)
        except (OSError, ValueError) as error:
            words = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UsageError(f"--scheduler {address}: no Dask scheduler answers there ({words})") from None
        self.setup, self.limits, self.send = setup, limits, send

    def open(self) -> Facts:
        """Have one machine make the tracker; raises what `Process.open` raises, and UsageError without machines."""
        if not self.client.scheduler_info(-1)["workers"]:
            raise UsageError("the cluster has no machines; start some with `dask worker ADDRESS`")
        told = self.client.submit(_open_there, self.setup, self.limits, pure=False).result()
        return Facts(**_or_raise(told)["facts"])

    def slots(self) -> int:
        """How many jobs run at once."""
        return sum(int(w["nthreads"]) for w in self.client.scheduler_info(-1)["workers"].values())

    def track(self, jobs: Iterable[Job], made: dict[str, Any]) -> Generator[End, None, None]:
        """Run jobs wherever there is room, each made as ``made`` says or refused; yields them as they end."""
        from distributed import as_completed

        futures = {}
        for job in jobs:
            sent = job
            if self.send:
                sent = replace(job, sequence=replace(job.sequence, frames=packed(job.sequence.frames)))
            future = self.client.submit(_track_there, self.setup, self.limits, sent, made, pure=False)
            futures[future] = job
        try:
            for future in as_completed(futures, loop=self.client.loop):
                try:
                    told = _or_raise(future.result())
                    yield End(futures[future], Tracked(**told))
                except RoloBenchError as error:
                    yield End(futures[future], error)
                except (
                    Exception
                ) as error:  # of Dask: a job whose machines died again and again, a value too large
                    words = (str(error).splitlines() or [""])[0]
                    failed = TrackerError(f"{futures[future].stem}: the cluster gave it up: {words}")
                    yield End(futures[future], failed)
        finally:
            self.client.cancel(list(futures))

    def close(self) -> None:
        """End the connection; the cluster stays."""
        self.client.close()


def _or_raise(told: dict[str, Any]) -> dict[str, Any]:
    if "error" not in told:
        return told
    if told["output"]:
        raise WorkerError(told["error"], tuple(told["output"]))
    kind = getattr(errors, told["kind"], TrackerError)
    raise kind(told["error"])


def _told(work: Callable[[Process], dict[str, Any]], setup: Setup, limits: Limits) -> dict[str, Any]:
    """On a machine of the cluster: do something with a process for this tracker, and tell how it went."""
    try:
        worker = _process(setup, limits)
        try:
            return work(worker)
        finally:
            with _LOCK:
                _IDLE.setdefault(_key(setup, limits), []).append(worker)
    except RoloBenchError as error:
        output = error.output if isinstance(error, WorkerError) else ()
        return {"error": str(error), "kind": type(error).__name__, "output": output}


def _key(setup: Setup, limits: Limits) -> bytes:
    return pickle.dumps((setup.tracker, setup.suite, repr(setup.options), setup.seed, setup.threads, limits))


def _process(setup: Setup, limits: Limits) -> Process:
    """A process that waits for a job of this tracker, or a new one; those of other trackers are ended."""
    from distributed import get_worker

    key = _key(setup, limits)
    with _LOCK:
        others = [p for k in list(_IDLE) if k != key for p in _IDLE.pop(k)]
        waiting = _IDLE.get(key)
        found = waiting.pop() if waiting else None
    for other in others:
        other.close()
    if found is not None:
        return found
    folder = Path(tempfile.mkdtemp(prefix="tracker-", dir=get_worker().local_directory))
    return Process(setup, limits, folder, folder.with_suffix(".log"), threading.Event())


def _open_there(setup: Setup, limits: Limits) -> dict[str, Any]:
    def work(worker: Process) -> dict[str, Any]:
        facts = worker.facts or worker.open()
        return {"facts": vars(facts)}

    return _told(work, setup, limits)


def _track_there(setup: Setup, limits: Limits, job: Job, made: dict[str, Any]) -> dict[str, Any]:
    def work(worker: Process) -> dict[str, Any]:
        facts = worker.facts or worker.open()
        here = making(locate(setup.tracker), facts, setup.seed, setup.threads)
        other = differences(made, here)
        if other:
            raise TrackerError(
                f"{job.stem}: a machine of the cluster has other {other}; make all machines alike"
            )
        tracked = worker.track(job)
        return {
            "boxes": tracked.boxes, "seconds": tracked.seconds, "oracle": tracked.oracle, "scores": tracked.scores,
            "made": provenance(facts, 1),
        }  # fmt: skip

    return _told(work, setup, limits)
