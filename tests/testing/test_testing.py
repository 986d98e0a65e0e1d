"""The checks for authors of plug-ins: what is registered here passes them, and each planted fault is named."""

import dataclasses
import functools

import numpy as np
import pytest
import torch
from circuit_cases import CASES
from climbing import Climb, HillClimbing, Options
from matplotlib.figure import Figure
from nervecord.agents.algorithms import ALGORITHMS, PopulationLearner, carry
from nervecord.circuits import CIRCUITS, NCAP, Circuit, LaneStep, Neuron, Synapse, Wiring, named_groups, step_length
from nervecord.envs import ARENAS, SENSES, TASKS, Arena, MujocoBatch, Sense, SenseKind, Swimmer, Task, body_names
from nervecord.envs.choice import PHYSICS
from nervecord.envs.physics.lanes import reason_not_compiled
from nervecord.envs.tasks.task import Pay
from nervecord.errors import ContractBroken, InvalidRecording, NervecordError, UnknownName
from nervecord.options import Number, option
from nervecord.testing import (
    check_algorithm,
    check_arena,
    check_body,
    check_circuit,
    check_physics,
    check_probe,
    check_sense,
    check_task,
)
from nervecord.training.learning import train
from nervecord.training.probes import PROBES, Probe, ProbeResult
from nervecord.training.runs import RunConfig

WITH_COMMANDS = {"joint_pos": 5, "right": 1, "left": 1, "speed": 1}
SMALL_OPTIONS = {
    "es": {"n_envs": 4},
    "cmaes": {"n_envs": 4},
    "ppo": {"n_envs": 4, "n_steps": 16, "batch_size": 32, "sequence_length": 16, "n_epochs": 2},
    **{
        name: {"n_envs": 4, "learning_starts": 16, "batch_size": 8, "buffer_size": 200}
        for name in ("ddpg", "td3", "sac")
    },
}


# What is registered


@pytest.mark.parametrize(("name", "options"), CASES, ids=lambda case: str(case))
def test_circuits_keep_their_laws(name, options):
    # Which is silent until both sides are excited, and then by turns alone.
    no_gradient = {"contra"} if name == "ncap" else ()
    if name == "klinotaxis":  # at full speed, and with a lag that moves the steps of a clock
        no_gradient = {"lag", "ncap.speed", "ncap.contra"}
    if name == "relay_klinotaxis":  # its lag moves the switch of a side
        no_gradient = {"lag"}
    if name == "navigator" and not options:  # at full speed
        no_gradient = {"ncap.speed"}
    if name == "recogniser" and options.get("window") != 0.06:  # before its first decision
        no_gradient = {"readout.weight", "readout.bias"}
    if name == "compose":
        no_gradient = {"parts.ncap.contra"}
    senses = WITH_COMMANDS if "controls" in options else None
    check_circuit(name, senses, options=options, no_gradient=no_gradient)


WITH_LANE_STEPS = [
    ("ncap", {"sharing": False, "sign_constraints": False, "init": "uniform"}),
    ("ncap", {"proprioception": False}),
    ("ncap", {"period": 7}),
    ("ncap_plus", {"without": ("own", "drift"), "init": "paper"}),
    ("mlp", {"hidden": ()}),
    ("mlp", {"hidden": (6, 5)}),
]


@pytest.mark.parametrize(("name", "options"), WITH_LANE_STEPS, ids=lambda case: str(case))
def test_steps_over_vectors_are_those_of_torch_for_every_option(name, options):
    check_circuit(name, options=options, no_gradient={"contra"} if name == "ncap" else ())


@pytest.mark.parametrize("name", [*body_names(), "swimmer100", "swimmer9-eel"])
def test_bodies_keep_their_laws(name):
    check_body(name)


@pytest.mark.parametrize("name", ARENAS)
@pytest.mark.parametrize("body", ["swimmer6-thick", "gymnasium-swimmer"])
def test_arenas_keep_their_laws(name, body):
    check_arena(name, body)


@pytest.mark.parametrize("name", SENSES)
def test_senses_keep_their_laws(name):
    task = {"cue": "cueturn", "go": "cueturn", "pattern": "recallturn", "odour": "chemotaxis", "touch": "escape"}.get(
        name, "track" if name.startswith("joint_target") else "navigate"
    )
    warm = {"name": "landscape", "temperature": {"base": 293.0, "slope_x": 2.0}}
    check_sense(name, task, arena=warm if name == "temperature" else None)


