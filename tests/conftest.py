"""What every test runs under."""

import pytest
import torch
from browser import opened  # noqa: F401 - a fixture


@pytest.hookimpl(tryfirst=True)  # before pytest leaves out what is slow
def pytest_collection_modifyitems(items):
    """A browser takes seconds to draw a page: what needs one is slow."""
    for item in items:
        if "opened" in item.fixturenames:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """Small matrices on two threads took ten times as long where the cores are shared."""
    torch.set_num_threads(1)
