"""The report page: complete, self-contained, correct numbers, and working in a real browser."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from rolo_bench.cli import main
from rolo_bench.datasets.suites import load_suite
from rolo_bench.errors import UsageError
from rolo_bench.plots.context import KINDS
from rolo_bench.report.data import BINS, SCALE, collect
from rolo_bench.report.html import LEVELS, heat_rows, shade
from rolo_bench.report.page import latex_tables, render_page, scale_of, write_report
from rolo_bench.report.pictures import STEP, longest_loss, reels
from rolo_bench.run.store import RunResult, Store
from rolo_bench.scores.provenance import warnings_of
from rolo_bench.scores.score import CURVES, score
from rolo_bench.scores.summary import matrix
from tests.helpers_browser import Browser, check_names, need_browser, on_paper, walk
from tests.helpers_scores import made_up
from tests.helpers_video import otb_folder, square_sequence

RULES = ("otb", "got10k", "pysot", "pytracking", "rolo2016")
NAMES = ("alpha", "beta", "gamma", "peek")


@pytest.fixture(scope="module")
def found():
    store, suite = made_up(NAMES, expected=30, oracle=("peek",))
    store.metas["gamma"]["imported"] = {"format": "got10k"}
    store.metas["alpha"]["options"] = {"note": "</script><script>alert(1)</script><b>"}
    store.metas["beta"]["machine"] = {"processor": "Test CPU", "cores": 2, "load_at_start": 7.5}
    return collect(store, suite, conventions=RULES, partial=True)


@pytest.fixture(scope="module")
def page(found):
    return render_page(found)


def data_of(page: str) -> dict:
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])


def pictures_of(page: str) -> list[dict]:
    return json.loads(re.search(r'id="pictures">(.*?)</script>', page, re.S)[1])


class Reader(HTMLParser):
    """Elements with their attributes; checks that tags are closed in order."""

    VOID = frozenset(["meta", "link", "br", "img", "input"])

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    assert not reader.open
    return reader


def test_page_loads_nothing_and_is_well_formed(page):
    for tag, attributes in read(page).found:
        for name in ("src", "href", "action", "srcset"):
            value = attributes.get(name, "#")
            assert value.startswith(("#", "data:")), (tag, value)
    policy = re.search(r'Content-Security-Policy" content="(.*?)"', page)[1].replace("&#39;", "'")
    assert "default-src 'none'" in policy and "unsafe" not in policy
    for tag in ("style", "script"):  # nothing inline runs but what the policy names by its digest
        texts = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.S)
        allowed = re.findall(rf"{tag}-src 'sha256-(.*?)'", policy)
        digests = [base64.b64encode(hashlib.sha256(t.encode()).digest()).decode() for t in texts]
        assert digests == allowed and len(texts) == 1
    assert not re.search(r"<[^>]* (style|on\w+)=", page)
    assert not re.search(r"@import|url\(|https?://(?!www\.w3\.org/2000/svg)", page)


def test_every_control_has_a_name_and_ids_are_unique(page):
    reader = read(page)
    ids = [a["id"] for _, a in reader.found if "id" in a]
    assert len(ids) == len(set(ids))
    for _, attributes in reader.found:
        target = attributes.get("aria-labelledby")
        assert target is None or target in ids
        href = attributes.get("href", "")
        if href.startswith("#") and "=" not in href:
            assert href[1:] in ids
    assert ("html", {"lang": "en"}) in reader.found
    assert sum(tag == "h1" for tag, _ in reader.found) == 1


def test_warnings_name_what_a_reader_must_know(page):
    box = re.search(r'<section class="warnings".*?</section>', page, re.S)[0]
    assert "8 of 30 sequences" in box
    assert "Oracle: peek saw the truth" in box
    assert "Timing of beta" in box and "7.5 on 2 cores" in box
    assert "Imported" in box
    assert "Timing of alpha" not in box


def test_busy_runs_of_one_machine_share_a_sentence(found):
    metas = {n: {"machine": {"cores": 2, "load_at_start": load}} for n, load in zip(NAMES, (7.5, 9, 8, 0.1))}
    (line,) = (w.head for w in warnings_of(found.scores, metas) if "busy" in w.head)
    assert line.startswith("Timing of alpha, beta, gamma: the machine was busy (load 7.5 to 9 on 2 cores)")


def test_a_speed_that_is_left_out_is_not_called_too_low():
    store, suite = made_up(("alone", "beside"), oracle=())
    store.metas["beside"] |= {"jobs": 2, "sequences": {"Seq01": {"status": "complete"}}}
    for name in store.metas:
        store.metas[name]["machine"] = {"cores": 2, "load_at_start": 7.5}
    scores = score(store, suite)
    scores.loc[scores["tracker"] == "beside", "fps"] = np.nan
    heads = [w.head for w in warnings_of(scores, store.metas)]
    assert [h for h in heads if "too low" in h and "beside" in h] == []
    assert "beside: timed beside other jobs or from a cache; frames per second left out" in heads
    assert any(h.startswith("Timing of alone: the machine was busy") for h in heads)


def test_faults_of_one_kind_are_one_warning():
    names = tuple(f"a-tracker-with-a-name-{k}" for k in range(6))
    store, suite = made_up(names)
    for name in names:
        store.metas[name]["fingerprint"] = {"options": {}}
    warnings = warnings_of(score(store, suite), store.metas)
    (one,) = (w for w in warnings if "made before stamps" in w.head)
    assert one.head.startswith("6 trackers: made before stamps") and one.details == names
    assert str(one).startswith(", ".join(names) + ": made before stamps")
    page = render_page(collect(store, suite))
    box = re.search(r'<section class="warnings".*?</section>', page, re.S)[0]
    assert box.count("<li>") == len(warnings) and box.count("made before stamps") == 1
    assert all(name in re.search(r"<details>.*?</details>", box, re.S)[0] for name in names)


def test_text_of_results_cannot_become_markup(page):
    assert "<script>alert" not in page and "&lt;script&gt;alert(1)" in page


def test_curves_in_the_page_are_the_scores(found, page):
    data = data_of(page)
    packed = np.frombuffer(base64.b64decode(data["values"]), "<u2")
    names = [s["name"] for s in data["sequences"]]
    trackers = [t["name"] for t in data["trackers"]]
    tables = [found.scores, *(found.others[r] for r in RULES[1:])]
    at = 0
    for rule, table in zip(RULES, tables):
        for curve, length in zip(CURVES, (21, 51, 51)):
            size = len(names) * len(trackers) * length
            part = packed[at : at + size].reshape(len(names), len(trackers), length)
            at += size
            rows = table.set_index(["sequence", "tracker"])[f"{curve}_curve"]
            for s, name in enumerate(names):
                for k, tracker in enumerate(trackers):
                    expected = rows[name, tracker]
                    if np.isnan(expected).all():
                        assert rule == "rolo2016" and (part[s, k] == 65535).all()
                    else:
                        assert np.abs(part[s, k] / SCALE - expected).max() < 2e-5
    assert at == len(packed)


def test_overlaps_in_the_page_are_means_over_stretches(found, page):
    data = data_of(page)["overlaps"]
    values = np.frombuffer(base64.b64decode(data["data"]), np.uint8)
    assert data["bins"] == [60] * 8 and BINS == 100  # 60 frames: one value each
    ranked = [t["name"] for t in data_of(page)["trackers"]]
    from rolo_bench.boxes import iou

    first = found.suite.sequences[0]
    boxes = found.store.load("made-up", "ope", ranked[1], first.name)[0].boxes
    assert np.abs(values[60:120] / 250 - iou(boxes, first.truth)).max() <= 0.5 / 250 + 1e-9


def test_summary_ranks_fair_trackers_only(page):
    table = re.search(r'<table class="sortable">.*?</table>', page, re.S)[0]
    rows = re.findall(
        r"<tr( class=\"oracle\")?>\s*<td>(.*?)</td>\s*<th[^>]*>\s*<svg.*?</svg>(.*?)</th>", table, re.S
    )
    assert [(r, n) for _, r, n in rows] == [
        ("1", "alpha"), ("2", "beta"), ("3", "gamma\N{DAGGER}"), ("\N{EN DASH}", "peek (oracle)"),
    ]  # fmt: skip
    assert bool(rows[3][0]) and "not ranked" in table and "best" in table


def test_heat_cells_frame_the_best_fair_tracker(found):
    table = matrix(found.scores)
    for name, cells in heat_rows(table, ["alpha", "beta", "gamma"]):
        row = table.loc[name, ["alpha", "beta", "gamma"]]
        framed = [c for c, cell in zip(table.columns, cells) if cell.best]
        assert framed == [row.idxmax()]
    assert shade(0.0) == ("#00224e", "#ffffff") and shade(1.0) == ("#fee838", "#000000")
    assert shade(float("nan"))[0] == "#ffffff"
    ((_, cells),) = heat_rows(pd.DataFrame({"a": [0.52], "b": [np.nan]}, index=["x"]), ["a", "b"])
    assert [(c.value, c.level, c.best) for c in cells] == [("0.520", 10, True), ("\N{EN DASH}", None, False)]


def test_numbers_in_heat_tables_stand_out():
    """Contrast of at least 4.5 (WCAG 1.4.3) in every shade."""

    def light(colour):
        parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    for level in range(LEVELS + 1):
        low, high = sorted(map(light, shade(level / LEVELS)))
        assert (high + 0.05) / (low + 0.05) >= 4.5, level


def test_intervals_are_drawn_on_a_scale_that_they_fill():
    scale = scale_of([0.40, 0.44], [0.46, 0.49])
    assert 0.39 < scale.low < 0.40 and 0.49 < scale.high < 0.50
    assert [text for text, _ in scale.ticks] == ["0.40", "0.44", "0.48"]
    assert scale.place(0.49) - scale.place(0.40) > 0.75 * scale.width
    assert scale.place(2) == scale.width - 8 and scale.place(-1) == 8
    flat = scale_of([0.5], [0.5])  # one sequence
    assert flat.low < 0.5 < flat.high and len(flat.ticks) >= 3
    assert [text for text, _ in scale_of([0.1], [0.78]).ticks] == ["0.2", "0.4", "0.6", "0.8"]


def test_ticks_of_a_scale_are_two_at_least_and_apart():
    for span in np.geomspace(0.001, 1, 60):
        for low in np.linspace(0, 1 - span, 23):
            ticks = scale_of([low], [low + span]).ticks
            gaps = np.diff([x for _, x in ticks])
            assert len(ticks) >= 2 and gaps.min() > 6.2 * max(len(text) for text, _ in ticks), (low, span)


def test_an_oracle_does_not_stretch_the_scale(page):
    table = re.search(r'<table class="sortable">.*?</table>', page, re.S)[0]
    bars = re.findall(r'<td class="interval">.*?</td>', table, re.S)
    assert len(bars) == 4 and all("<svg" in b and "<line" in b for b in bars)


def test_latex_tables(found, tmp_path):
    paths = latex_tables(found.scores, tmp_path, found.published)
    assert {p.name for p in paths} == {"summary.tex", "sequences.tex", "attributes.tex", "pairs.tex"}
    text = (tmp_path / "summary.tex").read_text()
    assert text.startswith("% needs \\usepackage{booktabs}\n")
    assert r"\caption{made-up, 8 of 30 sequences, OPE, convention otb.}" in text
    assert "peek" not in text and r"\toprule" in text and "alpha" in text
    assert "peek" not in (tmp_path / "pairs.tex").read_text()
    for name in ("sequences", "attributes"):
        text = (tmp_path / f"{name}.tex").read_text()
        assert text.count("peek") == text.count("peek (oracle)") == 1


def test_an_oracle_is_called_so_wherever_the_page_shows_its_name(page):
    """Only the script's data and run.json hold the plain name; the warning says in words what it is."""
    shown = re.sub(r"<script.*?</script>|<pre.*?</pre>|Oracle: peek saw the truth", "", page, flags=re.S)
    # the summary, both heat tables, its worst failure and the link of that, the provenance
    assert shown.count("peek") == shown.count("peek (oracle)") == 6
    assert next(t for t in data_of(page)["trackers"] if t["name"] == "peek")["label"] == "peek (oracle)"


