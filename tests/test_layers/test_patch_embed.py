"""The overlapping patch embedding."""

import pytest
import torch

from gtpt_mm.layers.patch_embed import OverlapPatchEmbed


def readers(embed: OverlapPatchEmbed, size: int) -> torch.Tensor:
    """Count, for each row of the image, the rows of patches that read it."""
    conv = embed[0][0]
    torch.nn.init.ones_(conv.weight)
    embed[0][1].eval()
    img = torch.zeros(1, 3, size, size, requires_grad=True)
    counts = []
    for i in range(size // embed.stride):
        img.grad = None
        embed(img)[0, 0, i].sum().backward()
        counts.append(img.grad[0].abs().sum((0, 2)) > 0)
    return torch.stack(counts).sum(0)


@pytest.mark.parametrize('overlap_width', [0, 1, 2, 3])
def test_overlap_is_what_neighbours_share(overlap_width):
    """Sec. 3.2: PEOW is the width of the lines that two patches read."""
    embed = OverlapPatchEmbed(3, 4, overlap_width, (4,))
    counts = readers(embed, 32)[8:24]  # away from the border
    assert counts.max() == (2 if overlap_width else 1)
    # A line of that width in each period of 4 rows.
    assert (counts == 2).sum() == 4 * overlap_width


@pytest.mark.parametrize(
    ('kwargs', 'kernels', 'channels', 'stride'),
    [
        (dict(), [7], [16], 4),
        (dict(overlap_width=1, strides=(2, 2)), [3, 3], [8, 16], 4),
        (dict(overlap_width=5, strides=(2, 2)), [7, 7], [8, 16], 4),
        (
            dict(overlap_width=7, strides=(8,), with_upsample=True),
            [15, 4],
            [32, 16],
            4,
        ),
    ],
    ids=['7-4', '3-2 twice', '7-2 twice', '15-8 and deconv'],
)
def test_stems_of_table_4(kwargs, kernels, channels, stride):
    embed = OverlapPatchEmbed(3, 16, **kwargs)
    convs = [m for m in embed.modules() if hasattr(m, 'kernel_size')]
    assert [conv.kernel_size[0] for conv in convs] == kernels
    assert [conv.out_channels for conv in convs] == channels
    assert embed.stride == stride
    assert embed(torch.rand(2, 3, 64, 48)).shape == (2, 16, 16, 12)


def test_activation_is_the_last_thing():
    img = torch.randn(2, 3, 32, 32)
    assert (OverlapPatchEmbed(3, 8)(img) < 0).any()
    assert (OverlapPatchEmbed(3, 8, with_act=True)(img) >= 0).all()


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(strides=()), r'strides .*\[\]'),
        (dict(strides=(2, 0)), r'strides .*\[2, 0\]'),
        (dict(overlap_width=-1), r'overlap_width .*-1'),
        (
            dict(strides=(2, 2), with_upsample=True),
            r'with_upsample .*\[2, 2\]',
        ),
        (dict(embed_dims=6, strides=(2, 2, 2)), r'embed_dims=6 .* 3 conv'),
    ],
)
def test_errors_name_the_value(kwargs, message):
    with pytest.raises(ValueError, match=message):
        OverlapPatchEmbed(**{'in_channels': 3, 'embed_dims': 8, **kwargs})
