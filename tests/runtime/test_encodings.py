"""Weights as lists and as a codebook: the engine decodes them itself, and answers damage like the Python reader."""

from functools import partial

import numpy as np
import pytest

from signbit import runtime
from signbit.packed import Graph, PackedFileError, load, rice, save
from signbit.packed import nodes as n
from signbit.packed.edges import Bits
from signbit.packed.weights import Codebook, Gaps, encode_codebook, encode_dense, encode_gaps
from signbit.packed.window import Window
from signbit.runtime.handover import describe_inputs, describe_nodes


def linear(weight, filters, depth):
    return Graph({"x": Bits((depth,))}, (n.BinaryLinear(name="y", inputs=("x",), filters=filters, weight=weight),), "y")


@pytest.mark.parametrize("channels", [1, 3, 8, 13, 64, 65])
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (5, 1)])
@pytest.mark.parametrize("way", ["dense", "gaps", "codebook"])
def test_every_way_to_store_weights_gives_the_same(native, channels, kernel, way):
    rng = np.random.default_rng(channels)
    depth = channels * kernel[0] * kernel[1]
    bits = (rng.random((9, depth)) < (0.1 if way == "gaps" else 0.5)).astype(np.uint8)
    bits[0], bits[1] = 0, 1
    if way == "codebook" and depth > 2:
        bits = np.tile(rng.integers(0, 2, (9, kernel[0] * kernel[1]), np.uint8), channels)
    taps = kernel[0] * kernel[1] if channels % 2 else depth
    encode = {"dense": encode_dense, "gaps": encode_gaps, "codebook": partial(encode_codebook, taps=taps)}[way]
    window = Window(kernel=kernel, padding=(kernel[0] // 2, 0) * 2)
    node = n.BinaryConv(name="y", inputs=("x",), window=window, filters=9, weight=encode(bits))
    graph = Graph({"x": Bits((channels, 6, 7))}, (node,), "y")
    x = 1 - 2 * rng.integers(0, 2, (3, channels, 6, 7)).astype(np.int8)
    expected = runtime.compile(graph, isa="reference").run(x)
    for isa in runtime.isas():
        np.testing.assert_array_equal(runtime.compile(graph, isa=isa).run(x), expected)


def gaps(stream, r, count):
    number = np.array([count], np.uint16)
    return Gaps(stream=np.array(stream, np.uint8), rice=np.array([r], np.uint8), count=number)


SHORT, PAST, LEFT = "ends before its last position", "lists a position past the depth 60", "has bits left over"
DAMAGED = {
    "all ones": (gaps([255, 255], 0, 1), SHORT),
    "no low bits": (gaps([0b01111111], 3, 1), SHORT),
    "more positions than codes": (gaps([0, 0], 2, 6), SHORT),
    "past the depth": (gaps([255] * 7 + [0b00111111], 0, 1), PAST),
    "past the depth in sum": (gaps(rice.encode([np.array([3, 63])], [2]), 2, 2), PAST),
    "a number that overflows": (gaps([255, 255, 255, 0, 0, 0, 0], 31, 1), PAST),
    "a byte left over": (gaps([0, 0], 0, 1), LEFT),
    "a bit left over": (gaps([0b10000000], 0, 1), LEFT),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_both_readers_answer_damage_with_one_sentence(native, tmp_path, case):
    weight, reason = DAMAGED[case]
    path = save(linear(weight, 1, 60), tmp_path / "a.sbit")
    sentence = f"the stream of gaps {reason}"
    with pytest.raises(PackedFileError, match=sentence) as python:
        load(path)
    with pytest.raises(PackedFileError, match=sentence) as engine:
        runtime.load(path)
    for error in (python, engine):
        assert str(path) in str(error.value)
        assert "'y'" in str(error.value)
        assert "\n" not in str(error.value)
    with pytest.raises(PackedFileError, match=sentence):
        runtime.load(path, isa="reference")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight.rice": np.zeros(2, np.uint8)}, "tensor 'weight.rice' has shape (2), expected (4)"),
        ({"weight.rice": np.full(4, 0x40, np.uint8)}, "bad Rice parameter"),
        ({"weight.count": np.full(4, 65, np.int32)}, "lists more than its weights"),
        ({"weight.count": np.full(4, -1, np.int32)}, "lists more than its weights"),
        ({"weight.count": np.zeros(4, np.uint8)}, "tensor 'weight.count' has the wrong dtype"),
        ({"weight.stream": np.zeros(4, np.int8)}, "'weight.stream' is no stream of bytes"),
        ({"weight.stream": np.zeros((4, 4), np.uint8)}, "'weight.stream' is no stream of bytes"),
        ({"weight.stream": np.zeros(0, np.uint8)}, "ends before its last position"),
        ({"weight.stream": None}, "tensor 'weight' is missing"),
    ],
)
def test_lists_that_lie_are_refused(native, change, message):
    from signbit import _native

    graph = linear(encode_gaps(np.eye(4, 64, dtype=np.uint8)), 4, 64)
    inputs, (node,) = describe_inputs(graph), describe_nodes(graph)
    node["tensors"] = {key: a for key, a in (node["tensors"] | change).items() if a is not None}
    with pytest.raises(ValueError, match=r".") as error:
        _native.Plan(inputs, [node], "y", "generic", 1)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("attributes", "tensors", "message"),
    [
        ({"weight.taps": 7}, {}, "its codebook does not fit 4 filters of 64 bits"),
        ({"weight.taps": 0}, {}, "weight.taps is 0"),
        ({"weight.width": 17}, {}, "weight.width is 17"),
        ({"weight.width": 3}, {}, "'weight.patterns' does not hold 64 bits"),
        ({"weight.taps": 16}, {}, "'weight.patterns' does not hold 64 bits"),
        ({}, {"weight.index": np.zeros(7, np.uint8)}, "'weight.index' does not hold 64 bits"),
        ({}, {"weight.index": np.zeros(8, np.int8)}, "'weight.index' does not hold 64 bits"),
    ],
)
def test_codebooks_that_lie_are_refused(native, attributes, tensors, message):
    from signbit import _native

    weight = Codebook(taps=8, width=2, patterns=np.zeros(4, np.uint8), index=np.zeros(8, np.uint8))
    graph = linear(weight, 4, 64)
    inputs, (node,) = describe_inputs(graph), describe_nodes(graph)
    _native.Plan(inputs, [node], "y", "generic", 1)
    node["attributes"] |= attributes
    node["tensors"] |= tensors
    with pytest.raises(ValueError, match=r".") as error:
        _native.Plan(inputs, [node], "y", "generic", 1)
    assert message in str(error.value)
