"""HDF5 files that lead to no other file, and hold no more than their bytes can."""

from __future__ import annotations

from pathlib import Path

import h5py

from ...errors import InvalidRecording

# zlib packs 1,032 bytes into one at best; arrays of a file that says more were never written.
_MOST_PACKED, _SPARE = 1032, 2**20


def check_closed(path: Path) -> None:
    """Refuse a file of a stranger that has another file read in its place, or that asks for memory without end.

    HDF5 can take an array's values, or whole parts, from any file of the machine.

    Raises:
        InvalidRecording: the file holds a link, a group, or an array that lies elsewhere, or whose size cannot be.
        OSError, ValueError, RuntimeError, KeyError: it is no HDF5, or damaged.
    """
    if path.exists() and not path.is_file():
        raise InvalidRecording(f"{path} is not a file; give the .nc file of a recording")
    said = 0
    with h5py.File(path, "r") as file:
        for name in file:
            held = file[name] if isinstance(file.get(name, getlink=True), h5py.HardLink) else None
            if not isinstance(held, h5py.Dataset):
                raise InvalidRecording(f"{path}: {name} is a link or a group, and not an array; record it again")
            made = held.id.get_create_plist()
            # Before its shape is asked for, which opens the files of a virtual one.
            if made.get_layout() == h5py.h5d.VIRTUAL or made.get_external_count():
                raise InvalidRecording(f"{path}: the values of {name} lie in another file; record it again")
            said += held.size * held.dtype.itemsize
    if said > _MOST_PACKED * path.stat().st_size + _SPARE:
        raise InvalidRecording(f"{path} has {path.stat().st_size} bytes, too few for arrays of {said}; record it again")
