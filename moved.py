"""Modules that moved: their old names forward to the new ones, with a warning, until 0.3."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
import types
import warnings
from collections.abc import Sequence
from typing import Any

# Old module -> the new modules with its contents, searched in this order; both below "nervecord.".
MOVED: dict[str, tuple[str, ...]] = {
    "agents.es": ("agents.sb3.population",),
    "agents.cmaes": ("agents.sb3.population",),
    "agents.foreign": ("agents.sb3.zip_files",),
    "agents.off_policy": ("agents.sb3.off_policy",),
    "agents.policy": ("agents.sb3.policies", "agents.agent", "agents.normalizer"),
    "agents.ppo": ("agents.sb3.circuit_ppo", "agents.algorithms.ppo"),
    "agents.sb3.algorithms": ("agents.sb3.population", "agents.sb3.circuit_ppo"),
    "circuits.toolbox": ("circuits.connectome.toolbox",),
    "envs.bits": ("envs.tasks.bits",),
    "envs.sb3_vec_env": ("envs.sb3_env",),
    "envs.vector_env": ("envs.gymnasium_env", "envs.env_batch"),
    "training.ablate": ("training.studies.ablations",),
    "training.cli": ("cli.main",),
    "training.commands": ("cli.run_commands", "cli.command"),
    "training.compare": ("training.studies.comparisons",),
    "training.config": ("training.runs.config", "training.runs"),
    "training.evaluate": ("training.rollouts.evaluation",),
    "training.films": ("videos.films",),
    "training.interventions": ("training.rollouts.interventions",),
    "training.play": ("pages.play_server",),
    "training.player": ("pages.player",),
    "training.probing": ("training.probes.probing",),
    "training.protect": ("training.learning.protection",),
    "training.recording": ("training.rollouts.recording",),
    "training.report": ("pages.reports",),
    "training.reproduce": ("training.studies.ncap_paper.reproduction",),
    "training.result_commands": ("cli.result_commands", "cli.tool_commands"),
    "training.rollout": ("training.rollouts.recorder",),
    "training.run": ("training.runs.run", "training.runs.old_results"),
    "training.share": ("sharing.hub",),
    "training.statistics": ("intervals",),
    "training.study_commands": ("cli.study_commands",),
    "training.sweep": ("training.studies.sweeps",),
    "training.train": ("training.learning.training", "training.runs.config"),
    "training.transfer": ("training.studies.transfers",),
    "training.worm_commands": ("cli.worm_commands",),
    "training.worm_compare": ("worm.compare",),
    "training.worm_data": ("worm.data",),
}
# Names that a package exported -> their present names.
RENAMED = {"envs": {"World": "EnvBatch", "Simulation": "MujocoBatch"}}
_PACKAGE = __name__.rpartition(".")[0]


def forward_moved_modules() -> None:
    """Make `import` find the old names too."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Creates, for an old name, an empty module whose attributes are looked up in the new modules."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002
        target: types.ModuleType | None = None,  # noqa: ARG002
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname.removeprefix(f"{_PACKAGE}.") not in MOVED or not fullname.startswith(f"{_PACKAGE}."):
            return None
        return importlib.machinery.ModuleSpec(fullname, self)

    def exec_module(self, module: types.ModuleType) -> None:
        places = [f"{_PACKAGE}.{name}" for name in MOVED[module.__name__.removeprefix(f"{_PACKAGE}.")]]
        # Python does not count the import system's frames, so level 2 is the line with the import.
        warnings.warn(f"{module.__name__} is now {' and '.join(places)}", DeprecationWarning, stacklevel=2)
        homes = [importlib.import_module(place) for place in places]

        def look_up(name: str) -> Any:
            for home in homes:
                if hasattr(home, name):
                    return getattr(home, name)
            raise AttributeError(f"{module.__name__} is now {' and '.join(places)}, which has no {name!r}")

        module.__getattr__ = look_up  # type: ignore[method-assign]
