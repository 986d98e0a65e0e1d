"""The list of planted faults fits the tree: each can be planted, and the tests that should find it are there."""

import ast
import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
_SPEC = importlib.util.spec_from_file_location("planted_faults", ROOT / "tools" / "planted_faults.py")
planted_faults = importlib.util.module_from_spec(_SPEC)
sys.modules["planted_faults"] = planted_faults
_SPEC.loader.exec_module(planted_faults)
FAULTS = planted_faults.FAULTS


def test_there_are_thirty_of_different_names():
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) == 30


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_can_be_planted_and_has_its_tests(fault):
    sound = (ROOT / fault.file).read_text(encoding="utf-8")
    assert sound.count(fault.text) == 1
    ast.parse(sound.replace(fault.text, fault.by))
    for node in planted_faults.nodes(fault.tests, ROOT):
        file, *names = node.split("::")
        functions = {
            each.name
            for each in ast.parse(Path(file).read_text(encoding="utf-8")).body
            if isinstance(each, ast.FunctionDef)
        }
        assert {name.partition("[")[0] for name in names} <= functions, node
