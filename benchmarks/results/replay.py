"""Worms replayed, and circuits trained to bend as they did: the tables of docs/results/replay.md.

    python -m nervecord.benchmarks.results.replay runs/track --seeds 5 --page docs/results/replay.md

A second start skips the runs that are there.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.figure import Figure

from ...drawing.figures import COLOURS, figure_svg, open_axes
from ...envs import EnvBatch
from ...envs.arenas.media import gel
from ...envs.tasks.joint_angles import JointAngles
from ...envs.tasks.track import AMPLITUDE, travelling_wave
from ...files import read_json, write_json, write_text
from ...intervals import bootstrap_mean
from ...training.rollouts.evaluation import EVALUATION_SEED, evaluate_agent
from ...training.rollouts.recorder import record_agent
from ...training.runs.config import RunConfig
from ...training.runs.run import Run
from ...training.studies.markdown import markdown_table
from ...worm import Posture, replay
from .command import start
from .runs import run_each, trained
from .stored import results
from .tables import StudyArguments, interval_text, publish

# Track: where, how long, and from what an episode is.
BODY, ARENA, STEPS, EPISODE, EPISODES = "worm", "agar", 400_000, 200, 20
_PUSH = 8.0  # of the hand-made controller: the motors' range for each joint limit of error
_SENSES = ["joint_pos", "joint_vel", "joint_target", "joint_target_vel"]
# What is trained: circuit, its options, and what it senses.
ARMS: Mapping[str, tuple[str, Mapping[str, Any], list[str]]] = {
    "mlp, blind": ("mlp", {"hidden": [32]}, _SENSES[:2]),
    "mlp": ("mlp", {"hidden": [32]}, _SENSES),
    "relay, blind": ("relay", {"init": "worm", "limit": 12.0, "velocity": True}, _SENSES[:2]),
    "ncap, blind": ("ncap", {}, _SENSES[:2]),
}
DRAWN = ("mlp", 0)  # arm and seed of the figure
KEPT = ("*/*/*/result.json",)
# Rules of the verdicts, fixed before the runs. Intervals are 95 % bootstraps over seeds of the mean over 20 episodes.
# A trained circuit tracks if its interval lies above 0, which a straight body has, and above that of the same circuits
# untrained. The target is used if the interval of the difference from the blind one of the same seed lies above 0.
FREQUENCIES, GEARS = (0.25, 0.5, 1.0), (5e-4, 5e-3)


def crawl(n_links: int, seconds: float, frequency: float = 0.3, wavelength: float = 0.65,
          amplitude: float = AMPLITUDE) -> Posture:  # fmt: skip
    """Return a wave as a worm's posture, of unknown place and length.

    Args:
        n_links: of the chain.
        seconds: how long.
        frequency: Hz.
        wavelength: in body lengths.
        amplitude: of the tangent, rad.
    """
    wave = travelling_wave(n_links, seconds, 0.03, frequency, wavelength, amplitude)
    nothing = np.zeros(len(wave.time))
    return Posture(wave.time, wave.joint_pos, nothing, nothing + np.nan, np.zeros((len(nothing), 2)))


def motors() -> str:
    """Return the table of how well the motors of `swimmer6` follow a wave in its own water."""
    rows = []
    for frequency in FREQUENCIES:
        posture = crawl(6, 8.0, frequency, wavelength=1.5)
        cells = [f"{frequency:g}"]
        for gear in GEARS:
            facts = replay(posture, "swimmer6", "motors", gear).facts()
            cells += [f"{facts['error, rms, rad']:.3f}",
                      f"{facts['at that limit or above, share of joints and time']:.2f}"]  # fmt: skip
        rows.append([*cells, f"{facts['largest torque that following takes, N m']:.2g}"])
    heads = [f"{what}, gear {gear:g} N m" for gear in GEARS for what in ("error, rms, rad", "at the limit")]
    return markdown_table(["frequency, Hz", *heads, "largest torque that following takes, N m"], *rows)


def speeds() -> str:
    """Return the table of where the animal's crawl takes bodies, and what torque it takes, joints prescribed."""
    rows = []
    media: dict[str, Any] = {"own water": None, "agar, ratio 10": "agar_low", "agar, ratio 40": "agar"}
    for body in ("worm", "worm24", "swimmer12"):
        for label, arena in media.items():
            if body == "swimmer12" and arena is None:
                continue
            links = 24 if body == "worm24" else 13 if body == "worm" else 12
            posture = crawl(links, 20 / 3)
            facts = replay(posture, body, arena=arena).facts()
            still = {"name": "landscape", "medium": dataclasses.asdict(_isotropic(arena))}
            drift = replay(posture, body, arena=still).facts()["speed, body lengths/s"]
            rows.append([
                body, label, f"{facts['speed, body lengths/s']:.4f}", f"{drift:.4f}",
                f"{facts['largest torque, N m']:.3g}", f"{facts['gear of the motors, N m']:.3g}",
                f"{facts['at that limit or above, share of joints and time']:.2f}",
            ])  # fmt: skip
    heads = ["body", "medium", "speed, body lengths/s", "at a drag ratio of 1", "largest torque, N m",
             "gear of its motors, N m", "share beyond it"]  # fmt: skip
    return markdown_table(heads, *rows)


