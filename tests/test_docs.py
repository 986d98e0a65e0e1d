"""Every block of code in the README and on the pages runs, small."""

import dataclasses
import importlib
import importlib.util
import inspect
import re
import runpy
import shlex
import textwrap
from pathlib import Path

import matplotlib as mpl
import pytest
from browser import FAINT
from nervecord import RunConfig
from nervecord.agents import ALGORITHMS
from nervecord.circuits import CIRCUITS
from nervecord.cli.main import main
from nervecord.envs import ARENAS, SENSES, TASKS, Swimmer
from nervecord.envs.bodies import registry as bodies
from nervecord.training.probes import PROBES
from nervecord.training.rollouts.recording import RECORDING_FORMAT
from nervecord.training.runs import Result
from nervecord.training.runs.folder import FORMAT

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(
    r"(?:<!-- (not run|run where installed): ([^>]+) -->\n)?^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE
)
# What each command is given last, so that it takes seconds; the last of two equal options counts.
SMALL = {
    "train": "--steps 400 --episode-steps 200",
    "curriculum": "--updates 2",
    "evaluate": "--episodes 2",
    "transfer": "--episodes 2",
    "probe": "--episodes 2",
    "render": "--seconds 0.5",
    "record": "--episodes 2",
    "sweep": "--workers 1",
    "damage": "--steps 400 --episode-steps 200 --episodes 2",
    "compare": "--episodes 2",
    "route": "--episodes 2",
    "bricks": "--episodes 2",
}
# Pages of several trainings, films or sweeps take many seconds each.
LONG = ("README", "agents", "class", "interventions", "probe", "render", "route", "sweep", "train")
SMALL_PLAN = {
    "steps = 320000": "steps = 200\nepisode_steps = 50",
    "episodes = 20": "episodes = 2",
    "[0, 1, 2, 3, 4]": "[0]",
}


def blocks(page: Path) -> list[tuple[str, str, bool]]:
    """Return language, text and whether it is to run, of each block."""
    found = []
    for mark, what, language, text in BLOCK.findall(page.read_text(encoding="utf-8")):
        runs = not mark or (mark == "run where installed" and importlib.util.find_spec(what) is not None)
        found.append((language, text, runs))
    return found


def files_of_pages() -> dict[str, str]:
    """Return the files that pages show, by the name in their first line: `# plan.toml`, `<!-- mine.xml -->`."""
    files = {}
    for page in PAGES:
        for language, text, _ in blocks(page):
            if language in ("toml", "xml"):
                name = re.search(r"[\w-]+\.(toml|xml)", text.splitlines()[0])
                assert name, f"{page}: the first line of a {language} block names its file"
                files[name[0]] = text
    for long, short in SMALL_PLAN.items():
        files["plan.toml"] = files["plan.toml"].replace(long, short)
    return files


def run_shell(text: str) -> None:
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if not words:
            continue
        assert words[0] == "nervecord", f"only nervecord is run: mark the block <!-- not run: reason --> ({line})"
        main([*words[1:], *SMALL.get(words[1], "").split()])


@pytest.fixture
def _as_before():
    """Forget what a page registered."""
    kept = [
        (known, known.working()) for known in (ALGORITHMS, CIRCUITS, bodies._registered, PROBES, ARENAS, SENSES, TASKS)
    ]
    mpl.use("agg")
    yield
    for known, before in kept:
        for name in set(known) - set(before):
            del known[name]
        known.update(before)


@pytest.mark.usefixtures("_as_before")
@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=[pytest.mark.slow] if page.stem in LONG else []) for page in PAGES if blocks(page)],
    ids=lambda page: str(page.relative_to(ROOT).with_suffix("")),
)
def test_every_block_of_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in files_of_pages().items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    names = {"__name__": page.stem}
    for number, (language, text, runs) in enumerate(blocks(page)):
        assert language in ("python", "bash", "toml", "xml", "bibtex"), f"block {number} of {page.name} is {language}"
        if runs and language == "python":
            exec(compile(text, f"{page.name}, block {number}", "exec"), names)
        elif runs and language == "bash":
            run_shell(text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT).with_suffix("")))
