"""Steps that wait on a value: element-wise functions per channel, and moves that a sign may pass.

Each step can evaluate itself with the very torch module it came from, on a tensor (1, C, n, 1) or (n, features) that
holds n numbers for every channel, and can emit itself as a node of real numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from signbit.export.builder import Builder, Step
from signbit.export.error import ExportError
from signbit.packed import nodes as n
from signbit.packed.bits import Array
from signbit.packed.window import Window

Function = Callable[[Tensor], Tensor]


def per_channel(value: Tensor, x: Tensor) -> Tensor:
    """A parameter (C,) beside x (N, C, ...)."""
    return value.view(-1, *(1,) * (x.dim() - 2))


@dataclass(frozen=True, eq=False, kw_only=True)
class Scaling(Step):
    """scale · x + offset per channel, in float64 until it is emitted; `offset` may be per border class."""

    function: Function
    scale: Array
    offset: Array
    border: Array | None = None

    @classmethod
    def linear(cls, path: str, scale: Array, offset: Array, border: Array | None = None) -> "Scaling":
        """A step that no module stands for; it evaluates in float32."""
        factor, added = torch.from_numpy(scale).float(), torch.from_numpy(offset).float()

        def function(x: Tensor) -> Tensor:
            return x * per_channel(factor, x) + per_channel(added, x)

        return cls(path=path, function=function, scale=scale, offset=offset, border=border)

    @classmethod
    def shift(cls, path: str, value: Tensor) -> "Scaling":
        """Adds `value` per channel, in torch's single rounding."""

        def function(x: Tensor) -> Tensor:
            return x + per_channel(value, x)

        return cls(path=path, function=function, scale=np.ones(len(value)), offset=value.double().numpy())

    def of_class(self, border_class: int) -> "Scaling":
        """This step where the border has one class."""
        return Scaling.linear(self.path, self.scale, self.offset[:, border_class])

    def evaluate(self, x: Tensor) -> Tensor:
        """The module's own result."""
        return self.function(x)

    def merge(self, following: Step) -> Step | None:
        """Two affines are one."""
        if not isinstance(following, Scaling) or following.border is not None:
            return None
        factor, added = following.scale, following.offset
        if self.border is not None:
            factor, added = factor[:, None], added[:, None]
        return Scaling(
            path=following.path,
            function=lambda x: following.function(self.function(x)),
            scale=self.scale * following.scale,
            offset=self.offset * factor + added,
            border=self.border,
        )

    def emit(self, builder: Builder, source: str) -> str:
        """An Affine."""
        scale, offset = self.scale.astype(np.float32), self.offset.astype(np.float32)
        return builder.add(n.Affine, self.path, source, scale=scale, offset=offset, border=self.border)


@dataclass(frozen=True, eq=False, kw_only=True)
class Levels(Step):
    """Integer sums d of a layer with weights of two levels to half · d + middle · S, S the window sum beside them.

    Attributes:
        low: (filters,), float32.
        high: (filters,), float32.
        op: the layer's kind of node.
        fields: of the layer's node.
        inputs: the layer's bits and the window sum S.
        sums: attainable values of S.
        most: largest numbers of weights of one filter that are low, and that are high, times the largest input.
    """

    low: Tensor
    high: Tensor
    op: type[n.Node]
    fields: dict[str, Any]
    inputs: tuple[str, str]
    sums: range
    most: tuple[int, int]

    def beside(self, window_sum: int) -> range:
        """Sums d that may stand beside one value of S: S is the sum over low and high weights, d their difference."""
        low, high = self.most
        reach = (window_sum - 2 * low, -window_sum - 2 * high), (window_sum + 2 * low, -window_sum + 2 * high)
        return range(max(reach[0]), min(reach[1]) + 1, 2)

    def evaluate(self, x: Tensor) -> Tensor:
        """Never asked for: one number does not say what both sums are; `fold_levels` tries them together."""
        raise TypeError(f"{self.path}: two sums have to be evaluated together")

    def emit(self, builder: Builder, source: str) -> str:
        """The layer's node with real output, instead of `source`."""
        levels = torch.stack([self.low, self.high], dim=1).numpy()
        if bool((levels == levels[:1]).all()):
            levels = levels[:1].copy()
        return builder.add(self.op, self.path, *self.inputs, levels=levels, **self.fields)


@dataclass(frozen=True, eq=False, kw_only=True)
class Activation(Step):
    """An element-wise function; without `op` it packs only where a sign follows, or with `gate` as a factor."""

    function: Function
    op: type[n.Node] | None = None
    gate: Literal["sigmoid", "hardsigmoid"] | None = None
    fields: dict[str, Any] = field(default_factory=dict)

    def evaluate(self, x: Tensor) -> Tensor:
        """The module's own result."""
        return self.function(x)

    def emit(self, builder: Builder, source: str) -> str:
        """The node of this function."""
        if self.op is None:
            raise ExportError(
                f"{self.path}: this function packs only between a one-bit layer and the sign that follows; "
                "elsewhere use PReLU, ReLU or Hardtanh"
            )
        return builder.add(self.op, self.path, builder.numeric(source, self.path), **self.fields)


@dataclass(frozen=True, eq=False, kw_only=True)
class Normalise(Step):
    """Pixels to the normalised values that the network was trained on, by a table (C, 256)."""

    table: Array

    def evaluate(self, x: Tensor) -> Tensor:
        """Looks x, numbers 0..255, up."""
        index = x.long()
        return torch.stack([torch.from_numpy(row)[index[:, c]] for c, row in enumerate(self.table)], dim=1)

    def emit(self, builder: Builder, source: str) -> str:
        """A Lookup of float32."""
        return builder.add(n.Lookup, self.path, source, table=self.table)


@dataclass(frozen=True, eq=False, kw_only=True)
class MaxPool(Step):
    """Maximum over a window; passes a sign, and whatever rises before it."""

    window: Window

    def evaluate(self, x: Tensor) -> Tensor:
        """Every position on its own: the pool is placed before or behind the threshold, not inside."""
        return x

    def emit(self, builder: Builder, source: str) -> str:
        """A Pool on any kind of edge."""
        name = builder.once((source, self), n.Pool, self.path, source, window=self.window, mode="max")
        return builder.same_sums(name, source)


@dataclass(frozen=True, eq=False, kw_only=True)
class Flatten(Step):
    """(C, H, W) to features; passes any element-wise function."""

    positions: int

    def evaluate(self, x: Tensor) -> Tensor:
        """(1, C, n, 1) to (n, C·H·W)."""
        return x[0, :, :, 0].T.repeat_interleave(self.positions, dim=1)

    def emit(self, builder: Builder, source: str) -> str:
        """A Flatten on any kind of edge."""
        name = builder.once((source, self), n.Flatten, self.path, source)
        return builder.same_sums(name, source)


@dataclass(frozen=True, eq=False, kw_only=True)
class Unsqueeze(Step):
    """(C,) to (C, 1, 1), for a gate, which reads either."""

    def evaluate(self, x: Tensor) -> Tensor:
        """(n, C) to (1, C, n, 1)."""
        return x.T[None, :, :, None]

    def emit(self, builder: Builder, source: str) -> str:
        """Nothing: the edge stays a vector."""
        return source
