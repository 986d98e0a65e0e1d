"""Thirty faults that the tests must find: each is planted in a copy of the tree, and tests must then fail.

python tools/planted_faults.py               # all of them, each beside the tests that should find it
python tools/planted_faults.py --list        # what they are
python tools/planted_faults.py NAME ...      # these alone
python tools/planted_faults.py --all-tests   # beside every test, which takes hours

Tests are first run in the copy as it is: where one fails there, its fault is not called found.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# What the tests import of others, once for all faults: each fault's tests run in a fork of this process.
_SHARED = ("matplotlib.pyplot", "mujoco", "numba", "pandas", "scipy.stats", "stable_baselines3", "torch", "xarray")


@dataclasses.dataclass(frozen=True)
class Fault:
    """A text of a file that is replaced by another.

    Attributes:
        name: what it is called.
        breaks: what is then wrong.
        file: which file, below the root.
        text, by: what is replaced, found once, and what it is replaced by.
        tests: those that should find it, `FILE` or `FILE::TEST`; files are named without their folders.
    """

    name: str
    breaks: str
    file: str
    text: str
    by: str
    tests: tuple[str, ...]


FAULTS = (
    # bodies and their physics
    Fault(
        "heavy-without-inertia", "a heavier link keeps its inertia", "envs/physics/parameters.py",
        'found["body_inertia"] = self.model.body_inertia * factor[..., None]',
        'found["body_inertia"] = self.model.body_inertia * np.ones_like(factor[..., None])',
        ("test_physics.py::test_a_body_with_parameters_of_its_own_is_the_body_compiled_with_them",),
    ),
    Fault(
        "lesion-ignored", "a lesioned joint keeps its motor", "envs/bodies/swimmers.py",
        'motor.gear[0] = 0.0 if link in self.lesioned else self.gear',
        'motor.gear[0] = self.gear',
        ("test_bodies.py::test_a_lesioned_joint_gets_no_torque",),
    ),
    Fault(
        "torque-of-command", "recordings hold the command and not the torque", "envs/physics/mujoco_batch.py",
        'bind("actuator_force")[:, self._motor_ids] * self.gear * self._signs',
        'bind("ctrl")[:, self._motor_ids] * self.gear * self._signs',
        ("test_bodies.py::test_the_torque_that_is_read_is_what_the_motors_applied",),
    ),
    Fault(
        "stale-readings", "what is read after a reset is of before", "envs/physics/mujoco_batch.py",
        '        self._batch.forward(ids)\n        self._current.clear()\n',
        '        self._batch.forward(ids)\n',
        ("test_testing.py::test_physics_keeps_its_laws[swimmer4-mujoco]",),
    ),
    # environments and tasks
    Fault(
        "late-cut", "episodes last a step too long", "envs/env_batch.py",
        'truncated = (self.elapsed >= self.episode_steps) & ~terminated',
        'truncated = (self.elapsed > self.episode_steps) & ~terminated',
        ("test_ends.py::test_the_time_limit_alone_truncates",),
    ),
    Fault(
        "backwards-swim", "the reward of swimming is for swimming backwards", "envs/tasks/swim.py",
        'np.clip(-self.physics.read("link_vel")',
        'np.clip(self.physics.read("link_vel")',
        ("test_envs.py::test_swim_rewards_the_heads_forward_speed_up_to_one",),
    ),
    Fault(
        "cut-is-an-end", "dm_env learns that a cut by time is worth nothing", "envs/dm_env.py",
        'return dm_env.truncation(reward, observation)',
        'return dm_env.termination(reward, observation)',
        ("test_ends.py::test_dm_env_gives_a_discount_of_0_at_an_end_and_of_1_at_a_cut",),
    ),
    Fault(
        "parity-of-all", "parity is of all bits and not of the last N", "envs/tasks/bits.py",
        'return bits[-n:].sum(0) % 2',
        'return bits.sum(0) % 2',
        ("test_memory.py::test_answers_are_those_of_the_definitions",),
    ),
    # circuits
    Fault(
        "no-sign-constraint", "inhibitory synapses may excite", "circuits/ncap/ncap.py",
        'weight.clamp(min=0.0) if _SIGNS[kind] > 0 else weight.clamp(max=0.0)',
        'weight.clamp(min=0.0) if _SIGNS[kind] > 0 else weight',
        ("test_ncap.py::test_a_weight_of_the_wrong_sign_does_nothing",),
    ),
    Fault(
        "same-side-inhibition", "a muscle is inhibited from its own side", "circuits/ncap/ncap.py",
        'torch.addcmul(ipsi * b_neurons, contra, b_neurons.flip(0))',
        'torch.addcmul(ipsi * b_neurons, contra, b_neurons)',
        ("test_ncap.py::test_ncap_gives_the_published_torques",),
    ),
    Fault(
        "clock-goes-on", "the oscillator does not start anew with an episode", "circuits/ncap/clocked.py",
        'counter = torch.where(since >= 0, row - since, row + state["step"].T)',
        'counter = (row + state["step"].T).expand(n_steps, batch)',
        ("test_testing.py::test_circuits_keep_their_laws[ncap-{}]",),
    ),
    Fault(
        "gru-gates-swapped", "a GRU keeps what it should forget", "circuits/gated/gru.py",
        'h = torch.lerp(candidate, state["h"], keep)',
        'h = torch.lerp(state["h"], candidate, keep)',
        ("test_recurrent.py::test_gated_circuits_step_as_torchs_layers",),
    ),
    Fault(
        "own-synapse", "units of a CTRNN hear themselves", "circuits/ctrnn.py",
        '        leak, recurrent = self._of_weights()\n        h = self._update(',
        '        leak, recurrent = self._leak(), self.acting(self.weight_rec)\n        h = self._update(',
        ("test_testing.py::test_circuits_keep_their_laws[ctrnn-{}]",),
    ),
    # agents and learners
    Fault(
        "es-downhill", "an evolution strategy goes downhill", "agents/algorithms/es.py",
        'first = torch.lerp(state["exp_avg"], -gradient, 1 - _BETAS[0])',
        'first = torch.lerp(state["exp_avg"], gradient, 1 - _BETAS[0])',
        ("test_es.py::test_the_gradient_points_uphill_on_a_known_slope",),
    ),
    Fault(
        "ties-by-order", "members that tie are ranked by their place", "agents/algorithms/es.py",
        'ranks = (np.cumsum(tied) - (tied + 1) / 2)[place]',
        'ranks = np.argsort(np.argsort(returns, kind="stable"))',
        ("test_es.py::test_ties_cancel",),
    ),
    Fault(
        "value-leaks", "advantages of an episode count the next one", "agents/algorithms/sequence_buffer.py",
        'factors = self._gamma * self._gae_lambda * goes_on',
        'factors = self._gamma * self._gae_lambda * np.ones_like(goes_on)',
        ("test_ppo.py::test_advantages_and_returns_are_those_of_sb3_to_the_bit",),
    ),
    Fault(
        "moments-without-shift", "statistics forget how far two means are apart", "agents/normalizer.py",
        ' + np.square(delta) * count * many / total',
        '',
        ("test_normalizing.py",),
    ),
    Fault(
        "deficit-without-end", "a deficit never ends", "envs/deficits.py",
        'return self.start <= step and (self.stop is None or step < self.stop)',
        'return self.start <= step',
        ("test_runs.py::test_a_deficit_masks_what_the_circuit_is_shown_in_its_window_alone",),
    ),
    # statistics
    Fault(
        "iqm-is-mean", "the interquartile mean cuts a tenth", "intervals.py",
        'stats.trim_mean(np.asarray(values, float), 0.25, axis=axis)',
        'stats.trim_mean(np.asarray(values, float), 0.1, axis=axis)',
        ("test_statistics.py",),
    ),
    Fault(
        "ties-are-losses", "ties count as losses", "intervals.py",
        '((ahead > 0) + 0.5 * (ahead == 0))',
        '(ahead > 0)',
        ("test_statistics.py::test_probability_of_improvement",),
    ),
    # run folders and results
    Fault(
        "checksum-unread", "a damaged checkpoint is taken for whole", "training/runs/checkpoints.py",
        '        if not same:\n            raise InvalidRun(f"{name} does not match its checksum")\n',
        '',
        ("test_survival.py::test_a_damaged_checkpoint_is_named_and_the_one_before_it_used",),
    ),
    Fault(
        "results-of-any-weights", "weights of another step pass for the same",
        "training/runs/result.py",
        'if other is None or self.step is None or self.step != other.step:',
        'if other is None or self.step is None:',
        ("test_results.py::test_weights_are_told_by_their_tensors",),
    ),
    Fault(
        "lesions-are-own", "what was measured of a lesioned agent counts as its own", "training/runs/results.py",
        'return self._only([result for result in self if not result.interventions])',
        'return self._only(list(self))',
        ("test_results.py::test_what_was_measured_under_an_intervention_is_never_the_agents_own",),
    ),
    Fault(
        "metrics-twice", "a dump at one step leaves rows twice", "training/runs/metrics_log.py",
        '            self._file.truncate(self._begin)\n',
        '',
        ("test_checkpoints.py::test_a_second_dump_at_a_step_replaces_what_it_names_and_adds_the_rest",),
    ),
    # probes
    Fault(
        "frequency-by-bins", "a gait's frequency is that of a bin", "training/probes/gait.py",
        'shift = 0.5 * (a - c) / curvature if curvature < 0 else 0.0',
        'shift = 0.0',
        ("test_probes.py::test_frequency_is_finer_than_a_bin",),
    ),
    Fault(
        "wave-backwards", "a wave's direction is turned round", "training/probes/gait.py",
        'float(-2 * np.pi / slope)',
        'float(2 * np.pi / slope)',
        ("test_probes.py::test_gait_finds_the_planted_wave",),
    ),
    Fault(
        "lesion-of-the-next", "each neuron's lesion is another's", "training/probes/lesions.py",
        'scale = torch.cat((1 - torch.eye(n), torch.ones(1, n)))',
        'scale = torch.cat((1 - torch.eye(n).roll(1, 0), torch.ones(1, n)))',
        ("test_probe_lesions.py::test_each_row_is_the_return_without_that_neuron",),
    ),
    # films, pages and the command line
    Fault(
        "mirrored-film", "bodies are drawn upside down", "drawing/top_view.py",
        'return centre + (points - origin) * self._pixels_per_metre * np.array([1, -1])',
        'return centre + (points - origin) * self._pixels_per_metre',
        ("test_videos.py::test_what_is_at_the_upper_right_is_drawn_there",),
    ),
    Fault(
        "half-speed-film", "a film runs at half the speed", "videos/encode.py",
        '"libx264", rate=Fraction(fps)',
        '"libx264", rate=Fraction(fps / 2)',
        ("test_videos.py::test_mp4_has_every_frame_at_the_control_rate",),
    ),
    Fault(
        "steps-cut", "fractions of a step are cut off in silence", "cli/parsing.py",
        ' and number == number.to_integral_value()',
        '',
        ("test_cli.py::test_a_mistake_is_one_line_that_says_what_would_be_right",),
    ),
)  # fmt: skip


def main() -> int:
    """Do what the command line asks for; return how many faults were not found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="of a fault; all by default")
    parser.add_argument("--list", action="store_true", help="say what they are, and plant none")
    parser.add_argument("--all-tests", action="store_true", help="run every test beside each, not those named with it")
    options = parser.parse_args()
    if unknown := set(options.names) - {fault.name for fault in FAULTS}:
        parser.error(f"unknown fault {sorted(unknown)[0]!r}; --list shows them")
    chosen = [fault for fault in FAULTS if not options.names or fault.name in options.names]
    if options.list:
        for fault in chosen:
            print(f"{fault.name:28} {fault.file}: {fault.breaks}")
        return 0
    found = 0
    with tempfile.TemporaryDirectory() as folder:
        tree = copied(Path(folder))
        for module in _SHARED:
            importlib.import_module(module)
        beside = {
            fault: [str(tree / "tests")] if options.all_tests else list(nodes(fault.tests, tree)) for fault in chosen
        }
        all_pass = passes(list(dict.fromkeys(test for tests in beside.values() for test in tests)), tree)
        for fault, tests in beside.items():
            verdict = tried(fault, tests, tree, all_pass)
            found += verdict == "found"
            print(f"{fault.name:28} {verdict}", flush=True)
    print(f"{found} of {len(chosen)} found")
    return len(chosen) - found


