import subprocess
import sys

import numpy as np
import pytest

from importers.evaluator import OPSETS, onnx_tensors
from signbit.importers import from_finn
from signbit.packed import ImagePreparation, reference
from signbit.packed import nodes as n

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402


def build(nodes, constants, shape=(1, 3, 12, 12), pixels=True, outputs=("out",)):
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("in", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    if pixels:
        pair = onnx.StringStringEntryProto(key="finn_datatype", value="UINT8")
        graph.quantization_annotation.append(
            onnx.TensorAnnotation(tensor_name="in", quant_parameter_tensor_names=[pair])
        )
    return helper.make_model(graph, opset_imports=OPSETS)


def written(tmp_path, model):
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    return path


def signs(rng, *shape):
    return rng.choice([-1.0, 1.0], shape).astype(np.float32)


def batch_norm(rng, constants, name, channels):
    """A batch norm with scales of both signs and some near zero, its constants named after it."""
    scale = rng.normal(size=channels).astype(np.float32)
    scale[::5] *= 1e-4
    values = {
        "scale": scale,
        "offset": rng.normal(size=channels).astype(np.float32),
        "mean": rng.normal(scale=4, size=channels).astype(np.float32),
        "var": rng.uniform(1, 200, channels).astype(np.float32),
    }
    constants.update({f"{name}.{key}": value for key, value in values.items()})
    return [f"{name}.{key}" for key in values]


def threshold(source, target, thresholds="zero", scale=2.0, bias=-1.0):
    return helper.make_node(
        "MultiThreshold",
        [source, thresholds],
        [target],
        domain="finn.custom_op.general",
        out_scale=scale,
        out_bias=bias,
        out_dtype="BIPOLAR",
    )


def cnv_style(rng):
    """FINN's CNV in small: 8-bit pixels, convolutions with and without padding, pooling, two dense layers."""
    constants = {
        "255": np.float32(255),
        "zero": np.zeros((1, 1), np.float32),
        "levels": ((np.arange(255) - 127.5) / 128)[None].astype(np.float32),
        "two": np.float32(2),
        "one": np.ones((1,), np.float32),
        "w0": signs(rng, 8, 3, 3, 3),
        "w1": signs(rng, 10, 4, 3, 3) * np.float32(0.5),
        "w2": signs(rng, 150, 20),
        "w3": signs(rng, 20, 4),
        "shape": np.array([0, -1]),
        "k": np.array([1]),
        "tail": rng.uniform(0.5, 2, (1,)).astype(np.float32),
        "bias": rng.normal(size=(1,)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Div", ["in", "255"], ["a"]),
        helper.make_node("Mul", ["two", "a"], ["b"]),
        helper.make_node("Sub", ["b", "one"], ["c"]),
        threshold("c", "q", "levels", scale=1 / 128, bias=-1.0),
        helper.make_node("Conv", ["q", "w0"], ["s0"], kernel_shape=[3, 3]),
        helper.make_node("BatchNormalization", ["s0", *batch_norm(rng, constants, "bn0", 8)], ["n0"], epsilon=1e-5),
        threshold("n0", "h0"),
        helper.make_node("MaxPool", ["h0"], ["p0"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["p0", "w1"], ["s1"], kernel_shape=[3, 3], pads=[1, 0, 1, 0], group=2),
        helper.make_node("BatchNormalization", ["s1", *batch_norm(rng, constants, "bn1", 10)], ["n1"], epsilon=1e-5),
        helper.make_node("MaxPool", ["n1"], ["m1"], kernel_shape=[1, 1]),
        threshold("s1", "h1"),
        helper.make_node("Reshape", ["h1", "shape"], ["f"]),
        helper.make_node("MatMul", ["f", "w2"], ["s2"]),
        helper.make_node("BatchNormalization", ["s2", *batch_norm(rng, constants, "bn2", 20)], ["n2"], epsilon=1e-5),
        threshold("n2", "h2"),
        helper.make_node("MatMul", ["h2", "w3"], ["s3"]),
        helper.make_node("Mul", ["s3", "tail"], ["t3"]),
        helper.make_node("Add", ["t3", "bias"], ["score"]),
        helper.make_node("TopK", ["score", "k"], ["values", "out"], axis=-1),
    ]
    nodes = [node for node in nodes if node.output[0] not in ("m1",)]
    nodes[[node.output[0] for node in nodes].index("h1")].input[0] = "n1"
    return build(nodes, constants)


@pytest.mark.parametrize("seed", range(3))
def test_a_convolutional_network_equals_the_onnx_reference(tmp_path, seed):
    rng = np.random.default_rng(seed)
    model = cnv_style(rng)
    graph = from_finn(written(tmp_path, model))
    images = rng.integers(0, 256, (16, 3, 12, 12), np.uint8)
    values = dict(reference.trace(graph, images))
    for image in range(16):
        expected = onnx_tensors(model, images[image : image + 1].astype(np.float32))
        np.testing.assert_array_equal(values["q"][image] / np.float32(128), expected["q"][0])
        np.testing.assert_array_equal(values["s0"][image] / np.float32(128), expected["s0"][0])
        np.testing.assert_array_equal(values["s1"][image] / np.float32(2), expected["s1"][0])
        for name in ("h0", "p0", "h1", "f", "s2", "h2", "s3"):
            np.testing.assert_array_equal(values[name][image], expected[name][0], err_msg=name)
        np.testing.assert_allclose(values[graph.output][image], expected["score"][0], rtol=1e-5, atol=1e-6)
        assert values[graph.output][image].argmax() == expected["out"].item()


def test_qonnx_quantisers_of_weights_and_activations(tmp_path):
    rng = np.random.default_rng(0)
    constants = {
        "one": np.float32(1),
        "step": np.float32(1 / 128),
        "nought": np.float32(0),
        "eight": np.float32(8),
        "w": rng.normal(size=(6, 3, 3, 3)).astype(np.float32),
        "v": rng.normal(size=(600, 5)).astype(np.float32),
        "bias": rng.normal(size=6).astype(np.float32),
    }
    bipolar = {"domain": "qonnx.custom_op.general"}
    nodes = [
        helper.make_node("Quant", ["in", "step", "nought", "eight"], ["q"], signed=1, narrow=0, **bipolar),
        helper.make_node("BipolarQuant", ["w", "one"], ["wq"], **bipolar),
        helper.make_node("Conv", ["q", "wq", "bias"], ["s"]),
        helper.make_node("BipolarQuant", ["s", "one"], ["h"], **bipolar),
        helper.make_node("Flatten", ["h"], ["f"]),
        helper.make_node("BipolarQuant", ["v", "one"], ["vq"], **bipolar),
        helper.make_node("MatMul", ["f", "vq"], ["out"]),
    ]
    path = written(tmp_path, build(nodes, constants, pixels=False))
    image = ImagePreparation(height=12, width=12, mean=(0.5, 0.4, 0.3), std=(0.5, 0.6, 0.7))
    graph = from_finn(path, image=image)
    pixels = rng.integers(0, 256, (4, 3, 12, 12), np.uint8)
    values = dict(reference.trace(graph, pixels))

    quantised = np.clip(np.rint(image.normalize(pixels) * 128), -128, 127)
    np.testing.assert_array_equal(values["q"], quantised)
    sums = np.zeros((4, 6, 10, 10))
    for y in range(3):
        for x in range(3):
            kernel = np.where(constants["w"][:, :, y, x] >= 0, 1, -1)
            sums += np.einsum("nchw,fc->nfhw", quantised[:, :, y : y + 10, x : x + 10], kernel)
    np.testing.assert_array_equal(values["s"], sums)
    biased = (sums / 128).astype(np.float32) + constants["bias"][:, None, None]
    np.testing.assert_array_equal(values["h"], np.where(biased >= 0, 1, -1))
    assert graph.image == image
    assert graph.output == "out"


def dense(rng, *middle, constants=None, shape=(1, 1, 2, 2)):
    """A file with one dense layer and `middle` operators between its sum "s" and the tensor "out"."""
    base = {"zero": np.zeros((1, 1), np.float32), "w": signs(rng, 4, 3), "flat": np.array([1, -1])}
    nodes = [
        helper.make_node("Reshape", ["in", "flat"], ["f"]),
        threshold("f", "h"),
        helper.make_node("MatMul", ["h", "w"], ["s"]),
        *middle,
    ]
    return build(nodes, base | (constants or {}), shape=shape)


BAD = {
    "Gelu": ([helper.make_node("Gelu", ["s"], ["out"])], {}, "operator Gelu .out.: .* does not know .* MultiThreshold"),
    "two branches": ([helper.make_node("Add", ["s", "s"], ["out"])], {}, "operator Add .*chains only"),
    "constant first": ([helper.make_node("Flatten", ["w"], ["out"])], {}, "does not come from the image"),
    "real weights": (
        [threshold("s", "g"), helper.make_node("MatMul", ["g", "v"], ["out"])],
        {"v": np.array([[0.5, 1.0]] * 3, np.float32)},
        "weights 'v' take other values than ±1",
    ),
    "weights that are no constant": (
        [threshold("s", "g"), helper.make_node("MatMul", ["g", "h"], ["out"])],
        {},
        "'h' is not a constant",
    ),
    "two-bit activations": (
        [threshold("s", "g", "levels"), helper.make_node("MatMul", ["g", "v"], ["out"])],
        {"levels": np.array([[-1.0, 0, 1]], np.float32), "v": np.ones((3, 2), np.float32)},
        "'g' takes other values than ±1",
    ),
    "a constant per pixel": (
        [helper.make_node("Mul", ["s", "v"], ["out"])],
        {"v": np.ones((2, 1), np.float32)},
        "'v' of shape .2, 1. is not per channel",
    ),
    "not affine": ([threshold("s", "out", "levels")], {"levels": np.array([[-1.0, 2]], np.float32)}, "not affine"),
    "a bad reshape": (
        [helper.make_node("Reshape", ["s", "v"], ["out"])],
        {"v": np.array([3, 1])},
        "only flattening",
    ),
    "after the ranking": (
        [
            helper.make_node("TopK", ["s", "v"], ["t", "i"], axis=-1),
            helper.make_node("Mul", ["i", "two"], ["out"]),
        ],
        {"v": np.array([1]), "two": np.float32(2)},
        "operator Mul .* nothing may follow the ranking",
    ),
    "division by zero": ([helper.make_node("Div", ["s", "v"], ["out"])], {"v": np.float32(0)}, "not finite"),
    "weights of another size": (
        [threshold("s", "g"), helper.make_node("MatMul", ["g", "v"], ["out"])],
        {"v": np.ones((4, 2), np.float32)},
        r"weights of shape .4, 2. do not fit",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_pack_is_one_sentence(tmp_path, case):
    middle, constants, message = BAD[case]
    path = written(tmp_path, dense(np.random.default_rng(0), *middle, constants=constants))
    with pytest.raises(ValueError, match=message) as caught:
        from_finn(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_bit_that_changes_twice_has_no_threshold(tmp_path):
    twice = [
        threshold("s", "g", "levels", scale=2.0, bias=-1.0),
        helper.make_node("Mul", ["g", "v"], ["k"]),
        threshold("k", "t"),
        helper.make_node("MatMul", ["t", "u"], ["out"]),
    ]
    constants = {"levels": np.full((1, 1), 0.0, np.float32), "v": np.float32(1), "u": np.ones((3, 2), np.float32)}
    assert from_finn(written(tmp_path, dense(np.random.default_rng(0), *twice, constants=constants)))

    from signbit.importers.arithmetic import thresholds

    with pytest.raises(ValueError, match="more than once"):
        thresholds(np.arange(3), np.array([[False], [True], [False]]))


def test_thresholds_of_rising_falling_and_constant_bits():
    from signbit.importers.arithmetic import thresholds

    sums = np.array([-3, -1, 1, 3])
    fires = np.array([[0, 1, 0, 1], [0, 1, 0, 1], [1, 0, 0, 1], [1, 0, 0, 1]], bool)
    cut, direction = thresholds(sums, fires)
    node = n.Threshold(name="t", inputs=("x",), threshold=cut, direction=direction)
    batch = sums[:, None].repeat(4, axis=1).astype(np.int32)
    np.testing.assert_array_equal(reference.compute(node, batch) > 0, fires)
    assert direction.tolist() == [1, -1, 1, 1]


def test_files_that_are_no_onnx(tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        from_finn(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("not a model")
    with pytest.raises(ValueError, match="not an ONNX file"):
        from_finn(tmp_path / "text.onnx")
    (tmp_path / "empty.onnx").write_bytes(b"")
    with pytest.raises(ValueError, match="holds no graph"):
        from_finn(tmp_path / "empty.onnx")
    with pytest.raises(ValueError, match=r"cannot read|not an ONNX file"):
        from_finn(tmp_path)


def test_the_image_must_fit(tmp_path):
    path = written(tmp_path, dense(np.random.default_rng(0), helper.make_node("Identity", ["s"], ["out"])))
    with pytest.raises(ValueError, match=r"shape \[1, 2, 2\], the image \(3, 4, 4\)"):
        from_finn(path, image=ImagePreparation(height=4, width=4))
    assert from_finn(path, labels=("a", "b", "c")).labels == ("a", "b", "c")
    with pytest.raises(ValueError, match="2 labels"):
        from_finn(path, labels=("a", "b"))


def test_without_onnx_the_error_says_what_to_install():
    code = (
        "import sys; sys.modules['onnx'] = None\n"
        "from signbit.importers import from_finn\n"
        "try: from_finn('x.onnx')\n"
        "except ImportError as error: print(error)\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'signbit[onnx]'" in done.stdout
