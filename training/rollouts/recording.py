"""A recording of rollouts: observations, actions, body and neural activity, with names and units."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray
from jaxtyping import Float, Int, UInt8

from ...circuits import Neuron
from ...drawing.obstacles import Obstacles
from ...drawing.poses import MOTION, SHAPE, Poses
from ...envs.drawn import scenery_of
from ...errors import InvalidRecording
from ...files import write_netcdf
from ...options import Allowed, Instance, ListOf, Number, wrong_value
from .closed_hdf5 import check_closed

# Version 2 says how long each episode is, and has interventions as data. Some files that say 1 have both already.
RECORDING_FORMAT = 2
READABLE_RECORDINGS = (1, 2)
_CONVENTIONS = "nervecord recording {}".format
# How much of an episode.
SECONDS = Number(0, above=True, also=(None,), none="leave it out")


def steps_in(seconds: float | None, dt: float, most: int) -> int:
    """Return the control steps of `dt` in some seconds, at least one and at most so many; None is the most."""
    return most if seconds is None else min(most, max(1, round(seconds / dt)))


@dataclasses.dataclass(frozen=True)
class Recording:
    """Episodes of one agent on one body: E episodes, T control steps, J joints, L links, N neurons.

    For spiking circuits it also has the spikes of M neurons in K substeps per control step. Row t of every array
    belongs to the same instant: the state that the agent observed, and its action there.

    Attributes:
        observations: observations, in the environment's units.
        actions: motor commands in units of the motor's range.
        rewards: rewards for the actions of the same row.
        joint_pos: joint angles, radians, head to tail.
        joint_vel: joint velocities, rad/s.
        torque: joint torques applied by the motors, N m.
        link_pos: centre of each link in the plane, m.
        link_angle: heading of each link, radians: its axis points from tail to head at this angle
            from the world's x axis.
        com_pos: centre of mass in the plane, m.
        target_pos: the target in the plane, m; empty (size 0 in its last axis) if the task has none.
        obstacle_pose: position (m) and angle (radians) of each of K obstacle outlines; empty without obstacles.
        touch: contact force on each link in the previous control step, N; empty without obstacles.
        activity: every neuron's value; sensors in their own unit, all others dimensionless.
        neurons: the names of the columns of `activity`.
        dt: seconds per control step.
        meta: the body's facts (`name`, `link_length` [L] m, `link_width` [L] m, `joint_limit` [J] rad,
            `mass` kg), its surroundings (`arena`, `medium`, `scent`, `target_radius` m, and `obstacles`, outlines and
            colours, see `Obstacles`), names (`joints`, `links`, and the columns of `observations`), `neurons` (role,
            position, side and class of each), `interventions` (what was done to neurons: neuron, kind, value, start
            and stop of each) and where the recording came from, as far as it is known: `circuit`, `run`, training
            `seed` and `step`, and the `version` of nervecord. Recordings of older versions have less.
        sources: x, y (m) and amplitude of each source of the arena's fields; empty without sources.
        lengths: length of each episode in control steps; after its end, the other arrays are padded with 0. If empty,
            all episodes are as long as the arrays.
        spikes: 1 where a neuron fired, otherwise 0; empty for circuits without spiking neurons.
        firing: the names of the columns of `spikes`.
    """

    observations: Float[np.ndarray, "E T O"]
    actions: Float[np.ndarray, "E T J"]
    rewards: Float[np.ndarray, "E T"]
    joint_pos: Float[np.ndarray, "E T J"]
    joint_vel: Float[np.ndarray, "E T J"]
    torque: Float[np.ndarray, "E T J"]
    link_pos: Float[np.ndarray, "E T L 2"]
    link_angle: Float[np.ndarray, "E T L"]
    com_pos: Float[np.ndarray, "E T 2"]
    target_pos: Float[np.ndarray, "E T target"]
    activity: Float[np.ndarray, "E T N"]
    neurons: tuple[str, ...]
    dt: float
    meta: dict[str, Any]
    sources: Float[np.ndarray, "E T source_numbers"] = dataclasses.field(default_factory=lambda: np.zeros((0, 0, 0)))
    lengths: Int[np.ndarray, " E"] = dataclasses.field(default_factory=lambda: np.zeros(0, int))
    obstacle_pose: Float[np.ndarray, "E T K 3"] = dataclasses.field(default_factory=lambda: np.zeros((0, 0, 0, 3)))
    touch: Float[np.ndarray, "E T L"] = dataclasses.field(default_factory=lambda: np.zeros((0, 0, 0)))
    spikes: UInt8[np.ndarray, "E T K M"] = dataclasses.field(default_factory=lambda: np.zeros((0, 0, 0, 0), np.uint8))
    firing: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not len(self.lengths):
            object.__setattr__(self, "lengths", np.full(self.n_episodes, self.n_steps))
        for name, rest in _OPTIONAL.items():
            if not np.shape(getattr(self, name))[0]:
                object.__setattr__(self, name, np.zeros((self.n_episodes, self.n_steps, *rest), TYPES[name]))

    @property
    def cells(self) -> tuple[Neuron, ...]:
        """The neurons with role, position, side and class, as far as `meta["neurons"]` has them."""
        told = self.meta.get("neurons") or [{"role": "inter"}] * len(self.neurons)
        return tuple(Neuron(name, **facts) for name, facts in zip(self.neurons, told, strict=True))

    @property
    def names(self) -> dict[str, tuple[str, ...]]:
        """Names along the axes joint, link and observation; indices if an older recording has no names."""
        sizes = {"joint": self.joint_pos.shape[-1], "link": self.link_angle.shape[-1],
                 "observation": self.observations.shape[-1]}  # fmt: skip
        return {
            axis: tuple(self.meta.get(f"{axis}s") or (f"{axis}_{i}" for i in range(size)))
            for axis, size in sizes.items()
        }

    def poses(self, episode: int = 0) -> Poses:
        """Return the data for drawing one episode."""
        motion = {name: np.asarray(getattr(self, name)[episode], float) for name in MOTION}
        shape = {name: np.asarray(self.meta[name], float) for name in SHAPE}
        target = np.asarray(self.target_pos[episode], float) if self.target_pos.shape[-1] else None
        is_chain, obstacles = bool(self.meta.get("is_chain", True)), None
        if self.meta.get("obstacles"):
            obstacles = Obstacles.from_json(
                self.meta["obstacles"], *(np.asarray(each[episode], float) for each in (self.obstacle_pose, self.touch))
            )
        scenery = scenery_of(self.meta, np.asarray(self.sources[episode], float), target)
        return Poses(
            name=str(self.meta["name"]), dt=self.dt, target_pos=target, is_chain=is_chain, scenery=scenery,
            obstacles=obstacles,
            **motion, **shape,
        )  # fmt: skip

    @property
    def n_episodes(self) -> int:
        """The number of episodes."""
        return self.rewards.shape[0]

    @property
    def n_steps(self) -> int:
        """The number of control steps in each episode."""
        return self.rewards.shape[1]

    def until_first_end(self) -> Recording:
        """Return the recording truncated to its shortest episode, so that it has no padding."""
        shortest = int(self.lengths.min()) if self.n_episodes else 0
        if shortest == self.n_steps:
            return self
        arrays: dict[str, Any] = {name: np.asarray(getattr(self, name)[:, :shortest]) for name in _ARRAYS}
        return dataclasses.replace(self, **arrays, lengths=np.full(self.n_episodes, shortest))

    def save(self, path: str | Path) -> None:
        """Write one netCDF file (HDF5), atomically; arrays are stored in single precision.

        netCDF stores names of axes, units and neurons, and opens in Python (xarray), MATLAB, R and Julia, as in
        `xarray.open_dataset("recording.nc").activity.sel(neuron="B_d_2")`. The time of a spike is the time of its
        control step plus that of its substep: `.spikes.sel(firing="unit_2")`. Joints, links and columns of observations
        have names; neurons also have role, side, position and class.
        """
        held = {
            name: xarray.Variable(AXES[name], np.asarray(getattr(self, name), TYPES[name]), {"units": UNITS[name]})
            for name in _ARRAYS
            if 0 not in getattr(self, name).shape
        }
        held["lengths"] = xarray.Variable("episode", self.lengths, {"units": "control steps"})
        places: dict[str, Any] = {"time": np.arange(self.n_steps) * self.dt, "xy": ["x", "y"]}
        if self.neurons:
            places |= {"neuron": list(self.neurons), **_cells(self.cells)}
        held_axes = {axis for variable in held.values() for axis in variable.dims}
        places |= {axis: list(names) for axis, names in self.names.items() if axis in held_axes}
        if self.firing:
            n_substeps = self.spikes.shape[2]
            places["firing"] = list(self.firing)
            places["substep"] = ("substep", np.arange(n_substeps) * self.dt / n_substeps, {"units": "s"})
        facts = {"dt": self.dt, "meta": json.dumps(self.meta), "conventions": _CONVENTIONS(RECORDING_FORMAT)}
        facts |= {name: self.meta[name] for name in ORIGIN if self.meta.get(name) is not None}
        dataset = xarray.Dataset(held, places, facts)
        dataset["time"].attrs["units"] = "s"
        packed = {"zlib": True, "complevel": 1, "shuffle": True}
        write_netcdf(Path(path), dataset, dict.fromkeys(held, packed))

    @classmethod
    def load(cls, path: str | Path) -> Recording:
        """Open a recording that `save` wrote; its arrays are read from the file as they are indexed.

        Raises:
            InvalidRecording: the file is missing, damaged or not a recording, or refers to other files for its data.
        """
        if Path(path).is_dir():
            raise InvalidRecording(f"{path} is a folder; nervecord record {path} --out rec.nc records a run")
        try:
            check_closed(Path(path))
            dataset = xarray.open_dataset(path, engine="h5netcdf", cache=False)
            sizes, conventions = dataset.sizes, dataset.attrs.get("conventions")
            if conventions not in [*map(_CONVENTIONS, READABLE_RECORDINGS)]:
                readable = " and ".join(map(str, READABLE_RECORDINGS))
                raise ValueError(f"its conventions are {conventions!r}, and this nervecord reads versions {readable}")
            neurons, firing = (
                tuple(str(name) for name in dataset[axis].values) if axis in dataset else ()
                for axis in ("neuron", "firing")
            )
            # Recordings of older versions have none: all their episodes were cut by time.
            lengths = np.asarray(dataset["lengths"], int) if "lengths" in dataset else np.zeros(0, int)
            meta, dt = json.loads(dataset.attrs["meta"]), float(dataset.attrs["dt"])
            _check(dataset, meta, dt, lengths)
            if "interventions" in meta:
                meta["interventions"] = [_intervention(each) for each in meta["interventions"]]
            arrays: dict[str, Any] = {
                name: OnDisk(dataset[name])
                if name in dataset
                else np.zeros([sizes.get(axis, 0) for axis in AXES[name]], TYPES[name])
                for name in _ARRAYS
                if name in dataset or name not in _OPTIONAL
            }
            # What its films will draw, at the first instant.
            if "sources" in arrays:
                scenery_of(meta, np.asarray(arrays["sources"][0, :1], float), np.zeros((1, 2)))
        except (OSError, ValueError, KeyError, AttributeError, TypeError, RuntimeError, MemoryError) as error:
            reason = " ".join(str(error).split())
            raise InvalidRecording(f"{path} cannot be read as a recording: {reason}") from error
        return cls(**arrays, neurons=neurons, dt=dt, meta=meta, lengths=lengths, firing=firing)


def _check(dataset: xarray.Dataset, meta: Any, dt: float, lengths: np.ndarray) -> None:
    """Refuse what no recording holds.

    Raises:
        ValueError: says what.
    """
    if not isinstance(meta, dict):
        raise ValueError("meta holds no names and values")
    held = {name: meta.get(name) for name in _META}
    if wrong := wrong_value({**held, "dt": dt}, {**_META, "dt": Number(0, above=True)}):
        raise ValueError(wrong)
    for name in _ARRAYS:
        if name in dataset and (dataset[name].dims != AXES[name] or dataset[name].dtype.kind not in "fiu"):
            raise ValueError(f"{name} is not an array of numbers over {', '.join(AXES[name])}")
    sizes = dataset.sizes
    if ("spikes" in dataset) != ("firing" in dataset):
        raise ValueError("spikes are of neurons without names, or the other way round")
    if "spikes" in dataset:
        names = set(dataset["neuron"].values) if "neuron" in dataset else set()
        if not sizes["substep"] or not names.issuperset(dataset["firing"].values):
            raise ValueError("spikes are of no substeps, or of neurons that are not there")
    if not sizes.get("episode") or not sizes.get("time"):
        raise ValueError("it holds no steps")
    links, neurons = sizes.get("link", 0), sizes.get("neuron", 0)
    told = meta.get("neurons") or [{"role": "inter"}] * neurons
    if {len(meta["link_length"]), len(meta["link_width"])} != {links} or len(told) != neurons:
        raise ValueError("meta is of other numbers of links or neurons than the arrays")
    for facts in told:
        Neuron("", **facts)
    for axis in ("joint", "link", "observation"):
        if called := meta.get(f"{axis}s"):
            if not isinstance(called, list) or not all(isinstance(name, str) for name in called):
                raise ValueError(f"the names of each {axis} are {called!r}; give text")
            if len(called) != sizes.get(axis, len(called)):
                raise ValueError(f"meta names {len(called)} of {sizes[axis]}: {axis}")
    if meta.get("obstacles"):
        shown = Obstacles.from_json(meta["obstacles"], np.zeros((1, sizes.get("obstacle", 0), 3)), np.zeros((1, links)))
        if not shown.is_whole:
            raise ValueError("meta has other obstacles than the arrays")
    if len(lengths) and (lengths.shape != (sizes["episode"],) or lengths.min() < 0 or lengths.max() > sizes["time"]):
        raise ValueError("lengths are those of other episodes")


def _cells(cells: Sequence[Neuron]) -> dict[str, Any]:
    """Return the coordinates of neurons beside their names; what a neuron does not have is empty, or NaN."""
    places = [np.nan if cell.position is None else cell.position for cell in cells]
    return {
        "role": ("neuron", [cell.role for cell in cells]),
        "side": ("neuron", [cell.side or "" for cell in cells], {"values": "d dorsal, v ventral"}),
        "position": ("neuron", places, {"units": "body lengths", "values": "0 head, 1 tail"}),
        "cell_class": ("neuron", [cell.cell_class or "" for cell in cells]),
    }


def _intervention(told: Any) -> dict[str, Any]:
    """Return an intervention as data; recordings of earlier versions have it in words, such as "clamp osc_v 1"."""
    if isinstance(told, dict):
        return told
    found = re.fullmatch(r"(silence|clamp|drive) (\S+?)(?: ([-+\d.e]+))?(?:, steps (\d+) to (\d+))?", told)
    if found is None:
        raise ValueError(f"{told!r} is not an intervention")
    kind, neuron, value, start, stop = found.groups()
    return {
        "neuron": neuron, "kind": kind, "value": float(value or 0), "start": int(start or 0),
        "stop": None if stop is None else int(stop),
    }  # fmt: skip


class OnDisk:
    """An array in a file, of any shape, in the file's units; indexing or `np.asarray` reads what is asked for."""

    def __init__(self, held: xarray.DataArray) -> None:
        self._held = held
        self.shape, self.ndim, self.dtype = held.shape, held.ndim, held.dtype

    def __getitem__(self, key: Any) -> np.ndarray:
        try:
            return np.asarray(self._held[key])
        except (OSError, RuntimeError, MemoryError) as error:  # of its filters, whose checksums find damage only now
            where, reason = self._held.encoding.get("source", "the recording"), " ".join(str(error).split())
            raise InvalidRecording(f"{where} is damaged: {self._held.name} cannot be read ({reason})") from error

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[...], dtype)

    def __len__(self) -> int:
        return self.shape[0]


