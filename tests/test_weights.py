"""The weights registry and store, against a local server that also fails."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from rolo_bench.cli import main
from rolo_bench.errors import UsageError, WeightsError
from rolo_bench.fetch import weights
from rolo_bench.fetch.weights import REGISTRY, WeightFile, fetch_file
from rolo_bench.nn.detect.registry import DETECTORS, load_detector

BODY = bytes(range(256)) * 400
SHA = hashlib.sha256(BODY).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """``/good`` answers; ``/cut`` promises more than it sends; all else is 404."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        Handler.asked.append(self.path)
        if self.path not in ("/good", "/cut"):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY if self.path == "/good" else BODY[:1000])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    Handler.asked.clear()
    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}"
    http.shutdown()
    http.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROLO_BENCH_WEIGHTS", raising=False)
    monkeypatch.setenv("ROLO_BENCH_CACHE", str(tmp_path / "cache"))


def entry(url: str, sha256: str | None = SHA, size: int | None = None) -> WeightFile:
    return WeightFile("net.bin", url, sha256, size, "Apache-2.0")


def test_a_good_download_is_kept_and_not_fetched_twice(server: str, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    path = fetch_file(entry(f"{server}/good", size=len(BODY)), tmp_path / "w", lambda *a: seen.append(a))
    assert path.read_bytes() == BODY
    assert seen[-1] == ("net.bin", len(BODY), len(BODY))
    assert fetch_file(entry(f"{server}/good"), tmp_path / "w") == path
    assert Handler.asked == ["/good"]


@pytest.mark.parametrize(
    ("path", "sha256", "message"),
    [
        ("/good", "0" * 64, "not the file expected"),
        ("/cut", SHA, "cut short"),
        ("/cut", None, "cut short"),
        ("/absent", SHA, "HTTP 404"),
        ("/absent", None, "HTTP 404"),
    ],
)
def test_a_bad_download_leaves_nothing(
    server: str, tmp_path: Path, path: str, sha256: str | None, message: str
) -> None:
    with pytest.raises(WeightsError, match=message) as error:
        fetch_file(entry(server + path, sha256), tmp_path / "w")
    assert "\n" not in str(error.value) and "ROLO_BENCH_WEIGHTS" in str(error.value)
    assert [p for p in (tmp_path / "w").rglob("*") if p.is_file()] == []


def test_no_server(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="download failed"):
        fetch_file(entry("http://127.0.0.1:9/x"), tmp_path)


def test_a_file_without_published_hash_is_checked_against_its_first_download(
    server: str, tmp_path: Path
) -> None:
    file = entry(f"{server}/good", None)
    path = fetch_file(file, tmp_path)
    assert path.with_name("net.bin.sha256").read_text().strip() == SHA
    path.write_bytes(BODY[::-1])
    with pytest.raises(WeightsError, match="SHA-256"):
        fetch_file(file, tmp_path)


def plant(monkeypatch: pytest.MonkeyPatch, *choices: tuple[WeightFile, ...]) -> None:
    monkeypatch.setattr(weights, "REGISTRY", {"net": choices})


def test_own_folder_comes_first_then_cache_then_download(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, (entry(f"{server}/good"),))
    assert weights.obtain("net") == (tmp_path / "cache" / "weights" / "net.bin",)
    assert weights.obtain("net") == (tmp_path / "cache" / "weights" / "net.bin",)
    assert Handler.asked == ["/good"]
    own = tmp_path / "own"
    own.mkdir()
    monkeypatch.setenv("ROLO_BENCH_WEIGHTS", str(own))
    assert weights.obtain("net")[0].parent.name == "weights"
    (own / "net.bin").write_bytes(BODY)
    assert weights.obtain("net") == (own / "net.bin",)


@pytest.mark.parametrize("data", [BODY[:-1], BODY[:50] + b"x" + BODY[51:], b""])
def test_a_tampered_file_in_the_own_folder_is_refused(
    data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, (entry("http://127.0.0.1:9/x", SHA, len(BODY)),))
    monkeypatch.setenv("ROLO_BENCH_WEIGHTS", str(tmp_path))
    (tmp_path / "net.bin").write_bytes(data)
    with pytest.raises(WeightsError, match=r"net\.bin: .*expected"):
        weights.obtain("net")


def test_the_other_choice_serves_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = WeightFile("net.onnx", "http://127.0.0.1:9/y", SHA, None, "Apache-2.0")
    plant(monkeypatch, (entry("http://127.0.0.1:9/x"),), (other,))
    monkeypatch.setenv("ROLO_BENCH_WEIGHTS", str(tmp_path))
    (tmp_path / "net.onnx").write_bytes(BODY)
    assert weights.obtain("net") == (tmp_path / "net.onnx",)


def test_registry_is_complete() -> None:
    assert set(REGISTRY) == set(DETECTORS) - {"demo"}
    for choices in REGISTRY.values():
        for file in (f for choice in choices for f in choice):
            assert file.url.endswith(file.name) and file.licence
            assert file.sha256 is None or len(bytes.fromhex(file.sha256)) == 32
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
    assert main(["fetch", "weights", "net"]) == 1
    assert main(["fetch", "weights", "net", "nope"]) == 2
    assert "known: net" in capsys.readouterr().err


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
