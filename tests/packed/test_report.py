import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from signbit.packed import Graph, ImagePreparation, dumps
from signbit.packed import nodes as n
from signbit.packed.edges import Bits, Image, Int, Real
from signbit.packed.report import inspect
from signbit.packed.weights import encode_codebook, encode_dense, encode_gaps
from signbit.packed.window import Window

RNG = np.random.default_rng(0)


def weights(filters: int, depth: int, density: float = 0.5) -> np.ndarray:
    return (RNG.random((filters, depth)) < density).astype(np.uint8)


def convolution(name: str, source: str, bits: np.ndarray, kernel: int = 3, **options) -> n.BinaryConv:
    window = Window(kernel=(kernel, kernel), padding=(kernel // 2,) * 4)
    encode = options.pop("encode", encode_dense)
    return n.BinaryConv(name=name, inputs=(source,), window=window, filters=len(bits), weight=encode(bits), **options)


def network() -> Graph:
    image = ImagePreparation(height=8, width=8)
    table = np.repeat(image.table(), 3, axis=0) if len(image.table()) == 1 else image.table()
    stem = n.Conv(
        name="stem",
        inputs=("look",),
        window=Window(kernel=(3, 3), padding=(1, 1, 1, 1)),
        weight=RNG.normal(size=(16, 3, 3, 3)).astype(np.float32),
    )
    return Graph(
        {"input": Image((3, 8, 8))},
        (
            n.Lookup(name="look", inputs=("input",), table=table),
            stem,
            n.Sign(name="sign", inputs=("stem",)),
            convolution("conv", "sign", weights(32, 144), pad_value=0),
            n.Threshold(name="cut", inputs=("conv",), threshold=np.zeros(32, np.int32), direction=np.ones(32, np.int8)),
            convolution("sparse", "cut", weights(8, 288, 0.05), encode=encode_gaps),
            n.Pool(name="pool", inputs=("sparse",), window=Window(kernel=(8, 8)), mode="mean"),
            n.Norm(name="norm", inputs=("pool",)),
        ),
        "norm",
        image,
    )


def test_counts_of_every_node():
    graph = network()
    report = inspect(graph)
    rows = {row.name: row for row in report.rows}
    assert [row.name for row in report.rows] == ["look", "stem", "sign", "conv", "cut", "sparse", "pool", "norm"]
    stem, conv, sparse = rows["stem"], rows["conv"], rows["sparse"]
    assert (stem.weights, stem.float_macs, stem.bytes, stem.weight_bits) == (432, 432 * 64, 1728, 32)
    assert (conv.weights, conv.binary_macs, conv.bytes, conv.weight_bits) == (4608, 4608 * 64, 576, 1)
    assert (conv.input_bits, conv.packing) == (1, "packed")
    assert conv.notes == ("pad_value 0 costs a border correction; +1 is free",)
    assert sparse.weight_bits < 0.5
    ones = graph.node("sparse").weight.decode(8, 288).mean(axis=1)
    assert sparse.density == pytest.approx(np.minimum(ones, 1 - ones).mean())
    p = sparse.density
    assert sparse.entropy == pytest.approx(-p * np.log2(p) - (1 - p) * np.log2(1 - p))
    assert sparse.operations == 64 * (round(p * 2304) + 288)
    ones = graph.node("conv").weight.decode(32, 144).mean(axis=1)
    assert conv.density == pytest.approx(np.minimum(ones, 1 - ones).mean())
    assert conv.operations == conv.binary_macs
    assert (stem.density, stem.entropy, stem.operations) == (None, None, 0)
    assert "float32 weights" in stem.packing
    assert "depend" in rows["norm"].packing
    assert rows["cut"].bytes == 32 * 5


def test_totals():
    graph = network()
    report = inspect(graph)
    assert report.unpacked == ("stem",)
    assert "2 of 3 with weights are packed; not stem" in report.table()
    assert report.weights == 432 + 4608 + 2304
    assert report.binary_weights == 4608 + 2304
    assert report.ops == (4608 + 2304) * 64 / 64 + 432 * 64
    assert report.file_bytes == len(dumps(graph))
    listed = graph.node("sparse")
    same = replace(listed, weight=encode_dense(listed.weight.decode(8, 288)))
    dense = replace(graph, nodes=tuple(same if node is listed else node for node in graph.nodes))
    assert report.dense_bytes == len(dumps(dense)) > report.file_bytes
    rest = report.dense_bytes - 4 * 432 - 4608 // 8 - 2304 // 8
    assert (report.fp32_bytes, report.int8_bytes) == (rest + 4 * report.weights, rest + report.weights)


def test_a_codebook_shares_its_kernels():
    patterns = RNG.permutation(512)[:16, None] >> np.arange(9) & 1
    bits = patterns[RNG.integers(0, 16, 64 * 16)].reshape(64, 144).astype(np.uint8)
    encode = partial(encode_codebook, taps=9)
    graph = Graph({"input": Bits((16, 4, 4))}, (convolution("conv", "input", bits, encode=encode),), "conv")
    report = inspect(graph)
    (row,) = report.rows
    assert row.operations == 16 * 9 * 16 * 16 + 16 * 16 * 64 / 2
    assert row.entropy == pytest.approx(4 / 9, abs=0.01)
    assert row.weight_bits == pytest.approx(4 / 9 + 8 * 18 / bits.size)
    assert row.notes == ("weights as a codebook of 16 kernels",)
    assert f"{row.operations:,.0f} operations where rare weights or shared kernels count alone" in report.table()
    assert report.dense_bytes == len(dumps(replace(graph, nodes=(convolution("conv", "input", bits),))))


@pytest.mark.parametrize("encode", [encode_dense, encode_gaps])
def test_a_ternary_layer_is_one_row_and_one_weight_each(encode):
    minus, plus = weights(8, 144, 0.04), weights(8, 144, 0.04)
    plus &= 1 - minus
    planes = [convolution(f"sum.{n}", "input", b, encode=encode) for n, b in (("minus", minus), ("plus", 1 - plus))]
    add = n.Add(name="sum", inputs=("sum.minus", "sum.plus"))
    report = inspect(Graph({"input": Bits((16, 4, 4))}, (*planes, add), "sum"))
    signs = inspect(Graph({"input": Bits((16, 4, 4))}, (convolution("sum", "input", minus),), "sum"))
    (row,) = report.rows
    assert (row.name, row.op, row.packing) == ("sum", "BinaryConv", "packed")
    assert (row.weights, row.binary_macs, row.ternary) == (1152, 1152 * 16, True)
    assert (report.weights, report.binary_weights, report.ternary_weights) == (1152, 0, 1152)
    assert (signs.weights, signs.binary_weights, signs.ternary_weights) == (1152, 1152, 0)
    p, q = minus.mean(), plus.mean()
    assert row.density == pytest.approx(p + q)
    assert row.entropy == pytest.approx(-p * np.log2(p) - q * np.log2(q) - (1 - p - q) * np.log2(1 - p - q))
    assert row.weight_bits == 8 * row.bytes / 1152
    assert (row.bytes == 2 * 144) == (encode is encode_dense)
    assert (row.notes == ()) == (encode is encode_gaps)
    others = ("dense_bytes", "int8_bytes", "fp32_bytes")
    assert [getattr(report, name) for name in others] == [getattr(signs, name) for name in others]
    assert signs.dense_bytes == signs.file_bytes


def test_weights_of_one_bit_and_ternary_ones_are_told_apart():
    minus, plus = weights(8, 144, 0.04), weights(8, 144, 0.04)
    plus &= 1 - minus
    planes = [convolution(f"sum.{n}", "cut", b) for n, b in (("minus", minus), ("plus", 1 - plus))]
    cut = n.Threshold(name="cut", inputs=("first",), threshold=np.zeros(16, np.int32), direction=np.ones(16, np.int8))
    nodes = (convolution("first", "input", weights(16, 27)), cut, *planes)
    report = inspect(
        Graph({"input": Bits((3, 4, 4))}, (*nodes, n.Add(name="sum", inputs=("sum.minus", "sum.plus"))), "sum")
    )
    assert "weights     1,584 (432 of one bit, 1,152 ternary)" in report.table().splitlines()
    assert report.of_one_bit() == "432 of 1,584 weights in one bit, 1,152 ternary"
    document = report.dict()
    totals = {key: document["totals"][key] for key in ("weights", "binary_weights", "ternary_weights")}
    assert totals == {"weights": 1584, "binary_weights": 432, "ternary_weights": 1152}
    assert [row["ternary"] for row in document["nodes"]] == [False, False, True]


def test_a_sum_of_other_layers_is_no_ternary_layer():
    one, two = convolution("one", "input", weights(8, 144)), convolution("two", "input", weights(8, 144))
    add = n.Add(name="sum", inputs=("one", "two"))
    report = inspect(Graph({"input": Bits((16, 4, 4))}, (one, two, add), "sum"))
    assert [row.name for row in report.rows] == ["one", "two", "sum"]
    assert (report.weights, report.dense_bytes) == (2304, report.file_bytes)


def test_weights_of_zero_need_no_shared_sum():
    minus, plus = weights(8, 144, 0.04), weights(8, 144, 0.04)
    plus &= 1 - minus
    parts = {"minus": minus, "plus": 1 - plus}
    planes = [convolution(name, "input", bits, encode=encode_gaps) for name, bits in parts.items()]
    ternary = inspect(Graph({"input": Bits((16, 4, 4))}, (*planes, n.Add(name="sum", inputs=("minus", "plus"))), "sum"))
    assert ternary.operations == 16 * (minus.sum() + plus.sum())
    window = n.WindowSum(name="total", inputs=("input",), window=planes[0].window)
    for low, shared in ((0.0, 0), (-0.1, 144)):
        node = replace(planes[1], inputs=("input", "total"), levels=np.array([[low, 1.0]], np.float32))
        # Listed are the +1 of bits that are mostly 1; whichever level they have, the others have low.
        (row,) = (
            row for row in inspect(Graph({"input": Bits((16, 4, 4))}, (window, node), "plus")).rows if row.weights
        )
        assert row.operations == 16 * (plus.sum() + shared)


@pytest.mark.parametrize(
    ("edge", "binary", "mixed", "why"),
    [
        (Bits((16, 4, 4)), 1, 0, "packed"),
        (Bits((16, 4, 4), 2), 2, 0, "packed"),
        (Int((16, 4, 4), -3, 3), 0, 1, "integers, so additions"),
        (Real((16, 4, 4)), 0, 1, "real inputs, so additions"),
    ],
)
def test_kinds_of_macs(edge, binary, mixed, why):
    graph = Graph({"input": edge}, (convolution("conv", "input", weights(4, 144)),), "conv")
    (row,) = inspect(graph).rows
    assert (row.binary_macs, row.mixed_macs) == (binary * 576 * 16, mixed * 576 * 16)
    assert why in row.packing
    assert any("two activation planes" in note for note in row.notes) == (binary == 2)


def test_text_and_json():
    report = inspect(network())
    text = report.table()
    assert "weights     7,344 (6,912 of one bit)" in text.splitlines()
    assert report.of_one_bit() == "6,912 of 7,344 weights in one bit"
    assert text.splitlines()[0].split()[:3] == ["node", "op", "output"]
    assert "conv: pad_value 0 costs a border correction" in text
    sizes = {"dense 1-bit": report.dense_bytes, "int8": report.int8_bytes, "float32": report.fp32_bytes}
    for name, size in sizes.items():
        assert f"  {name:<11} {size:,} bytes, {size / report.file_bytes:.2f}x the file" in text.splitlines()
    document = json.loads(json.dumps(report.dict()))
    assert document["totals"]["ops"] == report.ops
    assert document["nodes"][3]["name"] == "conv"
