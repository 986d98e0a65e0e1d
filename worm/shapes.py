"""Eigenworms: the principal components of a worm's postures (Stephens et al. 2008, PLoS Comput Biol 4:e1000028)."""

from __future__ import annotations

import dataclasses
import gzip
import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from ..errors import InvalidOption, InvalidRecording, MissingDependency, UnknownName
from .posture import Posture

SEGMENTS = 100  # of the midline, whose directions are the shape
SOURCES = ("data", "wormpose", "FILE.csv")
_INSTALL = "pip install --no-deps wormpose"


@dataclasses.dataclass(frozen=True)
class Eigenworms:
    """Orthonormal shapes (principal components), in the order of their variance.

    Attributes:
        vectors: M shapes, each the directions of 100 equal segments of the midline, head first, with zero mean over the
            body.
        variance: variance of the original postures along each shape, rad^2; NaN if not known.
        total: total variance of the original postures, rad^2; NaN if not known.
        mean: mean shape of the original postures, rad.
        source: origin of the shapes.
    """

    vectors: Float[np.ndarray, "M 100"]
    variance: Float[np.ndarray, " M"]
    total: float
    mean: Float[np.ndarray, " 100"]
    source: str

    @property
    def own_share(self) -> Float[np.ndarray, " M"]:
        """The cumulative share of the original postures' variance explained by the shapes."""
        return np.cumsum(self.variance) / self.total

    def first(self, modes: int) -> Eigenworms:
        """Return the first `modes` shapes.

        Raises:
            InvalidOption: there are fewer shapes.
        """
        if not 1 <= modes <= len(self.vectors):
            raise InvalidOption(f"modes is {modes}; give 1 to {len(self.vectors)}, as many as {self.source} has")
        return dataclasses.replace(self, vectors=self.vectors[:modes], variance=self.variance[:modes])

    def amplitudes(self, posture: Posture) -> Float[np.ndarray, "T M"]:
        """Return the amplitude of each shape at each time, rad; NaN without a posture.

        As published, directions are projected on the shapes without subtracting the mean shape.
        """
        return directions(posture) @ self.vectors.T

    def shapes(self, amplitudes: Float[np.ndarray, "T M"]) -> Float[np.ndarray, "T 100"]:
        """Return the directions of the midline's segments, with zero mean over the body, from amplitudes; all in
        rad."""
        return amplitudes @ self.vectors

    def share(self, postures: Sequence[Posture]) -> Float[np.ndarray, " M"]:
        """Return the cumulative share of postures' variance explained by the shapes."""
        found = _known(postures)
        apart = found - found.mean(0)
        held = ((apart @ self.vectors.T) ** 2).sum(0)
        shares: Float[np.ndarray, " M"] = np.cumsum(held) / max(float((apart**2).sum()), 1e-300)
        return shares

    def turned_to(self, basis: Eigenworms) -> Eigenworms:
        """Return a rotation of the shapes within their space that is closest to another basis.

        Shapes with similar variance mix differently in each data set; after rotation, amplitudes can be compared.

        Raises:
            InvalidOption: the basis has another number of shapes.
        """
        if len(basis.vectors) != len(self.vectors):
            raise InvalidOption(f"{basis.source} has {len(basis.vectors)} shapes and {self.source} {len(self.vectors)}")
        left, _, right = np.linalg.svd(basis.vectors @ self.vectors.T)
        turn = left @ right
        unknown = np.full(len(self.vectors), np.nan)
        return dataclasses.replace(
            self, vectors=turn @ self.vectors, variance=unknown, source=f"{self.source}, turned to {basis.source}"
        )

    def turned_by(self, postures: Sequence[Posture]) -> Eigenworms:
        """Return a rotation of the shapes within their space, in the order of these postures' variance.

        This is useful for the model of wormpose, whose first shape describes coils, which are rare in most recordings.
        """
        amplitudes = _known(postures) @ self.vectors.T
        _, turn = np.linalg.eigh(np.atleast_2d(np.cov(amplitudes.T, bias=True)))
        unknown = np.full(len(self.vectors), np.nan)
        vectors = _upright(turn.T[::-1] @ self.vectors)
        return dataclasses.replace(self, vectors=vectors, variance=unknown, source=f"{self.source}, turned by the data")


def eigenworms(source: str | Path | Sequence[Posture] = "wormpose", modes: int = 4) -> Eigenworms:
    """Return the eigenworms of postures, from a file, or of the package `wormpose`.

    Args:
        source: postures, whose principal components are computed; a CSV file of shapes, 100 numbers each, head first,
            in columns or in rows; or "wormpose", whose model of crawling and coiling worms is read without importing
            the package. It is a rotation of the four published eigenworms.
        modes: number of shapes.

    Raises:
        MissingDependency: wormpose is not installed.
        InvalidRecording: the file has other content, or there are too few or too similar postures.
        InvalidOption: there are fewer shapes.
        UnknownName: `source` is neither a file nor "wormpose".
    """
    if not isinstance(source, str | Path):
        return _of_postures(source).first(modes)
    if str(source) == "wormpose":
        return _of_wormpose().first(modes)
    if not Path(source).is_file():
        raise UnknownName("source of eigenworms", str(source), SOURCES)
    return _of_file(Path(source)).first(modes)


