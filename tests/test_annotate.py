"""Annotating: what lies between key boxes, what is kept, and the page in a browser from the mouse to a score."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolo_bench.boxfiles import read_boxes
from rolo_bench.cli import main
from rolo_bench.errors import DataError, UsageError
from rolo_bench.run.annotate import KEYS, TRUTH, Annotator, between, open_annotation
from rolo_bench.run.film import write_film
from tests.helpers_browser import browser, until
from tests.helpers_video import otb_folder, square_sequence

NONE = [np.nan] * 4


def test_boxes_between_keys_lie_on_a_line_and_nowhere_else():
    found = between({2: (10, 20, 8, 4), 6: (30, 20, 16, 4)}, 8)
    #        frame  1     2               3                4                5                6               7     8
    assert np.array_equal(
        found,
        [
            NONE,
            [10, 20, 8, 4],
            [15, 20, 10, 4],
            [20, 20, 12, 4],
            [25, 20, 14, 4],
            [30, 20, 16, 4],
            NONE,
            NONE,
        ],
        equal_nan=True,
    )


def test_a_target_that_goes_and_comes():
    found = between({1: (1, 1, 5, 5), 3: None, 5: (9, 9, 5, 5)}, 5)
    assert np.array_equal(found, [[1, 1, 5, 5], [1, 1, 5, 5], NONE, NONE, [9, 9, 5, 5]], equal_nan=True)
    assert np.isnan(between({}, 3)).all() and np.isnan(between({2: None}, 3)).all()


numbers = st.floats(1, 500)
boxes = st.one_of(st.none(), st.tuples(numbers, numbers, numbers, numbers))


@given(keys=st.dictionaries(st.integers(1, 30), boxes))
def test_every_key_is_kept_and_nothing_is_outside_of_its_neighbours(keys):
    found = between(keys, 30)
    for frame, box in keys.items():
        assert np.array_equal(found[frame - 1], NONE if box is None else box, equal_nan=True)
    drawn = [k for k, box in keys.items() if box is not None]
    there = ~np.isnan(found[:, 0])
    assert not drawn or not there[: min(drawn) - 1].any()
    assert not there[max(keys, default=0) :].any()
    if drawn:
        values = np.array([keys[k] for k in drawn])
        low, high = values.min(axis=0) - 1e-9, values.max(axis=0) + 1e-9
        assert ((found[there] >= low) & (found[there] <= high)).all()


@pytest.fixture
def film(tmp_path) -> Path:
    sequence = square_sequence(count=20)
    return write_film(tmp_path / "walk one.mp4", (sequence.frames.image(i) for i in range(20)), 12.5)


def test_frames_of_a_film_and_what_is_written(film, tmp_path):
    made = open_annotation(str(film), tmp_path / "out")
    assert made.folder == tmp_path / "out" / "walk one" and made.rate == 12.5
    assert [p.name for p in made.frames[:2]] == ["0001.jpg", "0002.jpg"] and len(made.frames) == 20
    first = cv2.cvtColor(cv2.imread(str(made.frames[0])), cv2.COLOR_BGR2RGB).astype(int)
    assert np.abs(first - square_sequence(count=1).frames.image(0)).mean() < 25  # noise, twice compressed
    assert not (made.folder / TRUTH).exists()
    made.change({1: (10, 20, 24, 18), 20: (48, 39, 24, 18)})
    assert read_boxes(made.folder / TRUTH) == pytest.approx(square_sequence(count=20).truth)
    made.change({1: (10, 20, 24, 18), 2: None})
    assert np.isnan(read_boxes(made.folder / TRUTH)[1:]).all()
    made.change({})
    assert not (made.folder / TRUTH).exists()


def test_images_are_copied_as_they_are(tmp_path):
    images = otb_folder(tmp_path / "otb", ("Square",), count=5) / "Square" / "img"
    (images / "0005.jpg").rename(images / "0010.jpg")
    for source in (str(images), str(images / "*.jpg")):
        made = open_annotation(source, tmp_path / "out", f"n{len(source)}")
        assert [p.read_bytes() for p in made.frames] == [p.read_bytes() for p in sorted(images.iterdir())]
        assert made.frames[-1].name == "0005.jpg"
    assert open_annotation(str(images), tmp_path / "out").folder.name == "Square"


def test_work_is_taken_up_again(film, tmp_path):
    keys = {1: (10.0, 20.0, 24.0, 18.0), 9: None}
    open_annotation(str(film), tmp_path / "out").change(keys)
    assert open_annotation(str(film), tmp_path / "out").keys == keys
    assert open_annotation(str(tmp_path / "out" / "walk one"), tmp_path).keys == keys
    other = film.rename(film.with_name("other.mp4"))
    with pytest.raises(UsageError, match=r"annotates walk one\.mp4, not other\.mp4; choose another name"):
        open_annotation(str(other), tmp_path / "out", "walk one")


def test_frames_that_were_cut_short_are_taken_anew(film, tmp_path):
    part = tmp_path / "out" / "walk one" / ".img.part"
    part.mkdir(parents=True)
    (part / "0077.jpg").write_bytes(b"half")
    assert len(open_annotation(str(film), tmp_path / "out").frames) == 20
    assert not part.exists()


def test_work_that_ends_on_a_full_disk_is_begun_again(film, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(OSError, match="No space"):
            open_annotation(str(film), tmp_path / "out")
    made = open_annotation(str(film), tmp_path / "out")
    assert len(made.frames) == 20 and all(p.is_file() for p in made.frames)
    page, line = Annotator(made), b'{"keys": {"1": [1, 2, 3, 4]}, "version": 0}'
    try:
        with monkeypatch.context() as patch:
            patch.setattr("rolo_bench.run.annotate.write_atomic", full)
            with pytest.raises(urllib.error.HTTPError, match="400"):
                sent(page.url, line)
        told = json.loads(urllib.request.urlopen(f"{page.url}state", timeout=5).read())
        assert told["keys"] == {} and told["version"] == 0
        assert sent(page.url, line)["version"] == 1
        assert open_annotation(str(film), tmp_path / "out").keys == {1: (1, 2, 3, 4)}
    finally:
        page.close()


def test_two_do_not_annotate_the_same(film, tmp_path):
    made = open_annotation(str(film), tmp_path / "out")
    page = Annotator(made)
    with pytest.raises(UsageError, match="is annotated by another process"):
        Annotator(made)
    page.close()
    Annotator(made).close()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"keys": {"1": [1e999, 2, 3, 4]}}',
        "[" * 99999,
        '{"keys": {"99": [1, 2, 3, 4]}}',
        '{"keys": {"1": [1, 2]}}',
    ],
)
def test_damaged_work_is_one_line_and_left_alone(film, tmp_path, content):
    made = open_annotation(str(film), tmp_path / "out")
    whole = json.loads((made.folder / KEYS).read_text())
    text = json.dumps(whole | json.loads(content)) if content.startswith('{"') else content
    (made.folder / KEYS).write_text(text)
    with pytest.raises(DataError, match=r"annotation\.json: damaged"):
        open_annotation(str(film), tmp_path / "out")
    assert (made.folder / KEYS).read_text() == text


@pytest.mark.parametrize(
    ("source", "message"),
    [("0", "a camera cannot be annotated"), ("nowhere.mp4", "no such video"), ("*.png", "holds no images")],
)
def test_what_cannot_be_annotated(source, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["annotate", source]) in (1, 2)
    assert message in capsys.readouterr().err and not list(tmp_path.rglob("*.json"))


def test_a_folder_of_somebody_else_is_left_alone(film, tmp_path):
    taken = otb_folder(tmp_path / "out", ("Square",), count=2)
    with pytest.raises(UsageError, match="was not begun by annotate"):
        open_annotation(str(film), taken, "Square")


def sent(url: str, body: bytes) -> dict:
    request = urllib.request.Request(f"{url}keys", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.loads(answer.read())


def test_a_page_that_is_behind_changes_nothing(film, tmp_path):
    made = open_annotation(str(film), tmp_path / "out")
    page = Annotator(made)
    try:
        told = sent(page.url, b'{"keys": {"1": [1, 2, 3, 4]}, "version": 0}')
        assert told["version"] == 1 and told["boxes"][0] == [1, 2, 3, 4]
        assert sent(page.url, b'{"keys": {}, "version": 0}')["keys"] == {"1": [1, 2, 3, 4]}
        for wrong in (
            b"",
            b"[]",
            b'{"keys": {"0": null}, "version": 1}',
            b'{"keys": {"1": [1, 2, -3, 4]}, "version": 1}',
        ):
            with pytest.raises(urllib.error.HTTPError, match="400"):
                sent(page.url, wrong)
        assert made.keys == {1: (1, 2, 3, 4)}
    finally:
        page.close()


class Command:
    """``rolo-bench annotate`` in a process of its own."""

    def __init__(self, *words: str) -> None:
        line = [sys.executable, "-m", "rolo_bench", "annotate", *words, "--no-browser"]
        self.process = subprocess.Popen(line, stderr=subprocess.PIPE, text=True, start_new_session=True)
        told = ""
        while "http" not in told:
            told = self.process.stderr.readline()
            assert told, "it ended"
        self.url = re.search(r"http://\S+", told)[0]


@pytest.fixture(scope="module")
def chrome():
    with browser() as driver:
        yield driver


def drag(driver, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag the mouse between two places of the image, in its pixels."""
    from selenium.webdriver.common.action_chains import ActionChains

    places = driver.execute_script(
        "const m = document.getElementById('stage').getScreenCTM();"
        "return arguments[0].map(([x, y]) => [x * m.a + m.e, y * m.d + m.f])",
        [start, end],
    )
    (a, b), (c, d) = places
    actions = ActionChains(driver, duration=40)
    actions.w3c_actions.pointer_action.move_to_location(round(a), round(b)).pointer_down()
    actions.w3c_actions.pointer_action.move_to_location(round((a + c) / 2), round((b + d) / 2))
    actions.w3c_actions.pointer_action.move_to_location(round(c), round(d)).pointer_up()
    actions.perform()


