"""Properties that hold for every size: encode and decode, split and join.

Hypothesis draws the same examples in every run (``derandomize``).
"""

import numpy as np
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mmpose.registry import KEYPOINT_CODECS, TRANSFORMS

from gtpt_mm.convert.names import NameTable
from gtpt_mm.layers.token_pruning import keep_top_tokens
from gtpt_mm.layers.windows import join_windows, split_windows

draws = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
seeds = st.integers(0, 2**16)
#: Sides of an input in pixels.
sides = st.integers(24, 96)


# ------------------------------------------------------------------- codecs


def draw_points(seed: int, size, num: int = 5, margin: float = 0.0):
    """Return points (1, num, 2) within an image (w, h)."""
    rng = np.random.default_rng(seed)
    return rng.uniform(margin, np.array(size) - 1 - margin, (1, num, 2))


@draws
@given(st.tuples(sides, sides), st.sampled_from([1.0, 2.0, 3.0]), seeds)
def test_convention_simcc_decodes_to_the_nearest_bin(size, ratio, seed):
    codec = KEYPOINT_CODECS.build(
        dict(
            type='UnroundedSimCCLabel',
            input_size=size,
            sigma=2.0,
            simcc_split_ratio=ratio,
        )
    )
    points = draw_points(seed, size)
    labels = codec.encode(points)
    assert labels['keypoint_weights'].all()
    decoded, scores = codec.decode(
        labels['keypoint_x_labels'], labels['keypoint_y_labels']
    )
    assert np.abs(decoded - points).max() <= 0.5 / ratio + 1e-4
    assert scores.shape == (1, 5) and (scores > 0).all()


@draws
@given(st.tuples(sides, sides), seeds)
def test_convention_simcc_ignores_points_far_outside(size, seed):
    codec = KEYPOINT_CODECS.build(
        dict(type='UnroundedSimCCLabel', input_size=size, sigma=2.0)
    )
    points = draw_points(seed, size)
    points[:, 0, 0] = size[0] + 50
    points[:, 1, 1] = -50
    weights = codec.encode(points)['keypoint_weights'][0]
    assert not weights[:2].any() and weights[2:].all()


@draws
@given(st.tuples(st.integers(1, 2000), st.integers(1, 2000)), seeds)
def test_convention_group_pose_returns_pixels(size, seed):
    """Labels are in units of the image, (w, h), areas of its area."""
    codec = KEYPOINT_CODECS.build(dict(type='GroupPoseLabel'))
    points = draw_points(seed, size, num=6).reshape(2, 3, 2)
    (w, h), boxes = size, np.array([[0, 0, *size], [0, 0, 1, 1]], float)
    labels = codec.encode(
        points, area=np.array([w * h, 1.0]), bbox=boxes, img_shape=(h, w)
    )
    np.testing.assert_allclose(labels['bbox_labels'][0], [0, 0, 1, 1])
    np.testing.assert_allclose(labels['area_labels'], [1, 1 / (w * h)], 1e-6)
    decoded, scores = codec.decode(
        labels['keypoint_labels'], np.array([0.9, 0.2]), (h, w)
    )
    np.testing.assert_allclose(decoded, points, atol=2e-7 * max(size))
    np.testing.assert_array_equal(scores, [[0.9] * 3, [0.2] * 3])


@draws
@given(st.tuples(sides, sides), seeds)
def test_convention_tag_indices_are_cells_of_the_heatmap(size, seed):
    """y * W + x of the nearest cell; points outside are not visible."""
    w, h = size[0] // 4, size[1] // 4
    codec = KEYPOINT_CODECS.build(
        dict(
            type='ImageAssociativeEmbedding',
            input_size=size,
            heatmap_size=(w, h),
            sigma=1.0,
            use_udp=True,
        )
    )
    rng = np.random.default_rng(seed)
    cells = rng.integers((-2, -2), (w + 2, h + 2), (3, 5, 2))
    offsets = rng.uniform(-0.4, 0.4, cells.shape)
    scale = (np.array(size) - 1) / (np.array((w, h)) - 1)
    labels = codec.encode((cells + offsets) * scale)
    index, visible = np.moveaxis(labels['keypoint_indices'], -1, 0)
    inside = ((cells >= 0) & (cells < (w, h))).all(-1)
    np.testing.assert_array_equal(visible, inside)
    expected = cells @ np.array([1, w])
    np.testing.assert_array_equal(index[inside], expected[inside])


# ------------------------------------------------------------------ windows


@draws
@given(
    grid=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    window=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    shift=st.tuples(st.integers(0, 5), st.integers(0, 5)),
)
def test_join_undoes_split_of_any_window(grid, window, shift):
    shift = tuple(s % w for s, w in zip(shift, window, strict=True))
    x = torch.arange(2.0 * grid[0] * grid[1] * 3).view(2, *grid, 3)
    windows = split_windows(x, window, shift)
    assert windows.shape[1:] == (window[0] * window[1], 3)
    joined = join_windows(windows, window, grid, shift)
    torch.testing.assert_close(joined, x, rtol=0, atol=0)
    # Every token is in one window; all else is padding.
    assert windows.abs().sum() == x.abs().sum()


# ------------------------------------------------------------------ pruning


