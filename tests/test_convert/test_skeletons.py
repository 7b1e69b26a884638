"""Rows of keypoints go from one skeleton to another by their names."""

import copy

import pytest
import torch
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS
from support.vitpose_plus import make_model_cfg

from gtpt_mm.cli import main
from gtpt_mm.compat.data.metainfo import parse_metainfo
from gtpt_mm.convert import (
    find_datasets,
    find_names,
    fit_checkpoint,
    read_names,
    split_state_dict,
    transfer,
)
from gtpt_mm.convert.checkpoint_keypoints import find_groups
from gtpt_mm.convert.skeletons import count_keypoints

#: 14 of COCO's in other words and order, and two new ones.
MINE = [
    'RWrist', 'RElbow', 'r_shoulder', 'shoulder.L', 'LeftElbow', 'wrist_l',
    'hip_l', 'right hip', 'L_Knee', 'knee_right', 'left_ankle', 'AnkleR',
    'Snout', 'tail',
]  # fmt: skip
IN_COCO = [10, 8, 6, 5, 7, 9, 11, 12, 13, 14, 15, 16, 0, None]
LINKS = [(6, 13), (7, 13), (12, 13), (0, 1)]
SWAPS = [5, 4, 3, 2, 1, 0, 7, 6, 9, 8, 11, 10, 12, 13]
ENDS = [11, 12, 0]  # of the tail, in COCO
COCO = read_names('coco')


def make_metainfo(names=MINE, links=LINKS, swaps=SWAPS) -> dict:
    points = {
        i: dict(name=name, id=i, color=[0, 0, 0], swap=names[swaps[i]])
        for i, name in enumerate(names)
    }
    return parse_metainfo(
        dict(
            dataset_name='mine',
            keypoint_info=points,
            skeleton_info={
                i: dict(link=(names[a], names[b]), id=i, color=[0, 0, 0])
                for i, (a, b) in enumerate(links)
            },
            joint_weights=[1.0] * len(names),
            sigmas=[0.05] * len(names),
        )
    )


def build(cfg: dict, seed: int = 0):
    """Return a model in which every row differs."""
    init_default_scope('mmpose')
    torch.manual_seed(seed)
    model = MODELS.build(copy.deepcopy(cfg)).eval()
    with torch.no_grad():
        for value in model.parameters():
            value.add_(torch.randn_like(value) * 0.1)
    return model


CODEC = dict(
    type='UDPHeatmap', input_size=(32, 48), heatmap_size=(8, 12), sigma=2
)
BACKBONE = dict(
    type='ViTPose',
    arch=dict(embed_dims=16, depth=2, num_heads=2),
    img_size=(48, 32),
)
CLASSIC = dict(
    type='HeatmapHead',
    in_channels=16,
    deconv_out_channels=(16, 16),
    deconv_kernel_sizes=(4, 4),
    decoder=CODEC,
)
HEADS = {
    'classic': CLASSIC,
    'simple': CLASSIC
    | dict(
        deconv_out_channels=[],
        deconv_kernel_sizes=[],
        final_layer=dict(kernel_size=3, padding=1),
    ),
    'pixel shuffle': dict(
        type='PixelShuffleHead', in_channels=16, decoder=CODEC
    ),
    'simcc': dict(
        type='SimCCHead',
        in_channels=16,
        input_size=(32, 48),
        in_featuremap_size=(2, 3),
        deconv_out_channels=None,
        decoder=dict(type='SimCCLabel', input_size=(32, 48)),
    ),
    'simcc with deconvolutions': dict(
        type='SimCCHead',
        in_channels=16,
        input_size=(32, 48),
        in_featuremap_size=(2, 3),
        deconv_out_channels=(16,),
        deconv_kernel_sizes=(4,),
        deconv_num_groups=(1,),
        decoder=dict(type='SimCCLabel', input_size=(32, 48)),
    ),
}


def make_vitpose(head: str, num: int, seed: int = 0):
    return build(
        dict(
            type='TopdownPoseEstimator',
            backbone=BACKBONE,
            head=HEADS[head] | dict(out_channels=num),
        ),
        seed,
    )


def outputs(model, size=(48, 32)) -> torch.Tensor:
    """Return what a model predicts for each keypoint, (B, K, ...)."""
    torch.manual_seed(5)
    with torch.no_grad():
        found = model(torch.randn(2, 3, *size), None, mode='tensor')
    return torch.cat(found, -1) if isinstance(found, tuple) else found


