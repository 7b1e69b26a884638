"""Folders for transformers, loaded by transformers itself."""

import json

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import KEYPOINT_CODECS, MODELS
from support.tiny_vitpose import CONFIG, make_huggingface

from gtpt_mm.apis import Predictor
from gtpt_mm.cli import main
from gtpt_mm.compat.data.metainfo import parse_metainfo
from gtpt_mm.config_folder import find_configs
from gtpt_mm.convert import (
    add_dataset,
    convert_vitpose,
    hand_back,
    read_names,
    read_saved_config,
    split_state_dict,
)

SIMPLE = """
model = dict(
    neck=dict(type='FeatureMapProcessor', scale_factor=4.0, apply_relu=True),
    head=dict(
        deconv_out_channels=[], deconv_kernel_sizes=[],
        final_layer=dict(kernel_size=3, padding=1)))
"""
FILES = {'config.json', 'preprocessor_config.json', 'model.safetensors',
         'README.md'}  # fmt: skip


@pytest.fixture(scope='module')
def transformers():
    return pytest.importorskip('transformers')


@pytest.fixture
def run(tmp_path, capsys):
    """Run ``gtpt-mm convert ... --to huggingface`` in a folder."""

    def run(*args: str, code: int = 0) -> str:
        paths = [str(tmp_path / name) for name in args[:2]]
        returned = main(
            ['convert', *paths, '--to', 'huggingface', *map(str, args[2:])]
        )
        out, err = capsys.readouterr()
        assert returned == code, out + err
        return out + err

    return run


def read_config(path, more: str = '') -> Config:
    path.write_text(CONFIG.format(configs=find_configs()))
    child = path.with_name('child.py')
    child.write_text(f"_base_ = './{path.name}'\n{more}")
    return Config.fromfile(child)


def build(cfg: Config, seed: int = 0) -> torch.nn.Module:
    """Return a model whose heatmaps are not near zero."""
    init_default_scope('mmpose')
    torch.manual_seed(seed)
    model = MODELS.build(cfg.model).eval()
    with torch.no_grad():
        for value in model.parameters():
            value.add_(torch.randn_like(value) * 0.05)
    return model


def save(model, cfg: Config, path) -> None:
    """Write a checkpoint as mmengine does at the end of an epoch."""
    info = parse_metainfo('configs/_base_/datasets/coco.py')
    meta = dict(dataset_meta=info, cfg=cfg.pretty_text)
    torch.save(dict(meta=meta, state_dict=model.state_dict()), path)