def _isotropic(arena: str | None) -> Any:
    own = gel(0.0 if arena is None else 1.0)
    return dataclasses.replace(own, ratio=1.0)


def wander(n_links: int = 24, seconds: float = 60.0, seed: int = 0) -> JointAngles:
    """Return a made recording that nobody can know by heart: a crawl that speeds up, slows, turns round and bends.

    The frequency is a slow random walk with sudden changes of sign (reversals, about 6 per minute), and a bend of the
    whole body is another.

    Args:
        n_links: of the chain.
        seconds: how long.
        seed: of what is drawn.
    """
    rng, dt = np.random.default_rng(seed), 0.03
    steps = int(seconds / dt)

    def slow(tau: float) -> Float[np.ndarray, " steps"]:
        """Return a stationary process with a memory of tau, s, and variance 1."""
        keep, found = np.exp(-dt / tau), np.zeros(steps)
        for at in range(1, steps):
            found[at] = keep * found[at - 1] + np.sqrt(1 - keep**2) * rng.standard_normal()
        return found

    sign = np.where(np.cumsum(rng.random(steps) < 6 / 60 * dt) % 2, -1.0, 1.0)
    smooth = np.convolve(sign, np.ones(11) / 11, "same")
    phase = 2 * np.pi * np.cumsum(np.clip(0.3 + 0.1 * slow(2.0), 0.05, 0.6) * smooth) * dt
    place = (np.arange(n_links) + 0.5) / n_links
    tangent = AMPLITUDE * np.sin(2 * np.pi * place / 0.65 - phase[:, None])
    bend = np.convolve(0.5 * slow(2.0), np.ones(11) / 11, "same")
    tangent += bend[:, None] * (place - 0.5)
    return JointAngles("wander", np.arange(steps) * dt, np.diff(tangent, axis=1))


RECORDINGS: Mapping[str, Any] = {"crawl": lambda: None, "wander": lambda: wander().to_json()}


def config_of(recording: str, arm: str, seed: int) -> RunConfig:
    """Return what is trained."""
    circuit, options, senses = ARMS[arm]
    return RunConfig(
        circuit, "es", BODY, "track", seed, STEPS, EPISODE, {"recording": RECORDINGS[recording](), "senses": senses},
        circuit_options=options, arena=ARENA, checkpoint_every=STEPS,
    )  # fmt: skip


def folder_of(out: Path, recording: str, arm: str, seed: int) -> Path:
    """Return the folder of a run."""
    return out / recording / arm.replace(", ", "_") / f"{seed}"


def explained(agent: Any, envs: EnvBatch) -> float:
    """Return the share of a recording's bending that an agent's posture explains, the mean over 20 episodes."""
    return float(np.mean(evaluate_agent(agent, envs, seed=EVALUATION_SEED).metrics["explained"]))


def by_hand(recording: str) -> dict[str, float]:
    """Return the same for no action, and for motors that push towards the target in proportion to the error."""
    found = {}
    for label, gain in (("no action", 0.0), (f"{_PUSH:g} x error, by hand", _PUSH)):
        envs = EnvBatch("track", EPISODES, BODY, ARENA, "auto", 1, episode_steps=EPISODE,
                        recording=RECORDINGS[recording]())  # fmt: skip
        envs.seed([EVALUATION_SEED + i for i in range(EPISODES)])
        seen = envs.layout.split(envs.reset(np.arange(EPISODES)))
        limit = np.array(envs.layout.joint_limit)
        for _ in range(EPISODE):
            step = envs.step(gain * (seen["joint_target"] - seen["joint_pos"]) / limit)
            seen = envs.layout.split(step.observation)
        found[label] = float(np.mean(step.metrics["explained"]))
        envs.close()
    return found


def measure(out: Path, recording: str, arm: str, seed: int) -> None:
    """Train a circuit and keep what it explains before and after; of the first `mlp`, also how it follows."""
    folder = folder_of(out, recording, arm, seed)
    if (folder / "result.json").exists():
        return
    run = trained(folder / "run", config_of(recording, arm, seed))
    found: dict[str, Any] = {"weights": sum(each.numel() for each in run.agent().circuit.parameters())}
    for stage in ("untrained", "trained"):
        envs = run.resolved.make_envs(EPISODES)
        found[stage] = explained(run.agent(trained=stage == "trained"), envs)
        envs.close()
    if (arm, seed) == DRAWN:
        found["followed"] = followed(run)
    write_json(folder / "result.json", found)


