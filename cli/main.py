"""The command line: `nervecord COMMAND`; one line and exit status 2 for a user's mistake."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

from ..files import json_text
from ..version import __version__
from .brick_commands import Bricks
from .ending import Program, run_to_end
from .nas_commands import Nas
from .parsing import parse
from .printing import text
from .result_commands import Export, Gallery, Import, Play, Probe, Record, Render, Report, Results
from .run_commands import Curriculum, Evaluate, Resume, Train, Transfer
from .study_commands import Ablate, Compare, Damage, Reproduce, Route, Sweep
from .surroundings import check_arguments, no_renderer
from .tool_commands import Bench, Demo, Doctor, Names
from .worm_commands import Worm

COMMANDS: dict[str, dict[str, type[Any]]] = {
    "Begin": {"demo": Demo, "list": Names, "doctor": Doctor},
    "Train": {"train": Train, "resume": Resume, "curriculum": Curriculum},
    "Measure": {
        "evaluate": Evaluate,
        "transfer": Transfer,
        "record": Record,
        "probe": Probe,
        "bricks": Bricks,
        "results": Results,
    },
    "Look": {"render": Render, "play": Play, "report": Report, "gallery": Gallery},
    "Study many runs": {
        "sweep": Sweep,
        "ablate": Ablate,
        "damage": Damage,
        "compare": Compare,
        "reproduce": Reproduce,
        "route": Route,
        "nas": Nas,
    },
    "Share": {"export": Export, "import": Import},
    "Compare with others": {"worm": Worm, "bench": Bench},
}


def main(arguments: list[str] | None = None) -> None:
    """Run one command; exit as `run_to_end` says, with --json for a mistake too."""
    arguments = sys.argv[1:] if arguments is None else arguments
    run_to_end(lambda: _parsed(arguments), as_json="--json" in arguments)


def _parsed(arguments: list[str]) -> Program:
    if arguments == ["--version"]:
        return Program(lambda: __version__)
    check_arguments(arguments)
    is_help = not {"-h", "--help"}.isdisjoint(arguments)
    with no_renderer() if is_help else contextlib.nullcontext():
        command: Any = parse(COMMANDS, arguments)

    def run() -> str:
        command.check()
        result = command.run()
        return json_text(result) if command.json else text(result)

    return Program(run, command.goes_on)
