"""Binary 3x3 layers, bits in to bits out, beside int8, bfloat16 and float32 convolutions of the same shape.

python benchmarks/layers.py [--batch 1 32] [--rounds 5] [--isa avx512] [--sides 7 8]

Every engine runs a chain of layers (C -> N -> C -> ...) on one thread. The time of a layer is the marginal one: a chain
of six less a chain of two, divided by four. Engines take turns in every round, each with its fastest of nine runs (of
two from batch 2 on). The table shows medians over the rounds in microseconds, and how many times as long as ours each
takes. "ours" is the layout that the plan chooses, with threshold; peers are convolutions with ReLU. An engine that is
not installed is named and left out.
"""

import argparse
import logging
import platform
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from signbit import _native, runtime
from signbit.packed import nodes
from signbit.packed.edges import Bits
from signbit.packed.graph import Graph
from signbit.packed.weights import encode_dense
from signbit.packed.window import Window
from signbit.runtime.handover import describe_inputs, describe_nodes

SHAPES = (
    (56, 64, 64), (28, 128, 128), (14, 256, 256), (7, 512, 512), (32, 128, 128),
    (16, 128, 256), (16, 256, 256), (8, 256, 512), (8, 512, 512),
)  # fmt: skip
SHORT, LONG = 2, 6
Run = Callable[[], float]


def channels(c: int, n: int, length: int) -> list[tuple[int, int]]:
    """Inputs and filters of every layer of a chain."""
    return [(c, n) if i % 2 == 0 else (n, c) for i in range(length)]


def ours(side: int, c: int, n: int, batch: int, isa: str) -> dict[str, tuple[Run, Run]]:
    """The chosen form and each of the three; their outputs are checked equal."""
    rng = np.random.default_rng(0)
    chains = {"ours": "chosen", "popcount": "packed", "bit-planes": "planes", "mirrored": "mirrored"}
    runs: dict[str, list[Run]] = {name: [] for name in chains}
    x = rng.choice(np.array([-1, 1], np.int8), (batch, c, side, side))
    window = Window(kernel=(3, 3), padding=(1, 1, 1, 1))
    for length in (SHORT, LONG):
        layers: list[nodes.Node] = []
        for i, (depth, filters) in enumerate(channels(c, n, length)):
            source = "x" if i == 0 else f"bits{i - 1}"
            weight = encode_dense(rng.integers(0, 2, (filters, depth * 9), dtype=np.uint8))
            cuts = rng.integers(-20, 21, filters, dtype=np.int32)
            direction = rng.choice(np.array([-1, 1], np.int8), filters)
            layers += [
                nodes.BinaryConv(name=f"sum{i}", inputs=(source,), window=window, filters=filters, weight=weight),
                nodes.Threshold(name=f"bits{i}", inputs=(f"sum{i}",), threshold=cuts, direction=direction),
            ]
        graph = Graph({"x": Bits((c, side, side))}, tuple(layers), f"bits{length - 1}")
        results = []
        for name, layout in chains.items():
            plan = _native.Plan(describe_inputs(graph), describe_nodes(graph), graph.output, isa, 1, layout)
            out = np.empty((batch, *graph.edges[graph.output].shape), np.int8)
            plan.run([x], out)
            results.append(out)
            runs[name].append(lambda plan=plan, out=out: sum(plan.profile([x], out, 1)))
        if not all(np.array_equal(results[0], other) for other in results[1:]):
            raise SystemExit(f"outputs differ at {side}x{side}x{c}->{n}")
    return {name: (short, long) for name, (short, long) in runs.items()}


def torch_engines(side: int, c: int, n: int, batch: int) -> dict[str, tuple[Run, Run]]:
    """PyTorch: quantized ConvReLU2d (oneDNN int8), bfloat16 and float32, channels last."""
    import torch
    from torch.ao.nn.intrinsic.quantized import ConvReLU2d

    torch.set_num_threads(1)
    torch.manual_seed(0)
    last = torch.channels_last
    x = torch.randn(batch, c, side, side).contiguous(memory_format=last)

    def quantized(length: int) -> Run:
        layers = []
        for depth, filters in channels(c, n, length):
            layer = ConvReLU2d(depth, filters, 3, padding=1)
            weight = torch.randn(filters, depth, 3, 3)
            scales = torch.full((filters,), 0.02, dtype=torch.double)
            zeros = torch.zeros(filters, dtype=torch.long)
            layer.set_weight_bias(
                torch.quantize_per_channel(weight, scales, zeros, 0, torch.qint8), torch.zeros(filters)
            )
            layer.scale, layer.zero_point = 0.5, 0
            layers.append(layer)
        model, q = torch.nn.Sequential(*layers), torch.quantize_per_tensor(x, 0.05, 64, torch.quint8)
        return timed(lambda: model(q))

    def real(length: int, dtype: torch.dtype) -> Run:
        layers = [
            torch.nn.Sequential(torch.nn.Conv2d(a, b, 3, padding=1), torch.nn.ReLU(inplace=True))
            for a, b in channels(c, n, length)
        ]
        model = torch.nn.Sequential(*layers).to(dtype=dtype, memory_format=last).eval()
        typed = x.to(dtype)
        return timed(lambda: model(typed))

    engines = {}
    for engine in ("x86", "onednn"):
        torch.backends.quantized.engine = engine
        engines[f"torch int8 {engine}"] = (quantized(SHORT), quantized(LONG))
    engines["torch bf16"] = (real(SHORT, torch.bfloat16), real(LONG, torch.bfloat16))
    engines["torch fp32"] = (real(SHORT, torch.float32), real(LONG, torch.float32))
    return engines