def test_names_and_colours_of_the_project_file_hold_in_the_report(tmp_path, monkeypatch):
    data = otb_folder(tmp_path / "videos")
    store, truth = Store(tmp_path / "results"), square_sequence().truth
    for sequence in ("Square", "Other"):
        store.save("videos", RunResult("mine", sequence, "ope", truth + 1, np.full(len(truth), 0.01)))
    (tmp_path / "rolo-bench.toml").write_text(
        f'suite = "{data}"\nresults = "results"\n[labels]\nmine = "Mine & <co>"\n[colours]\nmine = "#123456"\n'
    )
    monkeypatch.chdir(tmp_path)
    assert main(["report", "--no-frames"]) == 0
    page = (tmp_path / "report.html").read_text()
    (tracker,) = data_of(page)["trackers"]
    assert (tracker["name"], tracker["label"], tracker["colour"]) == ("mine", "Mine & <co>", "#123456")
    assert page.count("Mine &amp; &lt;co&gt;") >= 3 and 'stroke="#123456"' in page


def test_report_is_a_web_page(found, tmp_path):
    with pytest.raises(UsageError, match=r"\.html"):
        write_report(tmp_path / "report.pdf", found)


def test_command_writes_page_pictures_and_tables(tmp_path, capsys):
    data = otb_folder(tmp_path / "videos")
    store = Store(tmp_path / "results")
    truth = square_sequence().truth
    for sequence in ("Square", "Other"):
        store.save("videos", RunResult("mine", sequence, "ope", truth + 1, np.full(len(truth), 0.01)))
    out = tmp_path / "r.html"
    command = ["report", "--suite", str(data), "--results", str(store.root), "-o", str(out)]
    assert main([*command, "--frames", "2", "--latex", str(tmp_path / "tex")]) == 0
    assert str(out) in capsys.readouterr().out and (tmp_path / "tex" / "summary.tex").is_file()
    text = out.read_text()
    reels = pictures_of(text)
    assert [(r["sequence"], r["frames"]) for r in reels] == [("Other", [1, 30]), ("Square", [1, 30])]
    assert base64.b64decode(reels[1]["images"][0]).startswith(b"\xff\xd8")
    assert main([*command, "--no-frames"]) == 0
    assert pictures_of(out.read_text()) == []


