"""Runs engines in an interpreter of their own, for the benchmarks that compare with them.

python worker.py PRIORITY

Started by interpreters.py, which sends lines of JSON: ["make", ENGINE, {arguments}] loads an engine and answers its
number, how long loading took and what memory it holds; ["run", NUMBER, SECONDS, RUNS] answers the seconds of each call;
["do", CONVERTER, {arguments}] writes a file. An answer is {"ok": ...} or {"error": ...}. Needs numpy and what the
engine asked for needs, nothing of signbit.
"""

import json
import os
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import worker_engines
import worker_layers
import worker_networks

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@contextmanager
def undisturbed(priority):
    """Every thread of this process before other work, for a moment; 0: as it is."""
    if priority == 0:
        yield
        return
    tasks = [int(task) for task in os.listdir("/proc/self/task")]
    _schedule(tasks, os.SCHED_FIFO, priority)
    try:
        yield
    finally:
        _schedule(tasks, os.SCHED_OTHER, 0)


def _schedule(tasks, policy, priority):
    for task in tasks:
        with suppress(ProcessLookupError):  # a thread that has ended since
            os.sched_setscheduler(task, policy, os.sched_param(priority))


def turn(call, seconds=0.0, runs=1, *, priority=0):
    """The seconds of each call, for about so long and at least so often, after half that time that is not counted."""
    with undisturbed(priority):
        end = time.perf_counter() + seconds / 2
        call()
        while time.perf_counter() < end:
            call()
        times, end = [], time.perf_counter() + seconds
        while len(times) < runs or time.perf_counter() < end:
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
    return times


def memory():
    """Megabytes that this process holds now, and has held at most."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return [int(lines[name].split()[0]) / 1e3 for name in ("VmRSS", "VmHWM")]


def make(calls, engine, arguments, priority):
    """Loads an engine, calls it once, and says what that took."""
    load = (worker_engines.ENGINES | worker_layers.ENGINES)[engine](**arguments)
    with undisturbed(priority):
        before, start = memory()[0], time.perf_counter()
        call = load()
        seconds = time.perf_counter() - start
    loaded = memory()[0]
    call()
    calls.append(call)
    size = Path(arguments["path"]).stat().st_size
    cost = {"seconds": seconds, "bytes": size, "before": before, "loaded": loaded, "peak": memory()[1]}
    return {"number": len(calls) - 1} | cost


def convert(converter, arguments):
    """Writes a file; needs TensorFlow."""
    (worker_layers.CONVERTERS | worker_networks.CONVERTERS)[converter](**arguments)


def main():
    """Serves until the input ends."""
    priority, calls = int(sys.argv[1]), []
    verbs = {
        "make": lambda engine, arguments: make(calls, engine, arguments, priority),
        "run": lambda number, seconds, runs: turn(calls[number], seconds, runs, priority=priority),
        "do": convert,
        "drop": calls.clear,
    }
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not stand between the answers
    for line in sys.stdin:
        verb, *rest = json.loads(line)
        try:
            answer = {"ok": verbs[verb](*rest)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
