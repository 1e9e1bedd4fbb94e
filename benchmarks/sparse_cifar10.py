"""Sparse binary networks on CIFAR-10: accuracy over bytes and over time, by weights, density and way of pruning.

    python benchmarks/sparse_cifar10.py FOLDER runs/sparse --list           # the jobs, the most telling ones first
    python benchmarks/sparse_cifar10.py FOLDER runs/sparse --jobs 0:10      # trains the first ten of them
    python benchmarks/sparse_cifar10.py FOLDER runs/sparse                  # all of them; then the table
    python benchmarks/sparse_cifar10.py FOLDER runs/sparse --table --figure docs/figures/cifar10-sparse.svg

Every job is the recipe sparse-cifar10 with other weights, budget or seed, measured once on batch 5 and on the test
images. Further options are the recipe's, such as --epochs 100; they want a folder of their own. A run that exists is
not trained again, one that was stopped goes on. Times are those of the engine for one image a call on one thread, all
files in turns in one process.
"""

import argparse
import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from signbit import recipes, runtime
from signbit.benchmark import interleaved
from signbit.export import export, verify
from signbit.machine import cpu_name
from signbit.recipes.sbnn import EDE
from signbit.sparsity import SparsityConfig
from signbit.training import PenaltyConfig, Recipe, evaluate_run, load_part, load_run, resume, train

DENSITIES = (0.50, 0.25, 0.10, 0.05, 0.04, 0.03, 0.02, 0.01)
COMPARED = (0.05, 0.10, 0.02)
DOMAINS = {
    "{a, b}": f"twolevel(surrogate='{EDE}')",
    "ternary": f"ternary(surrogate='{EDE}')",
    "+-1": f"twolevel(values=signs,surrogate='{EDE}')",
}
SUB_BIT = f"subbit(density={{p}},surrogate='{EDE}')"
TOPK: dict[str, Any] = {"method": "topk"}
RARELY: dict[str, Any] = {"method": "topk", "every": 10}
RIGL: dict[str, Any] = {"method": "rigl"}
SET: dict[str, Any] = {"method": "set"}


@dataclass(frozen=True)
class Job:
    """One run.

    Attributes:
        weights: name of the values that weights take.
        how: what makes them sparse.
        density: fraction of the rarer level; None is a dense network.
        seed: of the run.
        quantizer: of the weights.
        sparsity: keys of the budget; empty where quantizer or penalty holds it.
        share: of SBNN's penalty in the loss.
    """

    weights: str
    how: str
    density: float | None
    seed: int
    quantizer: str
    sparsity: dict[str, Any]
    share: float = 0.0

    @property
    def name(self) -> str:
        """Name of the run's directory."""
        words = (self.weights, self.how, "dense" if self.density is None else self.density, self.seed)
        return "-".join(str(word).replace("{a, b}", "ab").replace("+-1", "signs").replace(" ", "") for word in words)

    def recipe(self, data: str, overrides: Sequence[str] = ()) -> Recipe:
        """The recipe sparse-cifar10 with what this job changes."""
        found = recipes.parse("sparse-cifar10", ["--data.root", data, "--seed", str(self.seed), *overrides])
        model = replace(found.model, options=found.model.options | {"weight_quantizer": self.quantizer})
        penalty = PenaltyConfig() if self.density is None else PenaltyConfig(density=self.density, share=self.share)
        sparsity = SparsityConfig(density=self.density, **self.sparsity) if self.sparsity else SparsityConfig()
        return replace(found, model=model, penalty=penalty, sparsity=sparsity)


