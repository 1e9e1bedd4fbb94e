import json
from collections.abc import Callable
from pathlib import Path

import pytest

from runs.cases import line, recipe
from signbit.runs import read_run

Make = Callable[..., Path]


def test_a_run_that_is_going_on(make_run: Make) -> None:
    run = make_run("run", recipe(), [line(1), line(2)])
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 3, "st')
    found = read_run(run)
    assert found.recipe == recipe()
    assert found.series("step") == [100, 200]
    assert found.series("nothing") == [None, None]
    assert found.results == {}


def test_results_of_the_last_epoch_count_and_the_latest_of_them(make_run: Make) -> None:
    run = make_run("run", recipe(), [line(1), line(2)])
    results = [("test", 100, 0.1), ("test", 200, 0.2), ("reserve", 200, 0.3), ("test", 200, 0.4), ("train", 300, 0.5)]
    lines = [{"images": images, "step": step, "accuracy": accuracy} for images, step, accuracy in results]
    (run / "results.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))
    assert read_run(run).results == {"test": 0.4, "reserve": 0.3}


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("recipe.yaml", None, r"is not a run: it has no recipe\.yaml; give the directory that `signbit train` made"),
        ("recipe.yaml", b"name: [", r"recipe\.yaml is damaged: while parsing"),
        ("recipe.yaml", b"- a list", r"recipe\.yaml is damaged: it holds list, not keys and values"),
        ("recipe.yaml", b"seed: one", r"recipe\.yaml is damaged: seed must be a whole number, got 'one'"),
        ("recipe.yaml", b"\xff\xfe", "is damaged: one of its files is no text"),
        ("versions.json", None, r"versions\.json cannot be read: No such file"),
        ("versions.json", b"{", r"versions\.json is damaged: Expecting property name"),
        ("versions.json", b"3", r"versions\.json is damaged: it holds int"),
        ("metrics.jsonl", None, "has no finished epoch yet; `signbit resume .*run` goes on with it"),
        ("metrics.jsonl", b'{"epoch": 1', "has no finished epoch yet"),
        ("metrics.jsonl", b"{}\n", r"metrics\.jsonl is damaged: line 1 has no number as its epoch"),
        ("metrics.jsonl", b"7\n", r"metrics\.jsonl is damaged: line 1 is no JSON object"),
        ("metrics.jsonl", b'{"a\n{"epoch": 2}\n', r"metrics\.jsonl is damaged: line 1 is no JSON object"),
        ("results.jsonl", b"nothing\n", r"results\.jsonl is damaged: line 1 is no JSON object"),
    ],
)
def test_damage_is_one_sentence(make_run: Make, file: str, content: bytes | None, message: str) -> None:
    run = make_run("run", recipe(), [line(1)])
    (run / file).unlink(missing_ok=True)
    if content is not None:
        (run / file).write_bytes(content)
    with pytest.raises(ValueError, match=message) as told:
        read_run(run)
    assert "\n" not in str(told.value)


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no directory; give the one that `signbit train` made"):
        read_run(tmp_path / "run")
