"""Every example runs, at a small size; those of libraries that are not installed are skipped with the reason."""

import importlib.metadata
import importlib.util
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import gymnasium
import pytest
from packaging.version import Version

EXAMPLES = Path(__file__).parents[1] / "examples"
LIBRARIES = Path(__file__).parents[1] / "docs" / "libraries.md"
SMALL = {
    "sb3_ppo": ["--steps", "4096", "--episode-steps", "64"],
    "sb3_sac": ["--steps", "120", "--episode-steps", "50"],
    "gymnasium_vector": ["--num-envs", "4", "--episode-steps", "50"],
    "dm_env_loop": ["--episode-steps", "50"],
    "cleanrl_ppo": ["--steps", "512", "--num-envs", "4", "--rollout", "64", "--episode-steps", "50"],
    "skrl_ppo": ["--steps", "512", "--num-envs", "4", "--rollout", "64", "--episode-steps", "50"],
    "torchrl_collect": ["--frames", "200", "--episode-steps", "50"],
    "rllib_ppo": ["--iterations", "1", "--episode-steps", "50"],
    "half_cheetah": ["--steps", "1024", "--episode-steps", "60"],
    "own_body": ["--steps", "2000", "--episode-steps", "100"],
    "own_circuit": ["--steps", "2000", "--episode-steps", "100"],
}
NEEDS = {"skrl_ppo": "skrl", "torchrl_collect": "torchrl", "rllib_ppo": "ray.rllib"}


def test_every_example_is_tested():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(SMALL)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_an_example_runs(name, tmp_path):
    library = NEEDS.get(name)
    if library and importlib.util.find_spec(library.split(".")[0]) is None:
        pytest.skip(f"{library} is not installed: pip install 'nervecord[examples]'")
    if library == "ray.rllib" and Version(gymnasium.__version__) > Version("1.2.2"):
        pytest.skip("RLlib pins gymnasium <= 1.2.2, and a later one is installed")
    result = subprocess.run(
        [sys.executable, EXAMPLES / f"{name}.py", *SMALL[name]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2000:]


@pytest.mark.slow
def test_a_package_of_ones_own_is_installed_and_passes_its_checks(tmp_path):
    site, folder = tmp_path / "site", tmp_path / "my_worm"
    shutil.copytree(EXAMPLES / "my_worm", folder)
    install = ["pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index", "--target", site, folder]
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    for command in (install, ["pytest", "-q", "-p", "no:cacheprovider", "test_my_worm.py"]):
        done = subprocess.run([sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True,
                              env={**os.environ, "PYTHONPATH": path})  # fmt: skip
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "4 passed" in done.stdout


def test_the_guide_shows_the_package_as_it_is():
    guide = (EXAMPLES.parent / "docs" / "guides" / "testing.md").read_text(encoding="utf-8")
    assert all(path.read_text(encoding="utf-8") in guide for path in (EXAMPLES / "my_worm").iterdir() if path.is_file())


ROW = re.compile(r"^\|([^|]+)\|([^|]+)\|[^|]*\.py", re.MULTILINE)
TABLE = [(library.strip(), tried.strip()) for library, tried in ROW.findall(LIBRARIES.read_text(encoding="utf-8"))]
PACKAGES = {
    "Stable-Baselines3": "stable-baselines3", "CleanRL": "torch", "gymnasium's": "gymnasium", "skrl": "skrl",
    "TorchRL": "torchrl", "RLlib": "ray", "dm_env": "dm-env",
}  # fmt: skip
PINNED = dict(
    re.findall(r"^([\w-]+)==(\S+)$", (EXAMPLES.parent / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
)


def test_the_table_of_libraries_is_read():
    assert [re.split(r"[ ,]", library)[0] for library, _ in TABLE] == list(PACKAGES)


@pytest.mark.parametrize(("library", "tried"), TABLE, ids=[library for library, _ in TABLE])
def test_the_version_that_the_page_names_is_the_one_tested(library, tried):
    package = PACKAGES[re.split(r"[ ,]", library)[0]]
    try:
        installed = Version(importlib.metadata.version(package))
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{package} is not installed")
    if (pinned := PINNED.get(package, installed.public)) != installed.public:
        pytest.skip(f"{package} {installed} is installed, and constraints.txt names {pinned}")
    named = Version(re.search(r"\d+(\.\d+)+", tried)[0])
    assert (named.major, named.minor) == (installed.major, installed.minor)


@pytest.mark.slow
def test_the_single_file_ppo_learns():
    """With a wrong mask, discount or bootstrap it stays near random actions, 90 of 1000 and so 9 of 100."""
    spec = importlib.util.spec_from_file_location("cleanrl_ppo", EXAMPLES / "cleanrl_ppo.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    start = module.main(steps=2048, num_envs=16, rollout=128, episode_steps=100, gamma=0.98)
    learned = module.main(steps=60_000, num_envs=16, rollout=128, episode_steps=100, gamma=0.98)
    assert math.isfinite(start)
    assert learned > 2 * start
