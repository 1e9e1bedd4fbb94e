"""The same network without one-bit layers, in PyTorch and float32, for fair comparisons of speed; `int8` builds on it.

A twin is built from the packed graph: the same layers, shapes and biases. Sign and threshold become ReLU, an affine
after a layer is gone into its bias, and the image arrives normalised: what one would deploy instead. Its weights are
scaled so that values neither grow nor vanish; they do not matter for the speed. `exact_twin` is the float32 twin with
signs and thresholds left in; that its output equals the packed model's shows that the layers are the same.
"""

from collections.abc import Callable

import numpy as np
import torch
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
            self.steps.append((slot[node.name], tuple(slot[source] for source in node.inputs)))
        self.output = slot[graph.output]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The output for a batch."""
        held = [x, *[x] * len(self.steps)]
        for layer, (target, sources) in zip(self.layers, self.steps):
            held[target] = layer(*[held[source] for source in sources])
        return held[self.output]


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
        case n.PReLU() | n.HardTanh() if not exact:
            return nn.ReLU()
        case n.Threshold() | n.Sign() | n.Affine() | n.Lookup() | n.Quantize() if not exact:
            return nn.ReLU() if isinstance(node, n.Threshold | n.Sign) and not raw else None
        case n.Threshold() | n.Sign() | n.Affine() | n.Lookup() | n.Quantize() | n.PReLU() | n.HardTanh():
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
    if node.levels is not None:
        raise NoTwinError(f"node {node.name!r} has weight levels other than -a, +a")
    features = graph.edges[node.inputs[0]].shape[0]
    signs = reference.conv_signs(node, features) if isinstance(node, n.BinaryConv) else None
    return (reference.signs(node.weight, node.filters, features) if signs is None else signs).astype(np.float32)


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
