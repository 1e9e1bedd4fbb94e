"""What every node means, by torch's operators and explicit loops: written independently of the interpreter."""

from functools import singledispatch

import numpy as np
import pytest

from signbit.packed import Bits, Image, Int, Real
from signbit.packed import nodes as n

torch = pytest.importorskip("torch")
F = torch.nn.functional


def f64(x):
    return torch.from_numpy(np.ascontiguousarray(x)).double()


def padded(x, window, fill):
    top, left, bottom, right = window.padding
    return F.pad(x, (left, right, top, bottom), value=fill)


def per_channel(vector, x):
    return np.asarray(vector).reshape(-1, *[1] * (x.ndim - 2))


def kernel_signs(weight, filters, depth):
    return 1.0 - 2.0 * weight.decode(filters, depth)


@singledispatch
def independent(node, *x):
    raise NotImplementedError(type(node).__name__)


@independent.register
def _(node: n.BinaryConv, x, *shared):
    channels = x.shape[1] // node.groups
    kernel = kernel_signs(node.weight, node.filters, channels * node.window.taps)
    kernel = f64(kernel.reshape(node.filters, channels, *node.window.kernel))
    padded_x = padded(f64(x), node.window, node.pad_value)

    def convolve(k):
        return F.conv2d(
            padded_x, k, stride=node.window.stride, dilation=node.window.dilation, groups=node.groups
        ).numpy()

    if node.levels is None:
        return convolve(kernel)
    low, high = (f64(node.levels[:, i]).reshape(-1, 1, 1, 1) for i in (0, 1))
    return convolve(torch.where(kernel < 0, low, high).expand_as(kernel).contiguous())


@independent.register
def _(node: n.BinaryLinear, x, *shared):
    kernel = kernel_signs(node.weight, node.filters, x.shape[1])
    if node.levels is not None:
        kernel = np.where(kernel < 0, node.levels[:, :1], node.levels[:, 1:]).astype(np.float64)
    return np.einsum("nk,fk->nf", x.astype(np.float64), kernel)


