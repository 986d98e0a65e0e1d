"""Grow a trained circuit: more units, which change nothing before they are trained."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from ....agents import Agent
from ....circuits.unit_axes import axes_of, layers_of, widened
from ....envs import Body
from ....errors import InvalidOption
from ....options import COUNT, PATH, Number, checked
from ...runs.made import alone_on, check_new, write_made
from ...runs.run import A_RUN, Run

_SEED = Number(0, 2**32 - 1, is_whole=True)


@checked(InvalidOption, run=A_RUN, units=COUNT, out=PATH, seed=_SEED)
def grow(
    run: Run | str | Path, units: int, out: str | Path, body: str | Body | None = None, seed: int = 0
) -> tuple[Run, tuple[str, ...]]:
    """Add units to every hidden layer of a run's circuit, and write it as a new run that acts as before.

    The new units hear at random, as those of a new circuit do, and nobody hears them: their outgoing weights are 0.
    Their incoming weights therefore have no gradient before the outgoing ones have moved. To train the new units alone,
    give their names as `train_only`.

    Args:
        run: the run or its folder.
        units: how many, in each layer.
        out: folder of the grown run, which must not exist.
        body: that the grown run is on, by default the run's own; an MLP is resampled along one of another size first.
        seed: of the new units' incoming weights.

    Returns:
        The run that was written, and the new units' names.

    Raises:
        CircuitMismatch: the circuit is not layers of alike units, or does not fit the body.
        UnknownName, InvalidBody: there is no such body.
        OutputExists: something stands at `out`.
    """
    run = run if isinstance(run, Run) else Run(run)
    check_new(out)
    resolved = alone_on(run, body)
    agent = run.agent(resolved.config.body)
    layers = layers_of(agent.circuit, axes_of(agent.circuit))
    options, units, seed = dict(resolved.agent.circuit_options), int(units), int(seed)
    # Layers are given as numbers of units, and the units of a recurrent circuit as one number.
    wider = {"hidden": [size + units for size in options["hidden"]]} if "hidden" in options else {
        "units": options["units"] + units
    }  # fmt: skip
    spec = dataclasses.replace(resolved.agent, circuit_options=options | wider)
    grown = Agent(dataclasses.replace(spec, seed=seed)).circuit
    weights = widened(agent.circuit, grown, layers)
    config = dataclasses.replace(resolved.config, circuit_options=spec.circuit_options)
    made = {"by": "grow", "of": [str(run.path)], "units": units, "seed": seed}
    wide = dataclasses.replace(resolved, config=config, agent=spec)
    written = write_made(out, wide, weights, agent.observation_stats, run.progress[0], made)
    before = {neuron.name for neuron in agent.circuit.neurons}
    return written, tuple(neuron.name for neuron in grown.neurons if neuron.name not in before)
