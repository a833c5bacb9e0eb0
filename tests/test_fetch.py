"""Downloads against a local server that fails, truncates, stalls and lies."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from rolo_bench.boxfiles import read_boxes
from rolo_bench.cli import main
from rolo_bench.datasets.suites import Entry, annotation_digest, tb100
from rolo_bench.errors import DataError, RoloBenchError, UsageError
from rolo_bench.fetch import videos as fetch
from rolo_bench.fetch.download import Patience, UnreachableError, download

QUICK = Patience(timeout=0.4, attempts=3, most=12, pause=0.01)
CONTENT = bytes(np.random.default_rng(0).integers(0, 256, 300_000, dtype=np.uint8))


class Handler(BaseHTTPRequestHandler):
    """Serves ``files``; ``script[path]`` is a list of misdeeds, one taken by each request."""

    protocol_version = "HTTP/1.1"
    files: ClassVar[dict[str, bytes]] = {}
    script: ClassVar[dict[str, list[str]]] = {}
    log: ClassVar[list[tuple[str, str | None]]] = []
    etag: ClassVar[str] = '"one"'

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.log.append((self.path, wanted))
        plan = self.script.get(self.path, [])
        deed, _, value = (plan.pop(0) if plan else "ok").partition(":")
        content = self.files.get(self.path)
        if content is None or deed == "404":
            self.send_error(404)
            return
        if deed == "500":
            self.send_error(500)
            return
        if deed == "hangup":
            self.close_connection = True
            return
        start = 0
        match = re.fullmatch(r"bytes=(\d+)-", wanted or "")
        if match and deed != "ignore-range" and self.headers.get("If-Range", self.etag) == self.etag:
            start = int(match[1])
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            shift = 1 if deed == "wrong-range" else 0
            self.send_header("Content-Range", f"bytes {start + shift}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        body = content[start:]
        if deed != "no-length":
            self.send_header("Content-Length", str(len(body)))
        if deed != "ignore-range" and self.etag:
            self.send_header("ETag", self.etag)
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        with suppress(OSError):  # the client may give up, as it should
            self._send(body, deed, value)

    def _send(self, body: bytes, deed: str, value: str) -> None:
        if deed == "truncate":
            self.wfile.write(body[: int(value)])
        elif deed == "stall":
            self.wfile.write(body[: int(value)])
            self.wfile.flush()
            time.sleep(1.2)
        elif deed == "slow":
            for i in range(0, len(body), 4096):
                self.wfile.write(body[i : i + 4096])
                self.wfile.flush()
                time.sleep(0.05)
        elif deed == "trickle":
            for i in range(40):
                self.wfile.write(body[i : i + 1])
                self.wfile.flush()
                time.sleep(0.05)
        else:
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    Handler.files, Handler.script, Handler.log, Handler.etag = {"/f": CONTENT}, {}, [], '"one"'
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_address[1]}"
    httpd.shutdown()
    httpd.server_close()
    thread.join()


def left(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_download_and_progress(server: str, tmp_path: Path) -> None:
    ticks: list[tuple[str, int, int | None]] = []
    digest = hashlib.sha256(CONTENT).hexdigest()
    path = download(f"{server}/f", tmp_path / "f", len(CONTENT), digest, QUICK, lambda *t: ticks.append(t))
    assert path.read_bytes() == CONTENT
    assert ticks[-1] == ("f", len(CONTENT), len(CONTENT))
    assert left(tmp_path) == ["f"]
    download(f"{server}/f", tmp_path / "f", len(CONTENT), digest, QUICK)
    assert len(Handler.log) == 1, "a file that is whole is not asked for again"


@pytest.mark.parametrize(
    ("deeds", "requests"),
    [
        (["truncate:100000", "truncate:150000"], [None, "bytes=100000-", "bytes=250000-"]),
        (["500", "hangup"], [None, None, None]),
        (["truncate:100000", "ignore-range"], [None, "bytes=100000-"]),
        (["stall:70000"], [None, "bytes=70000-"]),
        (["truncate:100000", "500", "truncate:0"], [None] + ["bytes=100000-"] * 3),
    ],
)
def test_goes_on_after_failures(
    server: str, tmp_path: Path, deeds: list[str], requests: list[str | None]
) -> None:
    Handler.script["/f"] = list(deeds)
    assert download(f"{server}/f", tmp_path / "f", patience=QUICK).read_bytes() == CONTENT
    assert [r for _, r in Handler.log] == requests
    assert left(tmp_path) == ["f"]


def test_gives_up_after_bounded_tries_and_keeps_what_came(server: str, tmp_path: Path) -> None:
    Handler.script["/f"] = ["truncate:90000"] + ["500"] * 99
    with pytest.raises(DataError, match=r"500 .*3 tries in a row.*90000 bytes are kept"):
        download(f"{server}/f", tmp_path / "f", patience=QUICK)
    assert len(Handler.log) == 4
    assert (tmp_path / "f.part").read_bytes() == CONTENT[:90000]
    Handler.script.clear()
    assert download(f"{server}/f", tmp_path / "f", patience=QUICK).read_bytes() == CONTENT
    assert Handler.log[-1] == ("/f", "bytes=90000-")


def test_progress_without_end_is_bounded_too(server: str, tmp_path: Path) -> None:
    Handler.script["/f"] = ["truncate:10"] * 99
    with pytest.raises(DataError, match="120 bytes are kept"):
        download(f"{server}/f", tmp_path / "f", patience=QUICK)
    assert len(Handler.log) == QUICK.most


def test_a_trickle_counts_as_a_stall(server: str, tmp_path: Path) -> None:
    Handler.script["/f"] = ["trickle"] * 3
    begin = time.monotonic()
    with pytest.raises(DataError, match="stalled"):
        download(f"{server}/f", tmp_path / "f", patience=Patience(0.3, 2, 2, 0.01))
    assert time.monotonic() - begin < 2.0


def test_a_file_that_changed_in_between_starts_afresh(server: str, tmp_path: Path) -> None:
    Handler.script["/f"] = ["truncate:100000"] + ["500"] * 3
    with pytest.raises(DataError):
        download(f"{server}/f", tmp_path / "f", patience=QUICK)
    Handler.files["/f"], Handler.etag = CONTENT[::-1], '"two"'
    Handler.script.clear()
    assert download(f"{server}/f", tmp_path / "f", patience=QUICK).read_bytes() == CONTENT[::-1]


def test_final_refusals(server: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="404"):
        download(f"{server}/nothing", tmp_path / "n", patience=QUICK)
    assert len(Handler.log) == 1, "a missing file is not asked for again"
    with pytest.raises(DataError, match="offers 300000 bytes, expected 5"):
        download(f"{server}/f", tmp_path / "f", size=5, patience=QUICK)
    with pytest.raises(DataError, match="SHA-256"):
        download(f"{server}/f", tmp_path / "f", sha256="0" * 64, patience=QUICK)
    assert not (tmp_path / "f").exists() and not (tmp_path / "f.part").exists()
    Handler.script["/f"] = ["truncate:9", "wrong-range"]
    with pytest.raises(DataError, match="another part"):
        download(f"{server}/f", tmp_path / "f", patience=QUICK)
    for bad in ("file:///etc/passwd", "ftp://x/y", "nonsense", "http://a b/"):
        with pytest.raises(UsageError, match="http"):
            download(bad, tmp_path / "g")


def test_a_part_that_is_whole_or_too_long(server: str, tmp_path: Path) -> None:
    (tmp_path / "f.part").write_bytes(CONTENT)
    assert download(f"{server}/f", tmp_path / "f", patience=QUICK).read_bytes() == CONTENT
    (tmp_path / "g.part").write_bytes(CONTENT + b"more")
    assert download(f"{server}/f", tmp_path / "g", patience=QUICK).read_bytes() == CONTENT


def test_unreachable_server(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="cannot be reached"):
        download("http://127.0.0.1:9/f", tmp_path / "f", patience=QUICK)


def test_two_downloads_of_one_file_do_not_mix(server: str, tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    with (tmp_path / "f.part.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(DataError, match="another process"):
            download(f"{server}/f", tmp_path / "f", patience=QUICK)
    assert Handler.log == []


# Sequences

FRAMES = 12
ROWS = {
    "One": [[10 + i, 20, 30, 40] for i in range(FRAMES)],
    "Two-1": [[1 + i, 2, 3, 4] for i in range(FRAMES)],
}
ROWS["Two-2"] = [[50 - i, 5, 6, 7] for i in range(FRAMES)]


def rows_text(name: str) -> str:
    return "".join(",".join(map(str, row)) + "\n" for row in ROWS[name])


def entry(name: str) -> Entry:
    truth = np.array(ROWS[name], dtype=float) - [1, 1, 0, 0]
    return Entry(name, 1, FRAMES, digest=annotation_digest(truth))


def video_files(name: str, top: str | None = None) -> dict[str, bytes]:
    top = f"{name}/" if top is None else top
    files = {f"{top}img/{i:04d}.jpg": b"\xff\xd8 frame %d" % i for i in range(1, FRAMES + 1)}
    if name == "One":
        return files | {f"{top}groundtruth_rect.txt": rows_text("One").encode()}
    return files | {f"{top}groundtruth_rect.{n}.txt": rows_text(f"Two-{n}").encode() for n in (1, 2)}


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture
def suite(monkeypatch: pytest.MonkeyPatch) -> str:
    table = (entry("Two-1"), entry("One"), entry("Two-2"))
    monkeypatch.setattr(fetch, "entries", lambda name: table)
    return "otb30"


def get(suite: str, tmp_path: Path, mirror: str | None = None, **more: Any) -> list[fetch.Outcome]:
    return list(
        fetch.fetch_data(suite, tmp_path / "data", tmp_path / "cache", mirror, patience=QUICK, **more)
    )


def whats(outcomes: list[fetch.Outcome]) -> list[tuple[str, str]]:
    return [(o.name, o.what) for o in outcomes]


def test_fetch_data_from_a_mirror(server: str, suite: str, tmp_path: Path) -> None:
    Handler.files |= {"/m/One.zip": zipped(video_files("One")), "/m/Two.zip": zipped(video_files("Two"))}
    Handler.script["/m/Two.zip"] = ["truncate:500", "stall:300", "500"]
    assert whats(get(suite, tmp_path, f"{server}/m/")) == [("Two", "fetched"), ("One", "fetched")]
    assert left(tmp_path / "data") == ["One", "Two"]
    assert left(tmp_path / "data" / "Two") == ["groundtruth_rect.1.txt", "groundtruth_rect.2.txt", "img"]
    assert left(tmp_path / "cache" / "archives") == []
    count = len(Handler.log)
    assert whats(get(suite, tmp_path, f"{server}/m")) == [("Two", "there"), ("One", "there")]
    assert len(Handler.log) == count


def _flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (lambda: zipped(video_files("Two"))[:-30], "not a whole zip"),
        (lambda: b"<html>moved</html>" * 50, "not a whole zip"),
        (lambda: _flip(zipped(video_files("Two")), 60), "not a whole zip|damaged"),
        (lambda: zipped(video_files("Two") | {"../evil": b"1"}), "outside the folder"),
        (lambda: zipped({"readme.txt": b"no video"}), "no folder of Two"),
        (
            lambda: zipped(video_files("Two") | {"Two/groundtruth_rect.2.txt": rows_text("One").encode()}),
            "annotation of Two-2 is not the benchmark's",
        ),
        (
            lambda: zipped({k: v for k, v in video_files("Two").items() if "0007" not in k}),
            "1 of 12 frames are missing, first 7",
        ),
    ],
)
def test_a_bad_archive_fails_alone_and_leaves_nothing(
    server: str, suite: str, tmp_path: Path, bad: Any, message: str
) -> None:
    Handler.files |= {"/One.zip": zipped(video_files("One")), "/Two.zip": bad()}
    outcomes = get(suite, tmp_path, server)
    assert whats(outcomes) == [("Two", "failed"), ("One", "fetched")]
    assert re.search(message, outcomes[0].line) and "\n" not in outcomes[0].line
    assert left(tmp_path / "data") == ["One"]
    if "zip" in message:  # damaged on its way: the next try must not meet it in the cache
        Handler.files["/Two.zip"] = zipped(video_files("Two"))
        assert whats(get(suite, tmp_path, server)) == [("Two", "fetched"), ("One", "there")]


def test_own_annotations_are_taken_when_asked(suite: str, tmp_path: Path) -> None:
    files = video_files("One") | {"One/groundtruth_rect.txt": rows_text("Two-1").encode()}
    (tmp_path / "zips").mkdir()
    (tmp_path / "zips" / "one.zip").write_bytes(zipped(files))
    outcomes = get(suite, tmp_path, archive=tmp_path / "zips")
    assert whats(outcomes) == [("Two", "failed"), ("One", "failed")]
    assert "Two.zip: no such file" in outcomes[0].line and "--unchecked" in outcomes[1].line
    assert whats(get(suite, tmp_path, archive=tmp_path / "zips", unchecked=True))[1] == ("One", "fetched")


@pytest.mark.parametrize("top", ["", "OTB/", "a/b/"])
def test_one_archive_with_all_videos(suite: str, tmp_path: Path, top: str) -> None:
    files = video_files("One", f"{top}One/") | video_files("Two", f"{top}Two/")
    (tmp_path / "all.zip").write_bytes(zipped(files))
    assert whats(get(suite, tmp_path, archive=tmp_path / "all.zip")) == [
        ("Two", "fetched"),
        ("One", "fetched"),
    ]
    assert (tmp_path / "all.zip").exists(), "the user's own archive stays"


def test_a_flat_archive_of_one_video(suite: str, tmp_path: Path) -> None:
    (tmp_path / "zips").mkdir()
    (tmp_path / "zips" / "One.zip").write_bytes(zipped(video_files("One", "")))
    assert whats(get(suite, tmp_path, archive=tmp_path / "zips"))[1] == ("One", "fetched")
    assert left(tmp_path / "data" / "One") == ["groundtruth_rect.txt", "img"]


def test_an_incomplete_folder_is_kept_aside(suite: str, tmp_path: Path) -> None:
    (tmp_path / "data" / "One").mkdir(parents=True)
    (tmp_path / "data" / "One" / "notes.txt").write_text("mine")
    (tmp_path / "all.zip").write_bytes(zipped(video_files("One") | video_files("Two")))
    outcome = get(suite, tmp_path, archive=tmp_path / "all.zip")[1]
    assert outcome.what == "fetched" and "One.old1" in outcome.line
    assert (tmp_path / "data" / "One.old1" / "notes.txt").read_text() == "mine"


def test_unreachable_mirror_stops_at_once(suite: str, tmp_path: Path) -> None:
    with pytest.raises(UnreachableError):
        get(suite, tmp_path, "http://127.0.0.1:9")
    with pytest.raises(UsageError, match="not both"):
        get(suite, tmp_path, "http://127.0.0.1:9", archive=tmp_path)
    with pytest.raises(UsageError, match="no such file"):
        get(suite, tmp_path, archive=tmp_path / "nothing")
    with pytest.raises(UsageError, match="rendered on the fly"):
        fetch.videos("demo")


def test_command_line(
    server: str,
    suite: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ROLO_BENCH_CACHE", str(tmp_path / "cache"))
    Handler.files |= {"/One.zip": zipped(video_files("One"))}
    data = ["--data", str(tmp_path / "data"), "--timeout", "0.4"]
    assert main(["fetch", "data", suite, "--mirror", server, *data]) == 1
    error = capsys.readouterr().err
    assert "One: fetched" in error and "404" in error and "1 of 2 videos failed" in error
    Handler.files |= {"/Two.zip": zipped(video_files("Two"))}
    assert main(["fetch", "data", suite, "--mirror", server, *data]) == 0
    assert "1 videos fetched, 1 there already" in capsys.readouterr().err


# Published results


def _results() -> dict[str, bytes]:
    names = ["Couple_STRUCK.mat", "Couple_OAB.mat", "Couple_VTD.mat", "Couple_MIL.mat", "readme.txt"]
    return {f"pami15_TRE/{n}": n.encode() for n in names}


def test_fetch_results(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = zipped(_results())
    Handler.files["/x/pami15_TRE.zip"] = content
    Handler.script["/x/pami15_TRE.zip"] = ["truncate:100", "stall:50"]
    monkeypatch.setitem(fetch.RESULTS, "tre", (f"{server}/x/pami15_TRE.zip", len(content)))
    place, count = fetch.fetch_results(tmp_path / "out", tmp_path / "cache", patience=QUICK)
    assert count == 3 and place == tmp_path / "out" / "pami15_TRE"
    assert sorted(p.name for p in place.rglob("*.mat")) == [
        "Couple_OAB.mat",
        "Couple_STRUCK.mat",
        "Couple_VTD.mat",
    ]
    again = fetch.fetch_results(tmp_path / "out", tmp_path / "cache", every=True, patience=QUICK)
    assert again[1] == 4 and left(tmp_path / "out") == ["pami15_TRE"]
    monkeypatch.setitem(fetch.RESULTS, "tre", (f"{server}/x/pami15_TRE.zip", 7))
    with pytest.raises(DataError, match="expected 7"):
        fetch.fetch_results(tmp_path / "o2", tmp_path / "c2", patience=QUICK)


def test_fetch_results_from_an_archive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "r.zip").write_bytes(zipped(_results()))
    assert (
        main(["fetch", "results", "--archive", str(tmp_path / "r.zip"), "--to", str(tmp_path / "out")]) == 0
    )
    assert "rolo-bench import otb-mat" in capsys.readouterr().err
    (tmp_path / "bad.zip").write_bytes(zipped({"a.txt": b"1"}))
    assert (
        main(["fetch", "results", "--archive", str(tmp_path / "bad.zip"), "--to", str(tmp_path / "o")]) == 1
    )
    assert "no result files" in capsys.readouterr().err


def test_a_killed_download_goes_on(server: str, tmp_path: Path) -> None:
    """SIGKILL in the middle; the same command then asks for the rest alone and leaves nothing behind."""
    noise = {f"Couple_{t}.mat": bytes(np.random.default_rng(1).bytes(200_000)) for t in ("STRUCK", "OAB")}
    Handler.files["/pami15_TRE.zip"] = zipped(noise)
    Handler.script["/pami15_TRE.zip"] = ["slow"]
    environment = os.environ | {"ROLO_BENCH_CACHE": str(tmp_path / "cache")}
    command = [
        sys.executable,
        "-m",
        "rolo_bench",
        "fetch",
        "results",
        "--mirror",
        server,
        "--to",
        str(tmp_path / "to"),
    ]
    part = tmp_path / "cache" / "archives" / "pami15_TRE.zip.part"
    child = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while not (part.exists() and part.stat().st_size > 20_000) and time.monotonic() < deadline:
        time.sleep(0.02)
    child.kill()
    child.wait()
    kept = part.stat().st_size
    assert 20_000 < kept < 400_000 and not (tmp_path / "to").exists()
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=60)
    assert Handler.log[-1] == ("/pami15_TRE.zip", f"bytes={kept}-")
    unpacked = tmp_path / "to" / "pami15_TRE"
    assert {p.name: p.read_bytes() for p in unpacked.iterdir()} == noise
    assert left(tmp_path / "cache" / "archives") == ["pami15_TRE.zip"]


# Real videos


@pytest.mark.shared
def test_real_videos_pass_their_check(shared: Path) -> None:
    there = [v.name for v in fetch.videos("otb30") if fetch.is_there(shared / "data" / "otb", v)]
    assert sorted(there) == sorted(p.name for p in (shared / "data" / "otb").iterdir())


@pytest.mark.shared
def test_all_annotations_are_recorded(shared: Path) -> None:
    """Every TB-100 annotation, whole and cut to the benchmark's range; a changed number is noticed in both."""
    folder = shared / "data" / "annotations"
    assert len(fetch.file_digests()) == len(tb100()) == 100
    for entry in tb100():
        whole = read_boxes(folder / f"{entry.name}.txt")
        assert fetch.file_digests()[entry.name] == (len(whole), annotation_digest(whole))
        assert entry.first and entry.last and entry.frames
        cut = whole if len(whole) == entry.frames else whole[entry.first - 1 : entry.last]
        assert annotation_digest(cut) == entry.digest
        cut = cut.copy()
        cut[-1, 0] += 1
        assert annotation_digest(cut) != entry.digest


@pytest.mark.shared
def test_a_real_video_through_the_whole_way(server: str, shared: Path, tmp_path: Path) -> None:
    video = next(v for v in fetch.videos("otb30") if v.name == "Couple")
    source = shared / "data" / "otb" / "Couple"
    files = {f"Couple/{p.relative_to(source)}": p.read_bytes() for p in source.rglob("*") if p.is_file()}
    Handler.files["/Couple.zip"] = zipped(files)
    Handler.script["/Couple.zip"] = ["truncate:200000", "stall:100000", "500"]
    archive = download(f"{server}/Couple.zip", tmp_path / "Couple.zip", patience=QUICK)
    fetch.install(archive, video, tmp_path / "data")
    assert fetch.is_there(tmp_path / "data", video)
    truth = tmp_path / "data" / "Couple" / "groundtruth_rect.txt"
    truth.write_text(re.sub("25", "26", truth.read_text(), count=1))
    with pytest.raises(RoloBenchError, match="SHA-256 differs"):
        fetch.check_video(tmp_path / "data", video)
