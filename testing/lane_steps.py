"""The laws of a circuit's step over vectors: its sizes fit, it stays within bounds, and it equals torch's step."""

from __future__ import annotations

import copy
import ctypes

import numpy as np
import torch
from jaxtyping import Float

from ..agents.fused import flat_state
from ..circuits import Circuit, LaneStep
from ..envs.physics.lanes import compiled_step, step_numbers
from ..laws import Laws

WIDTH, _STEPS = 8, 70
_ROUNDING = 1e-9  # of double precision, carried along by what the circuit remembers
_COMPARED = (0, 3, 7)  # members; a step in torch takes most of the time
_GUARD = 1234.5  # stands where no step may write


@torch.no_grad()
def check_lane_step(laws: Laws, circuit: Circuit, step: LaneStep | None) -> None:
    """Compare a circuit's step over vectors with its step in torch, in double precision and with several weights.

    Raises:
        ContractBroken: sizes do not fit, it writes elsewhere, or its motors are others.
    """
    right = "return a LaneStep of every circuit of the kind, or of none"
    laws.hold("a lane_step does not depend on the control step", step, "there is none at another", right)
    assert step is not None
    circuit = copy.deepcopy(circuit).double()
    flat = torch.nn.utils.parameters_to_vector(circuit.parameters())
    initial = flat_state(circuit.initial_state(1))
    for what, there, here in (
        ("weights", step.n_weights, len(flat)),
        ("numbers of state", step.n_memory, initial.shape[1]),
    ):
        found = f"it takes {there} {what} and the circuit has {here}"
        laws.hold("a lane_step has the circuit's sizes", there == here, found, "give LaneStep its numbers")
    rng = torch.Generator().manual_seed(0)
    members = flat + torch.randn(WIDTH, len(flat), generator=rng, dtype=torch.float64)
    sensors = 1.5 * torch.randn(_STEPS, WIDTH, circuit.n_sensors, generator=rng, dtype=torch.float64)
    place = 0
    for name, size in circuit.senses:
        if name == "time":
            sensors[:, :, place] = torch.arange(_STEPS)[:, None]
        place += size
    expected, starts = np.empty((_STEPS, circuit.n_motors, len(_COMPARED))), []
    for member in range(WIDTH):
        torch.nn.utils.vector_to_parameters(members[member], circuit.parameters())
        state = {key: value.double() for key, value in circuit.initial_state(1).items()}
        starts.append(flat_state(state)[0])
        for time, row in enumerate(sensors[:, member : member + 1] if member in _COMPARED else ()):
            motor, state = circuit(row, state)
            expected[time, :, _COMPARED.index(member)] = motor[0].numpy()
    with laws.asking("a lane_step can be compiled", "use what nervecord.vectors and lane_functions have"):
        compiled_step(step.function, WIDTH)
    motors, untouched = lane_motors(
        step, circuit.n_motors, members.numpy(), sensors.numpy(), torch.stack(starts).double().numpy()
    )
    laws.hold(
        "a lane_step writes its own rows alone", untouched, "it wrote behind memory, motors or room, or into what it "
        "reads", "mind the sizes: nothing checks bounds",
    )  # fmt: skip
    laws.hold("a lane_step writes every motor", not np.isnan(motors[0]).any(), "some are left", "write every motors[i]")
    within = _ROUNDING * max(1.0, float(np.abs(expected).max()))
    laws.alike(
        "a lane_step is the step in torch", motors[..., _COMPARED], expected,
        "compare the two, operation by operation", within, "the motor command at [time, motor, member]",
    )  # fmt: skip


def lane_motors(
    step: LaneStep,
    n_motors: int,
    members: Float[np.ndarray, "members weights"],
    sensors: Float[np.ndarray, "time members sensors"],
    memory: Float[np.ndarray, "members memory"],
) -> tuple[Float[np.ndarray, "time motors members"], bool]:
    """Call a compiled step as physics does; return motors, in units of the motor's range, and if it kept in bounds.

    Weights and memory are in the circuit's units, and sensors each in its own.

    Raises:
        MissingDependency: numba cannot compile it.
    """
    function = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 6)(compiled_step(step.function, WIDTH))

    def guarded(rows: Float[np.ndarray, "rows members"]) -> Float[np.ndarray, "rows_and_guards members"]:
        guard = np.full((1, WIDTH), _GUARD)
        return np.ascontiguousarray(np.concatenate([guard, rows, guard]))

    numbers, weights = np.append(step_numbers(step.numbers, WIDTH), _GUARD), guarded(members.T)
    held, motors = guarded(memory.T), guarded(np.full((n_motors, WIDTH), np.nan))
    found, untouched = [], True
    for row in sensors:
        felt, room = guarded(row.T), guarded(np.full((step.n_room, WIDTH), np.nan))
        read = [numbers.copy(), weights.copy(), felt.copy()]
        given = (numbers, *(rows[1:] for rows in (weights, felt, held, motors, room)))
        function(*(array.ctypes.data for array in given))
        found.append(motors[1:-1].copy())
        untouched &= all(np.array_equal(*pair) for pair in zip(read, (numbers, weights, felt), strict=True))
        untouched &= all((rows[[0, -1]] == _GUARD).all() for rows in (held, motors, room))
    return np.array(found), bool(untouched)
