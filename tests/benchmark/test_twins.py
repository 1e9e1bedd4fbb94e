import numpy as np
import pytest
import torch

from signbit.benchmark import int8, qdq, twins
from signbit.packed import reference


@pytest.fixture
def batch():
    return np.random.default_rng(2).integers(0, 256, (7, 1, 8, 8)).astype(np.uint8)


def test_the_exact_twin_computes_what_the_packed_model_computes(tiny_graph, batch):
    with torch.inference_mode():
        result = twins.exact_twin(tiny_graph)(torch.from_numpy(batch.astype(np.float32)))
    np.testing.assert_allclose(result.numpy(), reference.run(tiny_graph, batch), rtol=1e-5, atol=1e-5)


def test_the_float_twin_has_the_same_layers_without_signs(tiny_graph, batch):
    twin = twins.float_twin(tiny_graph)
    with torch.inference_mode():
        result = twin(twins.prepare(tiny_graph, batch))
    assert result.shape == (7, 10)
    assert result.isfinite().all()
    kinds = [type(layer).__name__ for layer in twin.layers]
    assert kinds == ["Conv2d", "MaxPool2d", "ReLU", "Flatten", "Linear", "ReLU", "Linear"]


def test_the_int8_twin_runs_quantized_layers(tiny_graph, batch):
    twin = int8.chain(tiny_graph)
    with torch.inference_mode():
        result = twin(int8.quantize(twins.prepare(tiny_graph, batch)))
    assert result.shape == (7, 10)
    assert result.is_quantized


def test_onnx_runtime_quantizes_what_branches(tiny_graph, batch):
    pytest.importorskip("onnxruntime")
    images = twins.prepare(tiny_graph, batch).numpy()
    twin = twins.float_twin(tiny_graph)
    result = qdq.session(twin, images, threads=1)(images)
    with torch.inference_mode():
        expected = twin(torch.from_numpy(images)).numpy()
    assert np.abs(result - expected).max() < 0.2 * np.abs(expected).max()
