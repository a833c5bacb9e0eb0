"""Headless Chromium on a page, where it is installed."""

from __future__ import annotations

import base64
import itertools
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


def need_browser() -> None:
    """Skip the test where there is no browser to drive."""
    if chromium() is None or shutil.which("chromedriver") is None:
        pytest.skip("needs chromium and chromedriver on PATH (Debian: chromium, chromium-driver)")
    pytest.importorskip("selenium", reason="needs selenium: pip install 'rolo-bench[test]'")


def chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def driver_of(profile: str, width: int, height: int = 800) -> Any:
    """A selenium driver, as wide and high as is said, without a page."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(chromium())
    flags = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync --force-prefers-reduced-motion "
        "--autoplay-policy=no-user-gesture-required"
    )
    for flag in flags.split():
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={profile}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    driver.set_script_timeout(30)
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    return driver


@contextmanager
def browser(width: int = 1280, height: int = 800) -> Iterator[Any]:
    """A driver for as long as it lasts."""
    need_browser()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        driver = driver_of(profile, width, height)
        try:
            yield driver
        finally:
            driver.quit()


def until(holds: Callable[[], Any], seconds: float = 20) -> Any:
    """What ``holds`` gives as soon as that is true."""
    end = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < end, "it did not come to hold"
        time.sleep(0.05)
    return found


class Browser:
    """Headless Chromium on one page, with its console."""

    def __init__(self, path: Path, width: int) -> None:
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.driver = driver_of(self.profile.name, width)
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

    def close(self) -> None:
        self.driver.quit()
        self.profile.cleanup()


def check_names(browser: Browser, expected: set[str]) -> None:
    """Whatever can be operated, seen or jumped to has a name; headings go down one level at a time."""
    tree = browser.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    roles = {
        "button", "checkbox", "combobox", "slider", "link", "image", "table", "region", "group", "navigation",
        "DisclosureTriangle", "columnheader", "rowheader", "heading",
    }  # fmt: skip
    seen, levels = set(), []
    for node in tree:
        role = node.get("role", {}).get("value")
        if node.get("ignored") or role not in roles:
            continue
        seen.add(role)
        if role == "heading":
            levels += [p["value"]["value"] for p in node["properties"] if p["name"] == "level"]
        if role != "group" or not node.get("properties"):  # a disclosure is a group, named by its summary
            assert node.get("name", {}).get("value", "").strip() or role == "group", (role, node)
    assert expected <= seen
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels)), levels


def walk(browser: Browser, most: int = 120) -> list[dict]:
    """What the Tab key leads to, in order, and whether it shows that it has the focus."""
    from selenium.webdriver.common.keys import Keys

    browser.run("document.querySelector('.skip').focus()")
    seen = []
    for _ in range(most):
        browser.driver.switch_to.active_element.send_keys(Keys.TAB)
        seen.append(
            browser.run(
                "const e = document.activeElement, s = getComputedStyle(e), r = e.getBoundingClientRect();"
                "return {tag: e.tagName, text: (e.id || e.getAttribute('aria-label') || e.textContent || '').trim(),"
                " outline: s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2,"
                " inside: r.bottom > 0 && r.top < innerHeight && r.right > 0 && r.left < innerWidth}"
            )
        )
        if len(seen) > 1 and seen[-1]["tag"] == "BODY":
            return seen[:-1]
    raise AssertionError("the walk does not end")


LAID_OUT = """
const shown = [...document.querySelectorAll("body *")].filter(
  (e) => !e.ownerSVGElement && e.getBoundingClientRect().width > 1);
const names = (list) => list.map((e) => [e.tagName, e.getAttribute("class"), e.textContent.slice(0, 30)].join(" "));
const dark = (e) => {
  const m = getComputedStyle(e).backgroundColor.match(/[\\d.]+/g).map(Number);
  return m[3] !== 0 && m[0] + m[1] + m[2] < 600;
};
const cut = (e) => /auto|scroll|hidden/.test(getComputedStyle(e).overflow) && !e.closest("svg") &&
  (e.scrollHeight > e.clientHeight + 1 || e.scrollWidth > e.clientWidth + 1);
return {
  wide: names(shown.filter((e) => e.getBoundingClientRect().right > 704)), dark: names(shown.filter(dark)),
  cut: names(shown.filter(cut)), closed: document.querySelectorAll("details:not([open])").length,
  figures: document.querySelectorAll(".paper > svg").length,
};
"""


def on_paper(browser: Browser) -> dict:
    """Lays a page out for the 186 mm between the margins of A4: nothing is wider, dark, closed or cut.

    Gives the number of its pages and of the figures that are made for paper.
    """
    pdf = base64.b64decode(
        browser.driver.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})["data"]
    )
    sizes = [(float(w), float(h)) for w, h in re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", pdf)]
    assert sizes and all(abs(w - 595) < 2 and abs(h - 842) < 2 for w, h in sizes)
    size = {"width": 703, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.run("dispatchEvent(new Event('beforeprint'))")
    try:
        found = browser.run(LAID_OUT)
    finally:
        browser.run("dispatchEvent(new Event('afterprint'))")
        browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
        screen = size | {"width": 1280, "height": 800}
        browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    figures = found.pop("figures")
    assert found == {"wide": [], "dark": [], "cut": [], "closed": 0}
    return {"pages": len(sizes), "figures": figures}