def jobs() -> list[Job]:
    """All runs, the most telling ones first."""
    found = [Job("+-1", "dense", None, 0, EDE, {})]
    found += compared(0, COMPARED[:1])
    found += [Job("{a, b}", "topk", p, 0, DOMAINS["{a, b}"], TOPK) for p in (0.02, 0.10, 0.01)]
    found += [Job(w, "rigl", 0.05, 0, DOMAINS[w], RIGL) for w in ("ternary", "{a, b}")]
    # The penalty at the authors' share, then at one that reaches the density in a short run.
    learned = f"twolevel(values=learned,surrogate='{EDE}')"
    found += [Job("{a, b}", f"penalty {share}", 0.05, 0, learned, {}, share) for share in (0.3, 0.07)]
    found += [Job(w, "topk every 10", 0.05, 0, DOMAINS[w], RARELY) for w in DOMAINS]
    found += compared(0, COMPARED[1:])
    found += [Job("{a, b}", "topk", p, 0, DOMAINS["{a, b}"], TOPK) for p in DENSITIES]
    for distribution in ("erk", "global"):
        budget = TOPK | {"distribution": distribution}
        found += [Job("{a, b}", f"topk {distribution}", 0.05, 0, DOMAINS["{a, b}"], budget)]
    found += [Job(w, "set", 0.05, 0, DOMAINS[w], SET) for w in ("ternary", "{a, b}")]
    for seed in (1, 2):
        found += compared(seed, COMPARED)
    return list({job.name: job for job in found}.values())


def compared(seed: int, densities: tuple[float, ...]) -> Iterator[Job]:
    """All kinds of weights at equal densities."""
    for p in densities:
        for weights, quantizer in DOMAINS.items():
            yield Job(weights, "topk", p, seed, quantizer, TOPK)
        yield Job("sub-bit", "topk", p, seed, SUB_BIT.format(p=p), {})


def result(job: Job, options: argparse.Namespace) -> dict[str, float]:
    """Figures of a run: of a new one, or as noted in an earlier one."""
    path: Path = options.runs / job.name
    noted = path / "result.json"
    if noted.exists():
        values: dict[str, float] = json.loads(noted.read_text())
        return values
    if (path / "recipe.yaml").exists():
        resume(path, progress=False)
    else:
        train(job.recipe(options.data, options.overrides), path, progress=False)
    run = load_run(path)
    graph = export(run.model, path / "model.sbit", image=run.image, labels=run.labels)
    last = json.loads((path / "metrics.jsonl").read_text().splitlines()[-1])
    values = {
        "reserve": evaluate_run(run, split="reserve").accuracy,
        "test": evaluate_run(run).accuracy,
        "bytes": (path / "model.sbit").stat().st_size,
        "verified": verify(graph, model=run.model, batch=load_part(run.recipe.data, "test").images[:256]).passed,
        "seconds": last["seconds"],
        **{key: last[key] for key in ("density", "explored") if key in last},
    }
    noted.write_text(json.dumps(values) + "\n")
    return values


def milliseconds(names: list[str], folder: Path) -> dict[str, float]:
    """Median time of one image in every run's file, call by call in turns."""
    models = {name: runtime.load(folder / name / "model.sbit") for name in names}
    image = np.random.default_rng(0).integers(0, 256, (1, 3, 32, 32), dtype=np.uint8)
    calls = {name: (lambda model=model: model.run(image)) for name, model in models.items()}
    return {name: 1e3 * timing.median for name, timing in interleaved(calls, seconds=0.5).items()}


def rows(options: argparse.Namespace) -> list[dict[str, Any]]:
    """One row for each kind of weights, way and density, over the seeds that are done."""
    done = [job for job in jobs() if (options.runs / job.name / "result.json").exists()]
    groups: dict[tuple[str, str, float | None], list[Job]] = {}
    for job in done:
        groups.setdefault((job.weights, job.how, job.density), []).append(job)
    times = milliseconds([group[0].name for group in groups.values()], options.runs)
    dense = next((times[job.name] for job in done if job.density is None), None)
    found = []
    for (weights, how, density), group in groups.items():
        values = [result(job, options) for job in group]
        time = times[group[0].name]
        found.append(
            {
                "weights": weights,
                "how": how,
                "density": density,
                "reserve": [100 * one["reserve"] for one in values],
                "test": [100 * one["test"] for one in values],
                "bytes": statistics.median(one["bytes"] for one in values),
                "milliseconds": time,
                "faster": None if dense is None else dense / time,
                "explored": values[0].get("explored"),
                "reached": values[0].get("density"),
                "verified": f"{sum(one['verified'] for one in values)} of {len(values)}",
            }
        )
    return found


def spread(scores: list[float]) -> str:
    """Mean, and the range where there are several."""
    mean = f"{statistics.mean(scores):.2f}"
    return mean if len(scores) == 1 else f"{mean} ({min(scores):.2f}..{max(scores):.2f})"


