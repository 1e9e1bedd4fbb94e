"""One binary weight on which some optimizers learn the wrong sign.

The losses are convex (Reddi et al. 2018, carried over to a binary weight): f_t(w) = C·w every third step and −w
otherwise, C > 2, so that −1 is best. The weight starts at +1; those who keep a latent weight, in [−1, 1], get the
gradient at its sign, C or −1. Adam divides the rare large gradient by itself and stays at +1. Clipping all gradients to
±1 does the same to AMSGrad. A range that widens where the sign stands well for the latent weight does not, unless κ is
too small.

    python examples/convex_counterexample.py
    python examples/convex_counterexample.py --plot counterexample.png      (needs matplotlib)
"""

import argparse
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn
from torch.optim import SGD, Adam, Optimizer

from signbit.optim import BAMSProd, Bop, HyperparameterScheduler, Latent

C = (3.0, 4.0, 10.0)
Groups = list[dict[str, object]]


class Method(NamedTuple):
    """An optimizer of three weights, one for each C."""

    name: str
    build: Callable[[Groups], Optimizer]
    latent: bool = True
    clip: float = math.inf


bound = partial(BAMSProd, error="mean_abs", granularity="element", scale="none")
METHODS = (
    Method("Adam", lambda groups: Latent(Adam(groups))),
    # torch's AMSGrad corrects its moments; Reddi's does not, and is ours without its bound.
    Method("AMSGrad", partial(bound, kappa=math.inf)),
    Method("SGD", lambda groups: Latent(SGD(groups))),
    Method("Bop, γ .01", partial(Bop, lr=0.01, threshold=0.01), latent=False),
    Method("Bop, γ .9", partial(Bop, lr=0.9, threshold=0.01), latent=False),
    Method("AMSGrad, |g| ≤ 1", partial(bound, kappa=math.inf), clip=1.0),
    Method("BAMSProd*, κ 3", partial(bound, kappa=3.0)),
    Method("BAMSProd*, κ .5", partial(bound, kappa=0.5)),
)


def play(method: Method, steps: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights and mean regrets so far, each (steps, 3), at the beginning of every step and after it."""
    weights = [nn.Parameter(torch.ones(1)) for _ in C]
    groups: Groups = [
        {"params": [weight], "betas": (0.0, 1 / (1 + c * c))} for weight, c in zip(weights, C, strict=True)
    ]
    optimizer = method.build(groups)
    rate = HyperparameterScheduler(optimizer, {"lr": lambda index: 0.1 / math.sqrt(index + 1)} if method.latent else {})
    path, regrets = torch.empty(steps + 1, len(C)), torch.empty(steps, len(C))
    path[0] = 1
    for step in range(steps):
        gradients = torch.tensor(C) if step % 3 == 0 else -torch.ones(len(C))
        # f(sign w) − f(−1), which is 0 at −1.
        regrets[step] = 2 * gradients * (path[step] >= 0)
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.grad = gradient.clamp(-method.clip, method.clip).view(1)
        optimizer.step()
        rate.step()
        path[step + 1] = torch.cat([weight.detach() for weight in weights])
    return path[1:], regrets.cumsum(0, dtype=torch.float64) / torch.arange(1, steps + 1)[:, None]


def draw(results: dict[str, tuple[torch.Tensor, torch.Tensor]], path: Path) -> None:
    """Plots weights and regrets for the first C."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(11, 4), layout="constrained")
    for name, values in results.items():
        for axis, value in zip(axes, values, strict=True):
            shown = torch.logspace(0, math.log10(len(value)), 400).long().unique() - 1
            axis.semilogx(shown + 1, value[shown, 0], label=name)
    for axis, title in zip(axes, ("weight (best: −1)", "mean regret per step"), strict=True):
        axis.set(xlabel="step", title=f"C = {C[0]:g}: {title}")
    axes[1].legend(fontsize="small")
    figure.savefig(path, dpi=120)


def main() -> None:
    """Prints the table and draws the plot where one is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=30_000)
    parser.add_argument("--plot", type=Path, help="image to write; needs matplotlib")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"Mean regret per step and last weight after {arguments.steps} steps, * reconstruction")
    print(f"{'':18}" + "".join(f"{f'C = {c:g}':^18}" for c in C))
    results = {}
    for method in METHODS:
        path, regrets = results[method.name] = play(method, arguments.steps)
        columns = zip(regrets[-1].tolist(), path[-1].tolist(), strict=True)
        print(f"{method.name:18}" + "".join(f"{regret:8.4f} {weight:+8.4f} " for regret, weight in columns), flush=True)
    if arguments.plot is not None:
        draw(results, arguments.plot)


if __name__ == "__main__":
    main()
