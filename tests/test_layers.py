"""Imports go one way, from a room to those below it, and every room is in the wheel."""

import importlib.util
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import nervecord
import pytest
from nervecord.moved import MOVED

ROOT = Path(__file__).parents[1]
_SPEC = importlib.util.spec_from_file_location("layers", ROOT / "tools" / "layers.py")
layers = importlib.util.module_from_spec(_SPEC)
sys.modules["layers"] = layers
_SPEC.loader.exec_module(layers)

# The imports inside functions, and why each waits until it is needed.
WAITS = {
    "cli": "a command loads what it alone needs, so that --help and the others stay light",
    "agents/algorithms/registry.py": "a list of the algorithms needs no torch",
    "envs/physics/lanes/compiling.py": "numba, which only the physics of lanes needs, and which may be missing",
    "circuits/along.py": "numba, which a circuit's step over vectors needs",
    "circuits/code_files.py": "configs name circuits of code without torch, which running one needs",
    "circuits/compose.py": "numba, which a circuit's step over vectors needs",
    "circuits/cpg.py": "numba, which a circuit's step over vectors needs",
    "circuits/relay.py": "numba, which a circuit's step over vectors needs",
    "circuits/mlp.py": "numba, which a circuit's step over vectors needs",
    "circuits/ncap": "numba, which a circuit's step over vectors needs",
    "circuits/registry.py": "a list of the circuits needs no torch",
    "envs/physics/obstacles.py": "scipy, which only drawings of an obstacle of points need",
    "training/runs/held_files.py": "a config that names no file of a graph needs no torch",
    "benchmarks/learn.py": "peers that may not be installed",
    "benchmarks/ppo.py": "peers that may not be installed",
    "benchmarks/speed.py": "peers that may not be installed",
    "videos/encode.py": "PyAV brings FFmpeg's libraries, which only films need",
}
EXPORTING = sorted(
    path.parent for path in ROOT.rglob("__init__.py") if "lazy_exports(" in path.read_text(encoding="utf-8")
)


def test_every_import_goes_from_a_room_to_one_below_it():
    assert [str(each) for each in layers.wrong_way(layers.imports())] == []


def test_no_files_import_each_other_in_a_circle():
    assert layers.circles(layers.imports()) == []


def test_imports_wait_inside_functions_only_for_a_reason():
    inside = {each.source for each in layers.imports() if each.in_function}
    inside |= {file for file, _ in layers.foreign_imports_in_functions()}
    known = {file for file in inside if any(file == name or file.startswith(f"{name}/") for name in WAITS)}
    assert inside - known == set()
    assert {name for name in WAITS if not any(file == name or file.startswith(f"{name}/") for file in inside)} == set()


def planted(tmp_path: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("envs/mine.py", "from ..circuits import contract"),
        ("envs/mine.py", "def late():\n    from ..training.runs import run"),
        ("training/runs/mine.py", "from ..learning import training"),
        ("drawing/mine.py", "from ..circuits.registry import make"),
        ("files.py", "from .envs import senses"),
        ("pages/mine.py", "from ..benchmarks import speed"),
        ("worm/mine.py", "import nervecord.cli.main"),
        ("videos/mine.py", "if TYPE_CHECKING:\n    from ..pages.reports import report"),
    ],
)
def test_an_import_that_goes_the_wrong_way_is_found(tmp_path, file, text):
    there = (
        "circuits/contract", "circuits/registry", "training/runs/run", "training/learning/training", "envs/senses",
        "benchmarks/speed", "cli/main", "pages/reports",
    )  # fmt: skip
    root = planted(tmp_path, {f"{name}.py": "" for name in there} | {file: text})
    assert [each.source for each in layers.wrong_way(layers.imports(root))] == [file]


