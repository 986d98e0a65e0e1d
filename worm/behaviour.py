"""Published measurements of the animal's behaviour by medium, with sources, for comparison with a probe's results.

Values read at their source are marked as verified; values taken from another paper's table or read off a figure are
not, and pages print them grey.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from ..envs import Drag, gel, newtonian

# Fang-Yen et al. 2010, digitised by others: viscosity, Pa s; frequency, Hz; wavelength, body lengths; curvature
# amplitude times length.
DIGITISED = np.array([
    (0.001, 1.761, 1.516, 2.87), (0.00925, 1.597, 1.388, 3.13), (0.122, 1.383, 1.328, 3.29),
    (0.303, 1.119, 1.239, 3.54), (0.798, 0.790, 1.032, 4.77), (1.39, 0.650, 0.943, 4.82),
    (9.02, 0.257, 0.856, 6.23), (28.1, 0.169, 0.799, 6.74),
])  # fmt: skip
_COLUMNS = {"frequency": 1, "wavelength": 2, "curvature": 3}
_OFF = 0.1  # of a digitised value, by which it may be off
_LIKE_WATER = 0.0125  # Pa s
_AGAR_RATIO, _RATIO_OFF = 5.0, 0.3


@dataclasses.dataclass(frozen=True)
class Published:
    """A published value of the living animal.

    Attributes:
        quantity: name of the quantity in the probe `behaviour`.
        medium: "water" or "agar".
        low, high: range of values, in the probe's unit.
        source: authors and place of the measurement.
        is_verified: whether the value was read at its source, not in another paper's table, off a figure, or from
            memory.
        note: conditions of the measurement.
    """

    quantity: str
    medium: str
    low: float
    high: float
    source: str
    is_verified: bool
    note: str = ""


_FANG_YEN = "Fang-Yen et al. 2010, PNAS 107:20323"
_TABLE = f"{_FANG_YEN}, Table 1, from another's table"
_CURVES = f"{_FANG_YEN}, digitised by others"
_SZNITMAN = "Sznitman et al. 2010, Phys Fluids 22:121901, abstract"
_RAMOT = "Ramot et al. 2008, PLoS ONE 3:e2208, from another's table"
PUBLISHED = (
    Published("frequency", "water", 1.7, 1.7, _SZNITMAN, True, "at 12 mPa s, to which it falls from water on"),
    Published("frequency", "water", 1.6, 1.9, _CURVES, False, "1 mPa s"),
    Published("frequency", "agar", 0.28, 0.32, _TABLE, False, "mean and its error"),
    Published("wavelength", "water", 1.4, 1.6, _CURVES, False),
    Published("wavelength", "agar", 0.62, 0.68, _TABLE, False, "mean and its error"),
    Published("curvature", "water", 2.6, 3.2, _CURVES, False, "1 mPa s"),
    Published("curvature", "agar", 6.1, 7.4, _CURVES, False, "28 Pa s, the load nearest to agar"),
    Published("speed", "water", 0.35, 0.35, _SZNITMAN, True, "0.35 mm/s of animals about 1 mm long, 1 to 12 mPa s"),
    Published("speed", "agar", 0.15, 0.15, "Randi et al. 2023, Nature 623:406, methods", True, "150 um/s, wild type"),
    Published("speed", "agar", 0.19, 0.25, _RAMOT, False, "off food"),
    Published("reversals", "agar", 0.15, 3.5, "Gray et al. 2005, PNAS 102:3184, Fig. 1E, read off", False,
              "3.5 just off food, 1.8 after 6 to 16 min, 0.15 after 36 min"),
    Published("reorientations", "agar", 0.2, 1.5, "data of Lopez-Cruz et al. 2019, as fitted in eLife 104972", True,
              "1.5 just off food, falling over half an hour; N 1,631"),
    Published("posture_modes", "agar", 4, 4, "Stephens et al. 2008, PLoS Comput Biol 4:e1000028, abstract", True),
    Published("posture_modes", "water", 2, 2, "APS March Meeting 2014, W10.9, abstract", True, "M9 buffer"),
    Published("chemotaxis_index", "agar", 0.87, 0.87, "Bargmann et al. 1993, Cell 74:515, Fig. 2, read off", False,
              "butanone, populations"),
)  # fmt: skip


def published(medium: Mapping[str, Any]) -> tuple[str, tuple[Published, ...]]:
    """Return the animal's medium that corresponds to a body's medium, and the published values in it.

    A drag with a ratio near 1.5 and up to 12 times the viscosity of water counts as water, because the animal swims the
    same way in it; a drag of at least a tenth of agar's, with a ratio of 5 or more, counts as agar. In other Newtonian
    fluids, frequency, wavelength and curvature are known. For any other medium the result is "" and no values.

    Args:
        medium: fields of a `Fluid` or a `Drag`, as in recordings.
    """
    if "across" not in medium:
        return "", ()
    drag = Drag(**medium)
    if drag.ratio >= _AGAR_RATIO and drag.across >= gel(1.0).across / 10:
        return "agar", _in("agar")
    if drag != gel(0.0) and abs(drag.ratio - newtonian().ratio) > _RATIO_OFF:
        return "", ()
    if drag.viscosity <= _LIKE_WATER:
        return "water", _in("water")
    if drag.viscosity > DIGITISED[-1, 0]:
        return "", ()
    name = f"a fluid of {drag.viscosity:.3g} Pa s"
    return name, tuple(
        Published(quantity, name, (1 - _OFF) * value, (1 + _OFF) * value, _CURVES, False)
        for quantity, value in at_viscosity(drag.viscosity).items()
    )


def verdict(known: Sequence[Published], low: float, high: float) -> str:
    """Return where a value lies beside what is known of the animal in the same medium: below, within or above.

    Args:
        known: of one quantity; where there is nothing, neither is there a verdict.
        low, high: bounds of the value's interval, in the quantity's unit; where it overlaps, the value is within.
    """
    if not known:
        return ""
    if high < min(each.low for each in known):
        return "below"
    return "above" if low > max(each.high for each in known) else "within"


def at_viscosity(viscosity: float) -> dict[str, float]:
    """Return the animal's frequency, Hz, wavelength, body lengths, and curvature amplitude times length in a fluid.

    Interpolated over the logarithm of the viscosity, Pa s, between 0.001 and 28.1; digitised by others.
    """
    at: Float[np.ndarray, " viscosities"] = np.log(DIGITISED[:, 0])
    return {name: float(np.interp(np.log(viscosity), at, DIGITISED[:, column])) for name, column in _COLUMNS.items()}


def _in(medium: str) -> tuple[Published, ...]:
    return tuple(each for each in PUBLISHED if each.medium == medium)
