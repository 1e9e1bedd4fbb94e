"""Lowering one-bit layers and signs."""

from functools import partial
from typing import Any

import numpy as np
from torch import Tensor, nn

from signbit import nn as binary
from signbit.export.builder import Value
from signbit.export.context import Context
from signbit.export.error import ExportError
from signbit.export.integer import integer_input
from signbit.export.moves import selected
from signbit.export.real import lower_conv, lower_linear
from signbit.export.rules import lowers, pair, vector
from signbit.export.steps import Levels, Scaling
from signbit.export.weights import encode
from signbit.packed import nodes as n
from signbit.packed.bits import Array
from signbit.packed.edges import Bits, Int, describe, integer_range
from signbit.packed.weights import BinaryWeights
from signbit.packed.window import Window
from signbit.quantizers import SubBit, sign

Layer = binary.BinaryConv2d | binary.BinaryLinear


@lowers(binary.Sign)
def _sign(context: Context, path: str, module: binary.Sign, x: Value) -> Value:
    return context.sign(x, module.quantizer, path)


@lowers(binary.RSign)
def _rsign(context: Context, path: str, module: binary.RSign, x: Value) -> Value:
    return context.sign(x.then(Scaling.shift(path, module.shift)), module.quantizer, path)


@lowers(binary.ThermometerEncode)
def _thermometer(context: Context, path: str, module: binary.ThermometerEncode, x: Value) -> Value:
    if x.shape[0] != module.num_channels:
        raise ExportError(f"{path}: it encodes {module.num_channels} channels and gets {x.shape[0]}")
    repeated = selected(context, f"{path}.repeat", x, np.arange(module.num_channels).repeat(module.planes))
    return context.sign(repeated.then(Scaling.shift(path, -module.cuts.flatten())), sign, path)


@lowers(binary.BinaryConv2d)
def _binary_conv(context: Context, path: str, module: binary.BinaryConv2d, x: Value) -> Value:
    (top, bottom), (left, right) = module.padding_sides
    window = Window(
        kernel=pair(module.kernel_size),
        stride=pair(module.stride),
        padding=(top, left, bottom, right),
        dilation=pair(module.dilation),
    )
    pad = module.pad_value if max(window.padding) > 0 else 1
    x, step = _operand(context, path, module, x, zero_padded=max(window.padding) == 0 or pad == 0)
    if module.weight_quantizer is None:
        if pad == -1 or (pad == 1 and max(window.padding) > 0):
            raise ExportError(f"{path}: a real weight packs with pad_value=0 only, got {pad}")
        return _rescaled(lower_conv(context, path, module.weight, None, x, window, module.groups), module, path)
    planes = _planes(module, path)
    place = {"window": window, "groups": module.groups, "pad_value": pad}
    fields = {**place, "filters": module.out_channels}
    weights = [encode(bits, taps=_taps(module, window.taps)) for bits in planes]
    if (levels := module.output_levels()) is not None:
        fields["weight"] = weights[0]
        return _two_levels(context, path, module, x, n.BinaryConv, levels, planes[0], fields, place)
    sums = _sums(context, path, n.BinaryConv, x, weights, fields, step, every_second=pad != 0)
    return _rescaled(sums, module, path)


@lowers(binary.BinaryLinear)
def _binary_linear(context: Context, path: str, module: binary.BinaryLinear, x: Value) -> Value:
    x, step = _operand(context, path, module, x, zero_padded=True)
    if module.weight_quantizer is None:
        return _rescaled(lower_linear(context, path, module.weight, None, x), module, path)
    planes = _planes(module, path)
    fields: dict[str, Any] = {"filters": module.out_features}
    weights = [encode(bits, taps=_taps(module, 1)) for bits in planes]
    if (levels := module.output_levels()) is not None:
        fields["weight"] = weights[0]
        return _two_levels(context, path, module, x, n.BinaryLinear, levels, planes[0], fields, {})
    sums = _sums(context, path, n.BinaryLinear, x, weights, fields, step, every_second=True)
    return _rescaled(sums, module, path)


@lowers(binary.BinaryConv1d)
def _binary_conv1d(context: Context, path: str, module: nn.Module, x: Value) -> Value:
    raise ExportError(
        f"{path}: BinaryConv1d has no packed form, maps have two dimensions; use BinaryConv2d(..., (1, k))"
    )


def _operand(context: Context, path: str, module: Layer, x: Value, *, zero_padded: bool) -> tuple[Value, float]:
    """What the layer multiplies by its weight, without steps, and the step that integers stand for."""
    if module.input_quantizer is not None:
        return context.sign(x, module.input_quantizer, f"{path}.sign"), 1.0
    if module.weight_quantizer is None:
        return x, 1.0
    builder = context.builder
    if zero_padded and (integers := integer_input(context, x)) is not None:
        return builder.value(integers[0]), integers[1]
    return builder.value(builder.emit(x)), 1.0


