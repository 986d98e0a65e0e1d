"""Make the pictures of the guides anew, each by the command that its page names.

python tools/pictures.py             # all of them
python tools/pictures.py lesion web  # these

A still is the last frame of a film. Each picture is made in an empty folder, of agents in the package, of untrained
ones, or of runs that train in a minute at most. Files that a command reads are those that its page shows. All pictures
take some eight minutes, of which `sweep`, `bricks` and `gates` take four; `web` and `report` need playwright and
Chromium.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import re
import shlex
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import xarray
from matplotlib.figure import Figure
from nervecord import Run, find_bricks, probe, transfer
from nervecord.cli.main import main as command
from nervecord.drawing import figure_svg
from nervecord.drawing.figures import COLOURS, learning_curve, open_axes, transfer_bars
from nervecord.drawing.path_map import path_map
from nervecord.files import write_text, write_whole
from nervecord.training.learning import untrained
from nervecord.training.rollouts import Recording
from nervecord.training.studies.bricks.figure import study_figure
from PIL import Image, ImageSequence

ROOT = Path(__file__).resolve().parents[1]
FOLDER, GUIDES = ROOT / "docs" / "pictures", ROOT / "docs" / "guides"
Picture = Image.Image | Figure | str
# A picture of each name, as a file without a suffix: webp of an image, svg of a figure or of its text.
PICTURES: dict[str, Callable[[], Picture]] = {}


def picture(make: Callable[[], Picture]) -> Callable[[], Picture]:
    """List a picture under its function's name."""
    PICTURES[make.__name__] = make
    return make


@picture
def agents() -> Picture:
    """Show the five agents of the package after six seconds, and NCAP untrained."""
    shipped = ("agent:ncap", "agent:ncap-plus", "agent:relay", "agent:along", "agent:cpg")
    shown = [
        still(f"nervecord render {who} --seconds 6", "240 180") for who in (*shipped, "--untrained --circuit ncap")
    ]
    return side_by_side(shown, 3)


@picture
def train() -> Picture:
    """Draw the learning curve of the first command."""
    shell("nervecord train --circuit ncap --algorithm es --body swimmer6 --seed 0 --out runs/worm")
    return learning_curve(Run("runs/worm").metrics())


@picture
def transfers() -> Picture:
    """Draw what nervecord transfer agent:ncap-plus --bodies swimmer4 swimmer12 swimmer6-eel prints."""
    return transfer_bars(transfer("agent:ncap-plus", ["swimmer4", "swimmer12", "swimmer6-eel"]))


@picture
def neurons() -> Picture:
    """Show body, wiring and activity."""
    return still("nervecord render agent:ncap --neurons --seconds 3", "800 450")


@picture
def web() -> Picture:
    """Show the page in which an agent swims."""
    shell("nervecord export agent:ncap-plus --web --no-film --out exported")
    return screenshot(Path("exported/web.html"), (1000, 800), seconds=4)


@picture
def environments() -> Picture:
    """Show six tasks: swim, reach a target, find food, follow an odour, pass posts, cross a border."""
    return side_by_side([
        still(f"nervecord render --untrained --circuit {circuit} --task {task} --seconds 6 --zoom {zoom}", "342 200")
        for circuit, task, zoom in (
            ("ncap", "swim", 1), ("navigator", "navigate", 0.5), ("navigator", "forage", 0.7),
            ("klinotaxis", "chemotaxis", 0.7), ("ncap", "lattice", 1), ("navigator", "twomedia", 0.5),
        )
    ], 2)  # fmt: skip


@picture
def gait() -> Picture:
    """Draw what nervecord probe agent:ncap-plus --probes gait finds."""
    return probed("agent:ncap-plus", "gait")


@picture
def lesion() -> Picture:
    """Show a worm without the motor neurons of its third joint."""
    return still("nervecord render agent:ncap --silence B_d_2 B_v_2 --seconds 3")


@picture
def sweep() -> Picture:
    """Draw learning curves of the sweep's two circuits, with intervals over seeds."""
    write_text(Path("plan.toml"), block("sweep", "toml"))
    shell("nervecord sweep plan.toml --out runs/sweep")
    shell("nervecord compare runs/sweep --out comparison")
    return Path("comparison/curves.svg").read_text(encoding="utf-8")


