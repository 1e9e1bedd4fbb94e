"""A packed file taken apart and put together again with something changed, and how it is refused."""

import json
import struct
import time
import zlib

import pytest

from signbit.packed import PackedFileError, load

DTYPES = {"U8": "uint8", "I8": "int8", "U16": "uint16", "U32": "uint32", "I32": "int32", "F32": "float32"}


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