def press(driver, *keys: str) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    for key in keys:
        ActionChains(driver, duration=20).send_keys(key).perform()


def text(driver, name: str) -> str:
    return driver.execute_script(f"return document.getElementById('{name}').textContent")


def opened(driver, url: str) -> None:
    driver.get(url)
    until(lambda: driver.execute_script("return document.documentElement.dataset.ready") == "yes")


def test_from_the_mouse_to_a_score(chrome, film, tmp_path, monkeypatch, capsys):
    from selenium.webdriver.common.keys import Keys

    monkeypatch.chdir(tmp_path)
    command, folder = Command(str(film), "--folder", "mine", "--name", "Walk"), tmp_path / "mine" / "Walk"
    opened(chrome, command.url)
    drag(chrome, (10, 20), (34, 38))
    until(lambda: text(chrome, "saved") == "saved")
    press(chrome, Keys.END)
    until(lambda: text(chrome, "where").startswith("frame 20 of 20"))
    drag(chrome, (48, 39), (72, 57))
    until(lambda: "20 of 20 with a box" in text(chrome, "coverage"))
    until(lambda: text(chrome, "saved") == "saved")
    truth = square_sequence(count=20).truth
    assert np.abs(read_boxes(folder / TRUTH) - truth).max() < 1  # half a pixel of the screen, at most
    press(chrome, Keys.HOME, *[Keys.ARROW_RIGHT] * 4)
    until(lambda: text(chrome, "where") == "frame 5 of 20 · between key boxes")
    drag(chrome, (truth[4, 0] + 12, truth[4, 1] + 9), (truth[4, 0] + 12, truth[4, 1] + 29))  # move it
    until(lambda: "key box" in text(chrome, "where") and text(chrome, "saved") == "saved")
    assert read_boxes(folder / TRUTH)[4, 1] == pytest.approx(truth[4, 1] + 20, abs=1)
    press(chrome, Keys.DELETE)
    until(lambda: "between" in text(chrome, "where") and text(chrome, "saved") == "saved")
    assert np.abs(read_boxes(folder / TRUTH) - truth).max() < 1
    chrome.find_element("id", "undo").click()
    until(lambda: "key box" in text(chrome, "where") and text(chrome, "saved") == "saved")
    press(chrome, "u", Keys.ARROW_UP)  # the move, and to the key before
    until(lambda: text(chrome, "where") == "frame 1 of 20 · key box" and text(chrome, "saved") == "saved")
    assert np.abs(read_boxes(folder / TRUTH) - truth).max() < 1
    press(chrome, " ")
    until(lambda: text(chrome, "where").startswith("frame 20"))  # it plays
    press(chrome, *[Keys.ARROW_LEFT] * 2, "a")
    until(lambda: text(chrome, "where") == "frame 18 of 20 · no target from here on")
    until(lambda: text(chrome, "saved") == "saved")
    found = read_boxes(folder / TRUTH)
    assert np.isnan(found[:, 0]).nonzero()[0].tolist() == [17, 18] and np.nanmax(np.abs(found - truth)) < 1
    chrome.find_element("id", "done").click()
    until(lambda: text(chrome, "saved") == "finished; this page can be closed")
    told = command.process.communicate(timeout=20)[1]
    assert "3 key boxes, 18 of 20 frames with a box, in mine/Walk" in told and command.process.returncode == 0
    assert [e for e in chrome.get_log("browser") if e["level"] == "SEVERE"] == []
    assert main(["run", "--tracker", "static", "--suite", "mine"]) == 0
    capsys.readouterr()
    assert main(["score", "--suite", "mine", "--format", "json"]) == 0
    row = json.loads(capsys.readouterr().out)[0]
    assert row["tracker"] == "static" and 0 < row["auc"] < 0.5