@pytest.mark.parametrize('head', HEADS)
def test_heatmaps_of_matched_keypoints_are_equal(head):
    source, model = make_vitpose(head, 17), make_vitpose(head, 14, seed=1)
    fresh = copy.deepcopy(model.state_dict())
    moved = transfer(source.state_dict(), COCO, model, make_metainfo())
    model.load_state_dict(moved.state_dict)
    own, expected = outputs(model), outputs(source)
    for i, j in enumerate(IN_COCO[:-1]):
        assert torch.equal(own[:, i], expected[:, j]), MINE[i]
    assert [row.how for row in moved.rows] == ['copied'] * 13 + ['new']
    assert all(
        r.sources == (COCO[j],)
        for r, j in zip(moved.rows[:-1], IN_COCO[:-1], strict=True)
    )
    key = next(key for key in moved.tensors if key.endswith('weight'))
    rows = len(fresh[key]) // 14  # of the tail: the model's own
    assert torch.equal(moved.state_dict[key][-rows:], fresh[key][-rows:])


def test_neighbours_are_averaged():
    source, model = make_vitpose('classic', 17), make_vitpose('classic', 14)
    moved = transfer(
        source.state_dict(), COCO, model, make_metainfo(), 'neighbours'
    )
    key = 'head.final_layer.weight'
    expected = source.state_dict()[key][ENDS].mean(0)
    torch.testing.assert_close(moved.state_dict[key][13], expected)
    assert moved.rows[13].how == 'averaged'
    assert set(moved.rows[13].sources) == {COCO[i] for i in ENDS}
    model.load_state_dict(moved.state_dict)
    torch.testing.assert_close(
        outputs(model)[:, 13], outputs(source)[:, ENDS].mean(1)
    )


def test_swap_partner_counts_as_a_neighbour():
    names = ['left_hip', 'left_horn', 'right_horn', 'far']
    info = make_metainfo(names, links=[], swaps=[0, 2, 1, 3])
    source, model = make_vitpose('simple', 2), make_vitpose('simple', 4)
    moved = transfer(
        source.state_dict(), ['hip_l', 'horn_r'], model, info, 'neighbours'
    )
    assert [(r.sources, r.how) for r in moved.rows] == [
        (('hip_l',), 'copied'),
        (('horn_r',), 'averaged'),
        (('horn_r',), 'copied'),
        ((), 'new'),
    ]


def test_table():
    source, model = make_vitpose('simple', 17), make_vitpose('simple', 14)
    moved = transfer(
        source.state_dict(), COCO, model, make_metainfo(), 'neighbours'
    )
    lines = str(moved).splitlines()
    assert lines[0].split() == ['keypoint', 'in', 'the', 'checkpoint', 'rows']
    assert lines[1].split() == ['RWrist', 'right_wrist', 'copied']
    assert lines[14].split() == [
        'tail', 'left_hip,', 'right_hip,', 'nose', 'averaged',
    ]  # fmt: skip
    assert len(lines) == 15


# ---------------------------------------------------------------------- GTPT


def make_gtpt(groups: list[dict] | None, num: int, seed: int = 0):
    backbone = dict(
        type='GTPT',
        arch=dict(embed_dims=16, stem_channels=16),
        img_size=(64, 48),
        depth=8,
        num_heads=2,
        keep_rates=(1.0, 1.0, 1.0, 1.0),
    )
    if groups:
        backbone['keypoint_groups'] = groups
    codec = dict(type='SimCCLabel', input_size=(48, 64))
    return build(
        dict(
            type='TopdownPoseEstimator',
            backbone=backbone,
            head=dict(
                type='GTPTHead',
                in_channels=16,
                out_channels=num,
                decoder=codec,
            ),
        ),
        seed,
    )


def test_gtpt_with_the_same_keypoints_in_another_order_is_equal():
    """Its keypoints read each other: only with all of them nothing changes."""
    order = torch.randperm(17, generator=torch.manual_seed(0)).tolist()
    names = [COCO[i] for i in order]
    groups = [
        dict(sparse=[order.index(i) for i in group])
        for group in (range(11, 17), range(0, 5), range(5, 11))
    ]
    info = make_metainfo(names, links=[], swaps=list(range(17)))
    source, model = make_gtpt(None, 17), make_gtpt(groups, 17, seed=1)
    moved = transfer(source.state_dict(), COCO, model, info)
    model.load_state_dict(moved.state_dict)
    own, expected = outputs(model, (64, 48)), outputs(source, (64, 48))
    torch.testing.assert_close(own, expected[:, order], atol=1e-5, rtol=1e-5)
    assert expected.std(1).min() > 1e-5  # keypoints differ


