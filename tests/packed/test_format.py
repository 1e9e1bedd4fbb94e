"""docs/format.md names everything that a file may hold, nothing else, and its examples are true."""

import re
from dataclasses import MISSING, fields
from pathlib import Path

import numpy as np
import pytest

from signbit.packed import (
    NODES,
    Bits,
    Graph,
    Image,
    ImagePreparation,
    Int,
    Real,
    Window,
    container,
    edges,
    graph,
    reference,
    rice,
    save,
    weights,
)
from signbit.packed import nodes as n
from signbit.packed.schema import scalar_fields, tensor_fields
from signbit.packed.weights import ENCODINGS, encode_dense

SPELLED = {None: "null", False: "false", True: "true"}
TEXT = (Path(__file__).parents[2] / "docs" / "format.md").read_text()


def section(title, level):
    """The text under a heading, down to the next one of its level or above."""
    (body,) = re.findall(rf"^{'#' * level} {title}\n(.*?)(?=^#{{1,{level}}} |\Z)", TEXT, re.M | re.S)
    return body


def rows(text):
    """First and second cell of each table row whose first cell is code."""
    return dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", text, re.M))


@pytest.mark.parametrize("op", NODES)
def test_every_field_of_every_node(op):
    cls, text = NODES[op], section(op, 3)
    documented = rows(text)
    expected = {f.name for f in fields(cls)} - {"name", "inputs"}
    assert set(documented) == expected
    for name, dtypes in tensor_fields(cls).items():
        for dtype in dtypes:
            assert dtype in documented[name] or "like scale" in documented[name], name
        optional = cls.__dataclass_fields__[name].default is None
        assert optional == ("optional" in documented[name]), name
    for name in scalar_fields(cls).keys() & expected - {"format", "step"}:
        default = cls.__dataclass_fields__[name].default
        if default is not MISSING:
            cell = documented[name].replace("−", "-").replace(";", ",")
            stated = cell.rsplit(", ", 1)[-1].strip('`"')
            assert stated == SPELLED.get(default, default) or float(stated) == default, name


def test_every_node_has_a_section_and_no_other():
    assert re.findall(r"^### (\w+)$", section("Nodes", 2), re.M) == list(NODES)


def test_every_encoding_and_its_fields():
    assert re.findall(r"^### (\w+)$", section("Weights", 2), re.M) == list(ENCODINGS)
    for encoding, cls in ENCODINGS.items():
        for f in fields(cls):
            assert f"`{f.name}`" in section(encoding, 3)


def test_every_edge_image_and_window_field():
    for cls in (Image, Bits, Int, Real):
        (row,) = [line for line in section("Edges", 2).splitlines() if line.startswith(f"| `{cls.__name__}`")]
        for f in fields(cls):
            assert f"`{f.name}`" in row
    assert list(rows(section("Image preparation", 2))) == [f.name for f in fields(ImagePreparation)]
    for f in fields(Window):
        assert f"`{f.name}`" in section("Window", 2)


def test_header_and_limits():
    keys = rows(section("Container", 2))
    assert set(keys) == {*container._HEADER, "graph", "checksum"}
    for key, value in container._HEADER.items():
        assert f"`{value}`" in keys[key]
    limits = section("Limits", 2)
    for limit in (container.MAX_GRAPH, edges.MAX_ELEMENTS, graph.MAX_TOTAL, graph.MAX_WORK, weights.MAX_COMPRESSED):
        assert f"2^{limit.bit_length() - 1} |" in limits
    assert f"{graph.MAX_NODES:,} |" in limits
    assert f"| {graph.MAX_NAME} |" in limits


def test_the_bytes_of_the_examples():
    assert encode_dense(np.array([[1, 0, 1], [0, 1, 1]])).bits.tolist() == [0x35]
    assert "the byte 0x35" in TEXT
    assert rice.encode([np.array([2, 3, 9])], [1]).tolist() == [0x61, 0x01]
    assert "0x61 0x01" in TEXT


def test_the_reader_of_the_document_agrees(tmp_path):
    rng = np.random.default_rng(0)
    cut = np.array([100], np.int32)
    model = Graph(
        {"input": Image((1, 5, 7))},
        (
            n.Threshold(name="t", inputs=("input",), threshold=cut, direction=np.array([-1], np.int8)),
            n.Flatten(name="f", inputs=("t",)),
            n.BinaryLinear(
                name="s", inputs=("f",), filters=9, weight=encode_dense(rng.integers(0, 2, (9, 35), np.uint8))
            ),
        ),
        "s",
    )
    path = save(model, tmp_path / "a.sbit")
    (code,) = re.findall(r"^```python\n(.*?)^```", section("A reader in thirty lines", 2), re.M | re.S)
    names = {}
    exec(code.replace('open(path, "rb").read()', "path.read_bytes()"), names)
    pixels = rng.integers(0, 256, (3, 1, 5, 7), np.uint8)
    np.testing.assert_array_equal(names["run"](path, pixels), reference.run(model, pixels))
