"""Run the notebooks anew and keep what they show.

python tools/notebooks.py                    # all of them
python tools/notebooks.py teach lamprey      # these

Notebooks are kept with their outputs, so that they can be read where they cannot be run. Each runs from top to bottom
in an empty folder, under three minutes on two cores, and is written only if every cell went well.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import nbclient
import nbformat
from nervecord.files import write_text

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def executed(path: Path) -> Any:
    """Return a notebook with the outputs of a run from top to bottom, and nothing about where and when that was.

    Raises:
        CellExecutionError: a cell went wrong.
    """
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        # Pictures are drawn as elsewhere: without a display, and without this user's own settings of IPython.
        os.environ |= {"MUJOCO_GL": "disable", "IPYTHONDIR": folder}
        client = nbclient.NotebookClient(
            notebook, timeout=1800, record_timing=False, resources={"metadata": {"path": folder}}
        )
        client.execute()
    notebook.metadata = nbformat.from_dict(_METADATA)
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({name: value for name, value in cell.metadata.items() if name == "tags"})
        if cell.cell_type == "code":
            # Such as what is compiled for the first time on this machine, and where that is kept.
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return notebook


def main() -> None:
    """Run the notebooks that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = sorted(path.stem for path in FOLDER.glob("*.ipynb"))
    parser.add_argument("names", nargs="*", help=f"which; all by default: {', '.join(known)}")
    names = parser.parse_args().names or known
    if unknown := [name for name in names if name not in known]:
        parser.error(f"no notebook is called {unknown[0]!r}; known: {', '.join(known)}")
    for name in names:
        path, begun = FOLDER / f"{name}.ipynb", time.monotonic()
        write_text(path, nbformat.writes(executed(path)) + "\n")
        print(f"{name}: {time.monotonic() - begun:.0f} s, {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
