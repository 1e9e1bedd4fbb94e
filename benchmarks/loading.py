"""What loading a packed file costs once its code and memory are there: the best of several loads in a process.

python benchmarks/loading.py [FILE.sbit ...] [--rounds 3] [--loads 9] [--fifo PRIORITY]

Medians over `--rounds` processes. Without files: networks of networks.py with int8 stem and shortcuts, and a ResNet-18
for 32x32 images. footprint.py measures first loads, beside other engines.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import worker

from signbit.machine import cpu_name
from signbit.packed import container
from signbit.packed.image import ImagePreparation

NETWORKS = ("binarynet", "birealnet18", "quicknet")
PROGRAM = """
import sys, timeit
from signbit import runtime
print(min(timeit.repeat(lambda: runtime.load(sys.argv[1], threads=1), number=1, repeat=int(sys.argv[2]))))
"""


def write_networks(folder: Path) -> list[Path]:
    """Files with random weights."""
    import networks

    from signbit.export import to_graph

    graphs = {name: networks.graphs(name)[0] for name in NETWORKS}
    small = networks.random_network("resnet18_cifar", shortcut="repeat")
    graphs["resnet18_cifar"] = to_graph(small, image=ImagePreparation(height=32, width=32))
    return [container.save(graph, folder / f"{name}.sbit") for name, graph in graphs.items()]


def seconds(path: Path, loads: int) -> float:
    """The fastest of `loads` loads in a new process."""
    command = [sys.executable, "-c", PROGRAM, str(path), str(loads)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--loads", type=int, default=9)
    parser.add_argument("--fifo", type=int, default=0, metavar="PRIORITY", help="real-time priority of the loads")
    options = parser.parse_args()
    print(f"{cpu_name()}, best of {options.loads} loads, median of {options.rounds} processes\n")
    print("| file | MB | second load, ms | ms per 10 MB |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for path in options.files or write_networks(Path(folder)):
            with worker.undisturbed(options.fifo):  # children inherit it
                best = statistics.median(seconds(path, options.loads) for _ in range(options.rounds)) * 1e3
            size = path.stat().st_size / 1e6
            print(f"| {path.stem} | {size:.2f} | {best:.1f} | {10 * best / size:.0f} |", flush=True)


if __name__ == "__main__":
    main()