def forward(model, img: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model(img, None, mode='tensor')


@pytest.mark.parametrize('decoder', ['classic', 'simple'])
def test_transformers_loads_equal_heatmaps(
    decoder, run, transformers, tmp_path
):
    cfg = read_config(tmp_path / 'a.py', SIMPLE if decoder == 'simple' else '')
    model = build(cfg)
    save(model, cfg, tmp_path / 'my.pth')
    printed = run('my.pth', 'out')
    out = tmp_path / 'out'
    assert {path.name for path in out.iterdir()} == FILES
    assert '17 keypoints, input 96x64' in printed
    assert 'without' in printed  # of its flip test
    img = torch.randn(2, 3, 96, 64)
    expected = forward(model, img)
    assert expected.std() > 0.05
    for kind in ('VitPoseForPoseEstimation', 'AutoModelForPoseEstimation'):
        theirs, info = getattr(transformers, kind).from_pretrained(
            out, output_loading_info=True
        )
        assert not any(info.values()), info
        with torch.no_grad():
            heatmaps = theirs.eval()(img).heatmaps
        torch.testing.assert_close(heatmaps, expected, atol=2e-5, rtol=1e-5)
    names = read_names('coco')
    assert theirs.config.id2label == dict(enumerate(names))
    assert theirs.config.label2id['nose'] == 0
    assert [0, 1] in theirs.config.edges or [1, 0] in theirs.config.edges
    for kind in ('AutoImageProcessor', 'AutoProcessor'):
        processor = getattr(transformers, kind).from_pretrained(out)
        assert type(processor).__name__.startswith('VitPoseImageProcessor')
        assert dict(processor.size) == dict(height=96, width=64)


def test_card_runs(run, transformers, tmp_path, monkeypatch, capsys):
    """The lines of the model card print the names of the keypoints."""
    from PIL import Image

    cfg = read_config(tmp_path / 'a.py')
    save(build(cfg), cfg, tmp_path / 'my.pth')
    run('my.pth', 'out')
    Image.new('RGB', (80, 90), 'gray').save(tmp_path / 'picture.jpg')
    card = (tmp_path / 'out/README.md').read_text()
    assert card.startswith('---\nlibrary_name: transformers\n')
    code = card.partition('```python\n')[2].partition('```')[0]
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    assert 'right_ankle [' in capsys.readouterr().out


def test_plus_with_one_more_expert(run, transformers, tmp_path):
    """All experts, and the head of the dataset that was added."""
    from support.vitpose_plus import make_model_cfg

    init_default_scope('mmpose')
    torch.manual_seed(0)
    model = MODELS.build(make_model_cfg(filters=(256, 256)))
    weights = add_dataset(model.state_dict(), 'dogs', 'ap10k')
    last = 'head.heads.dogs.final_layer'
    weights[f'{last}.weight'] = torch.randn(5, 256, 1, 1)
    weights[f'{last}.bias'] = torch.randn(5)
    names = ['nose', 'left_ear', 'right_ear', 'neck', 'tail']
    info = dict(
        keypoint_id2name=dict(enumerate(names)), skeleton_links=[(0, 3)]
    )
    text = (
        "model = dict(backbone=dict(type='ViTPose', img_size=(64, 48), "
        'arch=dict(embed_dims=48, depth=3, num_heads=4)))'
    )
    meta = dict(dataset_meta=dict(datasets=dict(dogs=info)), cfg=text)
    torch.save(dict(meta=meta, state_dict=weights), tmp_path / 'my.pth')
    printed = run('my.pth', 'out')
    assert 'head of dogs: predict with dataset_index=6' in printed
    theirs = transformers.AutoModelForPoseEstimation.from_pretrained(
        tmp_path / 'out'
    ).eval()
    config = theirs.config
    assert config.dataset == dict(name='dogs', index=6)
    assert config.backbone_config.num_experts == 7
    assert config.id2label == dict(enumerate(names))
    assert config.edges == [[0, 3]]
    head = dict(
        type='HeatmapHead',
        in_channels=48,
        out_channels=5,
        deconv_out_channels=(256, 256),
        deconv_kernel_sizes=(4, 4),
    )
    backbone = dict(read_saved_config(meta)['model']['backbone'])
    plain = MODELS.build(
        dict(type='TopdownPoseEstimator', backbone=backbone, head=head)
    ).eval()
    plain.load_state_dict(split_state_dict(weights, 'dogs'))
    img = torch.randn(2, 3, 64, 48)
    expected = forward(plain, img)
    for index, is_equal in ((6, True), (0, False)):
        with torch.no_grad():
            heatmaps = theirs(
                img, dataset_index=torch.full((2,), index)
            ).heatmaps
        assert torch.allclose(heatmaps, expected, atol=2e-5) == is_equal
    card = (tmp_path / 'out/README.md').read_text()
    assert 'torch.full((len(boxes[0]),), 6)' in card

    printed = run('my.pth', 'mpii', '--head', 'mpii')
    assert 'mpii, taken for released weights' in printed
    config = json.loads((tmp_path / 'mpii/config.json').read_text())
    assert config['dataset'] == dict(name='mpii', index=2)
    assert list(config['id2label'].values()) == read_names('mpii')
    printed = run('my.pth', 'plain', '--dataset', 'dogs')
    config = json.loads((tmp_path / 'plain/config.json').read_text())
    assert 'dataset' not in config
    assert 'num_experts' not in config['backbone_config']
    assert "no head of 'cats'" in run(
        'my.pth', 'cats', '--head', 'cats', code=2
    )


# ----------------------------------------------------------------- keypoints


def draw_maps(points: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
    """Return Gaussians (K, h, w) of sigma 2 at points in pixels of the map."""
    h, w = size
    x, y = np.arange(w), np.arange(h)[:, None]
    maps = [
        np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * 2.0**2))
        for px, py in points
    ]
    return torch.tensor(np.stack(maps), dtype=torch.float32)


