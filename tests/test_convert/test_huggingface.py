"""VitPose of transformers: recorded numbers, and the library itself."""

import pytest
import torch
from mmpose.structures import PoseDataSample

from gtpt_mm.convert import (
    DATASETS,
    convert_vitpose,
    export_vitpose,
    find_datasets,
    find_vitpose_layout,
    split_state_dict,
)

FILES = ['hf_dense_classic_s31', 'hf_dense_simple_s32', 'hf_moe_classic_s33']


def weights_of(golden: dict) -> dict[str, torch.Tensor]:
    """Recorded as halves, without loss."""
    return {
        key: value.float() if value.is_floating_point() else value
        for key, value in golden['state_dict'].items()
    }


@pytest.mark.parametrize('name', FILES)
def test_same_bytes_as_the_authors_files(name, read_vitpose_golden, sha256):
    golden = read_vitpose_golden(f'{name}.pt')
    ours = convert_vitpose(weights_of(golden)).state_dict
    official = export_vitpose(ours, 'official').state_dict
    shapes = {key: tuple(value.shape) for key, value in official.items()}
    assert shapes == golden['official_shapes']
    hashes, expected = sha256(official), dict(golden['official_sha256'])
    for own in (hashes, expected):
        del own['backbone.pos_embed']  # folded; the heatmaps test it
    assert hashes == expected


@pytest.mark.parametrize('name', FILES)
def test_there_and_back(name, read_vitpose_golden, assert_equal):
    source = weights_of(read_vitpose_golden(f'{name}.pt'))
    ours, left_out = convert_vitpose(source)
    back, no_place = export_vitpose(ours, 'huggingface')
    assert not left_out and not no_place
    assert find_vitpose_layout(back) == 'huggingface'
    assert_equal(convert_vitpose(back).state_dict, ours)
    key = 'backbone.embeddings.position_embeddings'
    folded = source[key][:, 1:] + source[key][:, :1]
    torch.testing.assert_close(back.pop(key)[:, 1:], folded)
    del source[key]
    assert_equal(back, source)


@pytest.mark.parametrize('name', FILES)
def test_recorded_heatmaps(name, read_vitpose_golden, build_vitpose, heatmaps):
    """Recorded with epsilon 1e-6, as ours, and with their 1e-12."""
    golden = read_vitpose_golden(f'{name}.pt')
    config = golden['config']
    ours = convert_vitpose(weights_of(golden)).state_dict
    index = golden['dataset_index']
    for data in index.unique().tolist():
        chosen = index == data
        state = ours
        if config['experts'] > 1:
            assert find_datasets(ours) == ['coco']
            state = split_with_coco_head(ours, data)
        model = build_vitpose(config, config['K'], config['simple'])
        model.load_state_dict(state, strict=True)
        own = heatmaps(model, golden['pixel_values'][chosen])
        for key in ('heatmaps_eps1e-6', 'heatmaps'):
            torch.testing.assert_close(
                own, golden[key][chosen], atol=1e-5, rtol=1e-5
            )


@pytest.mark.parametrize('name', FILES)
def test_recorded_features_and_flipped_heatmaps(
    name, read_vitpose_golden, build_vitpose
):
    """Tokens after the last norm; what our flip test makes of the maps."""
    golden = read_vitpose_golden(f'{name}.pt')
    config = golden['config']
    ours = convert_vitpose(weights_of(golden)).state_dict
    index = golden['dataset_index']
    swap = dict(golden['flip_pairs'].tolist())
    swap |= {b: a for a, b in swap.items()}
    sample = PoseDataSample()
    sample.set_metainfo(
        dict(flip_indices=[swap.get(i, i) for i in range(config['K'])])
    )
    for data in index.unique().tolist():
        chosen = index == data
        state = ours
        if config['experts'] > 1:
            state = split_with_coco_head(ours, data)
        model = build_vitpose(config, config['K'], config['simple'])
        model.load_state_dict(state, strict=True)
        img = golden['pixel_values'][chosen]
        with torch.no_grad():
            tokens = model.backbone(img)[0].flatten(2).transpose(1, 2)
            feats = model.extract_feat(img)
            maps = model.head(feats)
            # The mean of the maps and of the same ones, mirrored.
            model.head.decode = lambda maps: maps
            _, fields = model.head.predict(
                [feats, feats],
                [sample] * len(img),
                dict(
                    flip_test=True, shift_heatmap=False, output_heatmaps=True
                ),
            )
        expected = golden['feature_map'][chosen].reshape(tokens.shape)
        torch.testing.assert_close(tokens, expected, atol=2e-5, rtol=1e-5)
        mean = torch.stack([field.heatmaps for field in fields])
        torch.testing.assert_close(
            2 * mean - maps,
            golden['heatmaps_flip_back'][chosen],
            atol=2e-5,
            rtol=1e-5,
        )


def split_with_coco_head(ours: dict, index: int) -> dict:
    """Their model puts COCO's head on every expert; so does this one."""
    name = DATASETS[index]
    renamed = {
        key.replace('.heads.coco.', f'.heads.{name}.'): value
        for key, value in ours.items()
    }
    assert find_datasets(renamed) == [name]
    return split_state_dict(renamed, name)


