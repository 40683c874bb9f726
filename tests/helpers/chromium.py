"""A page in headless Chromium, as a reader meets it: its size, colours, keys, errors, requests."""

import json
import shutil
from pathlib import Path

import pytest


class Chromium:
    """One browser; every page is opened with a clean log."""

    def __init__(self):
        webdriver = pytest.importorskip("selenium.webdriver", reason="pip install '.[browser]'")
        from selenium.webdriver.chrome.service import Service

        binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
        if not (binary and driver):
            pytest.skip("needs Chromium and its driver: apt-get install chromium chromium-driver")
        options = webdriver.ChromeOptions()
        options.binary_location = binary
        for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(driver))
        self.driver.set_script_timeout(300)  # axe on a page of many exams, on a busy machine

    def open(self, page: Path, *, width: int = 1440, scheme: str = "light") -> None:
        tell = self.driver.execute_cdp_cmd
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        tell("Emulation.setDeviceMetricsOverride", size)
        scheme_feature = {"name": "prefers-color-scheme", "value": scheme}
        tell("Emulation.setEmulatedMedia", {"features": [scheme_feature]})
        self.driver.get("about:blank")
        self.errors(), self.requests()
        self.driver.get(page.as_uri())

    def errors(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """What was asked for since the last call, embedded data left out."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
        return [url for url in asked if not url.startswith("data:")]

    def run(self, script: str, *arguments: object):
        return self.driver.execute_script(script, *arguments)

    def press(self, *keys: str) -> None:
        """Type to whatever has the focus: TAB, ENTER, ARROW_DOWN ... or a letter."""
        from selenium.webdriver import ActionChains, Keys

        chain = ActionChains(self.driver)
        for key in keys:
            chain.send_keys(getattr(Keys, key, key))
        chain.perform()

    def tab_to(self, selector: str, *, most: int = 60) -> None:
        """Press Tab until the element has the focus, as somebody without a mouse does."""
        for _ in range(most):
            self.press("TAB")
            if self.run("return document.activeElement.matches(arguments[0])", selector):
                return
        raise AssertionError(f"{selector} cannot be reached by Tab")

    def violations(self) -> list[str]:
        """What axe finds that is serious or critical, with its places."""
        from axe_core_python.base import AXE_SCRIPT

        self.run(AXE_SCRIPT)
        found = self.run("return axe.run().then((result) => result.violations)")
        return [
            f"{each['id']}: {node['html'][:200]} {node.get('failureSummary', '')}"
            for each in found
            if each["impact"] in {"serious", "critical"}
            for node in each["nodes"]
        ]
