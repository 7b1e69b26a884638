"""Both phases of the distillation, against what they should compute."""

import copy

import pytest
import torch
from mmengine.runner.checkpoint import load_checkpoint
from mmengine.structures import InstanceData, PixelData
from mmpose.models import TopdownPoseEstimator
from mmpose.structures import PoseDataSample

from gtpt_mm.engine import BackboneLayerDecayOptimWrapperConstructor
from gtpt_mm.engine.hooks.freeze import freeze
from gtpt_mm.models import (
    KnowledgeTokenDistiller,
    ViTPose,
    ViTPoseDistiller,
)
from gtpt_mm.models.distillers import save_knowledge_token

TOKEN = 'backbone.knowledge.token'


def parts(embed_dims: int, **backbone) -> dict:
    """A small ViTPose for 3 keypoints, and its classic decoder."""
    return dict(
        backbone=dict(
            type='ViTPose',
            arch=dict(embed_dims=embed_dims, depth=2, num_heads=2),
            img_size=(64, 48),
            drop_path_rate=0.5,
            **backbone,
        ),
        head=dict(
            type='HeatmapHead',
            in_channels=embed_dims,
            out_channels=3,
            deconv_out_channels=(8, 8),
            deconv_kernel_sizes=(4, 4),
            loss=dict(type='KeypointMSELoss', use_target_weight=True),
        ),
    )


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """A teacher's checkpoint, and that of phase 1 with a known token."""
    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp('distillation')
    teacher = TopdownPoseEstimator(**parts(32))
    for module in teacher.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            torch.nn.init.normal_(module.weight, std=0.3)
    state_dict = teacher.state_dict()
    torch.save({'state_dict': state_dict}, folder / 'teacher.pth')
    state_dict = dict(state_dict, **{TOKEN: torch.randn(1, 1, 32)})
    torch.save({'state_dict': state_dict}, folder / 'phase1.pth')
    return folder


def build_teacher(files) -> KnowledgeTokenDistiller:
    model = KnowledgeTokenDistiller(
        **parts(32, knowledge_dims=32),
        train_cfg=dict(teacher_checkpoint=str(files / 'teacher.pth')),
    )
    model.init_weights()
    frozen = freeze(model.train(), trainable=['backbone.knowledge'])
    for module in frozen:  # as FreezeHook does
        module.training = False
    return model


def build_student(files, embed_dims=16, **options) -> ViTPoseDistiller:
    token = dict(knowledge_dims=32) if 'token_checkpoint' in options else {}
    model = ViTPoseDistiller(**parts(embed_dims, **token), train_cfg=options)
    model.init_weights()
    if token:
        freeze(model, ['backbone.knowledge.token'])
    return model.train()


def both(files) -> dict:
    return dict(
        token_checkpoint=str(files / 'phase1.pth'),
        teacher_checkpoint=str(files / 'phase1.pth'),
        teacher=dict(type='TopdownPoseEstimator', **parts(32)),
    )


@pytest.fixture
def batch():
    """Two images with random targets; one keypoint is not annotated."""
    samples = []
    for weights in ([1.0, 1.0, 0.0], [1.0, 1.0, 1.0]):
        sample = PoseDataSample()
        sample.gt_fields = PixelData(heatmaps=torch.rand(3, 16, 12))
        sample.gt_instance_labels = InstanceData(
            keypoint_weights=torch.tensor([weights])
        )
        samples.append(sample)
    return torch.randn(2, 3, 64, 48), samples


def total(losses: dict) -> torch.Tensor:
    return sum(v for name, v in losses.items() if 'loss' in name)


@pytest.mark.parametrize('token_dims', [32, 48])
def test_token_goes_through_all_layers_and_is_cut_off(token_dims, batch):
    """Without a position, behind the image tokens, with or without a map."""
    backbone = ViTPose(
        dict(embed_dims=32, depth=2, num_heads=2),
        (64, 48),
        knowledge_dims=token_dims,
    ).eval()
    x, grid = backbone.patch_embed(batch[0])
    x = x + backbone.pos_embed
    token = backbone.knowledge.token
    if token_dims != 32:
        token = token @ backbone.knowledge.map.weight.T
    x = torch.cat((x, token.expand(2, 1, 32)), 1)
    for layer in backbone.layers:
        q, k, v = layer.attn.qkv(layer.norm1(x)).chunk(3, 2)
        q, k, v = (
            part.unflatten(2, (2, 16)).transpose(1, 2) for part in (q, k, v)
        )
        weights = (q @ k.transpose(2, 3) / 4).softmax(-1)
        x = x + layer.attn.proj((weights @ v).transpose(1, 2).flatten(2))
        x = x + layer.mlp(layer.norm2(x))
    expected = backbone.last_norm(x)[:, :-1].mT.unflatten(2, grid)
    [out] = backbone(batch[0])
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)


