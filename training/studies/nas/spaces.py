"""Search spaces: architectures defined by one value for each of a few choices."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ....errors import InvalidOption, UnknownName
from ....options import told

Genes = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class SearchSpace:
    """A search space of ordered choices; an architecture has one value for each choice.

    An architecture is written `name=value|name=value`, in the order of the choices, without choices that have no effect
    in it, so that equivalent architectures have the same name. `space[3]` is the fourth, `len(space)` their number.

    Attributes:
        name: name of the space.
        choices: values of each choice, in order: strings, integers or booleans.
        only_with: for a conditional choice, the other choice and the value with which it has an effect.

    Raises:
        InvalidOption: a choice has no values or a duplicate one, or depends on a choice that does not exist.
    """

    name: str
    choices: Mapping[str, tuple[Any, ...]]
    only_with: Mapping[str, tuple[str, Any]] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        # As JSON has them, lists.
        object.__setattr__(self, "choices", {choice: tuple(values) for choice, values in self.choices.items()})
        object.__setattr__(self, "only_with", {choice: tuple(other) for choice, other in self.only_with.items()})
        for choice, values in self.choices.items():
            if not values or len(set(map(str, values))) < len(values):
                raise InvalidOption(f"{choice} of {self.name} has the values {told(values)}; give different ones")
        for choice, (other, value) in self.only_with.items():
            names = list(self.choices)
            if choice not in names or other not in names[: names.index(choice)] or value not in self.choices[other]:
                raise InvalidOption(
                    f"{choice} of {self.name} acts only with {other}={value}; give an earlier one and a value of that"
                )

    @functools.cached_property
    def architectures(self) -> tuple[str, ...]:
        """Every architecture once; the last choice varies fastest."""
        every = itertools.product(*(range(len(values)) for values in self.choices.values()))
        return tuple(dict.fromkeys(map(self.written, every)))

    def __len__(self) -> int:
        return len(self.architectures)

    def __getitem__(self, index: int) -> str:
        return self.architectures[index]

    def __iter__(self) -> Iterator[str]:
        return iter(self.architectures)

    def index(self, architecture: str) -> int:
        """Return the index of an architecture, whose choices may be written in any order.

        Raises:
            UnknownName: there is no such choice or value.
            InvalidOption: a choice is missing or duplicate.
        """
        return self.architectures.index(self.written(self._genes(architecture)))

    def values(self, architecture: str) -> dict[str, Any]:
        """Return the value of each choice that has an effect in an architecture; raises the errors of `index`."""
        return self._acting(self._genes(architecture))

    def written(self, genes: Genes) -> str:
        """Return the architecture with these genes (the index of its value in each choice)."""
        return "|".join(f"{choice}={value}" for choice, value in self._acting(genes).items())

    def drawn(self, rng: np.random.Generator) -> Genes:
        """Return the genes of a uniformly drawn architecture."""
        genes = self._genes(self[int(rng.integers(len(self)))])
        return self._filled(genes, {}, rng)

    def mutated(self, genes: Genes, rng: np.random.Generator) -> Genes:
        """Return mutated genes: one effective choice changes, and choices that only then have an effect are drawn.

        Raises:
            InvalidOption: the space has only one architecture.
        """
        before, names = self._acting(genes), list(self.choices)
        able = [names.index(choice) for choice in before if len(self.choices[choice]) > 1]
        if not able:
            raise InvalidOption(f"{self.name} has one architecture, of which there is no other; give it more choices")
        at = int(rng.choice(able))
        step = int(rng.integers(1, len(self.choices[names[at]])))
        changed = list(genes)
        changed[at] = (genes[at] + step) % len(self.choices[names[at]])
        return self._filled(tuple(changed), before, rng)

    def _filled(self, genes: Genes, acted: Mapping[str, Any], rng: np.random.Generator) -> Genes:
        """Return the genes with a drawn value for each choice that need not act, and did not act before."""
        return tuple(
            int(rng.integers(len(self.choices[choice]))) if choice in self.only_with and choice not in acted else gene
            for choice, gene in zip(self.choices, genes, strict=True)
        )

    def _acting(self, genes: Genes) -> dict[str, Any]:
        every = {choice: self.choices[choice][gene] for choice, gene in zip(self.choices, genes, strict=True)}
        acting: dict[str, Any] = {}
        for choice, value in every.items():
            other, needed = self.only_with.get(choice, (None, None))
            if other is None or (other in acting and acting[other] == needed):
                acting[choice] = value
        return acting

    def _genes(self, architecture: str) -> Genes:
        given: dict[str, int] = {}
        for part in architecture.split("|"):
            choice, _, text = part.partition("=")
            if choice not in self.choices:
                raise UnknownName(f"choice of the space {self.name}", choice, self.choices, f"write {self[0]}")
            texts = list(map(str, self.choices[choice]))
            if text not in texts:
                raise UnknownName(f"value of {choice} in the space {self.name}", text, texts)
            if choice in given:
                raise InvalidOption(f"{architecture} has {choice} twice; write {self[0]}")
            given[choice] = texts.index(text)
        genes = tuple(given.get(choice, 0) for choice in self.choices)
        if lacking := [choice for choice in self._acting(genes) if choice not in given]:
            raise InvalidOption(f"{architecture} has no {lacking[0]}; write {self[0]}")
        return genes