def test_keypoints_of_equal_heatmaps(run, transformers, tmp_path):
    """Crop, decoding and the way back to the image: a thousandth apart."""
    cfg = read_config(
        tmp_path / 'a.py',
        "codec = dict(type='UDPHeatmap', input_size=(64, 96), "
        'heatmap_size=(16, 24), sigma=2)\n'
        'model = dict(head=dict(decoder=codec))',
    )
    model = build(cfg)
    save(model, cfg, tmp_path / 'my.pth')
    run('my.pth', 'out')
    rng = np.random.default_rng(0)
    points = rng.uniform((4, 4), (11, 19), (17, 2))
    maps = draw_maps(points, (24, 16))
    image = rng.integers(0, 256, (120, 100, 3), dtype=np.uint8)
    image = cv2.GaussianBlur(image, (0, 0), 3)
    x, y, w, h = box = (11.0, 7.0, 50.0, 90.0)

    processor = transformers.AutoImageProcessor.from_pretrained(
        tmp_path / 'out'
    )
    inputs = processor(image, boxes=[[box]], return_tensors='pt')
    theirs = transformers.VitPoseForPoseEstimation.from_pretrained(
        tmp_path / 'out'
    )
    outputs = theirs(**inputs)
    outputs.heatmaps = maps[None]
    [[pose]] = processor.post_process_pose_estimation(outputs, boxes=[[box]])

    model.cfg, model.dataset_meta = (
        cfg,
        parse_metainfo('configs/_base_/datasets/coco.py'),
    )
    predict = Predictor(model, device='cpu', flip_test=False)
    engine_model = predict.build().model
    crops = []

    def forward_maps(feats):
        return maps[None]

    engine_model.head.forward = forward_maps
    engine_model.backbone.register_forward_pre_hook(
        lambda module, inputs: crops.append(inputs[0])
    )
    found = predict(
        dict(images=[image[..., ::-1]], boxes=[[[x, y, x + w, y + h]]])
    )
    # Boxes become 2 : 3 and a quarter larger.
    size = np.array((h * 2 / 3, h)) * 1.25
    corner = np.array((x + w / 2, y + h / 2)) - size / 2
    expected = corner + points * size / (np.array((16, 24)) - 1)
    pixel = size[0] / 16  # of the heatmap, in pixels of the image
    own, foreign = found['keypoints'][0], pose['keypoints'].numpy()
    assert np.abs(own - expected).max() < 0.05 * pixel
    assert np.abs(foreign - expected).max() < 0.05 * pixel
    assert np.abs(own - foreign).max() < 0.001 * pixel
    np.testing.assert_allclose(
        found['scores'][0], pose['scores'].numpy(), atol=1e-6
    )
    # The crops, too, but for the border: OpenCV's and scipy's.
    own_crop, their_crop = (
        x[0, :, 4:-4, 4:-4] for x in (crops[0], inputs['pixel_values'])
    )
    assert their_crop.std() > 0.1
    assert (own_crop - their_crop).abs().max() < 0.05


def test_other_codecs_differ_by_a_part_of_a_pixel(transformers):
    """MSRA's heatmaps: the note of the command is true."""
    rng = np.random.default_rng(0)
    points = rng.uniform(8, 40, (17, 2))
    maps = draw_maps(points, (64, 48)).numpy()
    codec = KEYPOINT_CODECS.build(
        dict(
            type='MSRAHeatmap',
            input_size=(192, 256),
            heatmap_size=(48, 64),
            sigma=2,
        )
    )
    own = codec.decode(maps)[0][0] / 4
    center, scale = np.array([[96, 128]]), np.array([[192, 256]]) / 200
    processor = transformers.VitPoseImageProcessor()
    foreign, _ = processor.keypoints_from_heatmaps(maps[None], center, scale)
    difference = np.abs(own - foreign[0] / 4).max()
    assert 0.05 < difference < 1.5


# ------------------------------------------------------------------- refusals


def weights_of(cfg: Config) -> dict:
    return build(cfg).state_dict()


@pytest.mark.parametrize(
    ('more', 'words'),
    [
        ('model = dict(backbone=dict(attention=dict(window_size=(3, 2))))',
         'no ViTPose with attention='),
        ('model = dict(backbone=dict(patch_padding=0))', 'patch_padding=0'),
        ('model = dict(backbone=dict(mlp_ratio=2.5))', 'whole number'),
        ("model = dict(head=dict(type='PixelShuffleHead', "
         'deconv_out_channels=None))', 'PixelShuffleHead|neither'),
        ('model = dict(head=dict(deconv_out_channels=(32, 32)))',
         '32 filters.*256'),
        ('model = dict(data_preprocessor=dict(bgr_to_rgb=False))', 'BGR'),
        ('model = dict(backbone=dict(img_size=(96, 56)))',
         '96 x 56.*multiples of 16'),
        ('model = dict(backbone=dict(img_size=(64, 96)))', None),
    ],
)  # fmt: skip
def test_models_that_transformers_lacks(more, words, tmp_path):
    if 'PixelShuffle' in more:
        more = more.replace(
            'deconv_out_channels=None',
            ('_delete_=True, in_channels=48, out_channels=17'),
        )
    cfg = read_config(tmp_path / 'a.py', more)
    names = read_names('coco')
    if words is None:  # the same number of positions: only the config tells
        made = hand_back(weights_of(cfg), names, cfg)
        assert made.config['backbone_config']['image_size'] == [64, 96]
        return
    with pytest.raises(ValueError, match=words):
        hand_back(weights_of(cfg), names, cfg)


