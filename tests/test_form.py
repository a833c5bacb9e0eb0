"""Figures for papers: at 3.3 inches with twelve trackers everything is legible, apart and of one size."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from rolo_bench import plots
from rolo_bench.cli import main
from rolo_bench.errors import UsageError
from rolo_bench.plots.fonts import other_font, runs
from rolo_bench.plots.speed_plots import _limit, _speed_text
from rolo_bench.plots.style import COLOURS, KNOWN, ORACLE_COLOUR, PLAIN, SLOTS, Form, looks
from rolo_bench.scores import published as reference
from rolo_bench.scores.score import score
from tests.helpers_scores import made_up, stored_demo
from tests.test_plots import EPOCHS, FIGURES, STEPS, told_apart

NAMES = {
    "known": tuple(KNOWN[k] for k in (0, 1, 2, 3, 7, 12, 16, 17, 18, 20, 23, 28)),
    "long": tuple(f"tracker-with-a-long-name-{k:02d}" for k in range(12)),
}
COLUMN = Form(width=3.3)


@pytest.fixture(scope="module", params=list(NAMES))
def twelve(request):
    store, suite = made_up(NAMES[request.param], frames=30)
    sure = {k: replace(r, scores=1 / (1 + r.boxes.std(axis=1))) for k, r in store.results.items()}
    return score(replace(store, results=sure), suite, partial=True)


def drawn(name, scores, form):
    """One kind of figure of twelve trackers, three of them published by others."""
    some = list(dict.fromkeys(scores["tracker"]))[::4]
    if name == "steps":
        frame = pd.concat([STEPS.assign(tracker=t) for t in dict.fromkeys(scores["tracker"])])
        return plots.steps(frame, reference.steps(), "made up", "Test CPU", form=form)
    if name == "curves":
        return plots.curves(EPOCHS, form=form)
    if name in ("fps", "speed"):
        return getattr(plots, name)(scores, some, "Test CPU, 2 cores", form=form)
    return getattr(plots, name)(scores, some, form=form)


def texts(figure):
    """Every text that is drawn, with the corners of its box in inches, turned as the text is."""
    figure.draw_without_rendering()
    unseen = {
        id(label)
        for ax in figure.axes
        for axis in (ax.xaxis, ax.yaxis)
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks())
        for label, shown in (
            (tick.label1, tick.label1.get_visible()),
            (tick.label2, tick.label2.get_visible()),
        )
        if not shown or not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
    }
    for text in figure.findobj(Text):
        if not text.get_visible() or not text.get_text().strip() or id(text) in unseen:
            continue
        angle = np.deg2rad(text.get_rotation() % 90)
        box = text.get_window_extent()
        if box.width > 1:
            middle = np.array([box.x0 + box.x1, box.y0 + box.y1]) / 2
            c, s = np.cos(angle), np.sin(angle)
            side = (
                np.linalg.solve([[c, s], [s, c]], [box.width, box.height])
                if angle
                else (box.width, box.height)
            )
            half = np.array(list(itertools.product((-0.5, 0.5), repeat=2)))[[0, 1, 3, 2]] * side
            yield text, (middle + half @ np.array([[c, s], [-s, c]])) / figure.dpi


def overlap(a, b):
    """By how much two turned boxes overlap in the direction in which they do least; negative where they are apart."""
    axes = np.concatenate([np.diff(p[[0, 1, 2]], axis=0) for p in (a, b)])
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    first, second = a @ axes.T, b @ axes.T
    return (np.minimum(first.max(0), second.max(0)) - np.maximum(first.min(0), second.min(0))).min()


@pytest.mark.parametrize(
    ("twelve", "style"), [("known", "paper"), ("long", "screen")], indirect=["twelve"]
)  # long names in the wider font
@pytest.mark.parametrize("name", [*FIGURES, "longterm"])
def test_text_in_a_column_is_legible_apart_and_whole(name, style, twelve):
    figure = drawn(name, twelve, Form(width=3.3, style=style))
    width, height = figure.get_size_inches()
    assert width == pytest.approx(3.3)
    found = list(texts(figure))
    assert len(found) > 8
    for text, corners in found:
        assert text.get_fontsize() >= 6, text
        assert corners.min() > -0.005 and (corners.max(axis=0) < [width + 0.005, height + 0.005]).all(), text
    for (one, a), (two, b) in itertools.combinations(found, 2):
        assert overlap(a, b) < 0.015, (
            one,
            two,
        )  # inches; boxes hold the room for letters that go below the line


def test_every_kind_of_figure_is_measured():
    kinds = {name.replace("-", "_") for name in plots.FIGURES}
    assert {*FIGURES, "longterm"} == kinds | {"steps", "curves"}


def test_a_test_of_overlap_notices_one():
    square = np.array([[0, 0], [0, 1], [1, 1], [1, 0.0]])
    turned = square @ np.array([[0.8, 0.6], [-0.6, 0.8]])
    assert overlap(square, square + 0.9) == pytest.approx(0.1) and overlap(square, square + [1.1, 0]) < 0
    assert overlap(square, turned + [0.5, 0.5]) > 0 > overlap(square, turned + [1.7, 0.3])


def size_of(figure):
    box = figure.axes[0].get_position()
    return tuple(np.round(np.array([box.width, box.height]) * figure.get_size_inches(), 6))


@pytest.mark.parametrize("width", [None, 3.3, 6.9])
def test_axes_have_one_size_whatever_the_legend(width):
    sizes, starts = set(), set()
    for names in (("a", "b"), *NAMES.values()):
        store, suite = made_up(names, frames=30)
        scores = score(store, suite)
        for name in ("success", "precision", "norm_precision", "speed"):
            figure = drawn(name, scores, Form(width=width))
            sizes.add(size_of(figure))
            starts.add(round(figure.axes[0].get_position().x0 * figure.get_size_inches()[0], 6))
    assert len(sizes) == len(starts) == 1


def test_a_height_is_kept_and_one_too_small_is_refused(twelve):
    figure = plots.success(twelve, form=Form(width=5, height=4))
    assert tuple(figure.get_size_inches()) == (5, 4) and size_of(figure)[1] < 3
    with pytest.raises(UsageError, match=r"a height of 1in leaves no room"):
        plots.success(twelve, form=Form(width=5, height=1))
    with pytest.raises(UsageError, match=r"a width of 0\.6in leaves no room"):
        plots.success(twelve, form=Form(width=0.6))
    with pytest.raises(UsageError, match="heat table of 12 trackers needs a width of"):
        plots.sequences(twelve, form=Form(width=2))


def test_font_size_title_note_grid_and_style(twelve):
    plain = plots.success(twelve, form=COLUMN)
    large = plots.success(twelve, form=Form(width=3.3, font=10, grid=False, style="paper"))
    assert plain.axes[0].xaxis.label.get_fontsize() == 8 and large.axes[0].xaxis.label.get_fontsize() == 10
    assert "STIXGeneral" in large.axes[0].xaxis.label.get_fontfamily()
    assert plain.axes[0].xaxis.get_gridlines()[0].get_visible()
    assert not large.axes[0].xaxis.get_gridlines()[0].get_visible()
    assert plain.texts[0].get_text() == "Success"
    assert plots.success(twelve, form=Form(title="Mine")).texts[0].get_text() == "Mine"
    bare = plots.success(twelve, form=Form(width=3.3, title="", note=False))
    assert not bare.texts and bare.left_out[0] == "Success" and "convention: otb" in bare.left_out[1]
    assert any("Wilcoxon" in line for line in bare.left_out)


def test_labels_order_and_highlight():
    store, suite = made_up()
    scores = score(store, suite)
    form = Form(
        labels={"beta": "Beta (ours)"},
        order=("delta", "beta"),
        highlight=("beta",),
        colours={"beta": "#123456"},
    )
    legend = plots.success(scores, ["beta"], form=form).legends[0]
    words = [t.get_text().split(" [")[0] for t in legend.get_texts()]
    assert words == ["delta", "Beta (ours)\N{DAGGER}", "alpha", "gamma"]
    assert [t.get_fontweight() for t in legend.get_texts()] == ["normal", "bold", "normal", "normal"]
    assert legend.get_title().get_text() == "[AUC]"
    seen = looks(["alpha", "beta"], (), form.colours, form.highlight)
    assert seen["beta"].colour == "#123456" and seen["beta"].width > seen["alpha"].width
    assert seen["beta"].layer > seen["alpha"].layer
    for name in ("fps", "speed", "sequences", "ranks", "attributes", "radar"):
        words = " ".join(t.get_text() for t in getattr(plots, name)(scores, form=form).findobj(Text))
        assert "Beta (ours)" in words and "beta" not in words, name


def test_a_look_goes_by_the_name_alone():
    rng = np.random.default_rng(0)
    names = [*KNOWN, "mine", "other"]
    alone = {n: looks([n])[n] for n in names}
    for _ in range(20):
        some = list(rng.permutation(names)[: rng.integers(2, 12)])
        for name, look in looks(some).items():
            assert (look.colour, look.dash, look.marker) == (
                alone[name].colour, alone[name].dash, alone[name].marker,
            )  # fmt: skip
    crowd = looks([*KNOWN, *(f"own-{k}" for k in range(SLOTS))])  # however many others there are
    assert all((crowd[n].colour, crowd[n].dash) == (alone[n].colour, alone[n].dash) for n in KNOWN)
    own = [f"own-{k}" for k in range(12)]
    assert len({looks([*KNOWN, *own])[n].colour for n in own}) == 12
    grey = looks(["rolo", "yolo"], ["yolo"])["yolo"]
    assert grey.colour == ORACLE_COLOUR and (grey.dash, grey.marker) == (
        alone["yolo"].dash,
        alone["yolo"].marker,
    )


@pytest.mark.parametrize("names", [KNOWN, *NAMES.values(), tuple(f"t{k}" for k in range(40))])
def test_no_two_trackers_share_more_than_one_of_colour_dash_and_marker(names):
    """So lines differ in grey by dash and marker, bars and boxes by colour with a marker or a dash."""
    found = looks(names)
    for one, two in itertools.combinations(found.values(), 2):
        same = (one.colour == two.colour) + (one.dash == two.dash) + (one.marker == two.marker)
        assert same <= 1


def test_the_built_in_trackers_have_a_colour_and_marker_each():
    found = looks(KNOWN[:12])
    assert len({v.colour for v in found.values()}) == len({v.marker for v in found.values()}) == 12
    assert told_apart([v.colour for v in found.values()], "deutan") > 12
    lines = plots.success(score(*made_up(NAMES["known"], frames=30))).axes[0].lines
    assert (
        len({(line.get_linestyle(), line.get_marker()) for line in lines if len(line.get_xdata()) > 2}) >= 11
    )
    assert len({(tuple(line._dash_pattern[1] or ()), line.get_marker()) for line in lines}) >= 12
    assert all(v.colour in COLOURS for v in found.values())


@pytest.mark.parametrize(
    ("fps", "words"),
    [
        (0.1234, "0.123"),
        (33.3, "33.3"),
        (999.4, "999"),
        (999.5, "1,000"),
        (1000.0, "1,000"),
        (2.5e6, "2,500,000"),
    ],
)
def test_speeds_are_plain_numbers(fps, words):
    assert _speed_text(fps) == words


def test_one_much_faster_tracker_does_not_stretch_the_axis():
    assert _limit(pd.Series([5.0, 20.0, 300.0, 1e6])) == 600
    assert _limit(pd.Series([5.0, 20.0, 300.0, 3000.0])) == 3000
    assert _limit(pd.Series([2.0])) == 2
    store, suite = made_up()
    quick = {k: type(r)(r.tracker, r.sequence, "ope", r.boxes, r.seconds / (1e6 if k[0] == "alpha" else 1))
             for k, r in store.results.items()}  # fmt: skip
    scores = score(type(store)(quick, store.metas), suite)
    for name in ("fps", "speed"):
        figure = getattr(plots, name)(scores)
        assert figure.axes[0].get_xlim()[1] < 1e5
        assert "\N{RIGHTWARDS ARROW} beyond the axis." in [t.get_text() for t in figure.texts]
    assert any(
        re.fullmatch(r"[\d,]{9,} \N{RIGHTWARDS ARROW}", t.get_text()) for t in plots.fps(scores).axes[0].texts
    )


def test_names_in_any_script_are_drawn_or_escaped(tmp_path):
    """Warnings are errors, and matplotlib warns of each glyph that it lacks."""
    names = ("$a_1$ & \\b^", "\u8ddf\u8e2a\u5668", "\u0442\u0440\u0435\u043a\u0435\u0440", "bell\x07\u202e")
    scores = score(*made_up(names))
    legend = plots.success(scores, form=COLUMN).legends[0]
    words = " ".join(t.get_text() for t in legend.get_texts())
    assert "$a_1$ & \\b^" in words and names[2] in words and "bell\\x07\\u202e" in words
    assert (names[1] if other_font("\u8ddf") else "\\u8ddf\\u8e2a\\u5668") in words
    for name in ("success", "fps", "ranks", "sequences", "attributes"):
        figure = getattr(plots, name)(scores, form=COLUMN)
        for kind in ("png", "pdf", "svg") if name == "success" else ("png",):
            plots.save(figure, tmp_path / f"{name}.{kind}", 60)


def test_runs_find_a_font_for_each_character():
    assert [piece for piece, _, _ in runs("rolo\u00a0\u2192")] == ["rolo\u00a0\u2192"]
    assert (
        "".join(piece for piece, _, _ in runs("\U000f0000")) == "\\U000f0000"
    )  # for private use: no font has it
    assert other_font("\U000f0000") is None and other_font("\u0416")[0].startswith(("DejaVu", "Liberation"))


def test_text_stays_text_in_svg_and_pdf(tmp_path):
    figure = plots.success(score(*made_up()), form=COLUMN)
    svg = plots.save(figure, tmp_path / "a.svg").read_text(encoding="utf-8")
    assert ">alpha [" in svg and "<text" in svg
    pdf = plots.save(figure, tmp_path / "a.pdf").read_bytes()
    assert b"/CIDFontType2" in pdf or b"/TrueType" in pdf
    assert b"/Type3" not in pdf and b"/FontFile2" in pdf


INCHES = {"3.3in": 3.3, "84mm": 84 / 25.4, "8.4 cm": 8.4 / 2.54, "240pt": 240 / 72.27, "3": 3}


@pytest.mark.parametrize("text, inches", INCHES.items())
def test_lengths(text, inches):
    from rolo_bench.cli.plot import Length

    assert Length().convert(text, None, None) == pytest.approx(inches)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Results of two trackers on the demo suite."""
    return stored_demo(tmp_path_factory.mktemp("stored"), ("static", "ncc"))


