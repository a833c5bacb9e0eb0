"""Options mean the same in every command: which results, which sequences, which format."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from rolo_bench.cli import main
from rolo_bench.fetch import weights
from rolo_bench.fetch.videos import asked_for
from rolo_bench.nn.rolo.config import RoloConfig
from rolo_bench.nn.rolo.file import FIXED
from rolo_bench.run.options import described
from rolo_bench.run.plugins import catalogue, option_help
from rolo_bench.run.store import RunResult, Store
from tests.helpers_video import otb_folder, square_sequence
from tests.test_weights import BODY, SHA, WeightFile, plant


@pytest.fixture
def common(tmp_path) -> list[str]:
    """Two trackers on two sequences, filed under the folder's name."""
    data, store = otb_folder(tmp_path / "videos"), Store(tmp_path / "results")
    for name, by in (("good", 1), ("bad", 9)):
        for seed, sequence in enumerate(("Square", "Other")):
            truth = square_sequence(sequence, seed=seed).truth
            boxes = truth + np.array([by * (seed + 1), 0, 0, 0])
            store.save("videos", RunResult(name, sequence, "ope", boxes, np.full(len(truth), 0.01)))
    return ["--suite", str(data), "--results", str(store.root)]


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_score_takes_some_sequences(common, capsys):
    assert main(["score", *common, "--format", "csv"]) == 0
    both = table(capsys.readouterr().out)
    assert main(["score", *common, "--format", "csv", "--sequence", "square"]) == 0
    told = capsys.readouterr()
    one = table(told.out)
    assert [r["sequences"] for r in both] == ["2", "2"] and [r["sequences"] for r in one] == ["1", "1"]
    assert one[0]["auc"] > both[0]["auc"] and "1 of 2 sequences" in told.err
    assert main(["score", *common, "--sequence", "Sqare"]) == 2
    assert "did you mean 'Square'?" in capsys.readouterr().err


@pytest.mark.usefixtures("short_demo")
def test_attributes_choose_sequences(capsys, tmp_path):
    results = ["--results", str(tmp_path)]
    line = ["run", "--tracker", "static", "--in-process", "--suite", "demo", *results]
    assert main([*line, "--attribute", "occ"]) == 0
    assert (
        main(["score", *results, "--suite", "demo", "--partial", "--attribute", "OCC", "--format", "json"])
        == 0
    )
    told = capsys.readouterr()
    ran = [*Store(tmp_path).sequences("demo", "ope", "static")]
    assert 0 < len(ran) < json.loads(told.out)[0]["expected"] and json.loads(told.out)[0]["sequences"] == len(
        ran
    )
    assert main([*line, "--attribute", "OCX"]) == 2
    assert "unknown attribute 'OCX' in demo; known: SV, OCC" in capsys.readouterr().err
    assert main(["check", "suite", "demo", "--attribute", "OCC"]) == 0


@pytest.mark.parametrize(
    ("ending", "start"),
    [
        (".csv", "tracker,"),
        (".md", "| tracker"),
        (".tex", "\\begin{tabular}"),
        (".json", "["),
        (".txt", "tracker "),
    ],
)
def test_the_ending_of_a_table_is_its_format(ending, start, common, tmp_path):
    path = tmp_path / f"table{ending}"
    assert main(["score", *common, "--output", str(path)]) == 0
    assert path.read_text().lstrip("% \n").startswith(start) or start in path.read_text()