def build_theirs(num_experts: int, simple: bool) -> torch.nn.Module:
    from transformers import VitPoseConfig, VitPoseForPoseEstimation
    from transformers.models.vitpose_backbone import VitPoseBackboneConfig

    backbone = VitPoseBackboneConfig(
        image_size=[64, 48],
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_experts=num_experts,
        part_features=8 if num_experts > 1 else 0,
        layer_norm_eps=1e-6,
        out_indices=[2],
    )
    config = VitPoseConfig(
        backbone_config=backbone, use_simple_decoder=simple, num_labels=17
    )
    model = VitPoseForPoseEstimation(config).eval()
    for tensor in model.state_dict().values():  # no zeros, no ones
        if tensor.is_floating_point():
            tensor.add_(0.2 * torch.rand_like(tensor))
    return model


OURS = dict(dim=32, depth=2, heads=4, img=(64, 48))


@pytest.mark.parametrize('simple', [False, True])
def test_their_library_and_ours_agree(simple, build_vitpose, heatmaps):
    pytest.importorskip('transformers')
    img = torch.randn(2, 3, 64, 48)
    theirs, ours = build_theirs(1, simple), build_vitpose(OURS, simple=simple)
    state = convert_vitpose(theirs.state_dict()).state_dict
    ours.load_state_dict(state, strict=True)
    with torch.no_grad():
        expected = theirs(img).heatmaps
    assert expected.std() > 0.1
    own = heatmaps(ours, img)
    torch.testing.assert_close(own, expected, atol=2e-5, rtol=1e-5)

    fresh = build_vitpose(OURS, simple=simple)
    with torch.no_grad():
        fresh.backbone.pos_embed.add_(1.0)
    other = build_theirs(1, simple)
    state, no_place = export_vitpose(fresh.state_dict(), 'huggingface')
    assert not no_place
    other.load_state_dict(state, strict=True)
    with torch.no_grad():
        result = other(img).heatmaps
    torch.testing.assert_close(
        result, heatmaps(fresh, img), atol=2e-5, rtol=1e-5
    )


def test_their_plus_and_ours_agree(build_vitpose, heatmaps, tmp_path):
    """From the file that ``save_pretrained`` writes, expert by expert."""
    pytest.importorskip('transformers')
    from gtpt_mm.convert import read_state_dicts

    theirs = build_theirs(6, simple=False)
    theirs.save_pretrained(tmp_path)
    file, _ = read_state_dicts(tmp_path / 'model.safetensors')
    ours = convert_vitpose(file).state_dict
    img = torch.randn(1, 3, 64, 48)
    for index in range(6):
        model = build_vitpose(OURS)
        state = split_with_coco_head(ours, index)
        model.load_state_dict(state, strict=True)
        with torch.no_grad():
            expected = theirs(img, dataset_index=torch.tensor([index]))
        torch.testing.assert_close(
            heatmaps(model, img), expected.heatmaps, atol=2e-5, rtol=1e-5
        )


def test_their_plus_loads_ours(official_vitpose):
    """All experts arrive; of the heads only COCO's, the others are named."""
    ours = convert_vitpose(official_vitpose(plus=True)).state_dict
    theirs, no_place = export_vitpose(ours, 'huggingface')
    assert no_place == [
        f'head.heads.{name}.final_layer.{leaf}'
        for name in DATASETS[1:]
        for leaf in ('weight', 'bias')
    ]
    again = convert_vitpose(theirs).state_dict
    assert set(again) == set(ours) - set(no_place)


def test_what_transformers_cannot_hold_is_refused(official_vitpose):
    ours = convert_vitpose(official_vitpose()).state_dict
    minimal = ours | {'head.final_layer.weight': torch.zeros(3, 8, 1, 1)}
    with pytest.raises(ValueError, match=r'\(1, 1\) and no deconv'):
        export_vitpose(minimal, 'huggingface')
    plus = convert_vitpose(official_vitpose(plus=True)).state_dict
    no_coco = {k: v for k, v in plus.items() if '.coco.' not in k}
    with pytest.raises(ValueError, match="'coco'.*'aic'"):
        export_vitpose(no_coco, 'huggingface')
    backbone = {k: v for k, v in ours.items() if k.startswith('backbone.')}
    with pytest.raises(ValueError, match='a backbone alone'):
        export_vitpose(backbone, 'huggingface')
    other = ours | {'head.conv_layers.0.weight': torch.zeros(1)}
    with pytest.raises(ValueError, match='conv_layers'):
        export_vitpose(other, 'huggingface')


def test_missing_third_is_named(official_vitpose):
    ours = convert_vitpose(official_vitpose()).state_dict
    theirs = export_vitpose(ours, 'huggingface').state_dict
    del theirs['backbone.encoder.layer.1.attention.attention.key.bias']
    with pytest.raises(ValueError, match=r"layer\.1\..*\['key'\]"):
        convert_vitpose(theirs)
