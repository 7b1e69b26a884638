"""What ViTPose++ promises beside the authors' numbers.

Among them the traps of the authors' release: training that cannot train,
testing that cannot test, layer-wise rates that miss the layers.
"""

import pytest
import torch
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS
from support import vitpose_plus as tools

from gtpt_mm.deploy import fuse
from gtpt_mm.engine.hooks.freeze import freeze
from gtpt_mm.layers.deconv_moments import norm_of_batch
from gtpt_mm.models import ViTPose
from gtpt_mm.models.heads import multi_dataset_head

ARCH = dict(embed_dims=32, depth=2, num_heads=2)
MIXED = [3, 0, 5, 0, 2]  # nothing of aic and apt36k
KINDS = ['ps', 'i', 'is']


@pytest.fixture
def build():
    """Return a function that builds a tiny model for six datasets."""
    init_default_scope('mmpose')

    def make(experts=None, **head):
        cfg = tools.make_model_cfg(dim=32, depth=2, num_heads=2, **head)
        cfg['backbone']['experts'] = experts or dict(num_experts=6)
        model = MODELS.build(cfg)
        model.init_weights()
        for parameter in model.head.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
        return model

    return make


@pytest.fixture
def img():
    return torch.randn(5, 3, 64, 48)


def backward(model, img, samples) -> dict:
    losses = model.loss(img, samples)
    total, _ = model.parse_losses(losses)
    total.backward()
    return losses


@pytest.mark.parametrize('kind', KINDS)
def test_a_mixed_batch_is_its_samples_one_by_one(kind, build, img):
    model = build(dict(num_experts=6, kind=kind)).eval()
    samples = tools.make_samples(MIXED)
    with torch.no_grad():
        mixed = tools.run_backbone(model, img, MIXED)
        alone = torch.cat(
            [
                tools.run_backbone(model, i[None], [k])
                for i, k in zip(img, MIXED, strict=True)
            ]
        )
        torch.testing.assert_close(mixed, alone, atol=1e-5, rtol=1e-5)
        results = model.predict(img, samples)
        for i, k in enumerate(MIXED):
            [single] = model.predict(img[i : i + 1], tools.make_samples([k]))
            pose = results[i].pred_instances
            assert pose.keypoints.shape == (1, tools.KEYPOINTS[k], 2)
            assert pose.keypoints == pytest.approx(
                single.pred_instances.keypoints, abs=1e-2
            )


@pytest.mark.parametrize('own_samples_only', [False, True])
@pytest.mark.parametrize('kind', KINDS)
def test_every_parameter_has_a_gradient(kind, own_samples_only, build, img):
    """Zero where the dataset is absent, so that processes can agree."""
    model = build(
        dict(num_experts=6, kind=kind), own_samples_only=own_samples_only
    ).train()
    losses = backward(model, img, tools.make_samples(MIXED))
    absent = {'aic', 'apt36k'}
    for k, name in enumerate(tools.NAMES):
        assert (losses[f'{name}/loss_kpt'] == 0) == (name in absent)
        assert (f'{name}/acc_pose' in losses) == (name not in absent)
        parts = (f'head.heads.{name}.', f'.experts.{k}.')
        for path, parameter in model.named_parameters():
            assert parameter.grad is not None, path
            if any(part in path for part in parts) and name in absent:
                assert not parameter.grad.any(), path


def test_share_of_a_dataset_is_that_of_its_samples(build, img):
    """Formula of the loss, from maps of the whole batch."""
    model = build().train()
    samples = tools.make_samples(MIXED)
    losses = model.loss(img, samples)
    maps = model.head((tools.run_backbone(model, img, MIXED),))
    for k, name in enumerate(tools.NAMES):
        expected = sum(
            (maps[name][i] - samples[i].gt_fields.heatmaps).square().mean()
            for i, idx in enumerate(MIXED)
            if idx == k
        ) / len(MIXED)
        assert losses[f'{name}/loss_kpt'].item() == pytest.approx(
            float(expected), rel=1e-5
        )


def test_norms_see_the_whole_batch_unless_told(build, img):
    for own_only in (False, True):
        model = build(own_samples_only=own_only).train()
        model.loss(img, tools.make_samples(MIXED))
        norm = model.head.heads['aic'].deconv_layers[1]
        assert norm.num_batches_tracked == (0 if own_only else 1)
        norm = model.head.heads['coco'].deconv_layers[1]
        assert norm.num_batches_tracked == 1
        with torch.no_grad():
            feats = tools.run_backbone(model, img, MIXED)
            if own_only:
                feats = feats[[1, 3]]  # the two of coco
            first = model.head.heads['coco'].deconv_layers[0](feats)
        torch.testing.assert_close(
            norm.running_mean, 0.1 * first.mean((0, 2, 3))
        )


