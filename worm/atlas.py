"""The signal propagation atlas of Randi et al. 2023 (Nature 623:406): neurons' responses to stimulating one neuron.

Only data files of the package `wormneuroatlas` are read; the package is not imported, and its files are not included.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import importlib.util
import json
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Bool, Float, Int

from ..errors import CircuitMismatch, InvalidRecording, MissingDependency, UnknownName

STRAINS = ("wt", "unc31")
SIGNIFICANT = 0.05  # of the false-discovery rate
_COMPILED = "2023-06-28_19-52-14"
_INSTALL = "pip install --no-deps wormneuroatlas"
_EM = ("white_1986_whole", "white_1986_L4", "witvliet_2020_7", "witvliet_2020_8")
# Tables of anatomy say left and right, the atlas which of the two expresses str-2: left is OFF by convention.
_OTHER_NAMES = {"AWCL": "AWCOF", "AWCOFF": "AWCOF", "AWCR": "AWCON"}
_LEAST = 20  # neurons with names in common, below which a table says nothing
_KERNEL_SECONDS, _KERNEL_STEP = 30.0, 0.05


@dataclasses.dataclass(frozen=True)
class Atlas:
    """Responses of 300 neurons to each other's stimulation; every matrix is [responding, stimulated].

    Attributes:
        folder: folder of the files.
        strain: "wt" (wild type), or "unc31", which cannot release dense-core vesicles.
        names: names of the neurons, in the order of rows and columns.
        q: false-discovery rate of a response; NaN where nothing was measured.
        amplitude: relative change of fluorescence, mean over trials.
        trials: number of trials.
        measured: pairs used for scores: those with a q, both in the head, and of different cells (a response of the
            stimulated cell itself was a criterion for every stimulation).
    """

    folder: Path
    strain: str
    names: tuple[str, ...]
    q: Float[np.ndarray, "300 300"]
    amplitude: Float[np.ndarray, "300 300"]
    trials: Int[np.ndarray, "300 300"]
    measured: Bool[np.ndarray, "300 300"]

    @functools.cached_property
    def significant(self) -> Bool[np.ndarray, "300 300"]:
        """The pairs with a significant response (false-discovery rate below 0.05)."""
        return np.asarray((self.q < SIGNIFICANT) & self.measured)

    @property
    def stimulated(self) -> Int[np.ndarray, " stimulated"]:
        """The indices of columns with measured pairs."""
        return np.flatnonzero(self.measured.any(0))

    def find(self, name: str) -> int | None:
        """Return the row of a neuron; None if the atlas does not have it.

        AWCL is AWCOF and AWCR is AWCON; DA01 is DA1.
        """
        plain = name.rstrip("0123456789")
        number = name[len(plain) :].lstrip("0")
        for each in (name, _OTHER_NAMES.get(name, name), plain + number):
            if each in self._rows:
                return self._rows[each]
        return None

    def row(self, name: str) -> int:
        """Return the row of a neuron.

        Raises:
            UnknownName: the atlas has no such neuron.
        """
        if (found := self.find(name)) is None:
            raise UnknownName("neuron", name, self.names)
        return found

    def place(self, names: Sequence[str], values: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "300 300"]:
        """Reorder a matrix of named cells to the atlas's order; NaN for neurons that it lacks.

        Args:
            names: names of the matrix's rows and columns; cells that the atlas does not have are left out.
            values: the matrix, [responding, stimulated].

        Raises:
            CircuitMismatch: fewer than 20 of the cells were measured.
        """
        rows = [(at, row) for at, name in enumerate(names) if (row := self.find(name)) is not None]
        known = (self.measured | self.measured.T).any(0)
        if (shared := sum(bool(known[row]) for _, row in rows)) < _LEAST:
            raise CircuitMismatch(
                f"{shared} of {len(names)} cells are neurons that the atlas measured, and {_LEAST} are the fewest; "
                "give a circuit wired by the whole connectome, such as circuit 'connectome' with graph=cook2019-whole"
            )
        own, theirs = (list(each) for each in zip(*rows, strict=True))
        found = np.full((len(self.names),) * 2, np.nan)
        found[np.ix_(theirs, theirs)] = values[np.ix_(own, own)]
        return found

    def wiring(self) -> tuple[Float[np.ndarray, "300 300"], Float[np.ndarray, "300 300"]]:
        """Return the numbers of chemical synapses and of gap junctions, [post, pre], summed over four animals.

        The animals are White's whole worm and its L4, and Witvliet's seventh and eighth. The package's own sum,
        aconnectome_default.h5, is not used because it has the synapses of AWC in the row and column of VD9.
        """
        total = np.zeros((2, len(self.names), len(self.names)))
        for name in _EM:
            of_one = np.zeros_like(total)
            with open(self.folder / f"aconnectome_{name}.csv", newline="", encoding="utf-8") as file:
                for line in csv.DictReader(file, delimiter="\t"):
                    pre, post = self.find(line["pre"]), self.find(line["post"])
                    if pre is not None and post is not None:
                        of_one[int(line["type"] == "electrical"), post, pre] += int(line["synapses"])
            of_one[1] = np.maximum(of_one[1], of_one[1].T)
            total += of_one
        return total[0], total[1]

    def distance(self) -> Float[np.ndarray, "300 300"]:
        """Return the distances between cell bodies, in the file's unit, in which the body is 7.2 long."""
        head, *rows = (self.folder / "anatlas_neuron_positions.txt").read_text(encoding="utf-8").splitlines()
        places = np.full((len(self.names), 3), np.nan)
        for name, row in zip(head.lstrip("#").split(), rows, strict=True):
            if (at := self.find(name)) is not None:  # PVCL occurs twice, and its last place is its own
                places[at] = [float(value) for value in row.split()]
        return np.asarray(np.linalg.norm(places[:, None] - places[None], axis=-1))

    def changes(self) -> list[list[Float[np.ndarray, " trials"]]]:
        """Return the relative change of fluorescence in every trial, by responding and stimulated neuron.

        The file does not say to which animal a trial belongs.
        """
        with h5py.File(self.folder / "funatlas.h5") as file:
            return [[each[np.isfinite(each)] for each in row] for row in file[self.strain]["dFF_all"][:]]

    def kernel(self, responding: str, stimulated: str, times: Float[np.ndarray, " T"]) -> Float[np.ndarray, " T"]:
        """Return the response of one neuron to a short impulse of another's activity, in arbitrary units.

        Args:
            responding, stimulated: names of the neurons.
            times: times, s.

        Raises:
            UnknownName: the atlas has no such neuron.
        """
        with h5py.File(self.folder / "funatlas.h5") as file:
            return _kernel(file[self.strain]["kernels"][self.row(responding), self.row(stimulated)], times)

    def peak_times(self) -> Float[np.ndarray, "300 300"]:
        """Return the time of each kernel's maximum within 30 s, in s; NaN for pairs without a kernel."""
        times, found = np.arange(0, _KERNEL_SECONDS, _KERNEL_STEP), np.full(self.q.shape, np.nan)
        with h5py.File(self.folder / "funatlas.h5") as file:
            kernels = file[self.strain]["kernels"][:]
        for responding, stimulated in np.argwhere(self.significant):
            height = np.abs(_kernel(kernels[responding, stimulated], times))
            if np.ptp(height) > 0:  # a flat one stands for no fit
                found[responding, stimulated] = times[height.argmax()]
        return found

    @functools.cached_property
    def _rows(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.names)}


