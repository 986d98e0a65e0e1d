"""Recordings as NWB files (Neurodata Without Borders 2), the format of archives of neural recordings such as DANDI."""

from __future__ import annotations

import datetime
import io
import json
import logging
import uuid
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from jaxtyping import Float, Shaped

from ...extras import require
from ...files import write_whole
from .recording import ORIGIN, Recording

GAP = 1.0  # s from the last step of an episode to the first of the next
# Circuits that are of the worm; an MLP has no species.
_WORM = ("connectome", "escape", "klinotaxis", "navigator", "ncap", "ncap_plus", "relay", "relay_navigator")
# What the schema calls conversion is 1 throughout: SI units, radians, or none.
_BEHAVIOUR = {
    "joint_pos": ("joint", "rad", "joint angles"), "joint_vel": ("joint", "rad/s", "joint velocities"),
    "link_angle": ("link", "rad", "heading of each link, from tail to head; not wrapped"),
    "torque": ("joint", "N m", "torques of the motors"),
    "actions": ("joint", "n.a.", "motor commands in units of the motor's range"),
    "observations": ("observation", "n.a.", "what the agent was shown, as observed"),
    "touch": ("link", "N", "force of contacts on each link in the control step before"),
}  # fmt: skip
_REST = {
    "obstacle_pose": ("m", "place, m, and angle, rad, of each outline around the body, one after the other"),
    "sources": ("n.a.", "x and y, m, and amplitude of each source of a field, one after the other"),
}
_PLANE = "the plane of the body; x to the right, y upwards, origin at the arena's"
_log = logging.getLogger(__name__)


def write_nwb(recording: Recording, path: str | Path, as_imaging: bool = False) -> None:
    """Write a recording as one NWB file, atomically; arrays are stored in single precision, bit for bit.

    Episodes follow each other with a gap of 1 s, and are the file's trials. Neurons are in the processing module
    `misc`: `activity`, whose columns correspond to the rows of the table `neurons`, and spike times as units. The body
    is in `behavior`. Data without a place in NWB, such as the body's shape, are JSON in the notes.

    NWB requires a subject with sex and age. There is no animal; the subject's description says so.

    Args:
        recording: the recording.
        path: path of the file.
        as_imaging: write the activity as responses of regions of interest in `ophys`, for tools that read only
            calcium imaging; the description of its imaging plane says that there are no optics.

    Raises:
        MissingDependency: pynwb is not installed.
    """
    pynwb = require("pynwb", "nwb")
    episodes = _Episodes(recording)
    if len(episodes.seconds) < len(recording.neurons):
        _log.warning(
            "nervecord: %d steps in all are fewer than %d neurons, which NWB's inspector takes for a transposed array; "
            "record more or longer episodes",
            len(episodes.seconds), len(recording.neurons),
        )  # fmt: skip
    file = _described(pynwb, recording)
    first = _add_activity(pynwb, file, recording, episodes, as_imaging)
    _add_behaviour(pynwb, file, recording, episodes, first)
    _add_times(pynwb, file, recording, episodes)
    if recording.spikes.size:
        _add_spikes(pynwb, file, recording, episodes)
    # In memory first: HDF5 whose file cannot be written, as on a full disk, crashes Python when it closes it.
    packed = io.BytesIO()
    with h5py.File(packed, "w") as held, pynwb.NWBHDF5IO(file=held, mode="w") as writer:
        writer.write(file)
    write_whole(Path(path), lambda partial: partial.write_bytes(packed.getvalue()))


class _Episodes:
    """Episodes one after the other, each as long as it lasted.

    Attributes:
        start, stop: of each episode, s.
        seconds: of each row, s.
        steps: of the episode, of each row.
    """

    def __init__(self, recording: Recording) -> None:
        self.lengths, dt = recording.lengths, recording.dt
        self.start = np.concatenate([[0.0], np.cumsum(self.lengths * dt + GAP)[:-1]])
        self.stop = self.start + self.lengths * dt
        self.seconds = np.concatenate(
            [begin + dt * np.arange(length) for begin, length in zip(self.start, self.lengths, strict=True)]
        )

    def rows(self, array: Any) -> Shaped[np.ndarray, "rows ..."]:
        """Return an array over episodes and steps as rows, without what stands behind an episode's end."""
        return np.concatenate([np.asarray(array[i, :length]) for i, length in enumerate(self.lengths)])

    def times(self, dt: float) -> dict[str, Any]:
        """Return what says when rows are: a rate for one episode, timestamps for several."""
        if len(self.lengths) == 1:
            return {"rate": 1 / dt, "starting_time": 0.0}
        return {"timestamps": self.seconds}


