"""Scripts that each made a page of docs/results; not part of the wheel."""
