"""Damaged and hostile files: always one sentence as PackedFileError, never a crash, a hang or a large allocation."""

import json
import os
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from packed.taken_apart import graph_node, outcome, parts, refused, whole
from signbit.packed import PackedFileError, load


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


def test_a_stale_checksum_is_noticed_and_named(tmp_path, content):
    header, graph, data = parts(content)
    graph_node(graph, "quantized")["zero"] = 4
    refused(tmp_path / "a.sbit", whole(header, graph, data, resealed=False), "damaged: the checksum is")
    header, graph, data = parts(content)
    del header["__metadata__"]["checksum"]
    refused(tmp_path / "a.sbit", whole(header, graph, data, resealed=False), "the file says None")


def test_duplicate_names_of_tensors(tmp_path, content):
    header, _, data = parts(content)
    encoded = json.dumps(header).encode()
    twice = encoded[:-1] + b', "stem.weight": ' + json.dumps(header["stem.weight"]).encode() + b"}"
    (tmp_path / "a.sbit").write_bytes(struct.pack("<Q", len(twice)) + twice + data)
    assert "\n" not in outcome(tmp_path / "a.sbit")
