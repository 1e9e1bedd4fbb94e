"""Lowering normalisations and activations."""

from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from signbit import nn as binary
from signbit.export.builder import Value
from signbit.export.context import Context
from signbit.export.error import ExportError
from signbit.export.rules import lowers, lowers_function, vector
from signbit.export.steps import Activation, Function, Scaling
from signbit.packed import nodes as n
from signbit.packed.bits import Array


@lowers(nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout, nn.FeatureAlphaDropout)
def _identity(context: Context, path: str, module: nn.Module, x: Value) -> Value:
    return x


@lowers_function(F.dropout, F.dropout2d, "contiguous", "detach", "float", torch.detach)
def _same(context: Context, path: str, x: Value, *rest: Any, **options: Any) -> Value:
    return x


@lowers(nn.BatchNorm1d, nn.BatchNorm2d)
def _batch_norm(context: Context, path: str, module: nn.BatchNorm2d, x: Value) -> Value:
    mean, variance, channels = module.running_mean, module.running_var, x.shape[0]
    if mean is None or variance is None:
        raise ExportError(f"{path}: batch norm without running statistics depends on the batch; track them")
    scale = vector(module.weight, channels, 1.0) / np.sqrt(vector(variance, channels) + module.eps)
    offset = vector(module.bias, channels) - vector(mean, channels) * scale
    return x.then(Scaling(path=path, function=module, scale=scale, offset=offset))


@lowers(nn.LayerNorm)
def _layer_norm(context: Context, path: str, module: nn.LayerNorm, x: Value) -> Value:
    if tuple(module.normalized_shape) != x.shape:
        raise ExportError(
            f"{path}: LayerNorm packs over the whole sample {x.shape}, got {tuple(module.normalized_shape)}; "
            "to normalise every position over its channels use signbit.nn.ChannelNorm"
        )
    return _norm(context, path, x, "sample", module.eps, module.weight, module.bias)


@lowers(binary.ChannelNorm)
def _channel_norm(context: Context, path: str, module: binary.ChannelNorm, x: Value) -> Value:
    return _norm(context, path, x, "channels", module.eps, module.weight, module.bias)


@lowers(nn.GroupNorm)
def _group_norm(context: Context, path: str, module: nn.GroupNorm, x: Value) -> Value:
    if module.num_groups != 1:
        raise ExportError(f"{path}: GroupNorm packs with one group, got {module.num_groups}; use BatchNorm2d")
    return _norm(context, path, x, "sample", module.eps, module.weight, module.bias)


def _norm(
    context: Context, path: str, x: Value, over: str, eps: float, weight: Tensor | None, bias: Tensor | None
) -> Value:
    scale, offset = (None if t is None else t.detach().float().numpy().copy() for t in (weight, bias))
    source = context.builder.number(x, path)
    name = context.builder.add(n.Norm, path, source, over=over, eps=float(eps), scale=scale, offset=offset)
    return context.builder.value(name)


def prelu(path: str, function: Function, slope: Array, positive: Array | None = None) -> Activation:
    """The step x -> x · positive above zero, x · slope below."""
    fields = {"slope": slope.astype(np.float32), "positive": None if positive is None else positive.astype(np.float32)}
    return Activation(path=path, function=function, op=n.PReLU, fields=fields)


def clip(path: str, function: Function, low: float, high: float) -> Activation:
    """The step x -> min(max(x, low), high)."""
    return Activation(path=path, function=function, op=n.HardTanh, fields={"low": float(low), "high": float(high)})


@lowers(nn.PReLU)
def _prelu(context: Context, path: str, module: nn.PReLU, x: Value) -> Value:
    return x.then(prelu(path, module, vector(module.weight, x.shape[0])))


@lowers(nn.ReLU)
def _relu(context: Context, path: str, module: nn.ReLU, x: Value) -> Value:
    return x.then(prelu(path, F.relu, np.zeros(x.shape[0])))


@lowers_function(F.relu, torch.relu, torch.relu_, "relu", "relu_")
def _relu_function(context: Context, path: str, x: Value, inplace: bool = False) -> Value:
    return x.then(prelu(path, F.relu, np.zeros(x.shape[0])))


