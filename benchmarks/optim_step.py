"""Milliseconds of one optimizer step on the 14.0 M binary weights of BinaryNet, and the ratio to torch's fused Adam.

Run: `python benchmarks/optim_step.py [--threads 2]`. "formulas" writes the update as printed, a new tensor for each
term; "compiled" is `torch.compile` of the in-place rule, which needs a C++ compiler and seconds before its first step.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from signbit.optim import BAMSProd, Bop, Bop2ndOrder, Latent
from signbit.optim.bop2ndorder import bop2ndorder_update

SHAPES = [(128, 3, 3, 3), (128, 128, 3, 3), (256, 128, 3, 3), (256, 256, 3, 3), (512, 256, 3, 3), (512, 512, 3, 3)]
SHAPES += [(1024, 8192), (1024, 1024), (10, 1024)]
RATES = {"gamma": 1e-4, "sigma": 1e-3, "threshold": 1e-2, "eps": 1e-10}


def formulas(
    w: Tensor, g: Tensor, m: Tensor, v: Tensor, *, gamma: float, sigma: float, threshold: float, eps: float
) -> None:
    """The update of Bop2ndOrder as printed."""
    m.copy_(m + gamma * (g - m))
    v.copy_(v + sigma * (g * g - v))
    w.copy_(torch.where(w * m / (v.sqrt() + eps) > threshold, -w, w))


def milliseconds(step: Callable[[], object], repeats: int = 15) -> float:
    """Median time of a call after three warm ones."""
    times = []
    for index in range(repeats + 3):
        start = time.perf_counter()
        step()
        if index >= 3:
            times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def processor() -> str:
    """Name of the CPU."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def main() -> None:
    """Times every variant and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--threads", type=int, default=2)
    torch.set_num_threads(parser.parse_args().threads)
    torch.manual_seed(0)
    weights = [nn.Parameter(torch.where(torch.rand(shape) < 0.5, -1.0, 1.0)) for shape in SHAPES]
    for weight in weights:
        weight.grad = torch.randn_like(weight) * 1e-5

    def rule(update: Callable[..., None]) -> Callable[[], None]:
        tensors = [(w.detach(), w.grad, torch.zeros_like(w.detach()), torch.zeros_like(w.detach())) for w in weights]

        def step() -> None:
            for each in tensors:
                update(*each, **RATES)

        return step

    second = {"lr": RATES["gamma"], "sigma": RATES["sigma"], "threshold": RATES["threshold"]}
    variants: dict[str, Callable[[], object]] = {
        "torch Adam, fused": torch.optim.Adam([nn.Parameter(w.detach().clone()) for w in weights], fused=True).step,
        "Bop2ndOrder, formulas": rule(formulas),
        "Bop2ndOrder, in place": rule(bop2ndorder_update),
        "Bop2ndOrder, compiled": rule(torch.compile(bop2ndorder_update, dynamic=True)),
        "Bop2ndOrder.step, foreach": Bop2ndOrder(weights, foreach=True, **second).step,
        "Bop2ndOrder.step": Bop2ndOrder(weights, **second).step,
        "Bop.step, foreach": Bop(weights, foreach=True).step,
        "Bop.step": Bop(weights).step,
        "BAMSProd.step": BAMSProd(weights, lr=1e-9).step,
        "Latent(Adam, fused).step": Latent(torch.optim.Adam(weights, lr=1e-9, fused=True)).step,
    }
    adam = variants["torch Adam, fused"].__self__  # type: ignore[attr-defined]
    for mine, weight in zip(adam.param_groups[0]["params"], weights, strict=True):
        mine.grad = weight.grad
    isa = torch.backends.cpu.get_cpu_capability()
    print(f"{processor()}, {isa}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print(f"{sum(weight.numel() for weight in weights):,} weights{'ms':>20}{'ratio':>8}")
    base = 0.0
    for name, step in variants.items():
        duration = milliseconds(step)
        base = base or duration
        print(f"{name:<30}{duration:10.1f}{duration / base:8.1f}")


if __name__ == "__main__":
    main()
