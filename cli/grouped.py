"""A command that is several: `nervecord worm posture`, `nervecord nas search`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any


@dataclasses.dataclass(frozen=True)
class Grouped:
    """What the command that was named does is done; a subclass says in the type of `what` which there are."""

    what: Any

    @classmethod
    def prepared(cls, arguments: Sequence[str]) -> type[Any]:  # noqa: ARG003
        """Return the command as it is parsed."""
        return cls

    @property
    def goes_on(self) -> bool:
        """Whether it goes on from where it was interrupted, when it is given again."""
        return bool(self.what.goes_on)

    @property
    def json(self) -> bool:
        """Whether to print for machines."""
        return bool(self.what.json)

    def check(self) -> None:
        """Refuse at once what shows without loading a library."""
        self.what.check()

    def run(self) -> Any:
        """Run the command that was asked for."""
        return self.what.run()