@pytest.mark.parametrize("name", TASKS)
def test_tasks_keep_their_laws(name):
    check_task(name, **({"cue_steps": 2, "delay_steps": 2} if name in ("cueturn", "recallturn") else {}))


@pytest.mark.parametrize("name", PHYSICS)
@pytest.mark.parametrize("body", ["swimmer4", "swimmer6-asymmetric"])
def test_physics_keeps_its_laws(name, body):
    if name == "lanes" and (reason := reason_not_compiled()):
        pytest.skip(reason)
    check_physics(name, body)


def test_physics_keeps_its_laws_for_axes_of_either_sign():
    check_physics("mujoco", "gymnasium-swimmer")


@pytest.mark.parametrize("name", ALGORITHMS)
def test_algorithms_keep_their_laws(name):
    check_algorithm(name, SMALL_OPTIONS[name])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    config = RunConfig(body="swimmer4", steps=960, episode_steps=130, algorithm_options=SMALL_OPTIONS["es"])
    return train(config, tmp_path_factory.mktemp("runs") / "small", progress=False)


@pytest.fixture(scope="module")
def run_with_memory(tmp_path_factory):
    config = RunConfig("ctrnn", "ppo", "swimmer4", steps=800, episode_steps=120, circuit_options={"units": 4},
                       algorithm_options=SMALL_OPTIONS["ppo"])  # fmt: skip
    return train(config, tmp_path_factory.mktemp("runs") / "small", progress=False)


@pytest.fixture(scope="module")
def run_that_fires(tmp_path_factory):
    config = RunConfig("spiking", body="swimmer4", steps=960, episode_steps=130, circuit_options={"units": 4},
                       algorithm_options=SMALL_OPTIONS["es"])  # fmt: skip
    return train(config, tmp_path_factory.mktemp("runs") / "small", progress=False)


NEED_MEMORY = ("fixed_points", "noise_orbits")
# Two seconds and more each, for what is found twice; each has tests of its own.
LONG = ("fixed_points", "facets", "biclusters", "functional_connectome", "timescales")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name in LONG else [])
        for name, probe in PROBES.items()
        if not probe.is_study
    ],
)
def test_probes_keep_their_laws(name, request):
    kind = "run_with_memory" if name in NEED_MEMORY else "run_that_fires" if name == "spikes" else "run"
    check_probe(name, request.getfixturevalue(kind))


# Planted faults


class Sound(Circuit):
    """Units that leak towards what they hear, and drive the motors."""

    is_bounded, memory = True, "recurrent"

    def __init__(self, senses, n_motors, *, dt=None, dt_ref=None, rng=None):
        super().__init__()
        self.senses, self.n_motors = (("joint_pos", senses["joint_pos"]),), n_motors
        self.share = 1 - 0.5 ** step_length(dt, dt_ref)
        self.neurons, self.groups = named_groups(
            {"units": [Neuron(f"unit_{i}", "inter") for i in range(3)],
             "motors": [Neuron(f"motor_{i}", "motor") for i in range(n_motors)]}
        )  # fmt: skip
        self.hear = torch.nn.Parameter(torch.randn(senses["joint_pos"], 3, generator=rng))
        self.drive = torch.nn.Parameter(0.3 * torch.randn(3, n_motors, generator=rng))

    def initial_state(self, batch_size):
        return {"h": torch.zeros(batch_size, 3, device=self.hear.device)}

    def forward_with_activity(self, sensors, state, pins=None):
        h = state["h"] + self.share * (torch.tanh(sensors @ self.hear) - state["h"])
        h = self.pinned(h, "units", pins)
        motor = self.pinned(torch.tanh(h @ self.drive), "motors", pins)
        return motor, {"h": h}, torch.cat([h, motor], 1)

    def wiring(self, state=None):  # noqa: ARG002
        return Wiring(self.neurons, (Synapse("unit_0", "motor_0", self.drive[0, 0].item()),))


class Follows(Sound):
    """The same, with a control step over vectors that knows nothing of its memory."""

    def lane_step(self):
        return LaneStep(only_motors, 30, 3, 0, (5.0,))


def only_motors(numbers, weights, sensors, memory, motors, room):  # noqa: ARG001
    for i in range(int(numbers[0])):
        motors[i] = weights[0] * sensors[0]


