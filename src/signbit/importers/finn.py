"""Reads the ONNX files of FINN and QONNX (Xilinx; arXiv 1612.07119, 2206.07527) before streamlining."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from signbit.importers import arithmetic
from signbit.importers.arithmetic import ELEMENTWISE, Stage
from signbit.packed import nodes as n
from signbit.packed.bits import Array, negative
from signbit.packed.edges import Bits, Edge, Image, integer_range
from signbit.packed.graph import Graph
from signbit.packed.image import ImagePreparation
from signbit.packed.weights import encode_dense
from signbit.packed.window import Window

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

EXACT = 2**24
"""Largest integer up to which float32 holds every integer, whatever the order of summation."""


def from_finn(path: str | Path, *, image: ImagePreparation | None = None, labels: tuple[str, ...] = ()) -> Graph:
    """The network of a FINN or QONNX file as a packed graph: ±1 weights, ±1 activations, inputs of up to 8 bits.

    Every node carries the name of the ONNX tensor that it holds (up to a power of two). Batch norm, scales and
    `MultiThreshold` fold into integer thresholds by evaluating them, in the file's float32 arithmetic, on every sum
    that can occur; operators between the last sum and the output become one affine node. `TopK` and `ArgMax` at the
    end are left out: the output is what they rank.

    Args:
        path: the .onnx file.
        image: how an image becomes the input. A file whose input is annotated UINT8 reads pixels as they are, any
            other (p/255 - mean)/std. Without it: the size that the file states, mean 0, std 1.
        labels: class names.

    Raises:
        ValueError: not an ONNX file, or something in it that signbit does not pack; the message names it.
        ImportError: the package onnx is not installed.
    """
    model = _load(Path(path))
    try:
        return _Reader(model, image).graph(labels)
    except ValueError as error:
        raise ValueError(f"{str(path)!r}: {error}") from None


def _load(path: Path) -> "ModelProto":
    try:
        import onnx
    except ImportError:
        raise ImportError("reading ONNX files needs the package onnx: pip install 'signbit[onnx]'") from None
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        model = onnx.load(path)
    except FileNotFoundError:
        raise ValueError(f"ONNX file {str(path)!r} does not exist") from None
    except OSError as error:
        raise ValueError(f"cannot read ONNX file {str(path)!r}: {error.strerror}") from None
    except (DecodeError, onnx.checker.ValidationError, ValueError, RuntimeError) as error:
        raise ValueError(f"{str(path)!r} is not an ONNX file, or is damaged: {error}") from None
    if not model.graph.node:
        raise ValueError(f"{str(path)!r} is not an ONNX file, or holds no graph")
    return model


@dataclass(frozen=True)
class _Flow:
    """An ONNX tensor as a chain of element-wise functions of a packed edge; `shape` is the tensor's, batch 1.

    `flat`: the tensor has been flattened and the edge, the image, not yet.
    """

    edge: str
    shape: tuple[int, ...]
    stages: tuple[Stage, ...] = ()
    flat: bool = False


class _Reader:
    """Walks an ONNX graph once, in its order, emitting packed nodes."""

    def __init__(self, model: "ModelProto", image: ImagePreparation | None) -> None:
        from onnx import numpy_helper

        self._model = model.graph
        self._constants: dict[str, Array] = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
        self._flows: dict[str, _Flow] = {}
        self._nodes: list[n.Node] = []
        self._edges: dict[str, Edge] = {}
        self._spacing: dict[str, int] = {}
        self._ranked: str | None = None
        self._image = self._read_input(image)

    def graph(self, labels: tuple[str, ...]) -> Graph:
        """The packed graph."""
        for node in self._model.node:
            where = f"operator {node.op_type} ({node.name or (node.output[0] if node.output else 'unnamed')})"
            if self._ranked is not None:
                raise ValueError(f"{where}: nothing may follow the ranking {self._ranked}")
            try:
                self._read(node)
            except (ValueError, IndexError, KeyError, TypeError) as error:
                raise ValueError(f"{where}: {error}") from None
        if len(self._model.output) != 1:
            raise ValueError(f"the graph has {len(self._model.output)} outputs; signbit packs one")
        output = self._output(self._model.output[0].name)
        return Graph({"input": self._edges["input"]}, tuple(self._nodes), output, self._image, labels)

    def _read_input(self, image: ImagePreparation | None) -> ImagePreparation:
        inputs = [i for i in self._model.input if i.name not in self._constants]
        if len(inputs) != 1:
            raise ValueError(f"the graph has {len(inputs)} inputs; signbit reads one image")
        name = inputs[0].name
        _, *sizes = (d.dim_value for d in inputs[0].type.tensor_type.shape.dim)
        if image is None:
            if len(sizes) != 3 or sizes[0] not in (1, 3):
                raise ValueError(f"the input {name!r} of shape {sizes} is no image; say by image= how to read one")
            mode = "L" if sizes[0] == 1 else "RGB"
            image = ImagePreparation(height=sizes[1], width=sizes[2], mode=mode, mean=(0.0,), std=(1.0,))  # type: ignore[arg-type]
        if tuple(sizes) not in (image.shape, (prod(image.shape),)):
            raise ValueError(f"the input {name!r} has shape {sizes}, the image {image.shape}")
        self._edges["input"] = Image(image.shape)
        stages: tuple[Stage, ...] = ()
        if not self._reads_pixels(name):
            table = image.table().T
            stages = (lambda pixels: table[pixels[:, 0].astype(np.int64)],)
        self._flows[name] = _Flow("input", (1, *sizes), stages, flat=len(sizes) == 1)
        return image

    def _reads_pixels(self, name: str) -> bool:
        return any(
            pair.key == "finn_datatype" and pair.value == "UINT8"
            for annotation in self._model.quantization_annotation
            if annotation.tensor_name == name
            for pair in annotation.quant_parameter_tensor_names
        )

    def _read(self, node: "NodeProto") -> None:
        from onnx.helper import get_attribute_value

        attributes = {a.name: get_attribute_value(a) for a in node.attribute}
        operator = _OPERATORS.get(node.op_type)
        if node.op_type == "Constant":
            from onnx import numpy_helper

            self._constants[node.output[0]] = numpy_helper.to_array(attributes["value"])
        elif node.op_type in ELEMENTWISE:
            self._elementwise(node, attributes)
        elif operator is None:
            known = ", ".join(sorted({*ELEMENTWISE, *_OPERATORS, "Constant"}))
            raise ValueError(f"signbit does not know this operator; it reads {known}")
        elif node.input[0] not in self._flows:
            raise ValueError(f"the first input {node.input[0]!r} does not come from the image")
        else:
            self._flows[node.output[0]] = operator(self, node, attributes)

    def _constant(self, node: "NodeProto", position: int) -> Array:
        if node.input[position] not in self._constants:
            raise ValueError(f"input {node.input[position]!r} is not a constant")
        return self._constants[node.input[position]]

    def _emit(self, node: n.Node, spacing: int = 1) -> str:
        self._edges[node.name] = node.infer(*(self._edges[source] for source in node.inputs))
        self._spacing[node.name] = spacing
        self._nodes.append(node)
        return node.name

    def _elementwise(self, node: "NodeProto", attributes: Mapping[str, Any]) -> None:
        function = ELEMENTWISE[node.op_type]
        flowing = [i for i, name in enumerate(node.input) if name in self._flows]
        if not flowing:
            constants = [self._constant(node, i) for i in range(len(node.input))]
            self._constants[node.output[0]] = np.asarray(function(constants, attributes), np.float32)
            return
        if len(flowing) > 1:
            raise ValueError("both inputs depend on the image; signbit reads chains only")
        position, flow = flowing[0], self._flows[node.input[flowing[0]]]
        operands = [self._operand(node, i, flow.shape) for i in range(len(node.input)) if i != position]

        def stage(x: Array) -> Array:
            return function([*operands[:position], x, *operands[position:]], attributes)

        self._flows[node.output[0]] = replace(flow, stages=(*flow.stages, stage))

    def _operand(self, node: "NodeProto", position: int, shape: tuple[int, ...]) -> Array:
        """A constant as float32, one number or one per channel of the tensor of `shape` that it meets."""
        constant = self._constant(node, position).astype(np.float32)
        if node.op_type == "MultiThreshold" and constant.ndim == 2 and len(constant) in (1, shape[1]):
            return constant
        if constant.size == 1:
            return constant.reshape(1)
        aligned = (1,) * (len(shape) - constant.ndim) + constant.shape
        vector = node.op_type == "BatchNormalization" and constant.shape == (shape[1],)
        if not vector and aligned != (1, shape[1], *(1 for _ in shape[2:])):
            raise ValueError(f"the constant {node.input[position]!r} of shape {constant.shape} is not per channel")
        return constant.reshape(-1)

    def _settle(self, flow: _Flow, name: str) -> tuple[str, float]:
        """A packed edge holding the tensor `name` divided by the returned power of two."""
        edge = self._edges[flow.edge]
        if not flow.stages and not isinstance(edge, Image):
            return flow.edge, 1.0
        low, high = integer_range(edge)
        spacing = 2 if isinstance(edge, Bits) else self._spacing.get(flow.edge, 1)
        values = np.arange(low, high + 1, spacing)
        results = arithmetic.evaluate(flow.stages, values)
        if flow.flat and results.shape[1] > 1:
            raise ValueError(f"tensor {name!r}: pixels of a flattened image need one function for all")
        scale = arithmetic.magnitude(results)
        if scale is None and not isinstance(edge, Image):
            raise ValueError(f"tensor {name!r} takes other values than ±1 (or ± a power of two); signbit packs signs")
        if isinstance(edge, Bits):
            if (results != (scale or 1) * values[:, None]).any():
                raise ValueError(f"tensor {name!r} takes signs to something other than themselves")
            return flow.edge, scale or 1.0
        emitted = f"{name}.image" if flow.flat else name
        if scale is not None:
            channels = edge.shape[0]
            threshold, direction = (
                np.broadcast_to(part, channels).copy() for part in arithmetic.thresholds(values, results > 0)
            )
            source = self._emit(
                n.Threshold(name=emitted, inputs=(flow.edge,), threshold=threshold, direction=direction)
            )
        else:
            table = arithmetic.steps(results)
            if table is None:
                raise ValueError(f"tensor {name!r}: the pixels are not 8-bit integers times a power of two")
            integers, scale = table
            source = self._emit(n.Lookup(name=emitted, inputs=(flow.edge,), table=np.ascontiguousarray(integers.T)))
        return (self._emit(n.Flatten(name=name, inputs=(source,))) if flow.flat else source), scale

    def _sums(self, node: "NodeProto", build: Callable[[str, Array], n.Node], exact: bool) -> _Flow:
        """Emits a product with ±1 weights, then the power of two that its operands were divided by."""
        source, scale = self._settle(self._flows[node.input[0]], node.input[0])
        weight = self._constant(node, 1)
        size = arithmetic.magnitude(weight)
        if size is None:
            raise ValueError(f"the weights {node.input[1]!r} take other values than ±1 (or ± a power of two)")
        bits = isinstance(self._edges[source], Bits)
        name = self._emit(build(source, negative(weight)), spacing=2 if bits and exact else 1)
        if integer_range(self._edges[name])[1] > EXACT:
            raise ValueError("sums beyond 2^24 are not exact in float32")
        stages = _times(scale * size)
        if len(node.input) > 2:
            bias = self._constant(node, 2).astype(np.float32)
            stages = (*stages, lambda x: x + bias)
        return _Flow(name, (1, *self._edges[name].shape), stages)

    def _matmul(self, node: "NodeProto", attributes: Mapping[str, Any]) -> _Flow:
        if len(self._flows[node.input[0]].shape) != 2:
            raise ValueError("only a matrix product of (batch, features) is read")
        if self._constant(node, 1).shape[:-1] != self._flows[node.input[0]].shape[1:]:
            raise ValueError(f"weights of shape {self._constant(node, 1).shape} do not fit")

        def build(source: str, bits: Array) -> n.Node:
            return n.BinaryLinear(
                name=node.output[0], inputs=(source,), filters=bits.shape[1], weight=encode_dense(bits.T)
            )

        return self._sums(node, build, exact=True)

    def _conv(self, node: "NodeProto", attributes: Mapping[str, Any]) -> _Flow:
        shape, groups = self._constant(node, 1).shape, attributes.get("group", 1)
        window = _window(shape[2:], attributes)
        if shape[1] * groups != self._flows[node.input[0]].shape[1]:
            raise ValueError(f"weights of shape {shape} in {groups} groups do not fit")

        def build(source: str, bits: Array) -> n.Node:
            return n.BinaryConv(
                name=node.output[0],
                inputs=(source,),
                window=window,
                filters=len(bits),
                groups=groups,
                pad_value=0,
                weight=encode_dense(bits.reshape(len(bits), -1)),
            )

        return self._sums(node, build, exact=not any(window.padding))

    def _max_pool(self, node: "NodeProto", attributes: Mapping[str, Any]) -> _Flow:
        if attributes.get("ceil_mode", 0) or attributes.get("storage_order", 0) or len(node.output) > 1:
            raise ValueError("ceil_mode, storage_order and the indices are not supported")
        source, scale = self._settle(self._flows[node.input[0]], node.input[0])
        window = _window(tuple(attributes["kernel_shape"]), attributes)
        name = self._emit(n.Pool(name=node.output[0], inputs=(source,), window=window), self._spacing[source])
        return _Flow(name, (1, *self._edges[name].shape), _times(scale))

    def _reshape(self, node: "NodeProto", attributes: Mapping[str, Any]) -> _Flow:
        flow = self._flows[node.input[0]]
        if node.op_type == "Flatten":
            target = [1, -1] if attributes.get("axis", 1) == 1 else []
        else:
            target = [int(size) for size in self._constant(node, 1)]
        sizes = [flow.shape[i] if size == 0 else size for i, size in enumerate(target)]
        shape = np.empty(flow.shape, bool).reshape(sizes).shape
        if shape == flow.shape:
            return flow
        if shape != (1, prod(flow.shape)):
            raise ValueError(f"shape {flow.shape} to {shape}: only flattening to (1, {prod(flow.shape)}) is read")
        if isinstance(self._edges[flow.edge], Image):
            return replace(flow, shape=shape, flat=True)
        source, scale = self._settle(flow, node.input[0])
        name = self._emit(n.Flatten(name=node.output[0], inputs=(source,)), self._spacing[source])
        return _Flow(name, shape, _times(scale))

    def _axes(self, node: "NodeProto", attributes: Mapping[str, Any]) -> _Flow:
        flow = self._flows[node.input[0]]
        axes = tuple(attributes["axes"] if "axes" in attributes else map(int, self._constant(node, 1)))
        change: Callable[..., Array] = np.expand_dims if node.op_type == "Unsqueeze" else np.squeeze
        shape = change(np.empty(flow.shape, bool), axes).shape
        if shape[:2] != flow.shape[:2]:
            raise ValueError(f"axes {axes} of a tensor {flow.shape}: only axes of size 1 after the channels are read")
        return replace(flow, shape=shape)

    def _identity(self, node: "NodeProto", attributes: Mapping[str, Any]) -> _Flow:
        return self._flows[node.input[0]]

    def _rank(self, node: "NodeProto", attributes: Mapping[str, Any]) -> _Flow:
        flow = self._flows[node.input[0]]
        axis = attributes.get("axis", -1 if node.op_type == "TopK" else 0)
        if axis not in (-1, 1) or not attributes.get("largest", 1) or attributes.get("select_last_index", 0):
            raise ValueError("only a ranking of the largest over the last axis is read")
        self._ranked = node.name or node.op_type
        for output in node.output:
            self._flows[output] = flow
        return flow

    def _output(self, name: str) -> str:
        """The packed node that holds the output: the last sum, or an affine function of it."""
        if name not in self._flows:
            raise ValueError(f"the output {name!r} does not come from the image")
        flow = self._flows[name]
        edge = self._edges[flow.edge]
        if isinstance(edge, Image):
            raise ValueError("no layer stands between the image and the output")
        if not flow.stages:
            return flow.edge
        if isinstance(edge, Bits):
            return self._settle(flow, name)[0]
        low, high = integer_range(edge)
        parts = arithmetic.affine(flow.stages, np.arange(low, high + 1, self._spacing[flow.edge]))
        scale, offset = (np.broadcast_to(part, edge.shape[:1]).copy() for part in parts)
        return self._emit(n.Affine(name=name, inputs=(flow.edge,), scale=scale, offset=offset))


_OPERATORS: dict[str, Callable[[_Reader, "NodeProto", Mapping[str, Any]], _Flow]] = {
    "MatMul": _Reader._matmul,
    "Conv": _Reader._conv,
    "MaxPool": _Reader._max_pool,
    "Reshape": _Reader._reshape,
    "Flatten": _Reader._reshape,
    "Unsqueeze": _Reader._axes,
    "Squeeze": _Reader._axes,
    "Identity": _Reader._identity,
    "TopK": _Reader._rank,
    "ArgMax": _Reader._rank,
}


def _times(power_of_two: float) -> tuple[Stage, ...]:
    factor = np.float32(power_of_two)
    return () if factor == 1 else (lambda x: x * factor,)


def _window(kernel: tuple[int, ...], attributes: Mapping[str, Any]) -> Window:
    if attributes.get("auto_pad", b"NOTSET") != b"NOTSET" or len(kernel) != 2:
        raise ValueError("only two-dimensional windows with explicit pads are read")
    pads = attributes.get("pads", (0, 0, 0, 0))
    return Window(
        kernel=(kernel[0], kernel[1]),
        stride=tuple(attributes.get("strides", (1, 1))),
        padding=tuple(pads),
        dilation=tuple(attributes.get("dilations", (1, 1))),
    )
