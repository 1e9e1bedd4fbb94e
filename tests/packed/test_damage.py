"""Damaged and hostile files: always one sentence as PackedFileError, never a crash, a hang or a large allocation."""

import json
import os
import re
import struct
import subprocess
import sys
import textwrap
import time
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signbit.packed import PackedFileError, dumps, load
from signbit.packed.container import MAX_GRAPH

DTYPES = {"U8": "uint8", "I8": "int8", "U16": "uint16", "U32": "uint32", "I32": "int32", "F32": "float32"}


@pytest.fixture(scope="module")
def content(every_node):
    return dumps(every_node)


def refused(path, content, match=None):
    """Loads `content`, which must be refused in one short sentence that names the file."""
    path.write_bytes(content)
    begun = time.perf_counter()
    with pytest.raises(PackedFileError, match=match) as caught:
        load(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    assert len(message) < 1000
    assert time.perf_counter() - begun < 30


def outcome(path):
    """The sentence with which the file is refused, or nothing."""
    try:
        load(path)
    except PackedFileError as error:
        return str(error)
    return ""


def parts(content):
    """The header (a dict), the graph (a dict) and the data of a packed file."""
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    return header, json.loads(header["__metadata__"]["graph"]), content[8 + length :]


def whole(header, graph, data, *, resealed=True):
    """A packed file of these parts; `graph` may be text. Its checksum is right again if `resealed`."""
    text = graph if isinstance(graph, str) else json.dumps(graph)
    header["__metadata__"]["graph"] = text
    if resealed:
        crc = zlib.crc32(text.encode(errors="replace"))
        for name in sorted(set(header) - {"__metadata__"}):
            entry = header[name]
            size = "x".join(map(str, entry["shape"]))
            crc = zlib.crc32(f"{name}:{DTYPES.get(entry['dtype'])}:{size}".encode(), crc)
            crc = zlib.crc32(data[slice(*entry["data_offsets"])], crc)
        header["__metadata__"]["checksum"] = f"{crc:08x}"
    encoded = json.dumps(header).encode()
    return struct.pack("<Q", len(encoded)) + encoded + data


def graph_node(graph, name):
    return next(node for node in graph["nodes"] if node["name"] == name)


def test_the_parts_make_a_valid_file_again(tmp_path, content):
    (tmp_path / "a.sbit").write_bytes(whole(*parts(content)))
    assert load(tmp_path / "a.sbit").output == "score"


def test_files_that_are_no_models(tmp_path):
    with pytest.raises(PackedFileError, match="does not exist"):
        load(tmp_path / "none.sbit")
    with pytest.raises(PackedFileError, match="is not a file"):
        load(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(PackedFileError, match="is not a file"):
        load(tmp_path / "pipe")
    for content in (b"", b"\0", b"\0" * 8, b"\0" * 100, b"PK\3\4" * 50, b"\xff" * 64, b"{}" * 9):
        refused(tmp_path / "a.sbit", content, "is not a packed model, or is damaged")
    from safetensors.numpy import save as plain

    refused(tmp_path / "a.sbit", plain({"a": np.zeros(3)}), "holds no signbit model")


def test_truncated_at_every_region(tmp_path, content):
    header = 8 + struct.unpack("<Q", content[:8])[0]
    rng = np.random.default_rng(0)
    lengths = {
        *range(10),
        header - 1,
        header,
        header + 1,
        len(content) - 1,
        *rng.integers(0, len(content), 60).tolist(),
    }
    for length in lengths:
        refused(tmp_path / "a.sbit", content[:length])
    refused(tmp_path / "a.sbit", content + b"\0")


@pytest.mark.parametrize("length", [0, 1, 2**27, 2**40, 2**63, 2**64 - 1])
def test_header_lengths_that_lie(tmp_path, content, length):
    refused(tmp_path / "a.sbit", struct.pack("<Q", length) + content[8:])


def test_any_flipped_bit_is_noticed(tmp_path, content):
    """Every bit of the length, and some of every 32 bytes of the header and the data."""
    rng = np.random.default_rng(0)
    places = [(byte, bit) for byte in range(8) for bit in range(8)]
    places += [
        (int(rng.integers(at, min(at + 32, len(content)))), int(rng.integers(8))) for at in range(8, len(content), 32)
    ]
    for byte, bit in places:
        damaged = bytearray(content)
        damaged[byte] ^= 1 << bit
        refused(tmp_path / "a.sbit", bytes(damaged))


@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_any_replaced_cut_or_repeated_stretch_is_noticed(tmp_path, content, data):
    start = data.draw(st.integers(0, len(content) - 1))
    stop = data.draw(st.integers(start, min(len(content), start + 64)))
    damaged = content[:start] + data.draw(st.binary(max_size=64)) + content[stop:]
    if damaged != content:
        refused(tmp_path / "a.sbit", damaged)


@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=6,
    ),
    st.data(),
)
def test_any_value_in_place_of_a_json_value(tmp_path, content, value, data):
    """Sealed with a right checksum: what the schema lets through must be a graph, anything else one sentence."""
    header, graph, tensors = parts(content)
    holder, key = data.draw(st.sampled_from(places(graph)))
    holder[key] = value
    (tmp_path / "a.sbit").write_bytes(whole(header, graph, tensors))
    assert "\n" not in outcome(tmp_path / "a.sbit")


