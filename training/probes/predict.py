"""How well activity predicts itself, and whether what a predictor attends to is the wiring."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from ...drawing.figures import COLOURS, open_axes
from ...errors import InvalidRecording
from .connectivity import Pairs, auroc, average_precision, candidates, participation_ratio, regress, ridge
from .contract import ProbeResult, Subject, living
from .tools.predictor import WINDOW, free_run, influence, predicted, train_predictor

_UPDATES = 1500
_STEPS = 100
_FREE = 60  # control steps
_BEHAVIOUR = ("joint_pos", "joint_vel", "actions")


def predict(subject: Subject) -> ProbeResult:
    """Train a small attention network to predict every neuron's next change from all others, and the behaviour.

    Its score is the R2 of the change on episodes that it did not see: staying as it is has 0. Beside it stands a linear
    prediction (a vector autoregression with a ridge of 1e-4), and both go on by themselves for 60 control steps. Where
    the wiring is known, the network's attention and the derivatives of its predictions are scored as `connectivity`
    scores its own: predicting well is not knowing the wiring.

    It takes half a minute on a core, more for hundreds of neurons.

    Raises:
        InvalidRecording: a single episode, too few steps, values that are not finite, or fewer than two neurons that
            change.

    Source: Neuroformer (Antoniades et al. 2024, https://arxiv.org/abs/2311.00136), for rates in place of spikes.
    """
    recording = subject.recording
    activity, names, _ = living(recording, _STEPS)
    if len(names) < 2:
        raise InvalidRecording("one neuron alone changes, and it is predicted from others; record a larger circuit")
    if recording.n_episodes < 2:
        raise InvalidRecording("the recording has 1 episode, and a prediction is tested on others; record 4 or more")
    seen = slice(0, recording.n_episodes - max(1, recording.n_episodes // 4))
    values, spread = _standardised(activity, seen)
    behaviour, _ = _standardised(
        np.concatenate([np.asarray(getattr(recording, name), np.float32) for name in _BEHAVIOUR], 2), seen
    )
    model = train_predictor(values[seen], behaviour[seen], _UPDATES)
    unseen = values[seen.stop :]
    linear = _linear(values[seen])
    change_found, behaviour_found, attention = predicted(model, unseen)
    change = np.diff(unseen, axis=1)[:, WINDOW - 1 :]
    straight = _straight(linear, unseen[:, WINDOW - 1 : -1]) - unseen[:, WINDOW - 1 : -1]
    free = {"network": free_run(model, unseen, _FREE), "linear": _free_linear(linear, unseen, _FREE)}
    truth, done = unseen[:, WINDOW : WINDOW + _FREE], behaviour[seen.stop :, WINDOW:].reshape(-1, behaviour.shape[2])
    numbers = {
        "change_r2": _r2(change_found.reshape(change.shape), change, 0.0),
        "linear_change_r2": _r2(straight, change, 0.0),
        "behaviour_r2": _r2(behaviour_found, done, done.mean(0)),
        "free_r2": _r2(free["network"], truth, truth.mean((0, 1))),
        "linear_free_r2": _r2(free["linear"], truth, truth.mean((0, 1))),
        "dimensions": participation_ratio(activity),
    }  # fmt: skip
    arrays = {
        "neuron": np.array(names), "attention": attention,
        "influence": influence(model, values) * spread[:, None] / spread[None, :],
    }  # fmt: skip
    numbers |= _wiring_scores(subject, names, activity, arrays)
    figure = _figure(truth, free, arrays, names)
    return ProbeResult(numbers, dict.fromkeys(numbers, ""), arrays, figure, _words(numbers))


def _standardised(
    values: Float[np.ndarray, "E T n"], seen: slice
) -> tuple[Float[np.ndarray, "E T n"], Float[np.ndarray, " n"]]:
    """Return values in units of the deviation of the episodes seen, around their mean, and these deviations."""
    mean, spread = values[seen].mean((0, 1), dtype=np.float64), values[seen].std((0, 1), dtype=np.float64)
    spread = np.where(spread > 1e-6, spread, 1.0)
    return (values - mean) / spread, spread


def _linear(values: Float[np.ndarray, "E T n"]) -> Float[np.ndarray, "one_and_n n"]:
    """Return the weights of a ridge regression of the next values on the present ones, the constant first."""
    now, after = values[:, :-1].reshape(-1, values.shape[2]), values[:, 1:].reshape(-1, values.shape[2])
    return ridge(np.c_[np.ones(len(now)), now], after)


def _straight(weights: Float[np.ndarray, "one_and_n n"], now: Float[np.ndarray, "*some n"]) -> np.ndarray:
    return weights[0] + now @ weights[1:]


def _free_linear(
    weights: Float[np.ndarray, "one_and_n n"], start: Float[np.ndarray, "E T n"], steps: int
) -> Float[np.ndarray, "E free n"]:
    now, found = start[:, WINDOW - 1], []
    for _ in range(steps):
        now = _straight(weights, now)
        found.append(now)
    return np.stack(found, 1)


def _r2(found: np.ndarray, truth: np.ndarray, guess: np.ndarray | float) -> float:
    """Return the share of the truth's squares around a constant guess that is explained, all columns together."""
    return float(1 - ((found - truth) ** 2).sum() / max(((truth - guess) ** 2).sum(), 1e-12))


def _wiring_scores(
    subject: Subject, names: tuple[str, ...], activity: Float[np.ndarray, "E T n"], arrays: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """Return how well contacts are told by attention, derivatives and regression; {} where no wiring can be scored."""
    try:
        pairs: Pairs = candidates(subject.recording, subject.wiring, names)
    except InvalidRecording:
        return {}
    scores = {name: arrays[name][pairs.post, pairs.pre] for name in ("attention", "influence")}
    scores["regression"] = np.abs(regress(activity, pairs))
    return {
        f"{method}_{word}": measure(score, pairs.is_contact)
        for method, score in scores.items()
        for word, measure in (("auroc", auroc), ("precision", average_precision))
    }


def _words(numbers: Mapping[str, float]) -> tuple[str, ...]:
    words = [
        f"On episodes that it did not see, the network explains {numbers['change_r2']:.0%} of the neurons' changes and "
        f"a linear prediction {numbers['linear_change_r2']:.0%}; of the behaviour, {numbers['behaviour_r2']:.0%}."
    ]
    if "attention_auroc" in numbers:
        words.append(
            f"Contacts are told from other pairs by its attention with an AUROC of {numbers['attention_auroc']:.2f}, "
            f"by the derivatives of its predictions with {numbers['influence_auroc']:.2f}, and by regression with "
            f"{numbers['regression_auroc']:.2f}; chance has 0.5."
        )
    return tuple(words)


def _figure(
    truth: Float[np.ndarray, "E free n"], free: Mapping[str, np.ndarray], arrays: Mapping[str, np.ndarray],
    names: tuple[str, ...],
) -> Figure:  # fmt: skip
    figure = Figure(figsize=(10.5, 3.6), layout="constrained")
    course, *maps = figure.subplots(1, 3)
    open_axes(course)
    shown = int(np.argmax(truth[0].std(0)))
    course.plot(truth[0, :, shown], color="0.75", label="recorded")
    for colour, dash, (name, values) in zip(COLOURS, ("-", "--"), free.items(), strict=False):
        course.plot(values[0, :, shown], color=colour, linestyle=dash, label=name)
    # A linear prediction may run away; what was recorded sets the scale.
    low, high = truth[0, :, shown].min(), truth[0, :, shown].max()
    course.set_ylim(low - 0.5 * (high - low), high + 0.5 * (high - low))
    course.set(title=f"{names[shown]}, by itself", xlabel="control steps", ylabel="standard deviations")
    course.legend(frameon=False)
    for axes, name in zip(maps, ("attention", "influence"), strict=True):
        # What a neuron says of itself would outshine all else.
        others = np.where(np.eye(len(names)), np.nan, arrays[name])
        image = axes.imshow(others, cmap="Greys", vmin=0, interpolation="nearest")
        axes.set(title=name, xlabel="from neuron", ylabel="to neuron")
        if len(names) <= 40:
            axes.set_xticks(range(len(names)), names, rotation=90, fontsize=5)
            axes.set_yticks(range(len(names)), names, fontsize=5)
        figure.colorbar(image, ax=axes, shrink=0.8)
    return figure
