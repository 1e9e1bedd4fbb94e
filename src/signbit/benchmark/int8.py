"""The int8 twin of a network: torch's quantized modules for a chain of layers.

Weights and activations are int8 with fixed steps. They are not calibrated: a dense int8 product takes the same time
whatever its numbers, and the twin is only timed.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from signbit.benchmark.twins import Layered, NoTwinError, layer, pool
from signbit.packed import Graph
from signbit.packed import nodes as n

_FLOAT_ONLY = n.Lookup | n.Affine | n.Sign | n.Threshold | n.Quantize | n.PReLU | n.HardTanh


@contextmanager
def _quiet() -> Iterator[None]:
    """Torch announces the end of its quantized tensors at every use; they are what its users deploy today."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def chain(graph: Graph) -> nn.Module:
    """The int8 twin of a chain, with ReLU fused into every layer but the last; takes what `quantize` gives.

    Raises:
        NoTwinError: the graph branches, or holds a node without an int8 counterpart in torch.
    """
    from torch.ao.nn import quantized
    from torch.ao.nn.intrinsic import quantized as fused

    last = [node for node in graph.nodes if isinstance(node, Layered)][-1]
    modules: list[nn.Module] = []
    kind: Any
    source = next(iter(graph.inputs))
    with _quiet():
        for node in graph.nodes:
            if node.inputs != (source,):
                raise NoTwinError(f"node {node.name!r} branches, and torch's int8 modules are for chains")
            source = node.name
            match node:
                case n.BinaryConv() | n.Conv():
                    kind = quantized.Conv2d if node is last else fused.ConvReLU2d
                    modules.append(_quantized(kind, layer(graph, node, exact=False)))
                case n.BinaryLinear() | n.Linear():
                    kind = quantized.Linear if node is last else fused.LinearReLU
                    modules.append(_quantized(kind, layer(graph, node, exact=False)))
                case n.Pool():
                    modules.append(pool(node))
                case n.Flatten():
                    modules.append(nn.Flatten())
                case _ if not isinstance(node, _FLOAT_ONLY):
                    raise NoTwinError(f"node {node.name!r} is a {type(node).__name__}, which torch has not in int8")
    return nn.Sequential(*modules).eval()


def quantize(x: torch.Tensor) -> torch.Tensor:
    """Normalised float32 images as the int8 twin's input."""
    with _quiet():
        return torch.quantize_per_tensor(x, 0.02, 128, torch.quint8)


def _quantized(kind: Callable[..., Any], module: Any) -> nn.Module:
    weight = module.weight.detach()
    if isinstance(module, nn.Conv2d):
        made: Any = kind(
            module.in_channels,
            module.out_channels,
            module.kernel_size,
            stride=module.stride,
            padding=module.padding,
            dilation=module.dilation,
            groups=module.groups,
        )
    else:
        made = kind(weight.shape[1], weight.shape[0])
    step = float(weight.abs().max()) / 127
    made.set_weight_bias(torch.quantize_per_tensor(weight, step, 0, torch.qint8), module.bias.detach())
    made.scale, made.zero_point = 0.05, 0
    checked: nn.Module = made
    return checked