def places(document):
    """Every (container, key) of a JSON document."""
    found = []
    for key, value in document.items() if isinstance(document, dict) else enumerate(document):
        found.append((document, key))
        if isinstance(value, dict | list):
            found += places(value)
    return found


def test_each_key_missing_or_of_a_wrong_type(tmp_path, content):
    count = len(places(parts(content)[1]))
    rng = np.random.default_rng(0)
    values = (None, "DELETE", [], {}, True, -1, 2**60, 1e400, "x")
    for index in range(count):
        for value in (values[i] for i in rng.choice(len(values), 2, replace=False)):
            header, graph, data = parts(content)
            holder, key = places(graph)[index]
            if value == "DELETE":
                del holder[key]
            elif holder[key] == value:
                continue
            else:
                holder[key] = value
            (tmp_path / "a.sbit").write_bytes(whole(header, graph, data))
            assert "\n" not in outcome(tmp_path / "a.sbit")


def edit_header(header, graph, data, key, value):
    header["__metadata__"][key] = value


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


def test_a_stale_checksum_is_noticed_and_named(tmp_path, content):
    header, graph, data = parts(content)
    graph_node(graph, "quantized")["zero"] = 4
    refused(tmp_path / "a.sbit", whole(header, graph, data, resealed=False), "damaged: the checksum is")
    header, graph, data = parts(content)
    del header["__metadata__"]["checksum"]
    refused(tmp_path / "a.sbit", whole(header, graph, data, resealed=False), "the file says None")


