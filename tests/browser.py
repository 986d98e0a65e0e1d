"""A real browser for tests of pages; they are skipped, with the reason, where there is none."""

import contextlib
import functools
import shutil

import pytest


def _own(url: str) -> bool:
    return url.startswith(("file:", "data:", "blob:", "http://127.0.0.1", "ws://127.0.0.1"))


@pytest.fixture(scope="module")
def opened():
    """Return what opens pages in one headless Chromium; see `_opened`."""
    playwright = pytest.importorskip("playwright.sync_api", reason="no browser driver: pip install playwright")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium: apt install chromium")
    # Of a module and no longer: while it runs, its event loop keeps asyncio.run out of this thread.
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield functools.partial(_opened, browser)
        browser.close()


@contextlib.contextmanager
def _opened(browser, url: str, width: int = 1000, scheme: str = "light", motion: str = "no-preference"):
    """Open a page in a context of its own; what it complains about and asks the network for must be nothing."""
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme, reduced_motion=motion)
    # On a machine whose cores are all taken a page opens in half a minute.
    page.set_default_timeout(120_000)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: complaints.append(f"asked for {request.url}") if not _own(request.url) else None)
    page.goto(url)
    try:
        yield page
    finally:
        page.close()
    assert complaints == []
