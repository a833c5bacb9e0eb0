"""What a run shows while it is at work."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rolo_bench.cli import main
from rolo_bench.cli.progress import Board
from rolo_bench.datasets.suites import load_suite
from rolo_bench.run import pool
from rolo_bench.run.runner import frames_of, run
from tests.helpers_video import otb_folder


class Clock:
    """A clock that is set by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_the_time_left_is_that_of_all_trackers(clock):
    board = Board(100, ["ncc", "mosse"], clock)
    board.begin(0, "ncc")
    clock.now += 7  # libraries are loaded: no part of the pace
    assert board.left() is None and board.words() == "0 %  0 of 200 frames  starting"
    board.tick("A", 1, 50)
    clock.now += 2
    board.tick("A", 21, 50)  # 20 frames in 2 s
    assert board.left() == pytest.approx(17.9)
    assert board.words() == "10 %  21 of 200 frames  0:00:18 left"
    assert board.at_work() == "ncc (1 of 2): A 21/50"
    clock.now += 3
    assert board.left() > 17.9  # it moves where no frame comes
    board.tick("A", 50, 50)
    board.end("A", 50, 50)
    assert board.frames == 50 and board.left() == pytest.approx(150 * 5 / 49)


def test_what_is_skipped_or_failed_early_is_no_pace(clock):
    board = Board(1000, ["ncc"], clock)
    board.begin(0, "ncc")
    board.end("A", 500, 0)  # there already
    assert board.frames == 500 and board.left() is None
    board.tick("B", 1, 300)
    clock.now += 1
    board.tick("B", 11, 300)
    board.end("B", 300)  # failed at frame 11
    assert board.frames == 800 and board.left() == pytest.approx(200 * 1 / 10)


def test_a_cluster_tells_of_whole_sequences_alone(clock):
    board = Board(400, ["ncc"], clock)
    board.begin(0, "ncc")
    clock.now += 10
    board.end("A", 100, 100)
    assert board.left() == pytest.approx(30)


def test_each_tracker_has_a_pace_of_its_own(clock):
    board = Board(100, ["fast", "slow", "slow", "other"], clock)
    board.begin(0, "fast")
    board.tick("A", 1, 100)
    clock.now += 1
    board.end("A", 100, 100)
    board.begin(1, "slow")
    assert board.left() is None
    board.tick("A", 1, 100)
    clock.now += 10
    board.tick("A", 2, 100)
    mean = (10 + 1 / 99) / 2  # of one that nothing is known of
    assert board.left() == pytest.approx(198 * 10 + 100 * mean)
    clock.now += 980
    board.end("A", 100, 100)
    board.begin(2, "slow")
    assert board.left() == pytest.approx(100 * 10 + 100 * mean)  # it has run before
    board.begin(3, "other")
    assert board.left() is None


def test_a_tracker_that_cannot_be_made_takes_its_frames_along(clock):
    board = Board(100, ["broken", "ncc"], clock)
    board.begin(0, "broken")
    board.begin(1, "ncc")
    assert board.frames == 100


def test_telling_is_paced(monkeypatch):
    class Job:
        frames = 1000

    now, told = [0.0], []
    monkeypatch.setattr(pool.time, "monotonic", lambda: now[0])
    tick = pool._paced(Job, lambda step: told.append(step.frames))
    for done in range(1, 1001):
        tick(done)
        now[0] += 0.001
    assert told[0] == 1 and told[-1] == 1000
    assert 10 <= len(told) <= 12
    assert pool._paced(Job, None) is None


def test_frames_of_a_suite_by_protocol(tmp_path):
    suite = load_suite(str(otb_folder(tmp_path, count=30)))
    assert frames_of(suite, "ope") == 60
    assert frames_of(suite, "sre") == 12 * 60
    assert frames_of(suite, "tre") == 2 * sum(30 - k for k in range(11))


def test_an_outcome_holds_what_was_filed(tmp_path):
    otb_folder(tmp_path / "videos", count=6)
    first = run("static", str(tmp_path / "videos"), results=tmp_path / "r")
    assert [o.frames for o in first] == [6, 6]
    assert first[0].result.boxes.shape == (6, 4)
    again = run("static", str(tmp_path / "videos"), results=tmp_path / "r")
    assert [(o.what, o.frames, o.result) for o in again] == [("skipped", 6, None)] * 2


FAILS = """
class Fails:
    'Gives up on the fourth frame.'
    count = 0
    def init(self, image, box):
        self.box, self.count = box, 1
    def update(self, image):
        self.count += 1
        if self.count == 4:
            raise ValueError('no luck')
        return self.box
"""
SLOW = """
import time
class Slow:
    'Stays where it is, long enough for a display to be drawn anew.'
    def init(self, image, box):
        self.box = box
    def update(self, image):
        time.sleep(0.02)
        return self.box
"""


