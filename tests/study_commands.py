"""Studies as they are started from the command line, in this process."""

import runpy
import sys

from nervecord.benchmarks import results


def start(monkeypatch, study: str, *arguments: str) -> None:
    """Run `python -m nervecord.benchmarks.results.STUDY ARGUMENTS`."""
    module = f"{results.__name__}.{study}"
    for held in (module, f"{module}.__main__"):
        monkeypatch.delitem(sys.modules, held, raising=False)
    monkeypatch.setattr(sys, "argv", [study, *arguments])
    runpy.run_module(module, run_name="__main__", alter_sys=True)