def too_far(numbers, weights, sensors, memory, motors, room):  # noqa: ARG001
    for i in range(int(numbers[0]) + 1):
        motors[i] = weights[0] * sensors[0]


class WritesTooFar(Sound):
    def lane_step(self):
        return LaneStep(too_far, 30, 3, 0, (5.0,))


class OtherSize(Sound):
    def lane_step(self):
        return LaneStep(only_motors, 30, 2, 0, (5.0,))


class Remembers(Sound):
    calls = 0

    def forward_with_activity(self, sensors, state, pins=None):
        self.calls += 1
        return super().forward_with_activity(sensors + 0.01 * self.calls, state, pins)


class WritesInPlace(Sound):
    def forward_with_activity(self, sensors, state, pins=None):
        motor, after, activity = super().forward_with_activity(sensors, state, pins)
        return motor, {"h": state["h"].copy_(after["h"])}, activity


class HearsOthers(Sound):
    def forward_with_activity(self, sensors, state, pins=None):
        return super().forward_with_activity(sensors - sensors.mean(0), state, pins)


class NeverResets(Sound):
    def unroll(self, sensors, state, episode_start):
        return super().unroll(sensors, state, torch.zeros_like(episode_start))


class ForgetsToReset(Sound):
    def reset_state(self, state, episode_start):
        return {"h": state["h"] * ~episode_start[:, None] + 0.0}


class Unbounded(Sound):
    def forward_with_activity(self, sensors, state, pins=None):
        motor, after, activity = super().forward_with_activity(sensors, state, pins)
        return 9 * motor, after, activity


class OtherForward(Sound):
    def forward(self, sensors, state, pins=None):
        motor, state = super().forward(sensors, state, pins)
        return motor * 0.999, state


class Detached(Sound):
    def unroll(self, sensors, state, episode_start):
        self.hear.requires_grad_(False)
        try:
            return super().unroll(sensors, state, episode_start)
        finally:
            self.hear.requires_grad_(True)


class DeafToPins(Sound):
    def forward_with_activity(self, sensors, state, pins=None):  # noqa: ARG002
        return super().forward_with_activity(sensors, state)


class DrawsByItself(Sound):
    def __init__(self, senses, n_motors, *, rng=None):  # noqa: ARG002
        super().__init__(senses, n_motors)


class TwoOfAName(Sound):
    def __init__(self, senses, n_motors, *, rng=None):
        super().__init__(senses, n_motors, rng=rng)
        self.neurons = (self.neurons[0], *self.neurons[:1], *self.neurons[2:])


class OpenGroup(Sound):
    def __init__(self, senses, n_motors, *, rng=None):
        super().__init__(senses, n_motors, rng=rng)
        self.groups = {**self.groups, "tail": slice(6, 12)}


class SaysNoMemory(Sound):
    memory = "none"


class SaysClock(Sound):
    memory = "clock"


class OtherAtItsOwnStep(Sound):
    def __init__(self, senses, n_motors, *, dt=None, dt_ref=None, rng=None):
        super().__init__(senses, n_motors, dt=dt, dt_ref=dt_ref, rng=rng)
        self.share = 0.5 if dt is None else dt * 10


class HidesWeights(Sound):
    def __init__(self, senses, n_motors, *, rng=None):
        super().__init__(senses, n_motors, rng=rng)
        self.offset = torch.randn(1, generator=rng)

    def forward_with_activity(self, sensors, state, pins=None):
        return super().forward_with_activity(sensors + self.offset, state, pins)


class Branches(Sound):
    def forward_with_activity(self, sensors, state, pins=None):
        if self.hear.sum() > 100:
            return super().forward_with_activity(-sensors, state, pins)
        return super().forward_with_activity(sensors, state, pins)


class OnTheDefaultDevice(Sound):
    def initial_state(self, batch_size):
        return {"h": torch.zeros(batch_size, 3)}


class Refits(Sound):
    def after_update(self, sensors, activity):  # noqa: ARG002
        self.hear = torch.nn.Parameter(self.hear.clone())


class NamesNoWeights(Sound):
    restructures_every = 1

    def restructure(self, sensors, activity):  # noqa: ARG002
        return {"synapses": torch.ones(3, dtype=torch.bool)}


class ActsWhereNothingIs(Sound):
    restructures_every = 1

    def active(self):
        return {"hear": torch.zeros_like(self.hear, dtype=torch.bool)}


