"""Files whose parts are whole and do not go together: the sentence names what is wrong."""

import json

import pytest

from packed.taken_apart import graph_node, parts, refused, whole


def with_node(name, **fields):
    def edit(header, graph, data):
        graph_node(graph, name).update(fields)

    return edit


def with_graph(**fields):
    return lambda header, graph, data: graph.update(fields)


def with_metadata(key, value):
    return lambda header, graph, data: header["__metadata__"].update({key: value})


def without_metadata(key):
    return lambda header, graph, data: header["__metadata__"].pop(key)


def without_tensor(name):
    """Another node's tensor takes its place in the data, so that the container stays valid."""

    def edit(header, graph, data):
        header[name + ".gone"] = header.pop(name)

    return edit


def as_dtype(name, dtype, shape=None):
    def edit(header, graph, data):
        header[name].update({"dtype": dtype} | ({} if shape is None else {"shape": shape}))

    return edit


def append_node(**node):
    return lambda header, graph, data: graph["nodes"].append(node)


INCONSISTENT = {
    "format": (with_metadata("format", "other"), "holds no signbit model"),
    "no format": (without_metadata("format"), "holds no signbit model"),
    "version": (with_metadata("version", "2"), "version is '2'; this signbit reads '1'"),
    "no version": (without_metadata("version"), "version is None"),
    "bit order": (with_metadata("bit_order", "big"), "bit_order is 'big'"),
    "sign": (with_metadata("sign", "bit 1 is +1"), "sign is 'bit 1 is .1'; this signbit reads"),
    "inputs": (with_graph(inputs=[]), "no valid 'inputs'"),
    "no inputs": (with_graph(inputs={}), "one input, not 0"),
    "two inputs": (with_graph(inputs={k: {"kind": "Bits", "shape": [1]} for k in "ab"}), "one input, not 2"),
    "kind": (with_graph(inputs={"input": {"kind": "Float", "shape": [1]}}), "unknown kind 'Float'; known: Image"),
    "edge": (with_graph(inputs={"input": {"kind": "Bits", "shape": [0]}}), "node 'input': shape"),
    "edge field": (with_graph(inputs={"input": {"kind": "Bits", "size": [1]}}), "Bits has no field 'size'"),
    "nodes": (with_graph(nodes={}), "no valid 'nodes'"),
    "node": (with_graph(nodes=[1]), "a node is not an object with a name"),
    "node without a name": (with_graph(nodes=[{"op": "Sign"}]), "a node is not an object with a name"),
    "operator": (with_node("sum", op="Sum"), "node 'sum': unknown operator 'Sum'; .* BinaryConv, "),
    "operator of another kind": (with_node("sum", op=["Add"]), "node 'sum': unknown operator"),
    "output": (with_graph(output=3), "no valid 'output'"),
    "unknown output": (with_graph(output="x"), "output 'x' is not a node"),
    "labels": (with_graph(labels="abcde"), "no valid 'labels'"),
    "a label": (with_graph(labels=[1, 2, 3, 4, 5]), "a label is not a string"),
    "label count": (with_graph(labels=["a"]), "1 labels for an output of 5"),
    "label that moves the cursor": (with_graph(labels=["a", "b", "c", "d", "\x1b[1A"]), "cannot be printed"),
    "image": (with_graph(image=3), "image: ImagePreparation must be an object"),
    "image size": (with_graph(image={"height": 4, "width": 4}), r"the image preparation gives \(3, 4, 4\)"),
    "image std": (with_graph(image={"height": 8, "width": 8, "std": [0]}), "image: std .* must be positive"),
    "image mode": (with_graph(image={"height": 8, "width": 8, "mode": "CMYK"}), "image: field 'mode' must be 'L' or"),
    "wrong window": (with_node("dense", window={"kernel": [3, 3], "stride": [0, 1]}), "node 'dense': .* positive"),
    "huge window": (with_node("dense", window={"kernel": [2**52, 2**52]}), "node 'dense': kernel .* is larger"),
    "huge filters": (with_node("dense", filters=2**50), "node 'dense': 1125899906842624 filters .* bytes, got 14"),
    "huge stride": (
        with_node("pooled", window={"kernel": [2, 2], "stride": [2**52, 1]}),
        "node 'features'|node 'hidden'",
    ),
    "unknown field": (with_node("sum", colour="red"), "node 'sum': Add has no field 'colour'"),
    "cycle": (with_node("sum", inputs=["score", "dense"]), "node 'sum': input 'score' is not an earlier node"),
    "no sources": (with_node("dense", inputs=[]), "node 'dense': BinaryConv cannot take 0 inputs"),
    "too many sources": (with_node("prelu", inputs=["sum"] * 9), "node 'prelu': PReLU cannot take 9 inputs"),
    "no weight": (lambda h, g, d: graph_node(g, "dense").pop("weight"), "node 'dense': unknown weight encoding None"),
    "encoding": (with_node("dense", weight={"encoding": "zip"}), "unknown weight encoding 'zip'; known: dense"),
    "other encoding": (with_node("dense", weight={"encoding": "gaps"}), "node 'dense': Gaps lacks some of its fields"),
    "codebook width": (
        with_node("levels", weight={"encoding": "codebook", "taps": 9, "width": 60}),
        "node 'levels': a codebook of 2.60",
    ),
    "step": (with_node("stream", step=1e-320), "field 'step' must be a number"),
    "missing tensor": (without_tensor("stem.weight"), "node 'stem': Conv lacks some of its fields"),
    "missing bits": (without_tensor("dense.weight.bits"), "node 'dense': Dense lacks some of its fields"),
    "missing optional tensor": (without_tensor("classifier.bias"), "tensor 'classifier.bias.gone' belongs to no node"),
    "dtype": (as_dtype("fires.threshold", "F32"), "node 'fires': tensor 'fires.threshold' is float32, expected int32"),
    "dtype that numpy lacks": (
        as_dtype("dense.weight.bits", "F8_E4M3"),
        "'dense.weight.bits' is F8_E4M3, expected uint8",
    ),
    "shape": (as_dtype("fires.threshold", "I32", [3, 6]), r"node 'fires': threshold has shape \(3, 6\), expected"),
    "scalar": (as_dtype("last.weight.rice", "U8", [5, 1, 1]), "node 'last': 5 filters need"),
    "duplicate node": (append_node(op="Flatten", name="sum", inputs=["dense"]), "node 'sum': the name is empty, taken"),
    "long name": (append_node(op="Flatten", name="s" * 10**6, inputs=["dense"]), "longer than 256"),
    "not JSON": (None, "the graph is not JSON"),
}


@pytest.mark.parametrize("case", INCONSISTENT)
def test_inconsistent_graphs_name_what_is_wrong(tmp_path, content, case):
    edit, match = INCONSISTENT[case]
    header, graph, data = parts(content)
    if edit is None:
        graph = json.dumps(graph)[:-1]
    else:
        edit(header, graph, data)
    refused(tmp_path / "a.sbit", whole(header, graph, data), match)
