"""Run a function of tensors as a CUDA graph, which the GPU replays without waiting for Python."""

from __future__ import annotations

import gc
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import torch
from torch import Tensor

_Results = TypeVar("_Results")
_MOST = 128  # graphs at a time; each takes some megabytes of the GPU's memory


class Replayed(Generic[_Results]):
    """A function of CUDA tensors that is recorded and replayed, once for each shape of its tensors and each option.

    A recurrent circuit's gradient is a thousand small kernels, each of which takes less time than Python takes to
    launch it; a graph launches all of them at once. The first call with new shapes runs the function as it is, the
    second records it.

    Args:
        function: takes tensors and, by name, options; returns tensors. It has no other effect, and does not look at the
            values of CUDA tensors, which are not there yet while it is recorded.

    Source: https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
    """

    def __init__(self, function: Callable[..., _Results]) -> None:
        self._function = function
        self._seen: set[Hashable] = set()
        self._graphs: dict[Hashable, tuple[torch.cuda.CUDAGraph, tuple[Tensor, ...], _Results]] = {}
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, *tensors: Tensor, **options: Hashable) -> _Results:
        """Return what the function returns; the next call may overwrite it."""
        key = (*(tensor.shape for tensor in tensors), *options.items())
        if key not in self._seen:
            self._seen.add(key)
            return self._function(*tensors, **options)
        if key not in self._graphs:
            if len(self._graphs) == _MOST:
                self._graphs.clear()
            self._graphs[key] = self._record(tensors, options)
        graph, inputs, results = self._graphs[key]
        for place, tensor in zip(inputs, tensors, strict=True):
            place.copy_(tensor)
        graph.replay()
        return results

    def _record(
        self, tensors: tuple[Tensor, ...], options: dict[str, Hashable]
    ) -> tuple[torch.cuda.CUDAGraph, tuple[Tensor, ...], _Results]:
        graph, inputs = torch.cuda.CUDAGraph(), tuple(tensor.clone() for tensor in tensors)
        # Garbage waits: no graph may be deleted while another is recorded.
        collects = gc.isenabled()
        gc.disable()
        try:
            with torch.cuda.graph(graph, self._pool):
                results = self._function(*inputs, **options)
        finally:
            if collects:
                gc.enable()
        return graph, inputs, results
