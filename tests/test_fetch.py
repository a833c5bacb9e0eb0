"""Downloads against a local server that fails, truncates, stalls and lies."""

from __future__ import annotations

import hashlib
import os
import re
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rolo_bench.boxfiles import read_boxes
from rolo_bench.cli import main
from rolo_bench.datasets.suites import Entry, annotation_digest, tb100
from rolo_bench.errors import DataError, RoloBenchError, UsageError
from rolo_bench.fetch import modern
from rolo_bench.fetch import videos as fetch
from rolo_bench.fetch.download import BusyError, Patience, UnreachableError, download
from tests.helpers_server import Handler, serving

QUICK = Patience(timeout=0.4, attempts=3, most=12, pause=0.01)
CONTENT = bytes(np.random.default_rng(0).integers(0, 256, 300_000, dtype=np.uint8))


@pytest.fixture
def server() -> Iterator[str]:
    with serving({"/f": CONTENT}) as address:
        yield address


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLO_BENCH_CACHE", str(tmp_path / "cache"))


def left(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_download_and_progress(server: str, tmp_path: Path) -> None:
    ticks: list[tuple[str, int, int | None]] = []
    digest = hashlib.sha256(CONTENT).hexdigest()
    path = download(f"{server}/f", tmp_path / "f", len(CONTENT), digest, QUICK, lambda *t: ticks.append(t))
    assert path.read_bytes() == CONTENT
    assert ticks[-1] == ("f", len(CONTENT), len(CONTENT))
    assert left(tmp_path) == ["f"]
    path.write_bytes(b"damaged")
    assert download(f"{server}/f", path, None, digest, QUICK).read_bytes() == CONTENT, "it is replaced"


@pytest.mark.parametrize(
    ("deeds", "requests"),
    [
        (["truncate:100000", "truncate:150000"], [None, "bytes=100000-", "bytes=250000-"]),
        (["500", "hangup"], [None, None, None]),
        (["truncate:100000", "ignore-range"], [None, "bytes=100000-"]),
        (["stall:70000"], [None, "bytes=70000-"]),
        (["truncate:100000", "500", "truncate:0"], [None] + ["bytes=100000-"] * 3),
        (["503"], [None, None]),
        (["announce:500"], [None, "bytes=300000-"]),
        (["truncate:9", "wrong-range"], [None, "bytes=9-", None]),
        (["redirect:/f", "truncate:9", "redirect:/f"], [None, None, "bytes=9-", "bytes=9-"]),
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
    assert left(tmp_path) == []
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
    with (tmp_path / "f.part").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(BusyError, match="another process"):
            download(f"{server}/f", tmp_path / "f", patience=QUICK)
        assert left(tmp_path) == ["f.part"], "what the other one needs is left to it"
    assert Handler.log == []


def test_only_what_is_missing_is_sent(server: str, tmp_path: Path) -> None:
    Handler.script["/f"] = ["truncate:100000", "stall:150000"]
    download(f"{server}/f", tmp_path / "f", patience=QUICK)
    assert Handler.served == len(CONTENT)


@pytest.mark.parametrize("pause", [0.05, 0.2])
def test_a_drip_ends_before_the_tries_do(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pause: float
) -> None:
    """A byte now and then, more or less often than the timeout, is no progress, so it is not tried 50 times."""

    def drip(self: Handler, body: bytes, *_: str) -> None:
        for i in range(20):
            self._write(body[i : i + 1])
            time.sleep(pause)

    monkeypatch.setattr(Handler, "_send", drip)
    with pytest.raises(DataError, match="3 tries in a row"):
        download(f"{server}/f", tmp_path / "f", patience=Patience(0.1, 3, 50, 0.01))
    assert len(Handler.log) == 3


def test_a_short_announcement_cuts_the_file_and_is_noticed(server: str, tmp_path: Path) -> None:
    Handler.script["/f"] = ["announce:-5"] * 2
    digest = hashlib.sha256(CONTENT).hexdigest()
    for expected in ({"sha256": digest}, {"size": len(CONTENT)}):
        with pytest.raises(DataError, match=r"SHA-256|offers 299995"):
            download(f"{server}/f", tmp_path / "f", patience=QUICK, **expected)
        assert left(tmp_path) == []


def test_a_part_without_a_mark_is_not_gone_on_from(server: str, tmp_path: Path) -> None:
    """Without ETag or date, the bytes could be of another version."""
    Handler.etag = ""
    Handler.script["/f"] = ["truncate:100000"]
    assert download(f"{server}/f", tmp_path / "f", patience=QUICK).read_bytes() == CONTENT
    assert [r for _, r in Handler.log] == [None, None]
    Handler.script["/f"] = ["truncate:100000"] * 3
    with pytest.raises(DataError, match=r"3 tries in a row without progress$"):
        download(f"{server}/f", tmp_path / "g", patience=QUICK)
    assert left(tmp_path) == ["f"], "a part that is of no use is not kept"


def test_a_server_that_goes_on_with_another_version(server: str, tmp_path: Path) -> None:
    Handler.script["/f"] = ["truncate:100000"] + ["500"] * 3
    with pytest.raises(DataError):
        download(f"{server}/f", tmp_path / "f", patience=QUICK)
    Handler.files["/f"], Handler.etag = CONTENT[::-1], '"two"'
    Handler.script["/f"] = ["ignore-if-range"]
    assert download(f"{server}/f", tmp_path / "f", patience=QUICK).read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("names", [["f.part"], ["f.part.tag"], ["f.part", "f.part.tag"]])
def test_what_a_killed_download_left_is_used_or_dropped(
    server: str, tmp_path: Path, names: list[str]
) -> None:
    for name in names:
        (tmp_path / name).write_bytes(b"junk")
    with pytest.raises(DataError, match="404"):
        download(f"{server}/none", tmp_path / "f", patience=QUICK)
    assert left(tmp_path) == (names if len(names) == 2 else [])
    assert download(f"{server}/f", tmp_path / "f", patience=QUICK).read_bytes() == CONTENT
    assert left(tmp_path) == ["f"]


def test_a_mark_that_cannot_be_sent_makes_it_start_afresh(server: str, tmp_path: Path) -> None:
    (tmp_path / "f.part").write_bytes(CONTENT[:1000])
    (tmp_path / "f.part.tag").write_bytes(b'"one"\r\nHost: elsewhere')
    assert download(f"{server}/f", tmp_path / "f", patience=QUICK).read_bytes() == CONTENT
    assert Handler.log == [("/f", None)] and left(tmp_path) == ["f"]


def test_a_redirect_to_no_address(server: str, tmp_path: Path) -> None:
    Handler.script["/f"] = ["redirect:http://[bad"] * 9
    with pytest.raises(DataError, match="Invalid IPv6 URL; try another address"):
        download(f"{server}/f", tmp_path / "f", patience=QUICK)


def test_a_full_disk(server: str, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (131_072, before[1]))
    try:
        with pytest.raises(DataError, match=r"f: cannot be written .*131072 bytes are kept"):
            download(f"{server}/f", tmp_path / "f", patience=QUICK)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert left(tmp_path) == ["f.part", "f.part.tag"] and len(Handler.log) == 1
    assert download(f"{server}/f", tmp_path / "f", patience=QUICK).read_bytes() == CONTENT
    assert Handler.log[-1] == ("/f", "bytes=131072-") and left(tmp_path) == ["f"]


def test_a_folder_that_cannot_be_written(server: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match=r"g: cannot be written \(File exists\)$"):
        download(f"{server}/f", tmp_path / "file" / "g", patience=QUICK)
    if os.getuid():  # rights do not bind root
        (tmp_path / "locked").mkdir(0o500)
        with pytest.raises(DataError, match=r"g: cannot be written \(Permission denied\)$"):
            download(f"{server}/f", tmp_path / "locked" / "g", patience=QUICK)
    assert Handler.log == []


def test_a_certificate_that_does_not_hold_is_final(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error = ssl.SSLCertVerificationError(1, "no")
    error.verify_message = "self-signed certificate"

    def refuse(*_: Any, **__: Any) -> None:
        raise urllib.error.URLError(error)

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    with pytest.raises(DataError, match="certificate cannot be verified \\(self-signed"):
        download("https://127.0.0.1:9/f", tmp_path / "f", patience=Patience(pause=99))
    assert left(tmp_path) == []


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


def get(suite: str, tmp_path: Path, mirror: str | None = None, **more: Any) -> list[fetch.Fetched]:
    return list(fetch.fetch_data(suite, tmp_path / "data", mirror, patience=QUICK, **more))


def whats(outcomes: list[fetch.Fetched]) -> list[tuple[str, str]]:
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
    Handler.files |= {"/One.zip": zipped(video_files("One"))}
    data = ["--data", str(tmp_path / "data"), "--timeout", "0.4"]
    assert main(["fetch", "data", suite, "--mirror", server, *data]) == 1
    error = capsys.readouterr().err
    assert "One: fetched" in error and "404" in error and "1 of 2 videos failed" in error
    Handler.files |= {"/Two.zip": zipped(video_files("Two"))}
    assert main(["fetch", "data", suite, "--mirror", server, *data]) == 0
    assert "1 video fetched, 1 there already" in capsys.readouterr().err


# Published results


def _results() -> dict[str, bytes]:
    names = ["Couple_STRUCK.mat", "Couple_OAB.mat", "Couple_VTD.mat", "Couple_MIL.mat", "readme.txt"]
    return {f"pami15_TRE/{n}": n.encode() for n in names}


def test_fetch_results(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = zipped(_results())
    Handler.files["/x/pami15_TRE.zip"] = content
    Handler.script["/x/pami15_TRE.zip"] = ["truncate:100", "stall:50"]
    monkeypatch.setitem(fetch.RESULTS, "tre", (f"{server}/x/pami15_TRE.zip", len(content)))
    place, count = fetch.fetch_results(tmp_path / "out", patience=QUICK)
    assert count == 3 and place == tmp_path / "out" / "pami15_TRE"
    assert sorted(p.name for p in place.rglob("*.mat")) == [
        "Couple_OAB.mat",
        "Couple_STRUCK.mat",
        "Couple_VTD.mat",
    ]
    again = fetch.fetch_results(tmp_path / "out", every=True, patience=QUICK)
    assert again[1] == 4 and left(tmp_path / "out") == ["pami15_TRE"]
    monkeypatch.setitem(fetch.RESULTS, "tre", (f"{server}/x/pami15_TRE.zip", 7))
    with pytest.raises(DataError, match="expected 7"):
        fetch.fetch_results(tmp_path / "o2", patience=QUICK)
    damaged = content[:60] + bytes([content[60] ^ 1]) + content[61:]
    (tmp_path / "cache" / "archives" / "pami15_TRE.zip").write_bytes(damaged)
    monkeypatch.setitem(fetch.RESULTS, "tre", (f"{server}/x/pami15_TRE.zip", len(content)))
    assert fetch.fetch_results(patience=QUICK) == (tmp_path / "cache" / "published" / "pami15_TRE", 3)


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


def test_modern_results_come_file_by_file_and_are_checked(tmp_path, monkeypatch):
    assert len(modern.table_rows("modern_results.csv")) == 600
    content = {"SiamRPN++/A.txt": b"1,2,3,4\n", "ATOM/B.txt": b"5,6,7,8\n"}
    keys = [(*n.split("/"), str(len(c)), hashlib.sha256(c).hexdigest()) for n, c in content.items()]
    rows = [dict(zip(("tracker", "file", "bytes", "sha256"), k)) for k in keys]
    monkeypatch.setattr(modern, "table_rows", lambda name: rows)
    with serving({f"/{n.replace('+', '%2B')}": c for n, c in content.items()}) as address:
        place, count = modern.fetch_modern(tmp_path, address)
        assert (place, count) == (tmp_path / "modern", 2)
        assert {p.relative_to(place).as_posix(): p.read_bytes() for p in place.rglob("*.txt")} == content
        asked = len(Handler.log)
        modern.fetch_modern(tmp_path, address)
        assert len(Handler.log) == asked  # what is there and whole is left alone
        rows[1]["sha256"] = "0" * 64
        with pytest.raises(DataError):
            modern.fetch_modern(tmp_path, address)
