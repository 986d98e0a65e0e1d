"""Many independent tasks at once: in local processes or on Ray, the same code and the same results."""

from __future__ import annotations

import concurrent.futures
import itertools
import logging
import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Literal

from ...errors import InvalidRun
from ...extras import require

Engine = Literal["local", "ray"]
# A worker may be lost to a full memory or a machine that goes; one that is lost again and again is a bug.
RETRIES = 3


def run_tasks(
    function: Callable[..., Any],
    tasks: Mapping[str, tuple[Any, ...]],
    workers: int | None = None,
    engine: Engine = "local",
    address: str | None = None,
) -> Iterator[tuple[str, Any]]:
    """Call `function(*arguments)` for every task, each on one core; yield name and result as they finish.

    A worker that dies is replaced and its task starts again, so a task must be one that can: what it
    left half done it goes on with or overwrites.

    Args:
        function: importable by name, here and on the workers.
        tasks: arguments by name.
        workers: tasks at a time; None takes one per core, of this machine or of the cluster.
        engine: local processes, or Ray.
        address: of a Ray cluster, whose machines must share the folders that tasks write to; None starts
            one on this machine.

    Raises:
        InvalidRun: workers below 1, no such engine, or a worker that keeps dying.
        MissingDependency: Ray is not installed.
    """
    if workers is not None and workers < 1:
        raise InvalidRun(f"workers is {workers}; give 1 or more")
    if engine == "ray":
        return _on_ray(function, tasks, workers, address)
    if engine != "local":
        raise InvalidRun(f"engine is {engine!r}; give 'local' or 'ray'")
    if address is not None:
        raise InvalidRun("an address is of a Ray cluster; give --engine ray with it")
    return _in_processes(function, tasks, workers or _cores())


def _in_processes(
    function: Callable[..., Any], tasks: Mapping[str, tuple[Any, ...]], workers: int
) -> Iterator[tuple[str, Any]]:
    # Fresh processes: a fork would copy MuJoCo's and torch's threads half alive.
    context = multiprocessing.get_context("spawn")
    left, lost = dict(tasks), 0
    while left:
        # Workers stay to the end: with max_tasks_per_child the pool of Python 3.11 can wait for ever
        # (https://github.com/python/cpython/issues/115634).
        pool = concurrent.futures.ProcessPoolExecutor(workers, context, take_one_core)
        try:
            names = {pool.submit(function, *arguments): name for name, arguments in left.items()}
            for job in concurrent.futures.as_completed(names):
                result = job.result()
                del left[names[job]]
                lost = 0
                yield names[job], result
        except BrokenProcessPool as error:
            lost += 1
            if lost > RETRIES:
                raise InvalidRun(
                    f"workers died {lost} times in a row on {', '.join(itertools.islice(left, workers))}; "
                    "see whether memory runs out, and give fewer workers"
                ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def take_one_core() -> None:
    """Keep this process to one core: MuJoCo's threads, torch's and BLAS's."""
    os.environ["OMP_NUM_THREADS"] = "1"


def _on_ray(
    function: Callable[..., Any], tasks: Mapping[str, tuple[Any, ...]], workers: int | None, address: str | None
) -> Iterator[tuple[str, Any]]:
    ray = start_ray(workers, address)
    at_once = workers or int(ray.cluster_resources()["CPU"])
    try:
        # Ray sets OMP_NUM_THREADS to the task's cores.
        remote = ray.remote(num_cpus=1, max_retries=RETRIES)(function)
        waiting = iter(tasks.items())
        running: dict[Any, str] = {}
        while True:
            for name, arguments in itertools.islice(waiting, at_once - len(running)):
                running[remote.remote(*arguments)] = name
            if not running:
                return
            done, _ = ray.wait(list(running), num_returns=1)
            name = running.pop(done[0])
            try:
                result = ray.get(done[0])
            except ray.exceptions.WorkerCrashedError as error:
                raise InvalidRun(f"workers died {RETRIES + 1} times in a row on {name}") from error
            except ray.exceptions.RayTaskError as error:
                raise error.cause from error
            yield name, result
    finally:
        ray.shutdown()


def start_ray(workers: int | None, address: str | None) -> Any:
    """Join a Ray cluster, or start one of so many cores on this machine; return the library.

    Raises:
        MissingDependency: Ray is not installed.
        InvalidRun: no cluster answers at the address.
    """
    ray = require("ray", "ray")
    try:
        cores = None if address else workers or _cores()
        ray.init(
            address or "local", num_cpus=cores, include_dashboard=None if address else False, log_to_driver=False,
            logging_level=logging.ERROR,
        )  # fmt: skip
    except (ConnectionError, ValueError) as error:
        raise InvalidRun(f"no Ray cluster answers at {address}: {error}") from error
    return ray


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
