"""What a result depends on, and that it shows when any of it changes."""

import json
import os
import shutil
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from rolo_bench.cli import main
from rolo_bench.datasets.suites import load_suite
from rolo_bench.errors import DataError, UsageError
from rolo_bench.plots.context import describe
from rolo_bench.run.code import Source, read_code
from rolo_bench.run.images import images_digest
from rolo_bench.run.options import in_texts
from rolo_bench.run.plugins import find_plugin, locate
from rolo_bench.run.runner import How, _absolute, run
from rolo_bench.run.stamp import Facts, differences, making
from rolo_bench.run.store import Store
from rolo_bench.run.verify import Fault, find_faults, prune
from rolo_bench.scores.score import score
from rolo_bench.sequence import ArrayFrames, ImageFiles
from tests.helpers_video import otb_folder, square_sequence

PLUGIN = """
import helper
class Offset:
    'Adds what its helper says.'
    def __init__(self, by=0): self.by = by
    def init(self, image, box): self.box = box
    def update(self, image): return self.box + [helper.STEP + self.by, 0, 0, 0]
"""
HERE = How(in_process=True)


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """A suite of two videos, a plugin with a helper beside it, and what runs it: gives outcomes by stem."""
    monkeypatch.setenv("ROLO_BENCH_CACHE", str(tmp_path / "cache"))
    otb_folder(tmp_path / "videos", count=6)
    (tmp_path / "offset.py").write_text(PLUGIN)
    (tmp_path / "helper.py").write_text("STEP = 1\n")

    def go(**more):
        more = {"how": HERE} | more
        found = run(tmp_path / "offset.py", str(tmp_path / "videos"), results=tmp_path / "r", **more)
        return {o.stem: o.what for o in found}

    return go


DONE = {"Other": "done", "Square": "done"}
SKIPPED = {"Other": "skipped", "Square": "skipped"}


def meta_of(tmp_path) -> dict:
    return Store(tmp_path / "r").meta("videos", "ope", "offset")


def test_a_run_that_does_nothing_changes_nothing(bench, tmp_path):
    assert bench() == DONE
    folder = tmp_path / "r/videos/ope/offset"
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    assert sorted(before) == ["Other.txt", "Other_time.txt", "Square.txt", "Square_time.txt", "run.json"]
    assert bench() == SKIPPED
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


@pytest.mark.parametrize("what", ["helper", "file", "options", "seed", "threads", "weights"])
def test_what_boxes_depend_on_is_named_when_it_changes(bench, tmp_path, what):
    weights = tmp_path / "net.bin"
    weights.write_bytes(b"one")
    more = {"options": {"by": str(weights)}} if what == "weights" else {}
    if what == "weights":
        (tmp_path / "offset.py").write_text(PLUGIN.replace("+ self.by", ""))
    assert bench(**more) == DONE
    words = "tracker code"
    if what == "helper":
        (tmp_path / "helper.py").write_text("STEP = 2\n")
    elif what == "file":
        (tmp_path / "offset.py").write_text(PLUGIN.replace("[helper", "[1 + helper"))
    elif what == "weights":
        weights.write_bytes(b"two")
        words = "weights"
    else:
        words = what
        more = {
            "options": {"options": {"by": 3}},
            "seed": {"seed": 1},
            "threads": {"how": How(1, 2, in_process=True)},
        }[what]
    before = {p.name: p.read_bytes() for p in (tmp_path / "r/videos/ope/offset").iterdir()}
    with pytest.raises(UsageError, match=f"made with other {words}; keep them and choose --name OTHER"):
        bench(**more)
    assert {p.name: p.read_bytes() for p in (tmp_path / "r/videos/ope/offset").iterdir()} == before
    assert bench(**more, name="offset-2") == DONE
    assert bench(**more, force=True) == DONE
    assert bench(**more) == SKIPPED


def test_a_file_that_is_the_default_of_an_option_counts_by_its_contents(bench, tmp_path):
    weights = tmp_path / "net.bin"
    weights.write_bytes(b"one")
    own = PLUGIN.replace("by=0): self.by = by", f"by=0, net={str(weights)!r}): self.by = by")
    (tmp_path / "offset.py").write_text(own)
    assert bench() == DONE and bench() == SKIPPED
    weights.write_bytes(b"two")
    with pytest.raises(UsageError, match="made with other weights; keep them and choose --name OTHER"):
        bench()


