"""FINN's TFC-W1A1, as its authors distribute it, gives their figures."""

import numpy as np
import pytest

from importers.evaluator import OPSETS, onnx_tensors
from places import needs, place
from signbit.data import load
from signbit.importers import from_finn
from signbit.packed import dumps, reference

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper  # noqa: E402

TFC = place("ref_finn_tfc")
pytestmark = needs("ref_finn_tfc", "mnist")


def mnist_test():
    dataset = load("mnist", place("mnist"), "test")
    return dataset.images, dataset.labels


def test_tfc_reproduces_finns_figures():
    graph = from_finn(TFC / "model.onnx")
    first = reference.run(graph, np.load(TFC / "input.npy").astype(np.uint8))
    assert first.argmax(axis=1).tolist() == [7, 2, 1, 0] == np.load(TFC / "expected_output.npy").tolist()

    images, labels = mnist_test()
    golden = np.load(TFC / "tfc_w1a1_mnist_expected.npz")
    values = dict(reference.trace(graph, images))
    np.testing.assert_array_equal(values["MatMul_3_out0"], golden["dot3"])
    for layer in range(3):
        np.testing.assert_array_equal(values[f"MatMul_{layer}_out0"][:16], golden[f"dot{layer}_first16"])
    predicted = values[graph.output].argmax(axis=1)
    np.testing.assert_array_equal(predicted, golden["pred"])
    assert (predicted == labels).mean() == 0.9296


def test_tfc_runs_on_every_instruction_set():
    runtime = pytest.importorskip("signbit.runtime")
    graph = from_finn(TFC / "model.onnx")
    images, labels = mnist_test()
    for isa in runtime.isas():
        scores = runtime.compile(graph, isa=isa).run(images)
        assert (scores.argmax(axis=1) == labels).mean() == 0.9296, isa


def test_tfc_thresholds_equal_the_files_own_arithmetic_on_every_sum():
    model = onnx.load(TFC / "model.onnx")
    graph = from_finn(TFC / "model.onnx")
    falling = 0
    for layer, depth in enumerate((784, 64, 64)):
        source, target = f"MatMul_{layer}_out0", f"MultiThreshold_{layer + 1}_out0"
        names = [node.output[0] for node in model.graph.node]
        chain = model.graph.node[names.index(source) + 1 : names.index(target) + 1]
        part = helper.make_graph(
            chain,
            "chain",
            [helper.make_tensor_value_info(source, TensorProto.FLOAT, None)],
            [helper.make_tensor_value_info(target, TensorProto.FLOAT, None)],
            model.graph.initializer,
        )
        sums = np.arange(-depth, depth + 1, 2)[:, None].repeat(64, axis=1)
        expected = onnx_tensors(helper.make_model(part, opset_imports=OPSETS), sums.astype(np.float32))[target]
        node = graph.node(target)
        np.testing.assert_array_equal(reference.compute(node, sums.astype(np.int32)), expected)
        falling += int((node.direction < 0).sum())
    assert falling == 12


def test_tfc_weights_take_one_bit_each():
    weights = 784 * 64 + 64 * 64 + 64 * 64 + 64 * 10
    assert len(dumps(from_finn(TFC / "model.onnx"))) < weights / 8 + 3 * 64 * 5 + 784 * 0 + 2048 + 300 * 11
