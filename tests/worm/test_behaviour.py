"""The animal's published behaviour: by medium, with sources; judged only in the animal's own media."""

import dataclasses

import pytest
from nervecord.envs import Fluid, gel, make_arena, newtonian
from nervecord.training.probes.behaviour import _UNITS
from nervecord.training.probes.registry import PROBES
from nervecord.worm.behaviour import DIGITISED, PUBLISHED, at_viscosity, published, verdict


def medium_of(medium):
    return published(dataclasses.asdict(medium))


@pytest.mark.parametrize(
    ("medium", "name"),
    [
        (gel(0.0), "water"), (newtonian(), "water"), (newtonian(0.012), "water"), (gel(1.0), "agar"),
        (make_arena("agar_low").medium, "agar"), (newtonian(0.303), "a fluid of 0.303 Pa s"), (newtonian(50.0), ""),
        (Fluid(), ""), (Fluid(1000.0, 0.001), ""), (gel(0.01), ""),
    ],
)  # fmt: skip
def test_a_medium_is_like_one_of_the_animal_s_or_another_physics(medium, name):
    found, known = medium_of(medium)
    assert found == name
    assert bool(known) == bool(name)


def test_every_published_value_is_of_a_quantity_that_is_measured_and_names_its_source():
    assert "behaviour" in PROBES
    for each in PUBLISHED:
        assert each.quantity in _UNITS
        assert each.medium in ("water", "agar")
        assert each.low <= each.high
        assert each.source
    # What was read off or taken over is not called verified.
    assert not any(each.is_verified for each in PUBLISHED if "read off" in each.source or "another's" in each.source)


def test_fluids_between_are_interpolated_from_the_digitised_points():
    for viscosity, frequency, wavelength, curvature in DIGITISED:
        assert at_viscosity(viscosity) == pytest.approx(
            {"frequency": frequency, "wavelength": wavelength, "curvature": curvature}
        )
    between = at_viscosity(0.2)
    assert 1.119 < between["frequency"] < 1.383
    _, known = medium_of(newtonian(0.2))
    assert {each.quantity for each in known} == {"frequency", "wavelength", "curvature"}
    assert not any(each.is_verified for each in known)


def test_a_value_is_below_within_or_above_only_where_something_is_known():
    _, known = medium_of(gel(1.0))
    speeds = [each for each in known if each.quantity == "speed"]
    assert verdict(speeds, 0.1, 0.14) == "below"
    assert verdict(speeds, 0.1, 0.16) == "within"
    assert verdict(speeds, 0.26, 0.3) == "above"
    assert verdict([], 0.2, 0.2) == ""
