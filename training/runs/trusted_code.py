"""Trust in a run whose circuit is code: only then is it run."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...circuits.code_files import code_from_json, load_code
from ...errors import InvalidRun
from ...files import read_json

_log = logging.getLogger(__name__)


def trust(path: str | Path) -> None:
    """Run the code of a folder's circuit, so that the run, curriculum or export in it can be opened in this process.

    Say so only of folders whose maker you know: the code can do whatever you can. One whose circuit is no code is left
    as it is.

    Args:
        path: the folder.

    Raises:
        InvalidRun: there is no such folder, or its circuit is damaged.
        CircuitMismatch: the code fails when it runs.
    """
    held: Any = read_json(Path(path) / "config.json", f"{path} is no run folder")
    config = held.get("asked", held.get("config")) if isinstance(held, Mapping) else None
    circuit = config.get("circuit") if isinstance(config, Mapping) else None
    if not isinstance(circuit, Mapping):
        return
    try:
        code = code_from_json(circuit)
    except InvalidRun as error:
        raise InvalidRun(f"{path}: {error}") from error
    _log.warning("nervecord: %s: running the code of its circuit %s (sha256 %s)", path, code.name, code.sha256)
    load_code(code)
