import pytest
import torch
from torch import nn

from signbit.models import create_model, image_shape, is_model, list_models, register_model, registry
from signbit.params import named_binary_parameters

SIZES = {"digits_cnn": 8, "mnist_cnn": 28, "mnist_mlp": 28}


def test_lists_are_sorted_and_filtered() -> None:
    assert list_models() == sorted(list_models())
    assert set(list_models()) >= set(SIZES)
    assert list_models("mnist_*") == ["mnist_cnn", "mnist_mlp"]
    assert list_models("zzz*") == []
    assert list_models("mnist-*") == list_models("mni[r-t]t_*") == ["mnist_cnn", "mnist_mlp"]


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize(("num_classes", "in_chans"), [(10, 1), (3, 3)])
def test_scores_have_one_column_a_class(name: str, num_classes: int, in_chans: int) -> None:
    model = create_model(name, num_classes=num_classes, in_chans=in_chans)
    assert model(torch.randn(2, in_chans, SIZES[name], SIZES[name])).shape == (2, num_classes)


@pytest.mark.parametrize("name", SIZES)
def test_the_float_twin_has_the_same_weights_none_binary(name: str) -> None:
    model, twin = create_model(name), create_model(name, binary=False)
    assert sorted(p.shape for p in model.parameters()) == sorted(p.shape for p in twin.parameters())
    assert {key.replace("act.", "") for key in model.state_dict()} == set(twin.state_dict())
    assert list(named_binary_parameters(model))
    assert not list(named_binary_parameters(twin))
    assert twin(torch.randn(2, 1, SIZES[name], SIZES[name])).shape == (2, 10)


@pytest.mark.parametrize(
    ("name", "binary", "total"),
    [
        ("mnist_mlp", 784 * 1024 + 1024 * 1024 + 10240, 1865748),
        ("mnist_cnn", 32 * 64 * 9 + 64 * 128 * 9 + 1152 * 256, 391402),
    ],
)
def test_counts(name: str, binary: int, total: int) -> None:
    model = create_model(name)
    assert sum(p.numel() for _, p in named_binary_parameters(model)) == binary
    assert sum(p.numel() for p in model.parameters()) == total


def test_the_perceptron_sees_only_the_sign_of_a_pixel() -> None:
    model = create_model("mnist_mlp", widths=(16,)).eval()
    x = torch.randn(4, 1, 28, 28)
    assert torch.equal(model(x), model(x * 3))


def test_hyphens_count_as_underscores() -> None:
    assert isinstance(create_model("mnist-mlp", widths=(8,)), nn.Sequential)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mnist_ccn", {}, r"unknown model 'mnist_ccn'; did you mean mnist_cnn"),
        ("x", {}, r"unknown model 'x'; known: .*digits_cnn, .*mnist_cnn, mnist_mlp"),
        ("mnist_cnn", {"width": (1,)}, r"model mnist_cnn: unknown option 'width'; did you mean widths"),
        (
            "mnist_cnn",
            {"pretrained": True},
            r"no weights of mnist_cnn are distributed; leave pretrained out and train it",
        ),
        ("digits_cnn", {"widths": (8,) * 9}, r"pool 8x8 maps away"),
        ("digits_cnn", {"quantizer": "sing"}, r"unknown quantizer 'sing'"),
    ],
)
def test_mistakes_are_answered(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        create_model(name, **options)


def test_hyphens_are_underscores_and_unknown_names_have_no_shape() -> None:
    assert image_shape("resnet20-cifar") == image_shape("resnet20_cifar") == (3, 32, 32)
    assert is_model("mnist-cnn")
    assert not is_model("mnist-ccn")
    with pytest.raises(ValueError, match=r"unknown model 'binarynett'; did you mean binarynet"):
        image_shape("binarynett")


def test_a_registered_model_is_created_and_its_name_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_BUILDERS", dict(registry._BUILDERS))
    monkeypatch.setattr(registry, "_SIZES", dict(registry._SIZES))

    def tiny_net(*, num_classes: int = 10, in_chans: int = 1) -> nn.Module:
        return nn.Linear(in_chans, num_classes)

    register_model(tiny_net)
    assert isinstance(create_model("tiny_net", num_classes=2), nn.Linear)
    with pytest.raises(ValueError, match="model 'tiny_net' is registered already"):
        register_model(tiny_net)
    with pytest.raises(ValueError, match="tiny_net does not say for images of which size"):
        image_shape("tiny_net")
    register_model(tiny_net, name="tiny_net8", size=8)
    assert image_shape("tiny_net8") == (1, 8, 8)
    assert register_model(name="tiny-net9", size=9)(tiny_net) is tiny_net
    assert image_shape("tiny-net9") == image_shape("tiny_net9") == (1, 9, 9)


def test_every_network_says_what_images_it_takes() -> None:
    shapes = {name: image_shape(name) for name in list_models()}
    assert {shape[1] == shape[2] for shape in shapes.values()} == {True}
    assert shapes["binarynet"] == (3, 32, 32)
    assert shapes["birealnet18"] == (3, 224, 224)
    assert {name: shapes[name][1] for name in SIZES} == SIZES
