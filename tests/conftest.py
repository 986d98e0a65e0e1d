"""What every test runs under."""

import os
from collections import Counter

import pytest
import torch
from browser import opened  # noqa: F401 - a fixture

# For processes that tests start, as `_one_thread` is for this one. OMP_NUM_THREADS would limit the physics, too.
os.environ.update(dict.fromkeys(("MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))


@pytest.hookimpl(tryfirst=True)  # before pytest leaves out what is slow
def pytest_collection_modifyitems(items):
    """Mark what a browser draws, which takes seconds, as slow; put files of many slow tests first.

    A worker takes a whole file at a time: a long one at the end would leave the others without work.
    """
    for item in items:
        if "opened" in item.fixturenames:
            item.add_marker(pytest.mark.slow)
    tests = Counter(item.path for item in items)
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: (-slow[item.path], -tests[item.path], item.path))


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """Small matrices on two threads took ten times as long where the cores are shared."""
    torch.set_num_threads(1)
