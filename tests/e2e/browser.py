"""
The browser of the end-to-end tests and of the screenshots: the system's Chromium, else Playwright's own.

``python -m tests.e2e.browser`` downloads Playwright's where the system has none.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, BrowserContext, sync_playwright

from include.local.api import AirflowAPI

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def of_the_system() -> str | None:
    """Return the path of a Chromium that is installed."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def browsing() -> Iterator[Browser]:
    """Start a browser without a window."""
    root = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium's sandbox refuses to run as root
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=of_the_system(), args=["--disable-gpu", "--disable-background-networking", *root]
        )
        yield browser
        browser.close()


def let_in(context: BrowserContext, api: AirflowAPI) -> None:
    """Log the browser in: with the cookie that Airflow's login page sets."""
    context.add_cookies([{"name": "_token", "value": api.token, "url": api.base_url}])


if __name__ == "__main__":
    if of_the_system() is None:
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=True)
