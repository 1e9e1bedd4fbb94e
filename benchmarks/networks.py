"""Whole networks with random weights beside float and int8 twins of the same layers, and beside other binary engines.

python benchmarks/networks.py [--networks birealnet18 ...] [--batch 1 32] [--threads 1] [--rounds 5] [--eager]
    [--larq PYTHON] [--openvino PYTHON] [--only NAME ...] [--fifo PRIORITY]

"ours" has int8 stem, shortcuts and classifier; "ours float32" has them in float32. A twin has the same convolutions
with real weights and ReLU for sign (`signbit.cli.twins`): the float or int8 network of the same topology. Larq Compute
Engine and TensorFlow Lite (`--larq`) and OpenVINO (`--openvino`) run in another interpreter, as benchmarks/worker.py,
and take turns with the rest. Each round times every engine for a moment; the table shows medians over all rounds, and
how many times as long as ours each takes. Who is missing is named. `--fifo` keeps other work off the timed calls.
"""

import argparse
import copy
import json
import statistics
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
import torch
import worker

from signbit import runtime
from signbit.cli import qdq, twins
from signbit.cli.machine import cpu_name
from signbit.export import to_graph
from signbit.models import create_model
from signbit.packed import Graph
from signbit.packed.image import ImagePreparation

SIDES = {
    "binarynet": 32, "birealnet18": 224, "quicknet": 224, "quicknet_small": 224, "reactnet_a": 224,
    "resnet20_cifar": 32,
}  # fmt: skip
OURS = "ours"
Call = Callable[[], object]
Turn = Callable[[float], list[float]]
"""Runs an engine for about so many seconds; gives the seconds of each call."""


def in_process(call: Call) -> Turn:
    """The turns of an engine that lives in this process."""
    return partial(worker.turn, call)


class Worker:
    """Another interpreter that runs one engine; answers a number of seconds with the seconds of each call."""

    def __init__(self, python: str, *arguments: object) -> None:
        command = [python, worker.__file__, *map(str, arguments)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self._ask("")

    def _ask(self, line: str) -> object:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if line:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        answer = next((text for text in self._process.stdout if text.startswith("{")), '{"error": "it ended"}')
        result = json.loads(answer)
        if "error" in result:
            raise RuntimeError(result["error"])
        return result["ok"]

    def turn(self, seconds: float) -> list[float]:
        """As `Turn` says."""
        result = self._ask(str(seconds))
        assert isinstance(result, list)
        return result

    def close(self) -> None:
        """Ends the interpreter."""
        self._process.terminate()
        self._process.wait()


def graphs(name: str) -> tuple[Graph, Graph]:
    """The network with random weights and statistics: with int8 stem and shortcuts, and with float32."""
    torch.manual_seed(0)
    side = SIDES[name]
    model = create_model(name, num_classes=10 if side == 32 else 1000).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d) and module.running_mean is not None:
            module.running_mean.normal_(0, 0.5)
            module.running_var.uniform_(0.5, 1.5)
    image = ImagePreparation(height=side, width=side)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, side, side), dtype=np.uint8)
    return (
        to_graph(model, image=image, stem="int8", dense="int8", calibration=pixels),
        to_graph(model, image=image),
    )


def torch_engines(twin: torch.nn.Module, x: torch.Tensor, *, eager: bool) -> Iterator[tuple[str, Call]]:
    """PyTorch in float32 and bfloat16, channels last, compiled with frozen weights unless `eager`."""
    import torch._inductor.config

    torch._inductor.config.freezing = True
    for name, dtype in (("torch fp32", torch.float32), ("torch bf16", torch.bfloat16)):
        model = copy.deepcopy(twin).to(dtype=dtype, memory_format=torch.channels_last)
        batch = x.to(dtype=dtype, memory_format=torch.channels_last)
        run = model if eager else torch.compile(model, dynamic=False)
        yield f"{name}{' eager' if eager else ''}", lambda run=run, batch=batch: run(batch)


def onnx_files(graph: Graph, images: np.ndarray, folder: Path) -> dict[str, Path]:
    """The twin as ONNX in float32 and, quantized statically, in int8."""
    paths = {kind: folder / f"{kind}.onnx" for kind in ("fp32", "int8")}
    qdq.write(twins.float_twin(graph), images, source=paths["fp32"], target=paths["int8"])
    return paths


def wanted(label: str, options: argparse.Namespace) -> bool:
    """Whether `--only` leaves an engine in."""
    return options.only is None or any(label.startswith(name) for name in options.only)