class NotFiniteWiring(Sound):
    def wiring(self, state=None):  # noqa: ARG002
        return Wiring(self.neurons, (Synapse("unit_0", "motor_0", float("nan")),))


class KeepsItsState(Sound):
    def forward_with_activity(self, sensors, state, pins=None):
        motor, after, activity = super().forward_with_activity(sensors, state, pins)
        self.h = after["h"]
        return motor, after, activity


class ForgetsTheState(Sound):
    def forward_with_activity(self, sensors, state, pins=None):
        motor, _, activity = super().forward_with_activity(sensors, state, pins)
        return motor, state, activity


class LosesTheState(Sound):
    def forward_with_activity(self, sensors, state, pins=None):
        motor, _, activity = super().forward_with_activity(sensors, state, pins)
        return motor, {}, activity


class ReturnsTwo(Sound):
    def forward_with_activity(self, sensors, state, pins=None):
        return super().forward_with_activity(sensors, state, pins)[:2]


class MovesTooFew(Sound):
    def forward_with_activity(self, sensors, state, pins=None):
        motor, after, activity = super().forward_with_activity(sensors, state, pins)
        return motor[:, :-1], after, activity


class ShowsTooFew(Sound):
    def forward_with_activity(self, sensors, state, pins=None):
        motor, after, activity = super().forward_with_activity(sensors, state, pins)
        return motor, after, activity[:, :-1]


class NotFinite(Sound):
    def forward_with_activity(self, sensors, state, pins=None):
        motor, after, activity = super().forward_with_activity(sensors, state, pins)
        return motor, after, torch.where(torch.arange(activity.shape[1]) > 0, torch.nan, activity)


class HearsTooFew(Sound):
    def forward_with_activity(self, sensors, state, pins=None):
        return super().forward_with_activity(sensors[:, :2], state, pins)


class WiresStrangers(Sound):
    def wiring(self, state=None):  # noqa: ARG002
        return Wiring(self.neurons, (Synapse("unit_0", "muscle_0", 1.0),))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (KeepsItsState, r"a step leaves the module as it is\": it sets self\.h; let the state carry"),
        (ForgetsTheState, "a step returns the next state.*it returns the state that it was given"),
        (LosesTheState, "a state of the kind that it was given.*it begins with h and returns none"),
        (ReturnsTwo, "a step returns motors, state and activity.*it returns 2 values; return motor, state, activity"),
        (MovesTooFew, r"the shape of motors is \(5, 4\) where \(5, 5\) is expected"),
        (ShowsTooFew, r"the shape of activity is \(5, 7\) where \(5, 8\) is expected"),
        (NotFinite, "a step returns finite numbers.*neuron unit_1 is not finite"),
        (HearsTooFew, r"a step takes sensors and state\": RuntimeError: .* \(test_testing\.py:\d+\)"),
        (WiresStrangers, r"its wiring can be drawn\": synapse unit_0 -> muscle_0: no neuron 'muscle_0' \(test_testing"),
        (Remembers, "a step depends on its arguments alone.*keep nothing in the module"),
        (WritesInPlace, "a step leaves its arguments as they are.*write no tensor in place"),
        (HearsOthers, "do not hear each other.*compute along the batch"),
        (NeverResets, r"unroll equals stepping.*differs by .* at \[\d+, \d+, \d+\].*episode_start"),
        (ForgetsToReset, "a reset state forgets NaN.*torch.where"),
        (Unbounded, r"motors stay in \[-1, 1\]\": a motor is at \d.*leave is_bounded False"),
        (OtherForward, "forward equals forward_with_activity.*a step differs by"),
        (Detached, "a gradient reaches every parameter.*none reaches hear"),
        (DeafToPins, r"a clamped neuron keeps its value\": unit_0.*self\.pinned"),
        (DrawsByItself, "the same rng draws the same weights.*draw initial weights from rng"),
        (TwoOfAName, r"names of neurons are unique\": \['unit_0'\] stand more than once"),
        (OpenGroup, r"groups are slices of the neurons\": 'tail' is slice\(6, 12, None\) of 8 neurons"),
        (SaysNoMemory, "what it says of itself is what is built.*memory='none'.*memory='clock'"),
        (SaysClock, r"no weight moves a clock.*say memory = \"recurrent\""),
        (OtherAtItsOwnStep, "at dt_ref, dt changes nothing.*step_length"),
        (HidesWeights, "state_dict holds all.*parameters and buffers"),
        (Branches, "torch.vmap maps it over weights.*data-dependent.*one_by_one=True"),
        (OnTheDefaultDevice, "makes its tensors where its weights are"),
        (Refits, "after_update changes weights in place.*torch.no_grad"),
        (NamesNoWeights, "restructure changes weights in place.*synapses is no mask of a parameter"),
        (ActsWhereNothingIs, r"weights that do not act are 0\": \['hear'\] are not"),
        (NotFiniteWiring, "weights of the wiring are finite"),
        (OtherSize, "a lane_step has the circuit's sizes.*takes 2 numbers of state and the circuit has 3"),
        (WritesTooFar, "a lane_step writes its own rows alone"),
        (Follows, r"a lane_step is the step in torch\": the motor command at .* differs by"),
        (str, "an entry point of nervecord.circuits names it.*no signature"),
        (lambda _: None, "TypeError: .*unexpected keyword argument 'rng'"),
    ],
)
def test_a_fault_of_a_circuit_is_named(kind, message):
    is_broken(message, check_circuit, kind)


