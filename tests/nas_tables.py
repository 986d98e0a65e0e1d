"""Tables of architectures with numbers that are drawn, for tests that train nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
from nervecord.training.studies.nas.spaces import SearchSpace
from nervecord.training.studies.nas.table import ArchitectureTable

SMALL = SearchSpace("small", {"size": (8, 16, 32), "gate": (True, False)})
STEPS = (100, 200)


def drawn_table(
    space: SearchSpace = SMALL,
    bodies: tuple[str, ...] = ("one", "two"),
    seeds: int = 4,
    noise: float = 1.0,
    seed: int = 0,
    means: np.ndarray | None = None,
) -> ArchitectureTable:
    """Return a table whose means by body and architecture are drawn, or given; validations have noise."""
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(len(bodies), len(space))) if means is None else means
    index = [(architecture, body, own) for body in bodies for architecture in space for own in range(seeds)]
    rows = pd.DataFrame(index, columns=["architecture", "body", "seed"])
    mean = means.repeat(seeds)
    rows["weights"], rows["seconds"] = 5, rng.uniform(1, 3, len(rows))
    rows["test"], rows["unseen"] = mean, mean / 2
    for step in STEPS:
        rows[f"valid_{step}"] = mean * step / STEPS[-1] + noise * rng.normal(size=len(rows))
    return ArchitectureTable(space, rows, {"nervecord": "0.1.0"})