def test_a_log_has_a_line_for_each_sequence_and_says_what_is_next(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    otb_folder(tmp_path / "my videos", count=8)
    line = ["run", "--tracker", "static", "--suite", "./my videos", "--results", "r"]
    assert main(line) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "static on my videos: 2 sequences, 16 frames"
    assert re.fullmatch(r"  Other: AUC \d\.\d{3}, [\d,.]+ fps; 50 %, 0:00:\d\d left", lines[1])
    assert re.fullmatch(r"static on my videos \(ope\): 2 done, AUC \d\.\d{3}", lines[3])
    assert lines[4:] == [
        f"results in {Path('r/my videos/ope')}",
        "next: rolo-bench score --suite './my videos' --results r",
    ]
    score = [word.strip("'") for word in ("--suite", "./my videos", "--results", "r")]
    assert main(["score", *score]) == 0
    capsys.readouterr()
    assert main([*line, "--sequence", "other"]) == 0
    assert capsys.readouterr().err.splitlines()[-1].endswith("--results r --partial")


def test_what_the_project_file_says_is_not_said_again(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    otb_folder(tmp_path / "videos", count=8)
    (tmp_path / "rolo-bench.toml").write_text("suite = './videos'\nresults = 'kept'\npartial = true\n")
    assert main(["run", "--tracker", "static", "--sequence", "Other"]) == 0
    assert capsys.readouterr().err.splitlines()[-1] == "next: rolo-bench score"


def test_the_live_score_is_that_of_the_score_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["run", "--tracker", "static", "--sequence", "CarPass"]) == 0
    live = re.search(r"AUC (\d\.\d{3})", capsys.readouterr().err)[1]
    assert main(["score", "--partial", "--format", "json"]) == 0
    assert f'"auc":{live[:-1]}' in capsys.readouterr().out.replace(" ", "")


def test_nothing_is_next_where_nothing_was_made(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    otb_folder(tmp_path / "videos", count=8)
    (tmp_path / "fails.py").write_text(FAILS)
    assert main(["run", "--tracker", "./fails.py", "--suite", "./videos"]) == 1
    lines = capsys.readouterr().err
    assert "Other, frame 4: ValueError: no luck" in lines and "next:" not in lines


def on_a_terminal(command: list[str], folder: Path, **environment: str) -> str:
    """What a command writes to a terminal of 80 columns."""
    parent, child = pty.openpty()
    env = os.environ | {"TERM": "xterm", "COLUMNS": "80", **environment}
    process = subprocess.Popen(command, cwd=folder, stdin=child, stdout=child, stderr=child, env=env)
    os.close(child)
    parts = []
    while True:
        try:
            data = os.read(parent, 1 << 16)
        except OSError:  # the other side is closed
            break
        if not data:
            break
        parts.append(data)
    process.wait(10)
    os.close(parent)
    return b"".join(parts).decode()


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_terminal_shows_frames_failures_in_red_and_the_end(tmp_path, jobs):
    otb_folder(tmp_path / "videos", count=40)
    (tmp_path / "fails.py").write_text(FAILS)
    (tmp_path / "slow.py").write_text(SLOW)
    command = [sys.executable, "-m", "rolo_bench", "run", "--suite", "./videos", "--jobs", jobs]
    text = on_a_terminal([*command, "--tracker", "./slow.py", "--tracker", "./fails.py"], tmp_path)
    assert "of 160 frames" in text and "slow (1 of 2)" in text and "left" in text
    assert re.search(r"Other: AUC \d\.\d{3}, ", text)
    assert re.search(r"\x1b\[31m  Other: failed: Other, frame 4: ValueError: no luck", text)
    assert "next: rolo-bench score --suite ./videos" in text


def test_a_plain_terminal_has_no_colours(tmp_path):
    otb_folder(tmp_path / "videos", count=8)
    (tmp_path / "fails.py").write_text(FAILS)
    command = [sys.executable, "-m", "rolo_bench", "run", "--suite", "./videos"]
    plain = on_a_terminal([*command, "--tracker", "static"], tmp_path, TERM="dumb")
    assert "\x1b" not in plain and "static on videos: 2 sequences, 16 frames" in plain
    uncoloured = on_a_terminal([*command, "--tracker", "./fails.py"], tmp_path, NO_COLOR="1")
    assert "failed: Other, frame 4" in uncoloured and "\x1b[31m" not in uncoloured


def test_options_are_read_whole_on_a_terminal_and_lists_are_short(tmp_path):
    command = [sys.executable, "-m", "rolo_bench", "list", "trackers"]
    lines = on_a_terminal([*command, "mosse"], tmp_path).splitlines()
    assert max(map(len, lines)) <= 80 and "-o padding=2.0" in lines[0] and "…" not in "".join(lines)
    assert "finds faster motion.)" in " ".join(line.strip() for line in lines)
    short = on_a_terminal(command, tmp_path).splitlines()
    assert max(map(len, short)) <= 80 and any(line.endswith("…") for line in short)
