"""Drawing bodies, wirings and figures from arrays: nothing here knows a run or a recording."""