@draws
@given(num=st.integers(1, 40), data=st.data(), seed=seeds)
def test_kept_tokens_are_those_of_the_highest_scores(num, data, seed):
    keep = data.draw(st.integers(1, num))
    generator = torch.Generator().manual_seed(seed)
    orders = [torch.randperm(num, generator=generator) for _ in range(6)]
    scores = torch.stack(orders).float().view(2, 3, num)
    indices = keep_top_tokens(scores, keep)
    assert indices.shape == (2, 3, keep)
    assert (indices.diff(dim=-1) > 0).all()  # in raster order, none twice
    kept = scores.gather(2, indices).sort(dim=-1).values
    expected = torch.arange(num - keep, num).float().expand(2, 3, -1)
    assert torch.equal(kept, expected)


# -------------------------------------------------------------- name tables

#: Rows as converters have them: a number, a leaf, any ending.
TABLE = NameTable(
    [
        ('layers.#.attn.qkv.*', 'blocks.#.attn.to_qkv.*'),
        ('layers.#.mlp.experts.#.fc.*', 'blocks.#.experts.#.linear.*'),
        ('stem.**', 'backbone.conv.**'),
    ]
)
numbers = st.integers(0, 10**4)
leaves = st.sampled_from(['weight', 'bias'])


@draws
@given(
    st.one_of(
        st.builds('layers.{}.attn.qkv.{}'.format, numbers, leaves),
        st.builds(
            'layers.{}.mlp.experts.{}.fc.{}'.format, numbers, numbers, leaves
        ),
        st.builds('stem.{}'.format, st.text('abc.01_', min_size=1)),
    )
)
def test_names_come_back(name):
    foreign = TABLE.foreign(name)
    assert foreign is not None and foreign != name
    assert TABLE.native(foreign) == name


@draws
@given(st.text('layers.#*0weightbias', max_size=30))
def test_a_name_without_a_row_has_none(name):
    assert TABLE.native(name) is None


# ----------------------------------------------------------- crop and resize


image_sizes = st.tuples(st.integers(80, 200), st.integers(80, 200))
short_sides = st.integers(40, 160)


def make_sample(w: int, h: int, seed: int) -> dict:
    """Return a sample of two people whose pixels are their coordinates."""
    x, y = np.meshgrid(np.arange(w), np.arange(h))
    points = draw_points(seed, (w, h), 6).reshape(2, 3, 2)
    return dict(
        img=np.stack([x, y, x], -1).astype(np.uint8),
        img_shape=(h, w),
        ori_shape=(h, w),
        keypoints=points.astype(np.float32),
        keypoints_visible=np.ones((2, 3), np.float32),
        bbox=np.concatenate([points.min(1), points.max(1)], 1).astype('f4'),
        bbox_score=np.ones(2, np.float32),
        area=np.full(2, 100.0, np.float32),
        category_id=np.ones(2, int),
        id=[0, 1],
    )


def crop(sample: dict) -> dict:
    step = dict(type='GroupPoseCrop', min_size=40, max_size=79)
    return TRANSFORMS.build(step)(dict(sample))


def resize(sample: dict, short: int) -> dict:
    step = dict(type='GroupPoseResize', short_sides=[short])
    return TRANSFORMS.build(step)(dict(sample))


def to_image(points: np.ndarray, sample: dict) -> np.ndarray:
    """Return points of the input in pixels of the image, as mmpose does."""
    corner = sample['input_center'] - sample['input_scale'] / 2
    return points / sample['input_size'] * sample['input_scale'] + corner


@draws
@given(image_sizes, short_sides, seeds)
def test_resize_is_undone_by_what_it_says(size, short, seed):
    sample = make_sample(*size, seed)
    resized = resize(sample, short)
    h, w = resized['img'].shape[:2]
    assert resized['img_shape'] == (h, w) and resized['input_size'] == (w, h)
    assert min(h, w) == short
    back = to_image(resized['keypoints'], resized)
    np.testing.assert_allclose(back, sample['keypoints'], atol=1e-3)


@draws
@given(image_sizes, seeds)
def test_crop_moves_points_with_the_pixels(size, seed):
    np.random.seed(seed)
    sample = make_sample(*size, seed)
    region = crop(sample)
    (h, w), corner = region['img'].shape[:2], region['img'][0, 0, :2]
    assert region['img_shape'] == (h, w)
    expected = (sample['keypoints'][region['id']] - corner).clip(0, (w, h))
    np.testing.assert_allclose(region['keypoints'], expected, atol=1e-4)


@draws
@given(image_sizes, short_sides, seeds)
def test_resize_after_crop_shows_the_region(size, short, seed):
    np.random.seed(seed)
    region = crop(make_sample(*size, seed))
    result = resize(region, short)
    (h, w), (old_h, old_w) = result['img_shape'], region['img_shape']
    factor = np.array([w / old_w, h / old_h])
    np.testing.assert_allclose(
        result['keypoints'], region['keypoints'] * factor, atol=1e-3
    )
    # The pixel in the middle, by pixel centres at half numbers.
    x, y = w // 2, h // 2
    expected = (np.array([x, y]) + 0.5) / factor - 0.5
    expected = expected + region['img'][0, 0, :2]
    assert np.abs(result['img'][y, x, :2] - expected).max() < 1


@draws
@given(image_sizes, st.integers(80, 160), seeds)
def test_crop_after_resize_is_undone_by_what_it_says(size, short, seed):
    np.random.seed(seed)
    sample = make_sample(*size, seed)
    resized = resize(sample, short)
    result = crop(resized)
    h, w = result['img'].shape[:2]
    assert result['input_size'] == (w, h)
    points = result['keypoints']
    inside = ((points > 0) & (points < (w, h))).all(-1)
    np.testing.assert_allclose(
        to_image(points, result)[inside],
        sample['keypoints'][result['id']][inside],
        atol=1e-3,
    )
