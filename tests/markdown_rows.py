"""Rows of Markdown tables, for tests of what studies print."""


def rows_of(table: str) -> list[list[str]]:
    """Return the cells of each row below the titles."""
    return [[cell.strip() for cell in line[1:-1].split("|")] for line in table.splitlines()[2:]]
