"""Pictures of a whole model, from Python and from the shell."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpose.registry import MODELS

from gtpt_mm.cli import main
from gtpt_mm.visualization import crop_instances, draw_tokens
from gtpt_mm.visualization.gtpt.crops import Crop

# A panel of 64 x 96 (w, h) pixels, enlarged twice, with title and margin.
NAN, INF = float('nan'), float('inf')
WIDTH, HEIGHT, HEADING = 2 * 64 + 4, 2 * 96 + 24, 26


def draw(model, img, bboxes=None, **options):
    return draw_tokens(model, crop_instances(model, img, bboxes), **options)


def draw_attention(model, img, bboxes=None, keypoints=None, layers=None):
    options = dict(keypoints=keypoints, layers=layers)
    return draw(model, img, bboxes, kind='attention', **options)


def test_pruning_shows_the_input_a_coarse_step_and_groups(model, image):
    picture = draw(model, cv2.imread(str(image)))
    assert picture.shape == (HEIGHT, 8 * WIDTH, 3)
    panels = [
        picture[20:-4, i * WIDTH + 2 : (i + 1) * WIDTH - 2] for i in range(8)
    ]
    num_keeps = model.backbone.num_keeps
    expected = [24] + [num_keeps[1]] + [num_keeps[2]] * 3 + [num_keeps[3]] * 3
    whole = panels[0].reshape(6, 32, 4, 32, 3)
    for panel, count in zip(panels, expected, strict=True):
        same = panel.reshape(6, 32, 4, 32, 3) == whole
        assert same.all((1, 3, 4)).sum() == count


def test_attention_of_two_people_and_keypoints(model, image):
    img = cv2.imread(str(image))
    boxes = np.array([[10, 10, 120, 200], [80, 50, 200, 300]])
    picture = draw_attention(model, img, boxes, ['nose', 9])
    # Person, keypoint and pass: a heading and two rows of six layers.
    block = HEADING + 2 * HEIGHT
    assert picture.shape == (2 * 2 * 2 * block, 6 * WIDTH, 3)
    nose, wrist = picture[: 2 * block], picture[2 * block : 4 * block]
    # Before the 4th layer's end both are the human token.
    row = slice(HEADING, HEADING + HEIGHT)
    assert np.array_equal(nose[row, : 4 * WIDTH], wrist[row, : 4 * WIDTH])
    assert not np.array_equal(nose[row, 4 * WIDTH :], wrist[row, 4 * WIDTH :])
    one = draw_attention(model, img, boxes[1:], ['left_wrist'], [7, 12])
    assert one.shape == (2 * (HEADING + HEIGHT), 2 * WIDTH, 3)
    wrist_of_second = picture[6 * block :]
    np.testing.assert_array_equal(
        one[HEADING : HEADING + HEIGHT, :WIDTH],
        wrist_of_second[HEADING + HEIGHT : block, :WIDTH],
    )


def test_pruned_panels_are_grey(model, image):
    img = cv2.imread(str(image))
    picture = draw_attention(model, img, None, ['nose'], [12])
    unpruned, pruned = (
        ((np.ptp(half, axis=2) < 3) & (abs(half[..., 0] - 170.0) < 30)).mean()
        for half in np.split(picture, 2)
    )
    share = 1 - model.backbone.num_keeps[3] / 24
    area = 128 * 192 / (WIDTH * (HEADING + HEIGHT))
    assert unpruned < 0.02
    assert pruned == pytest.approx(share * area, abs=0.02)


def test_shallow_attention_shows_the_body(model, image):
    img = cv2.imread(str(image))
    picture = draw(model, img, kind='shallow')
    assert picture.shape == (HEADING + 3 * HEIGHT, 6 * WIDTH, 3)
    by_number = draw(model, img, kind='shallow', layers=[5])
    assert np.array_equal(picture, by_number)
    options = dict(keypoints=['nose', '16'], layers=[4])
    human = draw(model, img, kind='shallow', **options)
    assert human.shape == (HEADING + HEIGHT, 3 * WIDTH, 3)
    rest = human[HEADING + 20 :]
    assert np.array_equal(rest[:, WIDTH : 2 * WIDTH], rest[:, 2 * WIDTH :])


def test_wholebody_model_names_its_keypoints():
    """133 keypoints, dense ones drawn by their part before the transition."""
    from mmpose.datasets.datasets.utils import parse_pose_metainfo

    meta = parse_pose_metainfo(
        dict(from_file='configs/_base_/datasets/coco_wholebody.py')
    )
    backbone = MODELS.build(
        dict(
            type='GTPT',
            arch=dict(embed_dims=32, stem_channels=16),
            keep_rates=(1.0, 0.7, 0.5, 0.3),
            keypoint_groups=[
                dict(sparse=range(0, 5), parts=[range(23, 91)]),
                dict(
                    sparse=range(5, 11),
                    parts=[range(91, 112), range(112, 133)],
                ),
                dict(
                    sparse=range(11, 17), parts=[range(17, 20), range(20, 23)]
                ),
            ],
        )
    ).eval()
    crop = Crop(
        np.full((256, 192, 3), 200, np.uint8), torch.randn(1, 3, 256, 192)
    )
    names = ['face-30', 'right_hand_root', 'left_big_toe', 'nose']
    model = SimpleNamespace(backbone=backbone, dataset_meta=meta)
    picture = draw_tokens(model, [crop], 'attention', names, [5, 9, 12])
    assert picture.shape == (4 * 2 * (HEADING + 280), 3 * 196, 3)
    shallow = draw_tokens(model, [crop], 'shallow')
    assert shallow.shape == (HEADING + 3 * 280, 6 * 196, 3)


@pytest.mark.parametrize(
    ('call', 'message'),
    [
        (dict(keypoints=['tail']), "no keypoint 'tail'.*nose"),
        (dict(keypoints=[17]), r'no keypoint 17.*0\.\.16'),
        (dict(keypoints=[]), 'at least one'),
        (dict(layers=[0]), r'1\.\.12.*\[0\]'),
        (dict(layers=[13, 4]), r'1\.\.12.*\[13, 4\]'),
        (dict(layers=[]), 'at least one'),
        (dict(bboxes=[]), 'None for the whole image'),
        (dict(bboxes=[[9, 9, 5, 20]]), '9, 9, 5, 20.*width 200'),
        (dict(bboxes=[[200, 0, 250, 50]]), '200, 0, 250, 50'),
        (dict(bboxes=[[0, 0, NAN, 50]]), '0, 0, nan, 50'),
        (dict(bboxes=[[0, 0, INF, INF]]), 'inf.*beyond the border'),
        (dict(bboxes=[[-INF, 0, 50, 50]]), '-inf.*beyond the border'),
        (dict(bboxes=[[0, 0, 1e9, 1e9]]), '1000000000.0.*width 200'),
        (dict(bboxes=[[-201, 0, 50, 50]]), '-201.*beyond the border'),
    ],
)
def test_errors_name_the_value(model, image, call, message):
    with pytest.raises(ValueError, match=message):
        draw_attention(model, cv2.imread(str(image)), **call)


def test_a_box_may_reach_beyond_the_border(model, image):
    """As boxes of detectors do."""
    img = cv2.imread(str(image))
    assert len(crop_instances(model, img, [[-90, -20, 210, 260]])) == 1


def test_a_model_of_another_kind_is_refused():
    other = MODELS.build(
        dict(
            type='TopdownPoseEstimator',
            backbone=dict(type='ResNet', depth=18),
            head=dict(
                type='HeatmapHead',
                in_channels=512,
                out_channels=17,
                loss=dict(type='KeypointMSELoss'),
            ),
        )
    )
    with pytest.raises(ValueError, match='ResNet'):
        draw(other, np.zeros((9, 9, 3), np.uint8))


# --- gtpt-mm visualize ------------------------------------------------------


@pytest.mark.parametrize(
    ('options', 'shape'),
    [
        ((), (HEIGHT, 8 * WIDTH, 3)),
        (
            ('--kind', 'attention', '--keypoints', 'nose', '9', '--layer',
             '1', '12'),
            (4 * (HEADING + HEIGHT), 2 * WIDTH, 3),
        ),
        (('--kind', 'shallow'), (HEADING + 3 * HEIGHT, 6 * WIDTH, 3)),
        (
            ('--bboxes', '0', '0', '90', '200', '--bboxes', '60', '9', '200',
             '250.5'),
            (2 * HEIGHT, 8 * WIDTH, 3),
        ),
    ],
)  # fmt: skip
def test_command(
    options, shape, body_config, checkpoint, image, tmp_path, capsys
):
    code = main(
        ['visualize', str(body_config), str(checkpoint), str(image), *options]
        + ['--out', str(tmp_path / 'new')]
    )
    kind = options[1] if options[:1] == ('--kind',) else 'pruning'
    target = tmp_path / 'new' / f'stripes_{kind}.png'
    assert code == 0, capsys.readouterr().err
    assert f'{image} -> {target}' in capsys.readouterr().out
    assert cv2.imread(str(target)).shape == shape


def test_command_draws_as_the_function(
    body_config, checkpoint, model, image, tmp_path
):
    code = main(
        ['visualize', str(body_config), str(checkpoint), str(image)]
        + ['--kind', 'attention', '--out', str(tmp_path)]
    )
    assert code == 0
    drawn = cv2.imread(str(tmp_path / 'stripes_attention.png'))
    np.testing.assert_array_equal(
        drawn, draw_attention(model, cv2.imread(str(image)))
    )


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (('--keypoints', 'nose'), "'pruning' draws all"),
        (('--kind', 'shallow', '--layer', '1', '2'), 'draws one layer'),
        (('--kind', 'shallow', '--layer', '13'), '1..12'),
        (('--kind', 'attention', '--keypoints', 'tail'), "'tail'"),
        (('--bboxes', '5', '5', '5', '9'), '5.0, 5.0, 5.0, 9.0'),
        (('--device', 'abacus'), 'abacus'),
        (('{image}',), 'one name'),
        (('{image}.jpg',), 'cannot read'),
        (('other.png', '--bboxes', '0', '0', '9', '9'), 'one image, got 2'),
    ],
)
def test_command_explains_bad_input(
    options, message, body_config, checkpoint, image, tmp_path, capsys
):
    options = [option.format(image=image) for option in options]
    code = main(
        ['visualize', str(body_config), str(checkpoint), str(image), *options]
        + ['--out', str(tmp_path)]
    )
    assert code == 2
    assert message in capsys.readouterr().err


def test_command_replaces_only_if_told(
    body_config, checkpoint, image, tmp_path, capsys
):
    command = ['visualize', str(body_config), str(checkpoint), str(image)]
    command += ['--out', str(tmp_path)]
    target = tmp_path / 'stripes_pruning.png'
    target.write_text('mine')
    assert main(command) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert f'{target} exists; give --overwrite' in line
    assert target.read_text() == 'mine'
    assert main([*command, '--overwrite']) == 0
    assert cv2.imread(str(target)) is not None
    assert list(tmp_path.iterdir()) == [target]


def test_command_reads_every_image_first(
    body_config, checkpoint, image, tmp_path, capsys
):
    torn = tmp_path / 'text.png'
    torn.write_text('no picture')
    for bad in (torn, tmp_path, tmp_path / 'gone.png'):
        code = main(
            ['visualize', str(body_config), str(checkpoint), str(image)]
            + [str(bad), '--out', str(tmp_path / 'out')]
        )
        [line] = capsys.readouterr().err.splitlines()
        assert code == 2 and f'OpenCV cannot read {bad}' in line
    assert not (tmp_path / 'out').exists()


def test_command_refuses_weights_that_are_not_finite(
    body_config, checkpoint, image, tmp_path, capsys
):
    state = torch.load(checkpoint, weights_only=True)['state_dict']
    state['backbone.human_token'].view(-1)[0] = NAN
    torch.save(dict(state_dict=state), tmp_path / 'nan.pth')
    code = main(
        ['visualize', str(body_config), str(tmp_path / 'nan.pth')]
        + [str(image), '--out', str(tmp_path / 'out')]
    )
    line = capsys.readouterr().err.splitlines()[-1]
    assert code == 2
    assert 'NaN' in line and 'backbone.human_token' in line
    assert not (tmp_path / 'out').exists()


def test_command_refuses_weights_of_another_model(
    body_config, checkpoint, image, tmp_path, capsys
):
    state = torch.load(checkpoint, weights_only=True)['state_dict']
    del state['backbone.human_token']
    torch.save(dict(state_dict=state), tmp_path / 'other.pth')
    code = main(
        ['visualize', str(body_config), str(tmp_path / 'other.pth')]
        + [str(image), '--out', str(tmp_path)]
    )
    message = capsys.readouterr().err
    assert code == 2
    assert 'other.pth' in message
    assert 'backbone.human_token' in message
    assert 'gtpt-mm convert' in message


def test_command_checks_the_config_unless_the_user_says_no(
    body_config, checkpoint, image, tmp_path, capsys
):
    cfg = Config.fromfile(body_config)
    cfg.load_form = 'nowhere.pth'
    cfg.dump(tmp_path / 'misspelt.py')
    argv = ['visualize', str(tmp_path / 'misspelt.py'), str(checkpoint)]
    argv += [str(image), '--out', str(tmp_path / 'new')]
    assert main(argv) == 2
    assert "did you mean 'load_from'?" in capsys.readouterr().err
    assert not (tmp_path / 'new').exists()
    assert main([*argv, '--no-config-check']) == 0
