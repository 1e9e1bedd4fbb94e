"""{alpha, beta} against ±1 and ternary weights at equal densities, on MNIST: accuracy, bytes and verify.

    python benchmarks/sbnn_mnist.py FOLDER runs/sbnn          # trains what is missing, then prints the table
    python benchmarks/sbnn_mnist.py FOLDER runs/sbnn --validation last:5000 --seeds 0     # to choose settings

Every arm is the recipe sbnn-mnist with another `weight_quantizer` and, if given, other words; a run that exists is not
trained again, one that was stopped goes on.
"""

import argparse
import json
import statistics
from pathlib import Path

from signbit import recipes
from signbit.export import export, verify
from signbit.training import evaluate_run, load_run, resume, train

DENSITIES = (0.05, 0.02, 0.10)
DOMAINS = {
    "{a, b}": "twolevel(density={p})",
    "ternary": "ternary(density={p})",
    "+-1": "twolevel(values=signs,density={p})",
}
DENSE = {"{a, b}": "twolevel", "ternary": "ternary", "+-1": "sign"}


def result(quantizer: str, seed: int, options: argparse.Namespace) -> dict[str, float]:
    """Accuracy, bytes of the file and whether verify passes: of a new run, or as noted in an earlier one."""
    path = options.runs / f"{quantizer.replace('twolevel', 'two')}-{seed}{options.tag}"
    found = path / "result.json"
    values: dict[str, float] = json.loads(found.read_text()) if found.exists() else {}
    if "accuracy" not in values:
        words = ["--data.root", options.data, "--seed", str(seed)]
        words += ["--model.options.weight_quantizer", quantizer, *options.words]
        if options.validation:
            words += ["--data.validation", options.validation]
        if (path / "recipe.yaml").exists():
            resume(path, progress=False)
        else:
            train(recipes.parse("sbnn-mnist", words), path, progress=False)
        values["accuracy"] = evaluate_run(load_run(path), split="validation" if options.validation else "test").accuracy
    if "bytes" not in values or options.export:
        run = load_run(path)
        graph = export(run.model, path / "model.sbit", image=run.image, labels=run.labels)
        values["verified"] = verify(graph, model=run.model).passed
        values["bytes"] = (path / "model.sbit").stat().st_size
    found.write_text(json.dumps(values) + "\n")
    return values


def main() -> None:
    """Prints a line for every arm as soon as its seeds are done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="folder with MNIST/raw")
    parser.add_argument("runs", type=Path, help="folder of the runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--densities", type=float, nargs="*", default=DENSITIES)
    parser.add_argument("--validation", help="measure on these training images instead of the test images")
    parser.add_argument("--dense", action="store_true", help="the domains without a budget, too")
    parser.add_argument("--export", action="store_true", help="packs and verifies finished runs again")
    parser.add_argument("--tag", default="", help="ending of the runs' names, for other words")
    options, options.words = parser.parse_known_args()
    arms = [(name, p, form.format(p=p)) for p in options.densities for name, form in DOMAINS.items()]
    arms += [(name, None, form) for name, form in DENSE.items()] if options.dense else []
    print("| weights | density | accuracy, mean (lowest..highest) | file bytes | verify |\n|---|---|---|---|---|")
    for name, density, quantizer in arms:
        found = [result(quantizer, seed, options) for seed in options.seeds]
        scores = [100 * one["accuracy"] for one in found]
        spread = f"{statistics.mean(scores):.2f} ({min(scores):.2f}..{max(scores):.2f})"
        sizes = f"{statistics.median(one['bytes'] for one in found):,.0f}"
        passed = f"{sum(one['verified'] for one in found)} of {len(found)}"
        print(f"| {name} | {'-' if density is None else density} | {spread} | {sizes} | {passed} |", flush=True)


if __name__ == "__main__":
    main()
