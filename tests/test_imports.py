"""What importing costs: no torch and no MuJoCo before something needs them."""

import subprocess
import sys

import pytest
from nervecord import envs

HELP = "from nervecord.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass"


@pytest.mark.parametrize("code", ["import nervecord", HELP], ids=["import", "help"])
def test_torch_and_mujoco_stay_out(code):
    report = "import sys\nprint(sorted({'torch', 'mujoco'} & set(sys.modules)), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize("name", envs.__all__)
def test_every_name_of_envs_loads(name):
    assert getattr(envs, name) is not None


def test_a_name_that_envs_has_not_is_an_attribute_error():
    with pytest.raises(AttributeError, match="Swimer"):
        envs.Swimer  # noqa: B018


@pytest.mark.slow
def test_pyplot_and_cma_wait_for_who_needs_them():
    report = (
        "import sys, nervecord.training.learning.training\n"
        "print(sorted({'cma', 'matplotlib.pyplot'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
