"""ViTPose++ of its authors, before and after its split."""

import pytest
import torch
from mmengine.runner import CheckpointLoader
from safetensors.torch import save_file

from gtpt_mm.convert import (
    DATASETS,
    convert_vitpose,
    export_vitpose,
    read_state_dicts,
    split_state_dict,
    write_state_dict,
)

FILES = ['s11', 's12']


@pytest.fixture(params=FILES)
def golden(request, read_vitpose_golden):
    return read_vitpose_golden(f'vit_moe_{request.param}.pt')


@pytest.fixture
def recorded_split(golden, read_vitpose_golden):
    seed = golden['config']['seed']
    return read_vitpose_golden(f'model_split_s{seed}.pt')['split']


def test_names_and_shapes_of_ours(golden):
    ours, left_out = convert_vitpose(golden['state_dict'])
    assert not left_out
    assert len(ours) == len(golden['state_dict'])
    part, dim = golden['config']['pf'], golden['config']['dim']
    mlp = 'backbone.layers.0.mlp'
    assert ours[f'{mlp}.fc2.weight'].shape == (dim - part, 4 * dim)
    for name, count in zip(DATASETS, golden['keypoints'], strict=True):
        bias = ours[f'head.heads.{name}.final_layer.bias']
        assert len(bias) == count
    for e in range(6):
        theirs = f'backbone.blocks.0.mlp.experts.{e}.bias'
        torch.testing.assert_close(
            ours[f'{mlp}.experts.{e}.bias'], golden['state_dict'][theirs]
        )


def test_there_and_back(golden, assert_equal):
    ours = convert_vitpose(golden['state_dict']).state_dict
    back = export_vitpose(ours, 'official').state_dict
    assert_equal(convert_vitpose(back).state_dict, ours)
    source = dict(golden['state_dict'])
    # Their position table has lost the part that its first row played.
    position = 'backbone.pos_embed'
    table = source.pop(position)
    returned = back.pop(position)
    assert_equal(back, source)
    torch.testing.assert_close(
        returned[:, 1:] + returned[:, :1], table[:, 1:] + table[:, :1]
    )
    assert not returned[:, :1].any()


@pytest.mark.parametrize('dataset', DATASETS)
def test_split_gives_the_bytes_of_the_authors_script(
    dataset, golden, recorded_split, sha256
):
    ours = convert_vitpose(golden['state_dict']).state_dict
    dense = split_state_dict(ours, dataset)
    hashes = sha256(export_vitpose(dense, 'official').state_dict)
    expected = dict(recorded_split[dataset]['sha256'])
    for own in (hashes, expected):
        del own['backbone.pos_embed']  # folded; the heatmaps test it
    assert hashes == expected


@pytest.mark.parametrize('dataset', DATASETS)
def test_split_computes_what_the_plus_did(
    dataset, golden, recorded_split, build_vitpose, heatmaps
):
    ours = convert_vitpose(golden['state_dict']).state_dict
    dense = split_state_dict(ours, dataset)
    count = golden['keypoints'][DATASETS.index(dataset)]
    model = build_vitpose(golden['config'], count)
    model.load_state_dict(dense, strict=True)
    torch.testing.assert_close(
        heatmaps(model, golden['img']),
        recorded_split[dataset]['heatmap_eval'],
        atol=2e-5,
        rtol=1e-5,
    )


def test_authors_leftovers_are_left_out(golden, assert_equal):
    """Their script leaves experts, and in coco.pth all heads, in the file."""
    ours = convert_vitpose(golden['state_dict']).state_dict
    dense = split_state_dict(ours, 'coco')
    extra = {
        key: value
        for key, value in golden['state_dict'].items()
        if '.experts.' in key or key.startswith('associate_')
    }
    split_file = export_vitpose(dense, 'official').state_dict | extra
    again, left_out = convert_vitpose(split_file)
    assert_equal(again, dense)
    assert set(left_out) == set(extra)


def test_nothing_to_split_is_refused(official_vitpose):
    ours = convert_vitpose(official_vitpose(plus=True)).state_dict
    dense = split_state_dict(ours, 'aic')
    plain = convert_vitpose(official_vitpose()).state_dict
    for state_dict in (dense, plain):
        with pytest.raises(ValueError, match='split before'):
            split_state_dict(state_dict, 'aic')
    with pytest.raises(ValueError, match="'jhmdb'"):
        split_state_dict(ours, 'jhmdb')
    only_coco = {
        k: v
        for k, v in ours.items()
        if not k.startswith('head.') or '.coco.' in k
    }
    with pytest.raises(ValueError, match=r"'aic'.*\['coco'\]"):
        split_state_dict(only_coco, 'aic')


