"""The live view: a page that only its own machine reads, a window that only costs itself, and unchanged boxes."""

from __future__ import annotations

import http.client
import os
import shutil
import subprocess
import threading
import time
from urllib.parse import urlsplit

import numpy as np
import pytest

from rolo_bench.boxes import iou
from rolo_bench.cli import main
from rolo_bench.datasets.suites import load_suite
from rolo_bench.errors import UsageError
from rolo_bench.run.live import Stream, View, screen
from rolo_bench.run.page import Page
from rolo_bench.run.runner import How, run
from rolo_bench.run.store import Store
from rolo_bench.run.window import Window
from tests.helpers_browser import browser, until
from tests.helpers_video import otb_folder

ORANGE = (255, 120, 0)


def asked(url: str, path: str = "/", method: str = "GET", body: bytes | None = None, **headers: str) -> int:
    """The status of an answer."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=5)
    connection.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
    try:
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.fixture
def page():
    made = Page(
        lambda path: ("text/plain", b"x") if path in ("/", "/data") else None,
        lambda path, body: ("text/plain", body),
    )
    yield made
    made.close()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:9000"}, 200),  # through a tunnel
        ({"Host": "[::1]:9000"}, 200),
        ({"Host": "evil.example"}, 403),  # a name that was made to lead here
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": "evil.example:80@127.0.0.1"}, 403),
        ({"Host": "["}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"}, 403),
        ({"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "cors"}, 403),  # another port
        ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}, 403),  # a frame around what it holds
        ({"Sec_Fetch_Site": "same-origin", "Sec_Fetch_Mode": "cors"}, 200),
        ({"Sec_Fetch_Site": "none", "Sec_Fetch_Mode": "navigate"}, 200),
    ],
)
def test_who_may_read_a_page(page, headers, status):
    assert asked(page.url, "/data", **headers) == status
    if "Origin" not in headers:
        assert asked(page.url, "/data", "POST", b"{}", **headers) == status


def test_a_link_may_lead_to_the_page_itself(page):
    assert asked(page.url, "/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate") == 200


def test_what_is_not_there_and_what_is_too_much(page):
    assert asked(page.url, "/nothing") == 404
    assert asked(page.url, "/data", "POST", Content_Length="99999999999") == 400
    assert asked(page.url, "/data", "DELETE") == 501


def test_a_page_is_not_to_be_had_from_another_address(page):
    assert page.server.server_address[0] == "127.0.0.1"


def test_a_port_that_is_taken_is_one_line(page):
    with pytest.raises(UsageError, match=r"port \d+ cannot be had"):
        Page(lambda path: None, None, page.server.server_address[1])


def test_a_stream_is_seen_in_a_browser_until_its_last_picture():
    stream, stop = Stream(), threading.Event()

    def show():
        while not stop.is_set():
            stream(np.full((48, 64, 3), (0, 0, 200), np.uint8))
            time.sleep(0.02)

    script = """
        const image = document.getElementById("picture"), canvas = document.createElement("canvas");
        canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
        if (!canvas.width) return null;
        canvas.getContext("2d").drawImage(image, 0, 0);
        return [canvas.width, ...canvas.getContext("2d").getImageData(20, 20, 1, 1).data];
    """
    with browser() as driver:
        thread = threading.Thread(target=show)
        thread.start()
        driver.get(stream.url)
        found = until(lambda: driver.execute_script(script))
        assert found[0] == 64 and np.abs(np.array(found[1:4]) - (0, 0, 200)).max() < 12
        until(lambda: driver.execute_script("return document.getElementById('state').textContent") == "live")
        stop.set()
        thread.join()
        stream(np.full((48, 64, 3), ORANGE, np.uint8))
        stream.close()
        until(lambda: np.abs(np.array(driver.execute_script(script)[1:4]) - ORANGE).max() < 12)
        until(lambda: "over" in driver.execute_script("return document.getElementById('state').textContent"))
        assert [e for e in driver.get_log("browser") if "ERR_CONNECTION" not in e["message"]] == []


def test_a_view_draws_as_often_as_an_eye_can_follow():
    shown = []
    view = View(lambda picture: shown.append(picture) is None)
    image, box = np.zeros((40, 60, 3), np.uint8), np.array([[5.0, 5, 20, 20]])
    for _ in range(1000):
        assert view(image, box, "x")
    assert 1 <= len(shown) < 20 and not image.any() and shown[0].any()


def test_a_view_that_was_closed_draws_no_more():
    view = View(lambda picture: False)
    assert not view(np.zeros((40, 60, 3), np.uint8), np.full((1, 4), np.nan), "x")
    assert not view(np.zeros((40, 60, 3), np.uint8), np.full((1, 4), np.nan), "x")


def test_track_with_a_page_gives_the_same_boxes(tmp_path, capsys):
    root = otb_folder(tmp_path / "videos", ("Square",), count=12)
    line = ["track", str(root / "Square" / "img"), "--init", "10,20,24,18", "--tracker", "ncc"]
    for name, more in (("a", []), ("b", ["--serve"])):
        assert main([*line, "--boxes", str(tmp_path / f"{name}.txt"), *more]) == 0
    assert (tmp_path / "a.txt").read_bytes() == (tmp_path / "b.txt").read_bytes()
    assert "live at http://127.0.0.1:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["--window", "--init", "1,2,3,4"], "no display for a window; --serve shows it in a browser"),
        ([], "no display for a window; give the first box as --init x,y,w,h"),
    ],
)
def test_without_a_display_it_is_said_before_anything_runs(line, message, tmp_path, monkeypatch, capfd):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    plugin = tmp_path / "never.py"
    plugin.write_text(
        "class Never:\n    def __init__(self):\n        raise SystemExit('made')\n"
        "    def init(self, image, box): ...\n    def update(self, image): ...\n"
    )
    assert main(["track", "nowhere.mp4", "--tracker", str(plugin), *line]) == 2
    assert capfd.readouterr().err == f"rolo-bench: {message}\n"


@pytest.fixture
def display(monkeypatch):
    """A display that nobody looks at."""
    if shutil.which("Xvfb") is None:
        pytest.skip("needs Xvfb on PATH (Debian: xvfb)")
    ours, theirs = os.pipe()
    command = ["Xvfb", "-displayfd", str(theirs), "-screen", "0", "800x600x24", "-nolisten", "tcp"]
    with subprocess.Popen(command, pass_fds=[theirs], stderr=subprocess.DEVNULL) as server:
        os.close(theirs)
        with os.fdopen(ours) as told:
            monkeypatch.setenv("DISPLAY", f":{told.readline().strip()}")
        yield
        server.terminate()


def test_a_window_shows_pictures_and_its_end_is_nobody_elses(display):
    window = Window()
    for k in range(20):
        assert window(np.full((48, 64, 3), 12 * k, np.uint8))
    window.child.kill()
    window.child.wait()
    until(lambda: not window(np.zeros((480, 640, 3), np.uint8)))
    window.close()


def test_both_a_window_and_a_page(display):
    said = []
    with screen(True, 0, said.append) as show:
        assert show is not None and show(np.zeros((48, 64, 3), np.uint8), np.full((1, 4), np.nan), "x")
    assert said[0].startswith("live at http://127.0.0.1:")
    with screen(False, None, said.append) as show:
        assert show is None


class Kept:
    """A view that keeps what it is told."""

    def __init__(self):
        self.told = []

    def due(self):
        return True

    def of_run(self, tracker, part, index, image, box):
        self.told.append((part.name, index, image.copy(), box.copy()))


@pytest.mark.parametrize("how", ["process", "two", "here"])
def test_a_run_shows_each_frame_with_its_box_and_files_the_same(how, tmp_path):
    root = otb_folder(tmp_path / "videos", ("Square", "Other"), count=8)
    suite, view = load_suite(str(root)), Kept()
    for name, seen in (("plain", None), ("shown", view)):
        ways = How(jobs=2 if how == "two" else 1, in_process=how == "here", view=seen)
        done = run("ncc", suite, results=tmp_path / name, how=ways)
        assert [o.what for o in done] == ["done", "done"]
    stores = [Store(tmp_path / n) for n in ("plain", "shown")]
    truths = {s.name: s for s in suite.sequences}
    for name in truths:
        one, two = ((s.folder("videos", "ope", "ncc") / f"{name}.txt").read_bytes() for s in stores)
        assert one == two
    assert len(view.told) == 16 or (how == "two" and len(view.told) == 8)
    for name, index, image, box in view.told:
        assert (image == truths[name].frames.image(index)).all()
        assert iou(box[None], truths[name].truth[index : index + 1])[0] > 0.5


def test_the_clock_stands_while_a_frame_is_drawn(tmp_path):
    root = otb_folder(tmp_path / "videos", ("Square",), count=8)

    class Slow(Kept):
        def of_run(self, *given):
            time.sleep(0.1)

    run("static", str(root), results=tmp_path / "results", how=How(view=Slow()))
    seconds = Store(tmp_path / "results").load("videos", "ope", "static", "Square")[0].seconds
    assert seconds.sum() < 0.05


def test_run_serves_what_it_does(tmp_path, capsys):
    line = ["run", "--tracker", "static", "--suite", "demo", "--sequence", "CarPass", "--results"]
    assert main([*line, str(tmp_path), "--serve"]) == 0
    assert "live at http://127.0.0.1:" in capsys.readouterr().err
    assert main([*line, str(tmp_path), "--serve", "--scheduler", "x.json"]) == 2


def test_run_shows_what_it_does(tmp_path, display):
    line = ["run", "--tracker", "static", "--suite", "demo", "--sequence", "CarPass", "--results"]
    assert main([*line, str(tmp_path), "--show"]) == 0


def test_run_says_at_once_that_there_is_no_display(tmp_path, monkeypatch, capsys):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    line = ["run", "--tracker", "static", "--suite", "demo", "--results", str(tmp_path / "r"), "--show"]
    assert main(line) == 2
    assert capsys.readouterr().err == "rolo-bench: no display for a window; --serve shows it in a browser\n"
    assert not (tmp_path / "r").exists()
