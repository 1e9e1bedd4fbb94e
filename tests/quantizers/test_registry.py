import pytest

from signbit.quantizers import ApproxSign, ClippedSign, EdeSign, create_quantizer, list_quantizers, register, registry


def test_names():
    names = ["approxsign", "ede", "fourier", "identity", "sign", "subbit", "swishsign", "ternary", "twolevel"]
    assert list_quantizers() == names
    for name in list_quantizers():
        create_quantizer(name)


def test_a_quantizer_is_returned_as_it_is():
    quantizer = ApproxSign()
    assert create_quantizer(quantizer) is quantizer


def test_arguments():
    quantizer = create_quantizer("sign(clip=1.25, scale=mean, scale_gradient='full')")
    assert isinstance(quantizer, ClippedSign)
    assert (quantizer.clip, quantizer.scaling, quantizer.scale_gradient) == (1.25, "mean", "full")
    assert isinstance(create_quantizer(" ede(start=0.1, end=10) "), EdeSign)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("sing", "unknown quantizer 'sing'; did you mean sign"),
        ("aproxsign", "did you mean approxsign"),
        ("qqqq", "known: approxsign, ede, fourier, identity, sign, subbit, swishsign, ternary, twolevel"),
        ("sign(klip=1)", "unexpected keyword argument 'klip'; sign takes clip, scale, scale_gradient"),
        ("sign(1.0)", "cannot be read; write NAME or NAME"),
        ("sign(clip=a.b)", "cannot be read"),
        ("sign(**x)", "cannot be read"),
        ("sign(clip=1", "cannot be read"),
        ("", "cannot be read"),
        ("__import__('os').system('x')", "cannot be read"),
    ],
)
def test_refuses(spec, message):
    with pytest.raises(ValueError, match=message):
        create_quantizer(spec)


def test_register_ones_own(monkeypatch):
    monkeypatch.setattr(registry, "_FACTORIES", dict(registry._FACTORIES))

    @register("wide")
    def wide(*, clip=3.0):
        return ClippedSign(clip=clip)

    assert create_quantizer("wide").clip == 3.0
    assert create_quantizer("wide(clip=2)").clip == 2
    with pytest.raises(ValueError, match="'wide' is registered already"):
        register("wide")(wide)
    with pytest.raises(ValueError, match="must be an identifier"):
        register("my-sign")
