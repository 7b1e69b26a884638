"""GTPT trains in fp16 and bf16; the authors' code gives NaN in fp16."""

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS, MODELS

NUM_STEPS, BATCH = 2, 2
NAMES = [pytest.param('body-t', marks=pytest.mark.slow), 'wholebody-t']
DTYPES = [torch.bfloat16, torch.float16]


@pytest.fixture(scope='module', params=NAMES)
def task(request, small_config):
    """A task's config and the batches of the first steps."""
    cfg = small_config(request.param)
    init_default_scope(cfg.default_scope)
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    np.random.seed(0)
    batches = [
        pseudo_collate([dataset[BATCH * step + i] for i in range(BATCH)])
        for step in range(NUM_STEPS)
    ]
    return cfg, batches


def build(cfg, device='cpu'):
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    return model.to(device)


def train(cfg, batches, dtype, enabled=True):
    """Train as mmengine's AmpOptimWrapper does, on CPU.

    Returns:
        The model, its losses, and the gradient norms of the first step.
    """
    model = build(cfg).train()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    scaler = torch.amp.GradScaler(
        'cpu', enabled=enabled and dtype == torch.float16
    )
    losses, norms = [], {}
    for batch in batches:
        with torch.autocast('cpu', dtype, enabled=enabled):
            inputs = model.data_preprocessor(batch, training=True)
            loss, _ = model.parse_losses(model(**inputs, mode='loss'))
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        for name, parameter in model.named_parameters():
            norm = parameter.grad.norm().item()
            assert np.isfinite(norm), name
            norms.setdefault(name, norm)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        losses.append(loss.item())
    return model, losses, norms


@pytest.fixture(scope='module')
def full_precision(task):
    return train(*task, torch.bfloat16, enabled=False)


@pytest.mark.parametrize('dtype', DTYPES, ids=str)
def test_losses_follow_those_of_full_precision(task, full_precision, dtype):
    _, expected, expected_norms = full_precision
    model, losses, norms = train(*task, dtype)
    np.testing.assert_allclose(losses, expected, rtol=0.02)
    total, expected_total = (
        np.linalg.norm(list(n.values())) for n in (norms, expected_norms)
    )
    assert abs(total / expected_total - 1) < 0.15
    for name, value in model.state_dict().items():
        assert value.isfinite().all(), name


@pytest.mark.parametrize('dtype', DTYPES, ids=str)
def test_predictions_are_finite(task, full_precision, dtype):
    _, batches = task
    model = full_precision[0].eval()
    with torch.no_grad(), torch.autocast('cpu', dtype):
        inputs = model.data_preprocessor(batches[0])
        tokens = model.extract_feat(inputs['inputs'])
        logits = model.head(tokens)
        people = model.predict(**inputs)
    assert all(axis.dtype == dtype for axis in logits)
    assert all(axis.isfinite().all() for axis in logits)
    for person in people:
        scores = person.pred_instances.keypoint_scores
        assert ((scores > 0) & (scores <= 1)).all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
@pytest.mark.parametrize('dtype', ['bfloat16', 'float16'])
def test_amp_optim_wrapper_on_a_gpu(task, full_precision, dtype):
    """The config option that a user sets."""
    from mmengine.optim import build_optim_wrapper

    cfg, batches = task
    model = build(cfg, 'cuda').train()
    wrapper = build_optim_wrapper(
        model,
        dict(cfg.optim_wrapper, type='AmpOptimWrapper', dtype=dtype),
    )
    losses = [
        float(model.train_step(batch, wrapper)['loss']) for batch in batches
    ]
    np.testing.assert_allclose(losses, full_precision[1], rtol=0.02)
    for name, value in model.state_dict().items():
        assert value.isfinite().all(), name
