import os
import subprocess
import sys
import threading
from pathlib import Path

import click
import pytest

from rolo_bench.cli import COMMANDS, cli, main
from rolo_bench.files import write_atomic
from tests.helpers_video import otb_folder


def commands():
    """Every command and subcommand with its path."""
    context = click.Context(cli, info_name="rolo-bench")
    for name in COMMANDS:
        command = cli.get_command(context, name)
        yield name, command
        if isinstance(command, click.Group):
            inner = click.Context(command, info_name=name, parent=context)
            for sub in command.list_commands(inner):
                yield f"{name} {sub}", command.get_command(inner, sub)


@pytest.mark.parametrize(("name", "command"), list(commands()), ids=lambda v: v if isinstance(v, str) else "")
def test_every_command_has_help_and_an_example(name, command):
    assert command is not None
    assert command.help, name
    assert "rolo-bench" in (command.epilog or ""), f"{name}: no example"
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert parameter.help, f"{name} {parameter.opts}"
            bare = type(parameter.type) in (type(click.INT), type(click.FLOAT))
            assert not bare or parameter.is_flag, f"{name} {parameter.opts}: takes numbers without a range"


def test_help_loads_neither_torch_nor_matplotlib():
    code = (
        "import sys; from rolo_bench.cli import main; main(['--help']); "
        "heavy = {'torch', 'matplotlib', 'pandas', 'scipy', 'cv2', 'numpy'} & set(sys.modules); "
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Commands" in done.stdout


def test_run_and_resume(tmp_path, capsys):
    videos = otb_folder(tmp_path / "videos", count=8)
    line = [
        "run",
        "--tracker",
        "ncc",
        "--tracker",
        "static",
        "--suite",
        str(videos),
        "--results",
        str(tmp_path / "r"),
    ]
    assert main(line) == 0
    assert "2 done" in capsys.readouterr().err
    assert main(line) == 0
    assert "2 skipped" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        (["run"], 2, "name a tracker with --tracker"),
        (["run", "--tracker", "nope"], 2, "unknown tracker 'nope'"),
        (["run", "--tracker", "ncc", "--suite", "nope"], 2, "unknown suite 'nope'"),
        (["run", "--tracker", "ncc", "-o", "x=1", "--suite", "demo"], 2, "unknown option 'x'"),
        (["run", "--tracker", "ncc", "--tracker", "mil", "--name", "x"], 2, "--name goes with one --tracker"),
        (["run", "--protocol", "vot"], 2, "vot"),
        (["run", "ncc"], 2, "unexpected 'ncc'; write --tracker ncc; usage: rolo-bench run [OPTIONS] (see `"),
        (["run", "--tracker", "ncc", "YOLO", "otb30"], 2, "write --tracker YOLO --suite otb30; usage"),
        (["run", "--debug", "./mine.py"], 2, "unexpected './mine.py'; write --tracker ./mine.py; usage"),
        (["run", "nobody"], 2, "unexpected 'nobody'; usage: rolo-bench run [OPTIONS] (see"),
        (["score", "demo", "md"], 2, "unexpected 'demo md'; write --suite demo --format md; usage"),
        (["plot", "success", "rolo2016"], 2, "write --convention rolo2016; usage: rolo-bench plot success"),
        (["track", "a.mp4", "b.mp4"], 2, "unexpected 'b.mp4'; usage: rolo-bench track [OPTIONS] VIDEO (see"),
        (
            ["import", "my res", "otb-json"],
            2,
            "FORMAT comes before PATH: rolo-bench import otb-json 'my res'",
        ),
        (["export", "out", "got10k"], 2, "FORMAT comes before DIR: rolo-bench export got10k out"),
        (["import", "res", "nothing"], 2, "'res' is not one of 'otb-mat', "),
        (["run", "--tracker", "ncc", "--suite", "./nowhere"], 2, "./nowhere: no such folder of sequences"),
        (["run", "--tracker", "ncc", "--jobs", "two"], 2, "'two' is not a valid whole number"),
        (["run", "--tracker", "ncc", "--timeout", "long"], 2, "'long' is not a valid number"),
        (["run", "--tracker", "NC"], 2, "unknown tracker 'NC'; did you mean 'ncc'?"),
        (["run", "--tracker", "ncc", "--sequence", "carpas"], 2, "in demo; did you mean 'CarPass'?"),
        (["run", "--tracker", "ncc", "-o", "search=big"], 2, "option search must be a number, not 'big'"),
        (["study", "steps", "--detector", "yolox"], 2, "unknown detector 'yolox'; did you mean"),
        (["bench", "--frames", "0"], 2, "0 is not in the range"),
        (["nope"], 2, "no command 'nope'; known: run"),
        (
            ["run", "--tracker", "ncc", "--suite", "otb30", "--data", "nowhere"],
            1,
            "rolo-bench fetch data otb30",
        ),
    ],
)
def test_misuse_is_one_line(tmp_path, monkeypatch, capsys, line, code, message):
    monkeypatch.chdir(tmp_path)
    assert main(line) == code
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1
    assert "Traceback" not in error


