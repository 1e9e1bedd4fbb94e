"""Few bytes that would unfold to much: refused at once, in bounded memory."""

import json
import os
import re
import struct
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from packed.taken_apart import DTYPES, parts, refused, whole
from signbit.packed.container import MAX_GRAPH

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
