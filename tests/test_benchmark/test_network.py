import pytest
import torch
from mmengine.config import Config

from gtpt_mm.benchmark import ModelChoice, load_network, training_batch

SAMPLE = (
    'configs/body_2d_keypoint/gtpt/sample/gtpt-t_1xb16-14e_sample-96x64.py'
)


def test_network_is_built_without_its_pretrained_weights(tiny_network):
    assert tiny_network.input_size == (32, 64)
    assert not tiny_network.model.training
    images = tiny_network.images(3)
    assert images.shape == (3, 3, 64, 32)
    with torch.no_grad():
        out = tiny_network.model(images, None, mode='tensor')
    assert out.shape == (3, 17, 16, 8)


def test_same_weights_every_time(tiny_config):
    state = torch.get_rng_state()
    first, second = (
        load_network(ModelChoice(tiny_config, 'x')).model.state_dict()
        for _ in range(2)
    )
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert torch.equal(state, torch.get_rng_state())


def test_options_change_the_model(tiny_config):
    choice = ModelChoice(
        tiny_config, 'x', {'model.head.deconv_out_channels': (8, 8, 4)}
    )
    assert load_network(choice).model.head.final_layer.in_channels == 4


def test_input_size_from_codec_or_user(tiny_config):
    cfg = Config.fromfile(tiny_config)
    cfg.pop('test_dataloader')
    cfg.dump(tiny_config)
    choice = ModelChoice(tiny_config, 'x')
    assert load_network(choice).input_size == (32, 64)
    assert load_network(choice, (64, 96)).input_size == (64, 96)
    cfg.pop('codec')
    cfg.model.head.pop('decoder')
    cfg.dump(tiny_config)
    with pytest.raises(ValueError, match='x: .*--input-size W H'):
        load_network(choice)


END_TO_END = 'group-pose_res18_1xb8-20e_sample-coco-96x144'


def test_input_size_of_a_resize_by_the_short_side(repo_root, tmp_path):
    path = next(repo_root.glob(f'configs/**/{END_TO_END}.py'))
    choice = ModelChoice(path, 'poses')
    assert load_network(choice).input_size == (144, 96)
    cfg = Config.fromfile(path)
    for loader in (cfg.test_dataloader, cfg.val_dataloader):
        loader.dataset.pipeline[1].pop('max_long_side')
    cfg.dump(tmp_path / 'endless.py')
    with pytest.raises(ValueError, match='a max_long_side; give a size by'):
        load_network(ModelChoice(tmp_path / 'endless.py', 'poses'))


def test_training_batch_of_an_end_to_end_model(repo_root):
    path = next(repo_root.glob(f'configs/**/{END_TO_END}.py'))
    network = load_network(ModelChoice(path, 'poses'))
    images, samples = training_batch(network, 2)
    assert samples[1].gt_instance_labels.areas.tolist() == [1.0]  # of 144x96
    losses = network.model.train()(images, samples, mode='loss')
    assert losses['loss_oks'] > 0 and losses['enc_loss_keypoint'] > 0


def test_what_cannot_be_built_is_named(tiny_config):
    choice = ModelChoice(tiny_config, 'x', {'model.backbone.depht': 50})
    with pytest.raises(ValueError, match='(?s)x: .*tiny.py.*depht'):
        load_network(choice)


def test_training_batch_of_heatmaps(tiny_network):
    images, samples = training_batch(tiny_network, 2)
    assert images.shape == (2, 3, 64, 32)
    heatmaps = samples[0].gt_fields.heatmaps
    assert heatmaps.shape == (17, 16, 8)
    assert heatmaps.amax((1, 2)).min() > 0.5  # each keypoint is inside
    assert not torch.equal(heatmaps, samples[1].gt_fields.heatmaps)
    losses = tiny_network.model(images, samples, mode='loss')
    assert losses['loss_kpt'] > 0


def test_training_batch_of_simcc_labels(repo_root):
    network = load_network(ModelChoice(repo_root / SAMPLE, 'gtpt'))
    _, samples = training_batch(network, 1)
    labels = samples[0].gt_instance_labels
    assert labels.keypoint_x_labels.shape == (1, 17, 128)
    assert labels.keypoint_weights.sum() > 0


def test_other_targets_are_refused(tiny_network):
    tiny_network.cfg.train_dataloader.dataset.pipeline.pop(1)
    with pytest.raises(ValueError, match='tiny makes its targets by other'):
        training_batch(tiny_network, 1)


def test_training_batch_of_several_datasets(repo_root):
    """As many people of each, with targets of its own keypoints."""
    config = 'td-hm_vitpose-plus-t_1xb32-14e_sample-six-datasets-96x64'
    path = next(repo_root.glob(f'configs/**/{config}.py'))
    network = load_network(ModelChoice(path, 'six'))
    images, samples = training_batch(network, 12)
    assert images.shape[0] == 12
    assert [s.dataset_idx for s in samples] == [*range(6), *range(6)]
    assert [s.dataset_name for s in samples[:2]] == ['coco', 'aic']
    channels = [s.gt_fields.heatmaps.shape[0] for s in samples[:6]]
    assert channels == [17, 14, 16, 17, 17, 133]
    losses = network.model.train()(images, samples, mode='loss')
    assert {name.partition('/')[0] for name in losses} == {
        'coco', 'aic', 'mpii', 'ap10k', 'apt36k', 'wholebody',
    }  # fmt: skip