def test_a_circuit_without_a_fault_passes_and_is_forgotten():
    assert check_circuit(Sound) is None
    assert "Sound" not in CIRCUITS
    check_circuit(Branches, one_by_one=True)
    is_broken("it runs one by one as said", functools.partial(check_circuit, one_by_one=True), Sound)
    check_circuit(Detached, no_gradient={"hear"})
    is_broken("no_gradient names .'here'.; its parameters are drive, hear",
              functools.partial(check_circuit, no_gradient={"here"}), Sound)  # fmt: skip


@dataclasses.dataclass(frozen=True, eq=False)
class Faulty(Swimmer):
    """A swimmer that says of every body that it is the same, so that only the planted fault is found."""

    name: str = "faulty"

    def __eq__(self, other):
        return isinstance(other, Swimmer)

    __hash__ = object.__hash__


class Backwards(Faulty):
    @property
    def parts(self):
        return dataclasses.replace(super().parts, action_scale=(-1.0,) * self.n_joints)


class Misnamed(Faulty):
    @property
    def parts(self):
        parts = super().parts
        return dataclasses.replace(parts, motors=(*parts.motors[:-1], "tail_motor"))


class Shuffled(Faulty):
    @property
    def parts(self):
        return dataclasses.replace(super().parts, motors=super().parts.motors[::-1])


class WithoutPrefix(Faulty):
    def add_to(self, spec, prefix=""):  # noqa: ARG002
        super().add_to(spec)


class HeavyCostume(Faulty):
    def compile(self, visual=False, arena=None):
        return dataclasses.replace(Swimmer(), link_mass=0.02 if visual else 0.01).compile(visual, arena)


@dataclasses.dataclass(frozen=True)
class OfAnotherKind(Swimmer):
    colour: str = "red"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (Backwards(), r"an action of \+1 turns its joint up\": joint 0, 1, 3 turns down"),
        (Misnamed(), r"parts are named as the world names them\": there is no actuator tail_motor"),
        (Shuffled(), "motors stand in the order of joints.*motor_4 acts on joint_4 where joint_0 stands"),
        (WithoutPrefix(), "every name is under the prefix"),
        (HeavyCostume(), "what is added to be seen changes no physics.*body_mass differs"),
        (OfAnotherKind(), "a run can hold a body as JSON.*colour"),
        (Faulty(control_dt=0.0311), r"a control step is whole physics steps.*0\.0311 s are 15\.55 steps of 0\.002 s"),
        (Faulty(gear=0.0), r"motors move the body\": no joint turns; give its motors a gear"),
        (lambda: "swimmer6", "a body is a Body.*it is a str"),
        (lambda: Swimmer(n_links=2), "names a function that returns a body.*: swimmer6: n_links is 2"),
    ],
)
def test_a_fault_of_a_body_is_named(body, message):
    is_broken(message, check_body, body)


@dataclasses.dataclass(frozen=True)
class Vacuum(Arena):
    def add_to(self, spec, body, visual=False):
        pass


@dataclasses.dataclass(frozen=True)
class Ballast(Arena):
    def add_to(self, spec, body, visual=False):
        super().add_to(spec, body, visual)
        spec.geom("inertial_0").mass *= 2


