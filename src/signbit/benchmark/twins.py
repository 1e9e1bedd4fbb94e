"""The same network without one-bit layers, in PyTorch and float32, for fair comparisons of speed; `int8` builds on it.

A twin is built from the packed graph: the same layers, shapes and biases. Sign and threshold become ReLU, an affine
after a layer is gone into its bias, and the image arrives normalised: what one would deploy instead. Its weights are
scaled so that values neither grow nor vanish; they do not matter for the speed. `exact_twin` is the float32 twin with
signs and thresholds left in; that its output equals the packed model's shows that the layers are the same.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from signbit.packed import Graph, Node, reference
from signbit.packed import nodes as n
from signbit.packed.bits import Array
from signbit.packed.window import Window

Layered = n.BinaryConv | n.BinaryLinear | n.Conv | n.Linear


class NoTwinError(ValueError):
    """A network for which no twin of that kind can be built; the message says why."""


def prepare(graph: Graph, batch: Array) -> torch.Tensor:
    """What a float network takes for the pixels `batch`: normalised float32."""
    if graph.image is not None:
        return torch.from_numpy(graph.image.normalize(batch))
    return torch.from_numpy(batch.astype(np.float32))


def float_twin(graph: Graph) -> nn.Module:
    """The float32 twin; takes what `prepare` gives."""
    return _Twin(graph, exact=False).eval()


def exact_twin(graph: Graph) -> nn.Module:
    """The float32 twin with the packed model's own signs and thresholds; takes raw pixels as float32."""
    return _Twin(graph, exact=True).eval()


