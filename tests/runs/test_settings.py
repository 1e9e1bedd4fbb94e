from runs.cases import recipe
from signbit.runs.settings import differences, settings, words


def said(*recipes):
    found = [settings(each) for each in recipes]
    keys = differences(found)
    return [words({key: values[key] for key in keys if key in values}) for values in found]


def test_seed_and_folders_are_no_difference() -> None:
    other = recipe(seed=3)
    other["data"]["root"] = "elsewhere"
    assert settings(other) == settings(recipe())


def test_an_option_that_one_of_them_has_is_a_difference() -> None:
    assert said(recipe(threshold=1e-7), recipe(optim="adam")) == [["bop", "threshold 1e-07"], ["adam"]]


def test_a_key_that_a_later_version_has_brought_is_none() -> None:
    later = recipe()
    later["loss"] = {"kind": "cross-entropy"}
    later["optim"]["schedules"]["lr"]["warmup"] = 0.0
    earlier = recipe()
    del earlier["optim"]["schedules"]["lr"]["warmup"]
    assert said(later, earlier) == [[], []]


def test_values_are_said_in_few_words() -> None:
    one, two = recipe(), recipe()
    two["optim"]["schedules"]["lr"] |= {"kind": "cosine", "end": 0.1, "warmup": 5.0}
    two["real"]["schedules"]["lr"] = {"kind": "constant", "end": 0.0}
    two["real"]["name"] = "sgd"
    two["model"]["options"]["widths"] = [64]
    two["data"]["validation"] = None
    two["mode"] = "exact"
    assert said(one, two) == [
        ["data validation last:5000", "model widths 32,64", "lr linear to 0×", "real adam", "mode fast"],
        [
            "data validation none",
            "model widths 64",
            "lr cosine to 0.1× warmup 5",
            "real sgd",
            "mode exact",
            "real lr constant",
        ],
    ]


def test_stages_are_said_with_their_name() -> None:
    one, two = (recipe() | {"stages": {"first": {"optim": {"options": {"lr": lr}}}}} for lr in (0.1, 0.2))
    assert said(one, two) == [["stages first optim lr 0.1"], ["stages first optim lr 0.2"]]


def test_a_schedule_that_is_none_is_no_reason_to_fail() -> None:
    odd = recipe()
    odd["optim"]["schedules"]["lr"] = 3
    assert said(odd, recipe()) == [["lr 3"], ["lr linear to 0×"]]
