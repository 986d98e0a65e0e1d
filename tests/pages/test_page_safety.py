"""What a page shows of a file of somebody else runs nowhere, and a browser is told what may run."""

import base64
import hashlib
import re
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure
from nervecord.circuits import make_circuit
from nervecord.drawing import draw_wiring
from nervecord.drawing.figures import figure_svg
from nervecord.errors import InvalidRun
from nervecord.pages.page_data import render_page
from nervecord.pages.svg import embedded_svg
from page_scripts import scripts

IN = '<svg viewBox="0 0 9 9" xmlns:xlink="http://www.w3.org/1999/xlink">{}</svg>'


@pytest.mark.parametrize(
    "inside",
    [
        "<script>x()</script>", "<g onclick='x()'/>", "<a href='javascript:x()'><text>a</text></a>",
        "<foreignObject><iframe srcdoc='x'/></foreignObject>", "<style>@import url(http://x/)</style>",
        "<image href='http://x/a.png'/>", "<image xlink:href='file:///etc/passwd'/>", "<use href='http://x/#a'/>",
        "<image href='data:image/svg+xml;base64,AAAA'/>", "<path style='fill: url(http://x/)'/>",
        "<set attributeName='x'/>",
        "<path fill='url(http://x/#a)'/>", "<path style='fill: u\\72l(http://x/)'/>", "<animate href='#a'/>",
        "<path style='position: fixed; inset: 0; background: url(http://x)'/>",
        "<text font-family='a\" onclick=\"x()'/>",
    ],
)  # fmt: skip
def test_only_shapes_text_and_own_pictures_of_a_figure_are_shown(inside):
    shown = str(embedded_svg(IN.format(inside), "f", "gait"))
    assert scripts(shown) == []
    assert not re.search(r"x\(\)|http:|file:|import|svg\+xml|position|foreign|<a |<set|<animate", shown)


def test_text_stays_text_and_names_stay_names():
    figure = IN.format(
        '<g id="neuron &lt;b onclick=&quot;x&quot;&gt;"><text>&lt;script&gt;x()&lt;/script&gt;</text></g>'
    )
    shown = str(embedded_svg(figure, "f", '"><script>x()</script>'))
    assert scripts(shown) == []
    root = ElementTree.fromstring(shown)
    assert root.find("g").get("data-neuron") == '<b onclick="x">'
    assert root.find("g/text").text == "<script>x()</script>"
    assert root.get("aria-label") == '"><script>x()</script>'


def test_a_use_that_shows_others_is_left_out():
    nested = "<defs><g id='a'><use href='#b'/></g><path id='b' d='M0 0'/></defs><use href='#a'/><use href='#b'/>"
    root = ElementTree.fromstring(str(embedded_svg(IN.format(nested), "f", "gait")))
    assert [each.get("href") for each in root.iter("use")] == ["#f-b", "#f-b"]


@pytest.mark.parametrize(
    "svg",
    ["", "<svg", "<svg/>", '<svg viewBox="a b c d"/>', "<p/>", '<svg viewBox="0 0 1.2.3 4"/>',
     IN.format("<g>" * 99 + "</g>" * 99),
     '<!DOCTYPE svg [<!ENTITY a "b">]>' + IN.format("<text>&a;</text>"), " " * 2**25],
)  # fmt: skip
def test_what_is_no_figure_is_one_line(svg):
    with pytest.raises(InvalidRun, match=r"the figure of gait .*; remove it, and measure again") as caught:
        embedded_svg(svg, "f", "gait")
    assert "\n" not in str(caught.value)


def test_our_own_figures_lose_nothing():
    drawing = Figure()
    left, right = drawing.subplots(1, 2)
    left.imshow([[0, 1], [2, 3]])
    right.errorbar([0, 1], [1, 2], yerr=0.1, ls="--", marker="o", label="a < b & $x^2$")
    right.legend()
    wiring = draw_wiring(make_circuit("ncap", {"joint_pos": 5}, 5).wiring())
    for figure in (drawing, wiring):
        svg = figure_svg(figure)
        shown = ElementTree.fromstring(str(embedded_svg(svg, "f", "gait")))
        for name in ("path", "use", "text", "image", "clipPath", "rect"):
            assert len(list(shown.iter(name))) == len(re.findall(f"<{name}[ >]", svg)), name
        assert len(re.findall(r'style="', svg)) + 1 == sum("style" in each.attrib for each in shown.iter())
        ids = {each.get("id") for each in shown.iter()}
        assert {each.get("href")[1:] for each in shown.iter("use")} <= ids


def test_a_page_tells_the_browser_to_run_its_own_scripts_alone():
    values = {"cards": [], "chart": "{}", "runs": [], "sections": [], "title": "t", "unmeasured": ""}
    play = {
        "wiring": "",
        "links": (3, 4),
        "length": (1, 2),
        "speeds": (1, 2),
        "can_be_pinned": True,
        "about": "",
        "facts": "{}",
    }
    for name in ("report", "gallery", "play"):
        page = render_page(f"{name}.html.j2", **values, **play)
        policy = re.search(r'http-equiv="Content-Security-Policy"\s+content="([^"]*)"', page)[1].replace("&#39;", "'")
        rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
        assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
        assert rules["img-src"] == rules["media-src"] == "data:"
        allowed = rules["script-src"].split()
        assert all(each.startswith("'sha256-") for each in allowed)
        run = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
        assert run
        hashes = {f"'sha256-{base64.b64encode(hashlib.sha256(each.encode()).digest()).decode()}'" for each in run}
        assert hashes <= set(allowed)