@dataclasses.dataclass(frozen=True)
class SolidFloor(Arena):
    def add_to(self, spec, body, visual=False):
        super().add_to(spec, body, visual)
        if visual:
            spec.worldbody.add_geom(size=[0.1, 0, 0])


@dataclasses.dataclass(frozen=True)
class Somewhere(Arena):
    places: tuple[complex, ...] = (1j,)


@pytest.mark.parametrize(
    ("arena", "message"),
    [
        (Vacuum, "the medium fills the arena.*call super"),
        (Ballast, "an arena leaves the body as it is.*mass or inertia of head"),
        (SolidFloor, r"what is added to be seen changes no physics\": 15 geoms touch others and 14 do without it"),
        (Somewhere, "a run can hold an arena as JSON.*complex"),
        (dict, "an entry point of nervecord.arenas names it.*not a subclass of Arena"),
    ],
)
def test_a_fault_of_an_arena_is_named(arena, message):
    is_broken(message, check_arena, arena)


class Bend(SenseKind):
    """The sum of all angles."""

    def describe(self, setting):  # noqa: ARG002
        return Sense("bend", 1, -100.0, 100.0, "rad")

    def read(self, envs):
        return envs.physics.read("joint_pos").sum(1, keepdims=True)


class Unsteady(Bend):
    is_constant = True


class TooMany(Bend):
    def read(self, envs):
        return envs.physics.read("joint_pos")


class Narrow(Bend):
    def describe(self, setting):
        return dataclasses.replace(super().describe(setting), low=0.0, high=0.01)


class Average(Bend):
    def read(self, envs):
        return super().read(envs) - super().read(envs).mean()


class Trembling(Bend):
    def read(self, envs):
        return super().read(envs) + np.random.default_rng().normal(size=(envs.n_envs, 1))


class OfNoScale(Bend):
    def describe(self, setting):
        return dataclasses.replace(super().describe(setting), scale=(0.0,))


class Quantity(Bend):
    quantity = "heading"


@pytest.mark.parametrize(
    ("sense", "message"),
    [
        (TooMany, r"it reads what it describes.*of shape \(3, 3\); return numbers of shape \(3, 1\)"),
        (Narrow, "values are within its bounds.*rad beside 0 to 0.01.*widen low and high"),
        (Average, "environments do not hear each other"),
        (Trembling, "reading changes nothing.*draw nothing in read"),
        (OfNoScale, "scale is what circuits take for 1"),
        (Unsteady, "a constant sense does not change within an episode.*leave is_constant out"),
        (Quantity(), "it is the quantity that it names"),
        (dict, "describes itself in a setting.*AttributeError"),
    ],
)
def test_a_fault_of_a_sense_is_named(sense, message):
    check_sense(Bend)
    is_broken(message, check_sense, sense)
    assert "bend" not in SENSES


class Wait(Task):
    """Do what you like."""

    def reward(self):
        return -np.abs(self.physics.read("com_pos")[:, 0])


class OneForAll(Wait):
    def reward(self):
        return super().reward().mean()


class Shared(Wait):
    def reward(self):
        return super().reward() - super().reward().mean()


class Ends(Wait):
    def terminated(self):
        return self.reward()


class Gambles(Wait):
    def reset(self, ids, rngs):
        super().reset(ids, [np.random.default_rng() for _ in rngs])


class Tires(Wait):
    """Remembers how much was done, and does not say so."""

    def __init__(self, envs):
        super().__init__(envs)
        self.spent = np.zeros(envs.n_envs)

    def before_step(self, actions):
        self.spent += np.abs(actions).sum(1)
        return super().before_step(actions)

    def reset(self, ids, rngs):
        super().reset(ids, rngs)
        self.spent[ids] = 0

    def reward(self):
        return -self.spent


class PaysOther(Wait):
    def pay(self):
        return Pay("com_pos", 1, 1.0, 0.0, 1.0)


class Overwrites(Wait):
    def before_step(self, actions):
        actions *= 0.5
        return super().before_step(actions)


class Unmeasured(Wait):
    def metrics(self):
        return {"far": float(self.com_start.mean())}


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (OneForAll, "reward is one value for each environment"),
        (Shared, "environments do not hear each other.*compute row by row"),
        (Ends, "terminated is one value for each environment.*return an array of bools"),
        (Gambles, "a seed repeats an episode.*draw from rngs alone"),
        (Tires, "set_state goes on bit for bit.*return everything that the future depends on"),
        (PaysOther, "pay is what reward returns"),
        (Overwrites, "a step leaves its arguments as they are.*copy actions in before_step"),
        (Unmeasured, "metrics are one value for each environment.*far is of shape"),
        (type("Blind", (Wait,), {"senses": ("joint_pos", "sonar")}), "senses that there are.*there is no sonar"),
        (int, "an entry point of nervecord.tasks names it.*not a subclass of Task"),
    ],
)
def test_a_fault_of_a_task_is_named(task, message):
    check_task(Wait)
    is_broken(message, check_task, task)


