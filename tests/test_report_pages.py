"""The index over several reports, and the page of a comparison."""

from __future__ import annotations

import json
import re
from urllib.parse import unquote

import pytest

from rolo_bench.cli import main
from rolo_bench.errors import DataError, UsageError
from rolo_bench.report.comparison import render_comparison
from rolo_bench.report.data import collect
from rolo_bench.report.index import find_reports, read_about, write_index
from rolo_bench.report.page import write_report
from rolo_bench.scores.compare import compare
from rolo_bench.scores.score import score
from tests.helpers_browser import Browser, check_names, need_browser, on_paper, walk
from tests.helpers_scores import made_up

EVIL = "<script>alert(1)</script>\"'&"


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """Three reports with an index; one in a folder below, with signs in its name that a link must not have."""
    folder = tmp_path_factory.mktemp("reports")
    store, suite = made_up(("alpha", "beta"))
    write_report(folder / "one.html", collect(store, suite))
    store, suite = made_up(("alpha", "gamma", "peek"), count=5, oracle=("peek",))
    write_report(folder / "below/two #2 100%.html", collect(store, suite))
    text = (folder / "one.html").read_text()
    evil = text.replace('"label":"beta"', '"label":' + json.dumps(EVIL).replace("<", "\\u003c"))
    (folder / "below/evil.html").write_text(evil)
    (folder / "other.html").write_text("<html><p>not one of ours</p></html>")
    (folder / "broken.html").write_bytes(b'\xff<script type="application/json" id="about">{"title":')
    write_index(folder / "index.html", [folder])
    return folder


def test_the_index_holds_every_report_and_nothing_else(reports):
    found = find_reports([reports])
    assert [p.name for p in found] == ["evil.html", "two #2 100%.html", "one.html"]
    page = (reports / "index.html").read_text()
    links = [unquote(link) for link in re.findall(r'<th scope="row" class="name"><a href="(.*?)"', page)]
    assert sorted(links) == ["below/evil.html", "below/two #2 100%.html", "one.html"]
    assert all((reports / link).is_file() for link in links)
    two = found[reports / "below/two #2 100%.html"]
    assert two["coverage"] == "5 sequences" and [t["label"] for t in two["trackers"] if t["oracle"]] == [
        "peek (oracle)"
    ]
    row = re.search(r"<tr>(?:(?!</tr>).)*two #2 100%</a>.*?</tr>", page, re.S)[0]
    assert ">alpha<" in row and "peek" not in row  # the best that may be compared
    assert "<script>alert" not in page and "&lt;script&gt;alert(1)" in page


def test_made_again_the_index_is_not_in_itself(reports):
    before = (reports / "index.html").read_text()
    assert len(write_index(reports / "index.html", [reports])) == 3
    strip = re.compile(r"made \d{4}-.*? UTC")
    assert strip.sub("", (reports / "index.html").read_text()) == strip.sub("", before)


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "3", '{"title": 1}', "{" * 5000,
        '{"title":"t","coverage":"c","convention":"o","made":"m","warnings":0,"trackers":[{"label":"a","auc":"x"}]}',
    ],
)  # fmt: skip
def test_what_is_no_report_is_left_out(tmp_path, text):
    path = tmp_path / "x.html"
    path.write_text(f'<script type="application/json" id="about">{text}</script>')
    assert read_about(path) is None
    with pytest.raises(DataError, match="no reports there; make some"):
        find_reports([tmp_path])
    with pytest.raises(UsageError, match="no such file or folder"):
        find_reports([tmp_path / "gone"])


def test_command_makes_the_index_where_it_is_told(reports, tmp_path, capsys):
    assert main(["report", "--index", str(reports), "-o", str(tmp_path / "all.html")]) == 0
    shown = capsys.readouterr()
    assert str(tmp_path / "all.html") in shown.out and "3 reports" in shown.err
    links = re.findall(r'class="name"><a href="(.*?)"', (tmp_path / "all.html").read_text())
    assert len(links) == 3 and all((tmp_path / unquote(link)).is_file() for link in links)
    assert main(["report", "--index", str(reports / "below")]) == 0
    assert (reports / "below/index.html").is_file()
    (reports / "below/index.html").unlink()
    assert main(["report", "--index", str(tmp_path / "gone")]) == 2


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    """A page of two comparisons, of which one has a name that must not become markup."""
    store, suite = made_up(("alpha", "beta"), count=12)
    scores = score(store, suite)
    a, b = (scores[scores["tracker"] == t].reset_index(drop=True) for t in ("alpha", "beta"))
    made = [
        {
            "makings": {"k": {"code": c * 64, "options": {"note": n}, "seed": 0}},
            "sequences": {"Seq01": {"making": "k"}},
        }
        for c, n in (("a", "x"), ("b", EVIL))
    ]
    found = [compare(a, b, ("alpha", "beta"), (made[0], made[1])), compare(b, a, (EVIL, "alpha"))]
    path = tmp_path_factory.mktemp("compare") / "compare.html"
    path.write_text(render_comparison(found))
    return path


def test_the_page_of_a_comparison_shows_numbers_bars_and_what_differs(comparison):
    page = comparison.read_text()
    first = page[: page.index('<section id="c2"')]
    assert "alpha is significantly better" in first and first.count("<rect") == 12
    assert first.count('fill="#d55e00"') == len(
        re.findall(r"<td>-0\.\d+</td>", first.split("AUC by sequence")[1])
    )
    assert re.findall(r'class="name">(AUC|Mean IoU|fps)<', first) == ["AUC", "Mean IoU", "fps"]
    assert "options note" in first and "aaaaaaaaaaaa" in first
    assert "<script>alert" not in page and "&lt;script&gt;alert(1)" in page


@pytest.mark.parametrize("which", ["index", "comparison"])
def test_pages_work_by_keyboard_have_names_fit_and_print(which, reports, comparison):
    need_browser()
    path = reports / "index.html" if which == "index" else comparison
    made = Browser(path, 390)
    try:
        assert made.driver.get_log("browser") == []
        assert made.run("return document.documentElement.scrollWidth") <= 390
        check_names(made, {"link", "heading", "table", "button"})
        steps = walk(made)
        assert len(steps) > 5 and [s for s in steps if not s["outline"] or not s["inside"]] == []
        made.one(".sortable th:nth-child(1) button").click()
        assert made.one(".sortable th:nth-child(1)").get_attribute("aria-sort")
        assert on_paper(made)["pages"] <= 3
    finally:
        made.close()
