import pytest
import torch
import torch.nn.functional as F
from mmengine.model import revert_sync_batchnorm
from torch import nn

from gtpt_mm.benchmark import count_modules, count_operators
from gtpt_mm.layers.shuffle_stem import ShuffleStem, ShuffleUNetStem


def count(model, *inputs):
    def call():
        with torch.no_grad():
            model(*inputs)

    model.eval()
    return count_modules(model, call), count_operators(call)


def test_convolutions():
    x = torch.rand(2, 8, 6, 5)
    conv = nn.Conv2d(8, 12, (3, 1), stride=2, groups=4)  # 2 x 3 outputs
    macs = 2 * 12 * (2 * 3) * (8 // 4) * 3
    assert count(conv, x) == (macs, macs)


def test_transposed_convolution_counts_what_it_multiplies():
    x = torch.rand(2, 8, 6, 5)
    deconv = nn.ConvTranspose2d(8, 12, 4, stride=2, padding=1, groups=2)
    macs = (2 * 8 * 6 * 5) * (12 // 2) * 16
    assert count(deconv, x) == (macs, macs)


def test_linear_and_norms():
    model = nn.Sequential(
        nn.Linear(8, 4),
        nn.LayerNorm(4),
        nn.GELU(),
        nn.Linear(4, 6, bias=False),
        nn.LayerNorm(6, elementwise_affine=False),
    )
    rows = 2 * 10
    products = rows * (8 * 4 + 4 * 6)
    norms = rows * (4 * 4 + 2 * 6)
    assert count(model, torch.rand(2, 10, 8)) == (products + norms, products)


@pytest.mark.parametrize(
    'norm',
    [nn.BatchNorm2d(4), revert_sync_batchnorm(nn.SyncBatchNorm(4))],
    ids=['stock', 'reverted'],
)
def test_batch_norm(norm):
    assert count(norm, torch.rand(2, 4, 3, 3)) == (4 * 2 * 4 * 9, 0)


def test_module_that_runs_twice_counts_twice():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(8, 8)

        def forward(self, x):
            return self.fc(self.fc(x))

    assert count(Twice(), torch.rand(1, 8)) == (128, 128)


class Attention(nn.Module):
    def __init__(self, with_mask=False):
        super().__init__()
        self.qkv = nn.Linear(16, 48, bias=False)
        self.with_mask = with_mask

    def forward(self, x):
        qkv = self.qkv(x).unflatten(2, (3, 4, 4)).permute(2, 0, 3, 1, 4)
        mask = torch.ones(10, 10, dtype=torch.bool).tril()
        return F.scaled_dot_product_attention(
            *qkv, attn_mask=mask if self.with_mask else None
        )


@pytest.mark.parametrize('with_mask', [False, True])
def test_only_operators_see_attention(with_mask):
    batch, tokens, channels = 3, 10, 16
    linear = batch * tokens * channels * 3 * channels
    attention = 2 * batch * tokens * tokens * channels
    assert count(Attention(with_mask), torch.rand(3, 10, 16)) == (
        linear,
        linear + attention,
    )


def test_operators_see_torch_attention_in_spite_of_its_fast_path():
    model = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
    _, macs = count(model, torch.rand(3, 10, 16))
    rows = 3 * 10
    assert macs == rows * (16 * 64 + 2 * 16 * 32) + 2 * rows * 10 * 16
    assert torch.backends.mha.get_fastpath_enabled()


def test_hooks_are_gone_after_an_error():
    model = nn.Linear(8, 4)
    with pytest.raises(RuntimeError):
        count_modules(model, lambda: model(torch.rand(2, 7)))
    assert not model._forward_hooks


@pytest.mark.parametrize(
    'stem, giga',
    [
        (ShuffleStem(128), '0.181'),
        (ShuffleStem(256), '0.515'),
        (ShuffleUNetStem((256, 384, 512)), '2.501'),
    ],
    ids=['tiny', 'small', 'base'],
)
def test_stems_as_another_counter_has_them(stem, giga):
    """fvcore counted the convolutions of the authors' three stems."""
    _, macs = count(stem, torch.rand(1, 3, 256, 192))
    assert f'{macs / 1e9:.3f}' == giga
