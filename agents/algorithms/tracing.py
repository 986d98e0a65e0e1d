"""A function of tensors as the list of torch operations that it comes to, to be run again without its Python."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

Flat = Callable[..., list[Tensor]]


def traced(function: Flat, inputs: Sequence[Tensor]) -> Flat:
    """Return a function that repeats the operations which `function` does on these inputs.

    What Python decides in `function` is decided here, once: it may depend on shapes, not on values. Tensors that
    `function` takes from elsewhere are kept as they are. Several threads may trace at once: unlike torch's own
    `make_fx`, this changes nothing outside its thread.

    Args:
        function: of tensors; returns a list of tensors.
        inputs: its arguments, of any shape and in any unit; no tensor stands in two places.
    """
    recorder = _Recorder(inputs)
    with recorder:
        outputs = function(*inputs)
    return recorder.finish(outputs)


class _Recorder(TorchDispatchMode):
    """Notes every operation below `vmap` and autograd, where it acts on plain tensors."""

    def __init__(self, inputs: Sequence[Tensor]) -> None:
        super().__init__()
        self._graph = fx.Graph()
        self._kept: dict[str, Tensor] = {}
        # Tensors are told apart by their identity, which stays theirs as long as they are held.
        self._held: list[Tensor] = []
        self._nodes: dict[int, fx.Node] = {}
        for index, value in enumerate(inputs):
            self._note(value, self._graph.placeholder(f"input_{index}"))

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Leave torch's compiler out: it would be imported, for two seconds, to be told to do nothing."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        # A constant made in Python is lifted without a copy, and would be changed for good by what is done to it.
        if func is torch.ops.aten.lift_fresh.default:
            func = torch.ops.aten.lift_fresh_copy.default
        result = func(*args, **(kwargs or {}))
        given, named = pytree.tree_map_only(Tensor, self._node, (tuple(args), kwargs or {}))
        node = self._graph.call_function(func, given, named)
        if isinstance(result, Tensor):
            self._note(result, node)
        elif isinstance(result, tuple | list):
            for index, part in enumerate(result):
                self._note(part, self._graph.call_function(operator.getitem, (node, index)))
        return result

    def finish(self, outputs: Sequence[Tensor]) -> Flat:
        """Return the operations as a function of the inputs."""
        self._graph.output([self._node(value) for value in outputs])
        run: Flat = fx.GraphModule(self._kept, self._graph).forward
        return run

    def _note(self, value: Tensor, node: fx.Node) -> None:
        self._held.append(value)
        self._nodes[id(value)] = node

    def _node(self, value: Tensor) -> fx.Node:
        if id(value) not in self._nodes:
            name = f"constant_{len(self._kept)}"
            self._kept[name] = value
            self._note(value, self._graph.get_attr(name))
        return self._nodes[id(value)]
