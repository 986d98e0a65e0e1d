"""The laws of algorithms: options with bounds; learners that advance, stop, resume and call their hooks."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..agents import Agent
from ..agents.algorithms import ALGORITHMS, Algorithm, Learner
from ..circuits import CIRCUITS, NCAP, Facts
from ..envs.deficits import Deficit, Deficits
from ..errors import CircuitMismatch, ContractBroken, InvalidOption, NervecordError, UnknownName
from ..laws import Laws, difference, named
from ..options import allowed_values
from ..training.runs import Resolved, RunConfig, resolve
from ..training.runs.nested import join, part

_EPISODE_STEPS = 12
_MOST_ADVANCES = 40
_MORE = 2  # advances after the weights have moved; a resumed learner must repeat them
_GROUPS = ("rollout", "train", "time")


def check_algorithm(
    algorithm: str | Algorithm | type[Algorithm],
    options: Mapping[str, Any] | None = None,
    circuit: str = "ncap",
    body: str = "swimmer3",
) -> None:
    """Check an algorithm: its options, and a learner that starts, advances, stops and resumes.

    Args:
        algorithm: a registered name, or the object of an entry point of nervecord.algorithms: an `Algorithm` or a
            subclass.
        options: options with which the weights change within 40 advances of short episodes; None takes the defaults.
        circuit, body: the circuit to train, and its body.

    Raises:
        ContractBroken: a law does not hold; the message names it.
        UnknownName: there is no such algorithm.
    """
    with named(ALGORITHMS, algorithm, "algorithm") as name, _global_draws_kept():
        laws, kind = Laws(f"algorithm {name}"), ALGORITHMS[name]
        _options(laws, name, kind)
        config = RunConfig(circuit, name, body, episode_steps=_EPISODE_STEPS, physics="mujoco",
                           algorithm_options=dict(options or {}))  # fmt: skip
        with laws.asking("it takes a circuit and options that fit it", "see Algorithm.check, or give others"):
            resolved = resolve(config)
        _learning(laws, resolved)
        _rewiring(laws, config)
        _restructuring(laws, config)


def _options(laws: Laws, name: str, kind: Algorithm) -> None:
    law, right = "every option has a default and bounds", "make Options a frozen dataclass of option(default, allowed)"
    with laws.asking(law, right):
        defaults, allowed = vars(kind.Options()), allowed_values(kind.Options)
    is_frozen = getattr(getattr(kind.Options, "__dataclass_params__", None), "frozen", False)
    laws.hold(law, is_frozen, "Options is no frozen dataclass", right)
    missing = sorted(defaults.keys() - allowed.keys())
    laws.hold(law, not missing, f"there are none for {', '.join(missing)}", right)
    laws.hold("it says how many environments it takes", "n_envs" in defaults, f"its options are {', '.join(defaults)}",
              "add n_envs")  # fmt: skip
    for option, value in defaults.items():
        laws.hold("defaults are within their bounds", allowed[option].takes(value), f"{option} is {value!r}",
                  f"it is to be {allowed[option]}")  # fmt: skip
    for asked, error in (({"no_such_option": 1}, UnknownName), ({"n_envs": -1}, InvalidOption)):
        law = f"{next(iter(asked))}={next(iter(asked.values()))} is refused"
        try:
            kind.validate(name, asked)
        except error:
            continue
        laws.hold(law, False, "it is taken", "leave validate to Algorithm")
    for memory in ("none", "clock", "recurrent"):
        for is_bounded in (False, True):
            facts = Facts(is_bounded, memory)
            law, right = "options of every kind of circuit are complete and JSON", "see Algorithm.resolve"
            try:
                with laws.asking(law, right):
                    found = _resolved_or_refused(kind, name, facts)
            except _Refused:
                continue
            lost = sorted(defaults.keys() - found.keys())
            laws.hold(law, not lost, f"{', '.join(lost)} has no value for {facts}", right)
            with laws.asking(law, right):
                json.dumps(found)


class _Refused(Exception):
    """The algorithm refuses its options for a kind of circuit; has the algorithm's message."""


def _resolved_or_refused(kind: Algorithm, name: str, facts: Facts) -> dict[str, Any]:
    try:
        return kind.resolve(name, facts, {})
    except NervecordError as error:
        raise _Refused from error


@dataclasses.dataclass
class _Sitting:
    """A learner with its environments and its log."""

    agent: Agent
    learner: Learner
    logged: list[dict[str, float]] = dataclasses.field(default_factory=list)

    @property
    def weights(self) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in self.learner.agent.circuit.state_dict().items()}

    def advance(self) -> None:
        found = self.learner.advance()
        self.logged.append({name: value for name, value in found.items() if not name.startswith("time/")})


