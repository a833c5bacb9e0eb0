"""The report page: complete, self-contained, correct numbers, and working in a real browser."""

from __future__ import annotations

import base64
import json
import re
import shutil
import tempfile
import time
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from rolo_bench.cli import main
from rolo_bench.errors import UsageError
from rolo_bench.report.data import BINS, SCALE, collect, thumbnails
from rolo_bench.report.page import heat_rows, latex_tables, render_page, shade, write_report
from rolo_bench.run.store import RunResult, Store
from rolo_bench.scores.provenance import warnings_of
from rolo_bench.scores.score import CURVES, score
from rolo_bench.scores.summary import matrix
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
    assert "default-src 'none'" in page
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
    rows = re.findall(r"<tr( class=\"oracle\")?>\s*<td>(.*?)</td>.*?</svg>(.*?)</th>", table, re.S)
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


def test_latex_tables(found, tmp_path):
    paths = latex_tables(found.scores, tmp_path, found.published)
    assert {p.name for p in paths} == {"summary.tex", "sequences.tex", "attributes.tex", "pairs.tex"}
    text = (tmp_path / "summary.tex").read_text()
    assert text.startswith("% made-up, 8 of 30 sequences, ope, convention otb")
    assert "peek" not in text and r"\toprule" in text and "alpha" in text
    assert "peek" not in (tmp_path / "pairs.tex").read_text()
    for name in ("sequences", "attributes"):
        text = (tmp_path / f"{name}.tex").read_text()
        assert text.count("peek") == text.count("peek (oracle)") == 1


def test_an_oracle_is_called_so_wherever_the_page_shows_its_name(page):
    """Only the script's data and run.json hold the plain name; the warning says in words what it is."""
    shown = re.sub(r"<script.*?</script>|<pre.*?</pre>|Oracle: peek saw the truth", "", page, flags=re.S)
    # the summary, both heat tables, the provenance
    assert shown.count("peek") == shown.count("peek (oracle)") == 4
    assert next(t for t in data_of(page)["trackers"] if t["name"] == "peek")["label"] == "peek (oracle)"


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
    pictures = json.loads(re.search(r'id="pictures">(.*?)</script>', text, re.S)[1])
    assert [p["frame"] for p in pictures["Square"]] == ["11", "20"]
    assert base64.b64decode(pictures["Other"][0]["image"].split(",")[1]).startswith(b"\xff\xd8")


def test_thumbnails_are_small(tmp_path):
    data = otb_folder(tmp_path / "videos")
    from rolo_bench.datasets.suites import load_suite

    store = Store(tmp_path / "results")
    truth = square_sequence().truth
    for sequence in ("Square", "Other"):
        store.save("videos", RunResult("mine", sequence, "ope", truth, np.full(len(truth), 0.01)))
    made = thumbnails(collect(store, load_suite(str(data))), 3)
    assert len(made) == 2 and all(len(p["image"]) < 90_000 for v in made.values() for p in v)


# In a real browser


def chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Browser:
    """Headless Chromium on one page, with its console."""

    def __init__(self, path: Path, width: int) -> None:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service

        options = webdriver.ChromeOptions()
        options.binary_location = str(chromium())
        flags = (
            "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
            "--disable-component-update --disable-sync --force-prefers-reduced-motion"
        )
        for flag in flags.split():
            options.add_argument(flag)
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        options.add_argument(f"--user-data-dir={self.profile.name}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.open(path)

    def open(self, path: Path) -> None:
        self.driver.get(path.as_uri())
        end = time.monotonic() + 20
        while self.run("return document.documentElement.dataset.ready") != "yes":
            assert time.monotonic() < end, self.driver.get_log("browser")
            time.sleep(0.05)

    def run(self, script: str, *values):
        return self.driver.execute_script(script, *values)

    def one(self, css: str):
        return self.driver.find_element("css selector", css)

    def choose(self, identifier: str, text: str) -> None:
        from selenium.webdriver.support.select import Select

        Select(self.one(f"#{identifier}")).select_by_visible_text(text)

    def legend(self) -> dict[str, float | None]:
        rows = self.run(
            "return [...document.querySelectorAll('#legend tr')].map(r => [...r.cells].map(c => c.textContent))"
        )
        return {name: (float(value) if value[0].isdigit() else None) for name, value, _ in rows}

    def close(self) -> None:
        self.driver.quit()
        self.profile.cleanup()


@pytest.fixture(scope="module")
def browser_path(page, tmp_path_factory):
    if chromium() is None or shutil.which("chromedriver") is None:
        pytest.skip("needs chromium and chromedriver on PATH (Debian: chromium, chromium-driver)")
    pytest.importorskip("selenium", reason="needs selenium: pip install 'rolo-bench[test]'")
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
    assert browser.run("return document.querySelectorAll('#overlap path').length") == 4


def test_legend_follows_figure_convention_and_attribute(browser, found):
    labels = {"alpha": "alpha", "beta": "beta", "gamma": "gamma\N{DAGGER}", "peek": "peek (oracle)"}

    def expect(table, column):
        means = table.groupby("tracker")[column].mean().sort_values(ascending=False)
        shown = browser.legend()
        assert list(shown) == [labels[t] for t in means.index]
        for tracker, value in means.items():
            assert shown[labels[tracker]] == pytest.approx(value, abs=6e-4)

    expect(found.scores, "auc")
    browser.choose("convention", "pysot")
    expect(found.others["pysot"], "auc")
    browser.choose("kind", "Precision")
    expect(found.others["pysot"], "precision20")
    browser.choose("convention", "rolo2016")
    assert set(browser.legend().values()) == {None}
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
    assert browser.run("return document.querySelectorAll('#overlap path').length") == 3
    box.send_keys(Keys.SPACE)
    browser.one("[data-show=none]").send_keys(Keys.ENTER)
    assert browser.run("return document.querySelectorAll('#chart path').length") == 0
    browser.one("[data-show=all]").click()
    assert browser.run("return document.querySelectorAll('#chart path').length") == 4


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
    assert browser.one("#threshold").text in ("0.5", "0.55")
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
    tree = browser.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    roles = {
        "button",
        "checkbox",
        "combobox",
        "slider",
        "link",
        "image",
        "table",
        "region",
        "DisclosureTriangle",
    }
    seen = set()
    for node in tree:
        role = node.get("role", {}).get("value")
        if node.get("ignored") or role not in roles:
            continue
        seen.add(role)
        assert node.get("name", {}).get("value", "").strip(), (role, node)
    assert {"button", "checkbox", "combobox", "slider", "link", "image"} <= seen


def test_focus_moves_through_all_controls_by_tab(browser):
    from selenium.webdriver.common.keys import Keys

    browser.run(
        "window.visited = []; document.activeElement.blur(); scrollTo(0, 0);"
        "addEventListener('focusin', e => visited.push(e.target.id || e.target.dataset.show || e.target.tagName))"
    )
    browser.one("body").send_keys(Keys.TAB * 70)
    seen = set(browser.run("return visited"))
    assert {
        "kind",
        "convention",
        "attribute",
        "at",
        "all",
        "five",
        "none",
        "sequence",
        "next",
        "SUMMARY",
    } <= seen


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


@pytest.mark.slow
def test_twelve_trackers_on_a_hundred_sequences(tmp_path, browser_path):
    store, suite = made_up(tuple(f"tracker-{k:02d}" for k in range(12)), count=100, frames=590)
    begin = time.process_time()
    path = write_report(tmp_path / "big.html", collect(store, suite, conventions=RULES))
    assert time.process_time() - begin < 5
    assert path.stat().st_size < 6_000_000
    made = Browser(path, 1280)
    try:
        made.open(path)  # the second time: without the browser's own start
        end = time.monotonic() + 20
        while (paint := made.run("return performance.getEntriesByName('first-contentful-paint')[0]")) is None:
            assert time.monotonic() < end, (
                "nothing was painted"
            )  # entries come a little after the page is ready
            time.sleep(0.05)
        assert paint["startTime"] < 1000
    finally:
        made.close()
