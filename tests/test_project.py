"""The project file, and the words that all messages share."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolo_bench.cli import main
from rolo_bench.errors import UsageError, counted, did_you_mean, find_name
from rolo_bench.project import Project, project_text, read_project
from tests.helpers_video import otb_folder

WHOLE = """
suite = "otb30"
data = "videos"
results = "/tmp/r"
partial = true
convention = "otb"
[labels]
rolo = "ROLO (ours)"
[colours]
rolo = "#d62728"
"""


def test_the_project_file_is_read(tmp_path):
    (tmp_path / "rolo-bench.toml").write_text(WHOLE)
    found = read_project(tmp_path)
    assert found == Project(
        tmp_path / "rolo-bench.toml", "otb30", str(tmp_path / "videos"), "/tmp/r", True, "otb",
        {"rolo": "ROLO (ours)"}, {"rolo": "#d62728"},
    )  # fmt: skip


def test_pyproject_serves_where_there_is_no_file_of_its_own(tmp_path):
    assert read_project(tmp_path) == Project()
    (tmp_path / "pyproject.toml").write_text('[tool.other]\nsuite = 3\n[tool.rolo-bench]\nsuite = "demo"\n')
    assert read_project(tmp_path).suite == "demo"
    (tmp_path / "rolo-bench.toml").write_text('suite = "otb100"\n')
    assert read_project(tmp_path).suite == "otb100"


@pytest.mark.parametrize("text", ["", "[tool.black]\n", "tool = 3\n", "= not toml"])
def test_a_pyproject_of_others_says_nothing(tmp_path, text):
    (tmp_path / "pyproject.toml").write_text(text)
    assert read_project(tmp_path) == Project()


def test_home_is_spelled_out(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    (tmp_path / "rolo-bench.toml").write_text('data = "~/otb"\n')
    assert read_project(tmp_path).data == "/home/somebody/otb"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("suit = 'otb30'", "unknown key 'suit'; did you mean 'suite'?"),
        ("colors = {}", "unknown key 'colors'; did you mean 'colours'?"),
        ("zzz = 1", "unknown key 'zzz'; known: suite, data"),
        ("suite = 3", "suite must be a text in quotes, not 3"),
        ("suite = ''", "suite must be a text in quotes, not an empty text"),
        ('results = "\\u0000x"', "results holds a character that no name has, NUL"),
        ("data = ['a']", "data must be a text in quotes, not a list"),
        ("partial = 'yes'", "partial must be true or false, not 'yes'"),
        ("labels = 'x'", "labels must be a table of trackers, not 'x'"),
        ("labels.rolo = true", "labels.rolo must be a text in quotes, not true"),
        ("colours.rolo = 'red'", "colours.rolo must be written as \"#1f77b4\", not 'red'"),
        ("suite = ", "not a TOML file"),
    ],
)
def test_a_mistake_is_named(tmp_path, text, message):
    (tmp_path / "rolo-bench.toml").write_text(text)
    with pytest.raises(UsageError) as caught:
        read_project(tmp_path)
    assert message in str(caught.value)
    assert "rolo-bench.toml" in str(caught.value)


NAMES = ["rolo", "rolo-plus", "yolo-sort", "STRUCK", "MIL", "mil"]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("rolo", "rolo"), ("ROLO", "rolo"), ("rolo_plus", "rolo-plus"), ("struck", "STRUCK"), ("mil", "mil")],
)
def test_case_is_ignored_where_the_match_is_unique(typed, meant):
    assert find_name("tracker", typed, NAMES) == meant


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("Mil", "unknown tracker 'Mil'; did you mean 'MIL' or 'mil'?"),
        ("rollo", "unknown tracker 'rollo'; did you mean 'rolo'?"),
        ("yolosort", "unknown tracker 'yolosort'; did you mean 'yolo-sort'?"),
        (
            "quite else",
            "unknown tracker 'quite else'; known: rolo, rolo-plus, yolo-sort, STRUCK, MIL, mil, or a path",
        ),
    ],
)
def test_what_is_near_is_asked_about(typed, message):
    with pytest.raises(UsageError) as caught:
        find_name("tracker", typed, NAMES, "or a path")
    assert str(caught.value) == message


def test_a_long_list_is_cut():
    text = did_you_mean("qqq", [f"name{i}" for i in range(100)])
    assert text.endswith("name23 … (100 in all)")
    assert did_you_mean("qqq", []) == "; known: none"


@given(st.lists(st.text(min_size=1), min_size=1, unique=True), st.data())
def test_a_known_name_is_itself(names, data):
    name = data.draw(st.sampled_from(names))
    assert find_name("thing", name, names) == name


def test_numbers_of_things():
    assert [counted(n, "sequence") for n in (0, 1, 2)] == ["0 sequences", "1 sequence", "2 sequences"]
    assert counted(2, "box", "boxes") == "2 boxes"


@given(
    st.builds(
        Project,
        suite=st.none() | st.sampled_from(["otb30", "./mine", 'a "b" \\c']),
        data=st.none()
        | st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).map(lambda t: f"/{t}"),
        results=st.none() | st.just("/r"),
        partial=st.none() | st.booleans(),
        convention=st.none() | st.sampled_from(["otb", "got10k"]),
        labels=st.dictionaries(st.text(min_size=1), st.text(min_size=1).filter(str.strip)),
        colours=st.dictionaries(st.text(min_size=1), st.from_regex(r"#[0-9a-f]{6}", fullmatch=True)),
    )
)
def test_what_is_written_is_read_again(tmp_path_factory, project):
    folder = tmp_path_factory.mktemp("project")
    (folder / "rolo-bench.toml").write_text(project_text(project), encoding="utf-8")
    found = read_project(folder)
    assert found == replace(
        project, path=folder / "rolo-bench.toml", data=project.data and str(Path(project.data))
    )


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder with two videos."""
    monkeypatch.chdir(tmp_path)
    otb_folder(tmp_path / "videos", count=8)
    return tmp_path