def test_tokens_and_group_masks_of_gtpt():
    groups = [dict(sparse=[12, 13]), dict(sparse=range(12))]
    source, model = make_gtpt(None, 17), make_gtpt(groups, 14, seed=1)
    old = source.state_dict()
    moved = transfer(old, COCO, model, make_metainfo())
    key = 'backbone.sparse_embed'
    for i, j in enumerate(IN_COCO[:-1]):
        assert torch.equal(moved.state_dict[key][:, i], old[key][:, j])
    assert torch.equal(
        moved.state_dict[key][:, 13], model.state_dict()[key][:, 13]
    )
    key = 'backbone.group_mask.2.weight'
    rows = old[key].unflatten(0, (3, -1))
    # The nose is of the head; of the limbs six are of each half.
    expected = torch.cat((rows[0], rows[1]))
    assert torch.equal(moved.state_dict[key], expected)
    model.load_state_dict(moved.state_dict)


def test_dense_keypoints_of_gtpt():
    groups = [
        dict(sparse=[0, 1], parts=[[2, 3]]),
        dict(sparse=[4, 5], parts=[[6], [7, 8]]),
    ]
    names = [f'point{i}' for i in range(9)]
    own = [
        dict(sparse=[0, 1], parts=[[2, 3], [4]]),
        dict(sparse=[5]),
    ]
    targets = [f'point{i}' for i in (5, 9, 8, 7, 3, 6)]
    info = make_metainfo(targets, links=[], swaps=list(range(6)))
    source, model = make_gtpt(groups, 9), make_gtpt(own, 6, seed=1)
    old, fresh = source.state_dict(), model.state_dict()
    moved = transfer(old, names, model, info, source_groups=groups)
    expected = {
        'sparse_embed': [3, None, None],  # point6 is dense in the checkpoint
        'dense_embed': [4, 3, 1],
        'part_embed': [2, 0],
    }
    for name, rows in expected.items():
        key = f'backbone.{name}'
        for i, row in enumerate(rows):
            value = fresh[key][:, i] if row is None else old[key][:, row]
            assert torch.equal(moved.state_dict[key][:, i], value), (name, i)
    assert [row.how for row in moved.rows] == [
        'copied', 'new', 'copied', 'copied', 'copied', 'new',
    ]  # fmt: skip
    model.load_state_dict(moved.state_dict)
    with pytest.raises(ValueError, match='9 keypoints, 4 of them sparse.*17'):
        transfer(old, names, model, info)


def test_groups_are_read_from_the_saved_config():
    text = (
        'model = dict(backbone=dict(keypoint_groups=[dict(sparse=range(0, 2), '
        'parts=[[2, 3]]), dict(sparse=(4, 5))]))\nx = open("/")\n'
        'raise SystemExit'
    )
    assert find_groups(dict(cfg=text), 6) == [
        dict(sparse=range(0, 2), parts=[[2, 3]]),
        dict(sparse=[4, 5]),
    ]
    assert find_groups(None, 17) is None
    whole = find_groups({}, 133)
    assert sum(len(g['sparse']) for g in whole) == 17


# ---------------------------------------------------------------- Group Pose


def make_group_pose(metainfo: dict, seed: int = 0):
    return build(
        dict(
            type='GroupPoseHead',
            metainfo=metainfo,
            embed_dims=32,
            num_levels=2,
            num_queries=4,
            encoder=dict(num_layers=1, feedforward_dims=16),
            decoder=dict(num_layers=2, feedforward_dims=16),
        ),
        seed,
    )


class Estimator(torch.nn.Module):
    """A head where an estimator has it."""

    def __init__(self, head) -> None:
        super().__init__()
        self.head = head


def raw_metainfo(names) -> dict:
    return dict(
        dataset_name='any',
        keypoint_info={
            i: dict(name=name, id=i, color=[0, 0, 0], type='', swap='')
            for i, name in enumerate(names)
        },
        skeleton_info={},
        joint_weights=[1.0] * len(names),
        sigmas=[0.1] * len(names),
    )


def predict(head) -> tuple:
    torch.manual_seed(3)
    with torch.no_grad():
        return head.forward_stages(
            [torch.randn(2, 32, s, s) for s in (8, 4)], None
        )


