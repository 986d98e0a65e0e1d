"""Train a run: build its learner, resume from the last checkpoint, and write checkpoints."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import math
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import NoneType
from typing import Any

from ...agents import Agent
from ...agents.algorithms.algorithm import Learner
from ...agents.algorithms.registry import algorithm_named
from ...agents.places import Place
from ...circuits.held import weights_to_come
from ...envs.deficits import Deficits
from ...errors import CircuitMismatch, InvalidOption, InvalidRun
from ...options import FLAG, PATH, TEXT_OR_NONE, Instance, checked
from ...progress import progress_bar
from ...threads import one_thread
from ..rollouts.evaluation import evaluate_agent, over_bodies
from ..runs.config import A_CONFIG, RunConfig
from ..runs.held_files import told_config
from ..runs.metrics_log import make_logger
from ..runs.nested import join, part
from ..runs.resolution import Resolved
from ..runs.run import A_RUN, Run
from ..runs.shipped import check_no_address, is_address
from .checks import check, device_named, say_blind
from .engine import Engine, check_engine
from .places import places_of, places_on_bodies
from .populations import Workers, open_evaluator
from .protection import protect
from .selection import train_only
from .start import start_from, start_parts
from .stopping import Stop, stopping

_EVALUATION_EPISODES = 5
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Moment:
    """The state of training that a callback receives.

    Attributes:
        step: environment steps so far.
        metrics: last value of each metric logged since training was started or resumed.
        agent: the agent with its current weights.
    """

    step: int
    metrics: Mapping[str, float]
    agent: Agent


Callback = Callable[[Moment], bool | None]


@checked(
    InvalidOption,
    config=A_CONFIG,
    out=PATH,
    progress=FLAG,
    callback=Instance((Callable, NoneType), "a function of a Moment"),  # type: ignore[arg-type]
)
def train(
    config: RunConfig,
    out: str | Path,
    progress: bool = True,
    workers: int | None = None,
    engine: Engine = "local",
    address: str | None = None,
    callback: Callback | None = None,
    trust: bool = False,
) -> Run:
    """Train a run in the folder `out`, or resume the one in it.

    Ctrl-C, SIGTERM and SIGHUP write a checkpoint and stop. A run that was killed resumes from its last checkpoint when
    the function is called again. A run of the same config with fewer steps is trained further.

    Args:
        config: the config of the run.
        out: folder of the run.
        progress: show a progress bar.
        workers: number of processes that evaluate a population (es, cmaes), one core each; results do not depend on
            it. None evaluates in this process, on all cores.
        engine, address: where workers run; see `run_tasks`.
        callback: called with a `Moment` after every rollout and update; returning True writes a checkpoint and stops.
        trust: follow links in `out`, and run its circuit's code; see `Folder`.

    Raises:
        InvalidRun: `out` contains another run, or one that is being trained by another process.
        InvalidOption: the algorithm has no use for workers, or `out` is the address of an agent instead of a folder.
        OutputExists: `out` contains something that is not a run.
    """
    check_no_address(out)
    out = Path(out)
    device_named(config.device)
    check_engine(workers, engine, address)
    with one_thread(), contextlib.ExitStack() as stack:
        if (out / "config.json").exists():
            try:
                run = Run.create(out, config, trust=trust)
            except InvalidRun:
                check(config)  # a mistake in the options is said before the difference that it makes
                raise
            if run.done and run.config.steps == config.steps:
                if progress:
                    print(f"{run.path} is done already; nothing was trained", file=sys.stderr)
                return run
            run.refuse_old()
            resolved = Resolved(
                dataclasses.replace(run.resolved.config, steps=config.steps, device=config.device), run.resolved.agent
            )
            sitting = _Sitting(resolved, stack, workers, engine, address, is_begun=bool(run.checkpoints()))
        else:
            # Built before anything is written: what cannot be built leaves nothing behind.
            resolved = check(config)
            sitting = _Sitting(resolved, stack, workers, engine, address)
            say_blind(sitting.agent, config)
            run = Run.create(out, config, lambda: {"resolved": resolved.to_json(config)}, trust)
        with stopping() as stop, run.lock():
            if run.config.steps < config.steps:
                run.train_longer(config)
            sitting.go(run, progress, callback, stop)
        return run


@checked(InvalidOption, path=A_RUN, progress=FLAG, device=TEXT_OR_NONE, trust=FLAG)
def resume(
    path: str | Path, progress: bool = True, device: str | None = None, trust: bool = False, **options: Any
) -> Run:
    """Resume the run in a folder.

    Args:
        path: folder of the run.
        progress: show a progress bar.
        device: torch device to train on from now on; None keeps the previous one.
        trust: follow links in the folder, and run its circuit's code; see `Folder`.
        options: the options workers, engine, address and callback of `train`.

    Raises:
        InvalidOption: `path` is the address of an agent that comes with the package.
    """
    config = Run(path, trust).config
    if is_address(path):
        raise InvalidOption(
            f"{path} comes with nervecord as it is; nervecord train --circuit {config.circuit} --start {path} "
            "--out runs/mine trains it on"
        )
    if device is not None:
        config = dataclasses.replace(config, device=device)
    return train(config, path, progress, trust=trust, **options)


class _Sitting:
    """One sitting at a run: its environments, its agent and the learner."""

    def __init__(
        self,
        resolved: Resolved,
        stack: contextlib.ExitStack,
        workers: int | None,
        engine: Engine,
        address: str | None,
        is_begun: bool = False,
    ) -> None:
        self.config = resolved.config
        algorithm = algorithm_named(self.config.algorithm)
        evaluator: Workers | None = None
        if workers is not None or engine != "local" or address is not None:
            evaluator = open_evaluator(resolved, 1 if workers is None else workers, engine, address)
            stack.callback(evaluator.close)
        with weights_to_come() if is_begun else contextlib.nullcontext():
            self.agent = Agent(resolved.agent).to(device_named(self.config.device))
        if not is_begun:
            start_parts(self.agent, resolved)
        # What stays must be seen as the start saw it, in a later sitting too.
        stays = bool(self.config.protect or self.config.train_only)
        if self.config.start is not None and (not is_begun or stays):
            start_from(self.agent, resolved)
        places = places_of(resolved, self.agent, stack)
        others: dict[str, Any] = {} if evaluator is None else {"evaluate": evaluator.evaluate}
        if len(resolved.each) > 1 and algorithm.takes_places:
            others["places"] = places
        envs: Any = places[0].envs
        self.learner: Learner = algorithm.start(self.agent, envs, resolved.options, self.config.seed, **others)
        if self.config.deficits:
            self.learner.deficits = Deficits(self.agent.layout, self.config.deficits)
        if self.config.protect and (free := protect(self.learner, self.config)):
            _log.warning("weights that act in no linear map learn unprotected: %s", ", ".join(free))
        if self.config.train_only:
            train_only(self.learner, self.config)
        self.tests: tuple[Place, ...] = ()
        if self.config.evaluate_every:
            self.tests = places_on_bodies(resolved, self.agent, _EVALUATION_EPISODES, stack, randomize={})

    def go(self, run: Run, progress: bool, callback: Callback | None, stop: Stop) -> None:
        """Train to the last step, with evaluations and checkpoints on the way."""
        self.run, self.stop = run, stop
        resumed_at = self._go_on()
        learner, total = self.learner, self._whole_steps(progress)
        self.logger = make_logger(run.path, resumed_at if self.resumes else None)
        self.told: dict[str, float] = {}
        # A run stopped before its first checkpoint is due must open all the same, and be evaluated at its start.
        self._saved = learner.steps if self.resumes else learner.steps - self.config.checkpoint_every
        self._evaluated = learner.steps if self.resumes else -1
        bar = progress_bar(
            total=total, initial=learner.steps, unit="step", unit_scale=True,
            desc=f"train {run.path.name}", disable=not progress,
        )  # fmt: skip
        began, first = time.perf_counter(), learner.steps
        try:
            while learner.steps < total:
                # Between an update and the next rollout nothing is half done: the moment to look and to checkpoint.
                self._evaluate_if_due()
                self._save_if_due()
                metrics = learner.advance()
                rate = (learner.steps - first) / max(time.perf_counter() - began, 1e-9)
                self._log({**metrics, "time/fps": rate} if metrics else {})
                bar.update(learner.steps - bar.n)
                if "rollout/ep_rew_mean" in metrics:
                    bar.set_postfix({"return": f"{metrics['rollout/ep_rew_mean']:.0f}"}, refresh=False)
                self._evaluate_if_due()
                self.agent.missing = None  # a deficit is the training's, not of whoever looks at the agent
                if callback is not None and callback(Moment(learner.steps, dict(self.told), self.agent)):
                    self._save(done=False)
                    return
            self._evaluate()
            self._save(done=True)
        finally:
            bar.close()
            self.logger.close()

    def _go_on(self) -> int:
        """Take up the last checkpoint, if there is one; return its step."""
        checkpoint = self.run.load_checkpoint()
        self.resumes = checkpoint is not None
        if checkpoint is None:
            return 0
        if "learner" not in checkpoint.state:
            raise InvalidRun(
                f"{self.run.path} holds weights that no training left, so there is none to resume; "
                f"--start {self.run.path} with another --out trains them"
            )
        try:
            self.agent.load(checkpoint.weights, checkpoint.state.get("observation_stats"))
            held = join(checkpoint.training, checkpoint.state["learner"])
            self.learner.load_state_dict({**held, "replay": checkpoint.replay})
        except (CircuitMismatch, KeyError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise InvalidRun(
                f"{self.run.path}: its checkpoint is of another circuit or algorithm ({reason})"
            ) from error
        return checkpoint.step

    def _whole_steps(self, progress: bool) -> int:
        """Return how many steps the whole generations or rollouts are that the steps asked for come to."""
        asked, once = self.config.steps, self.learner.steps_at_once
        total = math.ceil(asked / once) * once
        if total != asked and progress:
            print(f"training goes by {once:,} steps at once: {total:,} steps will be trained", file=sys.stderr)
        return total

    def _evaluate_if_due(self) -> None:
        step, every = self.learner.steps, self.config.evaluate_every
        if every and step // every > self._evaluated // every:
            self._evaluate()

    def _save_if_due(self) -> None:
        """Write a checkpoint where one is due, or a signal asks to stop; then stop."""
        step, stops = self.learner.steps, self.stop.requested
        if step - self._saved >= self.config.checkpoint_every or (stops and step != self._saved):
            self._save(done=False)
        if stops:  # a signal that came since then waits for the next update, so that no update is lost
            self.stop.check()

    def _evaluate(self) -> None:
        """Log how the agent does now, if the run is to be evaluated and was not at this step.

        Apart from the learner's environments and random numbers, and with all its senses.
        """
        if not self.tests or self._evaluated == self.learner.steps:
            return
        missing, self.agent.missing = self.agent.missing, None
        found = {
            place.bodies[0]: evaluate_agent(place.agent, place.envs)  # type: ignore[arg-type]
            for place in self.tests
        }
        self.agent.missing = missing
        together = over_bodies(found)
        logged = {f"eval/{name}": float(values.mean()) for name, values in together.metrics.items()}
        if together.bodies:
            logged |= {f"eval/return/{body}": each.mean_return.mean for body, each in found.items()}
            logged["eval/return_worst"] = together.worst[1].mean_return.mean
        self._log(logged)
        self._evaluated = self.learner.steps

    def _log(self, metrics: Mapping[str, float]) -> None:
        if not metrics:
            return
        self.told |= metrics
        for name, value in metrics.items():
            self.logger.record(name, value)
        self.logger.dump(self.learner.steps)

    def _save(self, done: bool) -> None:
        """Write a checkpoint from which training goes on as if it had not stopped."""
        held = self.learner.state_dict()
        replay = held.pop("replay", None)
        tensors, rest = part(held)
        state = {"done": done, "observation_stats": self.agent.observation_stats, "learner": rest}
        self.run.save_checkpoint(self.learner.steps, self.agent.circuit.state_dict(), tensors, state, replay)
        self._saved = self.learner.steps


def summary(run: Run) -> dict[str, Any]:
    """Return a run's steps and its last mean return in training.

    The training return includes exploration noise and randomised bodies, so it differs from that of `evaluate`.
    """
    table = run.metrics()
    returns = table[table["metric"] == "rollout/ep_rew_mean"]
    config, checkpoint = run.config, run.load_checkpoint(with_training=False)
    bodies = list(config.body_names) if config.bodies else []
    return {
        "config": {**told_config(config.to_json()), "body": config.trained_on, "bodies": bodies},
        "run": str(run.path),
        "weights": run.agent(trained=False).n_weights,
        "done": run.done,
        "steps": checkpoint.step if checkpoint else 0,
        "training_return": float(returns["value"].iloc[-1]) if len(returns) else None,
    }
