"""Functions over lanes, written without a math library so that every machine gives the same bits.

Used by the physics of lanes and by circuits' compiled steps; see `vectors`. Imports numba, so modules that must
import quickly do not import this file.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numba

from .vectors import floor, ldexp, maximum, minimum, select

# The type of `vectors`, which numba infers and type checkers cannot see; named here for readers.
Lanes: TypeAlias = Any
_compiled = numba.njit(error_model="numpy")
_PER_LN_2, _LN_2_HIGH, _LN_2_LOW = 1.4426950408889634, 0.6931471803691238, 1.9082149292705877e-10


@_compiled
def clip(x: Lanes, low: Lanes, high: Lanes) -> Lanes:
    """Return x clipped to bounds, which are lanes or numbers; the lower bound where x is NaN."""
    return minimum(maximum(x, low), high)


@_compiled
def sincos(x: Lanes) -> tuple[Lanes, Lanes]:
    """Return sine and cosine, to about 1 unit in the last place, with the same bits on every machine.

    Cody and Waite's reduction to a quarter turn, then fdlibm's polynomials (Sun Microsystems 1993).
    """
    quarter = floor(x * (2 / math.pi) + 0.5)
    r = (x - quarter * 1.5707963267341256) - quarter * 6.077100506506192e-11
    z = r * r
    odd_terms = -1.98412698298579493134e-04 + z * (
        2.75573137070700676789e-06 + z * (-2.50507602534068634195e-08 + z * 1.58969099521155010221e-10)
    )
    sine = r + r * z * (-1.66666666666666324348e-01 + z * (8.33333333332248946124e-03 + z * odd_terms))
    even_terms = 2.48015872894767294178e-05 + z * (
        -2.75573143513906633035e-07 + z * (2.08757232129817482790e-09 - z * 1.13596475577881948265e-11)
    )
    cosine = 1.0 - (0.5 * z - z * z * (4.16666666666666019037e-02 + z * (-1.38888888888741095749e-03 + z * even_terms)))
    half = quarter * 0.5
    is_odd = floor(half) < half
    turns = quarter - 4.0 * floor(quarter * 0.25)
    first, second = select(is_odd, cosine, sine), select(is_odd, sine, cosine)
    is_back = (turns > 0.5) & (turns < 2.5)
    return select(turns >= 2.0, 0.0 - first, first), select(is_back, 0.0 - second, second)


@_compiled
def _reduced(x: Lanes) -> tuple[Lanes, Lanes]:
    """Return exp(r) - 1 and k of x = r + k ln 2, for x from -700 to 700.

    Cody and Waite's reduction to half of ln 2, where 13 terms of the series are accurate enough.
    """
    x = clip(x, -700.0, 700.0)
    power = floor(x * _PER_LN_2 + 0.5)
    r = (x - power * _LN_2_HIGH) - power * _LN_2_LOW
    series = 1 / 39916800 + r * (1 / 479001600 + r * (1 / 6227020800))
    series = 1 / 40320 + r * (1 / 362880 + r * (1 / 3628800 + r * series))
    series = 1 / 120 + r * (1 / 720 + r * (1 / 5040 + r * series))
    return r + r * r * (1 / 2 + r * (1 / 6 + r * (1 / 24 + r * series))), power


@_compiled
def exp(x: Lanes) -> Lanes:
    """Return exp(x), to 2 units in the last place, for x from -700 to 700; beyond, its value at the nearer end."""
    grown, power = _reduced(x)
    return ldexp(grown + 1.0, power)


@_compiled
def tanh(x: Lanes) -> Lanes:
    """Return tanh(x), to 4 units in the last place."""
    grown, power = _reduced(2.0 * clip(x, -20.0, 20.0))
    # Near 0, adding a constant and subtracting it again would lose digits.
    grown = select(abs(power) < 0.5, grown, ldexp(grown + 1.0, power) - 1.0)
    return grown / (grown + 2.0)