class Degrees(MujocoBatch):
    def read(self, name):
        return np.degrees(super().read(name)) if name == "joint_vel" else super().read(name)


class ResetsAll(MujocoBatch):
    def reset(self, ids, heading, joint_pos):  # noqa: ARG002
        super().reset(np.arange(self.n_envs), np.resize(heading, self.n_envs),
                      np.resize(joint_pos, (self.n_envs, self.body.n_joints)))  # fmt: skip


class StepsAll(MujocoBatch):
    def step(self, ids=None):  # noqa: ARG002
        super().step(None)


class Silent(MujocoBatch):
    def step(self, ids=None):
        super().step(ids)
        self.diverged[:] = False


class Amnesiac(MujocoBatch):
    def get_state(self):
        return {name: value for name, value in super().get_state().items() if name != "parameters"}


class SetsAll(MujocoBatch):
    def set(self, ids, values):  # noqa: ARG002
        super().set(np.arange(self.n_envs), {name: np.resize(value, self.n_envs) for name, value in values.items()})


class StaleReads(MujocoBatch):
    def set_state(self, state):
        shown = {**self._current, "joint_pos": self.read("joint_pos").copy()}
        super().set_state(state)
        self._current = shown


class HalfSpeed(MujocoBatch):
    def __init__(self, *given):
        super().__init__(*given)
        self.n_substeps -= 1


@pytest.mark.parametrize(
    ("physics", "message"),
    [
        (Degrees, "a step is MuJoCo's.*joint_vel differs.*units are in QUANTITIES"),
        (HalfSpeed, "a step is MuJoCo's.*joint_pos differs"),
        (ResetsAll, "a reset leaves the others alone"),
        (StepsAll, "a step of some leaves the others alone"),
        (Silent, "divergence is said of the environment that diverged"),
        (Amnesiac, "set_state goes on bit for bit"),
        (SetsAll, "a parameter is one environment's own.*link_mass"),
        (StaleReads, "what is read is current after set_state.*joint_pos differs"),
    ],
)
def test_a_fault_of_a_physics_is_named(physics, message):
    is_broken(message, check_physics, physics)


@dataclasses.dataclass(frozen=True)
class NoBounds(Options):
    speed: float = 1.0


@dataclasses.dataclass(frozen=True)
class OutOfBounds(Options):
    spread: float = option(-1.0, Number(0, above=True))


class Hides(Climb):
    """Takes smaller steps as time goes on, and keeps the time to itself."""

    time = 0

    def ask(self, state, rng):
        self.time += 1
        state, weights, seeds = super().ask(state, rng)
        return state, state["mean"] + (weights - state["mean"]) / self.time, seeds


class DrawsAnywhere(Climb):
    def ask(self, state, rng):  # noqa: ARG002
        return super().ask(state, np.random.default_rng(torch.randint(2**31, (1,)).item()))


class Stays(Climb):
    def tell(self, state, returns):  # noqa: ARG002
        return {"mean": state["mean"]}, {}


class NamesBadly(PopulationLearner):
    def learn_from(self, returns):
        return {**super().learn_from(returns), "best": float(returns.max())}


class Unwatched(PopulationLearner):
    takes_projections = True

    def learn_from(self, returns):
        hooks, self.after_update, self.before_update = (self.after_update, self.before_update), [], []
        try:
            return super().learn_from(returns)
        finally:
            self.after_update, self.before_update = hooks


class Unchanging(PopulationLearner):
    rewires = False


class Rigid(PopulationLearner):
    def _restructure(self):
        pass


class Carries(Climb):
    def carried(self, state, kept):
        return {"mean": carry(state["mean"], kept)}


class Seeing(PopulationLearner):
    @property
    def deficits(self):
        return None

    @deficits.setter
    def deficits(self, _):
        pass


class Miscounts(PopulationLearner):
    def note(self, outcome):
        super().note(outcome)
        self.steps += 1000


