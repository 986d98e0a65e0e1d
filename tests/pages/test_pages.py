"""Reports and galleries in a real browser: curves that answer, wiring that follows the slider, films that load."""

import pytest
from browser import look_over, until
from nervecord.cli.main import main
from nervecord.drawing.palette import REST
from nervecord.pages.reports import gallery, report
from nervecord.training.learning.training import train
from nervecord.training.probes.probing import probe
from nervecord.training.rollouts.interventions import Intervention
from nervecord.training.runs.config import RunConfig
from nervecord.training.studies.transfers import transfer
from nervecord.videos.films import render
from PIL.ImageColor import getrgb


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    made = []
    for name, circuit, steps in (("one", "ncap", 6400), ("two", "mlp", 3200), ("three", "ncap", 1600)):
        config = RunConfig(circuit, "es", steps=steps, episode_steps=100, algorithm_options={"n_envs": 16})
        made.append(train(config, folder / name, progress=False))
    render(made[0], folder / "one" / "film.mp4", progress=False, seconds=0.5, size=(320, 240))
    lesion = [Intervention("B_d_1")]
    render(
        made[0],
        folder / "one" / "a-lesion.mp4",
        interventions=lesion,
        progress=False,
        view="neurons",
        size=(320, 180),
        seconds=0.3,
    )
    transfer(made[0], ("swimmer4",), episodes=2)
    for run in made[:2]:
        probe(run, ("gait", "behaviour", "diagram"), episodes=1)
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
def test_a_page_fits_its_window_and_its_text_can_be_read_in_the_light_and_in_the_dark(pages, name, tmp_path, opened):
    with opened(pages[name].as_uri()) as page:
        assert page.locator(".chart polyline").count() >= 1
        assert look_over(page, tmp_path, name) == []


@pytest.mark.parametrize("name", ["report", "gallery"])
def test_the_film_loads(pages, name, opened):
    with opened(pages[name].as_uri()) as page:
        until(page, "document.querySelector('video').readyState >= 2")
        assert page.evaluate("document.querySelector('video').videoWidth") > 100


def test_the_slider_moves_the_wiring_and_the_body(pages, opened):
    with opened(pages["report"].as_uri()) as page:
        slider = page.locator(".moments input")

        def shown():
            lit = page.locator(".moments [data-neuron] use")
            fills = lit.evaluate_all("all => all.map(each => each.style.fill)")
            return fills, page.locator(".posture .worm").get_attribute("d")

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
        until(page, "document.querySelector('.moments output').textContent !== '1.23 s'")
        page.locator(".moments button").click()
        assert page.locator(".moments button").inner_text() == "Play"


def test_neurons_are_lit_by_their_activity(runs, pages, opened):
    """The slider's colours are those of the recorded values: brightest where a neuron is at its greatest."""
    from nervecord.training.rollouts.recorder import record

    recording = record(runs[0], 1)
    column = recording.neurons.index("B_d_1")
    trace = recording.activity[0, :100, column]
    high, low = int(trace.argmax()), int(abs(trace).argmin())
    with opened(pages["report"].as_uri()) as page:
        found = []
        for step in (high, low):
            page.locator(".moments input").fill(str(step))
            colour = page.eval_on_selector("[data-neuron=B_d_1] use", "each => getComputedStyle(each).fill")
            found.append(colour)
    assert found[0] != found[1]
    assert found[1] == f"color(srgb {' '.join(f'{channel / 255:.6g}' for channel in getrgb(REST))})"


def test_curves_are_read_by_pointer_and_keys_and_switched_off(pages, opened):
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
        box = page.get_by_label("two, mean")
        box.focus()
        page.keyboard.press("Space")
        assert not box.is_checked()
        assert "two, mean:" not in readout.inner_text()
        assert page.locator(".chart polyline").count() == 2


def test_a_curve_has_no_value_where_it_has_no_points(pages, opened):
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


def test_every_line_looks_different_and_the_best_are_shown_when_asked_for(pages, opened):
    with opened(pages["both"].as_uri()) as page:
        lines = page.locator(".chart polyline")
        assert lines.count() == 3
        for _ in range(3):
            page.locator(".legend input:not(:checked)").first.click()
        looks = lines.evaluate_all(
            "all => all.map(each => each.getAttribute('stroke') + each.getAttribute('stroke-dasharray'))"
        )
        assert len(set(looks)) == len(looks) == 6


def test_letters_of_a_chart_keep_their_size_when_the_window_changes(pages, opened):
    with opened(pages["both"].as_uri(), 1000) as page:

        def letter():
            return page.eval_on_selector(".chart > svg text", "each => each.getBoundingClientRect().height")

        wide = letter()
        page.set_viewport_size({"width": 420, "height": 800})
        until(page, "document.querySelector('.chart > svg').viewBox.baseVal.width < 420")
        assert letter() == pytest.approx(wide, rel=0.05)


def test_each_part_of_a_page_about_several_runs_says_whose_it_is(pages, opened):
    with opened(pages["both"].as_uri()) as page:
        for title in ("Film", "Transfer to bodies never seen in training", "Wiring", "Gait"):
            said = page.locator(f"h2:text-is('{title}') + * h3, h2:text-is('{title}') + .doc + * h3").all_inner_texts()
            assert said == ["one", "two", "three"], title


def test_a_table_wider_than_its_page_keeps_its_first_column(pages, opened):
    with opened(pages["both"].as_uri(), 400) as page:
        page.locator("summary", has_text="numbers").click()
        table = page.locator(".scroll").last
        first = table.locator("tbody th[scope=row]").first
        before = first.bounding_box()["x"]
        assert table.evaluate("each => each.scrollLeft = 150") == 150
        assert table.evaluate("each => each.scrollLeft") > 100
        assert first.bounding_box()["x"] == before
        assert "gradient" in table.evaluate("each => getComputedStyle(each).backgroundImage")