def engines(name: str, batch: int, options: argparse.Namespace, stack: ExitStack) -> dict[str, Turn]:
    """Every engine that can run the network, ready."""
    found: dict[str, Turn] = {}
    quantized, real = graphs(name)
    pixels = np.random.default_rng(1).integers(0, 256, (batch, 3, SIDES[name], SIDES[name]), dtype=np.uint8)
    images = twins.prepare(real, pixels)
    for label, graph in ((OURS, quantized), ("ours float32", real)):
        model = runtime.compile(graph, threads=options.threads, isa=options.isa)
        found[label] = in_process(lambda model=model: model.run(pixels))

    if options.threads > 1:
        single = runtime.compile(quantized, threads=1, isa=options.isa)
        found["ours, one thread"] = in_process(lambda: single.run(pixels))

    def attempt(label: str, make: Callable[[], Turn]) -> None:
        if not wanted(label, options):
            return
        try:
            found[label] = make()
        except Exception as error:  # an engine that fails is left out, whatever the reason
            print(f"{name}, batch {batch}: no {label}: {str(error).splitlines()[0][:150]}")

    for label, call in torch_engines(twins.float_twin(real), images, eager=options.eager):
        attempt(label, lambda call=call: (call(), in_process(call))[1])
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    files: dict[str, Path] = {}
    try:
        files = onnx_files(real, images.numpy()[:8], folder)
    except twins.NoTwinError as error:
        print(f"{name}: no ONNX Runtime: {error}")
    for kind, path in files.items():
        if not wanted(f"ONNX Runtime {kind}", options):
            continue
        session = qdq.load(path, options.threads)
        found[f"ONNX Runtime {kind}"] = in_process(lambda session=session: session(images.numpy()))
    tasks = [("OpenVINO " + kind, options.openvino, ("openvino", path)) for kind, path in files.items()]
    tasks += [("Larq", options.larq, ("larq", name)), ("Larq indirect", options.larq, ("larq-indirect", name))]
    tasks += [(f"TF Lite {kind}", options.larq, (f"tflite-{kind}", name)) for kind in ("fp32", "int8")]
    for label, python, (kind, what) in tasks:
        if python is None:
            continue

        def start(python: str = python, kind: str = kind, what: object = what) -> Turn:
            engine = Worker(python, kind, what, batch, options.threads, options.fifo or 0)
            stack.callback(engine.close)
            return engine.turn

        attempt(label, start)
    return found


def measure(name: str, batch: int, options: argparse.Namespace) -> None:
    """One row of the table."""
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode())
        turns = engines(name, batch, options, stack)
        samples: dict[str, list[float]] = {label: [] for label in turns}
        for _ in range(options.rounds):
            for label, turn in turns.items():
                samples[label] += turn(options.seconds)
    medians = {label: statistics.median(times) for label, times in samples.items()}
    ours = medians.pop(OURS)
    rest = ", ".join(f"{label} {t * 1e3:.2f} ms = {t / ours:.1f}" for label, t in medians.items())
    print(f"| {name} | {batch} | {options.threads} | {ours * 1e3:.3f} | {rest} |", flush=True)


def main() -> None:
    """Prints the machine and a row per network and batch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=list(SIDES), choices=list(SIDES))
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.2, help="of every engine and round")
    parser.add_argument("--isa", default=runtime.isas()[0])
    parser.add_argument("--eager", action="store_true", help="PyTorch without torch.compile")
    parser.add_argument("--only", nargs="+", help="beginnings of the names of the other engines to run")
    parser.add_argument("--fifo", type=int, help="real-time priority of the timed calls")
    parser.add_argument("--larq", help="an interpreter with larq-compute-engine and larq-zoo")
    parser.add_argument("--openvino", help="an interpreter with openvino")
    options = parser.parse_args()
    for name in ("larq", "openvino"):
        if getattr(options, name) is None:
            print(f"{name}: left out, no --{name} PYTHON")
    torch.set_num_threads(options.threads)
    worker.PRIORITY = options.fifo or 0
    warnings.simplefilter("ignore")
    print(f"{cpu_name()}, {options.isa}\n")
    print("| network | batch | threads | ours ms | others, and times ours |\n|---|---|---|---|---|", flush=True)
    for batch in options.batch:
        for name in options.networks:
            measure(name, batch, options)


if __name__ == "__main__":
    main()