def test_an_ending_and_a_format_agree_or_it_is_said(common, tmp_path, capsys, monkeypatch):
    line = ["score", *common, "--output"]
    assert main([*line, str(tmp_path / "a.dat"), "--format", "csv"]) == 0
    assert (tmp_path / "a.dat").read_text().startswith("tracker,")
    monkeypatch.setattr("rolo_bench.scores.scored.load_scores", None)  # said before any work
    assert main([*line, str(tmp_path / "a.csv"), "--format", "md"]) == 2
    assert "a.csv: its ending is not that of --format md" in capsys.readouterr().err
    assert main([*line, str(tmp_path / "a.xls")]) == 2
    assert (
        "a.xls: tables are written as .csv, .md, .tex, .json, .txt; or give --format"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize("command", ["show", "score", "plot", "report", "export"])
def test_what_is_excluded_is_left_out(command, common, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = {"show": ["show", "Square"], "score": ["score"], "plot": ["plot", "success", "--numbers"],
             "report": ["report", "--frames", "0"], "export": ["export", "got10k", "out"]}[command]  # fmt: skip
    assert main([*words, *common, "--exclude", "bad"]) == 0
    assert main([*words, *common, "--exclude", "ugly"]) == 2
    assert "unknown tracker to leave out 'ugly'" in capsys.readouterr().err
    made = {
        "plot": lambda: Path("figures/success.csv").read_text(),
        "report": lambda: Path("report.html").read_text().split("<body")[1],
        "export": lambda: " ".join(p.name for p in Path("out").iterdir()),
    }
    if command in made:
        assert "good" in made[command]() and "bad" not in made[command]().replace("badge", "")


def test_speeds_beside_other_jobs_are_shown_where_they_are_asked_for(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    suite = str(otb_folder(tmp_path / "videos"))
    assert main(["run", "--tracker", "static", "--suite", suite, "--jobs", "2"]) == 0
    for words in (["score"], ["plot", "fps"], ["report", "--no-frames"]):
        assert main([*words, "--suite", suite]) == (2 if words[0] == "plot" else 0)
        assert main([*words, "--suite", suite, "--all-speeds"]) == 0
        told = capsys.readouterr()
        assert "frames per second are not those of the tracker alone" in told.out + told.err


def test_export_takes_some_sequences(common, tmp_path):
    assert main(["export", "got10k", str(tmp_path / "out"), *common, "--sequence", "Other"]) == 0
    files = [p.name for p in (tmp_path / "out").rglob("*.txt")]
    assert len(files) == 4 and all(name.startswith("Other") for name in files)


@pytest.mark.parametrize("what", ["trackers", "suites", "weights", "results"])
def test_lists_are_for_programs_too(what, common, capsys):
    more = common[2:] if what == "results" else []
    assert main(["list", what, *more]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert main(["list", what, "--format", "json", *more]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert main(["list", what, "--format", "csv", *more]) == 0
    assert table(capsys.readouterr().out) == [{k: str(v) for k, v in row.items()} for row in rows]
    assert len(lines) == len(rows) + (what == "weights")
    assert all(next(iter(row.values())) in lines[i + (what == "weights")] for i, row in enumerate(rows))


def test_an_empty_list_is_no_error(tmp_path, capsys):
    for kind, text in (
        ("text", ""),
        ("json", "[]\n"),
        ("csv", "suite,protocol,tracker,sequences,oracle,faults\n"),
    ):
        assert main(["list", "results", "--results", str(tmp_path), "--format", kind]) == 0
        assert capsys.readouterr().out == text


def test_verify_for_programs(common, capsys):
    assert main(["verify", *common[2:], "--format", "json"]) in (0, 1)
    assert {r["tracker"] for r in json.loads(capsys.readouterr().out)} == {"good", "bad"}


def test_option_help_is_that_of_the_docstring(capsys):
    assert main(["list", "trackers", "ncc"]) == 0
    assert "ncc  -o search=2.5  side of the window in target sizes" in capsys.readouterr().out
    assert main(["list", "trackers", "NCC", "nope"]) == 2
    assert main(["list", "trackers", "--options", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {r["tracker"] for r in rows} >= {"rolo", "yolo-sort", "ncc"}
    broken = {name for name, where, _ in catalogue() if where in ("broken", "unavailable")}
    assert not broken & {r["tracker"] for r in rows}
    helped = {name: what for name, _, what in option_help("yolo")}
    assert "ROLO authors' code chose it" in helped["association"]  # from the line below


def test_settings_of_rolo_are_those_of_its_dataclasses():
    settings = [name for name, default, _ in option_help("rolo") if default == "…"]
    assert "history" in settings and "share" in settings and "settings" not in settings
    assert {*settings} <= {f.name for f in fields(RoloConfig)} - {*FIXED}
    assert "how many validated boxes" in {name: what for name, _, what in option_help("rolo")}["history"]


def test_docstrings_of_options():
    class Some:
        """A line.

        Args:
            one: the first, with ``code: x``
                on two lines.
            two, three: both.
                Still both.
            **more: others.

        Raises:
            four: no option.
        """

    assert described(Some) == {
        "one": "the first, with ``code: x`` on two lines.",
        "two": "both. Still both.",
        "three": "both. Still both.",
        "more": "others.",
    }
    assert described(type("Bare", (), {})) == {}


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (("otb30",), ("otb30", ())),
        (("OTB30", "dog"), ("otb30", ("Dog",))),
        (("Dog", "suv"), ("otb100", ("Dog", "Suv"))),
        (("jogging-2", "Human4"), ("otb100", ("Jogging-2", "Human4"))),
    ],
)
def test_what_to_fetch(names, found):
    assert asked_for(names) == found


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["otb3"], "unknown sequence or suite 'otb3'; did you mean 'otb30'"),
        (["Dog", "Basketbal"], "did you mean 'Basketball'?"),
        (["otb30", "Basketball"], "unknown sequence 'Basketball'; known: Human2"),
    ],
)
def test_what_cannot_be_fetched(names, message, capsys):
    assert main(["fetch", "data", *names]) == 2
    assert message in capsys.readouterr().err


def test_a_file_that_is_there_will_do(tmp_path, monkeypatch, capsys):
    other = WeightFile("net.onnx", "http://127.0.0.1:9/y", SHA, None, "Apache-2.0")
    plant(monkeypatch, (WeightFile("net.bin", "http://127.0.0.1:9/x", SHA, None, "Apache-2.0"),), (other,))
    monkeypatch.setenv("ROLO_BENCH_CACHE", str(tmp_path))
    monkeypatch.setattr("rolo_bench.fetch.download.time.sleep", lambda seconds: None)  # between two tries
    path = tmp_path / "weights" / "net.onnx"
    path.parent.mkdir()
    path.write_bytes(BODY)
    assert main(["fetch", "weights", "net"]) == 0
    told = capsys.readouterr()
    assert told.out.strip() == str(path)
    assert told.err == "net: there already, its SHA-256 is as it should be\n"
    assert weights.fetch("net") == (path,)
    path.write_bytes(b"x")  # damaged: what is registered first would be fetched
    assert main(["fetch", "weights", "net"]) == 1


@pytest.mark.parametrize(
    "tracker, option, message",
    [
        ("mosse", "rate=7", "rate must be a number from 0 to 1, not 7"),
        ("mosse", "padding=0", "padding must be a number from 0.5 to 20, not 0"),
        ("mosse", "sigma=0", "sigma must be a number from 0.1 to 1000, not 0"),
        ("mosse", "warps=-1", "warps must be a whole number from 0 to 1000, not -1"),
        ("ncc", "search=0.5", "search must be a number from 1 to 1000, not 0.5"),
        ("ncc", "least=1.5", "least must be a number from -1 to 1, not 1.5"),
        ("rolo-plus", "context=-1", "context must be a number from 0.5 to 100, not -1"),
        ("rolo-plus", "sharpness=0", "sharpness must be a number from 0.001 to 1000, not 0"),
    ],
)
def test_numbers_of_built_in_trackers_have_ranges(tracker, option, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    line = ["run", "--tracker", tracker, "-o", option, "--in-process", "--suite"]
    assert main([*line, str(otb_folder(tmp_path, count=3))]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"rolo-bench: {message}"


@pytest.mark.parametrize("tracker", ["rolo", "rolo-plus"])
def test_networks_that_come_along_are_named(tracker, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    line = ["run", "--tracker", tracker, "-o", "network=abc", "-o", "detector=demo", "--suite", "demo"]
    assert main([*line, "--in-process"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "weights 'abc' come with rolo-bench; known: rolo" in said and "give a file" in said


def test_notes_beside_a_table_break_at_words_on_a_terminal(common, monkeypatch, capsys):
    """A pipe gets each as one line, whatever its length."""
    assert main(["score", *common, "--convention", "otb"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert max(map(len, lines)) > 60
    shown = io.StringIO()
    terminal = Console(file=shown, force_terminal=True, width=40, soft_wrap=True, highlight=False)
    monkeypatch.setattr("rolo_bench.cli.options.console", terminal)
    assert main(["score", *common, "--convention", "otb"]) == 0
    wrapped = shown.getvalue().splitlines()
    assert max(map(len, wrapped)) <= 40
    assert " ".join(" ".join(wrapped).split()) == " ".join(" ".join(lines).split())
