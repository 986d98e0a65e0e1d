"""Another animal: gymnasium's half-cheetah as a body; train by PPO, record, film, and test on a heavier body."""

import tempfile
from pathlib import Path

import gymnasium
import tyro
from nervecord import RunConfig, evaluate, render, train
from nervecord.envs import SENSES, TASKS, Sense, SenseKind, Task, XmlBody, register_body
from nervecord.training.rollouts import record

XML = (Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets" / "half_cheetah.xml").read_text(encoding="utf-8")
HEAVY = XML.replace('settotalmass="14"', 'settotalmass="20"')


class Run(Task):
    """Run forwards; strong actions cost a little."""

    senses = ("joint_pos", "joint_vel", "heading", "body_velocities")

    def before_step(self, actions):
        self._cost = 0.1 * (actions**2).sum(1)
        return super().before_step(actions)

    def reward(self):
        return self.forward_com_speed() - self._cost


class Quantity(SenseKind):
    """A quantity of the physics, unchanged."""

    def __init__(self, name, unit, scale):
        self.name, self.unit, self.scale = name, unit, scale

    def describe(self, setting):
        size = 1 if self.name == "heading" else setting.body.n_joints
        return Sense(self.name, size, -1e3, 1e3, self.unit, (self.scale,))

    def read(self, envs):
        return envs.physics.read(self.name).reshape(envs.n_envs, -1)


SENSES["joint_vel"], SENSES["heading"] = Quantity("joint_vel", "rad/s", 10.0), Quantity("heading", "rad", 1.0)
TASKS["run"] = Run
register_body("cheetah", lambda: XmlBody.from_text("cheetah", XML, control_dt=0.05))
register_body("heavy-cheetah", lambda: XmlBody.from_text("heavy-cheetah", HEAVY, control_dt=0.05))


def main(steps: int = 400_000, episode_steps: int = 1000, out: str = "") -> float:
    config = RunConfig("mlp", "ppo", "cheetah", "run", steps=steps, episode_steps=episode_steps)
    run = train(config, Path(out or tempfile.mkdtemp()) / "cheetah")
    found = {body: evaluate(run, 5, body=body).mean_return for body in (None, "heavy-cheetah")}
    print("return", found[None], "heavier", found["heavy-cheetah"], render(run, run.path / "film.mp4", seconds=5))
    print("travelled", record(run, episodes=1).com_pos[0, -1, 0], "m")
    return found[None].mean


if __name__ == "__main__":
    tyro.cli(main)