def learning_by(learner):
    """Return hill climbing by another learner."""

    class Other(HillClimbing):
        def start(self, agent, envs, options, seed, evaluate=None):
            found = super().start(agent, envs, options, seed, evaluate)
            found.__class__ = learner
            found.takes_projections = learner is Unwatched
            return found

    return Other


@pytest.mark.parametrize(
    ("algorithm", "message"),
    [
        (type("A", (HillClimbing,), {"Options": NoBounds}), "every option has a default and bounds.*none for speed"),
        (type("B", (HillClimbing,), {"Options": OutOfBounds}), r"defaults are within their bounds\": spread is -1.0"),
        (type("C", (HillClimbing,), {"Method": Hides}), "state_dict resumes bit for bit"),
        (type("D", (HillClimbing,), {"Method": DrawsAnywhere}), "the same seed is the same training.*from the seed"),
        (type("E", (HillClimbing,), {"Method": Stays}), "weights move.*the same after 40 advances"),
        (learning_by(NamesBadly), "what is logged has a group\": 'best'"),
        (learning_by(Unwatched), "between before_update and after_update.*neither was called"),
        (learning_by(Unchanging), "the circuit's after_update is called after each update"),
        (
            type("F", (learning_by(Rigid),), {"Method": Carries}),
            "a circuit's restructure is called, or the circuit refused.*what it changes is as it was",
        ),
        (learning_by(Seeing), "an agent misses what its deficits say.*lose_senses"),
        (learning_by(Miscounts), "steps counts environment steps.*48 steps at once counts 1048"),
        (NCAP, "an entry point of nervecord.algorithms names it"),
    ],
)
def test_a_fault_of_an_algorithm_is_named(algorithm, message):
    is_broken(message, check_algorithm, algorithm)


def test_an_algorithm_without_a_fault_passes():
    check_algorithm(HillClimbing())
    check_algorithm(type("Following", (HillClimbing,), {"Method": Carries}))


def found(subject, **other):
    rate = float(abs(np.asarray(subject.recording.activity)).mean())
    fields = {"numbers": {"rate": rate}, "units": {"rate": ""}, "arrays": {"rates": np.ones(2)}, "figure": Figure()}
    return ProbeResult(**{**fields, **other})


def paints_over(subject):
    subject.recording.joint_pos[:] = 0
    return found(subject)


def needs_many(subject):
    return found(subject, numbers={"rate": float(subject.recording.joint_pos[0, 100, 0])})


def explains_at_length(subject):
    if subject.source is None:
        raise InvalidRecording("there is no run;\ngive one")
    return found(subject)


@pytest.mark.parametrize(
    ("probe", "message"),
    [
        (lambda s: found(s, units={}), "every number has a unit.*differ in rate"),
        (lambda s: found(s, numbers={"rate": np.random.default_rng().normal()}), "what it finds is the same again"),
        (paints_over, "a recording is left as it is.*joint_pos differs"),
        (needs_many, "a recording of three steps it finds something or says why not.*IndexError"),
        (explains_at_length, "a recording without a run .*says so in several lines"),
        (lambda s: found(s, arrays={"names": np.array(["a", None])}), "arrays are NumPy's.*ndarray of object"),
        (lambda s: found(s, figure=None), "it draws one figure.*figure is a NoneType"),
        (lambda s: found(s, words=("one\ntwo",)), "words are sentences"),
        (lambda s: s.recording.nothing, "it finds something in a run.*AttributeError"),
    ],
)
def test_a_fault_of_a_probe_is_named(probe, message, run):
    is_broken(message, functools.partial(check_probe, run=run), Probe("a rate", probe))


def test_a_probe_without_a_fault_passes_on_a_run_that_the_check_makes(monkeypatch):
    made = []
    monkeypatch.setattr(
        "nervecord.testing.probes.train", lambda *given, **more: made.append(1) or train(*given, **more)
    )
    check_probe(Probe("a rate", found))
    assert made


def is_broken(message, check, thing):
    with pytest.raises(ContractBroken, match=message) as caught:
        check(thing)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, NervecordError)


@pytest.mark.parametrize(
    "check",
    [check_algorithm, check_arena, check_body, check_circuit, check_physics, check_probe, check_sense, check_task],
)
def test_a_name_that_is_not_registered_is_unknown(check):
    with pytest.raises(UnknownName, match="'nothing'"):
        check("nothing")
