"""The NCAP paper as one command: curves, ablations, transfer and gait, with statistics over seeds.

Bhattasali, Zador and Engel 2022 (https://arxiv.org/abs/2201.05242), the Swimmer experiments, with controls that have
only some of NCAP's ingredients.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from ....errors import InvalidOption, InvalidRun, OutputExists, UnknownName
from ....files import read_json, write_json
from ....options import FLAG, PATH, Instance, checked
from ...learning.engine import Engine, check_engine
from ...runs.trial_files import TrialFiles
from ..trials import run_trials
from .page import write_report
from .plan import SCALES, finetuning_trials, first_trials


@checked(InvalidOption, out=PATH, scale=Instance(str, "smoke, small or paper"), progress=FLAG)
def reproduce(
    out: str | Path,
    scale: str = "small",
    workers: int | None = None,
    engine: Engine = "local",
    address: str | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Reproduce the paper's experiments in the folder `out`, or resume there, and write a report.

    Runs are folders in `out`/runs; scores are files in `out`/trials and rows of `out`/results.sqlite; report.md has
    the tables and figures, claim by claim.

    Returns:
        One row per claim: claim, verdict (holds, partly, not), numbers (as text).

    Raises:
        UnknownName: there is no such scale.
        InvalidOption: `workers` is below 1, there is no such engine, or an address is given without Ray.
        InvalidRun: `out` contains a reproduction at another scale.
        OutputExists: `out` contains something else.
    """
    if scale not in SCALES:
        raise UnknownName("scale", scale, SCALES)
    check_engine(workers, engine, address)
    out, plan = Path(out), SCALES[scale]
    _open(out, scale)
    files = TrialFiles(out)
    options: dict[str, Any] = {
        "episodes": plan.episodes, "workers": workers, "engine": engine, "address": address, "progress": progress,
    }  # fmt: skip
    run_trials(first_trials(plan), out / "runs", files, **options)
    run_trials(finetuning_trials(plan, (out / "runs").resolve()), out / "runs", files, **options)
    return write_report(out, files.table(), f"nervecord reproduce ncap --scale {scale}")


def _open(out: Path, scale: str) -> None:
    plan = out / "reproduction.json"
    if plan.exists():
        held = read_json(plan, f"{out} is damaged").get("scale")
        if held != scale:
            raise InvalidRun(f"{out} has a reproduction at scale {held!r}; give another --out, or --scale {held}")
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputExists(f"{out} exists and is not a reproduction; give another --out")
    else:
        write_json(plan, {"of": "ncap", "scale": scale})
