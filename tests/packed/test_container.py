import json
import os
import zlib

import numpy as np
import pytest
from safetensors import safe_open

from signbit.packed import GraphError, Real, dumps, load, reference, save
from signbit.packed import nodes as n
from signbit.packed.schema import scalar_fields, tensor_fields
from signbit.packed.weights import encode_codebook, encode_dense


def assert_same(a, b):
    """Two nodes, weights or preparations, field by field."""
    assert type(a) is type(b)
    for name in scalar_fields(type(a)):
        assert getattr(a, name) == getattr(b, name), name
    for name in tensor_fields(type(a)):
        x, y = getattr(a, name), getattr(b, name)
        assert (x is None) == (y is None), name
        if x is not None:
            assert x.dtype == y.dtype, name
            np.testing.assert_array_equal(x, y)
    weight = getattr(a, "weight", None)
    if weight is not None and not isinstance(weight, np.ndarray):
        assert_same(weight, b.weight)


def test_a_graph_of_every_node_survives_the_file(every_node, tmp_path):
    path = save(every_node, tmp_path / "model.sbit")
    again = load(path)
    assert again.inputs == every_node.inputs
    assert again.edges == every_node.edges
    assert (again.output, again.image, again.labels) == (every_node.output, every_node.image, every_node.labels)
    for a, b in zip(every_node.nodes, again.nodes, strict=True):
        assert_same(a, b)
    assert path.read_bytes() == dumps(every_node) == dumps(again)
    x = np.random.default_rng(0).integers(0, 256, (2, 3, 8, 8), np.uint8)
    np.testing.assert_array_equal(reference.run(again, x), reference.run(every_node, x))


def test_the_file_opens_with_the_safetensors_library(every_node, tmp_path):
    with safe_open(save(every_node, tmp_path / "model.sbit"), framework="numpy") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    expected = {"format": "signbit", "version": "1", "bit_order": "little", "sign": "bit 1 is -1"}
    assert {key: metadata[key] for key in expected} == expected
    assert set(metadata) == {*expected, "graph", "checksum"}
    document = json.loads(metadata["graph"])
    assert set(document) == {"inputs", "nodes", "output", "image", "labels"}
    assert [node["name"] for node in document["nodes"]] == [node.name for node in every_node.nodes]
    np.testing.assert_array_equal(tensors["dense.weight.bits"], every_node.node("dense").weight.bits)

    crc = zlib.crc32(metadata["graph"].encode())
    for name in sorted(tensors):
        size = "x".join(map(str, tensors[name].shape))
        crc = zlib.crc32(f"{name}:{tensors[name].dtype}:{size}".encode(), crc)
        crc = zlib.crc32(tensors[name].tobytes(), crc)
    assert metadata["checksum"] == f"{crc:08x}"


def test_the_header_stays_small(every_node):
    content = dumps(every_node)
    header = 8 + int.from_bytes(content[:8], "little")
    assert header <= 2000 + 300 * len(every_node.nodes)


def test_dense_weights_take_no_more_than_their_bits(small):
    layer = n.BinaryLinear(
        name="sum", inputs=("input",), filters=4096, weight=encode_dense(np.zeros((4096, 70), np.uint8))
    )
    assert len(dumps(small(nodes=(layer,)))) <= 1.02 * 4096 * 70 / 8 + 2000 + 300


def test_saving_leaves_nothing_half_written(every_node, tmp_path):
    save(every_node, tmp_path / "model.sbit")
    before = (tmp_path / "model.sbit").read_bytes()
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match=r"cannot write .*folder'"):
        save(every_node, tmp_path / "folder")
    with pytest.raises(ValueError, match=r"cannot write .*none.model.sbit': No such file"):
        save(every_node, tmp_path / "none" / "model.sbit")
    with pytest.raises(ValueError, match="cannot write"):
        save(every_node, tmp_path / "model.sbit" / "inside")
    save(every_node, tmp_path / "model.sbit")
    assert (tmp_path / "model.sbit").read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["folder", "model.sbit"]
    assert (tmp_path / "model.sbit").stat().st_mode & 0o600 == 0o600


def test_graphs_that_no_file_can_hold(every_node, small):
    with pytest.raises(GraphError, match="one input, not 2"):
        dumps(every_node.isolate(every_node.node("sum")))
    bits = np.zeros((3, 70), np.uint8)
    book = n.BinaryLinear(name="a", inputs=("input",), filters=3, weight=encode_codebook(bits, taps=7))
    shuffle = n.Select(name="a.weight", inputs=("a",), index=np.zeros(3, np.int32))
    with pytest.raises(GraphError, match=r"two nodes want the tensor 'a\.weight\.index'"):
        dumps(small(nodes=(book, shuffle), output="a"))
    long = small(
        inputs={"input": Real((2**20,))}, nodes=(), output="input", labels=tuple(f"{i:09d}" for i in range(2**20))
    )
    with pytest.raises(GraphError, match="characters, more than 8388608"):
        dumps(long)


def test_arrays_that_are_not_contiguous_are_stored_by_value(small, tmp_path):
    scale = np.arange(140, dtype=np.float32)[::2]
    node = n.Affine(name="sum", inputs=("input",), scale=scale, offset=scale[::-1])
    again = load(save(small(nodes=(node,)), tmp_path / "a.sbit"))
    np.testing.assert_array_equal(again.node("sum").scale, scale)
    np.testing.assert_array_equal(again.node("sum").offset, scale[::-1])