def followed(run: Run) -> dict[str, list[float]]:
    """Return the middle joint of the recording and of a trained agent over one episode, rad, and their times, s."""
    envs = run.resolved.make_envs(1)
    done = record_agent(run.agent(), envs)
    time = np.arange(int(done.lengths[0])) * done.dt
    middle, start = envs.body.n_joints // 2, envs.layout["joint_target"].start
    envs.close()
    # What is sensed is the recording at the end of the step.
    return {
        "time": time.tolist(), "joint_pos": done.joint_pos[0, :, middle].tolist(),
        "target_time": (time + done.dt).tolist(), "joint_target": done.observations[0, :, start + middle].tolist(),
    }  # fmt: skip


def found_in(folder: Path) -> pd.DataFrame:
    """Return what was measured of each run: recording, arm, seed, weights and what it explains."""
    rows = []
    for path in sorted(folder.glob(KEPT[0])):
        recording, arm, seed = path.parent.relative_to(folder).parts
        measured = read_json(path, f"{path.parent} is damaged")
        rows.append({"recording": recording, "arm": arm.replace("_", ", "), "seed": int(seed), **measured})
    return pd.DataFrame(rows)


def track(found: pd.DataFrame) -> str:
    """Return the table of what circuits explain of each recording, before training and after."""
    rows = []
    for recording in RECORDINGS:
        for label, value in by_hand(recording).items():
            rows.append([recording, label, "", "", f"{value:.2f}", "", ""])
        arms = {arm: found[(found["recording"] == recording) & (found["arm"] == arm)].set_index("seed") for arm in ARMS}
        for arm, measured in arms.items():
            own, done = bootstrap_mean(measured["untrained"]), bootstrap_mean(measured["trained"])
            tracks = "yes" if done.low > max(0.0, own.high) else "no"
            gain = ""
            if arm == "mlp":
                more = bootstrap_mean(measured["trained"] - arms["mlp, blind"]["trained"])
                gain = f"{interval_text(more, 2)}: {'used' if more.low > 0 else 'not used'}"
            rows.append([
                recording, arm, f"{measured['weights'].iloc[0]}", interval_text(own, 2), interval_text(done, 2),
                tracks, gain,
            ])  # fmt: skip
    heads = ["recording", "agent", "weights", "untrained", "trained", "tracks", "less the blind one of the same seed"]
    return markdown_table(heads, *rows)


def figure(found: pd.DataFrame) -> str:
    """Draw the middle joint of the recordings beside that of a trained `mlp` over one episode; return the SVG."""
    drawn = Figure(figsize=(9.0, 2.6), layout="constrained")
    arm, seed = DRAWN
    for recording, axes in zip(RECORDINGS, drawn.subplots(1, len(RECORDINGS), sharey=True), strict=True):
        of_run = found["recording"].eq(recording) & found["arm"].eq(arm) & found["seed"].eq(seed)
        traces = found[of_run]["followed"].iloc[0]
        axes.plot(traces["target_time"], traces["joint_target"], color=COLOURS[1], label="recording")
        axes.plot(traces["time"], traces["joint_pos"], color=COLOURS[0], label="mlp, trained")
        axes.set(title=recording, xlabel="time, s")
        axes.grid(alpha=0.25)
        open_axes(axes)
    drawn.axes[0].set_ylabel("angle of the middle joint, rad")
    drawn.axes[0].legend(frameon=False, fontsize=8)
    return figure_svg(drawn)


@dataclasses.dataclass(frozen=True)
class Arguments(StudyArguments):
    """Measure replays, and train agents that bend as recordings do."""

    seeds: int = 5
    """Seeds of each."""


def run_all(out: Path, arguments: Arguments) -> None:
    """Train and measure every circuit on every recording with every seed."""
    wanted = itertools.product(RECORDINGS, ARMS, range(arguments.seeds))
    tasks = {f"{recording}/{arm}/{seed}": (out, recording, arm, seed) for recording, arm, seed in wanted}
    run_each(measure, tasks, arguments.workers, "circuits")


def main(arguments: Arguments) -> None:
    """Run what the command line asks for."""
    with results(arguments, "track", functools.partial(run_all, arguments=arguments), KEPT) as folder:
        found = found_in(folder)
    publish({"motors": motors(), "speeds": speeds(), "track": track(found)}, arguments.page)
    if arguments.page:
        write_text(arguments.page.with_suffix("") / "followed.svg", figure(found))


if __name__ == "__main__":
    start(main, Arguments)