def test_no_page_is_a_heading_alone(page):
    lines = page.read_text(encoding="utf-8").splitlines()
    assert len([line for line in lines if line.strip() and not line.startswith("#")]) >= 1


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build the pages without the reference of Python, which takes long and is built by `make docs`."""
    pytest.importorskip("mkdocs", reason='pip install "nervecord[docs]"')
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    folder = tmp_path_factory.mktemp("site")
    # Nor the page in which agents swim, which pages/test_web.py looks at.
    hooks = [str(ROOT / "tools" / name) for name in ("commands_page.py", "fields_page.py")]
    build(load_config(str(ROOT / "mkdocs.yml"), plugins=["search"], hooks=hooks, strict=False, site_dir=str(folder)))
    return folder


def test_fields_are_explained_with_and_without_the_indentation_that_newer_pythons_strip_from_docstrings(monkeypatch):
    table = runpy.run_path(str(ROOT / "tools" / "fields_page.py"))["schema_table"]
    written = table("nervecord.training.runs:Result")
    assert "| `name` |" in written
    for indentation in ("", "    "):
        doc = textwrap.indent(inspect.cleandoc(Result.__doc__), indentation).strip()
        monkeypatch.setattr(Result, "__doc__", doc)
        assert table("nervecord.training.runs:Result") == written


def test_the_page_of_commands_has_what_help_prints(site):
    page = (site / "reference" / "commands" / "index.html").read_text(encoding="utf-8")
    titles = re.findall(r"<h3[^>]*>([\w ]+)", page)
    assert {"train", "render", "play", "list"} <= set(titles)
    assert len(titles) >= 20
    render = page.split('id="render"')[1].split("<h3")[0]
    assert "<code>--camera STR</code>" in render
    assert "follow (goes with the body) or fixed" in render
    # Nothing of the classes that commands are in Python.
    assert not any(word in page for word in ("dataclass", "instance-attribute", "Bases:"))


# Links to the reference of Python, which this site is built without, stand there as `[name][nervecord.envs.Name]`.
WITHOUT_REFERENCES = r"""() => {
  const walker = document.createTreeWalker(document.querySelector("article"), NodeFilter.SHOW_TEXT);
  while (walker.nextNode())
    walker.currentNode.textContent = walker.currentNode.textContent.replace(/\]\[nervecord[\w.]*\]/g, "");
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_of_the_docs_can_be_read_fits_its_window_and_has_no_error_in_its_console(site, scheme, opened):
    # 404.html is for a server: its links begin at the site's root.
    pages = [path for path in sorted(site.rglob("*.html")) if path.name != "404.html"]
    assert len(pages) > 40
    wrong = []
    # One after another in one page: a browser takes longer to begin than to draw. The theme chooses its colours as it
    # loads.
    with opened(pages[0].as_uri(), width=1200, scheme=scheme, motion="reduce") as page:
        for path in pages:
            page.goto(path.as_uri())
            page.evaluate(WITHOUT_REFERENCES)
            wrong += [f"{path.relative_to(site)}: {faint}" for faint in page.evaluate(FAINT)]
            for width in (400, 1200):  # each is loaded at the larger one
                page.set_viewport_size({"width": width, "height": 800})
                if (across := page.evaluate("document.documentElement.scrollWidth")) > width:
                    wrong.append(f"{path.relative_to(site)} at {width} px: {across} px wide")
    assert wrong == []


def test_options_and_stored_fields_are_on_their_pages_as_the_code_has_them(site):
    options = (site / "guides" / "hyperparameters" / "index.html").read_text(encoding="utf-8")
    formats = (site / "reference" / "formats" / "index.html").read_text(encoding="utf-8")
    for name in ("es", "cmaes", "ppo", "sac", "td3"):
        for field in dataclasses.fields(ALGORITHMS[name].Options):
            assert f"<td><code>{field.name}</code></td>" in options, (name, field.name)
    assert "<td><code>0.0003</code></td>" in options  # the learning rate of SB3's PPO, beside ours
    for kind in (RunConfig, Result, Swimmer):
        for field in dataclasses.fields(kind):
            assert f"<td><code>{field.name}</code></td>" in formats, field.name
    assert f"<code>format</code> in <code>config.json</code></td>\n<td>{FORMAT}</td>" in formats
    assert f"nervecord recording {RECORDING_FORMAT}" in formats
    assert "<!-- options" not in options
    assert "<!-- schema" not in formats


def test_the_built_concepts_page_defines_its_nouns(site):
    page = (site / "concepts" / "index.html").read_text(encoding="utf-8")
    nouns = re.findall(r"<dt><strong>(\w+)</strong></dt>", page)
    assert nouns == [
        "Body", "Arena", "Task", "Layout", "Circuit", "Agent", "Rollout", "Algorithm", "Learner", "Run", "Result",
        "Recording",
    ]  # fmt: skip


def bare_commands(text: str) -> list[str]:
    """Return the indented lines outside fences that are commands: they look like code, and nothing runs them."""
    outside = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"^[ \t]+((?:nervecord|pip|python)\b.*)$", outside, re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT).with_suffix("")))
def test_commands_stand_in_fences(page):
    assert bare_commands(page.read_text(encoding="utf-8")) == []


def test_a_command_outside_a_fence_is_found():
    assert bare_commands("    nervecord doctor\n\n```bash\n  pip install x\n```\n") == ["nervecord doctor"]


def test_blocks_are_found_and_what_is_no_command_of_ours_is_refused(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "```python\n1\n```\n\n<!-- not run: long -->\n```bash\npip\n```\n"
        "<!-- run where installed: numpy -->\n```python\n2\n```\n"
        "<!-- run where installed: no_such_module -->\n```python\n3\n```\n",
        encoding="utf-8",
    )
    assert blocks(page) == [
        ("python", "1\n", True), ("bash", "pip\n", False), ("python", "2\n", True), ("python", "3\n", False)
    ]  # fmt: skip
    with pytest.raises(AssertionError, match="only nervecord is run"):
        run_shell("pip install nervecord")
    with pytest.raises(SystemExit):
        run_shell("nervecord evaluate runs/none")


def test_one_page_lists_every_public_name():
    spec = importlib.util.spec_from_file_location("public_names", ROOT / "tools" / "public_names.py")
    assert spec is not None
    assert spec.loader is not None
    public_names = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(public_names)
    page = public_names.PAGE.read_text(encoding="utf-8")
    assert page == public_names.page(), "run python tools/public_names.py"
    rows = [line for line in page.splitlines() if line.startswith("| [")]
    assert all(line.split(" | ")[1].rstrip(" |") for line in rows)
    # A package's own list is what `from ... import *` brings, so the page names what a user can import.
    for room in public_names.ROOMS:
        module = importlib.import_module(f"nervecord.{room}".rstrip("."))
        assert all(hasattr(module, name) for name in public_names.exports(room)), room
