"""Images per second of one training step of BinaryNet on CIFAR shapes: plain PyTorch, signbit's two modes, Larq.

python benchmarks/training_speed.py [--threads 2] [--batch 64] [--rounds 5] [--larq PYTHON] [--realtime]

One network for all: 3x3 convolutions padded with 0, latent weights under Adam, clipped to ±1. "plain" is what a
tutorial writes: float32, eager, NCHW. "exact" and "fast" are the modes of a recipe. Larq needs an interpreter with larq
and tensorflow. Engines take turns, one step each a round; the table shows medians. The first loss of plain, exact and
fast starts from the same weights.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from signbit.models import create_model
from signbit.optim import Latent

WIDTHS = [(128, 1), (128, 2), (256, 1), (256, 2), (512, 1), (512, 2)]
HIDDEN = [8192, 1024, 1024, 10]
Step = Callable[[], float]


class PlainSign(torch.autograd.Function):
    """Sign with the gradient of the clipped identity."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        """±1."""
        ctx.save_for_backward(x)
        return torch.where(x >= 0, 1.0, -1.0)

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        """Passes where |x| <= 1."""
        (x,) = ctx.saved_tensors
        return grad * (x.abs() <= 1)


class PlainConv(nn.Conv2d):
    """Convolution of signs; the first one takes pixels."""

    def forward(self, x: Tensor) -> Tensor:
        """Product of codes."""
        code = x if self.in_channels == 3 else PlainSign.apply(x)
        return F.conv2d(code, PlainSign.apply(self.weight), None, 1, 1)


class PlainLinear(nn.Linear):
    """Product of signs."""

    def forward(self, x: Tensor) -> Tensor:
        """Product of codes."""
        return F.linear(PlainSign.apply(x), PlainSign.apply(self.weight))


def plain_network() -> nn.Module:
    """BinaryNet, its parameters in the order of `create_model("binarynet")`."""
    layers: list[nn.Module] = []
    inputs = 3
    for width, pool in WIDTHS:
        layers.append(PlainConv(inputs, width, 3, bias=False))
        if pool > 1:
            layers.append(nn.MaxPool2d(pool))
        layers.append(nn.BatchNorm2d(width))
        inputs = width
    layers.append(nn.Flatten())
    for features, outputs in pairwise(HIDDEN):
        layers += [PlainLinear(features, outputs, bias=False), nn.BatchNorm1d(outputs)]
    return nn.Sequential(*layers)


def plain_step(images: Tensor, labels: Tensor) -> Step:
    """Float32, eager, NCHW."""
    torch.manual_seed(0)
    network = plain_network()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    binary = [module.weight for module in network if isinstance(module, PlainConv | PlainLinear)]

    def step() -> float:
        optimizer.zero_grad()
        loss = F.cross_entropy(network(images), labels)
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for weight in binary:
                weight.clamp_(-1, 1)
        return loss.item()

    return step


def own_step(images: Tensor, labels: Tensor, *, fast: bool) -> Step:
    """A mode of signbit, on the weights of `plain_step`."""
    network = create_model("binarynet", num_classes=10, pad_value=0)
    torch.manual_seed(0)
    with torch.no_grad():
        for mine, plain in zip(network.parameters(), plain_network().parameters(), strict=True):
            mine.copy_(plain)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    binary = [weight for weight in network.parameters() if weight.dim() > 1]
    norms = [weight for weight in network.parameters() if weight.dim() == 1]
    latent = Latent(torch.optim.Adam(binary, lr=1e-3, fused=True))
    real = torch.optim.Adam(norms, lr=1e-3, fused=True)
    score = torch.compile(network) if fast else network

    def step() -> float:
        latent.zero_grad()
        real.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=fast):
            scores = score(images)
        loss = F.cross_entropy(scores.float(), labels)
        loss.backward()
        latent.step()
        real.step()
        return loss.item()

    return step


class Larq:
    """Larq in a process of another interpreter, which waits between its steps.

    Args:
        python: the interpreter.
        precision: "float32" or "mixed_bfloat16".
        batch: images a step.
        threads: of TensorFlow.
    """

    def __init__(self, python: str, precision: str, batch: int, threads: int) -> None:
        script = Path(__file__).with_name("training_speed_larq.py")
        command = [python, str(script), precision, str(batch), str(threads)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.name = self._answer()

    def step(self) -> float:
        """Makes one step and gives the loss."""
        assert self.process.stdin is not None
        self.process.stdin.write("step\n")
        self.process.stdin.flush()
        return float(self._answer())

    def _answer(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        if not line:
            raise RuntimeError(f"larq's process ended: {' '.join(map(str, self.process.args))}")
        return line


def seconds(step: Step, tasks: list[int], realtime: bool) -> float:
    """Wall time of a step."""
    _schedule(tasks, realtime)
    start = time.perf_counter()
    step()
    duration = time.perf_counter() - start
    _schedule(tasks, False)
    return duration


def _schedule(processes: list[int], realtime: bool) -> None:
    if not hasattr(os, "sched_setscheduler"):
        return
    policy, parameter = (os.SCHED_FIFO, os.sched_param(10)) if realtime else (os.SCHED_OTHER, os.sched_param(0))
    for process in processes:
        for task in Path(f"/proc/{process}/task").iterdir():
            os.sched_setscheduler(int(task.name), policy, parameter)


def processor() -> str:
    """The processor's name and what it multiplies bfloat16 with."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
        flags = next(line.split() for line in lines if line.startswith("flags"))
        units = [flag for flag in ("avx512_vnni", "avx512_bf16", "amx_bf16") if flag in flags]
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
    return f"{name} ({', '.join(units) or 'neither bf16 nor int8 instructions'})"