@picture
def body() -> Picture:
    """Show the body of the page's XML, untrained."""
    write_text(Path("mine.xml"), block("body", "xml"))
    return still("nervecord render --untrained --circuit ncap --body mine.xml --seconds 3")


@picture
def odour() -> Picture:
    """Show a worm that follows an odour."""
    return still("nervecord render --untrained --circuit klinotaxis --task chemotaxis --seconds 9 --zoom 0.5")


@picture
def posts() -> Picture:
    """Show a worm among posts."""
    return still("nervecord render --untrained --circuit ncap --task lattice --seconds 9")


@picture
def controls() -> Picture:
    """Show the circuit that swims without a clock."""
    return still("nervecord render --untrained --circuit relay --neurons --seconds 3", "800 450")


@picture
def spikes() -> Picture:
    """Draw what nervecord probe runs/eight --probes spikes finds."""
    shell("nervecord train --circuit spiking --circuit-options substeps=8 units=32 --algorithm es --steps 32000 "
          "--out runs/eight")  # fmt: skip
    # A raster has too many marks for an svg.
    return image_of(probed("runs/eight", "spikes"))


@picture
def circuit() -> Picture:
    """Show the circuit of the page, untrained: each joint follows the one before."""
    write_text(Path("follower.py"), block("circuit", "python"))
    return still("nervecord render --untrained --circuit follower.py:Follower --neurons --seconds 3", "800 450")


@picture
def compose() -> Picture:
    """Show the circuit of the page's plan."""
    write_text(Path("plan.toml"), block("compose", "toml"))
    shell("nervecord train --circuit plan.toml --algorithm es --steps 6400 --episode-steps 200 --out runs/corrected")
    return still("nervecord render runs/corrected --neurons --seconds 3", "800 450")


@picture
def worm() -> Picture:
    """Show the motor circuit of the ventral cord."""
    return still("nervecord render --untrained --circuit connectome --neurons --seconds 3", "800 450")


@picture
def replay() -> Picture:
    """Show a recorded worm, and a body that follows it."""
    recorded()
    shell('nervecord worm replay ours.wcon --worm "episode 0" --arena agar --film beside.webp')
    return last_frame(Path("beside.webp"))


@picture
def eigenworms() -> Picture:
    """Draw the shapes that a crawling worm is made of."""
    recorded()
    shell("nervecord worm eigenworms ours.wcon --out shapes")
    return next(Path("shapes").glob("*.svg")).read_text(encoding="utf-8")


@picture
def route() -> Picture:
    """Draw which agent a router of three lets act, on the body of the second."""
    for name, body in (("water", "swimmer6"), ("thick", "swimmer6-thick"), ("eel", "swimmer6-eel")):
        shell(f"nervecord train --circuit ncap --algorithm es --steps 64000 --body {body} --out runs/{name}")
    shell("nervecord route runs/water runs/thick runs/eel --out runs/router")
    shell("nervecord record runs/router --body swimmer6-thick --episodes 1 --out thick.nc")
    activity = xarray.open_dataset("thick.nc").activity[0, :200]
    return heat_map(activity.sel(neuron=[f"recogniser/motor_{agent}" for agent in range(3)]), 2)


@picture
def task() -> Picture:
    """Show the lamp of the page's task, and an untrained worm."""
    names: dict[str, object] = {}
    exec(block("task", "python"), names)
    return still("nervecord render --untrained --circuit ncap --task to-the-light --arena lit --seconds 6")


@picture
def nwb() -> Picture:
    """Draw six seconds of the motor neurons of a recording, as xarray plots them."""
    shell("nervecord record agent:ncap --episodes 1 --out worm.nc")
    activity = xarray.open_dataset("worm.nc").activity
    return heat_map(activity.where(activity.role == "motor", drop=True)[0, :200], 3)


