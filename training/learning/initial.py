"""Untrained agents in a temporary run, for everything that takes a run."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..runs.config import RunConfig
from ..runs.made import write_finished
from ..runs.run import Run
from .checks import check
from .start import begun


@contextlib.contextmanager
def untrained(config: RunConfig) -> Iterator[Run]:
    """Open a temporary run whose agent has the weights that its training would begin with; it is deleted on exit.

    They come from the seed, or from the runs that the config, or a part of a composed circuit, starts from. It can be
    passed to everything that takes a run, such as `evaluate`, `record`, `render`, `probe` and `play`.

    Raises:
        NervecordError: the config cannot be trained, or a run that it starts from is gone.
    """
    with tempfile.TemporaryDirectory(prefix="nervecord-") as folder:
        resolved = check(config)
        agent, path = begun(resolved), Path(folder) / "untrained"
        yield write_finished(path, config, resolved, agent.circuit.state_dict(), agent.observation_stats, 0)
