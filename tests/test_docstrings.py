"""Every public name says what it is, and every array in a public signature has its shape there.

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
from jaxtyping import Float

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    {
        line.split()[1]
        for page in (ROOT / "docs" / "reference").glob("*.md")
        for line in page.read_text(encoding="utf-8").splitlines()
        if line.startswith(":::")
    }
)
SHAPED = re.compile(r"""\b(Float|Int|Bool|UInt8|Shaped)\[[^\[\]]+, *(["'][^"']*["']|\d)\]""")
BARE = re.compile(r"\b(ndarray|NDArray|ArrayLike|Tensor|DataArray)\b")
# What a circuit remembers: a dict of tensors whose shapes are the circuit's own matter.
OPAQUE = {"State"}


@dataclasses.dataclass(frozen=True)
class Public:
    """Something with a signature, and the annotations of its arrays."""

    label: str
    doc: str
    arrays: dict[str, str]


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
                yield from of_members(label, thing, seen)
            elif inspect.isfunction(thing):
                yield Public(label, inspect.getdoc(thing) or "", arrays_of(thing))


def own_doc(thing: Any) -> str:
    return inspect.cleandoc(thing.__doc__ or "")


def bases_of_ours(kind: type) -> list[type]:
    return [base for base in kind.__mro__ if base.__module__.startswith("nervecord")]


def of_class(label: str, kind: type) -> Public:
    """Return a class with the arrays that its `__init__` takes and that it holds."""
    arrays = {}
    for base in reversed(bases_of_ours(kind)):
        arrays |= arrays_of(base) | arrays_set_in(base)
    return Public(label, own_doc(kind), arrays)


def of_members(label: str, kind: type, seen: set[int]) -> Iterator[Public]:
    """Yield public methods and properties, inherited ones with the class that is published first."""
    for base in bases_of_ours(kind):
        for name, member in vars(base).items():
            function = function_of(member)
            if function is None or name.startswith("_") or id(function) in seen:
                continue
            seen.add(id(function))
            owner = label.removesuffix(kind.__name__) + base.__name__
            yield Public(f"{owner}.{name}", own_doc(function), arrays_of(function))


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
    """Return the arrays whose annotation has no shape."""
    return [name for name, text in thing.arrays.items() if BARE.search(SHAPED.sub("", text))]


PUBLISHED = list(published())


def test_public_names_have_docstrings():
    # A dataclass without a docstring is given its signature as one.
    bare = [each.label for each in PUBLISHED if not each.doc or each.doc.startswith(f"{each.label.split('.')[-1]}(")]
    assert len(PUBLISHED) > 500
    assert bare == []


def test_arrays_in_public_signatures_have_shapes():
    assert {each.label: without for each in PUBLISHED if (without := without_shape(each))} == {}


def test_packages_that_export_names_are_in_the_reference():
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    exports = {package: set(getattr(importlib.import_module(package), "__all__", ())) for package in packages}
    # A folder whose names its room exports is shown with the room.
    shown = {name for name, names in exports.items() if names - exports.get(name.rpartition(".")[0], set())}
    assert len(shown) > 5
    assert shown <= set(MODULES)


Picture = Float[np.ndarray, "height width"]


class Base:
    """Hold an array without a shape."""

    def __init__(self, held: "np.ndarray") -> None:
        self.seen: Float[np.ndarray, " n"] = held

    def told(self) -> "np.ndarray":
        """Return it."""
        return self.seen


class Derived(Base):
    """Add to a base."""

    @property
    def picture(self) -> "Picture":
        """The picture, by a name for its type."""
        return self.seen


def test_what_is_left_out_is_found(monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "bases_of_ours", lambda kind: list(kind.__mro__[:-1]))
    members = list(of_members("tests.Derived", Derived, set()))
    assert [thing.label for thing in members] == ["tests.Derived.picture", "tests.Base.told"]
    assert [thing.label for thing in members if without_shape(thing)] == ["tests.Base.told"]
    assert without_shape(of_class("tests.Derived", Derived)) == ["held"]
    assert of_class("tests.Derived", Derived).arrays.keys() == {"held", "seen"}


def test_an_array_without_a_shape_is_found():
    shaped = {"a": 'Float[Tensor, "batch n"] | None', "b": 'tuple[Bool[np.ndarray, " n"], int]'}
    bare = {"c": 'tuple[Tensor, Float[Tensor, " n"]]', "d": "np.ndarray"}
    assert without_shape(Public("thing", "", shaped | bare)) == ["c", "d"]