BOMBS = {
    "deep lists": "[" * 10**6,
    "deep objects": '{"nodes":' * 10**5,
    "long number": '{"output": ' + "9" * 10**6 + "}",
    "long exponent": '{"output": 1e' + "9" * 10**5 + "}",
    "NaN": '{"inputs": {"input": NaN}}',
    "infinity": '{"inputs": {"input": -Infinity}}',
    "duplicate key": '{"inputs": {}, "inputs": {}}',
    "duplicate keys by the hundred thousand": "{" + ",".join('"a":0' for _ in range(10**5)) + "}",
    "hundred thousand keys": "{" + ",".join(f'"{i}":0' for i in range(10**5)) + "}",
    "empty lists by the million": '{"nodes": [' + ",".join(["[]"] * 10**6) + "]}",
    "more than the limit": " " * (MAX_GRAPH + 1),
    "a lone surrogate": '{"output": "\\ud800", "inputs": {}, "nodes": [], "labels": ["\\ud800"]}',
    "null": "null",
    "empty": "",
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_json_bombs(tmp_path, content, bomb):
    header, _, data = parts(content)
    refused(tmp_path / "a.sbit", whole(header, BOMBS[bomb], data))


def test_duplicate_names_of_tensors(tmp_path, content):
    header, _, data = parts(content)
    encoded = json.dumps(header).encode()
    twice = encoded[:-1] + b', "stem.weight": ' + json.dumps(header["stem.weight"]).encode() + b"}"
    (tmp_path / "a.sbit").write_bytes(struct.pack("<Q", len(twice)) + twice + data)
    assert "\n" not in outcome(tmp_path / "a.sbit")


def test_tensors_that_claim_more_than_the_file_holds(tmp_path, content):
    for shape, offsets in (([2**62], [0, 2**62]), ([2**33, 2**33], [0, 8]), ([10**9], [0, 10**9]), ([-1], [0, 8])):
        header, _, data = parts(content)
        header["stem.weight"].update({"shape": shape, "data_offsets": offsets})
        encoded = json.dumps(header).encode()
        refused(tmp_path / "a.sbit", struct.pack("<Q", len(encoded)) + encoded + data)


def unfolding(tmp_path, name):
    """A sealed file of a few hundred bytes whose weights or edges would take gigabytes."""
    shape, node, tensors = {
        "gaps": (
            [2**26],
            {"op": "BinaryLinear", "filters": 64, "weight": {"encoding": "gaps"}},
            {
                "weight.stream": np.zeros(0, np.uint8),
                "weight.rice": np.zeros(64, np.uint8),
                "weight.count": np.zeros(64, np.uint32),
            },
        ),
        "codebook": (
            [2**26],
            {"op": "BinaryLinear", "filters": 2**20, "weight": {"encoding": "codebook", "taps": 1, "width": 0}},
            {"weight.patterns": np.zeros(1, np.uint8), "weight.index": np.zeros(0, np.uint8)},
        ),
        "dense": (
            [2**26],
            {"op": "BinaryLinear", "filters": 2**26, "weight": {"encoding": "dense"}},
            {"weight.bits": np.zeros(64, np.uint8)},
        ),
        "edges": ([1], {"op": "Select"}, {"index": np.zeros(64, np.int32)}),
        "window": (
            [1, 2**13, 2**13],
            {"op": "WindowSum", "window": {"kernel": [2**13, 2**13], "padding": [2**13 - 1] * 4}},
            {},
        ),
        "early end": (
            [1000],
            {"op": "BinaryLinear", "filters": 1, "weight": {"encoding": "gaps"}},
            {
                "weight.stream": np.full(125, 255, np.uint8),
                "weight.rice": np.zeros(1, np.uint8),
                "weight.count": np.full(1, 1000, np.uint16),
            },
        ),
    }[name]
    graph = {
        "inputs": {"input": {"kind": "Bits", "shape": shape}},
        "nodes": [{"name": "n", "inputs": ["input"], **node}],
        "output": "n",
        "labels": [],
    }
    header = {"__metadata__": {"format": "signbit", "version": "1", "bit_order": "little", "sign": "bit 1 is -1"}}
    data = b""
    names = {str(d): s for s, d in DTYPES.items()}
    for key, array in tensors.items():
        offsets = [len(data), len(data) + array.nbytes]
        header[f"n.{key}"] = {"dtype": names[str(array.dtype)], "shape": list(array.shape), "data_offsets": offsets}
        data += array.tobytes()
    path = tmp_path / f"{name}.sbit"
    path.write_bytes(whole(header, graph, data))
    return path


@pytest.mark.parametrize("case", ["gaps", "codebook", "dense", "window"])
def test_few_bytes_that_unfold_to_gigabytes_are_refused(tmp_path, case):
    path = unfolding(tmp_path, case)
    refused(path, path.read_bytes(), "node 'n': ")


def test_gaps_that_end_early(tmp_path):
    path = unfolding(tmp_path, "early end")
    refused(path, path.read_bytes(), "node 'n': the stream of gaps ends before its last position")


def test_memory_stays_bounded(tmp_path, content):
    """Loads hostile files in a process that may take 600 MB more than it starts with."""
    files = [unfolding(tmp_path, name) for name in ("gaps", "codebook", "dense", "window")]
    for bomb in ("deep lists", "long number", "empty lists by the million", "more than the limit"):
        header, _, data = parts(content)
        files.append(tmp_path / f"{len(files)}.sbit")
        files[-1].write_bytes(whole(header, BOMBS[bomb], data))
    files.append(tmp_path / "length.sbit")
    files[-1].write_bytes(struct.pack("<Q", 2**62) + content[8:])
    code = """
        import resource, sys
        from signbit.packed import PackedFileError, load
        pages = int(open("/proc/self/statm").read().split()[0])
        limit = pages * resource.getpagesize() + 600 * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        for path in sys.argv[1:]:
            try:
                load(path)
            except PackedFileError as error:
                assert "MemoryError" not in str(error), path
                print("refused")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, files)],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["refused"] * len(files)
    assert not re.search("Traceback", done.stderr)
