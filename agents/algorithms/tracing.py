"""Trace a function of tensors into its list of torch operations, and replay these without the Python around them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

Flat = Callable[..., list[Tensor]]


@dataclasses.dataclass(frozen=True)
class Traced:
    """A traced function: `run(*prepare(*fixed), *varying)` returns what the function itself would.

    Attributes:
        prepare: runs the operations that depend only on the fixed inputs.
        run: runs the other operations; takes the outputs of `prepare`, then the varying inputs, and returns the
            outputs.
    """

    prepare: Flat
    run: Flat


def traced(function: Flat, fixed: Sequence[Tensor], varying: Sequence[Tensor]) -> Traced:
    """Return a function that repeats the operations that `function` runs on these inputs.

    Python branches in `function` are taken once, here: they may depend on shapes, not on values. Tensors that
    `function` reads from outside its arguments become constants. Several threads may trace at once: unlike torch's own
    `make_fx`, this changes nothing outside its thread.

    Args:
        function: takes the fixed tensors, then the varying ones; returns a list of tensors.
        fixed: inputs that stay the same over many runs, of any shape and in any unit; no tensor may appear twice.
        varying: the other inputs.
    """
    recorder = _Recorder([*fixed, *varying], len(fixed))
    with recorder:
        outputs = function(*fixed, *varying)
    return recorder.finish(outputs)


@dataclasses.dataclass(frozen=True)
class _Value:
    """A tensor by its number: an input, or an operation's output."""

    number: int


@dataclasses.dataclass(frozen=True)
class _Operation:
    """One operation, with a `_Value` in place of each tensor; `made` are the numbers of its outputs."""

    function: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    made: tuple[int, ...]
    returns_many: bool

    @property
    def used(self) -> set[int]:
        """The numbers of its input values."""
        leaves = pytree.tree_leaves((self.args, self.kwargs), is_leaf=lambda leaf: isinstance(leaf, _Value))
        return {leaf.number for leaf in leaves if isinstance(leaf, _Value)}

    @property
    def is_pure(self) -> bool:
        """Whether it neither changes a tensor in place nor draws random numbers."""
        drawn = torch.Tag.nondeterministic_seeded in self.function.tags
        return not (self.function._schema.is_mutable or drawn)


class _Recorder(TorchDispatchMode):
    """Records every operation below `vmap` and autograd, where it acts on plain tensors."""

    def __init__(self, inputs: Sequence[Tensor], n_fixed: int) -> None:
        super().__init__()
        self._n_inputs, self._n_fixed = len(inputs), n_fixed
        self._operations: list[_Operation] = []
        # Tensors are identified by id(), which is unique only while they are referenced.
        self._held: list[Tensor] = []
        self._numbers: dict[int, int] = {}
        self._constants: dict[int, Tensor] = {}
        for value in inputs:
            self._note(value)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Skip torch's compiler: importing it takes two seconds, and it would have nothing to do."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        # A constant made in Python is lifted without a copy; an in-place operation would change it for all later runs.
        if func is torch.ops.aten.lift_fresh.default:
            func = torch.ops.aten.lift_fresh_copy.default
        result = func(*args, **(kwargs or {}))
        given, named = pytree.tree_map_only(Tensor, self._value, (tuple(args), kwargs or {}))
        many = isinstance(result, tuple | list)
        made = tuple(self._note(part) for part in (result if many else [result]) if isinstance(part, Tensor))
        self._operations.append(_Operation(func, given, named, made, many))
        return result

    def finish(self, outputs: Sequence[Tensor]) -> Traced:
        """Return the operations in two parts: those that depend on fixed inputs only, and the others."""
        wanted = [self._value(value).number for value in outputs]
        needed, operations = set(wanted), []
        for operation in reversed(self._operations):
            if not operation.is_pure or needed & set(operation.made):
                operations.append(operation)
                needed |= operation.used
        operations.reverse()
        varying = set(range(self._n_fixed, self._n_inputs))
        before, after = [], []
        # An in-place operation may change any tensor made before it.
        can_prepare = all(not operation.function._schema.is_mutable for operation in operations)
        for operation in operations:
            if can_prepare and operation.is_pure and not operation.used & varying:
                before.append(operation)
            else:
                after.append(operation)
                varying |= set(operation.made)
        used_after = set(wanted).union(*(operation.used for operation in after))
        fixed = [number for number in self._fixed_numbers(before) if number in used_after]
        inputs = list(range(self._n_inputs))
        return Traced(
            _compiled(before, inputs[: self._n_fixed], fixed, self._constants),
            _compiled(after, [*fixed, *inputs[self._n_fixed :]], wanted, self._constants),
        )

    def _fixed_numbers(self, before: Sequence[_Operation]) -> list[int]:
        return [*range(self._n_fixed), *(number for operation in before for number in operation.made)]

    def _note(self, value: Tensor) -> int:
        number = len(self._held)
        self._held.append(value)
        self._numbers[id(value)] = number
        return number

    def _value(self, value: Tensor) -> _Value:
        if id(value) not in self._numbers:
            self._constants[self._note(value)] = value
        return _Value(self._numbers[id(value)])


def _compiled(
    operations: Sequence[_Operation], inputs: Sequence[int], outputs: Sequence[int], constants: dict[int, Tensor]
) -> Flat:
    """Return a Python function that runs the operations in turn and deletes each value after its last use."""
    space: dict[str, Any] = {f"v{number}": value for number, value in constants.items()}
    last_use = {number: index for index, operation in enumerate(operations) for number in operation.used}
    kept = {*outputs, *constants}

    def expression(part: Any) -> str:
        """Return an argument as Python source; an object without a literal gets a variable's name."""
        if isinstance(part, _Value):
            return f"v{part.number}"
        if isinstance(part, list | tuple):
            inside = "".join(f"{expression(each)}, " for each in part)
            return f"[{inside}]" if isinstance(part, list) else f"({inside})"
        if part is None or isinstance(part, bool | int):
            return repr(part)
        space[f"c{len(space)}"] = part
        return f"c{len(space) - 1}"

    lines = [f"def run({', '.join(f'v{number}' for number in inputs)}):"]
    for index, operation in enumerate(operations):
        given = [*map(expression, operation.args), *(f"{name}={expression(v)}" for name, v in operation.kwargs.items())]
        # The operator overload itself: torch's Python wrapper takes a third of a small operation's time.
        space[f"f{index}"] = operation.function._op
        made = (
            "".join(f"v{number}, " for number in operation.made) if operation.returns_many else f"v{operation.made[0]}"
        )
        lines.append(f"    {made} = f{index}({', '.join(given)})")
        done = [n for n in {*operation.used, *operation.made} - kept if last_use.get(n, index) == index]
        lines += [f"    del {', '.join(f'v{number}' for number in sorted(done))}"] if done else []
    lines.append(f"    return [{', '.join(f'v{number}' for number in outputs)}]")
    exec("\n".join(lines), space)
    run: Flat = space["run"]
    return run