def test_phase_1_trains_the_token_alone(files, batch):
    model = build_teacher(files)
    before = copy.deepcopy(model.state_dict())
    assert not any(layer.training for layer in model.backbone.layers)
    assert not model.head.training
    optimizer = BackboneLayerDecayOptimWrapperConstructor(
        dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=0.01)),
        dict(layer_decay_rate=0.5),
    )(model)
    [group] = optimizer.param_groups
    assert group['param_names'] == [TOKEN]
    assert (group['lr'], group['weight_decay']) == (0.01, 0.0)
    for _ in range(3):
        optimizer.update_params(total(model(*batch, mode='loss')))
    total(model(*batch, mode='loss')).backward()
    grads = {n for n, p in model.named_parameters() if p.grad is not None}
    assert grads == {TOKEN}
    after = model.state_dict()
    changed = {n for n in after if not torch.equal(before[n], after[n])}
    assert changed == {TOKEN}


def test_phase_1_starts_from_the_teacher(files):
    model = build_teacher(files)
    stored = torch.load(files / 'teacher.pth')['state_dict']
    for name, value in stored.items():
        torch.testing.assert_close(model.state_dict()[name], value)


def test_phase_2_trains_all_but_token_and_teacher(files, batch):
    model = build_student(files, **both(files))
    model.backbone.layers.eval()  # no dropped paths: all have gradients
    [teacher] = model._teacher
    before = copy.deepcopy(teacher.state_dict())
    total(model(*batch, mode='loss')).backward()
    without = {n for n, p in model.named_parameters() if p.grad is None}
    assert without == {TOKEN}
    assert model.backbone.knowledge.map.weight.grad.abs().max() > 0
    assert not any(p.requires_grad for p in teacher.parameters())
    assert not any(module.training for module in teacher.modules())
    for name, value in teacher.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_losses_of_a_case_solved_by_hand(files, batch):
    """Heatmaps that are constant: student 0.25, teacher 0.75, target 1."""
    model = build_student(files, **both(files))
    for head, value in ((model.head, 0.25), (model._teacher[0].head, 0.75)):
        head.final_layer.weight.data.zero_()
        head.final_layer.bias.data.fill_(value)
    inputs, samples = batch
    for sample in samples:
        sample.gt_fields.heatmaps.fill_(1.0)
    losses = model(inputs, samples, mode='loss')
    # Five of six keypoints are annotated; the teacher knows all six.
    assert losses['loss_kpt'].item() == pytest.approx(0.75**2 * 5 / 6)
    assert losses['loss_output'].item() == pytest.approx(0.5**2)
    loss, _ = model.parse_losses(losses)
    assert loss.item() == pytest.approx(0.75**2 * 5 / 6 + 0.5**2)


def test_terms_are_those_of_two_separate_models(files, batch):
    """Drop path off, the loss is mmpose's, and the mean square of both."""
    model = build_student(files, **both(files)).eval()
    losses = model(*batch, mode='loss')
    plain = TopdownPoseEstimator(**parts(16, knowledge_dims=32)).eval()
    plain.load_state_dict(model.state_dict())
    expected = plain(*batch, mode='loss')
    torch.testing.assert_close(losses['loss_kpt'], expected['loss_kpt'])
    torch.testing.assert_close(
        losses['acc_pose'], expected['acc_pose'].float(), check_dtype=False
    )
    teacher = TopdownPoseEstimator(**parts(32)).eval()
    load_checkpoint(teacher, str(files / 'teacher.pth'), strict=True)
    square = (plain._forward(batch[0]) - teacher._forward(batch[0])) ** 2
    torch.testing.assert_close(losses['loss_output'], square.mean())


def test_mixed_precision(files, batch):
    """bf16, of which numpy, that measures the accuracy, has none."""
    model = build_student(files, **both(files))
    with torch.autocast('cpu', torch.bfloat16):
        losses = model(*batch, mode='loss')
    assert all(torch.isfinite(value) for value in losses.values())
    assert 0 <= losses['acc_pose'] <= 1
    total(losses).backward()


