"""Lowering sums and products: shortcuts, gates, constants per channel."""

import operator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from signbit.export.builder import Value
from signbit.export.context import Context
from signbit.export.error import ExportError
from signbit.export.rules import lowers_function, vector
from signbit.export.steps import Activation, Scaling, Unsqueeze
from signbit.packed import nodes as n

Constant = float | Tensor


@lowers_function(operator.add, operator.iadd, torch.add, "add", "add_")
def _add(context: Context, path: str, a: Any, b: Any, *, alpha: float = 1) -> Value:
    if not isinstance(b, Value):
        return _scaled(a, path, added=alpha * b)
    if alpha != 1:
        b = _scaled(b, path, factor=alpha)
    if not isinstance(a, Value):
        return _scaled(b, path, added=a)
    if a.shape != b.shape:
        raise ExportError(f"{path}: adding {a.shape} to {b.shape} has no packed form; only equal shapes")
    sources = [context.builder.number(x, path) for x in (a, b)]
    return context.builder.value(context.builder.add(n.Add, path, *sources))


@lowers_function(operator.sub, operator.isub, torch.sub, "sub", "sub_")
def _sub(context: Context, path: str, a: Any, b: Any, *, alpha: float = 1) -> Value:
    return _add(context, path, a, b, alpha=-alpha)


@lowers_function(operator.neg, torch.neg, "neg")
def _neg(context: Context, path: str, x: Value) -> Value:
    return _scaled(x, path, factor=-1.0)


@lowers_function(operator.truediv, operator.itruediv, torch.div, "div", "div_")
def _div(context: Context, path: str, a: Any, b: Any) -> Value:
    if isinstance(b, Value):
        raise ExportError(f"{path}: dividing by a value that depends on the sample has no packed form")
    return _scaled(a, path, factor=1 / b)


@lowers_function(operator.mul, operator.imul, torch.mul, "mul", "mul_")
def _mul(context: Context, path: str, a: Any, b: Any) -> Value:
    if not isinstance(b, Value):
        return _scaled(a, path, factor=b)
    if not isinstance(a, Value):
        return _scaled(b, path, factor=a)
    x, gate = (a, b) if np.prod(a.shape) >= np.prod(b.shape) and _opening(a) is None else (b, a)
    if (function := _opening(gate)) is not None:
        gate = Value(gate.source, gate.shape, gate.steps[: -1 - isinstance(gate.steps[-1], Unsqueeze)])
    builder = context.builder
    sources = [builder.number(v, path) for v in (x, gate)]
    return builder.value(builder.add(n.Gate, path, *sources, function=function or "identity"))


def _opening(x: Value) -> str | None:
    """The function of a gate that x ends with, whether or not it was given height and width 1 after that."""
    steps = [step for step in x.steps[-2:] if not isinstance(step, Unsqueeze)]
    return steps[-1].gate if steps and isinstance(steps[-1], Activation) else None


def _scaled(x: Value, path: str, *, factor: Constant = 1.0, added: Constant = 0.0) -> Value:
    """Multiplies x by `factor` and adds `added`, constants of one value per channel, or one for all."""
    channels = x.shape[0]
    for constant in (factor, added):
        if isinstance(constant, Tensor) and not _per_channel(constant, x):
            raise ExportError(
                f"{path}: a constant of shape {tuple(constant.shape)} beside {x.shape} is not one per channel, so it "
                "has no packed form"
            )
    return x.then(Scaling.linear(path, vector(factor, channels), vector(added, channels)))


def _per_channel(constant: Tensor, x: Value) -> bool:
    """Whether broadcasting gives every channel one value."""
    aligned = (1,) * (len(x.size()) - constant.dim()) + tuple(constant.shape)
    return len(aligned) == len(x.size()) and all(size == 1 for i, size in enumerate(aligned) if i != 1)