def onnx_engines(side: int, c: int, n: int, batch: int, folder: Path) -> dict[str, tuple[Run, Run]]:
    """ONNX Runtime: float32, and static int8 (uint8 activations, int8 weights per channel)."""
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper
    from onnxruntime import quantization

    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, c, side, side), np.float32)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4

    class Calibration(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self.left = [{"x": x[:1].repeat(batch, 0)}]

        def get_next(self) -> dict[str, np.ndarray] | None:
            return self.left.pop() if self.left else None

    runs: dict[str, list[Run]] = {"ONNX Runtime int8": [], "ONNX Runtime fp32": []}
    for length in (SHORT, LONG):
        weights, steps, source = [], [], "x"
        for i, (depth, filters) in enumerate(channels(c, n, length)):
            values = (rng.standard_normal((filters, depth, 3, 3)) * (2 / (9 * depth)) ** 0.5).astype(np.float32)
            weights.append(numpy_helper.from_array(values, f"w{i}"))
            steps.append(helper.make_node("Conv", [source, f"w{i}"], [f"c{i}"], pads=[1, 1, 1, 1]))
            steps.append(helper.make_node("Relu", [f"c{i}"], [f"r{i}"]))
            source = f"r{i}"
        ends = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, (batch, c, side, side)) for name in ("x", source)
        ]
        graph = helper.make_graph(steps, "chain", ends[:1], ends[1:], weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        plain, packed = folder / f"{length}.onnx", folder / f"{length}.int8.onnx"
        onnx.save(model, plain)
        quantization.quantize_static(plain, packed, Calibration(), per_channel=True)
        for name, path in (("ONNX Runtime int8", packed), ("ONNX Runtime fp32", plain)):
            session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
            runs[name].append(timed(lambda session=session: session.run(None, {"x": x})))
    return {name: (short, long) for name, (short, long) in runs.items()}


def timed(call: Callable[[], object]) -> Run:
    """A call that gives its own time in microseconds."""

    def run() -> float:
        start = time.perf_counter()
        call()
        return (time.perf_counter() - start) * 1e6

    return run


def marginal(runs: tuple[Run, Run], repeats: int) -> float:
    """Microseconds of one layer more, by the fastest of `repeats` runs of each chain."""
    short, long = (min(run() for _ in range(repeats)) for run in runs)
    return (long - short) / (LONG - SHORT)


def main() -> None:
    """Times every shape and prints a row for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--isa", default=runtime.isas()[0], choices=runtime.isas()[:-1])
    parser.add_argument("--sides", type=int, nargs="+", help="only maps of these sides")
    parser.add_argument("--own", action="store_true", help="leave the peers out")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable()
    print(f"{cpu()}, instruction set {options.isa}, 1 thread, {options.rounds} rounds")
    for batch in options.batch:
        for side, c, n in SHAPES:
            if options.sides is not None and side not in options.sides:
                continue
            engines = ours(side, c, n, batch, options.isa)
            if not options.own:
                engines |= peers(side, c, n, batch)
            repeats = 9 if batch == 1 else 2
            times: dict[str, list[float]] = {name: [] for name in engines}
            for _ in range(options.rounds):
                for name, runs in engines.items():
                    times[name].append(marginal(runs, repeats))
            medians = {name: statistics.median(values) for name, values in times.items()}
            unit = medians["ours"]
            rate = batch * side * side * 9 * c * n / unit / 1e6
            row = " | ".join(f"{name} {value:.0f} ({value / unit:.1f}x)" for name, value in medians.items())
            print(f"{side}x{side}x{c}->{n} batch {batch}: {rate:.2f} TMAC/s | {row}", flush=True)


def peers(side: int, c: int, n: int, batch: int) -> dict[str, tuple[Run, Run]]:
    """Engines that are installed; the others are named once."""
    import tempfile

    engines: dict[str, tuple[Run, Run]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, make in (
            ("torch", lambda: torch_engines(side, c, n, batch)),
            ("onnxruntime", lambda: onnx_engines(side, c, n, batch, Path(folder))),
        ):
            try:
                engines |= make()
            except ImportError as error:
                if name not in ABSENT:
                    print(f"{name} is left out: {error}")
                ABSENT.add(name)
    return engines


ABSENT: set[str] = set()


def cpu() -> str:
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