def train(model, batch, lr: float) -> list[float]:
    """Return the losses of 40 steps on one batch."""
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr, weight_decay=0)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = total(model(*batch, mode='loss'))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_phase_1_learns(files, batch):
    """Targets are what the teacher says with another token."""
    inputs, samples = batch
    model = build_teacher(files)
    start = model.backbone.knowledge.token.detach().clone()
    model.backbone.knowledge.token.data.normal_()
    with torch.no_grad():
        targets = model._forward(inputs)
    model.backbone.knowledge.token.data.copy_(start)
    for sample, target in zip(samples, targets, strict=True):
        sample.gt_fields.heatmaps = target
    losses = train(model, (inputs, samples), 0.1)
    assert losses[-1] < 0.6 * losses[0]


def test_phase_2_learns(files, batch):
    losses = train(build_student(files, **both(files)), batch, 0.01)
    assert losses[-1] < 0.6 * losses[0]


def test_student_is_a_plain_checkpoint_with_its_token(files, batch, tmp_path):
    model = build_student(files, **both(files)).eval()
    path = str(tmp_path / 'student.pth')
    torch.save({'state_dict': model.state_dict()}, path)
    plain = TopdownPoseEstimator(**parts(16, knowledge_dims=32)).eval()
    load_checkpoint(plain, path, strict=True)
    given = torch.load(files / 'phase1.pth')['state_dict'][TOKEN]
    assert torch.equal(plain.backbone.knowledge.token, given)
    torch.testing.assert_close(
        plain._forward(batch[0]), model._forward(batch[0])
    )


def test_token_file(files, tmp_path):
    """A file of the token alone does as well, and is small."""
    path = tmp_path / 'token.pth'
    save_knowledge_token(str(files / 'phase1.pth'), str(path))
    assert path.stat().st_size < 4096
    model = build_student(files, token_checkpoint=str(path))
    given = torch.load(files / 'phase1.pth')['state_dict'][TOKEN]
    assert torch.equal(model.backbone.knowledge.token, given)


def test_equal_widths_need_no_map(files):
    model = build_student(
        files, 32, token_checkpoint=str(files / 'phase1.pth')
    )
    assert not list(model.backbone.knowledge.map.parameters())


def test_bad_options_are_named(files, tmp_path, batch):
    token = str(files / 'phase1.pth')
    with pytest.raises(ValueError, match='knowledge_dims=32'):
        KnowledgeTokenDistiller(
            **parts(32), train_cfg=dict(teacher_checkpoint=token)
        ).init_weights()
    with pytest.raises(ValueError, match='token_checkpoint=None'):
        ViTPoseDistiller(**parts(16, knowledge_dims=32)).init_weights()
    with pytest.raises(ValueError, match='teacher=None.*phase1'):
        build_student(files, teacher_checkpoint=token)
    teacher = dict(type='TopdownPoseEstimator', **parts(32))
    with pytest.raises(ValueError, match='teacher_checkpoint'):
        build_student(files, teacher=teacher)
    with pytest.raises(ValueError, match=r'has no backbone\.knowledge'):
        build_student(files, token_checkpoint=str(files / 'teacher.pth'))
    with pytest.raises(ValueError, match='32 channels'):
        ViTPoseDistiller(
            **parts(16, knowledge_dims=64),
            train_cfg=dict(token_checkpoint=token),
        ).init_weights()
    with pytest.raises(ValueError, match=r'has no backbone\.knowledge'):
        save_knowledge_token(str(files / 'teacher.pth'), str(tmp_path / 't'))
    with pytest.raises(ValueError, match='window'):
        ViTPose(attention=dict(window_size=(4, 3)), knowledge_dims=32)
    model = build_teacher(files).requires_grad_(True)
    with pytest.raises(ValueError, match=r'FreezeHook.*backbone\.knowledge'):
        model(*batch, mode='loss')
    model = build_student(files, **both(files))
    model.backbone.knowledge.token.requires_grad_(True)
    with pytest.raises(ValueError, match=r'FreezeHook.*knowledge\.token'):
        model(*batch, mode='loss')
    model = build_student(files, **both(files))
    model._teacher[0].head.deconv_layers = torch.nn.Conv2d(32, 8, 1)
    with pytest.raises(ValueError, match=r'\(3, 4, 3\)'):
        model(*batch, mode='loss')