def test_outputs_of_others_are_not_computed(build, img, monkeypatch):
    """The last norm of each head takes the outputs of its dataset only."""
    calls = []

    def spy(own, rest, *modules):
        calls.append((len(own), len(rest)))
        return norm_of_batch(own, rest, *modules)

    monkeypatch.setattr(multi_dataset_head, 'norm_of_batch', spy)
    build().train().loss(img, tools.make_samples(MIXED))
    assert calls == [(2, 3), (0, 5), (1, 4), (1, 4), (0, 5), (1, 4)]


def test_norms_that_wait_for_all_processes_are_refused(
    build, img, monkeypatch
):
    """One without samples of a dataset does not run its head backward."""
    model = build().train()
    freeze(model, ['head.mpii'])
    frozen = model.head.heads['mpii']
    samples = tools.make_samples([0, 1, 0, 0, 0])
    monkeypatch.setattr(multi_dataset_head, 'get_world_size', lambda: 2)
    convert = torch.nn.SyncBatchNorm.convert_sync_batchnorm
    model.head.heads['mpii'] = convert(frozen)
    model.loss(img, samples)  # that head is never run
    model.head.heads['aic'] = convert(model.head.heads['aic'])
    with pytest.raises(ValueError, match=r"deconv_layers.*'aic'.*sync_bn"):
        model.loss(img, samples)
    monkeypatch.setattr(multi_dataset_head, 'get_world_size', lambda: 1)
    model.loss(img, samples)


def test_each_dataset_is_tested_in_its_way(build, img):
    """Head, flip indices, shift and codec are those of the sample."""
    model = build().eval()
    samples = tools.make_samples(MIXED)
    model.test_cfg['output_heatmaps'] = True
    with torch.no_grad():
        results = model.predict(img, samples)
        both = [
            model.head((tools.run_backbone(model, x, MIXED),))
            for x in (img, img.flip(-1))
        ]
    for i, k in enumerate(MIXED):
        name = tools.NAMES[k]
        maps, flipped = (m[name][i] for m in both)
        flipped = flipped.flip(-1).flip(0)  # flip_indices: reversed
        if name not in tools.UNBIASED:
            flipped = torch.cat([flipped[..., :1], flipped[..., :-1]], -1)
        torch.testing.assert_close(
            results[i].pred_fields.heatmaps, (maps + flipped) / 2
        )
        codec = type(model.head.heads[name].decoder).__name__
        assert codec.startswith('UDP' if name in tools.UNBIASED else 'MSRA')


def test_targets_of_other_widths_are_refused(build, img):
    """In the authors' release 14 and 16 channels would mix without a word."""
    model = build().train()
    samples = tools.make_samples([0, 1, 0, 0, 0])
    samples[1].set_metainfo(dict(dataset_idx=2))  # 14 maps for 16 keypoints
    with pytest.raises(ValueError, match="'mpii'.*14.*16"):
        model.loss(img, samples)


def test_samples_must_say_their_dataset(build, img):
    model = build()
    samples = tools.make_samples(MIXED)
    del samples[2].dataset_idx
    for call in (model.loss, model.predict):
        with pytest.raises(ValueError, match='MultiDataset'):
            call(img, samples)
    samples[2].set_metainfo(dict(dataset_idx=6))
    with pytest.raises(ValueError, match='dataset_idx=6'):
        model.loss(img, samples)


def test_exchanged_names_are_refused(build, img):
    """COCO and AP-10K have as many keypoints: no size would differ."""
    model = build()
    names = list(tools.NAMES)
    first, other = names.index('coco'), names.index('ap10k')
    exchanged = list(names)
    exchanged[first], exchanged[other] = 'ap10k', 'coco'
    for given, fits in ((names, True), (exchanged, False)):
        samples = tools.make_samples(MIXED)
        for sample in samples:
            name = given[sample.dataset_idx]
            sample.set_metainfo(
                dict(dataset_name=name, dataset_names=tuple(given))
            )
        for call in (model.loss, model.eval().predict):
            if fits:
                call(img, samples)
                continue
            with pytest.raises(ValueError, match='write the same') as error:
                call(img, samples)
            assert str(names) in str(error.value)
            assert str(exchanged) in str(error.value)


def test_plain_tensors_are_of_the_chosen_dataset(build, img):
    model = build().eval()
    with torch.no_grad():
        maps = model(img, None, mode='tensor')
        expected = model.head(model.extract_feat(img, (5,) + 5 * (0,)))['coco']
    torch.testing.assert_close(maps, expected)
    model.test_cfg.pop('dataset')
    with pytest.raises(ValueError, match='test_cfg.dataset'):
        model(img, None, mode='tensor')


