import pytest

from signbit.text import count, duration, size, table


def test_numbers_stand_to_the_right_and_words_to_the_left():
    assert table(("name", "count"), [("a", "1"), ("longer", "1,000")]) == (
        "name    count\n------  -----\na           1\nlonger  1,000"
    )


def test_names_that_begin_with_a_number_are_words():
    assert table(("node", "µs"), [("0", "1.5"), ("1.0.add", "-")]) == (
        "node      µs\n-------  ---\n0        1.5\n1.0.add    -"
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


def test_one_thing_is_not_many():
    assert (count(1, "epoch"), count(2, "epoch")) == ("1 epoch", "2 epochs")
