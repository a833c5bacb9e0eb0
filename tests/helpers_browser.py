"""Headless Chromium on a page, where it is installed."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

import pytest


def need_browser() -> None:
    """Skip the test where there is no browser to drive."""
    if chromium() is None or shutil.which("chromedriver") is None:
        pytest.skip("needs chromium and chromedriver on PATH (Debian: chromium, chromium-driver)")
    pytest.importorskip("selenium", reason="needs selenium: pip install 'rolo-bench[test]'")


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

    def close(self) -> None:
        self.driver.quit()
        self.profile.cleanup()