def test_agents_stand_beside_the_animal_and_what_is_not_verified_is_grey(pages, opened):
    with opened(pages["both"].as_uri()) as page:
        section = page.locator("#beside-the-animal + p + .beside")
        columns = section.locator("thead th").all_inner_texts()
        assert columns == ["quantity", "one", "two", "three", "animal, agar", "animal, water"]
        cells = {
            row[0]: row[1:]
            for row in (each.locator("th, td").all_inner_texts() for each in section.locator("tbody tr").all())
        }
        assert cells["speed (body lengths/s)"][3:] == ["0.15; 0.19 to 0.25", "0.35"]
        assert cells["speed (body lengths/s)"][2] == ""  # it was not probed
        assert not any(
            word in text for row in cells.values() for text in row[:3] for word in ("within", "above", "below")
        )
        assert "in another physics than any of the animal's media" in section.inner_text()
        colours = "node => getComputedStyle(node).color"
        faint = section.get_by_text("0.19 to 0.25", exact=True).evaluate(colours)
        assert faint != section.locator("tbody td").first.evaluate(colours)
        assert "Sznitman" in section.locator("details").text_content()


def test_a_report_folds_its_numbers_and_offers_only_what_reads_a_recording(pages, opened):
    with opened(pages["report"].as_uri()) as page:
        assert not page.locator("table.has-units").is_visible()
        offered = page.locator(".missing", has_text="Not measured yet").inner_text()
        assert "timescales" in offered
        assert not any(study in offered for study in ("lesions", "robustness", "critical_periods", "gait"))
        bodies = page.locator("h2:text-is('Transfer to bodies never seen in training') + * tbody th").all_inner_texts()
        assert set(bodies) == {"swimmer4"}


@pytest.mark.parametrize("name", ["report", "both", "gallery"])
def test_ids_are_unique_and_every_image_has_a_name(pages, name, opened):
    with opened(pages[name].as_uri()) as page:
        ids = page.evaluate("[...document.querySelectorAll('[id]')].map(each => each.id)")
        assert len(set(ids)) == len(ids) > 10
        shown = "video, svg:not([aria-hidden])"
        assert page.locator(shown).count() == page.locator("video[aria-label], svg[role][aria-label]").count()
        # What refers to an id still finds it.
        lost = "[...document.querySelectorAll('use')].filter(each => !document.querySelector(each.href.baseVal)).length"
        assert page.evaluate(lost) == 0


def test_films_start_only_where_motion_is_welcome(pages, opened):
    for motion in ("no-preference", "reduce"):
        with opened(pages["report"].as_uri(), motion=motion) as page:
            until(page, "document.querySelector('video').readyState >= 2")
            page.wait_for_timeout(200)
            assert page.evaluate("document.querySelector('video').paused") is (motion == "reduce")


@pytest.mark.parametrize("name", ["report", "gallery"])
def test_pages_are_dark_where_that_is_preferred(pages, name, opened):
    with opened(pages[name].as_uri(), scheme="dark") as page:
        colour = "each => getComputedStyle(each).backgroundColor"
        assert page.eval_on_selector("body", colour) == "rgb(13, 17, 23)"
        # No slab of paper: nothing larger than a neuron is painted white, apart from films.
        shapes = page.locator(".figure path, .figure rect, .figure, .chart, table, pre, .tile")
        large = """all => all.filter(each => {
          const box = each.getBoundingClientRect(), style = getComputedStyle(each);
          return box.width * box.height > 10_000 && [style.fill, style.backgroundColor].includes('rgb(255, 255, 255)');
        }).length"""
        assert shapes.evaluate_all(large) == 0


def test_letters_of_all_figures_have_a_size_and_neighbours_are_alike(pages, opened):
    with opened(pages["report"].as_uri(), 1200) as page:
        sizes = page.locator(".figure svg").evaluate_all("""all => all.map(each => {
          const scale = each.getBoundingClientRect().width / each.viewBox.baseVal.width;
          const letters = [...each.querySelectorAll('text')].map(text => parseFloat(getComputedStyle(text).fontSize));
          return scale * Math.max(...letters);
        })""")
        assert len(sizes) >= 2
        assert all(11 <= size <= 17 for size in sizes), sizes


def test_the_film_stands_before_others_and_each_says_what_it_shows(pages, opened):
    with opened(pages["report"].as_uri()) as page:
        said = page.locator("figcaption").all_inner_texts()
        assert said == ["swimmer6, seen from above", "swimmer6, with its neurons; silence B_d_1"]
        widths = page.locator("video").evaluate_all("all => all.map(each => each.clientWidth)")
        assert widths[0] > 2 * widths[1]


def test_only_what_scrolls_has_a_border_and_headings_have_none(pages, opened):
    for name in ("report", "both"):
        with opened(pages[name].as_uri()) as page:
            borders = page.locator("h1, h2, h3").evaluate_all("all => all.map(e => getComputedStyle(e).borderTopWidth)")
            assert set(borders) == {"0px"}


def test_borders_of_a_table_meet_at_every_row(pages, opened):
    with opened(pages["report"].as_uri(), 400) as page:
        ends = (
            page.locator(".scroll")
            .first.locator("tr")
            .evaluate_all("all => all.map(row => [...row.cells].map(cell => cell.getBoundingClientRect().bottom))")
        )
        assert all(max(row) - min(row) < 0.01 and row[0] % 1 == ends[0][0] % 1 for row in ends)


def test_a_gallery_of_nothing_is_one_line():
    from nervecord.errors import InvalidOption

    with pytest.raises(InvalidOption, match="no run to show"):
        gallery()
