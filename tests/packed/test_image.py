import numpy as np
import pytest
from PIL import Image as Pillow

from signbit.packed.image import ImagePreparation, as_pixels


def picture(height, width, mode="RGB"):
    rng = np.random.default_rng(0)
    shape = (height, width) if mode == "L" else (height, width, 3)
    return Pillow.fromarray(rng.integers(0, 256, shape, np.uint8), mode)


def test_an_image_of_the_right_size_is_taken_as_it_is(tmp_path):
    image = picture(5, 7)
    prepared = ImagePreparation(height=5, width=7).pixels(image)
    assert prepared.dtype == np.uint8
    np.testing.assert_array_equal(prepared, np.asarray(image).transpose(2, 0, 1))
    image.save(tmp_path / "image.png")
    np.testing.assert_array_equal(ImagePreparation(height=5, width=7).pixels(tmp_path / "image.png"), prepared)


def test_grey_and_colour_become_what_the_network_reads():
    grey, colour = picture(4, 4, "L"), picture(4, 4)
    as_colour = ImagePreparation(height=4, width=4).pixels(grey)
    np.testing.assert_array_equal(as_colour, np.asarray(grey)[None].repeat(3, axis=0))
    as_grey = ImagePreparation(height=4, width=4, mode="L").pixels(colour)
    weights = np.array([299, 587, 114]) / 1000
    np.testing.assert_allclose(as_grey[0], np.asarray(colour) @ weights, atol=0.51)


def test_without_resize_the_image_is_stretched():
    image = picture(20, 10)
    expected = np.asarray(image.resize((6, 8), Pillow.Resampling.BILINEAR)).transpose(2, 0, 1)
    np.testing.assert_array_equal(ImagePreparation(height=8, width=6).pixels(image), expected)


@pytest.mark.parametrize(("height", "width"), [(20, 40), (40, 20), (31, 32), (16, 16)])
def test_resize_scales_the_shorter_side_then_crops_the_centre(height, width):
    image = picture(height, width)
    prepared = ImagePreparation(height=12, width=10, resize=16).pixels(image)
    scale = 16 / min(height, width)
    size = (max(16, round(width * scale)), max(16, round(height * scale)))
    whole = np.asarray(image.resize(size, Pillow.Resampling.BILINEAR))
    top, left = (size[1] - 12) // 2, (size[0] - 10) // 2
    np.testing.assert_array_equal(prepared, whole[top : top + 12, left : left + 10].transpose(2, 0, 1))


def test_the_table_normalises_in_float32_one_operation_at_a_time():
    preparation = ImagePreparation(height=1, width=1, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    table = preparation.table()
    assert table.dtype == np.float32
    for c in range(3):
        for p in (0, 1, 127, 128, 255):
            scaled = np.float32(p) / np.float32(255)
            expected = (scaled - np.float32(preparation.mean[c])) / np.float32(preparation.std[c])
            assert table[c, p] == expected
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 1, 1), np.uint8)
    normalised = preparation.normalize(pixels)
    assert normalised[1, 2, 0, 0] == table[2, pixels[1, 2, 0, 0]]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mean": (0.1, 0.2)}, "need one value or 3"),
        ({"mode": "L", "std": (0.1, 0.2, 0.3)}, "need one value or 1"),
        ({"std": (0.0,)}, "positive and finite"),
        ({"mean": (float("nan"),)}, "positive and finite"),
        ({"std": (float("inf"),)}, "positive and finite"),
        ({"mean": ()}, "need one value"),
        ({"height": 0}, "is not within"),
        ({"width": 2**14 + 1}, "is not within"),
        ({"resize": 7}, "smaller than the crop"),
        ({"resize": 2**20}, "over 32768"),
    ],
)
def test_impossible_preparations(fields, message):
    with pytest.raises(ValueError, match=message):
        ImagePreparation(**({"height": 8, "width": 8} | fields))


def test_files_that_are_no_image(tmp_path):
    preparation = ImagePreparation(height=8, width=8)
    with pytest.raises(ValueError, match="does not exist"):
        preparation.pixels(tmp_path / "none.png")
    (tmp_path / "text.png").write_text("not an image")
    with pytest.raises(ValueError, match="not an image"):
        preparation.pixels(tmp_path / "text.png")
    with pytest.raises(ValueError, match="not an image"):
        preparation.pixels(tmp_path)
    picture(30, 30).save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:100])
    with pytest.raises(ValueError, match="not an image"):
        preparation.pixels(tmp_path / "cut.png")


def test_formats_that_would_start_other_programs_are_not_read(tmp_path):
    picture(8, 8).save(tmp_path / "drawing.eps")
    with pytest.raises(ValueError, match="is not an image in PNG, JPEG"):
        ImagePreparation(height=8, width=8).pixels(tmp_path / "drawing.eps")
    (tmp_path / "bad.ppm").write_bytes(b"P6 x 8 255 ")
    with pytest.raises(ValueError, match="is not an image in PNG, JPEG"):
        ImagePreparation(height=8, width=8).pixels(tmp_path / "bad.ppm")


@pytest.mark.parametrize("kind", ["png", "jpg", "webp", "gif", "bmp", "tiff", "ppm"])
def test_the_formats_that_are_read(tmp_path, kind):
    picture(9, 9).save(tmp_path / f"image.{kind}")
    assert ImagePreparation(height=8, width=8).pixels(tmp_path / f"image.{kind}").shape == (3, 8, 8)


def test_a_very_long_image_is_refused_before_it_is_scaled():
    with pytest.raises(ValueError, match=r"1x20000 scaled to 256x5120000 is too large"):
        ImagePreparation(height=224, width=224, resize=256).pixels(Pillow.new("L", (1, 20000)))


def test_a_batch_of_pixels_or_of_floats():
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    assert as_pixels(pixels, (1, 16, 16)) is pixels
    np.testing.assert_array_equal(as_pixels((pixels / 255).astype(np.float32), (1, 16, 16)), pixels)
    assert as_pixels(np.zeros((0, 1, 16, 16), np.float32), (1, 16, 16)).shape == (0, 1, 16, 16)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (np.zeros((2, 3, 4), np.uint8), "has shape"),
        (np.zeros((1, 4, 4), np.uint8), "has shape"),
        (np.zeros((2, 1, 4, 5), np.uint8), "has shape"),
        (np.zeros((2, 1, 4, 4), np.int64), "has dtype int64"),
        (np.full((2, 1, 4, 4), 255, np.float32), "within 0..1"),
        (np.full((2, 1, 4, 4), -0.1, np.float32), "within 0..1"),
        (np.full((2, 1, 4, 4), np.nan, np.float32), "within 0..1"),
    ],
)
def test_a_batch_of_the_wrong_kind(batch, message):
    with pytest.raises(ValueError, match=message):
        as_pixels(batch, (1, 4, 4))
