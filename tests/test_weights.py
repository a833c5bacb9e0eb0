"""The weights registry and store, against a local server that also fails."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rolo_bench.cli import main
from rolo_bench.errors import UsageError, WeightsError
from rolo_bench.fetch import weights
from rolo_bench.fetch.download import Patience
from rolo_bench.fetch.formats import flaw
from rolo_bench.fetch.weights import WeightFile, registry
from rolo_bench.nn.detect.registry import DETECTORS, load_detector
from tests.helpers_server import PAGE, Handler, serving

BODY = bytes(range(256)) * 400
SHA = hashlib.sha256(BODY).hexdigest()
fetch_file = partial(weights.fetch_file, patience=Patience(timeout=0.4, attempts=3, most=12, pause=0.01))


def checkpoint(modern: bool = True) -> bytes:
    buffer = io.BytesIO()
    torch.save({"model": {"w": torch.ones(5000)}}, buffer, _use_new_zipfile_serialization=modern)
    return buffer.getvalue()


def darknet(major: int = 0, minor: int = 1, count: int = 20_000) -> bytes:
    seen = b"\0" * (8 if major * 10 + minor >= 2 else 4)
    values = np.random.default_rng(0).normal(size=count).astype("<f4")
    return struct.pack("<3i", major, minor, 0) + seen + values.tobytes()


def network() -> bytes:
    node = onnx.helper.make_node("Add", ["a", "b"], ["c"])
    b = onnx.numpy_helper.from_array(np.ones(5000, np.float32), "b")
    return onnx.helper.make_model(onnx.helper.make_graph([node], "g", [], [], [b])).SerializeToString()


@pytest.fixture
def server() -> Iterator[str]:
    with serving({"/good": BODY, "/net.pth": checkpoint()}) as address:
        yield address


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROLO_BENCH_WEIGHTS", raising=False)
    monkeypatch.setenv("ROLO_BENCH_CACHE", str(tmp_path / "cache"))


def entry(url: str, sha256: str | None = SHA, size: int | None = None) -> WeightFile:
    return WeightFile("net.bin", url, sha256, size, "Apache-2.0")


def unknown(server: str, name: str = "net.pth") -> WeightFile:
    """A file whose SHA-256 nobody publishes."""
    return WeightFile(name, f"{server}/{name}", None, None, "Apache-2.0")


def left(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.rglob("*") if p.is_file())


def test_a_good_download_is_kept_and_not_fetched_twice(server: str, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int | None]] = []
    path = fetch_file(entry(f"{server}/good", size=len(BODY)), tmp_path / "w", lambda *a: seen.append(a))
    assert path.read_bytes() == BODY
    assert seen[-1] == ("net.bin", len(BODY), len(BODY))
    assert fetch_file(entry(f"{server}/good"), tmp_path / "w") == path
    assert [path for path, _ in Handler.log] == ["/good"] and left(tmp_path) == ["net.bin"]


@pytest.mark.parametrize(
    ("path", "deeds", "sha256", "message"),
    [
        ("/good", [], "0" * 64, "SHA-256 is not the expected one"),
        ("/good", ["page"], SHA, "SHA-256 is not the expected one"),
        ("/absent", [], SHA, "404 Not Found"),
        ("/absent", [], None, "404 Not Found"),
    ],
)
def test_a_bad_download_leaves_nothing(
    server: str, tmp_path: Path, path: str, deeds: list[str], sha256: str | None, message: str
) -> None:
    Handler.script[path] = deeds
    with pytest.raises(WeightsError, match=message) as error:
        fetch_file(entry(server + path, sha256), tmp_path / "w")
    assert "\n" not in str(error.value) and "ROLO_BENCH_WEIGHTS" in str(error.value)
    assert left(tmp_path) == []


@pytest.mark.parametrize("sha256", [SHA, None])
def test_a_cut_transfer_goes_on(server: str, tmp_path: Path, sha256: str | None) -> None:
    Handler.files["/net.pth"] = good = checkpoint()
    file = entry(f"{server}/good", sha256) if sha256 else unknown(server)
    whole, path = (BODY, "/good") if sha256 else (good, "/net.pth")
    Handler.script[path] = ["truncate:1000"] + ["503"] * 3
    with pytest.raises(WeightsError, match=r"503 .*1000 bytes are kept"):
        fetch_file(file, tmp_path)
    assert left(tmp_path) == [f"{file.name}.part", f"{file.name}.part.tag"]
    assert fetch_file(file, tmp_path).read_bytes() == whole
    assert Handler.served == len(whole) and Handler.log[-1] == (path, "bytes=1000-")
    assert left(tmp_path) == [file.name] + [f"{file.name}.sha256"] * (sha256 is None)


def test_no_server(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="cannot be reached"):
        fetch_file(entry("http://127.0.0.1:9/x"), tmp_path)


# Files whose SHA-256 nobody publishes


def test_a_file_without_published_hash_is_checked_against_its_first_download(
    server: str, tmp_path: Path
) -> None:
    path = fetch_file(unknown(server), tmp_path)
    good = path.read_bytes()
    assert (tmp_path / "net.pth.sha256").read_text().strip() == hashlib.sha256(good).hexdigest()
    other = checkpoint(modern=False)
    path.write_bytes(other)
    assert "SHA-256 is" in weights.fault(unknown(server), path)
    Handler.script["/net.pth"] = ["404"]
    with pytest.raises(WeightsError, match="404"):
        fetch_file(unknown(server), tmp_path)
    assert path.read_bytes() == other, "nothing is taken away before there is something better"
    assert fetch_file(unknown(server), tmp_path).read_bytes() == good


KINDS: dict[str, Callable[[], bytes]] = {
    ".pth": checkpoint,
    ".pth ": lambda: checkpoint(modern=False),
    ".weights": darknet,
    ".weights ": lambda: darknet(0, 2),
    ".onnx": network,
    ".cfg": lambda: b"# a comment\n\n[net]\nwidth=416\n",
    ".cfg ": lambda: b"[network]\nwidth=416\n",
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_what_its_name_says(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(KINDS[kind]())
    assert flaw(path, kind.strip()) == ""


def _zip_of_another_kind() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("readme.txt", "no data")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        *((kind, data) for kind in (".pth", ".weights", ".onnx", ".cfg") for data in (b"", PAGE, b"\n\n" + PAGE)),
        *((kind, data) for kind in (".pth", ".weights", ".onnx") for data in (b"moved\n" * 9999, b"\0" * 50_000)),
        *((".pth", data) for data in (checkpoint()[:-30], checkpoint(False)[:999], PAGE + checkpoint())),
        *((".pth", data) for data in (_zip_of_another_kind(), darknet())),
        *((".weights", data) for data in (darknet()[:-1], darknet()[:1000], darknet(major=5000))),
        (".weights", darknet()[:16] + np.full(9999, np.nan, "<f4").tobytes()),
        (".weights", darknet()[:16] + np.random.default_rng(0).bytes(400_000)),
        *((".onnx", network()[:cut]) for cut in (-4, -9, 20)),
        (".cfg", b"width=416\n[net]\n"),
        (".cfg", darknet()),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{len(value)} bytes",
)  # fmt: skip
def test_what_is_not_what_its_name_says_is_refused_and_not_kept(
    kind: str, data: bytes, server: str, tmp_path: Path
) -> None:
    Handler.files[f"/net{kind}"] = data
    with pytest.raises(WeightsError, match=r"what came is .*; nothing is kept") as error:
        fetch_file(unknown(server, f"net{kind}"), tmp_path)
    assert "\n" not in str(error.value) and left(tmp_path) == []


@given(seed=st.integers(0, 2**32 - 1), kind=st.sampled_from([".pth", ".weights", ".onnx", ".cfg"]))
def test_noise_is_no_weights(tmp_path_factory: pytest.TempPathFactory, seed: int, kind: str) -> None:
    path = tmp_path_factory.getbasetemp() / "noise"
    path.write_bytes(np.random.default_rng(seed).bytes(20_000))
    assert flaw(path, kind)


@pytest.mark.parametrize(
    ("bad", "pinned"),
    [
        *((bad, pinned) for bad in ("page", "cut") for pinned in ("itself", "another", "rubbish", None)),
        *(("good", pinned) for pinned in ("another", "rubbish")),
    ],
)
def test_a_bad_file_in_the_cache_is_replaced(
    bad: str,
    pinned: str | None,
    server: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As an earlier version left it: a page, or a cut file, with its own SHA-256 beside it."""
    data = {"page": PAGE, "cut": checkpoint()[:-9], "good": checkpoint(modern=False)}[bad]
    plant(monkeypatch, (unknown(server),))
    folder = tmp_path / "cache" / "weights"
    folder.mkdir(parents=True)
    path, note = folder / "net.pth", folder / "net.pth.sha256"
    path.write_bytes(data)
    pins = {
        "itself": hashlib.sha256(data).hexdigest().encode(),
        "another": b"0" * 64 + b"\n",
        "rubbish": b"\xff",
    }
    if pinned:
        note.write_bytes(pins[pinned])
    assert main(["list", "weights"]) == 0
    assert f"damaged: {path}" in capsys.readouterr().out
    with pytest.raises(WeightsError, match="`rolo-bench fetch weights net` fetches it again"):
        weights.obtain("net")
    assert main(["fetch", "weights", "net"]) == 0
    assert path.read_bytes() == Handler.files["/net.pth"]
    assert note.read_text().strip() == hashlib.sha256(path.read_bytes()).hexdigest()
    assert weights.obtain("net") == (path,) and left(tmp_path) == ["net.pth", "net.pth.sha256"]


