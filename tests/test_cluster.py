"""Jobs on a Dask cluster on this machine: a real scheduler, real worker processes, one of them killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rolo_bench.cli import main
from rolo_bench.datasets.suites import load_suite
from rolo_bench.errors import UsageError
from rolo_bench.run.runner import How, run_suite
from rolo_bench.run.store import Store
from tests.helpers_video import otb_folder

pytest.importorskip("distributed")
SLOW = """
import os, time
class Slow:
    'Moves on, slowly.'
    def __init__(self): self.n = 0
    def init(self, image, box): self.box = box
    def update(self, image):
        time.sleep(0.02)
        self.n += 1
        if os.environ.get('EXIT'): os._exit(3)
        return self.box + [self.n, int(image.sum()) % 7, 0, 0]
"""


@pytest.fixture
def cluster(tmp_path):
    """The scheduler file of a cluster, and its worker processes."""
    file = tmp_path / "scheduler.json"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": tmp_path}
    dask = [sys.executable, "-m", "dask"]
    common = ["--scheduler-file", str(file), "--no-dashboard"]
    scheduler = subprocess.Popen([*dask, "scheduler", "--host", "127.0.0.1", "--port", "0", *common], **quiet)
    workers = [
        subprocess.Popen([*dask, "worker", "--no-nanny", "--nthreads", "1", *common], **quiet)
        for _ in range(2)
    ]
    from distributed import Client

    deadline = time.monotonic() + 60
    while not file.is_file() and time.monotonic() < deadline:
        time.sleep(0.1)
    with Client(scheduler_file=str(file), set_as_default=False) as client:
        client.wait_for_workers(2, timeout=60)
    yield str(file), workers
    for process in (*workers, scheduler):
        process.kill()
        process.wait()


def snapshot(root: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in root.rglob("*.txt") if not p.name.endswith("_time.txt")}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_cluster_one_of_whose_machines_is_killed_gives_the_same_bytes(cluster, tmp_path, monkeypatch):
    file, workers = cluster
    (tmp_path / "slow.py").write_text(SLOW)
    names = tuple("ABCDEFGHIJ")
    suite = load_suite(str(otb_folder(tmp_path / "videos", names, count=15)))
    one, many = Store(tmp_path / "one"), Store(tmp_path / "many")
    list(run_suite(tmp_path / "slow.py", suite, one))
    done = []
    for outcome in run_suite(tmp_path / "slow.py", suite, many, how=How(scheduler=file)):
        done.append(outcome)
        if len(done) == 2:
            os.kill(workers[0].pid, signal.SIGKILL)
    assert {o.what for o in done} == {"done"} and len(done) == 10
    assert snapshot(one.root) == snapshot(many.root) and len(snapshot(one.root)) == 10
    meta = many.meta("videos", "ope", "slow")
    assert {r["jobs"] for r in meta["runs"].values()} == {2}
    again = list(run_suite(tmp_path / "slow.py", suite, many))  # the same stamp wherever it was made
    assert {o.what for o in again} == {"skipped"}
    sent = Store(tmp_path / "sent")
    list(run_suite(tmp_path / "slow.py", suite, sent, how=How(scheduler=file, send=True)))
    assert snapshot(sent.root) == snapshot(one.root)
    bad = list(run_suite("ncc", suite, sent, how=How(scheduler=file)))
    assert {o.what for o in bad} == {"done"}
    with pytest.raises(UsageError, match="unknown option 'x'"):
        list(run_suite("ncc", suite, sent, name="x", options={"x": 1}, how=How(scheduler=file)))


@pytest.mark.filterwarnings("ignore")
def test_nothing_answers_there(tmp_path, capsys):
    line = ["run", "--tracker", "static", "--suite", str(otb_folder(tmp_path / "v", count=3))]
    line += ["--results", str(tmp_path / "r"), "--scheduler", str(tmp_path / "none.json")]
    assert main([*line, "--jobs", "2"]) == 2
    assert "go without --jobs" in capsys.readouterr().err
    assert main([*line, "--share"]) == 2 and "go without --share" in capsys.readouterr().err
    assert main(line) == 2
    assert "none.json: no such scheduler file" in capsys.readouterr().err.splitlines()[-1]
    Path(line[-1]).write_text("{}")
    assert main(line) == 2
    assert "none.json: no Dask scheduler answers there (no scheduler file)" in capsys.readouterr().err
    begun = time.monotonic()
    assert main([*line[:-1], "nowhere"]) == 2
    assert "nowhere: no Dask scheduler answers there (missing port" in capsys.readouterr().err
    assert time.monotonic() - begun < 10