@contextlib.contextmanager
def _sitting(laws: Laws, resolved: Resolved, seed: int = 0) -> Iterator[_Sitting]:
    # Earlier draws of other code must not matter.
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    agent, envs = Agent(resolved.agent), resolved.make_envs(resolved.options["n_envs"])
    try:
        algorithm = ALGORITHMS[resolved.config.algorithm]
        with laws.asking("it starts a learner", "see Algorithm.start"):
            learner = algorithm.start(agent, envs, resolved.options, 0)
        found = f"start returns a {type(learner).__name__}"
        laws.hold("it starts a learner", isinstance(learner, Learner), found, "return a Learner")
        yield _Sitting(agent, learner)
    finally:
        envs.close()


def _learning(laws: Laws, resolved: Resolved) -> None:
    advance_law, advance_right = "a learner advances", "see Learner.advance"
    with _sitting(laws, resolved) as first:
        start, learner = first.weights, first.learner
        laws.hold("a learner has the agent that it was given", learner.agent is first.agent, "it has another",
                  "keep agent")  # fmt: skip
        changes = _watched(first)
        for _ in range(_MOST_ADVANCES):
            before = learner.steps
            with laws.asking(advance_law, advance_right):
                first.advance()
            taken = learner.steps - before
            laws.hold("steps counts environment steps", 0 < taken <= learner.steps_at_once,
                      f"an advance of {learner.steps_at_once} steps at once counts {taken}",
                      "count all environments, and say steps_at_once")  # fmt: skip
            has_ended = any("rollout/ep_rew_mean" in each for each in first.logged)
            if has_ended and _differ(first.weights, start):
                break
        else:
            _logs(laws, first.logged)
            laws.hold("weights move", False, f"they are the same after {len(first.logged)} advances",
                      "change the agent's circuit in place, or give options by which it learns sooner")  # fmt: skip
        _hooks(laws, learner, start, first.weights, changes)
        state, weights = learner.state_dict(), first.weights
        replay = state.pop("replay", None)
        with laws.asking("a state is tensors, arrays and JSON", "see Learner.state_dict"):
            tensors, rest = part(state)
            held = copy.deepcopy(tensors), json.loads(json.dumps(rest)), copy.deepcopy(replay)
        stats = copy.deepcopy(first.agent.observation_stats)
        for _ in range(_MORE):
            first.advance()
        _logs(laws, first.logged)
        advances = len(first.logged)
    with _sitting(laws, resolved, seed=1) as again:
        for _ in range(advances):
            again.advance()
        laws.alike("the same seed is the same training", again.weights, first.weights,
                   "let every draw come from the seed", what="after as many steps, weight")  # fmt: skip
    with _sitting(laws, resolved, seed=2) as later:
        law, right = "state_dict resumes bit for bit", "hold optimiser, generators, environments and counters"
        later.agent.load(weights, stats)
        with laws.asking(law, right):
            later.learner.load_state_dict({**join(held[0], held[1]), "replay": held[2]})
        for _ in range(_MORE):
            later.advance()
        laws.alike(law, later.weights, first.weights, right, what="weight")
        laws.alike(law, float(later.learner.steps), float(first.learner.steps), right, what="steps")
        # Returns are sums in single precision, whose last bit can depend on the weights' memory alignment.
        laws.alike(law, later.logged, first.logged[-_MORE:], right, 1e-4, "what is logged:")
    with _sitting(laws, resolved) as blind:
        everything = [Deficit(name, 0, 10**9) for name in blind.agent.layout.sizes]
        blind.learner.deficits = Deficits(blind.agent.layout, everything)
        for _ in range(advances):
            blind.advance()
        misses = _differ(blind.weights, first.weights) or difference(blind.logged, first.logged)
        laws.hold("an agent misses what its deficits say", misses, "it learns as if it saw all",
                  "call lose_senses() before each step")  # fmt: skip


def _watched(sitting: _Sitting) -> list[tuple[dict[str, Tensor], dict[str, Tensor]]]:
    """Record the weights in the learner's `before_update` and `after_update`."""
    changes: list[tuple[dict[str, Tensor], dict[str, Tensor]]] = []
    before: list[dict[str, Tensor]] = []
    sitting.learner.before_update.append(lambda: before.append(sitting.weights))
    sitting.learner.after_update.append(lambda: changes.append((before.pop(), sitting.weights)))
    return changes


