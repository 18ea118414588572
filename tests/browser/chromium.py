"""A headless Chromium, as a test drives it: by its own driver, and without a network."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

# The driver's package is imported in functions: it is there for these tests alone, and others are collected without it.

BROWSER: Final = "/usr/bin/chromium"
DRIVER: Final = "/usr/bin/chromedriver"

TIMEOUT: Final = 30.0
"""Seconds for a condition of the page. Arbitrary: far longer than a busy machine takes, so it means never."""

_FLAGS: Final = (
    "--headless=new",
    "--no-sandbox",  # it refuses to run as root otherwise
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,900",
)


class Page:
    """A page in a browser. What a method returns is plain data, so nothing else knows the driver.

    Args:
        driver: of Selenium; `Any`, as its types are not complete.
    """

    def __init__(self, driver: Any) -> None:
        self._driver = driver

    def open(self, path: Path, fragment: str = "") -> None:
        """Load a file, and wait until the page can be used."""
        self._driver.get("about:blank")  # or else another fragment would not load the page again
        self._driver.get(path.as_uri() + fragment)
        self.wait_usable()

    def visit(self, address: str) -> None:
        """Load a page of a server."""
        self._driver.get(address)

    def run(self, script: str) -> Any:
        """Return the value of an expression."""
        return self._driver.execute_script(f"return ({script});")

    def run_async(self, script: str) -> Any:
        """Return the value of a promise, or the text of its error."""
        done = "const done = arguments[arguments.length - 1];"
        return self._driver.execute_async_script(f"{done} ({script}).then(done, (error) => done(String(error)));")

    def add_script(self, text: str) -> None:
        """Run a script, as the driver may and the page may not."""
        self._driver.execute_script(text)

    def wait(self, condition: str) -> None:
        """Wait until an expression is true."""
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self._driver, TIMEOUT, poll_frequency=0.05).until(
            lambda driver: driver.execute_script(f"return Boolean({condition});"), condition
        )

    def press(self, *keys: str) -> None:
        """Press keys, one after the other: characters, or names of Selenium's, such as ``ARROW_DOWN``."""
        from selenium.webdriver import ActionChains, Keys

        actions = ActionChains(self._driver)
        for key in keys:
            actions.send_keys(getattr(Keys, key, key))
        actions.perform()

    def click(self, selector: str) -> None:
        """Click on the middle of an element, as a mouse does."""
        from selenium.webdriver.common.by import By

        self._driver.find_element(By.CSS_SELECTOR, selector).click()

    def call(self, command: str, **arguments: object) -> Mapping[str, Any]:
        """Return the answer to a command of the DevTools protocol."""
        answer: Mapping[str, Any] = self._driver.execute_cdp_cmd(command, arguments)
        return answer

    def emulate(self, *, media: str = "", scheme: str = "light") -> None:
        """Be a printer (``print``) or, by default, a screen, with a light or dark scheme."""
        self.call(
            "Emulation.setEmulatedMedia", media=media, features=[{"name": "prefers-color-scheme", "value": scheme}]
        )

    def nodes(self) -> int:
        """Return how many nodes there are, those of texts and those inside the browser's own controls included."""
        self.call("HeapProfiler.enable")
        self.call("HeapProfiler.collectGarbage")  # those of the page before
        return int(self.call("Memory.getDOMCounters")["nodes"])

    def count_work(self) -> None:
        """Begin to count what `work` returns."""
        self.call("Performance.disable")
        self.call("Performance.enable", timeDomain="threadTicks")

    def work(self) -> float:
        """Return the CPU seconds that pages have taken since `count_work`."""
        metrics = {each["name"]: each["value"] for each in self.call("Performance.getMetrics")["metrics"]}
        return float(metrics["TaskDuration"])

    def wait_usable(self) -> float:
        """Wait until the page can be used; return the seconds since it was asked for."""
        self.wait("performance.getEntriesByName('usable').length === 1")
        return float(self.run("performance.getEntriesByName('usable')[0].startTime")) / 1000

    def complaints(self) -> list[str]:
        """Return what the browser has warned of since the last call, such as what the policy forbids."""
        entries = self._driver.get_log("browser")
        return [entry["message"] for entry in entries if entry["level"] in {"WARNING", "SEVERE"}]

    def requests(self) -> list[str]:
        """Return the addresses that were requested since the last call.

        Those of the browser's own pages are left out, and so are those that the policy of the page has blocked.
        """
        messages = [json.loads(entry["message"])["message"] for entry in self._driver.get_log("performance")]
        sent = {
            each["params"]["requestId"]: each["params"]["request"]["url"]
            for each in messages
            if each["method"] == "Network.requestWillBeSent"
        }
        for each in messages:
            if each["method"] == "Network.loadingFailed" and each["params"].get("blockedReason") == "csp":
                sent.pop(each["params"]["requestId"], None)
        return [url for url in sent.values() if not url.startswith(("chrome:", "data:", "about:"))]

    def screenshot(self, path: Path) -> None:
        """Write a picture of what is visible."""
        path.write_bytes(base64.b64decode(self._driver.get_screenshot_as_base64()))


@contextmanager
def chromium(profile: Path) -> Iterator[Page]:
    """Start Debian's Chromium with a new profile for a block.

    Args:
        profile: a directory for it, which is made.

    Raises:
        FileNotFoundError: if it, or its driver, is not installed.
    """
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService

    for path in (BROWSER, DRIVER):
        if not os.path.exists(path):
            raise FileNotFoundError(f"there is no {path}; install it: apt-get install chromium chromium-driver")
    options = ChromeOptions()
    options.binary_location = BROWSER
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options, ChromeService(DRIVER))
    try:
        driver.set_script_timeout(TIMEOUT)
        yield Page(driver)
    finally:
        driver.quit()
