"""Every public name says what it is, and every array in a public signature its shape and its unit.

Public is what docs/reference shows: the names of each module after `:::`, those that `__all__` lists if it
has one, and the public members of classes.
"""

import ast
import dataclasses
import importlib
import inspect
import re
import sys
import textwrap
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jaxtyping import Float

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    {
        line.split()[1]
        for page in (ROOT / "docs" / "reference").glob("*.md")
        for line in page.read_text().splitlines()
        if line.startswith(":::")
    }
)
_NUMPY, _TABLE = r"\b(ndarray|NDArray|ArrayLike|Tensor|DataArray|Dataset)\b", r"\bDataFrame\b"
SHAPED = re.compile(r"""\b(Float|Int|Bool|UInt8|Shaped)\[[^\[\]]+, *(["'][^"']*["']|\d)\]""")
BARE = re.compile(rf"{_NUMPY}|{_TABLE}")
# What a circuit remembers: a dict of tensors whose shapes and units are the circuit's own matter.
OPAQUE = {"State"}
# How words tell the shape of what has none in the signature: of an array, [envs, joints]; of a table, its rows.
SHAPE_IN_WORDS = {
    _NUMPY: re.compile(r"\[[a-z_]+(?:, [a-z_0-9.]+)*\]|\bof any shape\b"),
    _TABLE: re.compile(r"\b[Oo]ne row (?:per|for)\b|\bwith(?: the)? columns\b"),
}
# A lone letter or word counts only where a unit stands: "step", "unit" and "share" are mostly something else.
UNITS = re.compile(
    r"""
    (?:,[ ]|\()(?:m|s|rad)(?=[.,;:)]|$) | (?:\bin|\d)[ ](?:m|s)\b(?!['/])
    | (?<![\w/])(?:rad|m/s|rad/s|Hz|N[ ]m|kg|kg/m\^3|Pa[ ]s|ms|cm|nats|pixels)(?![\w/])
    | \b(?:radians|degrees|seconds|metres)\b | \bper[ ]second\b
    | (?:\bin|,|\(|\bof|\d)[ ](?:control|environment)[ ]steps\b | \bin[ ](?:substeps|ticks)\b
    | \b(?:no|without(?:[ ]an?)?)[ ]units?\b | \bin[ ]units[ ]of\b
    | \bin[ ](?:the|their|its)[ ](?:\w+'s[ ]|same[ ]|own[ ])?units?\b
    | \bof[ ]the[ ](?:motor's[ ]range|joint[ ]limit)\b
    | \bin[ ][\[(]-?\d[^\])]*[\])] | (?<![\w.-])-?[01][ ](?:to|or)[ ]-?[01]\b
    | \b(?:log-)?probabilit(?:y|ies)\b | \b(?:share|fraction)[ ]of\b | \bpercent\b
    | \bcorrelations?\b | \bcosines?\b | \bRGB\b
    """,
    re.VERBOSE | re.MULTILINE,
)
# Whole numbers count or number something, which is their unit.
COUNTS = re.compile(r"\b(?:counts|indices|numbers) of\b|\bcounted from\b")
SECTION = re.compile(r"^(?:Args|Attributes|Raises|Returns|Source):", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Public:
    """Something with a signature, its arrays, and the text in which a reader finds their shapes and units."""

    label: str
    doc: str
    arrays: dict[str, str]
    words: str


def public_names(module: str) -> list[str]:
    """Return `__all__`, or what the module itself defines."""
    held = importlib.import_module(module)
    if hasattr(held, "__all__"):
        return list(held.__all__)
    return [
        name
        for name, thing in vars(held).items()
        if not name.startswith("_") and callable(thing) and getattr(thing, "__module__", None) == module
    ]


def published() -> Iterator[Public]:
    """Yield every function, class and array of a dataclass, method and property, each once."""
    seen: set[int] = set()
    for module in MODULES:
        for name in public_names(module):
            thing = inspect.unwrap(getattr(importlib.import_module(module), name))
            if id(thing) in seen or not getattr(thing, "__module__", "").startswith("nervecord"):
                continue
            seen.add(id(thing))
            label = f"{module}.{name}"
            if inspect.isclass(thing):
                yield of_class(label, thing)
                yield from of_fields(label, thing)
                yield from of_members(label, thing, seen)
            elif inspect.isfunction(thing):
                yield Public(label, inspect.getdoc(thing) or "", arrays_of(thing), inspect.getdoc(thing) or "")


def own_doc(thing: Any) -> str:
    return inspect.cleandoc(thing.__doc__ or "")


def bases_of_ours(kind: type) -> list[type]:
    return [base for base in kind.__mro__ if base.__module__.startswith("nervecord")]


def of_class(label: str, kind: type) -> Public:
    """Return a class with the arrays that its `__init__` takes and that it holds."""
    arrays = {}
    for base in reversed(bases_of_ours(kind)):
        arrays |= arrays_of(base) | arrays_set_in(base)
    return Public(label, own_doc(kind), arrays, "\n".join(own_doc(base) for base in bases_of_ours(kind)))


def of_fields(label: str, kind: type) -> Iterator[Public]:
    """Yield each array of a dataclass with what `Attributes:` says of it."""
    if dataclasses.is_dataclass(kind):
        told = dict(re.findall(r"^    (\w+): (.*(?:\n        .*)*)", own_doc(kind), re.MULTILINE))
        for name, annotation in arrays_of(kind).items():
            yield Public(f"{label}.{name}", own_doc(kind), {name: annotation}, told.get(name, ""))


def of_members(label: str, kind: type, seen: set[int]) -> Iterator[Public]:
    """Yield public methods and properties, inherited ones with the class that is published first.

    A unit may stand in the docstring of a method, in that of one it overrides, or in a sentence on units that
    begins the docstring of either's class; a property has its own.
    """
    bases = bases_of_ours(kind)
    for base in bases:
        for name, member in vars(base).items():
            function = function_of(member)
            if function is None or name.startswith("_") or id(function) in seen:
                continue
            seen.add(id(function))
            defining = [each for each in bases[bases.index(base) :] if function_of(vars(each).get(name))]
            words = [own_doc(function_of(vars(each)[name])) for each in defining]
            if not isinstance(member, property):
                words += [sentence for each in defining for sentence in sentences_on_units(each)]
            owner = label.removesuffix(kind.__name__) + base.__name__
            yield Public(f"{owner}.{name}", own_doc(function), arrays_of(function), "\n".join(words))


def sentences_on_units(kind: type) -> list[str]:
    """Return what a class says of all its methods, such as "Rates have no unit.", before any section."""
    prose = " ".join(SECTION.split(own_doc(kind))[0].split())
    return [sentence for sentence in re.split(r"(?<=[.:;]) ", prose) if re.search(r"\bunits?\b|^`ids` are", sentence)]


def function_of(member: Any) -> Callable | None:
    """Return what a function, method, property or cached one runs; None of anything else."""
    for wrapped in ("fget", "func", "__func__"):
        member = getattr(member, wrapped, None) or member
    member = inspect.unwrap(member) if callable(member) else member
    return member if inspect.isfunction(member) else None


def arrays_of(thing: Any) -> dict[str, str]:
    """Return the annotations that hold arrays, of a function or of a class's attributes and `__init__`."""
    names = vars(importlib.import_module(thing.__module__))
    annotations = inspect.get_annotations(thing)
    if inspect.isclass(thing) and inspect.isfunction(vars(thing).get("__init__")):
        annotations = annotations | inspect.get_annotations(vars(thing)["__init__"])
    found = {name: spelled_out(annotation, names) for name, annotation in annotations.items()}
    return {name: text for name, text in found.items() if not name.startswith("_") and is_array(text)}


def arrays_set_in(kind: type) -> dict[str, str]:
    """Return the arrays among the public attributes that `__init__` sets with an annotation."""
    if not inspect.isfunction(vars(kind).get("__init__")) or dataclasses.is_dataclass(kind):
        return {}
    tree = ast.parse(textwrap.dedent(inspect.getsource(vars(kind)["__init__"])))
    set_there = {
        node.target.attr: spelled_out(ast.unparse(node.annotation), vars(importlib.import_module(kind.__module__)))
        for node in ast.walk(tree)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Attribute)
    }
    return {name: text for name, text in set_there.items() if not name.startswith("_") and is_array(text)}


