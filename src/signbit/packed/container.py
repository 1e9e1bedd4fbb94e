"""The packed file: one safetensors file whose metadata holds the graph as JSON. docs/format.md is its contract."""

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, deserialize, safe_open
from safetensors.numpy import save as to_safetensors

from signbit.files import write_whole
from signbit.packed import edges as edge_types
from signbit.packed.bits import Array
from signbit.packed.edges import Edge, GraphError
from signbit.packed.graph import MAX_NODES, Graph
from signbit.packed.image import ImagePreparation
from signbit.packed.nodes import NODES, BinaryConv, BinaryLinear, Node
from signbit.packed.schema import dtype_name, from_json, tensor_fields, to_json
from signbit.packed.weights import ENCODINGS, BinaryWeights, Gaps

VERSION = "1"
MAX_GRAPH = 2**23
"""Most characters of JSON: ten thousand nodes and as many labels; more is taken for damage."""

_HEADER = {"format": "signbit", "version": VERSION, "bit_order": "little", "sign": "bit 1 is -1"}
_DTYPES = {"U8": "uint8", "I8": "int8", "U16": "uint16", "U32": "uint32", "I32": "int32", "F32": "float32"}
_EDGES: dict[str, Any] = {
    cls.__name__: cls for cls in (edge_types.Image, edge_types.Bits, edge_types.Int, edge_types.Real)
}


class PackedFileError(ValueError):
    """A file that is not a packed model, or a damaged one; the message names the file and what is wrong."""


def save(graph: Graph, path: str | Path) -> Path:
    """Writes `graph` to `path`: beside it first, then renamed, so that no half-written file is ever seen.

    Raises:
        ValueError: the folder is missing or not writable.
    """
    target = Path(path)
    try:
        write_whole(target, dumps(graph))
    except OSError as error:
        raise ValueError(f"cannot write {str(target)!r}: {error.strerror}") from None
    return target


def dumps(graph: Graph) -> bytes:
    """The bytes of the packed file of `graph`, which must have exactly one input."""
    if len(graph.inputs) != 1:
        raise GraphError(f"a packed model has one input, not {len(graph.inputs)}")
    tensors: dict[str, Array] = {}
    nodes = [_node_to_json(node, tensors) for node in graph.nodes]
    document = {
        "inputs": {name: {"kind": type(e).__name__, **to_json(e)} for name, e in graph.inputs.items()},
        "nodes": nodes,
        "output": graph.output,
        "image": None if graph.image is None else to_json(graph.image),
        "labels": list(graph.labels),
    }
    text = json.dumps(document, separators=(",", ":"), allow_nan=False)
    if len(text) > MAX_GRAPH:
        raise GraphError(f"the graph takes {len(text)} characters, more than {MAX_GRAPH}")
    header = _HEADER | {"graph": text, "checksum": _checksum(text, tensors)}
    return _ordered(to_safetensors(tensors, metadata=header))


def _ordered(content: bytes) -> bytes:
    """The same safetensors file with its metadata in order, which the library leaves to chance."""
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[start:]


def _checksum(text: str, tensors: Mapping[str, Array]) -> str:
    """CRC-32 of the graph's text, then of each tensor in order of name: "name:dtype:shape", then its bytes."""
    total = zlib.crc32(text.encode())
    for name, tensor in sorted(tensors.items()):
        size = "x".join(map(str, tensor.shape))
        total = zlib.crc32(f"{name}:{dtype_name(tensor.dtype)}:{size}".encode(), total)
        total = zlib.crc32(np.ascontiguousarray(tensor).data, total)
    return f"{total:08x}"


def _node_to_json(node: Node, tensors: dict[str, Array]) -> dict[str, Any]:
    document: dict[str, Any] = {"op": type(node).__name__, **to_json(node)}
    weight = getattr(node, "weight", None)
    holders = [(node.name, node)]
    if weight is not None and not isinstance(weight, np.ndarray):
        document["weight"] = {"encoding": weight.encoding, **to_json(weight)}
        holders.append((f"{node.name}.weight", weight))
    for prefix, holder in holders:
        for name in tensor_fields(type(holder)):
            if getattr(holder, name) is not None:
                if f"{prefix}.{name}" in tensors:
                    raise GraphError(f"two nodes want the tensor {f'{prefix}.{name}'!r}; rename one")
                tensors[f"{prefix}.{name}"] = np.ascontiguousarray(getattr(holder, name))
    return document


def load(path: str | Path, *, streams: bool = True) -> Graph:
    """Reads and checks a packed file.

    Args:
        path: the file.
        streams: whether coded gaps are decoded once to find damage in them; False where the caller decodes them
            next, and answers damage himself.

    Raises:
        PackedFileError: missing, not a packed model, of another version, truncated, damaged or inconsistent.
    """
    source = Path(path)
    try:
        if source.exists() and not source.is_file():
            raise PackedFileError(f"{str(source)!r} is not a file; a packed model is one .sbit file")
        with safe_open(source, framework="numpy") as file:
            metadata = file.metadata() or {}
        stored = dict(deserialize(source.read_bytes()))  # type: ignore[no-untyped-call]
        return _read(metadata, stored, streams=streams)
    except FileNotFoundError:
        raise PackedFileError(f"packed model {str(source)!r} does not exist") from None
    except GraphError as error:
        raise PackedFileError(f"{str(source)!r}: {error}") from None
    except (SafetensorError, OSError, RecursionError, MemoryError, UnicodeError) as error:
        raise PackedFileError(f"{str(source)!r} is not a packed model, or is damaged: {error}") from None