def main() -> None:
    """Times every engine and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--larq", metavar="PYTHON", help="an interpreter with larq and tensorflow")
    parser.add_argument("--realtime", action="store_true", help="steps before all other work (root, Linux)")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    images = torch.randn(options.batch, 3, 32, 32)
    labels = torch.randint(0, 10, (options.batch,))
    engines: dict[str, Step] = {
        "plain PyTorch, float32 eager NCHW": plain_step(images, labels),
        "signbit exact": own_step(images, labels, fast=False),
        "signbit fast": own_step(images, labels, fast=True),
    }
    losses = [engines[name]() for name in engines]
    if abs(losses[1] - losses[0]) > 1e-3 * losses[0]:
        sys.exit(f"the first losses differ: plain {losses[0]}, exact {losses[1]}")
    tasks = dict.fromkeys(engines, os.getpid())
    if options.larq is None:
        print("larq: left out, no --larq PYTHON")
    else:
        for precision in ("float32", "mixed_bfloat16"):
            try:
                larq = Larq(options.larq, precision, options.batch, options.threads)
            except (OSError, RuntimeError) as error:
                print(f"left out: larq: {error}")
                break
            engines[f"{larq.name} {precision}"] = larq.step
            tasks[f"{larq.name} {precision}"] = larq.process.pid
            larq.step()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(f"{processor()}, {options.threads} threads, torch {torch.__version__}, load {load:.1f} at the start")
    print(f"first loss: plain {losses[0]:.6f}, exact {losses[1]:.6f}, fast {losses[2]:.6f}")
    times: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(options.rounds):
        for name, step in engines.items():
            times[name].append(seconds(step, [tasks[name]], options.realtime))
    medians = {name: statistics.median(values) for name, values in times.items()}
    unit = next(iter(medians.values()))
    print(f"{f'batch {options.batch}':<36}{'ms':>8}{'images/s':>10}{'ratio':>8}{'range of ms':>16}")
    for name, value in medians.items():
        spread = f"{1e3 * min(times[name]):.0f}-{1e3 * max(times[name]):.0f}"
        print(f"{name:<36}{1e3 * value:8.0f}{options.batch / value:10.1f}{unit / value:8.2f}{spread:>16}")
    best = min((value for name, value in medians.items() if name.startswith("larq")), default=None)
    if best is not None:
        print(f"signbit fast is {best / medians['signbit fast']:.2f} times as fast as Larq's best setting")


if __name__ == "__main__":
    main()
