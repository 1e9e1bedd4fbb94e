"""The contenders of a benchmark that need PyTorch: float32 and int8 twins of a packed model."""

from collections.abc import Callable, Iterable
from types import TracebackType

import numpy as np
import torch
from torch import nn

from signbit.cli import int8, twins
from signbit.cli.twins import NoTwinError
from signbit.packed import Graph
from signbit.packed.bits import Array

Call = Callable[[], object]
TOLERANCE = 1e-3
"""Largest difference of the exact float32 twin's output, relative to the output's largest value."""


class Rivals:
    """Twins of `graph`, ready to be called; while entered, torch runs on `threads` threads without gradients."""

    def __init__(self, graph: Graph, wanted: Iterable[str], *, threads: int) -> None:
        self._graph = graph
        self._threads = threads
        self._twins: dict[str, tuple[nn.Module, Callable[[torch.Tensor], torch.Tensor]]] = {}
        self._missing: list[str] = []
        builders = {"float": self._float, "int8": self._int8}
        for name in wanted:
            try:
                builders[name]()
            except NoTwinError as error:
                self._missing.append(f"no {name} twin: {error}")

    def __enter__(self) -> "Rivals":
        self._before = torch.get_num_threads()
        torch.set_num_threads(self._threads)
        self._mode = torch.inference_mode()
        self._mode.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._mode.__exit__(kind, error, trace)
        torch.set_num_threads(self._before)

    def _float(self) -> None:
        self._twins["PyTorch fp32"] = twins.float_twin(self._graph), lambda x: x

    def _int8(self) -> None:
        self._twins["PyTorch int8"] = int8.chain(self._graph), int8.quantize

    def check(self, ours: Array, batch: Array) -> tuple[str, ...]:
        """What can be said about the twins: the float one's layers give our output, and who is missing.

        Raises:
            ValueError: the float twin computes something else, so its time would mean nothing.
        """
        notes = list(self._missing)
        if "PyTorch fp32" in self._twins:
            pixels = torch.from_numpy(batch.astype(np.float32))
            result = twins.exact_twin(self._graph)(pixels).numpy()
            difference = float(np.abs(result - ours).max(initial=0))
            if difference > TOLERANCE * max(1.0, float(np.abs(ours).max(initial=0))):
                raise ValueError(f"the fp32 twin's output differs by {difference:g}; its time would mean nothing")
            notes.append(f"fp32 twin: with signs in place of ReLU its output equals ours within {difference:.2g}")
        return tuple(notes)

    def calls(self, batch: Array) -> dict[str, Call]:
        """One call per twin, on the prepared `batch`."""
        x = twins.prepare(self._graph, batch)
        return {name: _bound(twin, inputs(x)) for name, (twin, inputs) in self._twins.items()}

    def empty_calls(self) -> dict[str, Call]:
        """A call that computes nothing, per twin."""
        nothing, pixel = nn.Identity(), torch.zeros(1, 1, 1, 1)
        return {name: _bound(nothing, pixel) for name in self._twins}


def _bound(twin: nn.Module, x: torch.Tensor) -> Call:
    return lambda: twin(x)