def test_commands_take_their_options_from_the_file(here, capsys):
    line = [
        "init",
        "--suite",
        "./videos",
        "--results",
        "kept",
        "--convention",
        "OTB",
        "--label",
        "ncc=Template",
    ]
    assert main(line) == 0
    assert read_project(here).convention == "otb"
    assert main(["run", "--tracker", "static", "--in-process"]) == 0
    assert (here / "kept" / "videos" / "ope" / "static" / "Square.txt").is_file()
    capsys.readouterr()
    assert main(["score"]) == 0
    assert "convention otb" in capsys.readouterr().err
    assert main(["score", "--convention", "got10k"]) == 0  # what is typed comes first
    assert "convention got10k" in capsys.readouterr().err
    assert main(["run", "--tracker", "static", "--in-process", "--results", "other"]) == 0
    assert (here / "other" / "videos").is_dir()


def test_partial_of_the_file_can_be_taken_back(here, capsys):
    (here / "rolo-bench.toml").write_text(f"partial = true\nsuite = 'otb30'\ndata = '{here}'\n")
    (here / "Car4").mkdir()
    assert main(["run", "--tracker", "static"]) == 1
    assert "no sequence found" in capsys.readouterr().err
    assert main(["run", "--tracker", "static", "--no-partial"]) == 1
    assert "30 of 30 sequences are not in" in capsys.readouterr().err


