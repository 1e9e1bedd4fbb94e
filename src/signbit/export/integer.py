"""Integers where torch has reals: pixels for layers with one-bit weights, and int8 weights on request."""

import numpy as np
import torch

from signbit.export.builder import Builder, Value
from signbit.export.context import Context
from signbit.export.steps import Normalise
from signbit.packed import nodes as n
from signbit.packed.bits import Array

_PARTS = (1, 2, 4, 5, 10, 20, 25, 50, 100, 200, 500, 1000)


def integer_input(context: Context, x: Value) -> tuple[str, float] | None:
    """The normalised image as a node of integers and the step between them, where its table is that exactly.

    So it is for means on a grid of thousandths and equal standard deviations: sums over ±1 weights are then exact, and
    thresholds integer.
    """
    exact = pixel_table(x)
    if exact is None or (found := integer_table(exact)) is None:
        return None
    step, table = found
    path = f"{x.steps[0].path}.integers"
    return context.builder.once(("integers", x.source), n.Lookup, path, x.source, table=table), step


def reads_pixels(x: Value) -> bool:
    """Whether x is the normalised image."""
    return pixel_table(x) is not None


def pixel_table(x: Value) -> Array | None:
    """The normalised value of every pixel value, (C, 256), where x is the normalised image."""
    if x.source != Builder.INPUT or len(x.steps) != 1 or not isinstance(step := x.steps[0], Normalise):
        return None
    return step.table


def integer_table(table: Array) -> tuple[float, Array] | None:
    """(step, integers (C, 256) int32) with table = step · integers within 2^-22 of its range, or None."""
    exact = table.astype(np.float64)
    pixel_step = (exact[0, 255] - exact[0, 0]) / 255
    bound = 2.0**-22 * np.abs(exact).max()
    for parts in _PARTS:
        step = pixel_step / parts
        integers = np.rint(exact / step)
        if np.abs(integers * step - exact).max() <= bound:
            return float(np.float32(step)), integers.astype(np.int32)
    return None


def symmetric(weight: torch.Tensor) -> tuple[Array, Array]:
    """int8 weights in -127..127 and the step of each filter: weight ≈ step · int8."""
    flat = weight.detach().double().flatten(1)
    step = (flat.abs().amax(dim=1) / 127).clamp(min=1e-30)
    codes = torch.round(flat / step[:, None]).clamp(-127, 127).to(torch.int8)
    return codes.view(weight.shape).numpy(), step.numpy()