@pytest.mark.parametrize("value", ["{0}", ["{0}", "{1}"], ("x", ["{1}", "{0}"]), {"net": "{0}"}])
def test_files_among_options_count_by_their_contents(bench, tmp_path, monkeypatch, value):
    """With or without an ending, in lists, several of one name; and they are found from a worker's own folder."""
    monkeypatch.chdir(tmp_path)
    names = ("one/net", "two/net")
    for name in names:
        Path(name).parent.mkdir()
        Path(name).write_text("1")
    own = PLUGIN.replace("by=0): self.by = by", "nets=()): self.by, self.nets = 0, nets")
    Path("offset.py").write_text(own)
    options = {"nets": in_texts(value, lambda text: text.format(*names))}
    assert bench(options=options) == DONE and bench(options=options) == SKIPPED
    Path("one/net").write_text("2")
    with pytest.raises(UsageError, match="made with other weights; keep them and choose --name OTHER"):
        bench(options=options)
    assert str(tmp_path / "one/net") in str(_absolute(options)["nets"])


def test_comments_and_layout_are_not_the_program(bench, tmp_path):
    assert bench() == DONE
    (tmp_path / "offset.py").write_text(
        "# a remark\n" + PLUGIN.replace("'Adds what its helper says.'", "'More.'")
    )
    (tmp_path / "helper.py").write_text('"""Words."""\n\nSTEP = 1  # so much\n')
    assert bench() == SKIPPED


def test_where_files_lie_does_not_matter(bench, tmp_path):
    assert bench(options={"by": 2}) == DONE
    (tmp_path / "else").mkdir()
    for name in ("offset.py", "helper.py"):
        shutil.move(tmp_path / name, tmp_path / "else" / name)
    found = run(
        tmp_path / "else/offset.py",
        str(tmp_path / "videos"),
        results=tmp_path / "r",
        options={"by": 2},
        how=HERE,
    )
    assert {o.what for o in found} == {"skipped"}


def test_the_folder_of_a_cache_is_no_part_of_a_stamp():
    place = locate("yolo")
    one, two = (making(place, Facts({"cache": c, "size": 416}), 0, 1) for c in ("/a", "/b"))
    assert one == two and one["options"] == {"size": 416}
    assert (
        differences(one, one | {"versions": one["versions"] | {"numpy": "1"}})
        == f"numpy {one['versions']['numpy']}"
    )


def test_two_plugins_keep_their_own_helpers(tmp_path, monkeypatch):
    monkeypatch.setenv("ROLO_BENCH_CACHE", str(tmp_path / "cache"))
    videos = otb_folder(tmp_path / "videos", ("Square",), count=4)
    for how in (HERE, How()):
        for name, step in (("a", 1), ("b", 5)):
            folder = tmp_path / name
            folder.mkdir(exist_ok=True)
            (folder / f"{name}.py").write_text(PLUGIN)
            (folder / "helper.py").write_text(f"STEP = {step}\n")
            run(folder / f"{name}.py", str(videos), results=tmp_path / f"r{how.in_process}", how=how)
            (found,) = Store(tmp_path / f"r{how.in_process}").load("videos", "ope", name, "Square")
            assert found.boxes[1:, 0].tolist() == [10 + step] * 3
    assert find_plugin(tmp_path / "a/a.py").cls is not find_plugin(tmp_path / "b/b.py").cls


