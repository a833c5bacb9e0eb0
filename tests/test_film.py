"""Films: the clock of their source, odd sizes, whole or not at all; and a browser plays them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image as Picture

from rolo_bench.cli import main
from rolo_bench.errors import DataError
from rolo_bench.run.film import ENDINGS, captioned, film, write_film
from rolo_bench.run.page import Page
from rolo_bench.run.video import open_video
from tests.helpers_browser import browser
from tests.helpers_video import otb_folder

ORANGE = (255, 120, 0)


def plain(width: int = 64, height: int = 48, colour=ORANGE) -> np.ndarray:
    return np.full((height, width, 3), colour, np.uint8)


def times_of(path: Path) -> list[float]:
    """When each frame is shown, as FFmpeg reads it."""
    with av.open(str(path)) as file:
        return [frame.time for frame in file.decode(video=0)]


@pytest.mark.parametrize("kind", [".mp4", ".webm"])
@pytest.mark.parametrize("rate", [10, 24000 / 1001, 25, 30000 / 1001, 59.94, 120])
def test_films_keep_the_rate(kind, rate, tmp_path):
    path = write_film(tmp_path / f"a{kind}", [plain()] * 12, rate)
    assert times_of(path) == pytest.approx([i / rate for i in range(12)], abs=6e-4)
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        assert float(stream.average_rate) == pytest.approx(rate, rel=1e-4)
        assert file.duration / 1e6 == pytest.approx(12 / rate, abs=2e-3)
        assert stream.codec_context.name in ("h264", "vp9") and stream.codec_context.pix_fmt == "yuv420p"


@pytest.mark.parametrize("kind", ENDINGS)
def test_films_of_a_varying_rate_keep_their_times(kind, tmp_path):
    shown = [7.0, 7.04, 7.1, 7.5, 7.52, 8.2]
    path = tmp_path / f"a{kind}"
    with film(path, 25) as add:
        for i, at in enumerate(shown):
            add(plain(colour=(40 * i,) * 3), at)
    assert times_of(path) == pytest.approx([t - 7 for t in shown], abs=1e-3)


@settings(max_examples=15, deadline=None)
@example(times=[None, 1e-200, 0.0025, 0.0045], kind=".webm")
@example(times=[None, 1e-200], kind=".mp4")
@given(
    times=st.lists(st.one_of(st.none(), st.floats(0, 5)), min_size=1, max_size=8),
    kind=st.sampled_from([".mp4", ".webm"]),
)
def test_whatever_a_source_says_of_time_every_frame_is_there_in_order(times, kind, tmp_path_factory):
    path = tmp_path_factory.mktemp("film") / f"a{kind}"
    with film(path, 20) as add:
        for at in times:
            add(plain(), at)
    found = times_of(path)
    assert len(found) == len(times) and found == sorted(set(found)) and found[0] == 0


@pytest.mark.parametrize("kind", ENDINGS)
@pytest.mark.parametrize("size", [(151, 111), (2, 3), (1, 1), (640, 17)])
def test_odd_sizes(kind, size, tmp_path):
    path = write_film(tmp_path / f"a{kind}", [plain(*size)] * 3)
    with av.open(str(path)) as file:
        frames = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    width, height = size
    even = size if kind == ".gif" else (width + width % 2, height + height % 2)
    assert frames[0].shape[1::-1] == even
    assert np.abs(frames[0].astype(int) - ORANGE).max() <= 6


@pytest.mark.parametrize("kind", [".mp4", ".webm"])
def test_4k(kind, tmp_path):
    path = write_film(tmp_path / f"a{kind}", [plain(3840, 2160)] * 2)
    with av.open(str(path)) as file:
        assert [(f.width, f.height) for f in file.decode(video=0)] == [(3840, 2160)] * 2


def test_an_mp4_begins_with_its_index(tmp_path):
    content = write_film(tmp_path / "a.mp4", [plain()] * 3).read_bytes()
    assert 0 < content.index(b"moov") < content.index(b"mdat")


def test_a_frame_of_another_size_is_fitted(tmp_path):
    path = write_film(tmp_path / "a.mp4", [plain(64, 48), plain(80, 60)])
    assert len(times_of(path)) == 2


@pytest.mark.parametrize("kind", ENDINGS)
def test_a_film_that_is_killed_leaves_nothing_under_its_name(kind, tmp_path):
    code = (
        "import sys, time, numpy as np\nfrom pathlib import Path\nfrom rolo_bench.run.film import film\n"
        "with film(Path(sys.argv[1])) as add:\n"
        "    for i in range(10**6):\n"
        "        add(np.random.default_rng(i).integers(0, 255, (200, 300, 3), dtype=np.uint8))\n"
        "        print(i, flush=True)\n"
    )
    path = tmp_path / f"a{kind}"
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) as child:
        for _ in range(5):
            child.stdout.readline()
        os.kill(child.pid, signal.SIGKILL)
    assert not path.exists()


def test_a_film_that_cannot_be_written_is_one_line(tmp_path, monkeypatch):
    def full(*given, **named):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(av, "open", full)
    with pytest.raises(DataError, match=r"a\.mp4: No space left on device; check the folder"):
        write_film(tmp_path / "a.mp4", [plain()])


@pytest.mark.parametrize("kind", ["a.avi", "a.mov", "a"])
@pytest.mark.parametrize("command", ["track", "show"])
def test_other_endings_are_refused_before_any_work(kind, command, capsys, monkeypatch):
    monkeypatch.setattr("rolo_bench.run.video.open_video", None)
    monkeypatch.setattr("rolo_bench.datasets.suites.load_suite", None)
    line = {
        "track": ["no.mp4", "--init", "1,2,3,4", "--tracker", "static"],
        "show": ["Dog", "--suite", "otb30"],
    }
    assert main([command, *line[command], "--video", kind]) == 2
    assert capsys.readouterr().err == f"rolo-bench: {kind}: films are written as .mp4, .webm or .gif\n"


def test_labels_stay_in_narrow_pictures_and_off_targets():
    narrow = captioned(
        np.full((60, 40, 3), 200, np.uint8), np.full(4, np.nan), "a tracker of a long name 12  88 fps"
    )
    assert (narrow[:, -1] == 200).all() or narrow[:25, -1].max() < 30  # no letter at the edge
    target = np.array([4.0, 4, 20, 16])
    picture = captioned(np.full((120, 160, 3), 200, np.uint8), target, "ncc 3")
    assert (picture[7:17, 7:21] == 200).all() and picture[110:].min() < 60


def test_lines_are_thin_on_small_targets():
    picture = captioned(np.full((720, 1280, 3), 99, np.uint8), np.array([600.0, 300, 12, 12]), "ncc")
    assert (picture[304:308, 604:608] == 99).all()


def test_track_keeps_the_times_of_its_source(tmp_path):
    source = tmp_path / "source.mp4"
    shown = [0, 0.04, 0.12, 0.2, 0.6, 0.64]
    with film(source) as add:
        for at in shown:
            add(plain(150, 110), at)
    footage = open_video(str(source))
    assert len(list(footage.frames)) == footage.count == 6
    assert footage.times == pytest.approx(shown, abs=1e-3)
    made = tmp_path / "made.webm"
    line = ["track", str(source), "--init", "10,20,24,18", "--tracker", "static", "--video", str(made)]
    assert main([*line, "--boxes", str(tmp_path / "b.txt")]) == 0
    assert times_of(made) == pytest.approx(shown, abs=2e-3)


PLAY = """
const done = arguments[0], video = document.createElement("video");
video.muted = true;
video.src = "/film";
video.onerror = () => done({error: video.error.message});
video.onended = () => {
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth; canvas.height = video.videoHeight;
  const pen = canvas.getContext("2d");
  pen.drawImage(video, 0, 0);
  done({width: video.videoWidth, height: video.videoHeight, duration: video.duration, time: video.currentTime,
        pixel: [...pen.getImageData(30, 30, 1, 1).data.slice(0, 3)]});
};
video.play();
"""


@pytest.fixture(scope="module")
def chrome():
    with browser() as driver:
        yield driver


def played(chrome, path: Path, script: str = PLAY):
    """What a browser says of a film that a page shows."""

    def get(asked: str):
        kind = "image/gif" if path.suffix == ".gif" else f"video/{path.suffix[1:]}"
        return {"/": ("text/html", b"<!doctype html>"), "/film": (kind, path.read_bytes())}.get(asked)

    page = Page(get)
    try:
        chrome.get(page.url)
        return chrome.execute_async_script(script)
    finally:
        page.close()


@pytest.mark.parametrize("kind", [".mp4", ".webm"])
@pytest.mark.parametrize("size", [(151, 111), (1280, 720)])
def test_films_play_in_a_browser(kind, size, chrome, tmp_path):
    path = write_film(tmp_path / f"a{kind}", [plain(*size)] * 15, 30000 / 1001)
    told = played(chrome, path)
    assert "error" not in told, told
    assert (told["width"], told["height"]) == (size[0] + size[0] % 2, size[1] + size[1] % 2)
    assert told["duration"] == pytest.approx(15 * 1001 / 30000, abs=2e-3) and told["time"] > 0.4
    assert (
        np.abs(np.array(told["pixel"]) - ORANGE).max() <= 8
    )  # the browser takes the colours for what they are


@pytest.mark.parametrize("kind", ENDINGS)
@pytest.mark.parametrize("command", ["track", "show"])
def test_films_of_track_and_show_play(command, kind, chrome, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = otb_folder(tmp_path / "videos", ("Square",), count=12)
    path = tmp_path / f"made{kind}"
    line = {
        "track": ["track", str(root / "Square" / "img"), "--init", "10,20,24,18", "--tracker", "ncc"],
        "show": ["show", "Square", "--suite", str(root), "--rate", "25"],
    }[command]
    assert main([*line, "--video", str(path)]) == 0
    if kind == ".gif":
        with Picture.open(path) as gif:
            assert sum(lasts(gif)) == 480
        script = "const i = new Image(); i.onload = () => arguments[0](i.naturalWidth); i.src = '/film'"
        assert played(chrome, path, script) in (150, 600)
        return
    told = played(chrome, path)
    assert "error" not in told, told
    assert told["width"] in (150, 600) and told["duration"] == pytest.approx(0.48, abs=2e-3)
    assert told["time"] > 0.4


def lasts(gif) -> list[int]:
    found = []
    for i in range(gif.n_frames):
        gif.seek(i)
        found.append(gif.info["duration"])
    return found
