"""Commands with subcommands, such as `nervecord worm posture` and `nervecord nas search`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any


@dataclasses.dataclass(frozen=True)
class Grouped:
    """A command that runs one of its subcommands; a subclass lists them in the type of `what`."""

    what: Any

    @classmethod
    def prepared(cls, arguments: Sequence[str]) -> type[Any]:  # noqa: ARG003
        """Return the class that the arguments are parsed into."""
        return cls

    @property
    def goes_on(self) -> bool:
        """Whether the same command resumes after an interruption."""
        return bool(self.what.goes_on)

    @property
    def json(self) -> bool:
        """Whether to print JSON."""
        return bool(self.what.json)

    def check(self) -> None:
        """Raise the errors that can be found without loading a large library."""
        self.what.check()

    def run(self) -> Any:
        """Run the subcommand."""
        return self.what.run()