def spelled_out(annotation: Any, names: dict[str, Any]) -> str:
    """Return an annotation's text, with the names of types of arrays replaced by what they stand for."""

    def meaning(found: re.Match) -> str:
        if found[0] in OPAQUE:
            return "opaque"
        named = names.get(found[0])
        # Classes stand for themselves, but for jaxtyping's, which a module may have given a name, such as Frame.
        is_alias = named is not None and (not inspect.isclass(named) or hasattr(named, "dim_str"))
        return repr(named) if is_alias and is_array(repr(named)) else found[0]

    text = annotation if isinstance(annotation, str) else repr(annotation)
    return re.sub(r"(?<![\w.\"'])[A-Z]\w+(?![\w.\[])", meaning, text)


def is_array(text: str) -> bool:
    return bool(BARE.search(text) or SHAPED.search(text))


def without_shape(thing: Public) -> list[str]:
    """Return the arrays whose shape stands neither in the signature nor in words."""
    untold = [kind for kind, words in SHAPE_IN_WORDS.items() if not words.search(thing.words)]
    rest = {name: SHAPED.sub("", text) for name, text in thing.arrays.items()}
    return [name for name, text in rest.items() if any(re.search(kind, text) for kind in untold)]


def without_unit(thing: Public) -> list[str]:
    """Return the arrays of something that names no unit; true and false need none."""
    if UNITS.search(thing.words):
        return []
    needless = r"\b(Bool|Int)\[[^\]]*\]" if COUNTS.search(thing.words) else r"\bBool\[[^\]]*\]"
    return [name for name, text in thing.arrays.items() if is_array(re.sub(needless, "", text))]


