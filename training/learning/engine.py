"""Run independent tasks in parallel, in local processes or on Ray, with the same results."""

from __future__ import annotations

import itertools
import logging
import os
import socket
from collections.abc import Callable, Generator, Mapping
from types import NoneType
from typing import Any, Literal, get_args

from ...errors import InvalidOption, Unreachable, WorkersLost
from ...extras import require
from ...options import Instance, Number, OneOf, wrong_value
from .workers import GRACE, RETRIES, WorkerPool, attempt

Engine = Literal["local", "ray"]
# Seconds to wait for a cluster's head, which answers at once if it exists.
_ANSWERS_WITHIN = 10.0
_PLACE = {
    "workers": Number(1, is_whole=True, also=(None,), none="leave it out"),
    "engine": OneOf(get_args(Engine)),
    "address": Instance((str, NoneType), "HOST:PORT, ray://HOST:PORT or auto, or leave it out"),
}


def run_tasks(
    function: Callable[..., Any],
    tasks: Mapping[str, tuple[Any, ...]],
    workers: int | None = None,
    engine: Engine = "local",
    address: str | None = None,
) -> Generator[tuple[str, Any], None, None]:
    """Call `function(*arguments)` for every task, each on one core; yield name and outcome as they finish.

    An outcome is the task's return value, or the exception that it raised, which does not stop the other tasks. A
    worker that dies is replaced and its task restarted, so a task must resume or overwrite its own unfinished work.
    Leaving the loop early (Ctrl-C) stops the workers; close the generator (contextlib.closing) to stop them at once.

    Args:
        function: a function that can be imported by name, here and on the workers.
        tasks: arguments of each task, by the task's name.
        workers: number of parallel tasks; None is the number of cores of this machine or of the cluster.
        engine: "local" for local processes, or "ray".
        address: address of a Ray cluster, whose machines must share the folders that tasks write to; None starts
            Ray on this machine.

    Raises:
        InvalidOption: `workers` is below 1, or there is no such engine.
        WorkersLost: workers cannot start.
        MissingDependency: Ray is not installed.
    """
    check_engine(workers, engine, address)
    if engine == "ray":
        return _on_ray(function, tasks, workers, address)
    return _in_processes(function, tasks, workers or _cores())


def check_engine(workers: int | None, engine: str, address: str | None) -> None:
    """Refuse workers, an engine or an address that cannot be, before anything is begun.

    Raises:
        InvalidOption: workers below 1, no such engine, or an address without Ray.
    """
    if wrong := wrong_value({"workers": workers, "engine": engine, "address": address}, _PLACE):
        raise InvalidOption(wrong)
    if address == "":
        raise InvalidOption("address is ''; give HOST:PORT, ray://HOST:PORT or auto, or leave it out")
    if address is not None and engine != "ray":
        raise InvalidOption("an address needs Ray; give --engine ray with it")


def _in_processes(
    function: Callable[..., Any], tasks: Mapping[str, tuple[Any, ...]], workers: int
) -> Generator[tuple[str, Any], None, None]:
    pool = WorkerPool(workers)
    try:
        yield from pool.run((name, (function, arguments)) for name, arguments in tasks.items())
    finally:
        pool.close()


def _on_ray(
    function: Callable[..., Any], tasks: Mapping[str, tuple[Any, ...]], workers: int | None, address: str | None
) -> Generator[tuple[str, Any], None, None]:
    ray = start_ray(workers, address)
    at_once = workers or int(ray.cluster_resources()["CPU"])
    running: dict[Any, str] = {}
    try:
        # Ray sets OMP_NUM_THREADS to the task's cores.
        remote = ray.remote(num_cpus=1, max_retries=RETRIES)(attempt).options(name=function.__name__)
        waiting = iter(tasks.items())
        while True:
            for name, arguments in itertools.islice(waiting, at_once - len(running)):
                running[remote.remote(function, *arguments)] = name
            if not running:
                return
            done, _ = ray.wait(list(running), num_returns=1)
            name = running.pop(done[0])
            try:
                _, outcome = ray.get(done[0])
            except ray.exceptions.WorkerCrashedError:
                outcome = WorkersLost(f"workers died {RETRIES + 1} times in a row on {name}")
            except ray.exceptions.RayError as error:
                # The task could not be sent to a worker, or ran out of memory.
                outcome = WorkersLost(f"{name} could not be run: {' '.join(str(error).split())}")
            yield name, outcome
    finally:
        _end_on_ray(ray, list(running))


def _end_on_ray(ray: Any, running: list[Any]) -> None:
    """Leave Ray at once; running trainings write a checkpoint first."""
    try:
        for each in running:
            ray.cancel(each)
        if running:
            ray.wait(running, num_returns=len(running), timeout=GRACE)
    finally:
        ray.shutdown()


def start_ray(workers: int | None, address: str | None) -> Any:
    """Join a Ray cluster, or start one with a core per worker on this machine; return the library.

    Raises:
        MissingDependency: Ray is not installed.
        Unreachable: no cluster answers at the address.
        WorkersLost: none starts on this machine.
    """
    ray = require("ray", "ray")
    if address is not None:
        _ask_for_answer(address)
    try:
        cores = None if address else workers or _cores()
        ray.init(
            address or "local", num_cpus=cores, include_dashboard=None if address else False, log_to_driver=False,
            logging_level=logging.ERROR,
        )  # fmt: skip
    except (ConnectionError, RuntimeError, ValueError) as error:
        ray.shutdown()  # what has begun of a cluster on this machine
        reason = " ".join(str(error).split())
        if address is None:
            raise WorkersLost(f"Ray does not start on this machine: {reason}") from error
        raise Unreachable(f"no Ray cluster answers at {address}: {reason}") from error
    return ray


def _ask_for_answer(address: str) -> None:
    """Raise Unreachable unless a gRPC server answers at [ray://]HOST:PORT: Ray would wait for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdigit()):
        if address.startswith("ray://"):
            raise InvalidOption(f"address is {address!r}; give ray://HOST:PORT, such as ray://10.0.0.1:10001")
        return  # A word, such as auto, which Ray knows or refuses at once.
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _ANSWERS_WITHIN) as connection:
            # Both sides of HTTP/2 begin with a frame of settings (RFC 9113, 3.4). With TLS, the handshake is Ray's.
            if os.environ.get("RAY_USE_TLS") != "1":
                connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
                if connection.recv(9)[3:4] != b"\4":
                    raise ConnectionError("what answers is not Ray")
    except (OSError, OverflowError) as error:
        raise Unreachable(f"no Ray cluster answers at {address}: {error}") from error


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