def test_a_corner_is_dragged_and_boxes_stay_inside(chrome, film, tmp_path):
    made = open_annotation(str(film), tmp_path / "out")
    made.change({1: (40.0, 30.0, 24.0, 18.0)})
    page = Annotator(made)
    try:
        opened(chrome, page.url)
        assert text(chrome, "saved") == "taken up again"
        drag(chrome, (64, 48), (74, 60))
        until(lambda: text(chrome, "saved") == "saved")
        assert made.keys[1] == pytest.approx((40, 30, 34, 30), abs=1)
        drag(chrome, (57, 45), (149, 109))  # move it as far as it goes
        until(lambda: made.keys[1][0] > 60)
        x, y, w, h = made.keys[1]
        assert x + w == pytest.approx(150, abs=0.1) and y + h == pytest.approx(110, abs=0.1)
        drag(chrome, (30, 30), (30.2, 30.2))  # a click
        assert made.keys[1] == (x, y, w, h)
    finally:
        page.close()


def test_nothing_is_lost_when_the_program_is_killed(chrome, film, tmp_path):
    command = Command(str(film), "--folder", str(tmp_path / "mine"))
    opened(chrome, command.url)
    drag(chrome, (10, 20), (34, 38))
    until(lambda: text(chrome, "saved") == "saved")
    command.process.send_signal(signal.SIGKILL)
    command.process.communicate()
    found = open_annotation(str(film), tmp_path / "mine")
    assert found.keys[1] == pytest.approx((10, 20, 24, 18), abs=0.6)
    assert read_boxes(found.folder / TRUTH)[0] == pytest.approx((10, 20, 24, 18), abs=0.6)
    drag(chrome, (50, 50), (80, 80))
    until(lambda: "not saved" in text(chrome, "saved"))


def test_ctrl_c_ends_it_with_what_is_done(film, tmp_path):
    command = Command(str(film), "--folder", str(tmp_path / "mine"))
    command.process.send_signal(signal.SIGINT)
    told = command.process.communicate(timeout=20)[1]
    assert command.process.returncode == 0 and "0 key boxes, 0 of 20 frames with a box" in told
