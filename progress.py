"""Progress bars, which say less where nobody watches."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

_LOG_SECONDS = 10.0


def progress_bar(iterable: Iterable[Any] | None = None, **options: Any) -> Any:
    """Make a tqdm bar on stderr; where that is a file or a pipe, it is drawn every ten seconds at most.

    Args:
        iterable: what to go through, if the bar is not updated by hand.
        options: tqdm's own.
    """
    if sys.stderr is None:  # closed, or of a program without a console
        options["disable"] = True
    seconds = 0.1 if sys.stderr is not None and sys.stderr.isatty() else _LOG_SECONDS
    return tqdm(iterable, mininterval=seconds, maxinterval=max(seconds, 10.0), **options)