def load_atlas(strain: str = "wt", folder: str | Path | None = None) -> Atlas:
    """Read the atlas from the files of `wormneuroatlas`.

    Args:
        strain: "wt" or "unc31".
        folder: folder with funatlas.h5 and its tables; by default, where the package is installed.

    Raises:
        MissingDependency: wormneuroatlas is not installed.
        UnknownName: there is no such strain.
        InvalidRecording: a file is missing or damaged, or its columns are not the stimulated neurons.
    """
    if strain not in STRAINS:
        raise UnknownName("strain", strain, STRAINS)
    folder = _installed() if folder is None else Path(folder)
    try:
        with h5py.File(folder / "funatlas.h5") as file:
            compiled = bytes(file.attrs["time_compiled"]).decode()
            # neuron_ids.txt beside it has another order.
            names = tuple(name.decode() for name in file["neuron_ids"][:])
            q, amplitude = file[strain]["q"][:], file[strain]["dFF"][:]
            # occ1 counts trials that were dropped later.
            trials = np.vectorize(len, otypes=[int])(file[strain]["dFF_all"][:])
        ganglia = json.loads((folder / "aconnectome_ids_ganglia.json").read_text(encoding="utf-8"))
        cells = {name for ganglion in ganglia["head"] for name in ganglia[ganglion]}
    except (OSError, KeyError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InvalidRecording(
            f"the atlas in {folder} cannot be read ({reason}); install it again: {_INSTALL}"
        ) from error
    if compiled != _COMPILED:
        warnings.warn(
            f"this atlas was compiled at {compiled}, and the documentation's numbers are of {_COMPILED}",
            stacklevel=2,
        )
    own = np.diag(trials)
    if not (trials <= own).all() or (trials.any(0) & (own == 0)).any():
        raise InvalidRecording(
            f"{folder / 'funatlas.h5'}: a column has more trials than those of the neuron itself, so columns are not "
            "the stimulated neurons; give the file of wormneuroatlas 0.0.7.3"
        )
    atlas = Atlas(folder, strain, names, q, amplitude, trials, np.zeros(q.shape, bool))
    head = np.isin(np.arange(len(names)), [row for row in map(atlas.find, cells) if row is not None])
    measured = np.isfinite(q) & head[:, None] & head[None] & ~np.eye(len(names), dtype=bool)
    return dataclasses.replace(atlas, measured=measured)


def partner(name: str) -> str:
    """Return the name of a neuron's partner on the other side, which may not exist: AVAR for AVAL."""
    if name in (pair := {"AWCOF": "AWCON", "AWCON": "AWCOF"}):
        return pair[name]
    return f"{name[:-1]}{'R' if name[-1] == 'L' else 'L'}" if name[-1] in "LR" else ""


def partners(atlas: Atlas, names: Iterable[str]) -> Int[np.ndarray, " n"]:
    """Return the row of each neuron's partner on the other side, counted from 0; its own where it has none."""
    found = [(atlas.find(partner(name)), atlas.row(name)) for name in names]
    return np.array([own if other is None else other for other, own in found])


def _installed() -> Path:
    found = importlib.util.find_spec("wormneuroatlas")
    if found is None or not found.submodule_search_locations:
        raise MissingDependency(f"wormneuroatlas, whose files are the atlas, is not installed: {_INSTALL}")
    return Path(next(iter(found.submodule_search_locations))) / "data"


def _kernel(flat: Float[np.ndarray, " flat"], times: Float[np.ndarray, " T"]) -> Float[np.ndarray, " T"]:
    """Return a sum of exponentials; rows are rate (1/s), factor, and two numbers that are 0 throughout.

    Factors reach 1e12 and cancel, so that this takes double precision.
    """
    rates, factors = np.asarray(flat, float).reshape(-1, 4)[:, :2].T
    return np.asarray(np.exp(-np.outer(times, rates)) @ factors)