def _described(pynwb: Any, recording: Recording) -> Any:
    """Return a file that says what was recorded, of whom, and how."""
    meta = recording.meta
    told = {name: meta[name] for name in ORIGIN if meta.get(name) is not None}
    circuit, run = str(told.get("circuit", "unknown")), str(told.get("run", "unknown"))
    is_worm = circuit in _WORM
    who = f"circuit {circuit} on the body {meta['name']}"
    file = pynwb.NWBFile(
        session_description=f"Simulation: {who}, {recording.n_episodes} episodes of {meta.get('task', 'a task')}. "
        "No animal was recorded.",
        identifier=str(uuid.uuid4()),
        session_start_time=datetime.datetime.now(datetime.UTC),
        session_id=run.replace("/", "-"),
        experiment_description=f"{who}, step {told.get('step', 'unknown')}, seed {told.get('seed', 'unknown')}",
        keywords=["simulation", "neural circuit", "locomotion", circuit, str(meta["name"])],
        notes=json.dumps({"conventions": "nervecord recording 1", "dt": recording.dt, "meta": meta}),
        source_script=f"nervecord {told.get('version', 'unknown')}: nervecord record {run} --out FILE.nwb",
        source_script_file_name="nervecord record",
    )
    # The schema wants an age and a sex of everybody.
    file.subject = pynwb.file.Subject(
        subject_id=run.replace("/", "-"), age="P4D", sex="XX" if is_worm else "U",
        species="Caenorhabditis elegans" if is_worm else None,
        description=f"Simulated; no animal. {who}. Age and sex stand for those of an adult hermaphrodite, because NWB "
        "requires them." if is_worm else f"Simulated; no animal. {who}. The age is required by NWB and means nothing.",
    )  # fmt: skip
    said = f"simulated body and circuit, nervecord {told.get('version', 'unknown')}"
    file.create_device(name="nervecord", description=said)
    return file


def _add_activity(pynwb: Any, file: Any, recording: Recording, episodes: _Episodes, as_imaging: bool) -> Any:
    """Add every neuron's value, and the neurons; return what later series share their times with."""
    cells = recording.cells
    places = [np.nan if cell.position is None else cell.position for cell in cells]
    columns = {
        "neuron_name": ("name of the neuron", [cell.name for cell in cells]),
        "role": ("what it does", [cell.role for cell in cells]),
        "cell_class": ("class of cells that it is one of; empty without classes", [c.cell_class or "" for c in cells]),
        "side": ("d dorsal, v ventral; empty without side", [cell.side or "" for cell in cells]),
        "body_position": ("0 head, 1 tail; NaN without place", places),
    }  # fmt: skip
    data, times = episodes.rows(recording.activity), episodes.times(recording.dt)
    unit = "n.a."
    if not as_imaging:
        module = file.create_processing_module("misc", "the circuit's neurons")
        series = pynwb.TimeSeries(
            name="activity", data=_packed(pynwb, data), unit=unit, **times,
            description="every neuron's value: a sensor's in its own unit, all others' without one. Column i is row i "
            "of the table neurons",
        )  # fmt: skip
        module.add(series)
        table = pynwb.core.DynamicTable(name="neurons", description="the columns of activity, in order")
        for name, (description, _) in columns.items():
            table.add_column(name, description)
        for row in zip(*(values for _, values in columns.values()), strict=True):
            table.add_row(**dict(zip(columns, row, strict=True)))
        module.add(table)
        return series
    said = "no optics: simulated"
    channel = pynwb.ophys.OpticalChannel(name="none", description=said, emission_lambda=500.0)
    plane = file.create_imaging_plane(
        name="simulated", optical_channel=channel, description=said, device=file.devices["nervecord"],
        excitation_lambda=500.0, indicator=said, location="whole circuit",
    )  # fmt: skip
    module = file.create_processing_module("ophys", f"the circuit's neurons as regions of interest; {said}")
    segmentation = pynwb.ophys.ImageSegmentation()
    module.add(segmentation)
    rois = segmentation.create_plane_segmentation(
        name="PlaneSegmentation", description=f"a pixel for each neuron; {said}", imaging_plane=plane
    )
    for name, (description, _) in columns.items():
        rois.add_column(name, description)
    for index, row in enumerate(zip(*(values for _, values in columns.values()), strict=True)):
        rois.add_roi(pixel_mask=[(index, 0, 1.0)], **dict(zip(columns, row, strict=True)))
    region = rois.create_roi_table_region(description="every neuron", region=list(range(len(cells))))
    responses = pynwb.ophys.Fluorescence()
    module.add(responses)
    return responses.create_roi_response_series(
        name="activity", data=_packed(pynwb, data), rois=region, unit=unit, description=said, **times
    )