def copied(folder: Path) -> Path:
    """Copy what git knows of the tree into a folder, under the package's name."""
    names = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    tree = folder / "nervecord"
    for name in names:
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_bytes((ROOT / name).read_bytes())
    return tree


def nodes(tests: Sequence[str], tree: Path) -> Iterator[str]:
    """Yield tests with the folders of their files."""
    for test in tests:
        file, *rest = test.split("::")
        yield "::".join([str(next((tree / "tests").rglob(file))), *rest])


def tried(fault: Fault, tests: Sequence[str], tree: Path, all_pass: bool) -> str:
    """Plant a fault, run tests, and put things right again; return what came of it.

    Args:
        fault: which.
        tests: those to run.
        tree: the copy to plant it in.
        all_pass: the tests of all faults pass without any.
    """
    if not all_pass and not passes(tests, tree):
        return "not tried: its tests fail without it"
    path = tree / fault.file
    sound = path.read_text(encoding="utf-8")
    path.write_text(sound.replace(fault.text, fault.by), encoding="utf-8")
    try:
        return "NOT FOUND" if passes(tests, tree) else "found"
    finally:
        path.write_text(sound, encoding="utf-8")


def passes(tests: Sequence[str], tree: Path) -> bool:
    """Run tests in a fork of this process; return whether they all pass."""
    if sys.platform == "win32":
        raise SystemExit("faults are planted where processes can fork: Linux or macOS")
    if (child := os.fork()) == 0:
        import pytest

        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        sys.path.insert(0, str(tree.parent))
        os.environ |= {"PYTHONPATH": str(tree.parent), "PYTHONDONTWRITEBYTECODE": "1", "MUJOCO_GL": "disable"}
        sys.dont_write_bytecode = True
        os.chdir(tree.parent)
        os._exit(int(pytest.main(["-q", "-x", "-p", "no:cacheprovider", *tests])))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


if __name__ == "__main__":
    sys.exit(main())
