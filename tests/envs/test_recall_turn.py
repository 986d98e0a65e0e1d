"""RecallTurn: what is shown, and how often who remembers how much is correct."""

import numpy as np
import pytest
from nervecord.envs import TASKS, EnvBatch
from nervecord.envs.sb3_env import SwimmerVecEnv
from nervecord.envs.tasks.recall_turn import draw_pairs
from nervecord.errors import InvalidTask


def recallers(n_envs: int = 64, **options) -> SwimmerVecEnv:
    env = SwimmerVecEnv(n_envs, "recallturn", body="swimmer6", physics="auto", **options)
    env.seed(0)
    return env


def recalled(env: SwimmerVecEnv, answer) -> np.ndarray:
    """Play one episode in every environment, and return whether turns were correct.

    `answer` maps the patterns, sides and fragments that were seen, [pairs, envs, cells], [pairs, envs] and
    [envs, cells], to the sides to turn to.
    """
    observation, seen, side = env.reset(), [], None
    for step in range(env.batch.episode_steps):
        pattern, cue, go = (observation[:, env.layout[name]].copy() for name in ("pattern", "cue", "go"))
        if step < env.task.cue_steps and step % 5 == 0:
            seen.append((pattern, cue[:, 0]))
        elif step == env.task.go_step:
            assert go.all()
            side = answer(np.array([each for each, _ in seen]), np.array([each for _, each in seen]), pattern)
        command = np.zeros(len(observation)) if side is None else side
        observation, _, _, infos = env.step(np.repeat(command[:, None], 5, 1))
    return np.array([info["correct"] for info in infos])


def of_the_fragment(patterns, sides, fragment):
    return sides[(patterns * fragment).sum(2).argmax(0), np.arange(sides.shape[1])]


@pytest.mark.parametrize("cues", [2, 4, 6])
def test_who_remembers_all_pairs_is_always_correct(cues):
    env = recallers(cues=cues)
    assert recalled(env, of_the_fragment).all()
    assert env.task.go_step == 5 * cues + 10


def test_who_remembers_the_sides_alone_or_one_pair_is_correct_as_often_as_is_said():
    def by_sides(_, sides, __):
        return sides[0]

    def by_the_last_pair(patterns, sides, fragment):
        return np.where((patterns[-1] * fragment).any(1), sides[-1], -sides[-1])

    env = recallers(1000)
    # Within three standard errors of 1000 episodes.
    assert abs(recalled(env, by_sides).mean() - 0.5) < 0.048
    assert abs(recalled(env, by_the_last_pair).mean() - 0.75) < 0.042


def test_patterns_share_the_cells_and_half_of_them_go_right():
    rng = np.random.default_rng(0)
    drawn = [draw_pairs(4, rng) for _ in range(400)]
    patterns, sides = (np.array([each[index] for each in drawn]) for index in (0, 1))
    assert (patterns.sum(1) == 1).all()
    assert (patterns.sum(2) == 3).all()
    assert not sides.sum(1).any()
    for patterns_of, _, asked, fragment in drawn:
        assert fragment.sum() == 1
        assert (patterns_of[asked] >= fragment).all()
    assert len({tuple(fragment) for _, _, _, fragment in drawn}) == 12
    assert {asked for _, _, asked, _ in drawn} == {0, 1, 2, 3}


@pytest.mark.parametrize("task", ["cueturn", "recallturn"])
def test_success_is_what_tables_count(task):
    assert TASKS[task].success == "success"
    env = EnvBatch(task, 2, body="swimmer4")
    env.reset(np.arange(2))
    assert set(env.step(np.zeros((2, 3))).metrics["success"]) <= {0.0, 1.0}


def test_nothing_is_shown_between_the_pairs_and_the_go():
    env = recallers(8)
    observation = env.reset()
    for step in range(40):
        pattern, cue = (observation[:, env.layout[name]] for name in ("pattern", "cue"))
        assert (pattern.sum(1) == (3 if step < 20 else 0 if step < 30 else 1)).all()
        assert (np.abs(cue) == (step < 20)).all()
        observation = env.step(np.zeros((8, 5)))[0]


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        ("recallturn", {"cues": 3}, "cues is 3; give 2 or 4 or 6"),
        ("recallturn", {"episode_steps": 30}, "the go comes after 30; give more steps"),
        ("cueturn", {"senses": ["pattern"]}, "task CueTurn has no pattern to sense; sense it in RecallTurn"),
    ],
)
def test_what_cannot_be_asked_for_is_one_line(task, options, message):
    with pytest.raises(InvalidTask, match=message):
        SwimmerVecEnv(1, task, body="swimmer6", **options)