class _Twin(nn.Module):
    """Runs one module per node; a node that a float network does not have is None and hands its input on."""

    def __init__(self, graph: Graph, *, exact: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        self.steps: list[tuple[int, tuple[int, ...]]] = []
        slot = dict.fromkeys(graph.inputs, 0)
        raw = set(graph.inputs)
        for node in graph.nodes:
            module = _module(graph, node, exact=exact, raw=node.inputs[0] in raw)
            if not isinstance(node, Layered) and node.inputs[0] in raw:
                raw.add(node.name)
            if module is None:
                slot[node.name] = slot[node.inputs[0]]
                continue
            self.layers.append(module)
            slot[node.name] = len(self.layers)
            self.steps.append((slot[node.name], tuple(slot[source] for source in _sources(node, exact=exact))))
        self.output = slot[graph.output]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The output for a batch."""
        held = [x, *[x] * len(self.steps)]
        for layer, (target, sources) in zip(self.layers, self.steps):
            held[target] = layer(*[held[source] for source in sources])
        return held[self.output]


def _sources(node: Node, *, exact: bool) -> tuple[str, ...]:
    """What the node's module reads: weights of two levels and ReLU need no window sum."""
    alone = isinstance(node, Layered) or (isinstance(node, n.Threshold) and not exact)
    return node.inputs[:1] if alone else node.inputs


def _module(graph: Graph, node: Node, *, exact: bool, raw: bool) -> nn.Module | None:
    """The module for a node; `raw` where no weighted layer stands between it and the image."""
    match node:
        case n.BinaryConv() | n.BinaryLinear() | n.Conv() | n.Linear():
            return layer(graph, node, exact=exact)
        case n.Add():
            return _Apply(lambda *terms: sum(terms[1:], terms[0]))
        case n.Concat():
            return _Apply(lambda *parts: torch.cat(parts, dim=1))
        case n.Pool():
            return pool(node)
        case n.Flatten():
            return nn.Flatten()
        case n.Select():
            return _Apply(partial(_select, index=node.index))
        case n.Gate():
            return _Apply(partial(_gate, function=_OPENINGS[node.function]))
        case n.Norm(over="channels") if not exact:
            return _Apply(_norm)
        case n.PReLU() | n.HardTanh() if not exact:
            return nn.ReLU()
        case n.Threshold() | n.Sign() if not exact:
            return None if raw else nn.ReLU()
        case n.Affine() | n.Lookup() | n.Quantize() | n.WindowSum() if not exact:
            return None
        case n.Threshold() | n.Sign() | n.Affine() | n.Lookup() | n.Quantize() | n.PReLU() | n.HardTanh():
            return _Reference(graph, node)
        case n.WindowSum() | n.Norm():
            return _Reference(graph, node)
    raise NoTwinError(f"node {node.name!r} is a {type(node).__name__}, which has no plain float counterpart")


class _Apply(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """The function's result."""
        return self.function(*inputs)


_OPENINGS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "identity": lambda x: x,
    "sigmoid": torch.sigmoid,
    "hardsigmoid": F.hardsigmoid,
}


def _gate(x: torch.Tensor, gate: torch.Tensor, *, function: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    return x * function(gate).reshape(*gate.shape, *(1,) * (x.dim() - gate.dim()))


def _norm(x: torch.Tensor) -> torch.Tensor:
    return F.layer_norm(x.movedim(1, -1), x.shape[1:2]).movedim(-1, 1)


def _select(x: torch.Tensor, *, index: Array) -> torch.Tensor:
    """Channels by their numbers; where they are all of them with zeros (-1) around, as a pad, which is faster."""
    inside = np.flatnonzero(index >= 0)
    if np.array_equal(index[inside], np.arange(x.shape[1])) and np.array_equal(
        inside, inside[0] + np.arange(len(inside))
    ):
        return F.pad(x, (0, 0) * (x.dim() - 2) + (int(inside[0]), len(index) - 1 - int(inside[-1])))
    chosen = x[:, torch.from_numpy(index.clip(0).astype(np.int64))]
    kept = torch.from_numpy((index >= 0).astype(np.float32))
    return chosen * kept.view(-1, *(1,) * (x.dim() - 2))


class _Reference(nn.Module):
    """A node computed by `packed.reference`: exact, slow, only for checking."""

    def __init__(self, graph: Graph, node: Node) -> None:
        super().__init__()
        self.edge = graph.edges[node.name]
        self.node = node
        self.dtype = np.uint8 if isinstance(node, n.Lookup) else np.float32

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """The node's value as float32."""
        arrays = [x.numpy().astype(self.dtype) for x in inputs]
        return torch.from_numpy(reference.evaluate(self.node, self.edge, arrays).astype(np.float32))


def layer(graph: Graph, node: Layered, *, exact: bool) -> nn.Module:
    """The float32 convolution or product of a weighted node, with a bias as batch normalisation leaves one."""
    kernel = torch.from_numpy(kernel_of(graph, node))
    if not exact:
        kernel = kernel / max(1e-6, float(kernel.abs().mean()) * kernel[0].numel() ** 0.5)
    bias = getattr(node, "bias", None)
    module: nn.Linear | nn.Conv2d
    if isinstance(node, n.BinaryLinear | n.Linear):
        module = nn.Linear(kernel.shape[1], kernel.shape[0])
    else:
        module = nn.Conv2d(
            kernel.shape[1] * node.groups,
            kernel.shape[0],
            node.window.kernel,
            stride=node.window.stride,
            dilation=node.window.dilation,
            padding=0 if exact else symmetric_padding(node.window),
            groups=node.groups,
        )
    module.weight = nn.Parameter(kernel)
    module.bias = nn.Parameter(torch.zeros(len(kernel)) if bias is None else torch.from_numpy(bias))
    if exact and isinstance(node, n.BinaryConv | n.Conv) and max(node.window.padding) > 0:
        top, left, bottom, right = node.window.padding
        pad = nn.ConstantPad2d((left, right, top, bottom), float(getattr(node, "pad_value", 0)))
        return nn.Sequential(pad, module)
    return module


def kernel_of(graph: Graph, node: Layered) -> Array:
    """The weights of a weighted node as float32, in torch's layout."""
    if isinstance(node, n.Conv | n.Linear):
        return node.weight.astype(np.float32)
    features = graph.edges[node.inputs[0]].shape[0]
    if isinstance(node, n.BinaryConv):
        signs = reference.conv_signs(node, features)
    else:
        signs = reference.signs(node.weight, node.filters, features)
    if node.levels is None:
        return signs.astype(np.float32)
    low, high = (level.reshape(-1, *(1,) * (signs.ndim - 1)) for level in node.levels.T)
    return np.where(signs < 0, low, high)


def symmetric_padding(window: Window) -> tuple[int, int]:
    """The padding as torch wants it."""
    top, left, bottom, right = window.padding
    if (top, left) != (bottom, right):
        raise NoTwinError(f"padding {window.padding} is not symmetric")
    return top, left


def pool(node: n.Pool) -> nn.Module:
    """The pooling layer of a node; works on float32 and on quantized tensors."""
    window = node.window
    if node.mode == "sum":
        raise NoTwinError(f"node {node.name!r} sums over a window")
    if node.mode == "max":
        return nn.MaxPool2d(window.kernel, window.stride, symmetric_padding(window), window.dilation)
    return nn.AvgPool2d(window.kernel, window.stride, symmetric_padding(window), count_include_pad=node.count_padding)