def print_table(found: list[dict[str, Any]]) -> None:
    """The table of docs/sparse.md."""
    print("| weights | how | density | batch 5 | test | file bytes | ms | x dense | explored | verify |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for row in sorted(found, key=lambda row: (-(row["density"] or 1.0), row["how"], row["weights"])):
        density = "-" if row["density"] is None else f"{row['density']:.2f}"
        if row["reached"] is not None and f"{row['reached']:.3f}" != f"{row['density']:.3f}":
            density += f" (reached {row['reached']:.3f})"
        cells = [row["weights"], row["how"], density, spread(row["reserve"]), spread(row["test"])]
        cells += [f"{row['bytes']:,.0f}", f"{row['milliseconds']:.3f}"]
        cells += ["-" if row["faster"] is None else f"{row['faster']:.2f}"]
        cells += ["-" if row["explored"] is None else f"{row['explored']:.3f}", row["verified"]]
        print(f"| {' | '.join(cells)} |")


def draw(found: list[dict[str, Any]], path: Path) -> None:
    """Accuracy over bytes, and over time."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "signbit"
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(11, 4.5), sharey=True, layout="constrained")
    colours = {weights: f"C{i}" for i, weights in enumerate(dict.fromkeys(row["weights"] for row in found))}
    markers = dict(zip(dict.fromkeys(row["how"] for row in found), "*o^vxsDPX", strict=False))
    for axis, key, scale, label in (
        (axes[0], "bytes", 1e3, "kB of the file"),
        (axes[1], "milliseconds", 1, "ms an image"),
    ):
        for weights, how in dict.fromkeys((row["weights"], row["how"]) for row in found):
            points = sorted(
                (row[key] / scale, statistics.mean(row["reserve"]), row["density"])
                for row in found
                if (row["weights"], row["how"]) == (weights, how)
            )
            xs, ys, densities = zip(*points, strict=True)
            line = "-" if key == "bytes" else ""  # the times of one network hardly differ
            axis.plot(xs, ys, markers[how] + line, color=colours[weights], label=f"{weights}, {how}", markersize=5)
            for x, y, density in zip(xs, ys, densities, strict=True):
                if weights == "{a, b}" and how == "topk" and line:
                    axis.annotate(f"{density:g}", (x, y), fontsize=7, xytext=(2, 4), textcoords="offset points")
        axis.set(xlabel=label)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("accuracy on batch 5, %")
    figure.legend(*axes[0].get_legend_handles_labels(), fontsize=7, loc="outside right center")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def main() -> None:
    """Trains what is missing, a line for each run; then the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="folder with cifar-10-batches-bin")
    parser.add_argument("runs", type=Path, help="folder of the runs")
    parser.add_argument("--jobs", help="which of the list, FIRST:LAST, such as 0:10; default: all")
    parser.add_argument("--list", action="store_true", help="show the jobs and what is done")
    parser.add_argument("--table", action="store_true", help="no training, the table of what is done")
    parser.add_argument("--figure", type=Path, help="draws accuracy over bytes and time into this file")
    options, overrides = parser.parse_known_args()
    options.overrides = overrides
    every = jobs()
    if options.list:
        for number, job in enumerate(every):
            print(number, job.name, "done" if (options.runs / job.name / "result.json").exists() else "")
        return
    if not options.table:
        first, _, last = (options.jobs or ":").partition(":")
        for job in every[int(first or 0) : int(last) if last else None]:
            values = result(job, options)
            print(
                f"{job.name}: batch 5 {100 * values['reserve']:.2f}, test {100 * values['test']:.2f}, "
                f"{values['bytes']:,.0f} bytes, verify {'passed' if values['verified'] else 'FAILED'}, "
                f"{values['seconds']:.0f} s",
                flush=True,
            )
    if options.table or options.jobs is None:
        found = rows(options)
        print(f"{cpu_name()}, {runtime.isas()[0]}, 1 thread, 1 image a call; batch 5 and test accuracy in percent\n")
        print_table(found)
        if options.figure is not None:
            draw(found, options.figure)


if __name__ == "__main__":
    main()