def test_failing_tracker_gives_code_one(tmp_path, capsys):
    methods = "def init(self, image, box): pass\n    def update(self, image): raise ValueError('no')\n"
    (tmp_path / "bad.py").write_text(f"class Bad:\n    'Bad.'\n    {methods}")
    videos = otb_folder(tmp_path / "videos", count=4)
    line = [
        "run",
        "--tracker",
        str(tmp_path / "bad.py"),
        "--suite",
        str(videos),
        "--results",
        str(tmp_path / "r"),
    ]
    assert main(line) == 1
    error = capsys.readouterr().err
    assert "Square, frame 2: ValueError: no" in error
    assert "run the same command again" in error


def test_list(capsys):
    assert main(["list", "trackers"]) == 0
    assert "mosse" in capsys.readouterr().out
    assert main(["list", "suites"]) == 0
    assert "otb30" in capsys.readouterr().out


@pytest.mark.parametrize(
    "line",
    [["train", "tracker", "--data", "x", "--out", "y", "--rate", "nan"],
     ["train", "tracker", "--data", "x", "--out", "y", "--rate", "-1"],
     ["train", "tracker", "--data", "x", "--out", "y", "--widen", "nan"],
     ["train", "detector", "--data", "x", "--out", "y", "--rate", "0"],
     ["run", "--timeout", "inf"], ["study", "occlusion", "--threshold", "nan"]],
)  # fmt: skip
def test_numbers_that_are_none_are_refused_by_the_option(line, capsys):
    assert main(line) == 2
    assert f"Invalid value for '{line[-2]}'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "line, message",
    [
        (["--suite", "demo", "run"], "rolo-bench has no option --suite; those of a command come after its name"),
        (["plot", "--suite", "demo", "success"], "rolo-bench plot has no option --suite; those of a command"),
        (["run", "--tracker", "mosse,NCC"], "unknown tracker 'mosse,NCC'; name them one by one, each with its"),
        (["run", "--tracker", "."], ".: a folder is a plugin if it has an __init__.py"),
        (["plot", "steps", "."], ".: cannot be read (Is a directory); make it with `rolo-bench study steps`"),
        (["track", ".", "--init", "1,1,2,2", "--tracker", "static"], ".: holds no images; name the folder that does"),
        (["track", ".", "--init", "1,1,2,2", "--tracker", "static", "--boxes", "."], ".: is a folder; name a file"),
        (["train", "detector", "--data", "voc:.", "--out", "o"], "no such split; name the folder that holds ImageSets"),
        (["run", "--tracker", "ncc", "--memory", "1"], "--memory '1': write a size of 1MB or more, such as 4GB"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line_that_says_what_to_do(line, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(line) in (1, 2)
    (said,) = capsys.readouterr().err.splitlines()
    assert message in said


def test_what_cannot_be_written_is_named_as_it_was_given(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    videos = otb_folder(tmp_path / "videos", count=4)
    assert main(["run", "--tracker", "static", "--suite", str(videos)]) == 0
    line = ["score", "--suite", str(videos), "--format", "csv", "-o"]
    (tmp_path / "file").write_text("")
    for path, words in (("/proc/x.csv", "/proc/x.csv: "), ("file/x.csv", "file: is a file, not a folder; "),
                        ("n" * 260, "n: File name too long; ")):  # fmt: skip
        assert main([*line, path]) == 1
        assert words in capsys.readouterr().err


def test_a_pipe_is_written_to_and_a_device_stays_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.append(Path("pipe").read_text(encoding="utf-8")))
    reader.start()
    write_atomic(Path("pipe"), "boxes")
    reader.join(10)
    assert got == ["boxes"] and Path("pipe").is_fifo()
    Path("out").symlink_to("/proc/self/fd/1")  # as /dev/stdout is
    code = (
        "from pathlib import Path; from rolo_bench.files import write_atomic; write_atomic(Path('out'), 'x')"
    )
    with open("kept", "w", encoding="utf-8") as kept:
        subprocess.run([sys.executable, "-c", code], stdout=kept, check=True)
    assert Path("kept").read_text(encoding="utf-8") == "x" and Path("out").is_symlink()


def test_an_output_that_the_shell_closed_is_no_traceback():
    for redirect in (">&-", "2>&-", ">&- 2>&-"):
        line = f'"{sys.executable}" -m rolo_bench list trackers {redirect}'
        done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_options_are_listed_where_python_has_no_docstrings():
    line = [sys.executable, "-OO", "-m", "rolo_bench", "list", "trackers", "rolo"]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert "history" in done.stdout


def test_a_run_whose_streams_the_shell_closed(tmp_path):
    videos = otb_folder(tmp_path / "videos", ("Square",), count=3)
    line = f'"{sys.executable}" -m rolo_bench run --tracker ncc --suite {videos} --results {tmp_path} <&- >&- 2>&-'
    subprocess.run(["sh", "-c", line], check=True)
    assert (tmp_path / "videos/ope/ncc/Square.txt").is_file()


def test_a_terminal_without_columns_shows_notes(tmp_path):
    chosen = ["--tracker", "ncc", "--suite", "demo", "--sequence", "BallFar"]
    line = [sys.executable, "-m", "rolo_bench", "run", *chosen]
    env = os.environ | {"COLUMNS": "0"}
    done = subprocess.run(line, capture_output=True, text=True, check=True, env=env, cwd=tmp_path)
    assert "next: rolo-bench score" in done.stderr


def test_a_reader_that_goes_away_ends_it_quietly():
    line = f'"{sys.executable}" -m rolo_bench list suites | true'
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
    assert done.stderr == ""
