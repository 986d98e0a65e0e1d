"""A circuit's activity beside that of living worms, neuron by neuron of the same name."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from ..errors import InvalidRecording
from .figures import COLOURS, open_axes
from .probes.gait import undulation_frequency
from .probes.geometry import alignment
from .probes.timescales import autocorrelation
from .recording import Recording
from .statistics import bootstrap_mean
from .worm_data import CalciumRecording

GAIT_RANGE = (0.3, 2.0)  # Hz, crawling on agar to swimming in water (Fang-Yen et al. 2010, PNAS 107:20323)
_LEAST = 4  # neurons with names in common, below which a correlation structure says nothing
_SHUFFLES = 1000
_COMPONENTS = 3
_LONGEST_LAG = 10.0  # s
_FLAT = 1e-9


@dataclasses.dataclass(frozen=True)
class WormComparison:
    """What a circuit and worms have in common.

    Attributes:
        numbers: name to value.
        units: name to unit.
        arrays: what the figure shows. Of the worm with most neurons in common, and of the circuit: the names of
            those n neurons (`neuron`, [n]), correlations ([n, n]) and trajectories ([frames, 3], no unit). Of
            all worms' neurons together: the timescales (`model_tau`, `worm_tau`), s, NaN where there is none.
        figure: the correlations, timescales and trajectories of both.
    """

    numbers: dict[str, float]
    units: dict[str, str]
    arrays: dict[str, Shaped[np.ndarray, "*shape"]]
    figure: Figure


@dataclasses.dataclass(frozen=True)
class _Pair:
    """A circuit's and one worm's activity, of the same neurons in the same order."""

    names: tuple[str, ...]
    model: Float[np.ndarray, "E T n"]
    worm: Float[np.ndarray, "1 F n"]


def compare_worms(recording: Recording, worms: Iterable[CalciumRecording]) -> WormComparison:
    """Set a recording of a circuit beside worms, over the neurons whose names both have.

    The circuit's activity is averaged within the worms' frames. Of each worm:

    - alignment: the centred kernel alignment of both correlation matrices (Cortes et al. 2012), beside its
      mean when the circuit's neurons are shuffled;
    - subspace: the mean squared cosine between the first 3 principal directions of both, and its mean when
      shuffled;
    - timescales: when each neuron's autocorrelation has fallen to 1/e.

    Means over worms come with bootstrap 95 % intervals. `p` is how often the mean alignment over worms is as
    high when the circuit's neurons are shuffled for each. `between_worms` is the alignment of worms with each
    other: what a perfect model could reach.

    Raises:
        InvalidRecording: no worm shares 4 neurons that change with the recording.
    """
    pairs: list[_Pair] = []
    kept: list[CalciumRecording] = []
    most = 0
    for worm in worms:
        pair = _pair(recording, worm)
        most = max(most, len(pair.names))
        if len(pair.names) >= _LEAST:
            pairs.append(pair)
            kept.append(worm)
    if not pairs:
        raise InvalidRecording(
            f"no worm shares {_LEAST} neurons that change with the recording (at most {most}); record a circuit whose "
            "neurons bear the worm's names, such as connectome, and give worms with identified neurons"
        )
    rng = np.random.default_rng(0)
    rows, nulls = zip(*(_structure(pair, rng) for pair in pairs), strict=True)
    aligned, shuffled = np.mean([row["alignment"] for row in rows]), np.mean(nulls, 0)
    numbers: dict[str, float] = {
        "worms": float(len(pairs)), "shared_neurons": float(np.mean([len(pair.names) for pair in pairs])),
        "p": float((1 + (shuffled >= aligned).sum()) / (1 + _SHUFFLES)),
    }  # fmt: skip
    units = {"worms": "worms", "shared_neurons": "neurons per worm"}
    for name in rows[0]:
        interval = bootstrap_mean([row[name] for row in rows])
        numbers |= {name: interval.mean, f"{name}_low": interval.low, f"{name}_high": interval.high}
    between = _between(kept)
    if between:
        interval = bootstrap_mean(between)
        numbers |= {"between_worms": interval.mean, "between_worms_low": interval.low,
                    "between_worms_high": interval.high}  # fmt: skip
    both = np.concatenate([_taus(pair, worm.dt) for pair, worm in zip(pairs, kept, strict=True)], 1)
    fine = np.isfinite(both).all(0)
    if fine.any():
        numbers |= {"model_tau": float(np.median(both[0, fine])), "worm_tau": float(np.median(both[1, fine]))}
        units |= {"model_tau": "s", "worm_tau": "s"}
    if fine.sum() >= _LEAST and np.ptp(both[0, fine]) > _FLAT:
        numbers["tau_rank_correlation"] = float(spearmanr(both[0, fine], both[1, fine]).statistic)
    numbers |= _gait(recording)
    units |= {"frequency": "Hz", "published_low": "Hz", "published_high": "Hz"}
    shown = max(range(len(pairs)), key=lambda index: len(pairs[index].names))
    arrays = _arrays(pairs[shown]) | {"model_tau": both[0], "worm_tau": both[1]}
    arrays["worm"] = np.array(f"{kept[shown].source} {kept[shown].worm}")
    return WormComparison(numbers, {name: units.get(name, "") for name in numbers}, arrays, _figure(arrays))


def _pair(recording: Recording, worm: CalciumRecording) -> _Pair:
    columns = {name: i for i, name in enumerate(recording.neurons)}
    names = [name for name in dict.fromkeys(worm.neurons) if name in columns]
    width = max(1, round(worm.dt / recording.dt))
    frames = recording.n_steps // width
    model = np.asarray(recording.activity[:, : frames * width], float)[..., [columns[name] for name in names]]
    model = model.reshape(len(model), frames, width, len(names)).mean(2)
    seen = worm.activity[:, [worm.neurons.index(name) for name in names]]
    alive = (model.std((0, 1)) > _FLAT) & (seen.std(0) > _FLAT) & np.isfinite(seen).all(0)
    kept = tuple(name for name, lives in zip(names, alive, strict=True) if lives)
    return _Pair(kept, model[..., alive], seen[None, :, alive])


def _correlation(activity: Float[np.ndarray, "E T n"]) -> Float[np.ndarray, "n n"]:
    """Return the correlations within episodes, all episodes together."""
    centred = (activity - activity.mean(1, keepdims=True)).reshape(-1, activity.shape[-1])
    return np.corrcoef(centred, rowvar=False)


def _kernel_alignment(one: Float[np.ndarray, "n n"], other: Float[np.ndarray, "n n"]) -> float:
    """Return the centred alignment of two correlation matrices, which are kernels of the same neurons."""
    return alignment(_root(one), _root(other))


def _root(kernel: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "n n"]:
    values, vectors = np.linalg.eigh(kernel)
    return np.asarray(vectors * np.sqrt(np.clip(values, 0, None)))


def _directions(correlation: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "n k"]:
    return np.asarray(np.linalg.eigh(correlation)[1][:, ::-1][:, :_COMPONENTS])


def _structure(pair: _Pair, rng: np.random.Generator) -> tuple[dict[str, float], Float[np.ndarray, " shuffles"]]:
    """Return what circuit and worm have in common, and the alignments with shuffled neurons."""
    model, worm = _correlation(pair.model), _correlation(pair.worm)
    one, other, along, beside = _root(model), _root(worm), _directions(model), _directions(worm)
    aligned, overlap = alignment(one, other), _overlap(along, beside)
    orders = [rng.permutation(len(model)) for _ in range(_SHUFFLES)]
    null = np.array([alignment(one[order], other) for order in orders])
    return {
        "alignment": aligned, "alignment_shuffled": float(null.mean()),
        "subspace": overlap,
        "subspace_shuffled": float(np.mean([_overlap(along[order], beside) for order in orders])),
        "model_dimension": _dimension(model), "worm_dimension": _dimension(worm),
    }, null  # fmt: skip


def _overlap(one: Float[np.ndarray, "n k"], other: Float[np.ndarray, "n k"]) -> float:
    """Return the mean squared cosine of the principal angles of two subspaces."""
    return float((one.T @ other).__pow__(2).sum() / one.shape[1])


def _dimension(correlation: Float[np.ndarray, "n n"]) -> float:
    """Return the participation ratio: of how many directions the variance is."""
    values = np.linalg.eigvalsh(correlation)
    return float(values.sum() ** 2 / (values**2).sum())


def _between(worms: list[CalciumRecording]) -> list[float]:
    """Return each worm's mean alignment with the others that share enough neurons with it."""
    means = []
    for worm in worms:
        found = []
        for other in worms:
            names = [name for name in worm.neurons if name in other.neurons]
            if other is worm or len(names) < _LEAST:
                continue
            matrices = [
                _correlation(each.activity[None][..., [each.neurons.index(name) for name in names]])
                for each in (worm, other)
            ]
            if all(np.isfinite(matrix).all() for matrix in matrices):
                found.append(_kernel_alignment(matrices[0], matrices[1]))
        means += [float(np.mean(found))] if found else []
    return means


