"""VitPose of transformers as a peer of ViTPose."""

import pytest
import torch

from gtpt_mm.benchmark import (
    BenchmarkConfig,
    count_operators,
    load_network,
    parse_models,
    run_benchmark,
)
from gtpt_mm.benchmark.huggingface import find_native, load_vitpose

transformers = pytest.importorskip(
    'transformers', reason='transformers is not installed'
)


@pytest.mark.parametrize(
    'name, parameters, gmacs',
    [
        ('hf:vitpose-base', 90.0, 18.5),
        ('hf:usyd-community/vitpose-base-simple', 85.9, 17.5),
        # All six experts run on every image.
        ('hf:vitpose-plus-base', 125.4, 25.3),
    ],
)
def test_sizes(name, parameters, gmacs):
    with torch.device('meta'):
        model, has_weights = load_vitpose(name, (256, 192))
        image = torch.empty(1, 3, 256, 192)
    assert not has_weights
    total = sum(p.numel() for p in model.parameters()) / 1e6
    assert round(total, 1) == parameters
    with torch.no_grad():
        counted = count_operators(lambda: model.eval()(image)) / 1e9
    assert round(counted, 1) == gmacs


@pytest.mark.parametrize(
    'name, native',
    [
        ('hf:vitpose-base', 'vitpose-b'),
        ('hf:usyd-community/vitpose-base-simple', 'vitpose-b-simple'),
        ('hf:usyd-community/vitpose-base-coco-aic-mpii', 'vitpose-b'),
        ('hf:vitpose-plus-huge', 'vitpose-h'),
    ],
)
def test_pipeline_and_decoder_are_of_our_model(name, native):
    assert find_native(name) == native


def test_unknown_name():
    with pytest.raises(ValueError, match='hf:vitpose-tiny is neither'):
        parse_models(['hf:vitpose-tiny'])


@pytest.fixture
def folder(tmp_path):
    """A tiny model as transformers saves it."""
    backbone = transformers.VitPoseBackboneConfig(
        image_size=[64, 48], hidden_size=32, num_hidden_layers=1,
        num_attention_heads=2, out_indices=[1],
    )  # fmt: skip
    config = transformers.VitPoseConfig(
        backbone_config=backbone, num_labels=17
    )
    torch.manual_seed(0)
    model = transformers.VitPoseForPoseEstimation(config).eval()
    model.save_pretrained(tmp_path / 'mine')
    return tmp_path / 'mine', model


def test_a_folder_has_weights_and_runs_exported(folder):
    path, model = folder
    [choice] = parse_models([f'hf:{path}', 'label=mine'])
    network = load_network(choice, (48, 64))
    assert network.has_weights
    images = network.images(2)
    with torch.no_grad():
        torch.testing.assert_close(
            network.model(images), model(images).heatmaps
        )
    rows = run_benchmark(
        [network],
        BenchmarkConfig(
            runtimes=('torch', 'onnxruntime'),
            batch_sizes=(1, 2),
            train_batch_sizes=(1,),
            threads=1,
            repeats=1,
            warmup=0,
        ),
    ).timings
    *inference, training = sorted(rows, key=lambda r: r.case.task)
    assert [r.error for r in inference] == [None] * 4
    assert 'has no training' in training.error