@lowers(nn.LeakyReLU)
def _leaky_relu(context: Context, path: str, module: nn.LeakyReLU, x: Value) -> Value:
    slope = module.negative_slope
    return x.then(prelu(path, partial(F.leaky_relu, negative_slope=slope), np.full(x.shape[0], slope)))


@lowers_function(F.leaky_relu)
def _leaky_relu_function(
    context: Context, path: str, x: Value, negative_slope: float = 0.01, inplace: bool = False
) -> Value:
    return x.then(
        prelu(path, partial(F.leaky_relu, negative_slope=negative_slope), np.full(x.shape[0], negative_slope))
    )


@lowers_function(F.prelu, torch.prelu)
def _prelu_function(context: Context, path: str, x: Value, weight: Tensor) -> Value:
    return x.then(prelu(path, lambda t: F.prelu(t, weight), vector(weight, x.shape[0])))


@lowers(nn.Hardtanh, nn.ReLU6, binary.Hardtanh)
def _hardtanh(context: Context, path: str, module: nn.Hardtanh, x: Value) -> Value:
    return x.then(clip(path, partial(F.hardtanh, min_val=module.min_val, max_val=module.max_val), *_bounds(module)))


def _bounds(module: nn.Hardtanh) -> tuple[float, float]:
    return module.min_val, module.max_val


@lowers_function(F.hardtanh)
def _hardtanh_function(
    context: Context, path: str, x: Value, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Value:
    return x.then(clip(path, partial(F.hardtanh, min_val=min_val, max_val=max_val), min_val, max_val))


@lowers_function(torch.clamp, torch.clip, "clamp", "clamp_", "clip")
def _clamp(context: Context, path: str, x: Value, min: float | None = None, max: float | None = None) -> Value:
    low, high = -3.0e38 if min is None else min, 3.0e38 if max is None else max
    return x.then(clip(path, lambda t: torch.clamp(t, min, max), low, high))


@lowers(binary.RPReLU)
def _rprelu(context: Context, path: str, module: binary.RPReLU, x: Value) -> Value:
    slope = module.slope
    moved = x.then(Scaling.shift(f"{path}.shift_in", module.shift_in))
    bent = moved.then(prelu(path, lambda t: F.prelu(t, slope), vector(slope, x.shape[0])))
    return bent.then(Scaling.shift(f"{path}.shift_out", module.shift_out))


@lowers(binary.TwoSlopePReLU)
def _two_slopes(context: Context, path: str, module: binary.TwoSlopePReLU, x: Value) -> Value:
    channels = x.shape[0]
    return x.then(prelu(path, module, vector(module.negative, channels), vector(module.positive, channels)))


@lowers(nn.Sigmoid)
def _sigmoid(context: Context, path: str, module: nn.Module, x: Value) -> Value:
    return x.then(Activation(path=path, function=torch.sigmoid, gate="sigmoid"))


@lowers_function(torch.sigmoid, F.sigmoid, "sigmoid")
def _sigmoid_function(context: Context, path: str, x: Value) -> Value:
    return x.then(Activation(path=path, function=torch.sigmoid, gate="sigmoid"))


@lowers(nn.Hardsigmoid)
def _hardsigmoid(context: Context, path: str, module: nn.Module, x: Value) -> Value:
    return x.then(Activation(path=path, function=F.hardsigmoid, gate="hardsigmoid"))


@lowers_function(F.hardsigmoid)
def _hardsigmoid_function(context: Context, path: str, x: Value, inplace: bool = False) -> Value:
    return x.then(Activation(path=path, function=F.hardsigmoid, gate="hardsigmoid"))


@lowers(nn.Tanh, nn.Softsign, nn.ELU, nn.CELU, nn.SELU, nn.Softplus, nn.GELU, nn.SiLU, nn.Hardswish)
def _before_a_sign(context: Context, path: str, module: nn.Module, x: Value) -> Value:
    return x.then(Activation(path=path, function=lambda t: module(t.clone())))


@lowers_function(torch.tanh, F.tanh, "tanh")
def _tanh(context: Context, path: str, x: Value) -> Value:
    return x.then(Activation(path=path, function=torch.tanh))
