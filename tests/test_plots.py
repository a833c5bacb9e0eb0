"""Figures: what they show, that nothing is cut off, and that they still look as they did."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rolo_bench import plots
from rolo_bench.cli import main
from rolo_bench.datasets.suites import load_annotations
from rolo_bench.errors import DataError, UsageError
from rolo_bench.plots.context import describe, significance
from rolo_bench.plots.style import COLOURS, looks, rgb
from rolo_bench.run.store import RunResult, Store
from rolo_bench.scores import published as reference
from rolo_bench.scores.score import score
from rolo_bench.scores.statistics import against_best
from rolo_bench.scores.summary import matrix, mean_curves
from tests.helpers_scores import made_up, stored_demo

IMAGES = Path(__file__).parent / "reference_images"
TOLERANCE = 2.5  # root mean square of the difference, 0 ... 255
LONG = tuple(f"tracker-with-a-long-name-{k:02d}" for k in range(12))
STEPS = pd.DataFrame(
    {
        "steps": [1, 3, 6, 9], "mean_iou": [0.41, 0.45, 0.5, 0.49], "fps": [100, 60, 32, 20],
        "mean_iou_low": [0.36, 0.4, 0.45, 0.44], "mean_iou_high": [0.45, 0.5, 0.55, 0.53],
    }
)  # fmt: skip
EPOCHS = pd.DataFrame(
    {
        "epoch": np.arange(1, 31), "train_loss": 1 / np.arange(1, 31), "valid_loss": 1.1 / np.arange(1, 31) + 0.05,
        "valid_iou": np.where(np.arange(1, 31) % 5 == 0, 0.6 - 0.5 / np.arange(1, 31), np.nan), "lr": 1e-3,
    }
)  # fmt: skip


def scores_of(*args, **kwargs):
    store, suite = made_up(*args, **kwargs)
    return score(store, suite, partial=True)


@pytest.fixture(scope="module")
def scores():
    return scores_of(("alpha", "beta", "gamma", "delta", "peek"), expected=30, oracle=("peek",))


@pytest.fixture(scope="module")
def crowd():
    return scores_of(LONG, frames=30)


FIGURES = {
    "success": lambda s: plots.success(s, ["gamma"]),
    "precision": lambda s: plots.precision(s, ["gamma"]),
    "norm_precision": lambda s: plots.norm_precision(s, ["gamma"]),
    "fps": lambda s: plots.fps(s, ["gamma"], "Test CPU", {"other": 12.0}),
    "speed": lambda s: plots.speed(s, ["gamma"], "Test CPU"),
    "attributes": lambda s: plots.attributes(s, ["gamma"]),
    "radar": lambda s: plots.radar(s, ["gamma"]),
    "sequences": lambda s: plots.sequences(s, ["gamma"]),
    "ranks": lambda s: plots.ranks(s, ["gamma"]),
    "steps": lambda s: plots.steps(STEPS, reference.steps(), "made up", "Test CPU"),
    "curves": lambda s: plots.curves(EPOCHS),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figure_looks_as_stored(name, scores, tmp_path):
    """The stored images were looked at; ROLO_BENCH_WRITE_IMAGES=1 makes them anew."""
    from matplotlib.testing.compare import compare_images

    made = plots.save(FIGURES[name](scores), tmp_path / f"{name}.png", dpi=60)
    stored = IMAGES / f"{name}.png"
    if os.environ.get("ROLO_BENCH_WRITE_IMAGES"):
        stored.parent.mkdir(exist_ok=True)
        stored.write_bytes(made.read_bytes())
    assert compare_images(str(stored), str(made), tol=TOLERANCE) is None


def test_the_comparison_notices_a_missing_line(scores, tmp_path):
    from matplotlib.testing.compare import compare_images

    changed = FIGURES["success"](scores)
    changed.axes[0].lines[-1].set_visible(False)
    made = plots.save(changed, tmp_path / "success.png", dpi=60)
    assert compare_images(str(IMAGES / "success.png"), str(made), tol=TOLERANCE) is not None


@pytest.mark.parametrize("name", [n for n in FIGURES if n not in ("steps", "curves")])
def test_no_text_is_cut_off_with_twelve_long_names(name, crowd):
    figure = getattr(plots, name)(crowd)
    figure.canvas.draw()
    page = figure.bbox
    from matplotlib.text import Text

    unseen = {
        id(label)
        for ax in figure.axes
        for axis in (ax.xaxis, ax.yaxis)
        for place, label in zip(axis.get_majorticklocs(), axis.get_majorticklabels())
        if not min(axis.get_view_interval()) <= place <= max(axis.get_view_interval())
    }  # labels of ticks beyond the axes are never drawn
    for text in figure.findobj(Text):
        if not text.get_visible() or not text.get_text().strip() or id(text) in unseen:
            continue
        box = text.get_window_extent()
        if box.width <= 1:
            continue
        assert box.x0 >= page.x0 - 1 and box.x1 <= page.x1 + 1, text.get_text()
        assert box.y0 >= page.y0 - 1 and box.y1 <= page.y1 + 1, text.get_text()


def test_legend_ranks_by_auc_with_three_decimals(scores):
    figure = plots.success(scores)
    texts = [t.get_text() for t in figure.legends[0].get_texts()]
    means = scores.groupby("tracker")["auc"].mean().sort_values(ascending=False)
    shown = [f"{'peek (oracle)' if t == 'peek' else t} [{v:.3f}]" for t, v in means.items()]
    assert texts == shown


def test_lines_are_the_table_behind_the_figure(scores):
    table = plots.curve_table(scores)
    curves = mean_curves(scores)
    drawn = plots.success(scores).axes[0].lines
    heads = ["peek (oracle)" if t == "peek" else t for t in curves]
    assert list(table.columns) == ["threshold", *heads]
    for line in drawn:
        assert any(np.allclose(line.get_ydata(), table[t]) for t in heads)
    assert len(drawn) == len(curves)


def texts_of(figure) -> str:
    from matplotlib.text import Text

    return " ".join(t.get_text() for t in figure.findobj(Text)).replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize("name", ["success", "precision", "norm_precision", "speed", "attributes", "radar"])
def test_partial_suite_convention_oracle_and_significance_are_said(name, scores):
    words = texts_of(getattr(plots, name)(scores, ["gamma"]))
    assert "8 of 30 sequences" in words
    assert "convention: otb" in words
    assert "Oracle trackers were shown the truth" in words
    assert "gamma\N{DAGGER}" in words
    assert "Wilcoxon" in words


ORACLE_SHOWN = [n for n in FIGURES if n not in ("steps", "curves", "ranks")]


@pytest.mark.parametrize("name", ORACLE_SHOWN)
def test_an_oracle_is_called_so_in_every_figure(name, scores):
    """Its name never stands alone in a legend, at an axis or at a point; panels and the rank diagram leave it out."""
    words = texts_of(FIGURES[name](scores))
    assert words.count("peek") == words.count("peek (oracle)") >= 1


def test_an_oracle_stays_out_of_the_rank_diagram(scores):
    words = texts_of(plots.ranks(scores))
    assert "peek" not in words and "Oracle trackers were shown the truth" in words


def test_an_oracle_is_called_so_in_the_tables_of_figures(scores):
    for wide in (plots.curve_table, plots.attribute_table, plots.sequence_table):
        assert "peek (oracle)" in wide(scores) and "peek" not in wide(scores)
    for long in (plots.fps_table, plots.speed_table):
        table = long(scores).set_index("tracker")
        assert table["oracle"].to_dict() == {t: t == "peek" for t in table.index} and "peek" in table.index


def test_significance_agrees_with_the_statistics_and_leaves_oracles_out(scores):
    setting = describe(scores)
    sentence = significance(scores, setting)
    fair = [t for t in setting.ranked if t != "peek"]
    p = against_best(matrix(scores)[fair])
    best = fair[0]
    same = [t for t in fair if t != best and p[t] >= 0.05]
    listed = sentence.rsplit(": ", 1)[1].rstrip(".").split(", ") if same else []
    assert listed == same or (not same and "every other tracker" in sentence)
    assert "peek" not in sentence


def test_equal_trackers_are_not_different():
    store, suite = made_up(("one",))
    twin = {("two", s): RunResult("two", s, "ope", r.boxes, r.seconds) for (_, s), r in store.results.items()}
    both = score(type(store)(store.results | twin, store.metas), suite)
    assert significance(both, describe(both)).startswith(
        "Not significantly different from the best, one, in AUC"
    )


def test_convention_without_precision_is_refused():
    store, suite = made_up()
    frame = score(store, suite, convention="rolo2016")
    with pytest.raises(UsageError, match="rolo2016 has no precision"):
        plots.precision(frame)


def test_scores_of_two_conventions_are_refused():
    store, suite = made_up()
    both = pd.concat([score(store, suite), score(store, suite, convention="pysot")])
    with pytest.raises(DataError, match="several values of convention"):
        plots.success(both)


def test_figures_need_times_for_speed():
    store, suite = made_up()
    blind = {k: RunResult(k[0], k[1], "ope", r.boxes, r.seconds * np.nan) for k, r in store.results.items()}
    frame = score(type(store)(blind, store.metas), suite)
    for figure in (plots.fps, plots.speed):
        with pytest.raises(UsageError, match="none of these results has times"):
            figure(frame)
        with pytest.raises(UsageError, match="timed beside other jobs or from a cache"):
            figure(frame.assign(seconds=1.0))


def test_better_trackers_lie_on_top():
    names = [f"t{i}" for i in range(24)]
    found = looks(names)
    for a, b in itertools.pairwise(names):
        assert found[a].layer > found[b].layer


SIGHT = {
    "normal": np.eye(3),
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.01182, 0.04294, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.3039],
    ],
}  # Machado, Oliveira, Fernandes 2009, severity 1


def seen_as(colour, sight):
    """A colour in CIE 1976 L*a*b* as an eye of that sight has it."""
    c = np.array(rgb(colour)) / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(SIGHT[sight]) @ linear, 0, 1)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    f = np.cbrt(np.maximum(to_xyz @ seen / np.array([0.9505, 1, 1.089]), 1e-9))
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def told_apart(colours, sight):
    """The smallest colour difference among all pairs; about 2 is just noticeable."""
    places = [seen_as(c, sight) for c in colours]
    return min(np.linalg.norm(a - b) for a, b in itertools.combinations(places, 2))


@pytest.mark.parametrize("sight", SIGHT)
def test_palette_is_told_apart_with_any_colour_vision(sight):
    """Colour differences of all pairs of the twelve above 12, and above 30 to white."""
    assert len(COLOURS) == 12 and told_apart(COLOURS, sight) > 12
    assert min(told_apart([c, "#ffffff"], sight) for c in COLOURS) > 30


@pytest.mark.parametrize("kind", ["png", "pdf", "svg"])
def test_saving_twice_gives_the_same_bytes(kind, scores, tmp_path):
    first = plots.save(plots.success(scores), tmp_path / f"a.{kind}")
    again = plots.save(plots.success(scores), tmp_path / f"b.{kind}")
    data = first.read_bytes()
    assert data == again.read_bytes()
    assert data.startswith({"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}[kind])


def test_unknown_ending_is_refused(scores, tmp_path):
    with pytest.raises(UsageError, match=r"\.png, \.pdf or \.svg"):
        plots.save(plots.success(scores), tmp_path / "a.bmp")


def test_published_marks_stand_at_half_overlap(scores):
    rows = pd.DataFrame({"tracker": ["STRUCK"], "auc": [np.nan], "success50": [0.47]})
    figure = plots.success(scores, (), rows)
    assert "STRUCK\N{DAGGER} [0.470 at 0.5]" in texts_of(figure)
    assert any(list(line.get_ydata()) == [0.47] for line in figure.axes[0].lines)


def test_tables_of_figures(scores):
    wide = plots.attribute_table(scores)
    assert wide["attribute"].iloc[0] == "ALL" and wide["sequences"].iloc[0] == 8
    part = scores[["OCC" in flags for flags in scores["attributes"]]]
    row = wide.set_index("attribute").loc["OCC"]
    assert row["alpha"] == pytest.approx(part.loc[part["tracker"] == "alpha", "auc"].mean(), abs=1e-12)
    assert plots.sequence_table(scores).iloc[-1]["alpha"] == pytest.approx(
        scores.loc[scores["tracker"] == "alpha", "auc"].mean(), abs=1e-12
    )
    speeds = plots.fps_table(scores, {"other": 5.0}, ["gamma"]).set_index("tracker")
    assert speeds.loc["other", "source"] == speeds.loc["gamma", "source"] == "published"
    assert speeds["fps"].is_monotonic_decreasing
    ranks = plots.rank_table(scores)
    assert "peek" not in set(ranks["tracker"])
    assert ranks["mean_rank"].sum() == pytest.approx(1 + 2 + 3 + 4, abs=1e-12)


def test_steps_names_missing_columns_and_curves_need_numbers():
    with pytest.raises(UsageError, match="fps"):
        plots.steps(STEPS.drop(columns="fps"))
    with pytest.raises(UsageError, match="at least one more"):
        plots.curves(pd.DataFrame({"epoch": [1, 2]}))


def test_the_package_loads_without_matplotlib():
    code = (
        "import sys, rolo_bench.plots, rolo_bench.plots.style, rolo_bench.plots.frames, rolo_bench.cli.plot, "
        "rolo_bench.cli.report, rolo_bench.cli.show; assert 'matplotlib' not in sys.modules; "
        "rolo_bench.plots.success; assert 'matplotlib' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.fixture(scope="module")
def demo_store(tmp_path_factory) -> Path:
    """Results of two made-up trackers on the demo suite."""
    return stored_demo(tmp_path_factory.mktemp("demo"), ("steady", "drifting"))


def test_plot_success_needs_no_options(demo_store, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").symlink_to(demo_store)
    assert main(["plot", "success"]) == 0
    assert capsys.readouterr().out.strip() == "figures/success.png"
    assert (tmp_path / "figures" / "success.png").stat().st_size > 10_000


def test_plot_writes_the_numbers(demo_store, tmp_path, capsys):
    out = tmp_path / "x.svg"
    assert main(["plot", "success", "--numbers", "--results", str(demo_store), "-o", str(out)]) == 0
    table = pd.read_csv(tmp_path / "x.csv")
    assert list(table.columns) == ["threshold", "steady", "drifting"]
    assert len(table) == 21 and out.is_file()


def test_plot_all_draws_everything(demo_store, tmp_path, capsys):
    assert main(["plot", "all", "--results", str(demo_store), "--folder", str(tmp_path), "--numbers"]) == 0
    names = {p.stem for p in tmp_path.glob("*.png")}
    assert {"success", "precision", "norm-precision", "fps", "speed", "sequences", "ranks"} <= names
    assert {p.stem for p in tmp_path.glob("*.csv")} == names


def test_plot_says_what_is_missing(demo_store, tmp_path, capsys):
    assert main(["plot", "success", "--results", str(tmp_path / "none")]) == 1
    assert "no results there" in capsys.readouterr().err
    (tmp_path / "two" / "demo" / "ope").mkdir(parents=True)
    (tmp_path / "two" / "otb30" / "ope").mkdir(parents=True)
    assert main(["plot", "success", "--results", str(tmp_path / "two")]) == 2
    assert "choose one with --suite" in capsys.readouterr().err
    assert main(["plot", "curves", str(tmp_path / "none.csv")]) == 1
    assert "no such file" in capsys.readouterr().err


def test_plot_steps_and_curves_from_tables(tmp_path, capsys):
    STEPS.to_csv(tmp_path / "steps.csv", index=False)
    EPOCHS.to_csv(tmp_path / "curves.csv", index=False)
    out = tmp_path / "s.png"
    assert main(["plot", "steps", str(tmp_path / "steps.csv"), "-o", str(out), "--numbers"]) == 0
    both = pd.read_csv(tmp_path / "s.csv")
    assert set(both["source"]) == {"measured", "published"}
    assert main(["plot", "curves", str(tmp_path / "curves.csv"), "-o", str(tmp_path / "c.pdf")]) == 0
    assert (tmp_path / "c.pdf").is_file()


def test_meta_is_read_for_marks_and_device(demo_store, tmp_path, capsys):
    store = Store(demo_store)
    machine = {"processor": "Test CPU", "cores": 2, "device": "cuda:0"}
    (tmp_path / "demo").mkdir()
    copy = Store(tmp_path)
    suite = load_annotations("demo", "")
    for name in ("steady", "drifting"):
        for sequence in suite.sequences:
            copy.save("demo", store.load("demo", "ope", name, sequence.name)[0])
        own = {"imported": {"format": "got10k"}} if name == "drifting" else {"machine": machine}
        copy.write_meta("demo", "ope", name, own | {"sequences": {}})
    from rolo_bench.scores.scored import load_scores

    found = load_scores(tmp_path, "demo", (), None, False, "ope", "otb")
    assert found.published == {"drifting"}
    assert found.device == "Test CPU, 2 cores, device cuda:0"
    assert found.metas["steady"]["machine"] == machine


def test_oracles_alone_can_be_drawn():
    store, suite = made_up(("a", "b"))
    scores = score(store, suite).assign(oracle=True)
    assert plots.sequences(scores).axes


@pytest.mark.parametrize("kind", ["png", "pdf", "svg"])
def test_a_figure_on_a_full_disk_is_one_line_and_the_old_one_stays(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    EPOCHS.to_csv(tmp_path / "curves.csv", index=False)
    (tmp_path / f"a.{kind}").write_text("old")
    monkeypatch.setattr("os.fsync", full)
    assert main(["plot", "curves", str(tmp_path / "curves.csv"), "-o", str(tmp_path / f"a.{kind}")]) == 1
    said = f"rolo-bench: {tmp_path / f'a.{kind}'}: No space left on device; check the path, rights and free space\n"
    assert capsys.readouterr().err == said
    assert (tmp_path / f"a.{kind}").read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([f"a.{kind}", "curves.csv"])
