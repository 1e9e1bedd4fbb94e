"""Real weights as int8: near torch, and exact in their integers."""

import numpy as np
import pytest
import torch
from torch import nn

from export.compare import EVEN, IMAGE, ops, pixels, scramble
from signbit import nn as binary
from signbit.export import to_graph
from signbit.packed import reference


def test_int8_stem_is_near_and_exact_in_its_integers():
    model = scramble(nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU()))
    graph = to_graph(model, image=IMAGE, stem="int8")
    batch = pixels(IMAGE)
    expected = model(torch.from_numpy(IMAGE.normalize(batch))).detach().numpy()
    got = reference.run(graph, batch)
    assert ops(graph) == ["Conv", "Affine", "PReLU"]
    assert graph.nodes[0].weight.dtype == np.int8
    assert graph.nodes[1].border is not None
    assert np.abs(got - expected).max() < 0.02 * np.abs(expected).max()


def test_int8_stem_in_front_of_a_sign_is_a_threshold_per_border_class():
    """Held to the same arithmetic in float64; sums on the very edge may round to the other side in torch's float32."""
    layers = [nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.MaxPool2d(2), binary.BinaryConv2d(16, 4, 1)]
    graph = to_graph(scramble(nn.Sequential(*layers)), image=IMAGE, stem="int8")
    assert ops(graph) == ["Conv", "Threshold", "Pool", "BinaryConv"]
    real = to_graph(scramble(nn.Sequential(*layers[:2])), image=IMAGE, stem="int8")
    batch = pixels(IMAGE, 64)
    values = dict(reference.trace(graph, batch))
    expected = reference.run(real, batch)
    differ = (expected >= 0) != (values[graph.nodes[1].name] > 0)
    assert {-1, 1} == set(graph.nodes[1].direction.tolist())
    assert np.abs(expected[differ]).max(initial=0) < 1e-5


def test_int8_stem_of_a_mean_image_is_its_bias():
    image = type(IMAGE)(height=10, width=9, mean=(0.2, 0.4, 0.6), std=IMAGE.std)
    model = scramble(nn.Sequential(nn.Conv2d(3, 8, 5, 1, 2)))
    graph = to_graph(model, image=image, stem="int8")
    mean = np.broadcast_to(np.array([51, 102, 153], np.uint8).reshape(1, 3, 1, 1), (1, 3, 10, 9))
    expected = np.broadcast_to(model[0].bias.detach().numpy().reshape(1, 8, 1, 1), (1, 8, 10, 9))
    np.testing.assert_allclose(reference.run(graph, np.ascontiguousarray(mean)), expected, atol=1e-4)


def test_int8_classifier_and_point_convolution():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 16, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    model = scramble(model.append(nn.Linear(16, 5)))
    batch = pixels(IMAGE, 16)
    graph = to_graph(model, image=IMAGE, dense="int8", calibration=batch)
    expected = model(torch.from_numpy(IMAGE.normalize(batch))).detach().numpy()
    assert ops(graph).count("Quantize") == 2
    assert np.abs(reference.run(graph, batch) - expected).max() < 0.03 * np.abs(expected).max()
    with pytest.raises(ValueError, match="needs calibration="):
        to_graph(model, image=IMAGE, dense="int8")
    with pytest.raises(ValueError, match="stem must be"):
        to_graph(model, image=EVEN, stem="int4")
