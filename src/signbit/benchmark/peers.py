"""The contenders of a benchmark that need PyTorch: float32 and int8 twins of a packed model."""

import copy
from collections.abc import Callable, Iterable
from functools import partial
from types import TracebackType

import numpy as np
import torch
from torch import nn

from signbit.benchmark import int8, qdq, twins
from signbit.benchmark.timing import shortest
from signbit.benchmark.twins import NoTwinError
from signbit.packed import Graph
from signbit.packed.bits import Array

Call = Callable[[], object]
FLOAT = "PyTorch fp32"
ONNX = "ONNX Runtime int8"
TOLERANCE = 1e-3
"""Largest difference of equal outputs, relative to the largest output."""
MOST = 0.5
"""Least share of images on which the exact float32 twin's output equals ours; other layers give none, ties cost few."""


class Rivals:
    """Twins of `graph`, ready to be called; while entered, torch runs on `threads` threads without gradients."""

    def __init__(self, graph: Graph, wanted: Iterable[str], *, threads: int) -> None:
        self._graph = graph
        self._threads = threads
        self._twins: dict[str, Callable[[torch.Tensor], Call]] = {}
        self._missing: list[str] = []
        builders = {"float": self._float, "int8": self._int8, "onnx": self._onnx}
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
        twin = twins.float_twin(self._graph)
        self._twins[FLOAT] = lambda x: _faster_layout(twin, x)

    def _int8(self) -> None:
        try:
            twin = int8.chain(self._graph)
        except NoTwinError as error:
            if ONNX in self._twins:
                raise
            self._missing.append(f"int8 by ONNX Runtime: {error}")
            self._onnx()
        else:
            self._twins["PyTorch int8"] = lambda x: _faster_layout(twin, int8.quantize(x))

    def _onnx(self) -> None:
        if ONNX in self._twins:
            return
        (edge,) = self._graph.inputs.values()
        pixels = np.random.default_rng(0).integers(0, 256, (32, *edge.shape)).astype(np.uint8)
        images = twins.prepare(self._graph, pixels).numpy()
        run = qdq.session(twins.float_twin(self._graph), images, threads=self._threads)
        self._twins[ONNX] = lambda x: partial(run, x.numpy())

    def check(self, run: Callable[[Array], Array], batch: Array) -> tuple[str, ...]:
        """What can be said about the twins: whether the float one's layers give our output, and who is missing.

        One rounding of a float32 sum can turn a sign, and the signs after it; so some images may differ.

        Args:
            run: our engine.
            batch: pixels to compare on.

        Returns:
            Sentences; where the float twin computes something else no twin is timed, as that would mean nothing.
        """
        if FLOAT not in self._twins:
            return tuple(self._missing)
        ours = run(batch)
        theirs = twins.exact_twin(self._graph)(torch.from_numpy(batch.astype(np.float32))).numpy()
        difference = np.abs(theirs - ours).reshape(len(batch), -1).max(axis=1)
        equal = int(np.sum(difference <= TOLERANCE * max(1.0, float(np.abs(ours).max()))))
        if equal < MOST * len(batch):
            self._twins.clear()
            return (
                *self._missing,
                f"no twin is timed: the fp32 one equals ours on {equal} of {len(batch)} images only",
            )
        return (
            *self._missing,
            f"fp32 twin checked: with signs for ReLU it equals ours on {equal} of {len(batch)} images",
        )

    def calls(self, batch: Array) -> dict[str, Call]:
        """One call per twin, on the prepared `batch`."""
        x = twins.prepare(self._graph, batch)
        return {name: bind(x) for name, bind in self._twins.items()}

    def empty_calls(self) -> dict[str, Call]:
        """A call that computes nothing, per engine."""
        pixel = torch.zeros(1, 1, 1, 1)
        return {
            name: partial(qdq.nothing(), pixel.numpy()) if name == ONNX else partial(nn.Identity(), pixel)
            for name in self._twins
        }


def _faster_layout(twin: nn.Module, x: torch.Tensor) -> Call:
    """The twin on `x` in the memory layout that suits it better here: channels first or last."""
    layouts = (torch.contiguous_format, torch.channels_last) if x.ndim == 4 else (torch.contiguous_format,)
    calls: list[Call] = [
        partial(copy.deepcopy(twin).to(memory_format=layout), x.contiguous(memory_format=layout))  # type: ignore[call-overload]
        for layout in layouts
    ]
    return calls[0] if len(calls) == 1 else min(calls, key=shortest)
