import json

import numpy as np
import pytest

from signbit.cli.output import Output, command, count, duration, size, table
from signbit.cli.timing import interleaved


def test_numbers_stand_to_the_right_and_words_to_the_left():
    assert table(("name", "count"), [("a", "1"), ("longer", "1,000")]) == (
        "name    count\n------  -----\na           1\nlonger  1,000"
    )


def test_a_table_may_be_empty():
    assert table(("name",), []) == "name\n----"


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (3_400_000, "3.4 MB")])
def test_size(count, text):
    assert size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(8.4e-7, "840 ns"), (1.23e-5, "12.3 µs"), (4.561e-3, "4.56 ms"), (0.862, "862 ms"), (75, "75.00 s")],
)
def test_duration(seconds, text):
    assert duration(seconds) == text


def test_json_is_strict_and_takes_arrays(tmp_path):
    data = {"a": np.float32(0.5), "b": np.arange(2), 3: (float("nan"), None, True), "path": tmp_path}
    expected = {"a": 0.5, "b": [0, 1], "3": [None, None, True], "path": str(tmp_path)}
    assert json.loads(Output("", data).json()) == expected


def test_contenders_take_turns():
    order = []
    timings = interleaved({name: lambda name=name: order.append(name) for name in "ab"}, seconds=0.001)
    assert order.index("b") < len(order) - 1 - order[::-1].index("a")
    assert all(0 < timing.median <= timing.p95 for timing in timings.values())


def test_what_to_type_can_be_typed():
    assert command("export", "my run", 1) == "signbit export 'my run' 1"


def test_one_thing_is_not_many():
    assert (count(1, "epoch"), count(2, "epoch")) == ("1 epoch", "2 epochs")