def rename_heads(ours: dict, names: dict[str, str]) -> dict:
    """Keep heads of some datasets, in this order, under other names."""
    out = {k: v for k, v in ours.items() if not k.startswith('head.')}
    for old, new in names.items():
        for leaf in ('weight', 'bias'):
            end = f'final_layer.{leaf}'
            out[f'head.heads.{new}.{end}'] = ours[f'head.heads.{old}.{end}']
    return out


def test_data_sets_of_our_own_trainings(official_vitpose):
    """Heads say which expert is whose, whatever the datasets are."""
    ours = convert_vitpose(official_vitpose(plus=True)).state_dict
    names = ('horses', 'coco', 'mpii', 'aic', 'hands', 'cats')
    own = rename_heads(ours, dict(zip(DATASETS, names, strict=True)))
    mlp = 'backbone.layers.1.mlp'
    for i, name in enumerate(names):
        dense = split_state_dict(own, name)
        torch.testing.assert_close(
            dense[f'{mlp}.fc2.weight'][6:], ours[f'{mlp}.experts.{i}.weight']
        )
        head = f'head.heads.{DATASETS[i]}.final_layer.bias'
        torch.testing.assert_close(dense['head.final_layer.bias'], ours[head])
    with pytest.raises(ValueError, match='in this order.*horses'):
        export_vitpose(own, 'official')
    two = rename_heads(ours, dict(coco='coco', aic='horses'))
    with pytest.raises(ValueError, match="'coco' is unknown"):
        split_state_dict(two, 'coco')


def test_safetensors_keep_the_order_of_the_heads(
    official_vitpose, assert_equal, tmp_path
):
    """Or a head would get the expert of another dataset."""
    ours = convert_vitpose(official_vitpose(plus=True)).state_dict
    path = tmp_path / 'plus.safetensors'
    write_state_dict(path, ours, None)
    by_mmengine = CheckpointLoader.load_checkpoint(str(path))['state_dict']
    for read in (read_state_dicts(path)[0], by_mmengine):
        assert list(read) == list(ours)
        for name in DATASETS:
            assert_equal(
                split_state_dict(read, name), split_state_dict(ours, name)
            )
    save_file(ours, path)  # by another program
    with pytest.raises(ValueError, match='in alphabetical order'):
        split_state_dict(read_state_dicts(path)[0], 'coco')


def test_order_of_the_keys_in_a_file_does_not_matter(
    official_vitpose, assert_equal
):
    source = official_vitpose(plus=True)
    backwards = dict(reversed(source.items()))
    for dataset in DATASETS:
        one, other = (
            split_state_dict(convert_vitpose(state).state_dict, dataset)
            for state in (source, backwards)
        )
        assert_equal(one, other)


def test_mmpose_gets_one_data_set_only(official_vitpose):
    ours = convert_vitpose(official_vitpose(plus=True)).state_dict
    with pytest.raises(ValueError, match='dataset'):
        export_vitpose(ours, 'mmpose')


def test_bad_experts_are_named(official_vitpose):
    source = official_vitpose(plus=True)
    del source['backbone.blocks.1.mlp.experts.4.weight']
    with pytest.raises(ValueError, match='layers.1.mlp.experts.4.weight'):
        convert_vitpose(source)
    source = {
        key: value
        for key, value in official_vitpose(plus=True).items()
        if '.experts.' not in key
    }
    with pytest.raises(ValueError, match='experts are missing'):
        convert_vitpose(source)
    source = official_vitpose(plus=True)
    for leaf in ('weight', 'bias'):
        key = f'backbone.blocks.1.mlp.experts.2.{leaf}'
        source[key] = source[key][:1]
    with pytest.raises(ValueError, match="'mlp.experts.2': 1"):
        convert_vitpose(source)
    source = official_vitpose(plus=True)
    source['associate_keypoint_heads.5.final_layer.bias'] = torch.zeros(3)
    with pytest.raises(ValueError, match=r'associate_keypoint_heads\.5'):
        convert_vitpose(source)
