"""A real browser for tests of pages; they are skipped, with the reason, where there is none."""

import contextlib
import functools
import shutil
import time

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

    def complain(what: object) -> None:
        complaints.append(f"{page.url}: {what}")

    page.on("console", lambda message: complain(message.text) if message.type == "error" else None)
    page.on("pageerror", complain)
    page.on("request", lambda request: complain(f"asked for {request.url}") if not _own(request.url) else None)
    page.goto(url)
    try:
        yield page
    finally:
        page.close()
    assert complaints == []


def until(page, expression: str, seconds: float = 120.0) -> None:
    """Wait until something is so on a page: by asking, since a page's policy lets nothing in it evaluate text."""
    limit = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < limit, f"{expression} was not so for {seconds:g} s"
        page.wait_for_timeout(20)


# Every text that can be seen, with the contrast that it has to what is behind it, where that is too little.
FAINT = r"""() => {
  const pixel = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
  const rgba = (colour) => {
    pixel.clearRect(0, 0, 1, 1);
    pixel.fillStyle = colour;
    pixel.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = pixel.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[3] * top[i] + (1 - top[3]) * below[i]);
  const light = (colour) => {
    const [r, g, b] = colour.map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    const layers = [];
    for (let each = element; each; each = each.parentElement) layers.push(rgba(getComputedStyle(each).backgroundColor));
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255]);
  };
  // In a drawing, the last filled shape before a text that its middle lies in.
  const drawn = (text) => {
    const box = text.getBoundingClientRect(), [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
    let below = behind(text.ownerSVGElement);
    for (const shape of text.ownerSVGElement.querySelectorAll("use, path, rect, circle")) {
      const isBefore = shape.compareDocumentPosition(text) & Node.DOCUMENT_POSITION_FOLLOWING;
      if (!isBefore || shape.closest("defs, clipPath")) continue;
      const style = getComputedStyle(shape), place = shape.getBoundingClientRect();
      if (style.fill === "none" || x < place.left || x > place.right || y < place.top || y > place.bottom) continue;
      const [r, g, b, a] = rgba(style.fill);
      below = over([r, g, b, a * style.fillOpacity * style.opacity], below);
    }
    return below;
  };
  const faint = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim(), element = walker.currentNode.parentElement;
    const seen = text && element.checkVisibility({visibilityProperty: true, opacityProperty: true});
    if (!seen || element.closest("script, style, title, option, datalist, noscript, [hidden]")) continue;
    const range = document.createRange();
    range.selectNodeContents(walker.currentNode);
    const box = range.getBoundingClientRect();
    // What is for screen readers alone is a pixel large.
    if (box.width * box.height < 4) continue;
    const style = getComputedStyle(element), isDrawn = element instanceof SVGElement;
    const below = isDrawn ? drawn(element) : behind(element);
    const above = over(rgba(isDrawn ? style.fill : style.color), below);
    const [one, other] = [above, below].map(light).sort((a, b) => b - a);
    const size = parseFloat(style.fontSize), isLarge = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    const contrast = (one + 0.05) / (other + 0.05);
    if (contrast < (isLarge ? 3 : 4.5)) faint.push(`${contrast.toFixed(1)}: ${text.slice(0, 40)}`);
  }
  return faint;
}"""


def look_over(page, folder, name, schemes=("light", "dark")):
    """Return what is wrong with a page at 1200 and 400 pixels in colour schemes; its pictures are left in a folder."""
    wrong = []
    for width in (1200, 400):
        for scheme in schemes:
            page.set_viewport_size({"width": width, "height": 800})
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            page.wait_for_timeout(100)
            page.screenshot(path=folder / f"{name}-{width}-{scheme}.png", full_page=True)
            where = f"{name} at {width} px, {scheme}"
            if (across := page.evaluate("document.documentElement.scrollWidth")) > width:
                wrong.append(f"{where}: {across} px wide")
            wrong += [f"{where}: {faint}" for faint in page.evaluate(FAINT)]
    return wrong