@picture
def report() -> Picture:
    """Show how a report begins."""
    shell("nervecord train --out runs/worm")
    shell("nervecord evaluate runs/worm")
    shell("nervecord render runs/worm --seconds 3 --out runs/worm/film.mp4")
    shell("nervecord report runs/worm")
    return screenshot(Path("runs/worm/report.html"), (1000, 900), seconds=2)


@picture
def bricks() -> Picture:
    """Draw what nervecord bricks runs/mlp finds."""
    shell("nervecord train --circuit mlp --algorithm ppo --steps 400000 --seed 0 --out runs/mlp")
    study = find_bricks("runs/mlp")
    return study_figure(study.table, study.moments, study.retrieval)


@picture
def curve() -> Picture:
    """Draw the path of a worm without the dorsal half of its middle joint."""
    shell("nervecord record agent:ncap --silence B_d_2 --episodes 1 --out curve.nc")
    return path_map(Recording.load("curve.nc").poses(0))


@picture
def algorithm() -> Picture:
    """Draw the learning curve of the page's algorithm."""
    exec(block("algorithm", "python"), {"__name__": __name__})  # a dataclass looks for its module
    shell("nervecord train --algorithm climb --algorithm-options n_envs=32 --steps 320000 --out runs/climb")
    return learning_curve(Run("runs/climb").metrics())


@picture
def callbacks() -> Picture:
    """Draw where the page's callback stops a training, and how it would have gone on."""
    names: dict[str, Any] = {}
    exec(block("callbacks", "python"), names)
    stop = names["run"].progress[0]
    shell("nervecord train --circuit relay --steps 32000 --episode-steps 100 --evaluate-every 3200 --out runs/plateau")
    metrics = Run("runs/plateau").metrics()
    found = metrics[metrics["metric"] == "eval/return"]
    figure = Figure(figsize=(8, 3), layout="constrained")
    axes = figure.subplots()
    axes.plot(found["step"], found["value"], "o--", color=COLOURS[1], label="without the callback")
    shown = found[found["step"] <= stop]
    axes.plot(shown["step"], shown["value"], "o-", color=COLOURS[0], label="until the callback stops it")
    axes.set(xlabel="environment steps", ylabel="return of an evaluation")
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0, 1))
    open_axes(axes)
    return figure