def _read(metadata: Mapping[str, str], stored: dict[str, Any], *, streams: bool) -> Graph:
    if metadata.get("format") != "signbit":
        raise GraphError("the safetensors file holds no signbit model")
    for key, value in _HEADER.items():
        if metadata.get(key) != value:
            raise GraphError(f"{key} is {metadata.get(key)!r}; this signbit reads {value!r}")
    text = metadata.get("graph", "")
    if len(text) > MAX_GRAPH:
        raise GraphError(f"the graph takes {len(text)} characters, more than {MAX_GRAPH}")
    try:
        document = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_distinct)
    except GraphError:
        raise
    except ValueError as error:
        raise GraphError(f"the graph is not JSON: {error}") from None
    for key, kind in {"inputs": dict, "nodes": list, "output": str, "labels": list}.items():
        if not isinstance(document, dict) or not isinstance(document.get(key), kind):
            raise GraphError(f"the graph has no valid {key!r}")
    if len(document["nodes"]) > MAX_NODES:
        raise GraphError(f"{len(document['nodes'])} nodes are more than {MAX_NODES}")
    if not all(isinstance(label, str) for label in document["labels"]):
        raise GraphError("a label is not a string")
    tensors = _Tensors(stored)
    inputs = {name: _edge(edge) for name, edge in document["inputs"].items()}
    if len(inputs) != 1:
        raise GraphError(f"a packed model has one input, not {len(inputs)}")
    nodes = tuple(_node(node, tensors) for node in document["nodes"])
    tensors.expect_all_read()
    if metadata.get("checksum") != (found := _checksum(text, tensors.read)):
        raise GraphError(f"damaged: the checksum is {found}, the file says {metadata.get('checksum')!r}")
    image = document.get("image")
    try:
        preparation = None if image is None else from_json(ImagePreparation, image)
    except ValueError as error:
        raise GraphError(f"image: {error}") from None
    graph = Graph(inputs, nodes, document["output"], preparation, tuple(document["labels"]))
    for node in graph.nodes if streams else ():
        _check_stream(node, graph.edges)
    return graph


def _check_stream(node: Node, edges: Mapping[str, Edge]) -> None:
    """Decodes coded gaps once, so that whoever uses them later need not expect damage."""
    if isinstance(node, BinaryConv | BinaryLinear) and isinstance(node.weight, Gaps):
        try:
            node.weight.positions(node.depth(edges[node.inputs[0]]))
        except GraphError as error:
            raise GraphError(f"node {node.name!r}: {error}") from None


def _refuse_constant(name: str) -> None:
    raise GraphError(f"the graph holds {name}")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise GraphError(f"the graph holds the key {key[:60]!r} twice in one object")
        found[key] = value
    return found


def _edge(document: Any) -> Edge:
    kind = document.pop("kind", None) if isinstance(document, dict) else None
    if not isinstance(kind, str) or kind not in _EDGES:
        raise GraphError(f"an input has the unknown kind {kind!r}; known: {', '.join(_EDGES)}")
    edge: Edge = from_json(_EDGES[kind], document)
    return edge


def _node(document: Any, tensors: "_Tensors") -> Node:
    if not isinstance(document, dict) or not isinstance(document.get("name"), str):
        raise GraphError("a node is not an object with a name")
    name, op = document["name"], document.pop("op", None)
    if not isinstance(op, str) or op not in NODES:
        raise GraphError(f"node {name!r}: unknown operator {op!r}; this signbit knows {', '.join(NODES)}")
    try:
        cls = NODES[op]
        arrays: dict[str, Any] = tensors.take(name, cls)
        if "weight" in cls.__annotations__ and "weight" not in tensor_fields(cls):
            arrays["weight"] = _weights(name, document.pop("weight", None), tensors)
        return from_json(cls, document, **arrays)
    except GraphError as error:
        raise GraphError(f"node {name!r}: {error}") from None


def _weights(name: str, document: Any, tensors: "_Tensors") -> BinaryWeights:
    encoding = document.pop("encoding", None) if isinstance(document, dict) else None
    if not isinstance(encoding, str) or encoding not in ENCODINGS:
        raise GraphError(f"unknown weight encoding {encoding!r}; known: {', '.join(ENCODINGS)}")
    cls = ENCODINGS[encoding]
    return from_json(cls, document, **tensors.take(f"{name}.weight", cls))


class _Tensors:
    """The tensors of a file, each read once, dtype checked first; leftovers are an error."""

    def __init__(self, stored: dict[str, Any]) -> None:
        self.read: dict[str, Array] = {}
        self._stored = stored

    def take(self, prefix: str, cls: type) -> dict[str, Array]:
        arrays: dict[str, Array] = {}
        for name, allowed in tensor_fields(cls).items():
            key = f"{prefix}.{name}"
            found = self._stored.pop(key, None)
            if found is None:
                continue
            dtype = _DTYPES.get(found["dtype"], found["dtype"])
            if dtype not in allowed:
                raise GraphError(f"tensor {key!r} is {dtype}, expected {' or '.join(allowed)}")
            arrays[name] = self.read[key] = np.frombuffer(found["data"], dtype).reshape(found["shape"])
        return arrays

    def expect_all_read(self) -> None:
        if self._stored:
            raise GraphError(f"tensor {min(self._stored)!r} belongs to no node")
