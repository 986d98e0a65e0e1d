"""Short trainings that together cover the algorithms, circuits, tasks and kinds of bodies: data alone.

Each takes seconds and leaves a folder of at most some 200 kB. Paths among them are relative: `produce` runs in the
folder that holds them all.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Config:
    """One training, and what is done with it afterwards.

    Attributes:
        train: the words after `nervecord`, without --out.
        bodies: other bodies on which its agent is evaluated too.
        record: further words for `nervecord record`, such as what is done to its neurons.
        needs: another training, whose folder this one reads.
    """

    train: str
    bodies: tuple[str, ...] = ()
    record: str = ""
    needs: str | None = None

    @property
    def command(self) -> str:
        """The words after `nervecord`, on MuJoCo, as the kept folders are."""
        return f"{self.train} --physics mujoco" if self.is_run else self.train

    @property
    def is_run(self) -> bool:
        """Whether it has a body, to be evaluated and recorded; a curriculum has none."""
        return self.train.startswith("train ")


_REPLAY = "buffer_size=120 learning_starts=100 batch_size=32 n_envs=4 critic_hidden=[8,8]"

CONFIGS = {
    "es-ncap": Config(
        "train --circuit ncap --algorithm es --body swimmer6 --steps 6000 --episode-steps 150 --checkpoint-every 1200 "
        "--evaluate-every 2400 --algorithm-options n_envs=8",
        bodies=("swimmer4", "swimmer12-heavy"),
        record="--silence B_d_2:20:60 --drive B_v_0=0.5:80:100",
    ),
    "es-connectome": Config(
        "train --circuit connectome --algorithm es --body swimmer6-long --steps 4800 --episode-steps 100 "
        "--checkpoint-every 2400 --circuit-options graph=ladder --algorithm-options n_envs=8 population=16 sigma=0.05",
        bodies=("swimmer8",),
    ),
    "es-cfc": Config(
        "train --circuit cfc --algorithm es --body swimmer3-strong --seed 3 --steps 3200 --episode-steps 100 "
        "--checkpoint-every 2400 --circuit-options units=8 --algorithm-options n_envs=8",
    ),
    "cmaes-ncap_plus": Config(
        "train --circuit ncap_plus --algorithm cmaes --body swimmer6-thick --seed 1 --steps 4800 --episode-steps 100 "
        "--checkpoint-every 3200 --algorithm-options n_envs=8 population=16",
        bodies=("swimmer6-thin",),
    ),
    "cmaes-navigator": Config(
        "train --circuit navigator --algorithm cmaes --body swimmer6-light --task navigate --steps 3200 "
        "--episode-steps 100 --checkpoint-every 2400 --circuit-options controller=learned --algorithm-options n_envs=8",
    ),
    "ppo-mlp": Config(
        "train --circuit mlp --algorithm ppo --body gymnasium-swimmer --steps 3072 --episode-steps 100 "
        "--checkpoint-every 1024 --circuit-options hidden=[8,8] "
        "--algorithm-options n_envs=4 n_steps=128 critic_hidden=[8]",
        bodies=("swimmer6",),
    ),
    "ppo-mlp-protect": Config(
        "train --circuit mlp --algorithm ppo --body swimmer3-weak --seed 4 --steps 1024 --episode-steps 100 "
        "--checkpoint-every 512 --start ppo-mlp --protect ppo-mlp --circuit-options hidden=[8,8] "
        "--algorithm-options n_envs=4 n_steps=128 critic_hidden=[8]",
        needs="ppo-mlp",
    ),
    "ppo-ncap-randomize": Config(
        "train --circuit ncap --algorithm ppo --body swimmer6-lesioned --reward com --steps 2048 --episode-steps 100 "
        "--checkpoint-every 1024 --randomize link_mass=0.8:1.2 viscosity=0:0.1 "
        "--task-options desired_speed=0.2 "
        "--algorithm-options n_envs=4 n_steps=128 batch_size=128 n_epochs=5 critic_hidden=[8]",
    ),
    "ppo-gru-cueturn": Config(
        "train --circuit gru --algorithm ppo --body swimmer6 --task cueturn --seed 2 --steps 2048 --episode-steps 60 "
        "--checkpoint-every 1024 --task-options delay_steps=10 --circuit-options units=8 "
        "--algorithm-options n_envs=4 n_steps=128 batch_size=128 sequence_length=16 critic=separate critic_hidden=[8]",
    ),
    "ppo-ctrnn-deficit": Config(
        "train --circuit ctrnn --algorithm ppo --body swimmer6-eel --steps 2048 --episode-steps 100 "
        "--checkpoint-every 1024 --deficit joint_pos:512:1536 --circuit-options units=8 "
        "--algorithm-options n_envs=4 n_steps=128 batch_size=128 sequence_length=16 critic_hidden=[8]",
    ),
    "ppo-elm": Config(
        "train --circuit elm --algorithm ppo --body swimmer4 --steps 1024 --episode-steps 100 --checkpoint-every 512 "
        "--circuit-options units=4 branches=2 "
        "--algorithm-options n_envs=4 n_steps=128 batch_size=128 sequence_length=16 critic_hidden=[8]",
    ),
    "sac-mlp-navigate": Config(
        "train --circuit mlp --algorithm sac --body swimmer6 --task navigate --steps 800 --episode-steps 100 "
        f"--checkpoint-every 700 --circuit-options hidden=[8,8] --algorithm-options {_REPLAY}",
    ),
    "ddpg-ncap": Config(
        "train --circuit ncap --algorithm ddpg --body swimmer6-asymmetric --steps 1000 --episode-steps 100 "
        f"--checkpoint-every 900 --evaluate-every 500 --algorithm-options {_REPLAY}",
        bodies=("swimmer8",),
    ),
    "td3-mlp": Config(
        "train --circuit mlp --algorithm td3 --body swimmer8 --steps 800 --episode-steps 100 "
        f"--checkpoint-every 700 --circuit-options hidden=[8] --algorithm-options {_REPLAY}",
    ),
    "curriculum-ctrnn": Config(
        "curriculum --circuit ctrnn --task parity --kind multi-head --updates 200 --circuit-options units=16 "
        "--options max_n=6 batch_size=64 evaluate_every=50 evaluation_sequences=256 learning_rate=0.1 threshold=0.6",
    ),
    "curriculum-lstm": Config(
        "curriculum --circuit lstm --task delayed-match --kind sliding --seed 5 --updates 120 "
        "--circuit-options units=8 --options max_n=8 window=2 batch_size=32 evaluate_every=20 evaluation_sequences=128 "
        "threshold=0.3",
    ),
}
