"""Compare a circuit's activity with calcium imaging of worms, over neurons with the same names."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from ..drawing.figures import COLOURS, open_axes
from ..errors import InvalidRecording
from ..intervals import bootstrap_mean
from ..progress import progress_bar
from ..training.probes.contract import settled
from ..training.probes.gait import undulation_frequency
from ..training.probes.timescales import autocorrelation
from ..training.probes.tools.alignment import centred
from ..training.rollouts.recording import Recording
from .data import CalciumRecording

GAIT_RANGE = (0.3, 2.0)  # Hz, crawling on agar to swimming in water (Fang-Yen et al. 2010, PNAS 107:20323)
_LEAST = 4  # neurons with names in common, below which a correlation structure says nothing
_FRAMES = 20  # of a trace, below which its correlations say nothing
_COMPONENTS = 3
_LONGEST_LAG = 10.0  # s
_FLAT = 1e-9


@dataclasses.dataclass(frozen=True)
class WormComparison:
    """The result of comparing a circuit's activity with recorded worms.

    Attributes:
        numbers: results by name.
        units: unit of each number.
        arrays: data of the figure. For the worm with most neurons in common, and for the circuit: names of those n
            neurons (`neuron`, [n]), correlations ([n, n]) and trajectories ([frames, 3]). For all worms' neurons: the
            timescales (`model_tau`, `worm_tau`), s, inf if censored.
        figure: the correlations, timescales and trajectories of both.
    """

    numbers: dict[str, float]
    units: dict[str, str]
    arrays: dict[str, Shaped[np.ndarray, "*shape"]]
    figure: Figure


@dataclasses.dataclass(frozen=True)
class _Pair:
    """The neurons of one worm that a circuit has too: what is kept of their activity in both."""

    names: tuple[str, ...]
    model: Float[np.ndarray, "n n"]  # correlations
    worm: Float[np.ndarray, "n n"]
    taus: Float[np.ndarray, "2 n"]  # s, of the circuit and of the worm


def compare_worms(
    recording: Recording, worms: Iterable[CalciumRecording], shuffles: int = 1000, progress: bool = False
) -> WormComparison:
    """Compare a recording of a circuit with recorded worms, over the neurons that both have.

    The circuit's activity is averaged within the worms' frames. For each worm:

    - alignment: centred kernel alignment of the two correlation matrices (Cortes et al. 2012), and its mean with
      shuffled neurons of the circuit;
    - subspace: mean squared cosine between the first 3 principal directions of both, and its mean with shuffled
      neurons;
    - timescales: time at which each neuron's autocorrelation falls to 1/e. Timescales above 10 s, or above a quarter
      of the recording, are censored: they count as longer in the median, which is NaN if they are at least half.

    Means over worms have bootstrap 95 % intervals. `p` is the share of shuffles of the circuit's names in which the
    mean alignment over worms is at least as high. All worms share each shuffle, because they are repeated measurements
    of the same neurons. `between_worms` is the alignment between worms over the neurons of the circuit, which is the
    ceiling for a model. `left_out` is the number of neurons per worm with a common name that are constant or contain
    NaN.

    Args:
        recording: recording of a circuit whose neurons have the worm's names.
        worms: recorded worms; those with fewer than 20 frames are left out.
        shuffles: number of shuffles of the circuit's names.
        progress: show a progress bar.

    Raises:
        InvalidRecording: no worm has 4 changing neurons in common with the recording, or the recording is shorter than
            20 of a worm's frames.
    """
    pairs: list[_Pair] = []
    arrays: dict[str, np.ndarray] = {}
    seen = named = most = left_out = 0
    for worm in progress_bar(worms, desc="worms", disable=not progress):
        seen += 1
        common = sum(name in recording.neurons for name in set(worm.neurons))
        named = max(named, common)
        if len(worm.activity) < _FRAMES or common < _LEAST:
            continue
        names, model, frame, lived = _in_common(recording, worm)
        most = max(most, len(names))
        if len(names) < _LEAST:
            continue
        left_out += common - len(names)
        taus = np.stack([_taus(model, frame), _taus(lived, worm.dt)])
        pairs.append(_Pair(names, _correlation(model), _correlation(lived), taus))
        if not arrays or len(names) > len(arrays["neuron"]):
            arrays = _arrays(pairs[-1], model, lived) | {"worm": np.array(f"{worm.source} {worm.worm}")}
    if not pairs:
        raise InvalidRecording(_why_none(seen, named, most))
    rows, null = _structure(pairs, shuffles, progress)
    numbers: dict[str, float] = {
        "worms": float(len(pairs)), "shared_neurons": float(np.mean([len(pair.names) for pair in pairs])),
        "left_out": left_out / len(pairs),
        "p": float((1 + (null >= np.mean([row["alignment"] for row in rows])).sum()) / (1 + shuffles)),
    }  # fmt: skip
    units = {"worms": "worms", "shared_neurons": "neurons per worm", "left_out": "neurons per worm"}
    values = {name: [row[name] for row in rows] for name in rows[0]} | {"between_worms": _between(pairs)}
    for name, found in values.items():
        if found:
            interval = bootstrap_mean(found)
            numbers |= {name: interval.mean, f"{name}_low": interval.low, f"{name}_high": interval.high}
    both = np.concatenate([pair.taus for pair in pairs], 1)
    for name, each in (("model_tau", both[0]), ("worm_tau", both[1])):
        median = float(np.median(each))
        numbers |= {name: median if np.isfinite(median) else float("nan"),
                    f"{name}_censored": float(np.isinf(each).mean())}  # fmt: skip
        units |= {name: "s", f"{name}_censored": "of the neurons"}
    fine = np.isfinite(both).all(0)
    if fine.sum() >= _LEAST and np.ptp(both[0, fine]) > _FLAT:
        numbers["tau_rank_correlation"] = float(spearmanr(both[0, fine], both[1, fine]).statistic)
    numbers |= _gait(recording)
    units |= {"frequency": "Hz", "published_low": "Hz", "published_high": "Hz"}
    arrays |= {"model_tau": both[0], "worm_tau": both[1]}
    return WormComparison(numbers, {name: units.get(name, "") for name in numbers}, arrays, _figure(arrays))


def _why_none(seen: int, named: int, most: int) -> str:
    """Return the line that says why none of so many worms can be compared."""
    if not seen:
        return "there is no worm to compare with; give recordings of worms whose neurons were identified"
    if named < _LEAST:
        return (
            f"no worm shares {_LEAST} neurons with the recording (at most {named}); record a circuit whose neurons "
            "bear the worm's names, such as connectome, and give worms with identified neurons"
        )
    return (
        f"no worm of {_FRAMES} frames or more has {_LEAST} neurons that change here and there and hold no NaN (at most "
        f"{most}, of {named} with names in common); give longer or more complete recordings"
    )


def _in_common(
    recording: Recording, worm: CalciumRecording
) -> tuple[tuple[str, ...], Float[np.ndarray, "E T n"], float, Float[np.ndarray, "1 F n"]]:
    """Return the names of neurons that live in both, the circuit's activity, its seconds a frame, and the worm's."""
    columns = {name: i for i, name in enumerate(recording.neurons)}
    names = [name for name in dict.fromkeys(worm.neurons) if name in columns]
    width = max(1, round(worm.dt / recording.dt))
    frames = recording.n_steps // width
    if frames < _FRAMES:
        raise InvalidRecording(
            f"{recording.n_steps} control steps hold {frames} frames of {worm.dt:.3g} s, as {worm.source} {worm.worm} "
            f"has; record {_FRAMES * width} steps or more"
        )
    model = np.asarray(recording.activity[:, : frames * width], float)[..., [columns[name] for name in names]]
    model = model.reshape(len(model), frames, width, len(names)).mean(2)
    lived = worm.activity[:, [worm.neurons.index(name) for name in names]]
    with np.errstate(over="ignore", invalid="ignore"):
        # NaN in a trace, or numbers too large to be squared, leave no finite deviation.
        spreads = np.stack([model.std((0, 1)), lived.std(0)])
    alive = (np.isfinite(spreads) & (spreads > _FLAT)).all(0)
    kept = tuple(name for name, lives in zip(names, alive, strict=True) if lives)
    return kept, model[..., alive], width * recording.dt, lived[None, :, alive]


def _correlation(activity: Float[np.ndarray, "E T n"]) -> Float[np.ndarray, "n n"]:
    """Return the correlations within episodes, all episodes together."""
    centred = (activity - activity.mean(1, keepdims=True)).reshape(-1, activity.shape[-1])
    return np.corrcoef(centred, rowvar=False)


def _directions(correlation: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "n k"]:
    return np.asarray(np.linalg.eigh(correlation)[1][:, ::-1][:, :_COMPONENTS])


def _structure(
    pairs: list[_Pair], shuffles: int, progress: bool
) -> tuple[list[dict[str, float]], Float[np.ndarray, " shuffles"]]:
    """Return what circuit and worm have in common for each worm, and the mean alignment of each shuffle."""
    kernels = [(centred(pair.model), centred(pair.worm)) for pair in pairs]
    planes = [(_directions(pair.model), _directions(pair.worm)) for pair in pairs]
    every = {name: i for i, name in enumerate(dict.fromkeys(name for pair in pairs for name in pair.names))}
    places = [[every[name] for name in pair.names] for pair in pairs]
    rng = np.random.default_rng(0)
    aligned, overlaps = np.empty((shuffles, len(pairs))), np.empty((shuffles, len(pairs)))
    for shuffle in progress_bar(range(shuffles), desc="shuffles", disable=not progress):
        drawn = rng.permutation(len(every))
        for index, place in enumerate(places):
            order = np.argsort(drawn[place])
            one, other = kernels[index]
            aligned[shuffle, index] = (one[np.ix_(order, order)] * other).sum()
            overlaps[shuffle, index] = _overlap(planes[index][0][order], planes[index][1])
    rows = [
        {
            "alignment": float((kernels[index][0] * kernels[index][1]).sum()),
            "alignment_shuffled": float(aligned[:, index].mean()),
            "subspace": _overlap(*planes[index]), "subspace_shuffled": float(overlaps[:, index].mean()),
            "model_dimension": _dimension(pair.model), "worm_dimension": _dimension(pair.worm),
        }
        for index, pair in enumerate(pairs)
    ]  # fmt: skip
    return rows, aligned.mean(1)


def _overlap(one: Float[np.ndarray, "n k"], other: Float[np.ndarray, "n k"]) -> float:
    """Return the mean squared cosine of the principal angles of two subspaces."""
    return float((one.T @ other).__pow__(2).sum() / one.shape[1])


def _dimension(correlation: Float[np.ndarray, "n n"]) -> float:
    """Return the participation ratio: of how many directions the variance is."""
    values = np.linalg.eigvalsh(correlation)
    return float(values.sum() ** 2 / (values**2).sum())


def _between(pairs: list[_Pair]) -> list[float]:
    """Return each worm's mean alignment with the others that share enough of the circuit's neurons with it."""
    found: list[list[float]] = [[] for _ in pairs]
    places = [{name: i for i, name in enumerate(pair.names)} for pair in pairs]
    for one, other in itertools.combinations(range(len(pairs)), 2):
        names = [name for name in pairs[one].names if name in places[other]]
        if len(names) < _LEAST:
            continue
        kernels = []
        for index in (one, other):
            order = [places[index][name] for name in names]
            kernels.append(centred(pairs[index].worm[np.ix_(order, order)]))
        for index in (one, other):
            found[index].append(float((kernels[0] * kernels[1]).sum()))
    return [float(np.mean(each)) for each in found if each]


def _taus(activity: Float[np.ndarray, "E T n"], frame: float) -> Float[np.ndarray, " n"]:
    """Return the seconds in which each neuron's autocorrelation falls to 1/e; inf if not within the longest lag.

    An exponential fit would leave out every neuron that oscillates.
    """
    lags = min(round(_LONGEST_LAG / frame), activity.shape[1] // 4)
    return np.array([_first_below(curve, np.exp(-1)) * frame for curve in autocorrelation(activity, lags)])


def _first_below(curve: Float[np.ndarray, " lags"], level: float) -> float:
    """Return the lag at which a curve that starts at 1 first falls to a level, between lags by a straight line."""
    below = np.flatnonzero(curve <= level)
    if not len(below):
        return float("inf")
    after = int(below[0])
    return after - 1 + float((curve[after - 1] - level) / (curve[after - 1] - curve[after]))


def _gait(recording: Recording) -> dict[str, float]:
    joints = np.asarray(recording.joint_pos[:, settled(recording) :], float)
    try:
        frequency = float(np.mean([undulation_frequency(episode, recording.dt) for episode in joints]))
    except InvalidRecording:
        frequency = float("nan")
    inside = float(GAIT_RANGE[0] <= frequency <= GAIT_RANGE[1])
    return {"frequency": frequency, "published_low": GAIT_RANGE[0], "published_high": GAIT_RANGE[1],
            "frequency_in_range": inside}  # fmt: skip


def _arrays(pair: _Pair, model: Float[np.ndarray, "E T n"], worm: Float[np.ndarray, "1 F n"]) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {"neuron": np.array(pair.names)}
    for name, activity, correlation in (("model", model, pair.model), ("worm", worm, pair.worm)):
        first = activity[0] - activity[0].mean(0)
        found[f"{name}_correlation"] = correlation
        found[f"{name}_trajectory"] = (first / first.std(0).clip(_FLAT)) @ _directions(correlation)
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