AXES = {
    "observations": ("episode", "time", "observation"),
    "actions": ("episode", "time", "joint"),
    "rewards": ("episode", "time"),
    "joint_pos": ("episode", "time", "joint"),
    "joint_vel": ("episode", "time", "joint"),
    "torque": ("episode", "time", "joint"),
    "link_pos": ("episode", "time", "link", "xy"),
    "link_angle": ("episode", "time", "link"),
    "com_pos": ("episode", "time", "xy"),
    "target_pos": ("episode", "time", "target"),
    "obstacle_pose": ("episode", "time", "obstacle", "pose"),
    "touch": ("episode", "time", "link"),
    "activity": ("episode", "time", "neuron"),
    "spikes": ("episode", "time", "substep", "firing"),
    "sources": ("episode", "time", "source_number"),
}
UNITS = {
    "observations": "as observed",
    "actions": "motor range",
    "rewards": "1",
    "joint_pos": "rad",
    "joint_vel": "rad/s",
    "torque": "N m",
    "link_pos": "m",
    "link_angle": "rad",
    "com_pos": "m",
    "target_pos": "m",
    "obstacle_pose": "m, m, rad",
    "touch": "N",
    "activity": "1",
    "spikes": "1",
    "sources": "m, m, field",
}
_ARRAYS = list(AXES)
# Of `meta`, what says where a recording came from.
ORIGIN = ("circuit", "run", "seed", "step", "version")
TYPES = {name: np.uint8 if name == "spikes" else np.float32 for name in _ARRAYS}
# What a recording may be without, and the sizes of its last axes then.
_OPTIONAL = {"sources": (0,), "obstacle_pose": (0, 3), "touch": (0,), "spikes": (0, 0)}
_SIZES = ListOf(Number(-math.inf), "[0.1, 0.1]")
_META: dict[str, Allowed] = {
    "name": Instance(str, "the name of a body"), "link_length": _SIZES, "link_width": _SIZES, "joint_limit": _SIZES,
}  # fmt: skip