def test_a_circle_is_found_also_through_a_function_and_a_package(tmp_path):
    files = {
        "envs/a.py": "from .b import x",
        "envs/b.py": "def f():\n    from . import c",
        "envs/c.py": "from .a import y",
        "envs/d.py": "from .a import z",
        "agents/__init__.py": "from .one import x",
        "agents/one.py": "from . import x",
    }
    expected = [["agents/__init__.py", "agents/one.py"], ["envs/a.py", "envs/b.py", "envs/c.py"]]
    assert layers.circles(layers.imports(planted(tmp_path, files))) == expected


@pytest.mark.parametrize("folder", EXPORTING, ids=[str(path.relative_to(ROOT)) for path in EXPORTING])
def test_a_room_exports_what_it_says(folder):
    name = ".".join(["nervecord", *folder.relative_to(ROOT).parts])
    room = importlib.import_module(name)
    assert all(getattr(room, each) is not None for each in room.__all__)
    # Importing a submodule would put it where the name of the same spelling stands.
    assert not {path.stem for path in folder.iterdir() if path.suffix in ("", ".py")} & set(room.__all__)
    with pytest.raises(AttributeError, match=f"{name}.*no_such_name"):
        room.no_such_name  # noqa: B018


@pytest.mark.parametrize("old", MOVED)
def test_an_old_module_forwards_with_a_warning_that_names_the_new_one(old):
    sys.modules.pop(f"nervecord.{old}", None)
    with pytest.warns(DeprecationWarning, match=f"nervecord.{old} is now nervecord.{MOVED[old][0]}") as caught:
        __import__(f"nervecord.{old}")  # importlib.import_module would itself be the line that imports
    module = sys.modules[f"nervecord.{old}"]
    assert caught[0].filename == __file__
    homes = [importlib.import_module(f"nervecord.{new}") for new in MOVED[old]]
    names = {
        name
        for home in homes
        for name, value in vars(home).items()
        if getattr(value, "__module__", "") == home.__name__
    }
    assert names
    for name in names:
        assert getattr(module, name) is next(getattr(home, name) for home in homes if hasattr(home, name))
    with pytest.raises(AttributeError, match="is now"):
        module.no_such_name  # noqa: B018


@pytest.mark.parametrize(
    "line",
    [
        "from nervecord.envs.sb3_vec_env import SwimmerVecEnv",
        "from nervecord.training.interventions import Intervention",
        "from nervecord.training.probes.diagram import draw_wiring",
        "from nervecord.training.rollout import record, record_agent",
        "from nervecord.training.statistics import bootstrap_iqm",
        "from nervecord.training.cli import main",
        "from nervecord.training.run import Run, read_evaluation",
        "from nervecord.training.train import RunConfig, train",
        "from nervecord.envs.vector_env import SwimmerEnv",
        "from nervecord.envs.bits import BitsEnv",
        "from nervecord.envs.bodies import Body, make_body",
        "from nervecord.circuits.ncap import NCAP",
    ],
)
def test_imports_that_the_documentation_showed_still_work(line):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        exec(line, {})


def test_importing_the_package_forwards_nothing_yet():
    code = "import sys, nervecord; print([name for name in sys.modules if name.startswith('nervecord.training')])"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert nervecord.__version__


@pytest.mark.slow
def test_the_wheel_holds_every_room_and_no_page_maker(tmp_path):
    source = tmp_path / "source"
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    if not tracked:
        pytest.skip("not a git checkout: what belongs to the package cannot be told from what lies beside it")
    for name in tracked:
        if (ROOT / name).is_file() and name.split("/")[0] not in ("docs", "tests"):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, source]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout[-2000:] + built.stderr[-2000:]
    wheel = next(tmp_path.glob("*.whl"))
    inside = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        f"nervecord/{path.relative_to(ROOT).as_posix()}"
        for path in layers.product_files()
        if not path.is_relative_to(ROOT / "benchmarks" / "results")
    }
    expected |= {
        f"nervecord/{name}"
        for name in tracked
        if name.startswith(("agents/shipped/", "pages/", "sharing/", "training/runs/", "training/studies/nas/tables/"))
        or name == "py.typed"
    }
    assert {name for name in inside if name.startswith("nervecord/")} == expected
    assert wheel.stat().st_size < 1_500_000