@picture
def gates() -> Picture:
    """Draw how often each unit of dendrites is among the winners, on two bodies."""
    shell("nervecord train --circuit dendrites --algorithm ppo --bodies swimmer6 swimmer6-thick --task-options "
          """'senses=["joint_pos","body_velocities","context"]' --steps 200000 --out runs/gated""")  # fmt: skip
    shares = []
    for body in ("swimmer6", "swimmer6-thick"):
        shell(f"nervecord record runs/gated --body {body} --episodes 1 --out {body}.nc")
        activity = xarray.open_dataset(f"{body}.nc").activity[0]
        units = [name for name in activity.neuron.values if name.startswith("hidden_1")]
        shares.append((activity.sel(neuron=units) != 0).mean("time").values)
    figure = Figure(figsize=(9, 1.9), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="viridis", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    axes.set(xlabel="unit of the second layer", yticks=[0, 1], yticklabels=["swimmer6", "swimmer6-thick"])
    figure.colorbar(image, ax=axes, label="share of time active")
    return figure


@picture
def modules() -> Picture:
    """Draw which units of two layers are connected, before and after rewiring."""
    shell("nervecord train --circuit mlp --circuit-options ensembles=body rewire_every=5 --algorithm ppo "
          "--steps 100000 --out runs/modules")  # fmt: skip
    run = Run("runs/modules")
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    with untrained(run.config) as start:
        panels = {"before training": start.agent(), "after training": run.agent()}
    for axes, (title, agent) in zip(figure.subplots(1, 2), panels.items(), strict=True):
        wiring = agent.circuit.wiring()
        names = [neuron.name for neuron in wiring.neurons]
        rows, columns = ([name for name in names if name.startswith(f"hidden_{layer}")] for layer in (1, 0))
        there = {(synapse.post, synapse.pre) for synapse in wiring.synapses}
        axes.imshow([[(row, column) in there for column in columns] for row in rows], cmap="Blues", vmax=1.3)
        axes.set(title=title, xlabel="unit of the first layer", ylabel="unit of the second layer")
    return figure


def recorded() -> None:
    """Write two episodes as a tracker writes worms."""
    shell("nervecord record --untrained --body worm --arena agar --episodes 2 --episode-steps 200 --out ours.wcon")


def shell(line: str) -> None:
    """Run a command as a shell does."""
    command(shlex.split(line)[1:])


def still(command: str, size: str = "480 270") -> Image.Image:
    """Return the last frame of the film that a command makes, of a width and height in pixels."""
    film = Path(tempfile.mkdtemp(dir=".")) / "film.webp"
    shell(f"{command} --size {size} --out {film}")
    return last_frame(film)


def last_frame(film: Path) -> Image.Image:
    """Return the last frame of a film."""
    with Image.open(film) as image:
        return [frame.convert("RGB") for frame in ImageSequence.Iterator(image)][-1]


def side_by_side(images: list[Image.Image], columns: int) -> Image.Image:
    """Return images of one size in rows, with a white line between them."""
    width, height = images[0].size
    rows = -(-len(images) // columns)
    whole = Image.new("RGB", (columns * (width + 4) - 4, rows * (height + 4) - 4), "white")
    for number, image in enumerate(images):
        whole.paste(image, (number % columns * (width + 4), number // columns * (height + 4)))
    return whole


def image_of(figure: Figure) -> Image.Image:
    """Return a figure as an image."""
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=100)
    return Image.open(png).convert("RGB")


def heat_map(activity: xarray.DataArray, inches: float) -> Figure:
    """Return activity over time as xarray plots it, some inches high."""
    figure = Figure(figsize=(9, inches), layout="constrained")
    axes = figure.subplots()
    activity.T.plot.pcolormesh(ax=axes, rasterized=True)
    axes.set_ylim(activity.sizes["neuron"] - 0.5, -0.5)
    return figure


def probed(run: str, name: str) -> Figure:
    """Return the figure of a probe."""
    found = probe(run, [name])[name]
    assert found.result is not None, found.missing
    assert found.result.figure is not None
    return found.result.figure


def block(page: str, language: str) -> str:
    """Return the first block of a guide in a language."""
    found = re.search(
        rf"^```{language}\b.*?\n(.*?)^```$",
        (GUIDES / f"{page}.md").read_text(encoding="utf-8"),
        re.DOTALL | re.MULTILINE,
    )
    assert found is not None, f"{page}.md has no {language}"
    return found[1]


def screenshot(page: Path, size: tuple[int, int], seconds: float) -> Image.Image:
    """Return what a browser shows of a page after some seconds."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        shown = browser.new_page(viewport={"width": size[0], "height": size[1]})
        shown.goto(page.resolve().as_uri())
        shown.wait_for_timeout(1000 * seconds)
        taken = shown.screenshot()
        browser.close()
    return Image.open(io.BytesIO(taken)).convert("RGB")


def write(name: str, made: Picture) -> Path:
    """Write a picture into the folder of pictures and return its path."""
    if isinstance(made, Image.Image):
        path = FOLDER / f"{name}.webp"
        write_whole(path, lambda partial: made.save(partial, "WEBP", quality=75, method=6))
    else:
        path = FOLDER / f"{name}.svg"
        write_text(path, figure_svg(made) if isinstance(made, Figure) else made)
    return path


def main() -> None:
    """Make the pictures that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"which; all by default: {', '.join(PICTURES)}")
    names = parser.parse_args().names or list(PICTURES)
    if unknown := [name for name in names if name not in PICTURES]:
        parser.error(f"no picture is called {unknown[0]!r}; known: {', '.join(PICTURES)}")
    for name in names:
        begun = time.monotonic()
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            with contextlib.redirect_stdout(io.StringIO()):
                made = PICTURES[name]()
            path = write(name, made)
        print(f"{path.name}: {time.monotonic() - begun:.0f} s, {path.stat().st_size / 1e3:.0f} kB", flush=True)


if __name__ == "__main__":
    main()
