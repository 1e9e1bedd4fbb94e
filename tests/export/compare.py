"""Random networks, and torch held equal to the packed reference."""

import numpy as np
import torch
from torch import Tensor, nn

from signbit import nn as binary
from signbit.export import to_graph
from signbit.packed import Graph, ImagePreparation, reference

IMAGE = ImagePreparation(height=10, width=9, mode="RGB", mean=(0.45, 0.5, 0.4), std=(0.2, 0.25, 0.3))
EVEN = ImagePreparation(height=10, width=9, mode="RGB")


def scramble(model: nn.Module, seed: int = 0) -> nn.Module:
    """Random weights and statistics; batch norms get scales of both signs, the first 0, and zeros as shifts."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.weight.data = torch.randn(module.num_features, generator=generator)
            module.bias.data = torch.randn(module.num_features, generator=generator)
            module.weight.data[0] = 0
            module.running_mean = torch.randn(module.num_features, generator=generator).mul(6).round()
            module.running_var = torch.rand(module.num_features, generator=generator) * 40 + 0.1
            module.bias.data[-1] = 0
        elif isinstance(module, binary.RSign | binary.RPReLU | binary.TwoSlopePReLU | nn.PReLU):
            for parameter in module.parameters():
                parameter.data = torch.rand(parameter.shape, generator=generator)
        elif hasattr(module, "weight") and isinstance(module.weight, nn.Parameter):
            for parameter in module.parameters(recurse=False):
                parameter.data = torch.randn(parameter.shape, generator=generator)
    return model.eval()


def pixels(image: ImagePreparation, count: int = 8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *image.shape), dtype=np.uint8)


def run_both(model: nn.Module, image: ImagePreparation = IMAGE, count: int = 8) -> tuple[Graph, np.ndarray, np.ndarray]:
    """The graph, torch's result and the packed reference's."""
    graph = to_graph(model, image=image)
    batch = pixels(image, count)
    with torch.no_grad():
        expected: Tensor = model(torch.from_numpy(image.normalize(batch)))
    return graph, expected.numpy(), reference.run(graph, batch)


def assert_equal(model: nn.Module, image: ImagePreparation = IMAGE, count: int = 8) -> Graph:
    """Torch and the packed network give the very same numbers; the graph, for more checks."""
    graph, expected, packed = run_both(model, image, count)
    np.testing.assert_array_equal(packed, expected)
    return graph


def assert_close(model: nn.Module, image: ImagePreparation = IMAGE, count: int = 8) -> Graph:
    """Torch and the packed network differ by float32 rounding only."""
    graph, expected, packed = run_both(model, image, count)
    np.testing.assert_allclose(packed, expected, rtol=2e-5, atol=2e-5 * np.abs(expected).max())
    return graph


def ops(graph: Graph) -> list[str]:
    """Node types in order."""
    return [type(node).__name__ for node in graph.nodes]
