"""Another animal: gymnasium's half-cheetah as a body, trained by PPO, filmed, and moved to a heavier one."""

import tempfile
from pathlib import Path

import gymnasium
import tyro
from nervecord import RunConfig, evaluate, render, train
from nervecord.envs import SENSES, TASKS, Sense, SenseKind, Task, XmlBody, register_body
from nervecord.training.rollouts import record

XML = (Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets" / "half_cheetah.xml").read_text()


class Run(Task):
    """Run forwards; strong actions cost a little."""

    senses = ("joint_pos", "joint_vel", "heading", "body_velocities")

    def before_step(self, actions):
        self._cost = 0.1 * (actions**2).sum(1)
        return super().before_step(actions)

    def reward(self):
        return self.forward_com_speed() - self._cost


class JointVel(SenseKind):
    """How fast the joints turn."""

    def describe(self, setting):
        return Sense("joint_vel", setting.body.n_joints, -1e3, 1e3, "rad/s", (10.0,))

    def read(self, envs):
        return envs.physics.read("joint_vel")


class Heading(SenseKind):
    """The torso's pitch."""

    def describe(self, setting):
        return Sense("heading", 1, -100.0, 100.0, "rad")

    def read(self, envs):
        return envs.physics.read("heading")[:, None]


SENSES["joint_vel"], SENSES["heading"], TASKS["run"] = JointVel(), Heading(), Run
register_body("cheetah", lambda: XmlBody.from_text("cheetah", XML, control_dt=0.05))
HEAVY = XML.replace('settotalmass="14"', 'settotalmass="20"')
register_body("heavy-cheetah", lambda: XmlBody.from_text("heavy-cheetah", HEAVY, control_dt=0.05))


def main(steps: int = 200_000, episode_steps: int = 1000, out: str = "") -> float:
    folder = Path(out or tempfile.mkdtemp()) / "cheetah"
    config = RunConfig("mlp", "ppo", "cheetah", "run", steps=steps, episode_steps=episode_steps)
    run = train(config, folder)
    print("cheetah", evaluate(run, episodes=5).mean_return, "heavy", evaluate(run, 5, body="heavy-cheetah").mean_return)
    print("travelled", record(run, episodes=1).com_pos[0, -1], "m;", render(run, folder / "film.mp4", seconds=5))
    return evaluate(run, episodes=5).mean_return


if __name__ == "__main__":
    tyro.cli(main)