def _taus(pair: _Pair, dt: float) -> Float[np.ndarray, "2 n"]:
    """Return when the autocorrelations of a circuit's neurons and the worm's have fallen to 1/e, s; NaN if never.

    An exponential fit would leave out every neuron that oscillates.
    """
    rows = []
    for activity in (pair.model, pair.worm):
        lags = min(round(_LONGEST_LAG / dt), activity.shape[1] // 4)
        curves = autocorrelation(activity, lags)
        rows.append([_first_below(curve, np.exp(-1)) * dt for curve in curves])
    return np.array(rows)


def _first_below(curve: Float[np.ndarray, " lags"], level: float) -> float:
    """Return the lag at which a curve first falls to a level, between lags by a straight line."""
    below = np.flatnonzero(curve <= level)
    if not len(below) or not below[0]:
        return float("nan")
    after = int(below[0])
    return after - 1 + float((curve[after - 1] - level) / (curve[after - 1] - curve[after]))


def _gait(recording: Recording) -> dict[str, float]:
    joints = np.asarray(recording.joint_pos[:, recording.n_steps // 5 :], float)
    try:
        frequency = float(np.mean([undulation_frequency(episode, recording.dt) for episode in joints]))
    except InvalidRecording:
        frequency = float("nan")
    inside = float(GAIT_RANGE[0] <= frequency <= GAIT_RANGE[1])
    return {"frequency": frequency, "published_low": GAIT_RANGE[0], "published_high": GAIT_RANGE[1],
            "frequency_in_range": inside}  # fmt: skip


def _arrays(pair: _Pair) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {"neuron": np.array(pair.names)}
    for name, activity in (("model", pair.model), ("worm", pair.worm)):
        first = activity[0] - activity[0].mean(0)
        found[f"{name}_correlation"] = _correlation(activity)
        found[f"{name}_trajectory"] = (first / first.std(0).clip(_FLAT)) @ _directions(found[f"{name}_correlation"])
    return found


def _figure(arrays: dict[str, np.ndarray]) -> Figure:
    figure = Figure(figsize=(10.0, 6.4), layout="constrained")
    grid: Any = figure.subplots(2, 3)
    names = arrays["neuron"].tolist()
    titles = {"model": "circuit", "worm": str(arrays["worm"])}
    for row, (which, title) in enumerate(titles.items()):
        axes = grid[row, 0]
        image = axes.imshow(arrays[f"{which}_correlation"], cmap="RdBu_r", vmin=-1, vmax=1)
        axes.set_title(f"correlations: {title}", fontsize=9)
        size = 6 if len(names) < 40 else 3
        axes.set_xticks(range(len(names)), names, rotation=90, fontsize=size)
        axes.set_yticks(range(len(names)), names, fontsize=size)
        path = arrays[f"{which}_trajectory"]
        axes = grid[row, 1]
        axes.plot(path[:, 0], path[:, 1], color=COLOURS[row * 2], linewidth=0.8)
        axes.set(xlabel="component 1", ylabel="component 2")
        axes.set_title(f"trajectory: {title}", fontsize=9)
        open_axes(axes)
    figure.colorbar(image, ax=grid[:, 0], shrink=0.5, label="correlation")
    model, worm = arrays["model_tau"], arrays["worm_tau"]
    axes = grid[0, 2]
    fine = np.isfinite(model) & np.isfinite(worm)
    axes.scatter(model[fine], worm[fine], s=12, color=COLOURS[0])
    axes.set(xlabel="timescale in the circuit, s", ylabel="in the worm, s")
    if fine.any():
        axes.set(xscale="log", yscale="log")
    axes.set_title("timescales, all worms", fontsize=9)
    open_axes(axes)
    axes = grid[1, 2]
    for which, colour in (("model", COLOURS[0]), ("worm", COLOURS[2])):
        values = np.sort(np.linalg.eigvalsh(arrays[f"{which}_correlation"]))[::-1]
        axes.plot(np.arange(1, len(values) + 1), np.cumsum(values) / values.sum(), ".-", color=colour,
                  label=titles[which])  # fmt: skip
    axes.set(xlabel="principal components", ylabel="variance explained", ylim=(0, 1.02))
    axes.legend(frameon=False, fontsize=8)
    open_axes(axes)
    return figure