# Where a file is


def plant(monkeypatch: pytest.MonkeyPatch, *choices: tuple[WeightFile, ...]) -> None:
    monkeypatch.setattr(weights, "registry", lambda: {"net": choices})


def test_own_folder_comes_first_then_cache_then_download(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, (entry(f"{server}/good"),))
    assert weights.obtain("net") == (tmp_path / "cache" / "weights" / "net.bin",)
    assert weights.obtain("net") == (tmp_path / "cache" / "weights" / "net.bin",)
    assert len(Handler.log) == 1
    own = tmp_path / "own"
    own.mkdir()
    monkeypatch.setenv("ROLO_BENCH_WEIGHTS", str(own))
    assert weights.obtain("net")[0].parent.name == "weights"
    (own / "net.bin").write_bytes(BODY)
    assert weights.obtain("net") == weights.fetch("net") == (own / "net.bin",)
    (own / "nets").mkdir()
    (own / "net.bin").rename(own / "nets" / "net.bin")
    assert weights.obtain("net") == weights.fetch("net") == (own / "nets" / "net.bin",)
    assert weights.status(weights.registered("net")[0][0]) == ("own folder", own / "nets" / "net.bin")
    monkeypatch.setenv("ROLO_BENCH_WEIGHTS", str(tmp_path / "nowhere"))
    assert weights.obtain("net")[0].parent.name == "weights"