@pytest.fixture(scope="module")
def lost(tmp_path_factory):
    """Two trackers on own videos: ``good`` is right, ``lost`` leaves the target after frame 10 of Square."""
    folder = tmp_path_factory.mktemp("lost")
    data = otb_folder(folder / "videos")
    store, truth = Store(folder / "results"), square_sequence().truth
    away = truth.copy()
    away[10:20, 0] += 500
    for name, boxes in (("good", truth), ("lost", away)):
        for sequence in ("Square", "Other"):
            seconds = np.full(len(truth), 0.01)
            rows = boxes if sequence == "Square" else truth
            store.save("videos", RunResult(name, sequence, "ope", rows, seconds))
    return collect(store, load_suite(str(data)))


def test_boxes_of_every_tracker_travel_with_the_frames(lost):
    data = render_page(lost, frames=4)
    (_, square) = pictures_of(data)
    names = [t["name"] for t in data_of(data)["trackers"]]
    rows = np.frombuffer(base64.b64decode(square["boxes"]), "<f4").reshape(4, 1 + len(names), 4)
    first = lost.suite.sequences[1].first_frame
    for boxes, number in zip(rows, square["frames"]):
        assert boxes[0] == pytest.approx(lost.suite.sequences[1].truth[number - first], rel=1e-6)
        for k, name in enumerate(names):
            run = lost.store.load("videos", "ope", name, "Square")[0]
            assert boxes[k + 1] == pytest.approx(run.boxes[number - first], rel=1e-6)
    image = lost.suite.sequences[0].frames.image(0)
    assert square["sizes"][0] == [image.shape[1], image.shape[0]]


