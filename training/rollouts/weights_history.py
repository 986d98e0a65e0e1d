"""A circuit over its training: weights at every checkpoint, and activity on the same input."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import torch
import xarray
from jaxtyping import Float, Int
from safetensors.torch import load_file

from ...agents import replay
from ...circuits import load_weights
from ...errors import InvalidRecording
from ...files import write_netcdf
from ..runs.run import Run
from .recording import Recording


@dataclasses.dataclass(frozen=True)
class History:
    """A circuit over the C checkpoints of its training; T control steps, N neurons.

    Attributes:
        steps: environment steps at each checkpoint.
        weights: every parameter at each checkpoint, by name, [checkpoints, ...].
        activity: every neuron's value, when each checkpoint's circuit receives the trained agent's sensor values
            from the first episode of a recording.
        neurons: the names of the last axis of `activity`.
        dt: seconds per control step.
    """

    steps: Int[np.ndarray, " C"]
    weights: dict[str, Float[np.ndarray, "C ..."]]
    activity: Float[np.ndarray, "C T N"]
    neurons: tuple[str, ...]
    dt: float

    def save(self, path: str | Path) -> None:
        """Write one netCDF file, atomically; parameters are variables named `weights.NAME`."""
        held = {
            f"weights.{name}": (("checkpoint", *(f"{name}.axis{i}" for i in range(values.ndim - 1))), values)
            for name, values in self.weights.items()
        }
        dataset = xarray.Dataset(
            {**held, "activity": (("checkpoint", "time", "neuron"), self.activity.astype(np.float32))},
            {
                "checkpoint": ("checkpoint", self.steps, {"units": "environment steps"}),
                "time": ("time", np.arange(self.activity.shape[1]) * self.dt, {"units": "s"}),
                "neuron": list(self.neurons),
            },
            {"conventions": "nervecord history 1"},
        )
        packed = {"activity": {"zlib": True, "complevel": 1, "shuffle": True}}
        write_netcdf(Path(path), dataset, packed)


def history(run: Run, recording: Recording) -> History:
    """Return a circuit's activity at every checkpoint of its training, on the recording's first episode.

    All checkpoints receive the trained agent's scaled and normalised sensors, so that only the circuit differs.

    Raises:
        InvalidRecording: the run stored weights of fewer than two checkpoints.
    """
    kept = run.history()
    if len(kept) < 2:
        raise InvalidRecording(
            f"{run.path} has the weights of {len(kept)} checkpoint, and two are needed; "
            "train with a smaller --checkpoint-every"
        )
    agent = run.agent()
    sensors = agent.sense(np.asarray(recording.observations[0, : recording.lengths[0]]))
    weights: dict[str, list[np.ndarray]] = {}
    activity = []
    for path in kept.values():
        load_weights(agent.circuit, load_file(path))
        for name, parameter in agent.circuit.named_parameters():
            weights.setdefault(name, []).append(parameter.detach().numpy().copy())
        with torch.inference_mode():
            rows = [step.activity[0] for step in replay(agent.circuit, sensors[:, None])]
        activity.append(torch.stack(rows).numpy())
    return History(
        np.array(list(kept)),
        {name: np.stack(values) for name, values in weights.items()},
        np.stack(activity),
        recording.neurons,
        recording.dt,
    )