@pytest.mark.parametrize("data", [BODY[:-1], BODY[:50] + b"x" + BODY[51:], b""])
def test_a_damaged_file_in_the_own_folder_is_refused_and_left_alone(
    data: bytes,
    server: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plant(monkeypatch, (entry(f"{server}/good", SHA, len(BODY)),))
    monkeypatch.setenv("ROLO_BENCH_WEIGHTS", str(tmp_path))
    (tmp_path / "net.bin").write_bytes(data)
    with pytest.raises(WeightsError, match=r"net\.bin: .*expected.*your own folder"):
        weights.obtain("net")
    assert main(["fetch", "weights", "net"]) == 1
    error = capsys.readouterr().err
    assert "left alone" in error and len(error.splitlines()) == 1
    assert (tmp_path / "net.bin").read_bytes() == data and Handler.log == []


def test_the_other_choice_serves_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = WeightFile("net.onnx", "http://127.0.0.1:9/y", SHA, None, "Apache-2.0")
    plant(monkeypatch, (entry("http://127.0.0.1:9/x"),), (other,))
    monkeypatch.setenv("ROLO_BENCH_WEIGHTS", str(tmp_path))
    (tmp_path / "net.onnx").write_bytes(BODY)
    assert weights.obtain("net") == (tmp_path / "net.onnx",)


def test_registry_is_complete() -> None:
    assert set(registry()) == set(DETECTORS) - {"demo"} | {"nanotrack"}
    assert [len(choices) for choices in registry().values()] == [2] + [1] * 10
    assert [f.name[-8:] for f in registry()["yolo-nano-voc"][0]] == [".weights", "-voc.cfg"]
    for choices in registry().values():
        for file in (f for choice in choices for f in choice):
            assert file.url.endswith(file.name) and file.licence
            assert file.sha256 is None or len(bytes.fromhex(file.sha256)) == 32
            assert Path(file.name).suffix in {kind.strip() for kind in KINDS}
    with pytest.raises(UsageError, match="yolox-nano"):
        weights.registered("nope")


def test_command_line(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plant(monkeypatch, (entry(f"{server}/good"),))
    assert main(["list", "weights"]) == 0
    assert "not here" in capsys.readouterr().out
    assert main(["fetch", "weights", "net"]) == 0
    path = tmp_path / "cache" / "weights" / "net.bin"
    assert capsys.readouterr().out.strip() == str(path)
    assert main(["list", "weights"]) == 0
    assert f"cache: {path}" in capsys.readouterr().out
    path.write_bytes(b"x")
    assert main(["list", "weights"]) == 0
    assert "damaged" in capsys.readouterr().out
    assert main(["fetch", "weights", "net"]) == 0
    assert path.read_bytes() == BODY
    assert main(["fetch", "weights", "net", "nope"]) == 2
    assert "known: net" in capsys.readouterr().err


# Processes

CHILD = """
import sys
from rolo_bench.cli import main
from rolo_bench.fetch import weights
file = weights.WeightFile("net.bin", sys.argv[1], sys.argv[2], None, "Apache-2.0")
weights.registry = lambda: {"net": ((file,),)}
sys.exit(main(["fetch", "weights", "net"]))
"""


def child(server: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD, f"{server}/good", SHA]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(part: Path, size: int) -> None:
    deadline = time.monotonic() + 30
    while not (part.exists() and part.stat().st_size > size):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_process_leaves_what_the_next_goes_on_from(
    how: signal.Signals, server: str, tmp_path: Path
) -> None:
    Handler.script["/good"] = ["slow"]
    folder = tmp_path / "cache" / "weights"
    first = child(server)
    wait_for(folder / "net.bin.part", 20_000)
    os.kill(first.pid, how)
    error = first.communicate(timeout=30)[1]
    assert first.returncode == (130 if how is signal.SIGINT else -9)
    assert ("interrupted" in error) == (how is signal.SIGINT) and "Traceback" not in error
    assert left(folder) == ["net.bin.part", "net.bin.part.tag"]
    kept = (folder / "net.bin.part").stat().st_size
    second = child(server)
    assert second.communicate(timeout=30)[0].strip() == str(folder / "net.bin")
    assert Handler.log[-1] == ("/good", f"bytes={kept}-")
    assert (folder / "net.bin").read_bytes() == BODY and left(folder) == ["net.bin"]


def test_two_processes_at_once_fetch_once(server: str, tmp_path: Path) -> None:
    Handler.script["/good"] = ["slow"]
    folder = tmp_path / "cache" / "weights"
    first = child(server)
    wait_for(folder / "net.bin.part", 0)
    second = child(server)
    for process in (first, second):
        assert process.communicate(timeout=60)[0].strip() == str(folder / "net.bin")
        assert process.returncode == 0
    assert len(Handler.log) == 1 and left(folder) == ["net.bin"]


def test_a_process_that_holds_a_download_and_does_nothing_is_not_waited_for_forever(
    server: str, tmp_path: Path
) -> None:
    fcntl = pytest.importorskip("fcntl")
    with (tmp_path / "net.bin.part").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(WeightsError, match="another process"):
            fetch_file(entry(f"{server}/good"), tmp_path)
    assert fetch_file(entry(f"{server}/good"), tmp_path).read_bytes() == BODY


# Real files


@pytest.mark.shared
def test_real_files_have_the_structure_of_what_they_are(shared: Path) -> None:
    names = [p for p in (shared / "weights").iterdir() if p.suffix in (".weights", ".cfg", ".onnx")]
    assert len(names) == 3 and [flaw(p, p.suffix) for p in names] == [""] * 3


@pytest.mark.shared
def test_real_files_tampered_or_swapped(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROLO_BENCH_WEIGHTS", str(tmp_path))
    source = shared / "weights"
    for name, file in (
        ("yolox-nano", "yolox_nano.onnx"),
        ("yolo-nano-voc", "MobileNetV2-YOLOv3-Nano-voc.weights"),
    ):
        data = (source / file).read_bytes()
        cfg = source / "MobileNetV2-YOLOv3-Nano-voc.cfg"
        (tmp_path / cfg.name).write_bytes(cfg.read_bytes())
        middle = len(data) // 2
        swapped = (source / "yolox_nano.onnx" if name == "yolo-nano-voc" else cfg).read_bytes()
        for bad in (data[:-4], data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :], swapped):
            (tmp_path / file).write_bytes(bad)
            with pytest.raises(WeightsError, match=file) as error:
                load_detector(name)
            assert "\n" not in str(error.value)
        (tmp_path / file).write_bytes(data)
        assert load_detector(name, size=64).name == name
