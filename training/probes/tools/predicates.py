"""What can be said of a body at a moment, and the phrase that tells best when something happens."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from ...rollouts.recording import Recording

BY_MORE = " by more than "  # before the degrees of a bend
_BENDS = (0, 10, 20, 30, 40, 50, 60, 70, 80)  # degrees
_BEAM = 24
_LONGEST = 3
_PER_WORD = 0.04  # of score, that each further predicate must bring
_TIE = 0.02  # of score, within which the plainer phrase is better


@dataclasses.dataclass(frozen=True)
class Predicate:
    """Something that is or is not so at each step.

    Attributes:
        phrase: how it is said, such as "joint 2 is bent dorsally".
        negated: how its opposite is said.
        holds: where it is so, one value per step of every episode.
        rank: 0 for the body and its surroundings, 1 for the head's oscillator, 2 for motor commands.
    """

    phrase: str
    negated: str
    holds: Bool[np.ndarray, "E T"]
    rank: int = 0


@dataclasses.dataclass(frozen=True)
class Phrase:
    """A conjunction of predicates and opposites.

    Attributes:
        text: how it is said.
        literals: (index of the predicate, whether it holds) of each part.
        score: normalised pointwise mutual information with the event it was sought for.
    """

    text: str
    literals: tuple[tuple[int, bool], ...]
    score: float

    def holds(self, predicates: Sequence[Predicate]) -> Bool[np.ndarray, "E T"]:
        """Return where the phrase is true."""
        parts = [predicates[index].holds == so for index, so in self.literals]
        return np.asarray(np.logical_and.reduce(parts))


def body_predicates(recording: Recording) -> list[Predicate]:
    """Return what can be said of a recording's body, target, motors and oscillator, and is neither always so nor never.

    Dorsal is where joint angles are positive; left and right are the body's own, seen from above.
    """
    # What is always or never so says nothing.
    return [each for each in all_predicates(recording) if 0.02 < each.holds.mean() < 0.98]


def all_predicates(recording: Recording) -> list[Predicate]:
    """Return what could be said of a recording, as `body_predicates` does, even if it is always or never so."""
    joints = np.asarray(recording.joint_pos, float)
    velocity, actions = np.asarray(recording.joint_vel, float), np.asarray(recording.actions, float)
    found = []
    for joint in range(joints.shape[2]):
        for side, sign in (("dorsally", 1), ("ventrally", -1)):
            angle, speed = sign * joints[:, :, joint], sign * velocity[:, :, joint]
            found += [
                *(
                    Predicate(
                        f"joint {joint} is bent {side}{by}", f"joint {joint} is not bent {side}{by}",
                        angle > np.radians(least),
                    )
                    for least in _BENDS
                    for by in [f"{BY_MORE}{least} degrees" if least else ""]
                ),
                Predicate(f"joint {joint} is bending {side}", f"joint {joint} is not bending {side}", speed > 0),
                Predicate(
                    f"joint {joint}'s motor pulls {side}", f"joint {joint}'s motor does not pull {side}",
                    sign * actions[:, :, joint] > 0.1, 2,
                ),
            ]  # fmt: skip
    heading = np.unwrap(np.asarray(recording.link_angle[:, :, 0], float), axis=1)
    turn = np.gradient(heading, axis=1)
    found += [
        Predicate("the head turns left", "the head does not turn left", turn > 0),
        Predicate("the head turns right", "the head does not turn right", turn < 0),
    ]
    com = np.asarray(recording.com_pos, float)
    motion = np.gradient(com, axis=1)
    ahead = motion[..., 0] * np.cos(heading) + motion[..., 1] * np.sin(heading)
    found.append(Predicate("the body moves forward", "the body does not move forward", ahead > 0))
    if recording.target_pos.shape[-1] == 2:
        away = np.asarray(recording.target_pos, float) - np.asarray(recording.link_pos[:, :, 0], float)
        aside = np.cos(heading) * away[..., 1] - np.sin(heading) * away[..., 0]
        found += [
            Predicate("the target is to the left", "the target is not to the left", aside > 0),
            Predicate("the target is to the right", "the target is not to the right", aside < 0),
        ]
    if {"osc_d", "osc_v"} <= set(recording.neurons):
        dorsal, ventral = (
            np.asarray(recording.activity[:, :, recording.neurons.index(name)]) for name in ("osc_d", "osc_v")
        )
        found += [
            Predicate("the head's oscillator is dorsal", "the head's oscillator is not dorsal", dorsal > ventral, 1),
            Predicate("the head's oscillator is ventral", "the head's oscillator is not ventral", ventral > dorsal, 1),
        ]
    return found


def best_phrase(
    predicates: Sequence[Predicate], event: Bool[np.ndarray, " S"], at: Bool[np.ndarray, "E T"], support: float = 0.02
) -> Phrase | None:
    """Return the phrase that tells best when an event happens, or None if none is supported.

    A beam search over conjunctions of up to three, by normalised pointwise mutual information. Each further
    predicate must bring 0.04; of phrases within 0.02 of the best the plainest wins.

    Args:
        predicates: what may be said.
        event: at each chosen step, whether it happens.
        at: the steps that are looked at, in the order of `event`.
        support: the least share of steps in which event and phrase must both be true.
    """
    holds = np.stack([each.holds[at] for each in predicates])
    literals = np.concatenate([holds, ~holds]).astype(np.float32)
    n, n_literals = len(predicates), 2 * len(predicates)
    happens = event.astype(np.float32)
    beam: list[tuple[tuple[int, ...], np.ndarray]] = [((), np.ones(len(event), np.float32))]
    found: list[tuple[float, tuple[int, ...]]] = []
    for _ in range(_LONGEST):
        masks = np.stack([mask for _, mask in beam])
        both, alone = (masks * happens) @ literals.T / len(event), masks @ literals.T / len(event)
        scores = normalised_pmi(both, float(event.mean()), alone)
        scores[both < support] = -1
        for row, (chosen, _) in enumerate(beam):
            for literal in chosen:
                scores[row, [literal, (literal + n) % n_literals]] = -1
        ranked = np.argsort(-scores, axis=None)[: 4 * _BEAM]
        step: dict[tuple[int, ...], np.ndarray] = {}
        for flat in ranked.tolist():
            row, literal = divmod(flat, n_literals)
            key = tuple(sorted((*beam[row][0], literal)))
            if scores[row, literal] <= -1 or key in step or len(step) == _BEAM:
                continue
            step[key] = beam[row][1] * literals[literal]
            found.append((float(scores[row, literal]), key))
        if not step:
            break
        beam = list(step.items())
    if not found:
        return None

    def worth(item: tuple[float, tuple[int, ...]]) -> float:
        return item[0] - _PER_WORD * len(item[1])

    def plainness(item: tuple[float, tuple[int, ...]]) -> tuple[int, int, int, float]:
        score, key = item
        return max(predicates[i % n].rank for i in key), len(key), sum(i >= n for i in key), -score

    best = max(worth(item) for item in found)
    score, key = min((item for item in found if worth(item) >= best - _TIE), key=plainness)
    parts = [predicates[i].phrase if i < n else predicates[i - n].negated for i in key]
    return Phrase(" and ".join(parts), tuple((i % n, i < n) for i in key), score)


def normalised_pmi(
    both: Float[np.ndarray, "*shape"], one: float, other: Float[np.ndarray, "*shape"]
) -> Float[np.ndarray, "*shape"]:
    """Return log(p(a, b) / p(a) p(b)) / -log p(a, b): 1 where a and b always come together, 0 by chance."""
    both, other = np.clip(both, 1e-9, 1 - 1e-9), np.clip(other, 1e-9, 1)
    return np.asarray(np.log(both / (max(one, 1e-9) * other)) / -np.log(both))
