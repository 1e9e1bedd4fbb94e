"""What watching the weights costs: a training step that a `Monitor` watches against the same step without one.

Run: `chrt -f 10 taskset -c 0 python benchmarks/monitor_step.py [--network resnet20] [--steps 15]`. Steps with and
without take turns in one process, on the same network, optimizer and batch; medians are compared. The watching happens
within the optimizer's part of the step, so that its cost is read off there, where the rest does not drown it. A run
watches every tenth step; reading the figures, once an epoch, stands apart.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from signbit.analysis import Monitor
from signbit.models import create_model
from signbit.optim import Bop, Bop2ndOrder, Hybrid, Latent

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "binarynet": partial(create_model, "binarynet", num_classes=10, widths=(32, 64, 128), hidden=(256, 256)),
    "resnet20": partial(create_model, "resnet20_cifar", num_classes=10),
    "mnist_mlp": partial(create_model, "mnist_mlp", num_classes=10),  # all products: most weights per operation
}
SHAPES = {"binarynet": (3, 32, 32), "resnet20": (3, 32, 32), "mnist_mlp": (1, 28, 28)}
OPTIMIZERS = {
    "Bop2ndOrder": partial(Bop2ndOrder, lr=1e-3, sigma=1e-3, threshold=1e-2),
    "Bop": partial(Bop, lr=1e-3, threshold=1e-7),
    "latent Adam": lambda parameters: Latent(torch.optim.Adam(parameters, lr=1e-2)),
}
EVERY = 10


def processor() -> str:
    """Name of the CPU."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def seconds(call: Callable[[], object]) -> float:
    """Time of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def measure(network: str, optimizer: str, *, batch: int, steps: int) -> dict[str, float]:
    """Median seconds of a plain step and a watched one, of the optimizer's part of each, and of a reading."""
    torch.manual_seed(0)
    model = NETWORKS[network]().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    hybrid = Hybrid(model, binary=OPTIMIZERS[optimizer], real=partial(torch.optim.Adam, lr=1e-2))
    images = torch.randn(batch, *SHAPES[network]).to(memory_format=torch.channels_last)
    labels = torch.randint(0, 10, (batch,))

    def gradients() -> None:
        hybrid.zero_grad()
        F.cross_entropy(model(images), labels).backward()

    times: dict[str, list[float]] = {"plain": [], "watched": [], "plain part": [], "watched part": [], "reading": []}
    for index in range(2 * steps + 4):
        kind = "watched" if index % 2 else "plain"
        monitor = Monitor(model, hybrid, every=1) if kind == "watched" else None
        before = seconds(gradients)
        part = seconds(hybrid.step)
        if index >= 4:  # the first are slower
            times[kind].append(before + part)
            times[f"{kind} part"].append(part)
        if monitor is not None:
            times["reading"].append(seconds(monitor.read))
            monitor.remove()
    return {name: statistics.median(found) for name, found in times.items()}


def main() -> None:
    """Measures each network under each optimizer and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--network", choices=NETWORKS, help="only this one")
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--steps", type=int, default=15, help="of each kind")
    options = parser.parse_args()
    torch.set_num_threads(1)
    isa = torch.backends.cpu.get_cpu_capability()
    print(
        f"{processor()}, {isa}, 1 thread, torch {torch.__version__}, batch {options.batch}, medians of {options.steps}"
    )
    print(f"{'':<24}{'step':>9}{'watched':>9}{'ratio':>8}{'watching':>10}{f'every {EVERY}th':>11}{'reading':>10}")
    for network in [options.network] if options.network is not None else NETWORKS:
        for optimizer in OPTIMIZERS:
            found = measure(network, optimizer, batch=options.batch, steps=options.steps)
            excess = found["watched part"] - found["plain part"]
            print(
                f"{network + ', ' + optimizer:<24}{1e3 * found['plain']:6.1f} ms{1e3 * found['watched']:6.1f} ms"
                f"{found['watched'] / found['plain']:8.3f}{1e3 * excess:7.2f} ms"
                f"{excess / EVERY / found['plain']:11.2%}{1e3 * found['reading']:7.1f} ms"
            )


if __name__ == "__main__":
    main()