PUBLISHED = list(published())


@pytest.mark.parametrize("thing", PUBLISHED, ids=lambda thing: thing.label)
def test_public_names_have_docstrings_and_arrays_have_shapes_and_units(thing):
    # A dataclass without a docstring is given its signature as one.
    assert thing.doc, f"{thing.label} has no docstring"
    assert not thing.doc.startswith(f"{thing.label.split('.')[-1]}("), f"{thing.label} has no docstring"
    assert not without_shape(thing), f"{thing.label} has arrays without a shape: {without_shape(thing)}"
    assert not without_unit(thing), f"{thing.label} names no unit for {without_unit(thing)}"


def test_packages_that_export_names_are_in_the_reference():
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    exports = {package: set(getattr(importlib.import_module(package), "__all__", ())) for package in packages}
    # A folder whose names its room exports is shown with the room.
    shown = {name for name, names in exports.items() if names - exports.get(name.rpartition(".")[0], set())}
    assert len(shown) > 5
    assert shown <= set(MODULES)


Picture = Float[np.ndarray, "height width"]


class Base:
    """Hold for 2 s what a subclass forgets.

    Args:
        held: in no section of its own, s.
    """

    def __init__(self, held: "np.ndarray") -> None:
        self.seen: Float[np.ndarray, " n"] = held

    def told(self) -> "Float[np.ndarray, ' n']":
        """Return a time, s."""
        return self.seen

    def untold(self) -> "Float[np.ndarray, ' n']":
        """Run one control step, share units of it, and return what is left."""
        return self.seen


class Derived(Base):
    """Add to a base. Pictures have no unit, and a property says so itself."""

    def told(self) -> "Float[np.ndarray, ' n']":
        """Return the same as the base."""
        return self.seen

    @property
    def picture(self) -> "Picture":
        """The picture."""
        return self.seen


@dataclasses.dataclass
class Row:
    """Hold a row.

    Attributes:
        place: in the plane, m.
        rest: what is left.
    """

    place: "Float[np.ndarray, ' 2']"
    rest: "Float[np.ndarray, ' n']"


def test_what_is_left_out_is_found(monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "bases_of_ours", lambda kind: list(kind.__mro__[:-1]))
    members = list(of_members("tests.Derived", Derived, set()))
    assert [thing.label for thing in members if without_unit(thing)] == ["tests.Derived.picture", "tests.Base.untold"]
    assert without_shape(of_class("tests.Derived", Derived)) == ["held"]
    assert of_class("tests.Derived", Derived).arrays.keys() == {"held", "seen"}
    assert [thing.label for thing in of_fields("tests.Row", Row) if without_unit(thing)] == ["tests.Row.rest"]


def test_an_array_without_a_shape_is_found():
    def found(**arrays: str) -> list[str]:
        return without_shape(Public("thing", "", arrays, ""))

    assert found(a='Float[Tensor, "batch n"] | None', b='tuple[Bool[np.ndarray, " n"], int]') == []
    assert found(d='tuple[Tensor, Float[Tensor, " n"]]', e="np.ndarray", f="pd.DataFrame") == ["d", "e", "f"]
    assert without_shape(Public("thing", "", {"a": "np.ndarray", "b": "pd.DataFrame"}, "An array [n, 2].")) == ["b"]


@pytest.mark.parametrize(
    "words", ["Joint angles, rad.", "Speeds (m/s).", "Times, s", "Rates, from 0 to 1.", "Weights have no unit."]
)
def test_a_unit_is_recognised(words):
    assert UNITS.search(words)


@pytest.mark.parametrize(
    "words",
    [
        "Run one control step.",
        "The 64 units share it.",
        "A second circuit's state.",
        "From -3 to 4.",
        "m of n",
        "Count on.",
    ],
)
def test_what_only_resembles_a_unit_is_not_taken_for_one(words):
    assert not UNITS.search(words)
