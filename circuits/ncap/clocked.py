"""What circuits with a clock and no other memory share: a step counter as their state, or the time as a sense."""

from __future__ import annotations

from abc import abstractmethod

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ...errors import CircuitMismatch
from ..contract import Circuit, State


class ClockedCircuit(Circuit):
    """A circuit whose state is a counter of control steps.

    A subclass sets `senses`, `n_motors` and `observe_time`, and writes `drive`; the time, where it is
    sensed, comes after the joints.

    Attributes:
        observe_time: sense the time (control steps) instead of counting steps in the state.
        ipsi: a weight that every such circuit has, from motor neurons to the muscles of their side.
    """

    is_bounded = True
    # No weight moves the counter.
    is_recurrent = False
    can_be_pinned = True
    observe_time: bool
    ipsi: nn.Parameter

    @abstractmethod
    def drive(
        self, sensors: Float[Tensor, "batch sensors"], time: Float[Tensor, "batch 1"]
    ) -> Float[Tensor, "batch motors"]:
        """Return the motor commands, in units of the motor's range, at a time in control steps."""

    def initial_state(self, batch_size: int) -> State:
        """Return the step counter at zero, [batch, 1]; nothing where time is sensed."""
        if self.observe_time:
            return {}
        return {"step": torch.zeros(batch_size, 1, device=self.ipsi.device)}

    def reset_state(self, state: State, episode_start: Bool[Tensor, " batch"]) -> State:
        """Return `state` with the counters of starting episodes at zero."""
        return {key: step.masked_fill(episode_start[:, None], 0.0) for key, step in state.items()}

    def forward(
        self, sensors: Float[Tensor, "batch sensors"], state: State
    ) -> tuple[Float[Tensor, "batch motors"], State]:
        """Run one control step.

        Raises:
            CircuitMismatch: `sensors` has the columns of another body.
        """
        return self.drive(sensors, self.time(sensors, state)), self.next(state)

    def unroll(
        self,
        sensors: Float[Tensor, "time batch sensors"],
        state: State,
        episode_start: Bool[Tensor, "time batch"],
    ) -> tuple[Float[Tensor, "time batch motors"], State]:
        """Run the circuit over a sequence at once: only the step counter links one step to the next."""
        n_steps, batch = episode_start.shape
        if n_steps == 1:
            motor, state = self(sensors[0], self.reset_state(state, episode_start[0]))
            return motor[None], state
        flat = sensors.flatten(0, 1)
        if self.observe_time:
            return self(flat, {})[0].unflatten(0, (n_steps, batch)), state
        row = torch.arange(n_steps, dtype=state["step"].dtype, device=sensors.device)[:, None]
        # Steps since the last start at or before each row; before the first one, the state counts on.
        since = torch.where(episode_start, row, -1.0).cummax(0).values
        counter = torch.where(since >= 0, row - since, row + state["step"].T)
        motor = self(flat, {"step": counter.reshape(-1, 1)})[0]
        return motor.unflatten(0, (n_steps, batch)), {"step": counter[-1][:, None] + 1}

    def time(self, sensors: Float[Tensor, "batch sensors"], state: State) -> Float[Tensor, "batch 1"]:
        """Return the time in control steps, as it is sensed or counted.

        Raises:
            CircuitMismatch: `sensors` has the columns of another body.
        """
        if sensors.shape[-1] != self.n_sensors:
            raise CircuitMismatch(
                f"this {type(self).__name__} of {self.n_motors} joints senses {self.n_sensors} values and got "
                f"{sensors.shape[-1]}; build one for this body (shared weights fit every number of joints)"
            )
        if not self.observe_time:
            return state["step"]
        start = 0
        for name, size in self.senses:
            if name == "time":
                break
            start += size
        return sensors[:, start : start + 1]

    def pinned_sides(self, values: Float[Tensor, "2 batch some"], first: int) -> Float[Tensor, "2 batch some"]:
        """Return dorsal and ventral values, the neurons from number `first` on, as they are after `pins`, no unit."""
        if self.pins is None:
            return values
        dorsal, ventral = values
        return torch.stack((self.pinned(dorsal, first), self.pinned(ventral, first + values.shape[-1])))

    def next(self, state: State) -> State:
        """Return the state one step later."""
        return {} if self.observe_time else {"step": state["step"] + 1}


def sides(signed: Float[Tensor, "batch columns"]) -> Float[Tensor, "2 batch columns"]:
    """Split a signed signal into what excites the dorsal and what excites the ventral side, from 0 up."""
    return torch.stack((signed, -signed)).clamp(min=0.0)
