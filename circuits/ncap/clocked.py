"""What circuits with a clock and no other memory share: a step counter as their state, or the time as a sense."""

from __future__ import annotations

from abc import abstractmethod

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ...errors import CircuitMismatch
from ..contract import Memory, Pins, State
from ..sided import SidedCircuit


class ClockedCircuit(SidedCircuit):
    """A circuit whose state is a counter of control steps.

    A subclass sets `senses`, `n_motors` and `observe_time`, and writes `drive`; the time, where it is
    sensed, comes after the joints.

    Attributes:
        observe_time: sense the time (control steps) instead of counting steps in the state.
        step_length: of a control step, in those that periods are in; see `contract.step_length`.
        ipsi: a weight that every such circuit has, from motor neurons to the muscles of their side.
    """

    is_bounded = True
    memory: Memory | None = "clock"
    observe_time: bool
    step_length: float
    ipsi: nn.Parameter

    @abstractmethod
    def drive(
        self, sensors: Float[Tensor, "batch sensors"], time: Float[Tensor, "batch 1"], pins: Pins | None
    ) -> Float[Tensor, "batch motors"]:
        """Return the motor commands, in units of the motor's range, at a time in control steps."""

    def initial_state(self, batch_size: int) -> State:
        """Return the step counter at zero, [batch, 1]; nothing where time is sensed or there is no clock."""
        if not self._counts:
            return {}
        return {"step": self.ipsi.new_zeros(batch_size, 1)}

    def reset_state(self, state: State, episode_start: Bool[Tensor, " batch"]) -> State:
        """Return `state` with the counters of starting episodes at zero."""
        return {key: step.masked_fill(episode_start[:, None], 0.0) for key, step in state.items()}

    def forward(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins | None = None
    ) -> tuple[Float[Tensor, "batch motors"], State]:
        """Run one control step.

        Raises:
            CircuitMismatch: `sensors` has the columns of another body.
        """
        return self.drive(sensors, self.time(sensors, state), pins), self.next(state)

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
        if not self._counts:
            return self(flat, {})[0].unflatten(0, (n_steps, batch)), state
        row = torch.arange(n_steps, dtype=state["step"].dtype, device=sensors.device)[:, None]
        # Steps since the last start at or before each row; before the first one, the state counts on.
        since = torch.where(episode_start, row, -1.0).cummax(0).values
        counter = torch.where(since >= 0, row - since, row + state["step"].T)
        motor = self(flat, {"step": counter.reshape(-1, 1)})[0]
        return motor.unflatten(0, (n_steps, batch)), {"step": counter[-1][:, None] + 1}

    def time(self, sensors: Float[Tensor, "batch sensors"], state: State) -> Float[Tensor, "batch 1"]:
        """Return the time in control steps, as it is sensed or counted; 0 where there is no clock to tell it to.

        Raises:
            CircuitMismatch: `sensors` has the columns of another body.
        """
        if sensors.shape[-1] != self.n_sensors:
            raise CircuitMismatch(
                f"this {type(self).__name__} of {self.n_motors} joints senses {self.n_sensors} values and got "
                f"{sensors.shape[-1]}; build one for this body (shared weights fit every number of joints)"
            )
        if self._counts:
            return state["step"]
        if self.memory == "none":
            return sensors.new_zeros(len(sensors), 1)
        start = 0
        for name, size in self.senses:
            if name == "time":
                break
            start += size
        return sensors[:, start : start + 1]

    def next(self, state: State) -> State:
        """Return the state one step later."""
        return {"step": state["step"] + 1} if self._counts else {}

    def middle(self, time: Float[Tensor, "batch 1"]) -> Float[Tensor, "batch 1"]:
        """Return the middle of a control step, in the steps that periods are in.

        Half a step off zero, a time that came through single precision seconds stays in its step.
        """
        middle = time + 0.5
        return middle if self.step_length == 1 else middle * self.step_length

    @property
    def _counts(self) -> bool:
        return self.memory == "clock" and not self.observe_time
