"""Chains of 3x3 layers in this interpreter: signbit's engine, PyTorch and ONNX Runtime; part of layers.py."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from signbit import _native
from signbit.packed import nodes, reference
from signbit.packed.bits import Array
from signbit.packed.edges import Bits, Real
from signbit.packed.graph import Graph
from signbit.packed.weights import encode_dense
from signbit.packed.window import Window
from signbit.runtime.handover import describe_inputs, describe_nodes

LENGTHS = (1, 2, 6)
Calls = dict[str, list[Callable[[], object]]]
"""By engine: a call for each of `LENGTHS`."""
FORMS = {"ours": "chosen", "popcount": "popcount", "bit-planes": "bit-planes", "mirrored": "mirrored"}


@dataclass(frozen=True)
class Shape:
    """Layers of so many inputs and filters on maps of side x side, for a batch."""

    side: int
    inputs: int
    filters: int
    batch: int

    def __str__(self) -> str:
        """As a table names it."""
        return f"{self.side}x{self.side}, {self.inputs} → {self.filters}"

    @property
    def work(self) -> int:
        """Multiply-adds of one layer."""
        return self.batch * self.side**2 * 9 * self.inputs * self.filters

    def channels(self, length: int) -> list[tuple[int, int]]:
        """Inputs and filters of every layer of a chain."""
        pair = (self.inputs, self.filters)
        return [pair if i % 2 == 0 else pair[::-1] for i in range(length)]

    def volume(self, channels: int) -> tuple[int, int, int, int]:
        """Of the activations."""
        return (self.batch, channels, self.side, self.side)


def ours(shape: Shape, isa: str, folder: Path) -> Calls:
    """The form that the plan chooses and each of the three, checked equal; writes each chain to `folder` for peers.

    One layer alone takes and gives float32, as the binary peers do: signs before it, batch normalisation behind it.
    """
    rng = np.random.default_rng(0)
    calls: Calls = {name: [] for name in FORMS}
    x = np.random.default_rng(1).choice(np.array([-1, 1], np.int8), shape.volume(shape.inputs))
    window = Window(kernel=(3, 3), padding=(1, 1, 1, 1))
    for length in LENGTHS:
        layers: list[nodes.Node] = []
        arrays = {"x": x}
        for i, (depth, filters) in enumerate(shape.channels(length)):
            weight = encode_dense(rng.integers(0, 2, (filters, depth * 9), dtype=np.uint8))
            source = f"bits{i - 1}" if i else "x"
            layer = nodes.BinaryConv(name=f"sum{i}", inputs=(source,), window=window, filters=filters, weight=weight)
            cuts = rng.integers(-20, 21, filters, dtype=np.int32)
            direction = rng.choice(np.array([-1, 1], np.int8), filters)
            layers += [
                layer,
                nodes.Threshold(name=f"bits{i}", inputs=(layer.name,), threshold=cuts, direction=direction),
            ]
            arrays |= {f"sign{i}": reference.conv_signs(layer, depth), f"cut{i}": cuts, f"direction{i}": direction}
        graph = Graph({"x": Bits(x.shape[1:])}, tuple(layers), f"bits{length - 1}")
        plans, bits = _plans(graph, x, isa)
        np.savez(folder / f"{length}.npz", **arrays, expected=bits)
        if length == 1:
            scale, offset = direction.astype(np.float32), (0.5 - direction * cuts).astype(np.float32)
            norm = nodes.Affine(name="norm", inputs=(layer.name,), scale=scale, offset=offset)
            start = nodes.Sign(name="signs", inputs=("x",))
            graph = Graph({"x": Real(x.shape[1:])}, (start, replace(layer, inputs=("signs",)), norm), "norm")
            plans, values = _plans(graph, x.astype(np.float32), isa)
            if not np.array_equal(np.where(values >= 0, 1, -1), bits):
                raise SystemExit(f"outputs differ at {shape}")
        for name, call in plans.items():
            calls[name].append(call)
    return calls


def _plans(graph: Graph, x: Array, isa: str) -> tuple[dict[str, Callable[[], object]], Array]:
    calls: dict[str, Callable[[], object]] = {}
    outputs = []
    for name, layout in FORMS.items():
        plan = _native.Plan(describe_inputs(graph), describe_nodes(graph), graph.output, isa, 1, layout)
        out = np.empty((len(x), *graph.edges[graph.output].shape), x.dtype)
        plan.run([x], out)
        outputs.append(out)
        calls[name] = partial(plan.run, [x], out)
    if not all(np.array_equal(outputs[0], other) for other in outputs[1:]):
        raise SystemExit(f"the forms differ: {graph.inputs['x']}")
    return calls, outputs[0]


def torch_engines(shape: Shape) -> Calls:
    """PyTorch: quantized ConvReLU2d (oneDNN int8), bfloat16 and float32, channels last."""
    import torch
    from torch.ao.nn.intrinsic.quantized import ConvReLU2d

    torch.set_num_threads(1)
    torch.manual_seed(0)
    torch.backends.quantized.engine = "onednn"
    last = torch.channels_last
    x = torch.randn(shape.volume(shape.inputs)).contiguous(memory_format=last)

    def quantized(depth: int, filters: int) -> torch.nn.Module:
        layer = ConvReLU2d(depth, filters, 3, padding=1)
        scales = torch.full((filters,), 0.02, dtype=torch.double)
        zeros = torch.zeros(filters, dtype=torch.long)
        weight = torch.quantize_per_channel(torch.randn(filters, depth, 3, 3), scales, zeros, 0, torch.qint8)
        layer.set_weight_bias(weight, torch.zeros(filters))
        layer.scale, layer.zero_point = 0.5, 0
        return layer

    def real(depth: int, filters: int) -> torch.nn.Module:
        return torch.nn.Sequential(torch.nn.Conv2d(depth, filters, 3, padding=1), torch.nn.ReLU(inplace=True))

    calls: Calls = {"oneDNN int8": [], "torch bf16": [], "torch fp32": []}
    batch = torch.quantize_per_tensor(x, 0.05, 64, torch.quint8)
    for length in LENGTHS:
        model = torch.nn.Sequential(*(quantized(*pair) for pair in shape.channels(length)))
        calls["oneDNN int8"].append(lambda model=model: model(batch))
        for name, dtype in (("torch bf16", torch.bfloat16), ("torch fp32", torch.float32)):
            model = torch.nn.Sequential(*(real(*pair) for pair in shape.channels(length)))
            model, typed = model.to(dtype=dtype, memory_format=last).eval(), x.to(dtype)
            calls[name].append(lambda model=model, typed=typed: model(typed))
    return calls


def onnx_engines(shape: Shape, folder: Path) -> Calls:
    """ONNX Runtime: float32, and static int8 (uint8 activations, int8 weights per channel); keeps its files."""
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper
    from onnxruntime import quantization

    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape.volume(shape.inputs), np.float32)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4

    class Calibration(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self.left = [{"x": x[:1]}]

        def get_next(self) -> dict[str, Array] | None:
            return self.left.pop() if self.left else None

    calls: Calls = {"ONNX Runtime int8": [], "ONNX Runtime fp32": []}
    for length in LENGTHS:
        plain, packed = onnx_paths(shape, folder, length)
        if not packed.exists():
            weights, steps, source = [], [], "x"
            for i, (depth, filters) in enumerate(shape.channels(length)):
                values = (rng.standard_normal((filters, depth, 3, 3)) * (2 / (9 * depth)) ** 0.5).astype(np.float32)
                weights.append(numpy_helper.from_array(values, f"w{i}"))
                steps.append(helper.make_node("Conv", [source, f"w{i}"], [f"c{i}"], pads=[1, 1, 1, 1]))
                steps.append(helper.make_node("Relu", [f"c{i}"], [f"r{i}"]))
                source = f"r{i}"
            sizes = {"x": shape.inputs, source: shape.channels(length)[-1][1]}
            ends = [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, ("batch", size, shape.side, shape.side))
                for name, size in sizes.items()
            ]
            graph = helper.make_graph(steps, "chain", ends[:1], ends[1:], weights)
            model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
            onnx.save(model, plain)
            quantization.quantize_static(plain, packed, Calibration(), per_channel=True)
        for name, path in (("ONNX Runtime int8", packed), ("ONNX Runtime fp32", plain)):
            session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
            calls[name].append(lambda session=session: session.run(None, {"x": x}))
    return calls


def onnx_paths(shape: Shape, folder: Path, length: int) -> tuple[Path, Path]:
    """Where a chain's float32 and int8 files lie, whatever the batch."""
    name = f"{shape.side}-{shape.inputs}-{shape.filters}-{length}"
    return folder / f"{name}.onnx", folder / f"{name}.int8.onnx"