def test_a_copy_of_a_plugin_reads_the_data_beside_it(tmp_path):
    videos = otb_folder(tmp_path / "videos", ("Square",), count=3)
    text = PLUGIN.replace("import helper", "from pathlib import Path").replace(
        "helper.STEP", "int(Path(__file__).with_name('step.txt').read_text())"
    )
    for name, step in (("a", 1), ("b", 5)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.py").write_text(text)
        (tmp_path / name / "step.txt").write_text(str(step))
        run(tmp_path / name / "mine.py", str(videos), results=tmp_path / "r", name=name, how=HERE)
        (found,) = Store(tmp_path / "r").load("videos", "ope", name, "Square")
        assert found.boxes[1:, 0].tolist() == [10 + step] * 2


def test_a_replaced_image_makes_its_sequence_anew(bench, tmp_path):
    assert bench() == DONE
    image = tmp_path / "videos/Square/img/0003.jpg"
    other = (tmp_path / "videos/Other/img/0003.jpg").read_bytes()
    status = image.stat()
    image.write_bytes(other)
    os.utime(image, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert bench() == {"Other": "skipped", "Square": "done"}
    shutil.copytree(tmp_path / "videos", tmp_path / "copy/videos")  # other times, the same pictures
    again = run(tmp_path / "offset.py", str(tmp_path / "copy/videos"), results=tmp_path / "r", how=HERE)
    assert {o.what for o in again} == {"skipped"}


def test_digests_of_images(tmp_path, monkeypatch):
    monkeypatch.setenv("ROLO_BENCH_CACHE", str(tmp_path / "cache"))
    paths = sorted((otb_folder(tmp_path / "v", ("Square",), count=2) / "Square/img").iterdir())
    found = images_digest(ImageFiles(tuple(paths)))
    assert images_digest(ImageFiles(tuple(paths))) == found
    assert images_digest(ImageFiles(tuple(paths[::-1]))) != found != images_digest(ImageFiles((paths[0],)))
    frames = square_sequence(count=2).frames
    assert images_digest(frames) == images_digest(ArrayFrames(tuple(i.copy() for i in frames.images)))
    assert images_digest(frames) != images_digest(square_sequence(count=2, seed=1).frames)
    os.mkfifo(tmp_path / "3.jpg")
    with pytest.raises(DataError, match=r"3\.jpg: not a regular file"):
        images_digest(ImageFiles((tmp_path / "3.jpg",)))
    (tmp_path / "4.jpg").write_bytes(b"\xff\xd8nothing")
    with pytest.raises(DataError, match=r"4\.jpg: not a readable image \(9 bytes\)"):
        images_digest(ImageFiles((tmp_path / "4.jpg",)))
    large = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", large), (b"IDAT", zlib.compress(b"0" * 99)), (b"IEND", b""))
    chunks = (struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in parts)
    (tmp_path / "5.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    with pytest.raises(DataError, match=r"5\.png: an image of more than 100 million pixels"):
        images_digest(ImageFiles((tmp_path / "5.png",)))


def test_edited_and_truncated_results_are_refused_and_made_anew(bench, tmp_path):
    bench()
    path = tmp_path / "r/videos/ope/offset/Square.txt"
    text = path.read_text()
    for bad in (text.replace("12.0", "13.0", 1), "\n".join(text.splitlines()[:3]) + "\n", ""):
        path.write_text(bad)
        with pytest.raises(DataError, match=r"offset on Square: Square.txt was changed .* verify --prune"):
            score(tmp_path / "r", str(tmp_path / "videos"))
        assert bench() == {"Other": "skipped", "Square": "done"}
        assert path.read_text() == text
    kept = sorted(p.name for p in (tmp_path / "r/videos/ope/.aside/offset").iterdir())
    assert kept == ["Square.txt", "Square.txt.2", "Square.txt.3"]


def test_a_tracker_that_has_seen_the_sequences_is_marked_everywhere(bench, tmp_path, caplog):
    marked = PLUGIN.replace("    def init(", "    trained_on = ('Square', 'Elsewhere')\n\n    def init(", 1)
    assert marked != PLUGIN
    bench()
    assert not score(tmp_path / "r", str(tmp_path / "videos")).attrs["trained"]
    (tmp_path / "offset.py").write_text(marked)
    bench(name="seen")
    assert "seen was trained on 1 videos of videos: no test of it" in caplog.text
    scores = score(tmp_path / "r", str(tmp_path / "videos"), "seen")
    (line,) = scores.attrs["trained"]
    assert line == "seen was trained on 1 of these 2 sequences (Square): no test of it"
    assert line in scores.attrs["notes"] and f"{line}." in describe(scores).marks_note()
    alone = score(tmp_path / "r", load_suite(str(tmp_path / "videos"), only=("Other",)), "seen", partial=True)
    assert not alone.attrs["trained"]


def test_a_foreign_file_is_not_taken_for_a_result(bench, tmp_path):
    bench(only=("Other",))
    folder = tmp_path / "r/videos/ope/offset"
    shutil.copy(folder / "Other.txt", folder / "Square.txt")
    assert bench() == {"Other": "skipped", "Square": "done"}
    assert (tmp_path / "r/videos/ope/.aside/offset/Square.txt").is_file()


def test_results_of_two_makings_are_not_scored(bench, tmp_path):
    bench()
    bench(options={"by": 4}, name="other")
    one, two = (tmp_path / "r/videos/ope" / n for n in ("offset", "other"))
    for name in ("Square.txt", "Square_time.txt"):
        shutil.copy(two / name, one / name)
    metas = [json.loads((p / "run.json").read_text()) for p in (one, two)]
    metas[0]["makings"] |= metas[1]["makings"]
    metas[0]["sequences"]["Square"] = metas[1]["sequences"]["Square"]
    (one / "run.json").write_text(json.dumps(metas[0]))
    with pytest.raises(DataError, match="offset: results made with 2 different options; make them anew"):
        score(tmp_path / "r", str(tmp_path / "videos"), "offset")
    assert Fault.MIXED in {f.fault for f in find_faults(Store(tmp_path / "r"))}


def test_each_result_keeps_where_and_when_it_was_made(bench, tmp_path, monkeypatch):
    monkeypatch.setenv("ROLO_BENCH_TRACKERS", str(tmp_path))
    bench(only=("Other",))
    first = meta_of(tmp_path)
    bench(how=How(jobs=2))
    meta = meta_of(tmp_path)
    runs = {s: meta["runs"][e["run"]] for s, e in meta["sequences"].items()}
    assert runs["Other"] == first["runs"]["1"] and runs["Other"]["jobs"] == 1 and runs["Square"]["jobs"] == 2
    assert len(meta["makings"]) == 1
    table = score(tmp_path / "r", str(tmp_path / "videos"))
    fps = dict(zip(table["sequence"], table["fps"]))
    assert np.isfinite(fps["Other"]) and np.isnan(fps["Square"])
    assert table.attrs["notes"] == [
        "offset: timed beside other jobs or from a cache; frames per second left out"
    ]


def test_a_plugin_that_is_not_at_hand_is_said(bench, tmp_path, monkeypatch):
    bench()
    assert (
        "offset: whether offset.py changed since cannot be told"
        in score(tmp_path / "r", str(tmp_path / "videos")).attrs["notes"][0]
    )
    monkeypatch.chdir(tmp_path)
    assert score(tmp_path / "r", str(tmp_path / "videos")).attrs["notes"] == []


def test_speeds_from_a_cache_are_no_speeds(bench, tmp_path, monkeypatch):
    monkeypatch.setenv("ROLO_BENCH_TRACKERS", str(tmp_path))
    (tmp_path / "offset.py").write_text(PLUGIN.replace("by=0", "by=0, cache=None"))
    assert bench(options={"cache": str(tmp_path / "kept")}) == DONE
    assert meta_of(tmp_path)["cached"] is True and "kept" not in json.dumps(meta_of(tmp_path))
    table = score(tmp_path / "r", str(tmp_path / "videos"))
    assert table["fps"].isna().all() and "from a cache" in table.attrs["notes"][0]
    table = score(tmp_path / "r", str(tmp_path / "videos"), all_speeds=True)
    assert table["fps"].notna().all() and "are not those of the tracker alone" in table.attrs["notes"][0]
    assert bench(options={"cache": str(tmp_path / "elsewhere")}) == SKIPPED


def test_scores_of_a_suite_with_images_tell_of_other_images(bench, tmp_path, monkeypatch):
    monkeypatch.setenv("ROLO_BENCH_TRACKERS", str(tmp_path))
    bench()
    image = tmp_path / "videos/Square/img/0003.jpg"
    image.write_bytes((tmp_path / "videos/Other/img/0003.jpg").read_bytes())
    for suite in (
        load_suite(str(tmp_path / "videos")),
        str(tmp_path / "videos"),
    ):  # loaded with images, or without
        assert score(tmp_path / "r", suite).attrs["notes"] == ["offset: images of Square changed since"]


@pytest.mark.parametrize(("name", "words"), [("python", ""), ("python3.11", ""), ("hold.exe", " --rate 0.5")])
def test_an_edited_program_is_noticed(tmp_path, monkeypatch, name, words):
    """Whatever the interpreter is called, and with numbers among its words."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / name).symlink_to(sys.executable)
    otb_folder(tmp_path / "videos", ("Square",), 6)
    program = tmp_path / "hold.py"
    text = "import sys\nfor line in sys.stdin:\n    if line[:4] == 'init': box = line.split()[1:5]\n"
    text += "    print(*box, flush=True)\n"
    program.write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    run(f"{name} hold.py{words}", "videos", results="r")
    meta = json.loads(Path("r/videos/ope/hold/run.json").read_text())
    assert str(tmp_path) not in json.dumps(meta) and meta["command"] == f"{name} hold.py{words}"
    assert score("r", "videos").attrs["notes"] == []
    program.write_text(text + "# more\n")
    assert score("r", "videos").attrs["notes"] == ["hold: tracker code changed since these results were made"]
    monkeypatch.chdir(tmp_path / "r")
    assert score(tmp_path / "r", str(tmp_path / "videos")).attrs["notes"] == []  # not at hand


def test_results_from_before_stamps_are_read_marked_and_not_lost(bench, tmp_path, capsys):
    bench()
    path = tmp_path / "r/videos/ope/offset/run.json"
    meta = json.loads(path.read_text())
    for name in ("makings", "runs"):
        del meta[name]
    meta["sequences"] = {
        s: {"truth": e["truth"], "start": 0, "status": "complete", "frames": 6}
        for s, e in meta["sequences"].items()
    }
    path.write_text(json.dumps(meta))
    table = score(tmp_path / "r", str(tmp_path / "videos"))
    assert len(table) == 2 and "offset: made before stamps" in table.attrs["notes"][0]
    assert [f.fault for f in find_faults(Store(tmp_path / "r"))] == [Fault.UNSTAMPED]
    assert main(["verify", "--results", str(tmp_path / "r"), "--prune"]) == 0
    assert len(list(path.parent.glob("*.txt"))) == 4
    with pytest.raises(UsageError, match="made with an older rolo-bench, which kept no stamps"):
        bench()
    assert bench(force=True) == DONE


def test_verify_finds_each_kind_and_prune_sets_it_aside(bench, tmp_path, capsys):
    bench()
    store, folder = Store(tmp_path / "r"), tmp_path / "r/videos/ope/offset"
    assert list(find_faults(store)) == []
    (folder / "Square.txt").write_text("1,2,3,4\n")
    (folder / "Other.txt").unlink()
    (folder / "Foreign.txt").write_text("1,2,3,4\n")
    (folder / ".Other.txt.abc").write_text("1,2")
    (folder / "odd name _time.txt").write_text("1\n")
    found = {f.stem or f.files[0]: f.fault for f in find_faults(store)}
    assert found == {
        "Square": Fault.EDITED, "Other": Fault.MISSING, "Foreign": Fault.FOREIGN, "Other_time.txt": Fault.FOREIGN,
        "odd name _time.txt": Fault.FOREIGN, ".Other.txt.abc": Fault.LEFT,
    }  # fmt: skip
    assert main(["verify", "--results", str(tmp_path / "r")]) == 1
    out = capsys.readouterr()
    assert "videos/ope/offset: edited: Square.txt was changed after it was made" in out.out.splitlines()
    assert out.err.splitlines()[0] == "2 sequences of trackers, 6 faults"
    assert main(["verify", "--results", str(tmp_path / "r"), "--prune"]) == 0
    assert list(find_faults(store)) == [] and sorted(p.name for p in folder.iterdir()) == ["run.json"]
    assert bench() == DONE


EDITS = {
    "another seed in its making": lambda meta: next(iter(meta["makings"].values())).update(seed=1),
    "a making that is not there": lambda meta: meta["sequences"]["Square"].update(making="x"),
    "no digests": lambda meta: meta["sequences"]["Square"].pop("files"),
}


@pytest.mark.parametrize("what", EDITS)
def test_an_edited_record_is_found(bench, tmp_path, what):
    bench()
    store, path = Store(tmp_path / "r"), tmp_path / "r/videos/ope/offset/run.json"
    meta = json.loads(path.read_text())
    EDITS[what](meta)
    path.write_text(json.dumps(meta))
    found = list(find_faults(store))
    assert "Square" in {f.stem for f in found} and {f.fault for f in found} == {Fault.EDITED}
    prune(store, found)
    assert bench()["Square"] == "done" and list(find_faults(store)) == []


@pytest.mark.parametrize("name", ["Square.txt", "Square_time.txt", "run.json"])
def test_nobody_waits_for_a_fifo(bench, tmp_path, name):
    bench()
    store, path = Store(tmp_path / "r"), tmp_path / "r/videos/ope/offset" / name
    path.unlink()
    os.mkfifo(path)
    found = list(find_faults(store))
    assert len(found) == 1 and name in found[0].files
    prune(store, found)
    assert bench()["Square"] == "done" and path.is_file()


def test_verify_compares_with_the_videos(bench, tmp_path, capsys):
    bench()
    (tmp_path / "videos/Square/img/0002.jpg").write_bytes(
        (tmp_path / "videos/Other/img/0002.jpg").read_bytes()
    )
    line = ["verify", "--results", str(tmp_path / "r"), "--suite", str(tmp_path / "videos")]
    assert main(line) == 1
    assert capsys.readouterr().out == (
        "videos/ope/offset: stale: Square: images of the sequence changed since\n"
    )


@pytest.mark.parametrize("at_hand", [True, False])
def test_an_edited_plugin_file_makes_its_results_stale_where_it_is_at_hand(
    tmp_path, monkeypatch, capsys, at_hand
):
    otb_folder(tmp_path / "videos", ("Square",), 3)
    plugin = tmp_path / "plugins" / "hold.py"
    plugin.parent.mkdir()
    code = "class Hold:\n def init(self, i, b):\n  self.b = b\n\n def update(self, i):\n  return self.b\n"
    plugin.write_text(code)
    run(str(plugin), str(tmp_path / "videos"), results=tmp_path / "r", how=How(in_process=True))
    monkeypatch.setenv("ROLO_BENCH_TRACKERS", str(plugin.parent if at_hand else tmp_path))
    line = ["verify", "--results", str(tmp_path / "r")]
    assert main(line) == 0
    plugin.write_text(code.replace("return self.b", "return self.b + 1"))
    capsys.readouterr()
    assert main(line) == int(at_hand)
    assert ("stale: hold: tracker code changed since" in capsys.readouterr().out) == at_hand


def test_a_damaged_record_can_be_mended_by_prune_and_by_force(bench, tmp_path):
    for mend in ("prune", "force"):
        bench(force=mend == "force")
        path = tmp_path / "r/videos/ope/offset/run.json"
        path.write_text("{")
        with pytest.raises(DataError, match="verify --prune"):
            bench()
        if mend == "prune":
            assert prune(Store(tmp_path / "r"), list(find_faults(Store(tmp_path / "r")))) == 5
        assert bench(force=mend == "force") == DONE


def test_two_runs_on_one_folder(bench, tmp_path):
    with (
        Store(tmp_path / "r").held("videos", "ope", "offset"),
        pytest.raises(
            UsageError, match=f"process {os.getpid()} on .*, since .*, is at work there; wait for it"
        ),
    ):
        bench()
    assert not (tmp_path / "r/videos").exists()
    assert bench() == DONE
    (tmp_path / "r/videos/ope/offset/.run/worker1").mkdir(parents=True)  # as a killed run leaves it
    (tmp_path / "r/videos/ope/offset/.Square.txt.x1").write_text("1")
    assert bench() == SKIPPED
    assert not [p for p in (tmp_path / "r/videos/ope/offset").iterdir() if p.name.startswith(".")]


def test_results_rm_and_mv(bench, tmp_path, capsys):
    bench()
    where = ["--suite", str(tmp_path / "videos"), "--results", str(tmp_path / "r")]
    assert main(["results", "mv", "offset", "moved", *where]) == 0
    store = Store(tmp_path / "r")
    assert (
        store.trackers("videos") == ("moved",) and store.meta("videos", "ope", "moved")["tracker"] == "moved"
    )
    assert list(find_faults(store)) == []
    assert main(["results", "rm", "moved", "--sequence", "Nope", *where]) == 2
    assert main(["results", "rm", "moved", "--sequence", "Square", *where]) == 0
    assert store.sequences("videos", "ope", "moved") == ("Other",) and list(find_faults(store)) == []
    assert main(["results", "rm", "moved", *where]) == 0
    assert store.trackers("videos") == ()
    assert main(["results", "rm", "moved", *where]) == 2


def test_score_without_a_tracker(bench, tmp_path, capsys):
    bench()
    run("static", str(tmp_path / "videos"), results=tmp_path / "r", how=HERE)
    line = ["score", "--suite", str(tmp_path / "videos"), "--results", str(tmp_path / "r"), "--format", "csv"]
    assert main([*line, "--exclude", "offset"]) == 0
    assert [row.split(",")[0] for row in capsys.readouterr().out.splitlines()] == ["tracker", "static"]
    assert main([*line, "--exclude", "nope"]) == 2
    assert main([*line, "--exclude", "offset", "--exclude", "static"]) == 2


def test_a_tracker_that_failed_everywhere_is_left_out_of_the_scores(bench, tmp_path, monkeypatch):
    monkeypatch.setenv("ROLO_BENCH_TRACKERS", str(tmp_path))
    bench()
    (tmp_path / "never.py").write_text(PLUGIN.replace("self.box + [", "None and ["))
    run(tmp_path / "never.py", str(tmp_path / "videos"), results=tmp_path / "r", how=HERE)
    table = score(tmp_path / "r", str(tmp_path / "videos"))
    assert set(table["tracker"]) == {"offset"}
    assert table.attrs["notes"] == ["never failed on every sequence; left out"]


CODE = {
    "main.py": "import one\nfrom pack import part\nimport json, numpy\ndef f():\n    import late\n",
    "one.py": "from pack.deep import thing\n",
    "late.py": "X = 1\n",
    "pack/__init__.py": "",
    "pack/part.py": "from . import near\nfrom .deep import thing\n",
    "pack/near.py": "",
    "pack/deep.py": "thing = 1\n",
    "apart.py": "",
    "pack/apart.py": "",
}


@pytest.mark.parametrize("name", CODE)
def test_code_is_what_is_imported_from_beside(tmp_path, name):
    for path, text in CODE.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    before = read_code(Source(tmp_path / "main.py", folder=tmp_path))
    assert before.libraries == {"numpy"} and before.own == {"one", "pack", "late"}
    (tmp_path / name).write_text(CODE[name] + "\nY = 2\n")
    changed = read_code(Source(tmp_path / "main.py", folder=tmp_path)).digest != before.digest
    assert changed == ("apart" not in name)


BLOCKS = """
class A:
    async def f(self, x):
        try:
            with x: import a
            async with x: import b
        except KeyError: import c
        else: import d
        finally:
            for _ in x: import e
            else:
                while x: import f
                else: import g
        match x:
            case 1: import h
        if x: import i
        elif y: import j
        else:
            async for _ in x: import k
        return [(lambda: importlib.import_module("l"))() if x else __import__("m") for _ in x]
    if TYPE_CHECKING:
        import n
"""


def test_imports_are_found_wherever_they_stand(tmp_path):
    (tmp_path / "main.py").write_text(BLOCKS)
    assert read_code(Source(tmp_path / "main.py", folder=tmp_path)).libraries == {*"abcdefghijklm"}
    (tmp_path / "main.py").write_text(BLOCKS.partition("        return")[0])
    assert read_code(Source(tmp_path / "main.py", folder=tmp_path)).libraries == {*"abcdefghijk"}


def test_code_of_built_in_trackers_is_the_part_of_rolo_bench_that_makes_their_boxes(monkeypatch):
    from rolo_bench.run import code

    read: list[Path] = []
    parsed = code._read
    monkeypatch.setattr(code, "_read", lambda path: read.append(path) or parsed(path))
    source = locate("yolo").source
    assert source is not None
    found = read_code(source)
    names = {f"{p.parent.name}/{p.name}" for p in read}
    assert {
        "trackers/yolo.py",
        "rolo_bench/association.py",
        "detect/yolox_load.py",
        "detect/yolox.py",
    } <= names
    assert not {n for n in names if n.startswith(("cli/", "run/", "scores/", "rolo/", "train/"))}
    assert {"torch", "numpy", "cv2"} <= found.libraries
