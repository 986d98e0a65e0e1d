"""Figures show all that they are given."""

import numpy as np
import pandas as pd
from nervecord.drawing.figures import curves, regret_curves


def test_no_group_is_left_out_and_no_two_look_alike():
    names = [f"group {index}" for index in range(13)]
    line = [0, 10], [1.0, 2.0]
    rows = [
        {"body": "swimmer6", "searcher": name, "seconds": seconds, "regret": 1.0, "regret_low95": 0.0,
         "regret_high95": 2.0}
        for name in names for seconds in (1.0, 2.0)
    ]  # fmt: skip
    for figure in (curves({name: [line] for name in names}, "all"), regret_curves(pd.DataFrame(rows))):
        drawn = [each for each in figure.axes[0].lines if np.isclose(each.get_linewidth(), [2.0, 2.2]).any()]
        assert [each.get_label().partition(" (")[0] for each in drawn] == names
        assert len({(each.get_color(), each.get_linestyle()) for each in drawn}) == len(names)