@independent.register
def _(node: n.WindowSum, x):
    if node.window is None:
        return x.sum(axis=1, keepdims=True)
    kernel = torch.ones((node.groups, x.shape[1] // node.groups, *node.window.kernel), dtype=torch.float64)
    window = node.window
    return F.conv2d(
        padded(f64(x), window, node.pad_value), kernel, None, window.stride, 0, window.dilation, node.groups
    ).numpy()


@independent.register
def _(node: n.Conv, x):
    bias = None if node.bias is None else f64(node.bias)
    window = node.window
    return F.conv2d(
        padded(f64(x), window, 0), f64(node.weight), bias, window.stride, 0, window.dilation, node.groups
    ).numpy()


@independent.register
def _(node: n.Linear, x):
    return F.linear(f64(x), f64(node.weight), None if node.bias is None else f64(node.bias)).numpy()


@independent.register
def _(node: n.Lookup, x):
    out = np.empty(x.shape, node.table.dtype)
    for index in np.ndindex(x.shape):
        out[index] = node.table[index[1] % len(node.table), x[index]]
    return out


@independent.register
def _(node: n.Affine, x):
    out = np.empty(x.shape, np.float32)
    for index in np.ndindex(x.shape):
        c = index[1]
        offset = node.offset[c] if node.border is None else node.offset[c, node.border[index[2:]]]
        out[index] = np.float32(np.float32(x[index]) * node.scale[c]) + offset
    return out


@independent.register
def _(node: n.Threshold, x, *shared):
    out = np.empty(x.shape, int)
    for index in np.ndindex(x.shape):
        sample, c, *place = index
        cut = node.threshold[c]
        if node.border is not None:
            cut = cut[node.border[tuple(place)]]
        if shared:
            group = c * shared[0].shape[1] // x.shape[1]
            total = int(shared[0][(sample, group, *place)])
            cut = cut[(total - node.table_low) // node.table_step]
        if node.direction[c] == 1:
            out[index] = 1 if x[index] >= cut else -1
        else:
            out[index] = 1 if x[index] <= cut else -1
    return out


@independent.register
def _(node: n.Sign, x):
    shifted = x.astype(np.float32) + (0 if node.shift is None else per_channel(node.shift, x))
    if node.planes == 1:
        return np.array([-1 if v < 0 else 1 for v in shifted.ravel()]).reshape(x.shape)
    clipped = torch.from_numpy(shifted).clamp(-1, 1)
    return (2 * torch.round((clipped + 1) * 1.5) - 3).numpy()


@independent.register
def _(node: n.Quantize, x):
    scaled = [round(float(np.float32(v) * np.float32(node.inverse_step))) + node.zero for v in x.ravel()]
    return np.array([min(max(v, node.low), node.high) for v in scaled]).reshape(x.shape)


@independent.register
def _(node: n.Add, *inputs):
    out = inputs[0]
    for x in inputs[1:]:
        both = out.dtype == x.dtype == np.int32
        out = out + x if both else out.astype(np.float32) + x.astype(np.float32)
    return out


@independent.register
def _(node: n.Concat, *inputs):
    return torch.cat([torch.from_numpy(x) for x in inputs], dim=1).numpy()


@independent.register
def _(node: n.Pool, x):
    out = np.zeros((*x.shape[:2], *node.window.output(x.shape[1:])), np.float64)
    for s, c, y, z in np.ndindex(out.shape):
        inside, taps = [], node.window.taps
        for i in range(node.window.kernel[0]):
            for j in range(node.window.kernel[1]):
                row = y * node.window.stride[0] - node.window.padding[0] + i * node.window.dilation[0]
                column = z * node.window.stride[1] - node.window.padding[1] + j * node.window.dilation[1]
                if 0 <= row < x.shape[2] and 0 <= column < x.shape[3]:
                    inside.append(float(x[s, c, row, column]))
        match node.mode:
            case "max":
                out[s, c, y, z] = max(inside)
            case "sum":
                out[s, c, y, z] = sum(inside)
            case "mean":
                out[s, c, y, z] = sum(inside) / (taps if node.count_padding else len(inside))
    return out


@independent.register
def _(node: n.PReLU, x):
    positive = np.ones(len(node.slope), np.float32) if node.positive is None else node.positive
    out = np.empty(x.shape, np.float32)
    for index in np.ndindex(x.shape):
        real = np.float32(x[index])
        out[index] = real * (positive if real >= 0 else node.slope)[index[1]]
    return out


@independent.register
def _(node: n.HardTanh, x):
    return F.hardtanh(torch.from_numpy(x).float(), node.low, node.high).numpy()


@independent.register
def _(node: n.Norm, x):
    scale = torch.ones(1) if node.scale is None else f64(node.scale)
    offset = torch.zeros(1) if node.offset is None else f64(node.offset)
    if node.over == "channels":
        shape, last = (x.shape[1],), f64(x).movedim(1, -1)
        result = F.layer_norm(last, shape, None, None, node.eps) * scale + offset
        return result.movedim(-1, 1).numpy()
    result = F.layer_norm(f64(x), x.shape[1:], None, None, node.eps)
    if scale.ndim == 1:
        scale = scale.reshape(-1, *[1] * (x.ndim - 2))
    if offset.ndim == 1:
        offset = offset.reshape(-1, *[1] * (x.ndim - 2))
    return (result * scale + offset).numpy()


@independent.register
def _(node: n.Gate, x, gate):
    opened = torch.from_numpy(gate).float()
    if gate.ndim < x.ndim:
        opened = opened[..., None, None]
    match node.function:
        case "sigmoid":
            opened = torch.sigmoid(opened)
        case "hardsigmoid":
            opened = (opened / 6 + 0.5).clamp(0, 1)
    return (torch.from_numpy(x).float() * opened).numpy()


@independent.register
def _(node: n.Where, condition, yes, no):
    out = np.empty(yes.shape)
    for index in np.ndindex(yes.shape):
        out[index] = yes[index] if condition[index] == 1 else no[index]
    return out


@independent.register
def _(node: n.Select, x):
    return np.stack([x[:, i] if i >= 0 else np.zeros_like(x[:, 0]) for i in node.index.tolist()], axis=1)


@independent.register
def _(node: n.Roll, x):
    out = np.empty_like(x)
    for s, c, y, z in np.ndindex(x.shape):
        dy, dx = node.shift[c].tolist()
        out[s, c, (y + dy) % x.shape[2], (z + dx) % x.shape[3]] = x[s, c, y, z]
    return out


@independent.register
def _(node: n.Flatten, x):
    return torch.flatten(torch.from_numpy(x), 1).numpy()


def stored(value, edge):
    """`value` as an edge holds it, rounded by other means than the reference's."""
    if isinstance(edge, Real):
        single = np.asarray(value, np.float64).astype(np.float32)
        if edge.format == "float16":
            return torch.from_numpy(single).half().float().numpy()
        if edge.format == "int16":
            steps = torch.round(torch.from_numpy(single) / torch.tensor(edge.step, dtype=torch.float32))
            return (steps.clamp(-32767, 32767) * torch.tensor(edge.step, dtype=torch.float32)).numpy()
        return single
    return np.rint(value).astype({Image: np.uint8, Bits: np.int8, Int: np.int32}[type(edge)])
