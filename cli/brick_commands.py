"""The command `nervecord bricks`: find a circuit's functional parts; merge, grow or partly retrain circuits."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InvalidOption, OutputExists
from ..training.runs.holds import holds
from .command import OnRun
from .config_options import typed
from .parsing import Steps
from .printing import run_told, table_text

if TYPE_CHECKING:
    from ..training.runs.run import Run

_MODES = {
    "merge": "number bodies seed body steps",
    "grow": "number bodies weights episodes steps",
    "update": "number bodies weights episodes seed body",
}


@dataclasses.dataclass(frozen=True)
class Bricks(OnRun):
    """Partition a trained circuit into bricks (groups of units) and test each; or merge, grow or retrain circuits."""

    number: int = 4
    """Number of bricks per hidden layer, for partitions by weights and at random; by activity it is not chosen."""
    bodies: tuple[str, ...] = ()
    """Further bodies on which bricks are silenced; the run's own is always tested."""
    episodes: int = 8
    """Number of episodes of each test; with --merge, for each mixture of the two runs."""
    seed: int = 0
    """Seed of the partition and its controls; with --grow, of the new units' incoming weights."""
    merge: Path | None = None
    """Instead: merge the run with this one into --out, and test mixtures of the two."""
    weights: tuple[float, float] = (0.5, 0.5)
    """With --merge: weights of the two runs; they must sum to 1 unless both were trained from the same start."""
    grow: int | None = None
    """Instead: add this many units to each hidden layer and write the run to --out; it acts as before."""
    body: str | None = None
    """With --grow: body of the new run, by default the run's own."""
    update: str | None = None
    """Instead: train only the brick of this name, in the new run --out. Run the same command again to resume."""
    steps: Steps | None = None
    """With --update: environment steps, by default as many as the run was trained for."""
    out: Path | None = None
    """Folder of the new run that --merge, --grow or --update writes."""

    @property
    def _mode(self) -> str | None:
        """What is asked for; None to cut the circuit and test its bricks."""
        return next((mode for mode in _MODES if getattr(self, mode) is not None), None)

    def check(self) -> None:
        """Refuse two actions at once, options of another action, a missing or existing --out, and a folder without a
        run."""
        asked = [f"--{mode}" for mode in _MODES if getattr(self, mode) is not None]
        if len(asked) > 1:
            raise InvalidOption(f"{' and '.join(asked)} are {len(asked)} things; give one of them")
        if self._mode is None:
            self.refuse("weights body steps out", "they are of --merge, --grow or --update")
        else:
            self.refuse(_MODES[self._mode], f"--{self._mode} has no use for them; leave them out")
            if self.out is None:
                raise InvalidOption(f"--{self._mode} makes a run; give the --out for it")
            if self.update is None and self.out.exists():
                raise OutputExists(f"{self.out} exists; give another --out")
        super().check()
        if self.merge is not None:
            holds(self.merge, self.trust)

    def run(self) -> Any:
        """Run the command, and return its findings or the new run."""
        run = self.opened()
        made = {None: self._study, "merge": self._merge, "grow": self._grow, "update": self._update}
        return made[self._mode](run)

    def _study(self, run: Run) -> Any:
        from ..training.studies.bricks import find_bricks

        found = find_bricks(run, self.number, self.bodies, self.episodes, self.seed, progress=not self.json)
        if self.json:
            bricks = [brick.to_json() for brick in found.bricks]
            tables = {name: self.table(getattr(found, name)) for name in ("table", "moments", "retrieval")}
            return {"bricks": bricks, **tables, "words": found.words}
        kept = found.retrieval.pivot_table("mean", ["layer", "method", "score"], "q", sort=False).reset_index()
        parts = {
            "what remains without each brick, as a share of the intact circuit's": found.table,
            "mean return with the best bricks kept at each step, by how many": kept,
        }
        shown = [f"{title}\n\n{table_text(table)}" for title, table in parts.items()]
        return "\n\n".join([*shown, "\n".join(found.words), f"nervecord report {run.argument} shows it"])

    def _merge(self, run: Run) -> Any:
        from ..training.studies.bricks import merge

        assert self.merge is not None
        assert self.out is not None
        found = merge(run, self.run_in(self.merge), self.out, self.weights, self.episodes, progress=not self.json)
        numbers = {name: number["value"] for name, number in found.numbers.items()}
        return {"run": str(found.run.path), "returns": numbers, "in words": list(found.words)}

    def _grow(self, run: Run) -> Any:
        from ..training.studies.bricks import grow

        assert self.grow is not None
        assert self.out is not None
        grown, units = grow(run, self.grow, self.out, self.body, self.seed)
        if self.json:
            return {"run": str(grown.path), "units": units}
        config = grown.config
        words = [
            f"nervecord train --start {grown.argument} --circuit {config.circuit} --algorithm {config.algorithm}",
            f"--task {config.task} --body {config.body_names[0]}", typed(config),
            f"--out {shlex.quote(f'{self.out}-trained')}",
        ]  # fmt: skip
        train = " ".join(filter(None, words))
        return {
            "run": str(grown.path),
            "units": " ".join(units),
            "next": [f"{train}  trains all of it", f"{train} --train-only {units[0]} ...  trains the new units alone"],
        }

    def _update(self, run: Run) -> Any:
        from ..training.learning.training import summary
        from ..training.studies.bricks.findings import brick_named
        from ..training.studies.bricks.updating import update_brick

        assert self.update is not None
        assert self.out is not None
        steps = run.config.steps if self.steps is None else self.steps
        found = summary(update_brick(run, brick_named(run, self.update), self.out, steps, progress=not self.json))
        return found if self.json else run_told(found)
