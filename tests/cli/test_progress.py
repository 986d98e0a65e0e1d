"""Progress bars move on a terminal and leave a log alone."""

import sys
import time

import pytest
from nervecord.progress import progress_bar


@pytest.mark.parametrize(("is_terminal", "least", "most"), [(True, 4, 200), (False, 1, 3)])
def test_a_bar_is_drawn_often_on_a_terminal_alone(is_terminal, least, most, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    bar = progress_bar(total=200)
    for _ in range(200):
        time.sleep(0.005)
        bar.set_postfix(loss=1, refresh=False)
        bar.update()
    bar.close()
    assert least <= capsys.readouterr().err.count("200 [") <= most
