"""Whole networks with random weights beside float and int8 twins of the same layers, and beside other binary engines.

python benchmarks/networks.py [--networks birealnet18 ...] [--batch 1 32] [--threads 1] [--rounds 5] [--eager]
    [--larq PYTHON] [--litert PYTHON] [--openvino PYTHON] [--keep FOLDER] [--only NAME ...] [--fifo PRIORITY]

"ours" has int8 stem, shortcuts and classifier; "ours float32" has them in float32. A twin has the same convolutions
with real weights and ReLU for sign (`benchmark.twins`): the float or int8 network of the same topology. Larq Compute
Engine runs its own definition of a binary network ("Larq": with its indirect kernels, its fastest on x86), LiteRT a
float or int8 one of the same topology made with Keras (both converted by `--larq`), OpenVINO the same ONNX files as
ONNX Runtime; these live in other interpreters (worker.py) and take turns with the rest. Each round times every engine
for a moment; the tables show medians over all rounds, and how many times as long as ours each takes. Who is missing is
named. `--fifo` keeps other work off the timed calls.
"""

import argparse
import copy
import statistics
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
import torch
import worker
from interpreters import Interpreter, Remote, add_arguments, say_absent, wanted
from tables import Row, print_ratios

from signbit import runtime
from signbit.benchmark import qdq, twins
from signbit.export import to_graph
from signbit.machine import cpu_name
from signbit.models import create_model
from signbit.packed import Graph
from signbit.packed.bits import Array
from signbit.packed.image import ImagePreparation

SIDES = {
    "binarynet": 32, "birealnet18": 224, "quicknet": 224, "quicknet_small": 224, "reactnet_a": 224,
    "resnet18_cifar": 32, "resnet20_cifar": 32,
}  # fmt: skip
OURS = "ours"
Call = Callable[[], object]
Turn = Callable[[float], list[float]]
"""Runs an engine for about so many seconds; gives the seconds of each call."""


def in_process(call: Call, options: argparse.Namespace) -> Turn:
    """The turns of an engine that lives in this process."""
    return partial(worker.turn, call, priority=options.fifo)


def random_network(name: str, **options: object) -> torch.nn.Module:
    """The network with random weights and statistics."""
    torch.manual_seed(0)
    model = create_model(name, num_classes=10 if SIDES[name] == 32 else 1000, **options).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d) and module.running_mean is not None:
            module.running_mean.normal_(0, 0.5)
            module.running_var.uniform_(0.5, 1.5)
    return model


def graphs(name: str) -> tuple[Graph, Graph]:
    """The network with int8 stem and shortcuts, and with float32."""
    side, model = SIDES[name], random_network(name)
    image = ImagePreparation(height=side, width=side)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, side, side), dtype=np.uint8)
    return (
        to_graph(model, image=image, stem="int8", dense="int8", calibration=pixels),
        to_graph(model, image=image),
    )


def random_pixels(name: str, batch: int) -> Array:
    """Images of noise for a network."""
    return np.random.default_rng(1).integers(0, 256, (batch, 3, SIDES[name], SIDES[name]), dtype=np.uint8)


def torch_engines(twin: torch.nn.Module, x: torch.Tensor, *, eager: bool) -> Iterator[tuple[str, Call]]:
    """PyTorch in float32 and bfloat16, channels last, compiled with frozen weights unless `eager`."""
    import torch._inductor.config

    torch._inductor.config.freezing = True
    for name, dtype in (("torch fp32", torch.float32), ("torch bf16", torch.bfloat16)):
        model = copy.deepcopy(twin).to(dtype=dtype, memory_format=torch.channels_last)
        batch = x.to(dtype=dtype, memory_format=torch.channels_last)
        run = model if eager else torch.compile(model, dynamic=False)
        yield f"{name}{' eager' if eager else ''}", lambda run=run, batch=batch: run(batch)


def onnx_files(name: str, graph: Graph, options: argparse.Namespace) -> dict[str, Path]:
    """The twin as ONNX in float32 and, quantized statically, in int8."""
    paths = {kind: options.keep / f"{name}.{kind}.onnx" for kind in ("fp32", "int8")}
    if not paths["int8"].exists():
        images = twins.prepare(graph, random_pixels(name, 8)).numpy()
        qdq.write(twins.float_twin(graph), images, source=paths["fp32"], target=paths["int8"])
    return paths


