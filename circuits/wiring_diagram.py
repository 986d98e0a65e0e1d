"""How the parts of a composed circuit are joined: where its wires end, which part steps first, and what each hears."""

from __future__ import annotations

import graphlib
import itertools
from collections.abc import Iterable, Mapping

from ..errors import CircuitMismatch
from .contract import Circuit
from .wires import IN, OUT, End, Joined, Sum, Term, Wire, end_of, read_end


class WiringDiagram:
    """Parts and the wires between them, checked and laid out.

    Args:
        parts: circuits by name.
        wires: between them.
        senses: size of each sense that wires may start from.
        n_motors: the number of motor commands of the whole.

    Attributes:
        senses: name and size of each sense that a wire starts from.
        joined: the wires with their ends.
        delayed: those of them with a delay.
        order: the parts' names, each after those that it hears at once.
        made_of: what the columns of each part, in this order, and at last of `out` are sums of.

    Raises:
        CircuitMismatch: an end does not exist, sizes or units differ, something that a part senses or a motor has no
            wire, or wires without delay form a cycle.
    """

    def __init__(
        self, parts: Mapping[str, Circuit], wires: Iterable[Wire], senses: Mapping[str, int], n_motors: int
    ) -> None:
        self._parts, self._offered, self._n_motors, wires = parts, senses, n_motors, tuple(wires)
        sources = [source for wire in wires for source in (wire.source, wire.gate or "")]
        sensed = {source.partition(":")[0].removeprefix("in.") for source in sources if source.startswith("in.")}
        self.senses = tuple((sense, size) for sense, size in senses.items() if sense in sensed)
        self.joined = tuple(self._join(number, wire) for number, wire in enumerate(wires))
        self.delayed = tuple(each for each in self.joined if each.wire.delay)
        self.order = self._sorted()
        self.made_of = {name: self._gathered(name) for name in (*self.order, OUT)}

    def _join(self, number: int, wire: Wire) -> Joined:
        """Find a wire's ends, and refuse it if they do not fit."""
        if wire.delay < 0:
            raise CircuitMismatch(f"{wire} has a delay of {wire.delay}; give 0 or more control steps")
        source, target = self._source(wire, wire.source), self._target(wire)
        if source.size != target.size:
            raise CircuitMismatch(
                f"{wire} joins {source.size} values to {target.size}; name as many of them, as in NAME:0:{target.size}"
            )
        alike = source.sense == target.sense if source.part == IN else target.part == OUT
        if wire.gain is None and not alike:
            unit = source.sense or "motor commands"
            raise CircuitMismatch(
                f"{wire} joins {unit} to {target.sense or 'motor commands'}, whose units differ; write a gain"
            )
        gate = None if wire.gate is None else self._source(wire, wire.gate)
        if gate is not None and gate.size != 1:
            raise CircuitMismatch(f"{wire}: a gate is one value and not {gate.size}; name one, as in {wire.gate}:0:1")
        key = f"wire{number}" if wire.delay else source.part
        return Joined(wire, source, target, 1.0 if wire.gain is None else float(wire.gain), key, gate)

    def _source(self, wire: Wire, text: str) -> End:
        part, sense, some = read_end(wire, text, "a source is in.SENSE or PART")
        if part == IN:
            if sense not in self._offered:
                raise CircuitMismatch(f"{wire}: no sense {sense!r}; there are {', '.join(self._offered)}")
            return end_of(wire, part, sense, some, dict(self.senses), sense)
        if sense or part not in self._parts:
            there = [*(f"in.{name}" for name in self._offered), *self._parts]
            raise CircuitMismatch(f"{wire}: no source {text!r}; there are {', '.join(there)}")
        return end_of(wire, part, "", some, {"": self._parts[part].n_motors}, "")

    def _target(self, wire: Wire) -> End:
        part, sense, some = read_end(wire, wire.target, "a target is PART.SENSE or out")
        if part == OUT and not sense:
            return end_of(wire, part, "", some, {"": self._n_motors}, "")
        heard = dict(self._parts[part].senses) if part in self._parts else {}
        if sense not in heard:
            there = ", ".join([f"{name}.{each}" for name, held in self._parts.items() for each, _ in held.senses])
            raise CircuitMismatch(f"{wire}: no target {wire.target!r}; there are out, {there}")
        return end_of(wire, part, sense, some, heard, sense)

    def _sorted(self) -> tuple[str, ...]:
        """Return the parts' names in an order in which each comes after those that it hears at once."""
        before: dict[str, list[str]] = {name: [] for name in self._parts}
        for each in self.joined:
            if each.target.part == OUT:
                continue
            if each.source.part != IN and not each.wire.delay:
                before[each.target.part].append(each.source.part)
            if each.gate is not None and each.gate.part != IN:
                before[each.target.part].append(each.gate.part)
        try:
            return tuple(graphlib.TopologicalSorter(before).static_order())
        except graphlib.CycleError as error:
            # graphlib lists a part before those that hear it.
            raise CircuitMismatch(
                f"wires without delay form a cycle: {' -> '.join(error.args[1])}; give one of them a delay of 1 or more"
            ) from error

    def _gathered(self, target: str) -> tuple[Sum, ...]:
        """Return what each range of a target's columns is the sum of."""
        wires = [each for each in self.joined if each.target.part == target]
        size = self._n_motors if target == OUT else self._parts[target].n_sensors
        ends = {0, size, *(end for each in wires for end in (each.target.columns.start, each.target.columns.stop))}
        cuts = sorted(ends)
        found: list[Sum] = []
        for start, stop in itertools.pairwise(cuts):
            terms = []
            for each in wires:
                if each.target.columns.start <= start and stop <= each.target.columns.stop:
                    # A wire with a delay holds its own values alone.
                    first = 0 if each.wire.delay else each.source.columns.start
                    first += start - each.target.columns.start
                    terms.append(Term(each.key, slice(first, first + stop - start), each.gain, each.gate))
            if not terms:
                raise CircuitMismatch(f"no wire reaches {self._told(target, start)}; wire it, or give another circuit")
            before = found[-1] if found else ()
            if len(terms) == len(before) == 1 and (both := before[0].joined(terms[0])):
                found[-1] = (both,)
            else:
                found.append(tuple(terms))
        return tuple(tuple(each._replace(columns=self._some(each)) for each in terms) for terms in found)

    def _some(self, term: Term) -> slice | None:
        """Return a term's columns, None if they are all that there are under its key."""
        key, held = term.key, {each.key: each.source.size for each in self.delayed}
        whole = sum(size for _, size in self.senses)
        size = whole if key == IN else held[key] if key in held else self._parts[key].n_motors
        return None if term.columns == slice(0, size) else term.columns

    def _told(self, target: str, column: int) -> str:
        if target == OUT:
            return f"out:{column}:{column + 1}"
        for sense, size in self._parts[target].senses:
            if column < size:
                return f"{target}.{sense}" if size == 1 else f"{target}.{sense}:{column}:{column + 1}"
            column -= size
        raise AssertionError(column)
