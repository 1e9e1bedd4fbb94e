"""Optimizers at equal trials and equal epochs on CIFAR-10: BinaryNet and ResNet-20, both reduced.

    python benchmarks/optimizers_cifar10.py FOLDER runs/optimizers binarynet    # trials, then seed after seed
    python benchmarks/optimizers_cifar10.py FOLDER runs/optimizers resnet20
    signbit compare runs/optimizers/resnet20/seed-* --figure resnet20.svg

Each method gets as many trials as every other one, two epochs on batches 1-4 without their last 5,000 images, and is
measured on those. The best trial's settings are then trained on all of batches 1-4 under three seeds and measured once
on batch 5 and on the test images. A run that exists is not trained again, one that was stopped goes on.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

from signbit import recipes
from signbit.recipes.adambnn import two_steps
from signbit.recipes.tuned import adam, amsgrad, bamsprod, bop, bop2ndorder, sgd
from signbit.training import OptimConfig, Recipe, evaluate_run, load_run, record_result, resume, train

NETWORKS = {
    "binarynet": ("binarynet-small-cifar10", {"widths": [16, 32, 64], "hidden": [256, 256]}, 3, 4),
    "resnet20": ("resnet20-cifar10", {"widths": [8, 16, 32]}, 2, 4),
}
"""Recipe, options of the network, trials for each method, epochs."""

TRIAL_EPOCHS = 2


def corrected(correction: str, *, lr: float, sigma: float, threshold: float) -> OptimConfig:
    """Bop2ndOrder with a correction of its averages."""
    config = bop2ndorder(lr=lr, sigma=sigma, threshold=threshold)
    return replace(config, options=config.options | {"correction": correction})


SECOND = [(1e-2, 3e-2), (3e-3, 1e-2), (1e-2, 1e-1)]
LATENT = [1e-2, 3e-3, 3e-2]
METHODS: dict[str, list[OptimConfig]] = {
    "bop": [bop(lr=lr, threshold=t) for lr, t in [(1e-2, 1e-6), (3e-3, 3e-7), (3e-2, 3e-6)]],
    "bop2ndorder": [bop2ndorder(lr=lr, sigma=1e-3, threshold=t) for lr, t in SECOND],
    "bop2ndorder-adam": [corrected("adam", lr=lr, sigma=1e-3, threshold=t) for lr, t in SECOND],
    # No threshold to speak of, as in the authors' settings; then two of the sizes above.
    "bop2ndorder-reference": [
        corrected("reference", lr=lr, sigma=1e-3, threshold=t) for lr, t in [(1e-2, 1e-6), (1e-2, 0.1), (3e-3, 0.1)]
    ],
    "bamsprod": [bamsprod(lr=lr, kappa=3.0) for lr in LATENT],
    "sgd": [sgd(lr=lr) for lr in (1.0, 0.1, 10.0)],
    "adam": [adam(lr=lr) for lr in LATENT],
    "amsgrad": [amsgrad(lr=lr) for lr in LATENT],
    "two-step": [adam(lr=lr) for lr in LATENT],
}


def recipe(network: str, method: str, trial: int, *, epochs: int, data: str) -> Recipe:
    """A method's settings on a network; the two steps share the epochs of the others."""
    name, model, _, _ = NETWORKS[network]
    found = recipes.parse(name, ["--data.root", data])
    found = replace(found, model=replace(found.model, options=model), optim=METHODS[method][trial], epochs=epochs)
    if method != "two-step":
        return found
    stages = two_steps(decay=5e-6)
    first = epochs // 2
    stages["activations"]["epochs"], stages["both"]["epochs"] = first, epochs - first
    return replace(found, stages=stages)


def trained(run: Path, settings: Recipe) -> Path:
    """The run, trained to its end now or earlier."""
    done = run / "done"
    if not done.exists():
        if (run / "recipe.yaml").exists():
            resume(run, progress=False)
        else:
            train(settings, run, progress=False)
        done.touch()
    return run


def best_trial(folder: Path, network: str, method: str, data: str) -> int:
    """The trial with the highest accuracy on the held-out images of batch 4."""
    scores = []
    for trial in range(NETWORKS[network][2]):
        settings = recipe(network, method, trial, epochs=TRIAL_EPOCHS, data=data)
        settings = replace(settings, data=replace(settings.data, validation="last:5000"))
        run = trained(folder / f"trial-{method}-{trial}", settings)
        last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
        scores.append(last["validation_accuracy"])
    best = scores.index(max(scores))
    values = METHODS[method][best].options
    print(f"{method}: {', '.join(f'{100 * score:.2f}' for score in scores)}; taken: {values}", flush=True)
    return best


def main() -> None:
    """Trains what is missing and prints a line for each run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="folder with cifar-10-batches-bin")
    parser.add_argument("runs", type=Path, help="folder of the runs")
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, help="of the runs behind the trials; default: 4")
    options = parser.parse_args()
    folder: Path = options.runs / options.network
    epochs = options.epochs or NETWORKS[options.network][3]
    chosen = {method: best_trial(folder, options.network, method, options.data) for method in METHODS}
    for seed in options.seeds:
        for method, trial in chosen.items():
            settings = replace(recipe(options.network, method, trial, epochs=epochs, data=options.data), seed=seed)
            run = trained(folder / f"seed-{seed}-{method}", settings)
            if not (run / "results.jsonl").exists():
                for split in ("reserve", "test"):
                    record_result(load_run(run), split, evaluate_run(run, split=split))
            lines = map(json.loads, (run / "results.jsonl").read_text().splitlines())
            found = {line["images"]: f"{100 * line['accuracy']:.2f}" for line in lines}
            print(f"{method}, seed {seed}: batch 5 {found['reserve']}, test {found['test']}", flush=True)


if __name__ == "__main__":
    main()