def test_config_and_weights_must_agree(tmp_path):
    cfg = read_config(tmp_path / 'a.py')
    weights, names = weights_of(cfg), read_names('coco')
    with pytest.raises(ValueError, match='17 keypoints.*names are 2: a, b'):
        hand_back(weights, ['a', 'b'], cfg)
    with pytest.raises(ValueError, match='48 channels.*--config'):
        hand_back(
            weights, names, dict(model=dict(backbone=dict(img_size=(96, 64))))
        )
    with pytest.raises(ValueError, match='24 positions.*--config'):
        hand_back(weights, names)
    other = read_config(
        tmp_path / 'b.py', 'model = dict(backbone=dict(img_size=(96, 96)))'
    )
    with pytest.raises(ValueError, match='96 x 96.*24 positions'):
        hand_back(weights, names, other)
    with pytest.raises(ValueError, match="head='coco'"):
        hand_back(weights, names, cfg, head='coco')
    made = hand_back(weights, names, cfg)
    assert not made.notes[1:] and 'flip_test' in made.notes[0]
    codec = (
        "codec = dict(type='MSRAHeatmap', input_size=(64, 96), "
        'heatmap_size=(16, 24), sigma=2)\n'
        'model = dict(head=dict(decoder=codec), test_cfg=dict(flip_test=0))\n'
        'test_dataloader = dict(dataset=dict(pipeline=[dict('
        "type='GetBBoxCenterScale', padding=1.5)]))"
    )
    made = hand_back(weights, names, read_config(tmp_path / 'c.py', codec))
    assert 'Trained with MSRAHeatmap' in made.notes[0]
    assert 'by 1.2 around' in made.notes[1]


def test_command_refuses(run, tmp_path):
    cfg = read_config(tmp_path / 'a.py')
    model = build(cfg)
    torch.save(model.state_dict(), tmp_path / 'bare.pth')
    assert '24 positions' in run('bare.pth', 'out', code=2)
    printed = run('bare.pth', 'out', '--config', tmp_path / 'child.py')
    assert 'names of the keypoints: the config' in printed
    assert 'not empty' in run('bare.pth', 'out', code=2)
    run(
        'bare.pth', 'out', '--config', tmp_path / 'child.py', '--overwrite'
    )  # fmt: skip
    wide = {k: v for k, v in model.state_dict().items()}
    wide['head.final_layer.weight'] = torch.randn(9, 256, 1, 1)
    wide['head.final_layer.bias'] = torch.randn(9)
    torch.save(wide, tmp_path / 'nine.pth')
    assert 'does not name its keypoints' in run('nine.pth', 'new', code=2)
    assert not (tmp_path / 'new').exists()
    assert '--config has an effect on a folder' in run(
        'bare.pth', 'model.safetensors', '--config', 'x.py', code=2
    )
    run('bare.pth', 'model.safetensors')
    assert (tmp_path / 'model.safetensors').is_file()


def test_released_weights_need_no_config():
    """The size, hence the attention heads, and COCO's names are known."""
    init_default_scope('mmpose')
    cfg = Config.fromfile(
        find_configs() / 'body_2d_keypoint/vitpose/coco/'
        'td-hm_vitpose-s_8xb64-210e_coco-256x192.py'
    )
    made = hand_back(MODELS.build(cfg.model).state_dict(), read_names('coco'))
    backbone = made.config['backbone_config']
    assert backbone['num_attention_heads'] == 12
    assert backbone['image_size'] == [256, 192]


def test_plus_of_transformers_returns(run, transformers, tmp_path):
    """Six experts and the head of COCO, as the Hub has them."""
    theirs = make_huggingface(plus=True)
    theirs.save_pretrained(tmp_path / 'theirs')
    native = convert_vitpose(theirs.state_dict()).state_dict
    text = (
        "model = dict(backbone=dict(type='ViTPose', img_size=(96, 64), "
        'arch=dict(embed_dims=48, depth=2, num_heads=4)))'
    )
    torch.save(
        dict(meta=dict(cfg=text), state_dict=native), tmp_path / 'my.pth'
    )
    printed = run('my.pth', 'out')
    assert 'coco, taken for released weights' in printed
    again = transformers.VitPoseForPoseEstimation.from_pretrained(
        tmp_path / 'out'
    ).eval()
    img, index = torch.randn(2, 3, 96, 64), torch.tensor([0, 3])
    with torch.no_grad():
        torch.testing.assert_close(
            again(img, dataset_index=index).heatmaps,
            theirs(img, dataset_index=index).heatmaps,
            atol=2e-5,
            rtol=1e-5,
        )