def engines(
    name: str, batch: int, options: argparse.Namespace, open_interpreter: Callable[[str], Interpreter]
) -> dict[str, Turn]:
    """Every engine that can run the network, ready."""
    found: dict[str, Turn] = {}
    quantized, real = graphs(name)
    pixels = random_pixels(name, batch)
    images = twins.prepare(real, pixels)
    for label, graph in ((OURS, quantized), ("ours float32", real)):
        model = runtime.compile(graph, threads=options.threads, isa=options.isa)
        found[label] = in_process(lambda model=model: model.run(pixels), options)

    if options.threads > 1:
        single = runtime.compile(quantized, threads=1, isa=options.isa)
        found["ours, one thread"] = in_process(lambda: single.run(pixels), options)

    def attempt(label: str, make: Callable[[], Turn]) -> None:
        if not wanted(label, options):
            return
        try:
            found[label] = make()
        except Exception as error:  # an engine that fails is left out, whatever the reason
            print(f"{name}, batch {batch}: no {label}: {str(error).splitlines()[0][:150]}")

    for label, call in torch_engines(twins.float_twin(real), images, eager=options.eager):
        attempt(label, lambda call=call: (call(), in_process(call, options))[1])
    files: dict[str, Path] = {}
    if any(wanted(f"{engine} {kind}", options) for engine in ("ONNX Runtime", "OpenVINO") for kind in ("fp32", "int8")):
        files = onnx_files(name, real, options)
    for kind, path in files.items():
        session = qdq.load(path, options.threads)
        call = partial(session, images.numpy())
        attempt(f"ONNX Runtime {kind}", lambda call=call: in_process(call, options))
    for label, maker in elsewhere(name, batch, files, options, open_interpreter).items():
        attempt(label, lambda maker=maker: maker().turn)
    return found


def elsewhere(
    name: str,
    batch: int,
    files: dict[str, Path],
    options: argparse.Namespace,
    open_interpreter: Callable[[str], Interpreter],
) -> dict[str, Callable[[], Remote]]:
    """Engines of other interpreters."""

    def start(python: str, engine: str, **arguments: object) -> Remote:
        return open_interpreter(python).make(engine, batch=batch, threads=options.threads, **arguments)

    def converted(converter: str, file: str, **arguments: object) -> str:
        target = options.keep / file
        if not target.exists():
            open_interpreter(options.larq).ask("do", converter, arguments | {"path": str(target)})
        return str(target)

    makers: dict[str, Callable[[], Remote]] = {}
    if options.openvino is not None:
        for kind, path in files.items():
            makers[f"OpenVINO {kind}"] = partial(start, options.openvino, "openvino", path=str(path))
    if options.larq is not None:
        for label, indirect in (("Larq", True), ("default Larq", False)):
            makers[label] = lambda indirect=indirect: start(
                options.larq,
                "larq",
                path=converted("larq_network", f"larq-{name}.tflite", name=name),
                indirect=indirect,
            )
        for kind in ("fp32", "int8"):
            makers[f"LiteRT {kind}"] = lambda kind=kind: start(
                options.litert or options.larq,
                "litert",
                path=converted("float_network", f"{kind}-{name}.tflite", name=name, batch=1, int8=kind == "int8"),
            )
    return makers


def measure(name: str, batch: int, options: argparse.Namespace, open_interpreter: Callable[[str], Interpreter]) -> Row:
    """Median seconds of every engine."""
    with torch.inference_mode():
        turns = engines(name, batch, options, open_interpreter)
        samples: dict[str, list[float]] = {label: [] for label in turns}
        for _ in range(options.rounds):
            for label, turn in turns.items():
                samples[label] += turn(options.seconds)
    row = {label: statistics.median(times) for label, times in samples.items()}
    print(f"{name}, batch {batch}: {', '.join(f'{label} {t * 1e3:.3g} ms' for label, t in row.items())}", flush=True)
    return row


def main() -> None:
    """Prints the machine and a table per batch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=list(SIDES), choices=list(SIDES))
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.2, help="of every engine and round")
    parser.add_argument("--isa", default=runtime.isas()[0])
    parser.add_argument("--eager", action="store_true", help="PyTorch without torch.compile")
    add_arguments(parser)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")
    print(f"{cpu_name()}, {options.isa}, threads {options.threads}, {options.rounds} rounds")
    say_absent(options)
    with ExitStack() as stack:
        if options.keep is None:
            options.keep = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        options.keep.mkdir(parents=True, exist_ok=True)
        interpreters: dict[str, Interpreter] = {}

        def open_interpreter(python: str) -> Interpreter:
            if python not in interpreters:
                interpreters[python] = Interpreter(python, priority=options.fifo)
                stack.callback(interpreters[python].close)
            return interpreters[python]

        for batch in options.batch:
            rows = {}
            for name in options.networks:
                rows[name] = measure(name, batch, options, open_interpreter)
                for interpreter in interpreters.values():
                    interpreter.drop()
            print_ratios(f"batch {batch}", rows, unit="ours ms", own=lambda _, seconds: f"{seconds * 1e3:.3g}")


if __name__ == "__main__":
    main()