def test_clips_are_of_the_worst_failure_of_each_tracker(lost):
    data = render_page(lost, clips=True)
    assert data_of(data)["losses"] == [{"tracker": 1, "sequence": "Square", "frames": 10, "start": 11}]
    (clip,) = pictures_of(data)
    assert (clip["sequence"], clip["tracker"], clip["start"]) == ("Square", 1, 11)
    assert clip["frames"] == list(
        range(2, 31, STEP)
    )  # from 24 frames before, of which 9 are there, in steps of 3
    assert "Worst failures" in data and 'href="#loss=0"' in data


@pytest.mark.parametrize(
    ("overlaps", "expected"),
    [
        ([1, 0.5, 0.2], (0, 0)),
        ([1, 0, 0, 0.1, 0, 0.3], (1, 2)),
        ([1, 0, 0.1, 0, 0, 0], (3, 3)),  # lost to the end
        ([0, 0, 0, 0.5, 0, 1], (4, 1)),  # what was never held is not lost
        ([1, 0, np.nan, 0, 0.5], (1, 2)),  # no truth: not counted
        ([1, np.nan, 0, 1], (2, 1)),
        ([np.nan, np.nan], (0, 0)),
    ],
)
def test_the_longest_loss(overlaps, expected):
    assert longest_loss(np.array(overlaps, float)) == expected