def directions(posture: Posture) -> Float[np.ndarray, "T 100"]:
    """Return the directions of 100 equal segments of a worm's midline, less their mean over the body, rad.

    NaN where there is no posture. A chain of N links has N - 1 shapes at most.
    """
    seen = np.isfinite(posture.joint_pos).all(1)
    found = np.full((len(seen), SEGMENTS), np.nan)
    joints = dataclasses.replace(posture, joint_pos=np.where(seen[:, None], posture.joint_pos, 0.0)).relinked(SEGMENTS)
    tangent = np.cumsum(np.pad(joints.joint_pos, ((0, 0), (1, 0))), 1)
    found[seen] = (tangent - tangent.mean(1, keepdims=True))[seen]
    return found


def phase(amplitudes: Float[np.ndarray, "T M"]) -> Float[np.ndarray, " T"]:
    """Return the phase of the first two amplitudes, rad: atan2(-a2, a1)."""
    return np.arctan2(-amplitudes[:, 1], amplitudes[:, 0])


def phase_rate(amplitudes: Float[np.ndarray, "T M"], time: Float[np.ndarray, " T"]) -> float:
    """Return how fast the phase of the first two amplitudes turns, the median, Hz: the undulation's frequency.

    Which way round is forward depends on the signs of the shapes, and is left out.

    Args:
        amplitudes: rad; NaN where there is no posture.
        time: s.
    """
    phases = phase(amplitudes)
    fine = np.isfinite(phases)
    rates = np.diff(np.unwrap(phases[fine])) / np.diff(time[fine])
    return abs(float(np.median(rates))) / (2 * np.pi) if len(rates) else float("nan")


def _known(postures: Sequence[Posture]) -> Float[np.ndarray, "frames 100"]:
    found = np.concatenate([directions(each) for each in postures])
    found = found[np.isfinite(found[:, 0])]
    if len(found) < 2 or float(found.var(0).sum()) < 1e-12:
        raise InvalidRecording(f"{len(found)} postures, all alike, have no shapes; give a worm that moves")
    return found


def _of_postures(postures: Sequence[Posture]) -> Eigenworms:
    found = _known(postures)
    modes = max(1, min(len(found) - 1, *(each.joint_pos.shape[1] for each in postures)))
    covariance = np.atleast_2d(np.cov(found.T, bias=True))
    return _principal(covariance, found.mean(0), f"{len(found)} postures", modes)


def _of_wormpose() -> Eigenworms:
    found = importlib.util.find_spec("wormpose")
    if found is None or not found.submodule_search_locations:
        raise MissingDependency(f"wormpose, whose files hold the shapes, is not installed: {_INSTALL}")
    path = Path(next(iter(found.submodule_search_locations))) / "resources" / "postures_model.json.gz"
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            held: dict[str, Any] = json.load(file)
        means, covariances, weights = (np.array(held[name], float) for name in ("means", "covariances", "weights"))
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise InvalidRecording(f"{path} cannot be read ({error}): {_INSTALL}") from error
    mean = weights @ means
    # Of a mixture: the mean of the variances, and the variance of the means.
    covariance = np.tensordot(weights, covariances, 1) + (weights[:, None] * means).T @ means - np.outer(mean, mean)
    away = np.eye(SEGMENTS) - 1 / SEGMENTS
    return _principal(away @ covariance @ away, away @ mean, "wormpose", SEGMENTS - 1)


def _of_file(path: Path) -> Eigenworms:
    try:
        table = np.loadtxt(path, delimiter=",", ndmin=2)
    except (OSError, ValueError) as error:
        raise InvalidRecording(
            f"{path} is not a table of numbers ({error}); give shapes of 100 numbers each"
        ) from error
    vectors = table if table.shape[1] == SEGMENTS else table.T
    if vectors.shape[1] != SEGMENTS or not np.isfinite(vectors).all():
        raise InvalidRecording(f"{path} holds {table.shape[0]} x {table.shape[1]} numbers; give shapes of 100 each")
    lengths = np.linalg.norm(vectors, axis=1)
    off = np.abs(vectors @ vectors.T / np.outer(lengths, lengths) - np.eye(len(vectors))).max()
    if not np.isfinite(off) or off > 0.05:
        raise InvalidRecording(f"the shapes of {path} are not at right angles to each other; give an orthogonal basis")
    # Files are rounded; what is a little off is set right, the nearest way.
    left, _, right = np.linalg.svd(vectors / lengths[:, None], full_matrices=False)
    return Eigenworms(left @ right, np.full(len(vectors), np.nan), np.nan, np.zeros(SEGMENTS), path.name)


def _principal(covariance: np.ndarray, mean: np.ndarray, source: str, modes: int) -> Eigenworms:
    variance, vectors = np.linalg.eigh(covariance)
    variance, vectors = variance[::-1], vectors.T[::-1]
    return Eigenworms(_upright(vectors[:modes]), np.maximum(variance[:modes], 0.0), float(variance.sum()), mean, source)


def _upright(vectors: Float[np.ndarray, "M 100"]) -> Float[np.ndarray, "M 100"]:
    """Return shapes whose head bends to the positive side: a shape and its mirror image are one."""
    signs = np.where(vectors[:, :10].mean(1) < 0, -1.0, 1.0)
    return np.asarray(vectors * signs[:, None])
