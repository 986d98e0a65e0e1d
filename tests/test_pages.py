"""Reports and galleries in a real browser: curves that answer, wiring that follows the slider, films that load."""

import pytest
from browser import opened
from nervecord.training.cli import main
from nervecord.training.config import RunConfig
from nervecord.training.films import render
from nervecord.training.report import gallery, report
from nervecord.training.train import train


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    made = []
    for name, circuit, steps in (("one", "ncap", 6400), ("two", "mlp", 3200), ("three", "ncap", 1600)):
        config = RunConfig(circuit, "es", steps=steps, episode_steps=100, algorithm_options={"n_envs": 16})
        made.append(train(config, folder / name, progress=False))
    render(made[0], folder / "one" / "film.mp4", progress=False)
    return made


@pytest.fixture(scope="module")
def pages(runs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    main(["gallery", *(str(run.path) for run in runs), "--out", str(folder / "gallery.html")])
    return {
        "report": report(runs[0], out=folder / "report.html"),
        "both": report(*runs, out=folder / "both.html"),
        "gallery": folder / "gallery.html",
    }


@pytest.mark.parametrize("name", ["report", "both", "gallery"])
@pytest.mark.parametrize("width", [1300, 400])
def test_a_page_opens_without_complaint_or_network_and_fits_its_window(pages, name, width):
    with opened(pages[name].as_uri(), width) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator(".chart polyline").count() >= 1


@pytest.mark.parametrize("name", ["report", "gallery"])
def test_the_film_loads(pages, name):
    with opened(pages[name].as_uri()) as page:
        page.wait_for_function("document.querySelector('video').readyState >= 2")
        assert page.evaluate("document.querySelector('video').videoWidth") > 100


def test_the_slider_moves_the_wiring_and_the_body(pages):
    with opened(pages["report"].as_uri()) as page:
        slider = page.locator(".moments input")

        def shown():
            lit = page.locator(".moments g[id^='neuron '] use")
            fills = lit.evaluate_all("all => all.map(each => each.style.fill)")
            return fills, page.locator(".posture .body").get_attribute("points")

        slider.fill("0")
        at_first, body_first = shown()
        slider.fill("40")
        later, body_later = shown()
        assert len(later) > 20
        assert all(later)
        assert at_first != later
        assert body_first != body_later
        assert page.locator(".moments output").inner_text() == "1.20 s"
        # By keyboard too.
        slider.focus()
        page.keyboard.press("ArrowRight")
        assert page.locator(".moments output").inner_text() == "1.23 s"
        page.locator(".moments button").click()
        page.wait_for_function("document.querySelector('.moments output').textContent !== '1.23 s'")
        page.locator(".moments button").click()
        assert page.locator(".moments button").inner_text() == "Play"


def test_neurons_are_lit_by_their_activity(runs, pages):
    """The slider's colours are those of the recorded values: brightest where a neuron is at its greatest."""
    from nervecord.training.rollout import record

    recording = record(runs[0], 1)
    column = recording.neurons.index("B_d_1")
    trace = recording.activity[0, :100, column]
    high, low = int(trace.argmax()), int(abs(trace).argmin())
    with opened(pages["report"].as_uri()) as page:
        found = []
        for step in (high, low):
            page.locator(".moments input").fill(str(step))
            colour = page.eval_on_selector("[id='neuron B_d_1'] use", "each => getComputedStyle(each).fill")
            found.append(colour)
    assert found[0] != found[1]
    assert "1, 1, 1" in found[1].replace("255", "1") or "1 1 1" in found[1]


def test_curves_are_read_by_pointer_and_keys_and_switched_off(pages):
    with opened(pages["both"].as_uri()) as page:
        readout = page.locator(".chart .readout")
        page.locator(".chart > svg").hover()
        assert "one, mean:" in readout.inner_text()
        assert "two, mean:" in readout.inner_text()
        page.locator(".chart > svg").focus()
        page.keyboard.press("End")
        at_end = readout.inner_text()
        page.keyboard.press("ArrowLeft")
        assert readout.inner_text() != at_end
        button = page.locator(".legend button", has_text="two, mean")
        button.focus()
        page.keyboard.press("Enter")
        assert button.get_attribute("aria-pressed") == "false"
        assert "two, mean:" not in readout.inner_text()
        assert page.locator(".chart polyline").count() == 2


def test_a_curve_has_no_value_where_it_has_no_points(pages):
    with opened(pages["both"].as_uri()) as page:
        page.locator(".chart > svg").focus()
        page.keyboard.press("End")
        words = page.locator(".chart .readout").inner_text()
        assert words.startswith("6400 environment steps · one, mean: ")
        assert "two, mean: ended at 3200" in words
        assert "three, mean: ended at 1600" in words
        assert page.locator(".chart .dot[visibility=visible]").count() == 1
        page.keyboard.press("Home")
        assert "ended" not in page.locator(".chart .readout").inner_text()
        # One point is drawn as a point.
        assert page.locator(".chart .point").count() == 1


def test_every_line_looks_different_and_the_best_are_shown_when_asked_for(pages):
    with opened(pages["both"].as_uri()) as page:
        lines = page.locator(".chart polyline")
        assert lines.count() == 3
        for _ in range(3):
            page.locator(".legend button[aria-pressed=false]").first.click()
        looks = lines.evaluate_all(
            "all => all.map(each => each.getAttribute('stroke') + each.getAttribute('stroke-dasharray'))"
        )
        assert len(set(looks)) == len(looks) == 6


def test_letters_of_a_chart_keep_their_size_when_the_window_changes(pages):
    with opened(pages["both"].as_uri(), 1000) as page:

        def letter():
            return page.eval_on_selector(".chart > svg text", "each => each.getBoundingClientRect().height")

        wide = letter()
        page.set_viewport_size({"width": 420, "height": 800})
        page.wait_for_function("document.querySelector('.chart > svg').viewBox.baseVal.width < 420")
        assert letter() == pytest.approx(wide, rel=0.05)


def test_a_gallery_of_nothing_is_one_line():
    from nervecord.errors import InvalidRun

    with pytest.raises(InvalidRun, match="no run to show"):
        gallery()
