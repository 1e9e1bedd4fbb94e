"""Every network packed and proved: what its file holds, whether engine, reference and PyTorch agree, and its speed.

python benchmarks/packing.py [NAME ...] [--samples 256] [--steps 3] [--float] [--json FILE]

A network is exported twice: with random weights, its norms given scales of both signs, offsets, and the statistics of
a batch; and after a few steps of latent Adam on random images and labels. `signbit.export.verify` then holds every node
of the engine and the whole network to the numpy reference, and the reference to PyTorch. "speed" is how many times as
long the twins take at batch 1 on one thread: float32 in PyTorch, int8 in ONNX Runtime, same layers and shapes.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from signbit import export, models, packed
from signbit.benchmark import bench
from signbit.optim import Hybrid, Latent
from signbit.packed import ImagePreparation, report

WEIGHTS = ("random", "trained")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One network with one kind of weights.

    Attributes:
        network: its name.
        weights: of `WEIGHTS`.
        parameters: of the network.
        file_bytes: of the packed file.
        float32: how many times the bytes that every weight in 4 bytes takes.
        int8: likewise, in 1 byte.
        one_bit: share of the weights that are stored in one bit.
        macs: share of the multiplications that are XNOR and popcount.
        seconds: of the processor that `export` took.
        verification: what `verify` found.
        speed: time of each twin as a multiple of ours, and why one is missing.
    """

    network: str
    weights: str
    parameters: int
    file_bytes: int
    float32: float
    int8: float
    one_bit: float
    macs: float
    seconds: float
    verification: export.Verification
    speed: dict[str, float]
    notes: tuple[str, ...]

    def cells(self) -> tuple[str, ...]:
        """As a line of the table."""
        found = self.verification
        ends = [found.torch, found.network]
        assert found.torch is not None
        return (
            self.network,
            self.weights,
            f"{self.parameters:,}",
            f"{self.file_bytes / 1e6:.2f} MB" if self.file_bytes >= 1e6 else f"{self.file_bytes / 1e3:.0f} kB",
            f"{self.float32:.1f}x",
            f"{self.int8:.1f}x",
            f"{self.one_bit:.1%}",
            f"{self.macs:.1%}",
            f"{self.seconds:.1f}",
            "passed" if found.passed else "FAILED",
            ", ".join(f"{end.agreeing}/{end.samples}" for end in ends if end is not None),
            f"{found.torch.largest_difference / found.torch.largest_output:.1e}",
            f"{sum(check.ties for check in found.nodes):,}",
            ", ".join(f"{ratio:.1f}x" for ratio in self.speed.values()),
        )


HEADER = (
    "network", "weights", "parameters", "file", "float32", "int8", "one-bit weights", "XNOR MACs", "export CPU s",
    "verify", "top-1: torch, engine", "difference", "ties", "speed: fp32, int8",
)  # fmt: skip


def randomise(model: nn.Module, images: Tensor) -> None:
    """Scales of both signs and offsets for every norm, and the statistics of `images`, so that thresholds matter."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = None
            if module.affine:
                nn.init.normal_(module.weight)
                nn.init.normal_(module.bias, std=0.3)
    with torch.no_grad():
        model.train()(images)
    model.eval()


def train(model: nn.Module, images: Tensor, classes: int, steps: int) -> None:
    """A few real optimizer steps on random labels."""
    model.train()
    latent = any(hasattr(m, "binary_parameters") and m.binary_parameters() for m in model.modules())
    adam = torch.optim.Adam
    optimizer: torch.optim.Optimizer = (
        Hybrid(model, binary=lambda p: Latent(adam(p, lr=1e-2)), real=lambda p: adam(p, lr=1e-3))
        if latent
        else adam(model.parameters(), lr=1e-3)
    )
    for step in range(steps):
        labels = torch.arange(step, step + len(images)) % classes
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()
    model.eval()


def measure(
    name: str,
    *,
    samples: int,
    steps: int,
    side: int | None = None,
    seconds: float = 0.2,
    against: Any = (),
    **options: Any,
) -> Iterator[Row]:
    """Rows of one network: with random weights, then trained a little.

    Args:
        name: of `models.list_models()`.
        samples: images to verify on.
        steps: of training; 0 leaves the second row out.
        side: height and width of the images; None takes those it was published for.
        seconds: how long to time each contender.
        against: of `signbit.benchmark.PEERS`.
        options: of the network.
    """
    channels, published, _ = models.image_shape(name)
    side = published if side is None else side
    torch.manual_seed(0)
    model = models.create_model(name, **options)
    image = ImagePreparation(height=side, width=side, mode="L" if channels == 1 else "RGB")
    images = torch.randint(0, 256, (8, *image.shape), dtype=torch.uint8)
    inputs = torch.from_numpy(image.normalize(images.numpy()))
    randomise(model, inputs)
    for weights in WEIGHTS[: 1 + (steps > 0)]:
        if weights == "trained":
            train(model, inputs, model(inputs[:1]).shape[1], steps)
        with tempfile.TemporaryDirectory() as folder:
            path, start = Path(folder, "model.sbit"), time.process_time()
            export.export(model, path, image=image)
            taken = time.process_time() - start
            graph = packed.load(path)
        totals = report.inspect(graph)
        timed = bench(graph, against=against, seconds=seconds)
        (calls,) = timed.calls.values()
        yield Row(
            network=name,
            weights=weights,
            parameters=sum(parameter.numel() for parameter in model.parameters()),
            file_bytes=totals.file_bytes,
            float32=totals.fp32_bytes / totals.file_bytes,
            int8=totals.int8_bytes / totals.file_bytes,
            one_bit=totals.binary_weights / totals.weights,
            macs=totals.binary_macs / (totals.binary_macs + totals.mixed_macs + totals.float_macs),
            seconds=taken,
            verification=export.verify(graph, model=model, samples=samples),
            speed={key: timing.median / calls["signbit"].median for key, timing in calls.items() if key != "signbit"},
            notes=timed.notes,
        )


def main() -> None:
    """Prints a line of a Markdown table for every network and kind of weights, as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="*", default=models.list_models(), help="networks; default: all")
    parser.add_argument("--samples", type=int, default=256, help="images to verify on")
    parser.add_argument("--steps", type=int, default=3, help="of training; 0 leaves trained weights out")
    parser.add_argument("--against", default="float,onnx", help="twins to time: float, int8, onnx; or none")
    parser.add_argument("--float", action="store_true", help="pack the float twins instead")
    parser.add_argument("--json", type=Path, help="writes everything there, a line for each row")
    options = parser.parse_args()
    torch.set_num_threads(1)
    against = [name for name in options.against.split(",") if name != "none"]
    print(" | ".join(("", *HEADER, "")).strip(), "|" + " --- |" * len(HEADER), sep="\n")
    for name in options.name:
        twin = {"binary": False} if options.float else {}
        for row in measure(name, samples=options.samples, steps=options.steps, against=against, **twin):
            print(" | ".join(("", *row.cells(), "")).strip(), flush=True)
            if options.json is not None:
                with options.json.open("a") as file:
                    file.write(json.dumps(asdict(row)) + "\n")


if __name__ == "__main__":
    main()