def test_heads_start_as_mmposes():
    init_default_scope('mmpose')
    model = MODELS.build(tools.make_model_cfg(dim=32, depth=2, num_heads=2))
    model.init_weights()
    for head in model.head.heads.values():
        for name, parameter in head.named_parameters():
            if parameter.ndim > 1:
                assert 5e-4 < parameter.std() < 2e-3, name


def test_plain_backbone_serves_all(img):
    """The multi-task baseline of the paper: heads, but no experts."""
    init_default_scope('mmpose')
    cfg = tools.make_model_cfg(dim=32, depth=2, num_heads=2)
    cfg['backbone'].pop('experts')
    model = MODELS.build(cfg)
    backward(model, img, tools.make_samples(MIXED))
    assert all(p.grad is not None for p in model.parameters())


def test_prepared_model_predicts_the_same(build, img):
    model = build().eval()
    prepared = fuse(model)
    with torch.no_grad():
        results, fast = (
            m.predict(img, tools.make_samples(MIXED))
            for m in (model, prepared)
        )
    for result, other in zip(results, fast, strict=True):
        torch.testing.assert_close(
            torch.tensor(result.pred_instances.keypoint_scores),
            torch.tensor(other.pred_instances.keypoint_scores),
            atol=1e-5,
            rtol=1e-4,
        )


def test_checkpointing_and_mixed_precision(build, img):
    """Neither loses the groups."""
    grads = []
    for with_cp in (False, True):
        torch.manual_seed(0)
        model = build().train()
        model.backbone.with_cp = with_cp
        backward(model, img, tools.make_samples(MIXED))
        grads.append([p.grad for p in model.parameters()])
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b)
    with torch.autocast('cpu', torch.bfloat16):
        losses = backward(model, img, tools.make_samples(MIXED))
    assert all(torch.isfinite(v) for v in losses.values())


def test_only_a_new_expert_and_head_are_trained(build, img):
    model = build().train()
    frozen = freeze(model, trainable=['backbone.experts.5', 'head.wholebody'])
    for module in frozen:
        module.training = False
    before = {n: v.clone() for n, v in model.state_dict().items()}
    samples = tools.make_samples([5] * 5)
    optimizer = torch.optim.SGD(
        [p for p in model.parameters() if p.requires_grad], 0.1
    )
    losses = backward(model, img, samples)
    assert [n for n in losses if 'loss' in n] == ['wholebody/loss_kpt']
    optimizer.step()
    for name, value in model.state_dict().items():
        own = '.experts.5.' in name or '.wholebody.' in name
        assert torch.equal(value, before[name]) != own, name
    with pytest.raises(ValueError, match="'coco'.*frozen"):
        model.loss(img, tools.make_samples([5, 0, 5, 5, 5]))


def test_dense_weights_start_a_model_with_experts():
    dense = ViTPose(ARCH, (64, 48)).eval()
    model = ViTPose(ARCH, (64, 48), experts=dict(num_experts=3)).eval()
    model.load_state_dict(dense.state_dict(), strict=True)
    img = torch.randn(3, 3, 64, 48)
    with torch.no_grad():
        torch.testing.assert_close(model(img, (1, 1, 1)), dense(img))


@pytest.mark.parametrize(
    ('change', 'word'),
    [
        (dict(head=dict(names=['coco'])), 'coco'),
        (dict(head=dict(shared=dict(type='RTMCCHead'))), 'RTMCCHead'),
        (dict(backbone=dict(experts=dict(num_experts=5))), '5 experts'),
        (dict(test_cfg=dict(dataset='dogs')), 'dogs'),
        (dict(test_cfg=dict(datasets=dict(dogs={}))), 'dogs'),
        (
            dict(test_cfg=dict(datasets=dict(aic=dict(flip_test=False)))),
            'flip_test',
        ),
    ],
    ids=str,
)
def test_bad_options_are_named(change, word):
    init_default_scope('mmpose')
    cfg = tools.make_model_cfg(dim=32, depth=2, num_heads=2)
    for part, options in change.items():
        cfg[part].update(options)
    if word == 'RTMCCHead':
        cfg['head']['shared'] = dict(
            type='RTMCCHead',
            in_channels=32,
            input_size=(48, 64),
            in_featuremap_size=(3, 4),
        )
        for options in cfg['head']['heads'].values():
            options.pop('decoder')
    with pytest.raises(ValueError, match=word):
        MODELS.build(cfg)


def test_bad_calls_are_named(img):
    model = ViTPose(ARCH, (64, 48), experts=dict(num_experts=3))
    with pytest.raises(ValueError, match='counts=None for 3 experts'):
        model(img)
    with pytest.raises(ValueError, match='for 5 images'):
        model(img, (1, 1, 0))
    with pytest.raises(ValueError, match='for 0 experts'):
        ViTPose(ARCH, (64, 48))(img, (5,))