def test_init_never_overwrites_without_saying(here, capsys):
    assert main(["init", "--suite", "demo"]) == 0
    assert main(["init", "--suite", "otb30"]) == 2
    assert "rolo-bench.toml: is there already" in capsys.readouterr().err
    assert read_project().suite == "demo"
    assert main(["init", "--suite", "otb30", "--force"]) == 0
    assert read_project().suite == "otb30"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["--suite", "otb31"], "unknown suite 'otb31'; did you mean 'otb30'"),
        (["--convention", "otbb"], "unknown convention 'otbb'; did you mean 'otb'"),
        (["--colour", "rolo=red"], "colours.rolo must be written as"),
        (["--label", "rolo"], "'--label': 'rolo': write NAME=TEXT, such as rolo=\"ROLO (ours)\""),
    ],
)
def test_init_refuses_what_would_be_refused_later(here, capsys, line, message):
    assert main(["init", *line]) == 2
    assert message in capsys.readouterr().err
    assert not (here / "rolo-bench.toml").exists()


def test_a_broken_project_file_is_one_line_in_every_command(here, capsys):
    (here / "rolo-bench.toml").write_text("suit = 'demo'\n")
    for line in (["score"], ["run", "--tracker", "ncc"], ["plot", "success"], ["list", "results"]):
        assert main(line) == 2
        assert (
            capsys.readouterr().err
            == "rolo-bench: rolo-bench.toml: unknown key 'suit'; did you mean 'suite'?\n"
        )


def test_a_command_that_was_meant(capsys):
    assert main(["scores"]) == 2
    assert "no command 'scores'; did you mean 'score'?" in capsys.readouterr().err


def test_results_on_another_suite_are_pointed_at(here, capsys):
    assert main(["run", "--tracker", "static", "--in-process", "--suite", "./videos"]) == 0
    assert main(["score", "--suite", "demo"]) == 1
    assert "no results on demo (ope) in results; there are some on videos (ope)" in capsys.readouterr().err


def test_score_says_what_changed_since(here, capsys):
    (here / "mine.py").write_text(
        "class Mine:\n    def init(self, image, box): self.box = box\n    def update(self, image): return self.box\n"
    )
    assert main(["run", "--tracker", "./mine.py", "--in-process", "--suite", "./videos"]) == 0
    (here / "mine.py").write_text(
        (here / "mine.py").read_text().replace("return self.box", "return self.box + 0")
    )
    capsys.readouterr()
    assert main(["score", "--suite", "./videos"]) == 0
    assert "mine: tracker code changed since these results were made" in capsys.readouterr().err
    (here / "mine.py").unlink()
    assert main(["score", "--suite", "./videos"]) == 0
    assert "mine: whether mine.py changed since cannot be told" in capsys.readouterr().err


def test_the_list_of_results_says_who_was_shown_the_truth(here, capsys):
    (here / "peek.py").write_text(
        "class Peek:\n    oracle = True\n    def reveal(self, box): self.box = box\n"
        "    def init(self, image, box): pass\n    def update(self, image): return self.box\n"
    )
    assert main(["list", "results"]) == 0
    assert "no results in results" in capsys.readouterr().err
    assert (
        main(["run", "--tracker", "./peek.py", "--tracker", "static", "--suite", "./videos", "--in-process"])
        == 0
    )
    capsys.readouterr()
    assert main(["list", "results"]) == 0
    assert [line.split(maxsplit=3)[3] for line in capsys.readouterr().out.splitlines()] == [
        "2 sequences; oracle",
        "2 sequences",
    ]
    assert main(["results", "rm", "peek", "--suite", "./videos", "--sequence", "other"]) == 0
    assert "deleted peek on 1 sequence\n" in capsys.readouterr().err


def test_training_takes_the_videos_of_its_suites_from_the_folder_of_the_project(here, capsys):
    """Which suite is trained on stands in the command alone: that of the project is measured on."""
    (here / "rolo-bench.toml").write_text("suite = 'otb30'\ndata = 'elsewhere'\n")
    assert main(["train", "tracker", "--suite", "otb30-train", "--out", "runs"]) != 0
    assert "elsewhere" in capsys.readouterr().err
    assert main(["train", "tracker", "--out", "runs"]) != 0
    assert "elsewhere" not in capsys.readouterr().err