def _hooks(laws: Laws, learner: Learner, start: Any, now: Any, changes: list[Any]) -> None:
    law = "weights change between before_update and after_update"
    right = "call each function of both lists around every change, or leave takes_projections False"
    if not learner.takes_projections:
        return
    laws.hold(law, changes, "the weights changed, and neither was called", right)
    ends = [start, *(after for _, after in changes)]
    begins = [*(before for before, _ in changes), now]
    for end, begin in zip(ends, begins, strict=True):
        laws.alike(law, begin, end, right, what="outside of both, weight")


def _logs(laws: Laws, logged: list[dict[str, float]]) -> None:
    for each in logged:
        for name, value in each.items():
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            laws.hold("what is logged is numbers", is_number and not math.isinf(value), f"{name} is {value!r}",
                      "return floats")  # fmt: skip
            laws.hold("what is logged has a group", name.split("/")[0] in _GROUPS and name.count("/") == 1, f"{name!r}",
                      f"name it {'/..., '.join(_GROUPS)}/...")  # fmt: skip
    names = {name for each in logged for name in each}
    for name in ("rollout/ep_rew_mean", "rollout/ep_len_mean"):
        laws.hold("episodes are logged under their standard names", name in names, f"there is no {name}",
                  "return EpisodeLog.means() beside the rest")  # fmt: skip


class _Rewired(NCAP):
    """NCAP without proprioception after its first update."""

    def after_update(self, sensors: Tensor, activity: Tensor) -> None:
        """Cut proprioception, and check that sensors and activity are of the same steps."""
        assert sensors.shape[:2] == activity.shape[:2], f"sensors are {sensors.shape} and activity {activity.shape}"
        assert activity.shape[-1] == len(self.neurons), f"activity is of {activity.shape[-1]} neurons"
        self.prop.zero_()


class _Restructured(NCAP):
    """NCAP without proprioception after its first rollout or generation."""

    restructures_every = 1

    def restructure(self, sensors: Tensor, activity: Tensor) -> Mapping[str, Tensor]:
        """Cut proprioception, and check that sensors and activity are of the same steps."""
        assert sensors.shape[:2] == activity.shape[:2], f"sensors are {sensors.shape} and activity {activity.shape}"
        assert activity.shape[-1] == len(self.neurons), f"activity is of {activity.shape[-1]} neurons"
        self.prop.zero_()
        return {"prop": torch.ones_like(self.prop, dtype=torch.bool)}


def _restructured(senses: Mapping[str, int], n_motors: int, *, rng: torch.Generator | None = None) -> NCAP:
    return _Restructured(n_motors, observe_time="time" in senses, rng=rng)


def _rewired(senses: Mapping[str, int], n_motors: int, *, rng: torch.Generator | None = None) -> NCAP:
    return _Rewired(n_motors, observe_time="time" in senses, rng=rng)


def _rewiring(laws: Laws, config: RunConfig) -> None:
    """Train a circuit that rewires itself after every update."""
    law = "the circuit's after_update is called after each update"
    right = "call it where rewires is True, without gradients"
    with CIRCUITS.holding("rewired", _rewired):
        resolved = resolve(dataclasses.replace(config, circuit="rewired"))
        with _sitting(laws, resolved) as sitting:
            for _ in range(_MOST_ADVANCES):
                with laws.asking(law, right):
                    sitting.advance()
                if not sitting.weights["prop"].any():
                    return
    laws.hold(law, False, "what it changes is as it was", right)


def _restructuring(laws: Laws, config: RunConfig) -> None:
    """Train a circuit that changes its structure after every rollout, unless the algorithm refuses it."""
    law = "a circuit's restructure is called, or the circuit refused"
    right = "call it every restructures_every rollouts or generations, without gradients, or raise CircuitMismatch"
    with CIRCUITS.holding("restructured", _restructured):
        resolved = resolve(dataclasses.replace(config, circuit="restructured"))
        try:
            with _sitting(laws, resolved) as sitting:
                for _ in range(_MOST_ADVANCES):
                    with laws.asking(law, right):
                        sitting.advance()
                    if not sitting.weights["prop"].any():
                        return
        except ContractBroken as broken:
            if not isinstance(broken.__cause__, CircuitMismatch):
                raise
            return
    laws.hold(law, False, "what it changes is as it was", right)


def _differ(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return any(not torch.equal(one[name], other[name]) for name in one)


@contextlib.contextmanager
def _global_draws_kept() -> Iterator[None]:
    """Restore the state of torch's and NumPy's global generators."""
    held = np.random.get_state(legacy=False)  # noqa: NPY002
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        np.random.set_state(held)  # noqa: NPY002
