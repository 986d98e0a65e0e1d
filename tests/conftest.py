"""What every test runs under."""

import pytest
import torch
from browser import opened  # noqa: F401 - a fixture


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """Small matrices on two threads took ten times as long where the cores are shared."""
    torch.set_num_threads(1)
