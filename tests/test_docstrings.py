"""Every public name says what it is, and every array in a public signature says its shape."""

import importlib
import inspect
import re
from collections.abc import Iterator

import pytest

PACKAGES = [
    "nervecord",
    "nervecord.envs",
    "nervecord.circuits",
    "nervecord.agents",
    "nervecord.videos",
    "nervecord.training.probes",
]
SHAPED = re.compile(r"""\b(Float|Int|Bool|UInt8|Shaped)\[[^\[\]]+, *["'][^"']*["']\]""")
BARE = re.compile(r"\b(ndarray|NDArray|Tensor)\b")
NAMES = [(package, name) for package in PACKAGES for name in importlib.import_module(package).__all__]


def of(package: str, name: str) -> Iterator[tuple[str, object]]:
    """Yield a public name's object and, of a class of ours, its public methods and properties."""
    thing = getattr(importlib.import_module(package), name)
    yield name, thing
    if inspect.isclass(thing):
        for member, value in vars(thing).items():
            value = getattr(value, "fget", None) or getattr(value, "__func__", value)
            if not member.startswith("_") and inspect.isfunction(value):
                yield f"{name}.{member}", value


def without_shape(annotations: dict) -> list[str]:
    return [
        name
        for name, annotation in annotations.items()
        if not name.startswith("_") and BARE.search(SHAPED.sub("", str(annotation)))
    ]


@pytest.mark.parametrize(("package", "name"), NAMES, ids=[f"{package}.{name}" for package, name in NAMES])
def test_public_names_have_docstrings_and_arrays_have_shapes(package, name):
    for label, thing in of(package, name):
        if inspect.isfunction(thing) or inspect.isclass(thing):
            # A dataclass without a docstring is given its signature as one.
            words = thing.__doc__ or ""
            assert words, f"{label} has no docstring"
            assert not words.startswith(f"{name}("), f"{label} has no docstring"
            found = without_shape(inspect.get_annotations(thing))
            assert not found, f"{label} has arrays without a shape: {found}"


def test_an_array_without_a_shape_is_found():
    shaped = {"a": 'Float[Tensor, "batch n"] | None', "b": 'tuple[Bool[np.ndarray, " n"], int]', "_c": "Tensor"}
    assert without_shape(shaped) == []
    assert without_shape({"d": 'tuple[Tensor, Float[Tensor, " n"]]', "return": "np.ndarray"}) == ["d", "return"]
