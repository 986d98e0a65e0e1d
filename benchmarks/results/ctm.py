"""Time `CTM.unroll_features` over a sequence against a loop of single steps, in the same run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ...circuits import CTM, RecurrentCircuit
from .command import start

_SENSORS = 8
_CASES = ((256, 100, 1), (256, 100, 2), (64, 64, 1), (64, 64, 2))  # batch, time, ticks


def ctm_unroll(repeats: int = 7, threads: int = 1) -> list[dict[str, Any]]:
    """Measure forward, and forward with backward, interleaved `repeats` times; return medians.

    Every environment starts one episode inside the sequence, at its own step.

    Returns:
        Rows with name, milliseconds of the step loop and of the unroll, and how many times faster it is.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    rows = []
    for batch, n_steps, ticks in _CASES:
        rng = torch.Generator().manual_seed(0)
        circuit = CTM({"observation": _SENSORS}, 1, ticks=ticks, rng=rng)
        sensors = torch.randn(n_steps, batch, _SENSORS, generator=rng)
        episode_start = torch.zeros(n_steps, batch, dtype=torch.bool)
        episode_start[torch.randint(n_steps, (batch,), generator=rng), torch.arange(batch)] = True
        for measured in (_forward, _forward_backward):
            times: dict[Callable[..., Any], list[float]] = {
                RecurrentCircuit.unroll_features: [],
                CTM.unroll_features: [],
            }
            for repeat in range(repeats + 1):
                for unroll, found in times.items():
                    begin = time.perf_counter()
                    measured(circuit, unroll, sensors, episode_start)
                    # The first round warms up.
                    found += [time.perf_counter() - begin] if repeat else []
            loop, fast = (1e3 * statistics.median(found) for found in times.values())
            rows.append(
                {
                    "name": f"{measured.__name__.strip('_')}, {batch} x {n_steps} steps, ticks {ticks}",
                    "loop_ms": round(loop, 1),
                    "unroll_ms": round(fast, 1),
                    "ratio": round(loop / fast, 2),
                }
            )
    torch.set_num_threads(before)
    return rows


@torch.inference_mode()
def _forward(circuit: CTM, unroll: Callable[..., Any], sensors: Tensor, episode_start: Tensor) -> None:
    unroll(circuit, sensors, circuit.initial_state(sensors.shape[1]), episode_start)


def _forward_backward(circuit: CTM, unroll: Callable[..., Any], sensors: Tensor, episode_start: Tensor) -> None:
    features, _ = unroll(circuit, sensors, circuit.initial_state(sensors.shape[1]), episode_start)
    circuit.readout(features).sum().backward()
    circuit.zero_grad()


def main(repeats: int = 7, threads: int = 1) -> None:
    """Print a row for each length of the sequence.

    Args:
        repeats: measurements of a row; the median is shown.
        threads: of torch.
    """
    for row in ctm_unroll(repeats, threads):
        print(f"{row['name']:45}{row['loop_ms']:>8.1f} ms{row['unroll_ms']:>8.1f} ms{row['ratio']:>7.2f} times")


if __name__ == "__main__":
    start(main)