def test_pictures_keep_within_their_budget(lost, monkeypatch):
    sequences = lost.scored_sequences()
    free = sum(len(i) for r in reels(sequences, 8) for i in r.images)
    monkeypatch.setattr("rolo_bench.report.pictures.WIDTH", 200)
    monkeypatch.setattr("rolo_bench.report.pictures.BUDGET", free // 2)
    monkeypatch.setattr("rolo_bench.report.pictures.LEAST", 10)
    assert sum(len(i) for r in reels(sequences, 8) for i in r.images) <= free // 2


# In a real browser


def legend_of(browser: Browser, identifier: str = "legend", column: int = 1) -> dict[str, float | None]:
    rows = browser.run(
        "return [...document.querySelectorAll(arguments[0])].map(r => [...r.cells].map(c => c.textContent))",
        f"#{identifier} tr",
    )
    return {row[0]: (float(row[column]) if row[column][0].isdigit() else None) for row in rows}


@pytest.fixture(scope="module")
def browser_path(page, tmp_path_factory):
    need_browser()
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(page, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser(browser_path):
    made = Browser(browser_path, 1280)
    yield made
    made.close()


def test_page_opens_without_errors_and_draws_every_tracker(browser):
    assert browser.driver.get_log("browser") == []
    assert browser.run("return document.querySelectorAll('#chart path').length") == 4
    assert (
        browser.run("return document.querySelectorAll('#overlap path').length") == 3
    )  # the best three fair ones
    texts = browser.run("return [...document.querySelectorAll('#chart text')].map(t => t.textContent)")
    assert KINDS["success"].y in texts and KINDS["success"].x in texts
    assert "Overlap (IoU)" in browser.run("return document.querySelector('#overlap').textContent")


def test_legend_follows_figure_convention_and_attribute(browser, found):
    labels = {"alpha": "alpha", "beta": "beta", "gamma": "gamma\N{DAGGER}", "peek": "peek (oracle)"}

    def expect(table, column):
        means = table.groupby("tracker")[column].mean().sort_values(ascending=False)
        shown = legend_of(browser)
        assert list(shown) == [labels[t] for t in means.index]
        for tracker, value in means.items():
            assert shown[labels[tracker]] == pytest.approx(value, abs=6e-4)

    expect(found.scores, "auc")
    browser.choose("convention", "pysot")
    expect(found.others["pysot"], "auc")
    browser.choose("kind", "Precision")
    expect(found.others["pysot"], "precision20")
    browser.choose("convention", "rolo2016")
    assert set(legend_of(browser).values()) == {None}
    assert "no such curve" in browser.one("#note").text
    browser.choose("convention", "otb")
    browser.choose("kind", "Success")
    part = found.scores[["OCC" in flags for flags in found.scores["attributes"]]]
    browser.choose("attribute", f"occlusion ({part['sequence'].nunique()})")
    expect(part, "auc")
    assert "Wilcoxon" in browser.one("#note").text
    browser.choose("attribute", "all (8)")
    expect(found.scores, "auc")


def test_trackers_toggle_by_keyboard_and_buttons(browser):
    from selenium.webdriver.common.keys import Keys

    box = browser.one("#legend input")
    box.send_keys(Keys.SPACE)
    assert browser.run("return document.querySelectorAll('#chart path').length") == 3
    box.send_keys(Keys.SPACE)
    browser.one("[data-show=none][data-of=curves]").send_keys(Keys.ENTER)
    assert browser.run("return document.querySelectorAll('#chart path').length") == 0
    browser.one("[data-show=all][data-of=curves]").click()
    assert browser.run("return document.querySelectorAll('#chart path').length") == 4
    assert (
        browser.run("return document.querySelectorAll('#overlap path').length") == 3
    )  # has ticks of its own
    browser.one("#legend-one tr:not(.off) input").send_keys(Keys.SPACE)
    assert browser.run("return document.querySelectorAll('#overlap path').length") == 2
    assert browser.run("return document.querySelectorAll('#chart path').length") == 4
    browser.one("[data-show=three]").click()
    assert browser.run("return document.querySelectorAll('#overlap path').length") == 3


def test_slider_and_pointer_move_the_threshold(browser):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    slider = browser.one("#at")
    slider.send_keys(Keys.HOME)
    assert browser.one("#threshold").text == "0"
    slider.send_keys(Keys.ARROW_RIGHT)
    assert browser.one("#threshold").text == "0.05"
    assert slider.get_attribute("aria-valuetext") == "overlap threshold 0.05"
    ActionChains(browser.driver).move_to_element(browser.one("#chart")).perform()
    assert browser.one("#threshold").text in ("0.45", "0.5")  # the middle, less the room of the labels
    assert browser.one("#legend-at").text == "at " + browser.one("#threshold").text


def test_summary_sorts_both_ways(browser):
    def names():
        return browser.run(
            "return [...document.querySelectorAll('.sortable tbody tr')].map(r => r.cells[1].textContent.trim())"
        )

    button = browser.one(".sortable th:nth-child(3) button")
    button.click()
    first = names()
    assert browser.one(".sortable th:nth-child(3)").get_attribute("aria-sort") == "descending"
    button.click()
    assert names() == first[::-1] and first[0] == "alpha"
    browser.one(".sortable th:nth-child(1) button").click()
    assert names()[0] == "alpha" and names()[-1] == "peek (oracle)"
    browser.run("document.querySelector('.sortable tr:nth-child(2) td:last-child').textContent = '0.1 M'")
    browser.one(".sortable th:last-child button").click()
    speeds = browser.run(
        "return [...document.querySelectorAll('.sortable td:last-child')].map(c => +c.dataset.value)"
    )
    assert speeds == sorted(speeds, reverse=True)  # by the values, not by the words


def test_sequence_links_lead_to_the_sequence(browser):
    browser.one("a[href='#seq=Seq03']").click()
    end = time.monotonic() + 5
    while not browser.one("#facts").text.startswith("Seq03"):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert browser.run("return document.activeElement.id") == "one-title"
    browser.one("#next").click()
    assert browser.one("#facts").text.startswith("Seq04: 60 frames")


def test_every_control_has_an_accessible_name(browser):
    check_names(browser, {"button", "checkbox", "combobox", "slider", "link", "image", "table", "heading"})


def test_focus_moves_through_all_controls_by_tab_and_is_seen(browser):
    steps = walk(browser)
    assert {
        "kind", "convention", "attribute", "at", "All", "Best five", "None", "sequence", "previous", "next",
        "Save the figure as SVG", "Save the overlap as PNG",
    } <= {s["text"] for s in steps}  # fmt: skip
    assert [s for s in steps if not s["outline"] or not s["inside"]] == []
    assert sum(s["tag"] == "SUMMARY" for s in steps) >= 4


@pytest.mark.parametrize("width", [390, 1280])
def test_page_fits_phone_and_laptop(browser_path, width):
    made = Browser(browser_path, width)
    try:
        assert made.run("return document.documentElement.scrollWidth") <= width
        assert made.run("return document.querySelector('#chart svg').getBoundingClientRect().right") <= width
        small = made.run(
            "return [...document.querySelectorAll('body *')].filter(e => e.childElementCount === 0 && "
            "e.textContent.trim() && e.getBoundingClientRect().width > 1 && "
            "parseFloat(getComputedStyle(e).fontSize) < 11).map(e => e.tagName)"
        )
        assert small == []
    finally:
        made.close()


@pytest.fixture(scope="module")
def film(lost, tmp_path_factory):
    """A page with frames and a clip, in the browser."""
    need_browser()
    path = write_report(tmp_path_factory.mktemp("film") / "film.html", lost, frames=5, clips=True)
    made = Browser(path, 1280)
    yield made
    made.close()


def test_frames_are_scrubbed_by_keys_strip_and_curve(film):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    def shown():
        label = film.run("return document.querySelector('#screen svg').getAttribute('aria-label')")
        return int(re.search(r"frame (\d+)", label)[1]), film.one("#frame-number").text

    film.choose("sequence", "Square")
    slider = film.one("#frame")
    slider.send_keys(Keys.HOME)
    assert shown() == (1, "1")
    slider.send_keys(Keys.ARROW_RIGHT)
    assert shown() == (8, "8") and slider.get_attribute("aria-valuetext") == "frame 8"
    film.one("#strip button:nth-child(5)").click()
    assert shown() == (30, "30")
    film.one("#strip [aria-current]").send_keys(Keys.ARROW_LEFT)
    assert shown() == (23, "23")
    assert film.run("return document.activeElement.getAttribute('aria-label')") == "Show frame 23"
    chart = film.one("#overlap")
    ActionChains(film.driver).move_to_element_with_offset(
        chart, -chart.size["width"] // 2 + 62, 0
    ).click().perform()
    assert shown() == (1, "1")
    film.one("#play").send_keys(Keys.SPACE)
    assert film.one("#play").text == "Pause"
    end = time.monotonic() + 10
    while shown()[0] == 1:
        assert time.monotonic() < end
        time.sleep(0.05)
    film.one("#play").send_keys(Keys.SPACE)
    assert film.one("#play").text == "Play"


def test_ticks_choose_the_boxes_and_the_legend_tells_the_overlap(film):
    def boxes():
        return film.run("return document.querySelectorAll('#screen rect').length") // 2

    film.one("a[href='#loss=0']").click()
    end = time.monotonic() + 5
    while "lost fails at 11" not in film.one("#reel").text or film.one("#frame-number").text != "11":
        assert time.monotonic() < end
        time.sleep(0.05)
    assert legend_of(film, "legend-one", 2) == {"good": 1.0, "lost": 0.0}
    assert boxes() == 3
    film.one("[data-show=none][data-of=one]").click()
    assert boxes() == 1  # the truth
    film.one("[data-show=all][data-of=one]").click()
    assert boxes() == 3
    film.choose("reel", "all along (5)")
    assert film.run("return document.querySelectorAll('#strip button').length") == 5
    check_names(film, {"slider", "image", "button"})


def whole(path: Path) -> bool:
    """Whether a figure has been written to its end, which the browser does under its name."""
    ends = {".svg": b"</svg>", ".png": b"IEND\xaeB`\x82"}
    return path.suffix in ends and path.read_bytes().rstrip().endswith(ends[path.suffix])


def saved(browser: Browser, folder: Path, button: str) -> Path:
    """The file that a click on a button leads to."""
    before = set(folder.iterdir())
    browser.one(f"[aria-label='{button}']").click()
    end = time.monotonic() + 20
    while not (new := [p for p in set(folder.iterdir()) - before if whole(p)]):
        assert time.monotonic() < end, browser.driver.get_log("browser")
        time.sleep(0.05)
    return new[0]


def test_figures_are_saved_whole_with_their_legends(film, tmp_path):
    where = {"behavior": "allow", "downloadPath": str(tmp_path)}
    film.driver.execute_cdp_cmd("Browser.setDownloadBehavior", where)
    for words, labels in (
        ("the figure", ["Success", KINDS["success"].x, KINDS["success"].y, "good", "lost"]),
        ("the overlap", ["Overlap (IoU)", "good", "lost"]),
        ("the frame", ["good", "lost"]),
    ):
        root = ElementTree.fromstring(saved(film, tmp_path, f"Save {words} as SVG").read_text())
        texts = ["".join(e.itertext()) for e in root.iter("{http://www.w3.org/2000/svg}text")]
        assert set(labels) <= set(texts), texts
        with Image.open(saved(film, tmp_path, f"Save {words} as PNG")) as picture:
            colours = picture.convert("RGB").getcolors(1 << 24)
            assert picture.width >= 1000 and len(colours) > 50  # drawn, not blank
    assert film.driver.get_log("browser") == []


def test_the_page_prints_whole_on_a4(browser, film):
    """Laid out for the 186 mm between the margins, nothing is wider, dark, closed or cut."""
    for page in (browser, film):
        found = on_paper(page)
        assert found["figures"] == 4 and 2 <= found["pages"] <= 9
        assert page.run("return document.querySelectorAll('details[open]').length") == 0


@pytest.mark.parametrize(("count", "landscape"), [(12, False), (30, True)])
def test_wide_tables_print_whole(count, landscape, tmp_path):
    need_browser()
    names = tuple(f"a-tracker-of-long-name-{k:02d}" for k in range(count))
    store, suite = made_up(names, count=2, frames=20)
    made = Browser(write_report(tmp_path / "wide.html", collect(store, suite)), 1280)
    try:
        if not landscape:
            on_paper(made)
        width = 1032 if landscape else 703
        size = {"width": width, "height": 700, "deviceScaleFactor": 1, "mobile": False}
        made.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
        made.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        assert (
            made.run("return document.querySelector('#sequences table').getBoundingClientRect().right")
            <= width
        )
        page = made.run("return getComputedStyle(document.querySelector('#sequences')).page")
        assert page == ("across" if landscape else "auto")
    finally:
        made.close()


@dataclass
class Same:
    """Frames of a video that does not change."""

    picture: np.ndarray
    count: int

    def __len__(self) -> int:
        return self.count

    def image(self, index: int) -> np.ndarray:
        return self.picture


@pytest.mark.slow
def test_twelve_trackers_on_a_hundred_sequences(tmp_path, browser_path):
    store, suite = made_up(tuple(f"tracker-{k:02d}" for k in range(12)), count=100, frames=200)
    found = collect(store, suite, conventions=RULES)
    path = write_report(tmp_path / "big.html", found)
    assert path.stat().st_size < 6_000_000
    rng = np.random.default_rng(0)
    image = cv2.resize(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8), (640, 480))  # rich in detail
    seen = replace(suite, sequences=tuple(replace(s, frames=Same(image, len(s))) for s in suite.sequences))
    filled = write_report(tmp_path / "filled.html", replace(found, suite=seen), 6, clips=True)
    assert 4_000_000 < filled.stat().st_size < 6_000_000
    made = Browser(browser_path, 1280)  # of another page, so that the browser has started
    try:
        made.open(path)
        end = time.monotonic() + 20
        while (paint := made.run("return performance.getEntriesByName('first-contentful-paint')[0]")) is None:
            assert time.monotonic() < end, (
                "nothing was painted"
            )  # entries come a little after the page is ready
            time.sleep(0.05)
        assert paint["startTime"] < 1000
    finally:
        made.close()