def test_group_pose_with_the_same_keypoints_in_another_order_is_equal():
    order = torch.randperm(17, generator=torch.manual_seed(0)).tolist()
    names = [COCO[i] for i in order]
    source = Estimator(make_group_pose(raw_metainfo(COCO)))
    model = Estimator(make_group_pose(raw_metainfo(names), seed=1))
    info = parse_metainfo(raw_metainfo(names))
    moved = transfer(source.state_dict(), COCO, model, info)
    model.load_state_dict(moved.state_dict)
    own, expected = predict(model.head.eval()), predict(source.head.eval())
    torch.testing.assert_close(own[0], expected[0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(
        own[1], expected[1][..., order, :], atol=1e-4, rtol=1e-4
    )
    torch.testing.assert_close(own[3], expected[3][..., order, :])


def test_first_poses_and_queries_of_group_pose():
    source = Estimator(make_group_pose(raw_metainfo(COCO)))
    model = Estimator(make_group_pose(raw_metainfo(MINE), seed=1))
    old = source.state_dict()
    moved = transfer(old, COCO, model, make_metainfo())
    model.load_state_dict(moved.state_dict)
    points, expected = predict(model.head)[3], predict(source.head)[3]
    torch.testing.assert_close(
        points[..., :13, :], expected[..., IN_COCO[:-1], :]
    )
    key = 'head.decoder.queries.keypoints.weight'
    assert torch.equal(moved.state_dict[key][:13], old[key][IN_COCO[:-1]])
    assert count_keypoints(moved.state_dict) == 14


@pytest.mark.parametrize('kind', ['RegressionHead', 'RLEHead'])
def test_coordinates_of_regression_are_equal(kind):
    source, model = (
        Estimator(build(dict(type=kind, in_channels=16, num_joints=num), num))
        for num in (17, 14)
    )
    moved = transfer(source.state_dict(), COCO, model, make_metainfo())
    model.load_state_dict(moved.state_dict)
    feats = (torch.randn(2, 16, 1, 1),)
    own, expected = (m.head(feats) for m in (model, source))
    torch.testing.assert_close(own[:, :13], expected[:, IN_COCO[:-1]])


def test_associative_embedding_has_heatmaps_before_tags():
    def make(num: int, seed: int):
        head = dict(
            type='AssociativeEmbeddingHead',
            in_channels=16,
            num_keypoints=num,
            deconv_out_channels=None,
            keypoint_loss=dict(type='KeypointMSELoss'),
            tag_loss=dict(type='AssociativeEmbeddingLoss'),
            decoder=dict(
                type='AssociativeEmbedding',
                input_size=(32, 48),
                heatmap_size=(8, 12),
            ),
        )
        return Estimator(build(head, seed))

    source, model = make(17, 0), make(14, 1)
    moved = transfer(source.state_dict(), COCO, model, make_metainfo())
    key = 'head.final_layer.weight'
    old, new = source.state_dict()[key], moved.state_dict[key]
    rows = IN_COCO[:-1]
    assert torch.equal(new[:13], old[rows])
    assert torch.equal(new[14:27], old[[17 + i for i in rows]])
    model.load_state_dict(moved.state_dict)


# -------------------------------------------------------------------- names


def test_names_of_skeletons(tmp_path):
    assert read_names('wholebody')[:17] == COCO
    assert len(read_names('wholebody')) == 133
    assert read_names(('a', 'b')) == ['a', 'b']
    path = tmp_path / 'mine.py'
    path.write_text(f'dataset_info = {raw_metainfo(["a", "b"])!r}')
    assert read_names(str(path)) == ['a', 'b']
    with pytest.raises(ValueError, match="no skeleton 'cocoo'.*'coco'"):
        read_names('cocoo')
    with pytest.raises(ValueError, match='nothing.py'):
        read_names(str(tmp_path / 'nothing.py'))


def test_names_of_weights(tmp_path):
    weights = {'head.final_layer.weight': torch.zeros(17, 4, 1, 1)}
    meta = dict(dataset_meta=dict(keypoint_id2name={1: 'b', 0: 'a'}))
    assert find_names(weights, meta).names == ['a', 'b']
    file = tmp_path / 'model.safetensors'
    found = find_names(weights, None, file)
    assert found.names == COCO and 'released' in found.where
    labels = '{"id2label": {%s}}'
    (tmp_path / 'config.json').write_text(
        labels % ', '.join(f'"{i}": "p{i}"' for i in range(17))
    )
    assert find_names(weights, None, file).names[16] == 'p16'
    (tmp_path / 'config.json').write_text(
        labels % ', '.join(f'"{i}": "LABEL_{i}"' for i in range(17))
    )
    assert find_names(weights, None, file).names == COCO
    other = {'head.final_layer.weight': torch.zeros(9, 4, 1, 1)}
    assert find_names(other) is None
    assert find_names(weights, dataset='ap10k').names == read_names('ap10k')


def test_unknown_names_are_asked_for():
    source, model = make_vitpose('simple', 9), make_vitpose('simple', 14)
    content = dict(state_dict=source.state_dict())
    with pytest.raises(ValueError, match='9 keypoints.*model 14.*source='):
        fit_checkpoint(content, model, make_metainfo())
    names = ['a', 'tail', *'bcdefgh']
    weights, words = fit_checkpoint(
        content, model, make_metainfo(), source=names
    )
    key = 'head.final_layer.weight'
    assert torch.equal(weights[key][13], source.state_dict()[key][1])
    assert '14 keypoints by name, 1 copied, 13 new' in words
    with pytest.raises(ValueError, match='9 rows.*8 keypoints: a, tail'):
        fit_checkpoint(content, model, make_metainfo(), source=names[:8])
    with pytest.raises(ValueError, match="random.*'nearest'"):
        transfer(source.state_dict(), names, model, make_metainfo(), 'nearest')
    with pytest.raises(ValueError, match="dataset='coco'.*one head"):
        fit_checkpoint(content, model, make_metainfo(), dataset='coco')


def test_rows_without_a_common_name_stay():
    """A skeleton whose names were changed keeps its head."""
    source, model = make_vitpose('simple', 14), make_vitpose('simple', 14, 1)
    content = dict(state_dict=source.state_dict())
    names = [f'old{i}' for i in range(14)]
    weights, words = fit_checkpoint(content, model, make_metainfo(), names)
    assert torch.equal(
        weights['head.final_layer.weight'],
        source.state_dict()['head.final_layer.weight'],
    )
    assert 'kept in their order' in words


# ----------------------------------------------------------------- ViTPose++


@pytest.fixture
def plus() -> dict:
    init_default_scope('mmpose')
    torch.manual_seed(0)
    return MODELS.build(
        make_model_cfg(dim=16, num_heads=2, depth=2, img_size=(48, 32))
    ).state_dict()


def test_dataset_with_most_keypoints_is_taken(plus):
    """Head and experts of AP-10K for an animal, of COCO for a face."""
    animal = read_names('ap10k')[:9][::-1]
    info = make_metainfo(animal, links=[], swaps=list(range(9)))
    model = make_vitpose('classic', 9)
    content = dict(state_dict=plus)
    weights, words = fit_checkpoint(content, model, info)
    assert words.startswith('head and experts of ap10k of coco, aic, mpii')
    plain = make_vitpose('classic', 17)
    plain.load_state_dict(split_state_dict(plus, 'ap10k'))
    model.load_state_dict(weights)
    order = list(range(9))[::-1]
    torch.testing.assert_close(outputs(model), outputs(plain)[:, order])

    face = make_metainfo(['left_ear', 'right_ear'], [], [1, 0])
    model = make_vitpose('classic', 2)
    assert 'of coco of' in fit_checkpoint(content, model, face)[1]
    words = fit_checkpoint(content, model, face, dataset='wholebody')[1]
    assert 'experts of wholebody' in words and '2 copied' in words
    with pytest.raises(ValueError, match="no head of 'cats'"):
        fit_checkpoint(content, model, face, dataset='cats')


def test_nothing_is_done_without_need(plus):
    """Equal keypoints; a ViTPose++ goes on as one."""
    source, model = make_vitpose('simple', 17), make_vitpose('simple', 17, 1)
    info = make_metainfo(COCO, links=[], swaps=list(range(17)))
    content = dict(state_dict=source.state_dict())
    weights, words = fit_checkpoint(content, model, info)
    assert not words
    assert all(
        torch.equal(weights[k], v) for k, v in content['state_dict'].items()
    )
    again = MODELS.build(
        make_model_cfg(dim=16, num_heads=2, depth=2, img_size=(48, 32))
    )
    assert fit_checkpoint(dict(state_dict=plus), again, info)[1] == ''


def test_added_dataset_starts_with_rows_by_name(plus, tmp_path, capsys):
    torch.save(dict(state_dict=plus), tmp_path / 'six.pth')
    (tmp_path / 'mine.py').write_text(f'dataset_info = {raw_metainfo(MINE)!r}')
    arguments = ['six.pth', 'seven.pth', 'mine.py']
    six, seven, mine = (str(tmp_path / name) for name in arguments)
    options = ['--name', 'mine', '--like', 'coco', '--keypoints', mine]
    assert main(['add-dataset', six, seven, *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ['RWrist', 'right_wrist', 'copied']
    weights = torch.load(seven, weights_only=True)['state_dict']
    for leaf in ('weight', 'bias'):
        old = weights[f'head.heads.coco.final_layer.{leaf}']
        new = weights[f'head.heads.mine.final_layer.{leaf}']
        assert len(new) == 14
        assert torch.equal(new[:13], old[IN_COCO[:-1]])
    assert new[13] == 0
    assert find_datasets(weights)[-1] == 'mine'