def _add_behaviour(pynwb: Any, file: Any, recording: Recording, episodes: _Episodes, first: Any) -> None:
    """Add what the body did and what was around it."""
    module = file.create_processing_module("behavior", "what the body did, and what it was shown")
    # Times are written once; the other series point to them.
    times = {"timestamps": first} if len(episodes.lengths) > 1 else episodes.times(recording.dt)
    series = [
        pynwb.TimeSeries(
            name=name, data=_packed(pynwb, episodes.rows(getattr(recording, name))), unit=unit, **times,
            description=f"{said}; columns: {', '.join(recording.names[axis])}",
        )
        for name, (axis, unit, said) in _BEHAVIOUR.items() if 0 not in getattr(recording, name).shape
    ]  # fmt: skip
    series.append(pynwb.TimeSeries(
        name="rewards", data=episodes.rows(recording.rewards), unit="n.a.", **times,
        description="reward for the action of the same row",
    ))  # fmt: skip
    series += [
        pynwb.TimeSeries(
            name=name, data=_packed(pynwb, _flat(episodes.rows(getattr(recording, name)))), unit=unit, description=said,
            **times,
        )
        for name, (unit, said) in _REST.items() if 0 not in getattr(recording, name).shape
    ]  # fmt: skip
    module.add(pynwb.behavior.BehavioralTimeSeries(time_series=series))

    def place(name: str, data: Float[np.ndarray, "rows 2"], said: str) -> Any:
        return pynwb.behavior.SpatialSeries(
            name=name, data=_packed(pynwb, data), reference_frame=_PLANE, unit="meters", description=said, **times
        )

    links = episodes.rows(recording.link_pos)
    placed = [place("center_of_mass", episodes.rows(recording.com_pos), "the body's centre of mass")]
    placed += [
        place(f"link_{i}", links[:, i], f"centre of the link {name}") for i, name in enumerate(recording.names["link"])
    ]
    if recording.target_pos.size:
        placed.append(place("target", episodes.rows(recording.target_pos), "the task's target"))
    module.add(pynwb.behavior.Position(spatial_series=placed))
    heading = episodes.rows(recording.link_angle[..., 0]).astype(float)
    module.add(pynwb.behavior.CompassDirection(spatial_series=pynwb.behavior.SpatialSeries(
        name="head_direction", data=np.arctan2(np.sin(heading), np.cos(heading)), unit="radians", **times,
        reference_frame="from the plane's x axis, counterclockwise", description="of the first link, from tail to head",
    )))  # fmt: skip


def _packed(pynwb: Any, rows: Shaped[np.ndarray, "rows ..."]) -> Any:
    return pynwb.H5DataIO(rows, compression="gzip", compression_opts=1, shuffle=True)


def _flat(rows: Shaped[np.ndarray, "rows ..."]) -> Shaped[np.ndarray, "rows columns"]:
    return rows.reshape(len(rows), -1)


def _add_times(pynwb: Any, file: Any, recording: Recording, episodes: _Episodes) -> None:
    """Add episodes as trials, and what was done to neurons, and when."""
    file.add_trial_column("steps", "control steps of the episode")
    for begin, end, length in zip(episodes.start, episodes.stop, episodes.lengths, strict=True):
        file.add_trial(start_time=float(begin), stop_time=float(end), steps=int(length))
    done = recording.meta.get("interventions") or ()
    if not done:
        return
    table = pynwb.epoch.TimeIntervals(name="interventions", description="what was done to neurons, in every episode")
    table.add_column("neuron", "name of the neuron")
    table.add_column(
        "kind", "silence holds it at 0, clamp at value, drive adds value, noise adds noise of that deviation"
    )
    table.add_column("value", "in the neuron's unit")
    for begin, length in zip(episodes.start, episodes.lengths, strict=True):
        for each in sorted(done, key=lambda each: each["start"]):
            last = int(length) if each["stop"] is None else min(int(each["stop"]), int(length))
            at = min(int(each["start"]), last)
            table.add_row(
                start_time=float(begin + at * recording.dt), stop_time=float(begin + last * recording.dt),
                neuron=each["neuron"], kind=each["kind"], value=float(each["value"]),
            )  # fmt: skip
    file.add_time_intervals(table)


def _add_spikes(pynwb: Any, file: Any, recording: Recording, episodes: _Episodes) -> None:
    """Add the times of spikes, of each neuron that fires a unit; a spike's time is that of its substep."""
    spikes = episodes.rows(recording.spikes)
    n_substeps = spikes.shape[1]
    file.units = pynwb.misc.Units(name="units", description="neurons that fire", resolution=recording.dt / n_substeps)
    file.add_unit_column("neuron_name", "name of the neuron")
    times = (episodes.seconds[:, None] + np.arange(n_substeps) * recording.dt / n_substeps).ravel()
    for column, name in enumerate(recording.firing):
        fired = spikes[:, :, column].ravel() > 0
        file.add_unit(spike_times=times[fired], neuron_name=name)