def test_plot_takes_what_a_paper_needs(stored, tmp_path, capsys):
    out = tmp_path / "a.svg"
    options = [
        "--width",
        "84mm",
        "--height",
        "9cm",
        "--font-size",
        "7",
        "--no-title",
        "--no-note",
        "--no-grid",
    ]
    options += ["--style", "paper", "--order", "static,NCC", "--highlight", "ncc"]
    command = [
        "plot",
        "success",
        "--results",
        str(stored),
        "-o",
        str(out),
        "--label",
        "ncc=NCC (ours)",
        *options,
    ]
    assert main(command) == 0
    said = capsys.readouterr()
    assert "for the caption: Success" in said.err and "for the caption: demo suite" in said.err
    svg = out.read_text(encoding="utf-8")
    assert ">NCC (ours) [" in svg and svg.index(">static [") < svg.index(">NCC (ours) [")
    size = re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"', svg)
    assert float(size[1]) == pytest.approx(84 / 25.4 * 72, abs=0.01)
    assert float(size[2]) == pytest.approx(9 / 2.54 * 72, abs=0.01)


@pytest.mark.parametrize(
    "option, message",
    [
        (["--width", "wide"], "'wide' is not a length from 0.5in to 60in; write 3.3in, 84mm, 8.4cm or 240pt"),
        (["--label", "ncc"], "write NAME=TEXT"),
        (["--label", "nccc=x"], "unknown tracker 'nccc'; did you mean 'ncc'?"),
        (["--order", "statik"], "unknown tracker 'statik'; did you mean 'static'?"),
        (
            ["--label", "ncc=static"],
            "ncc and static would both be called 'static'; give each a label of its own",
        ),
        (
            ["--width", "60in", "--dpi", "2400", "-o", "a.png"],
            "million pixels are too many; give a smaller size or",
        ),
        (["--title", ""], "--title needs a text; --no-title leaves it out"),
    ],
)
def test_plot_says_what_is_wrong_with_an_option(option, message, stored, capsys):
    assert main(["plot", "success", "--results", str(stored), *option]) == 2
    assert message in capsys.readouterr().err


def test_plot_reads_names_and_colours_from_the_project_file(stored, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rolo-bench.toml").write_text('[labels]\nncc = "Correlation"\n[colours]\nncc = "#123456"\n')
    assert main(["plot", "success", "--results", str(stored), "-o", "a.svg"]) == 0
    svg = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert ">Correlation [" in svg and "#123456" in svg
    assert PLAIN.labels == {}
