import numpy as np
import pytest
from support.blob_model import SIZE, blob_model, draw_blobs
from support.inference import BOTTOM_UP, IMAGES, TOP_DOWN, small_model

from gtpt_mm.apis import Predictor
from gtpt_mm.apis.uncertainty import (
    MeasuringPredictor,
    axis_variance,
    compare_people,
    map_variance,
    summarize,
)

WHOLE = [np.array([[0, 0, 64, 48]], np.float32)]
#: Middle of a cell of the heatmap, four pixels wide, each.
POINTS = [(12, 20), (32, 24), (48, 12)]


def measure(image, **options):
    predictor = MeasuringPredictor(blob_model(**options))
    found = predictor(dict(images=[image], boxes=WHOLE))
    (units,) = predictor.measured
    return found, units


def gaussian(center, sigma, num=200):
    return np.exp(-((np.arange(num) - center) ** 2) / (2 * sigma**2))


def test_variance_of_vectors():
    two = np.zeros(100)
    two[[20, 60]] = 0.5
    # 0.049 is noise: below a tenth of the highest
    values = np.stack([two, two + np.where(two, 0, 0.049), np.zeros(100)])
    found = axis_variance(values)
    # two equal places 40 bins apart: 20^2
    np.testing.assert_allclose(found[:2], [400, 400])
    # nothing at all: even over 100 bins
    assert found[2] == pytest.approx((100**2 - 1) / 12)
    # cut at a tenth, at 2.15 sigma, a Gaussian keeps 0.823 of its variance
    (cut,) = axis_variance(gaussian(80.3, 5)[None])
    assert cut == pytest.approx(0.823 * 25, rel=0.03)


def test_variance_of_heatmaps():
    maps = np.zeros((2, 12, 16))
    maps[0, 3, [4, 10]] = 1  # x apart by 6
    maps[1, [2, 6], 5] = 0.3  # y apart by 4
    maps[1, 9, 9] = -5.0
    np.testing.assert_allclose(map_variance(maps), [[9, 0], [0, 4]])


def test_a_clear_picture_is_sure():
    image = draw_blobs([[p] for p in POINTS])
    found, units = measure(image)
    np.testing.assert_allclose(found['keypoints'][0], POINTS, atol=1.0)
    # blobs are those of the codec: 4 pixels are one cell
    assert units.max() < 0.03


def test_two_places_are_a_spread():
    points = [[p] for p in POINTS]
    points[1] = [(20, 24), (44, 24)]
    _, units = measure(draw_blobs(points))
    # two equal blobs 24 pixels apart: a deviation of 12 in each picture;
    # which of them is chosen differs in the mirror, so the flip adds 24
    size = np.sqrt(64 * 48)
    assert units[1] == pytest.approx(np.hypot(12, 24) / size, rel=0.1)
    assert units[[0, 2]].max() < 0.03


def test_exchanged_sides_are_a_flip():
    """The model names colors, so that its mirrored sides are exchanged."""
    image = draw_blobs([[p] for p in POINTS])
    _, units = measure(image, swap=True)
    apart = np.hypot(48 - 12, 20 - 12) / np.sqrt(64 * 48)
    np.testing.assert_allclose(units, [apart, 0, apart], atol=0.03)


def test_a_scaled_box_gives_the_same_unit():
    points = [[(4 * x, 4 * y) for x, y in [p]] for p in POINTS]
    points[1] = [(80, 96), (176, 96)]
    image = draw_blobs(points, sigma=16.0, size=(256, 192))
    predictor = MeasuringPredictor(blob_model())
    predictor(
        dict(images=[image], boxes=[np.array([[0, 0, 256, 192]], np.float32)])
    )
    size = np.sqrt(64 * 48)
    (units,) = predictor.measured
    assert units[1] == pytest.approx(np.hypot(12, 24) / size, rel=0.1)
    assert units[[0, 2]].max() < 0.03


def test_noise_is_unsure_and_never_above_one():
    noise = np.random.default_rng(0).integers(
        0, 255, (SIZE[1], SIZE[0], 3), np.uint8
    )
    _, units = measure(noise)
    assert (units > 0.3).all() and (units <= 1).all()


@pytest.mark.parametrize(
    'name, flip_test',
    [
        ('gtpt', False),
        ('gtpt', True),
        ('vitpose', False),
        ('vitpose', True),
        ('group-pose', False),
    ],
)
def test_predictions_are_those_of_a_plain_predictor(name, flip_test):
    model = small_model((TOP_DOWN | BOTTOM_UP)[name])
    batch = dict(images=IMAGES[:2])
    if name in TOP_DOWN:
        box = np.array([[10, 20, 90, 110], [0, 0, 60, 90]], np.float32)
        batch['boxes'] = [box, box[:1]]
    plain = Predictor(model, flip_test=flip_test)(batch)
    predictor = MeasuringPredictor(model, flip_test=flip_test)
    found = predictor(batch)
    for key, values in plain.items():
        np.testing.assert_allclose(found[key], values, rtol=1e-5, atol=1e-4)
    assert len(predictor.measured) == len(plain['keypoints'])
    for units in predictor.measured:
        assert units.shape == plain['scores'].shape[1:]
        assert ((units >= 0) & (units <= 1)).all()


def test_people_of_a_bottom_up_model_are_matched():
    square = np.array([[0.0, 0], [10, 0], [10, 10], [0, 10]])
    people = np.stack([square, square + 100])
    others = np.stack([square + [101, 100], square + [0, 2]])
    np.testing.assert_allclose(
        compare_people(people, others), [[0.2] * 4, [0.1] * 4]
    )
    np.testing.assert_allclose(
        compare_people(people, others[:1]), [[1] * 4, [0.1] * 4]
    )


def test_a_picture_counts_as_its_most_unsure_person():
    units = [np.array([0.1, 0.3]), np.array([0.5, 0.1])]
    assert summarize(units) == pytest.approx(0.3)
    assert np.isnan(summarize([]))