def _sums(
    context: Context,
    path: str,
    op: type[n.Node],
    x: Value,
    weights: list[BinaryWeights],
    fields: dict[str, Any],
    step: float,
    *,
    every_second: bool,
) -> Value:
    """The layer's product as torch has it: integer sums times `step`, or half the sum of two such products.

    Args:
        context: of the export.
        path: of the layer.
        op: its kind of node.
        x: what it multiplies by its weight.
        weights: one plane of bits, or the two of a ternary weight.
        fields: of the node, without its weight.
        step: what the integers of x stand for.
        every_second: whether sums of one plane over bits all have the parity of the depth.
    """
    builder = context.builder
    if len(weights) == 1:
        name = builder.add(op, path, x.source, **fields, weight=weights[0])
        if every_second and isinstance(builder.edges[x.source], Bits):
            low, high = integer_range(builder.edges[name])
            builder.sums[name] = range(low, high + 1, 2)
    else:
        names = ("minus", "plus")
        parts = [
            builder.add(op, f"{path}.{part}", x.source, **fields, weight=weight)
            for part, weight in zip(names, weights, strict=True)
        ]
        name, step = builder.add(n.Add, path, *parts), step / 2
        if isinstance(builder.edges[name], Int):
            low, high = integer_range(builder.edges[name])
            builder.sums[name] = range(low, high + 1, 2)
    value = builder.value(name)
    channels = value.shape[0]
    return value if step == 1 else value.then(Scaling.linear(name, np.full(channels, step), np.zeros(channels)))


def _rescaled(value: Value, module: Layer, path: str) -> Value:
    """The product after the layer's own scale and bias."""
    scale, channels = module.output_scale(), value.shape[0]
    if scale is None and module.bias is None:
        return value
    step = Scaling(
        path=f"{path}.rescale",
        # With the scale at hand, because to find it again for every stretch of sums would take longer than they do.
        function=partial(module.rescale, levels=None if scale is None else (-scale, scale)),
        scale=vector(scale, channels, 1.0),
        offset=vector(module.bias, channels),
    )
    return value.then(step)


def _two_levels(
    context: Context,
    path: str,
    module: Layer,
    x: Value,
    op: type[n.Node],
    levels: tuple[Tensor, Tensor],
    bits: Array,
    fields: dict[str, Any],
    place: dict[str, Any],
) -> Value:
    """A layer with weights of two levels: its integer sums, then `Levels`, which also know the window sum.

    Args:
        context: of the export.
        path: of the layer.
        module: the layer.
        x: what it multiplies by its weight.
        op: its kind of node.
        levels: low and high of each filter.
        bits: of its weight, (filters, depth).
        fields: of its node.
        place: fields of its window sum.
    """
    builder, edge = context.builder, context.builder.edges[x.source]
    if not isinstance(edge, Bits):
        raise ExportError(
            f"{path}: weights of two levels pack on bits, got {describe(edge)}; give the layer an input_quantizer, or "
            "±1 weights, such as weight_quantizer='sign(scale=mean)'"
        )
    shared = builder.once(("window sum", x.source, *place.values()), n.WindowSum, f"{path}.sum", x.source, **place)
    low, high = integer_range(builder.edges[shared])
    reach, set_bits = integer_range(edge)[1], bits.sum(axis=1, dtype=np.int64)
    step = Levels(
        path=path,
        low=levels[0],
        high=levels[1],
        op=op,
        fields=fields,
        inputs=(x.source, shared),
        sums=range(low, high + 1, 1 if place.get("pad_value") == 0 else 2),
        most=(reach * int(set_bits.max()), reach * int((bits.shape[1] - set_bits).max())),
    )
    value = builder.value(builder.add(op, f"{path}.product", x.source, **fields), step)
    return value if module.bias is None else value.then(Scaling.shift(f"{path}.bias", module.bias))


def _taps(module: Layer, own: int) -> int:
    """Weights of what a codebook tells apart: of a kernel, or of the groups that a sub-bit quantizer makes."""
    quantizer = module.weight_quantizer
    return quantizer.taps if isinstance(quantizer, SubBit) else own


def _planes(module: Layer, path: str) -> list[Array]:
    """Bits (filters, depth) of the weight: one plane for a code of ±1, two for a ternary one.

    A ternary t is (u + v)/2 with u = -1 where t is -1, and v = +1 where t is +1: both are sparse where t is.
    """
    quantizer = module.weight_quantizer
    code = (quantizer(module.weight) if quantizer is not None else module.weight).detach().flatten(1)
    if not bool(((code == 0) | (code.abs() == 1)).all()):
        raise ExportError(
            f"{path}: {type(quantizer).__name__} gives codes other than -1, 0 and +1, which are not one bit or two"
        )
    planes = [code < 0] if bool((code != 0).all()) else [code < 0, code <= 0]
    return [plane.numpy().astype(np.uint8) for plane in planes]
