"""The command of a study: `python -m nervecord.benchmarks.results.NAME`, which ends as every command does."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from ...cli.ending import Program, run_to_end
from ...cli.parsing import parsed
from ...errors import InvalidOption, UnknownName


def start(study: Callable[..., None], options: Callable[..., Any] | None = None) -> None:
    """Run a study as the command line says, and end as `run_to_end` does.

    Before anything runs, a page that is not there is refused, and so is a number below 1 of seeds, episodes or whatever
    else is counted.

    Args:
        study: takes the options; without a class of them, each of its arguments is an option.
        options: the class of the options.
    """
    spec = sys.modules["__main__"].__spec__
    name = spec.name.removesuffix(".__main__") if spec else sys.argv[0]

    def parse() -> Program:
        made = parsed(options or _later(study), sys.argv[1:], f"python -m {name}")
        given: Mapping[str, Any] = vars(made) if options else made.keywords
        for option, value in given.items():
            if isinstance(value, int) and not isinstance(value, bool) and value < 1:
                raise InvalidOption(f"--{option.replace('_', '-')} is {value}; give 1 or more")
        page = given.get("page")
        if page is not None and not page.is_file():
            raise InvalidOption(f"there is no page {page}; give one that is there, such as docs/results/world.md")
        return Program(functools.partial(study, made) if options else made, given.get("out") is not None)

    run_to_end(parse)


def check_known(kind: str, given: Iterable[str], known: Collection[str]) -> None:
    """Refuse names that are not known.

    Args:
        kind: of the names, in words.
        given: the names.
        known: what there is.

    Raises:
        UnknownName: one of them is another.
    """
    for name in given:
        if name not in known:
            raise UnknownName(kind, name, known)


def _later(study: Callable[..., None]) -> Callable[..., functools.partial[None]]:
    """Return a function of the same arguments that keeps them, so that they are parsed before the study runs."""

    @functools.wraps(study)
    def keep(**arguments: Any) -> functools.partial[None]:
        return functools.partial(study, **arguments)

    return keep
