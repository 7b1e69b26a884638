"""Every step of Group Pose is the official one, in all recorded runs.

Every array under ``mid`` of a recording is compared, through hooks on the
modules of the head; a test counts them.
"""

import numpy as np
import pytest
import torch
from support.group_pose_goldens import CASES, Case, assert_near

from gtpt_mm.models.heads.group_pose_queries import gather_rows, make_anchors


class Steps:
    """Our run of a case, and the recorded arrays that it was compared with.

    Args:
        case: The recording.
    """

    def __init__(self, case: Case) -> None:
        self.case = case
        model = case.build()
        self.head = model.head
        self.compared = set()
        self.calls = {}
        for name, module in self.head.named_modules():
            module.register_forward_hook(
                lambda module, args, out, name=name: self.calls.setdefault(
                    name, []
                ).append((args, out))
            )
        self.feats = model.neck(tuple(case.feats))
        with torch.no_grad():
            self.head.loss(self.feats, case.make_samples())
        self.maps = self.calls['selector'][0][0][1]

    def output(self, name: str, call: int = 0) -> torch.Tensor:
        return self.calls[name][call][1]

    def expected(self, key: str) -> torch.Tensor:
        self.compared.add(f'mid/{key}')
        return self.case[f'mid/{key}']

    def has(self, key: str) -> bool:
        return f'mid/{key}' in self.case.arrays


@pytest.fixture(scope='module', params=CASES)
def steps(request, group_pose_goldens):
    return Steps(Case(group_pose_goldens, request.param))


def check_maps(steps: Steps) -> None:
    """Maps, masks, positions, and the places of the tokens."""
    maps, case = steps.maps, steps.case
    mask = maps.key_padding_mask
    if mask is None:  # ours is only made where something is padded
        assert not case['in/mask'].any()
        mask = torch.zeros(maps.centers.shape[:2], dtype=bool)
    (_, pos, _), _ = steps.calls['encoder'][0]
    counts = [h * w for h, w in maps.spatial_shapes]
    levels = zip(
        steps.feats,
        mask.split(counts, dim=1),
        pos.split(counts, dim=1),
        steps.head.level_embed,
        strict=True,
    )
    for i, (feat, mask, pos, level) in enumerate(levels):
        expected = steps.expected(f'mask{i}').flatten(1)
        assert torch.equal(mask.expand_as(expected), expected)
        if steps.has(f'src{i}'):
            assert_near(feat, steps.expected(f'src{i}'), 1e-6)
            expected = steps.expected(f'pos{i}').flatten(2).transpose(1, 2)
            assert_near((pos - level).expand_as(expected), expected, 2e-6)
    expected = steps.expected('valid_ratios')
    assert_near(maps.valid_ratios.expand_as(expected), expected, 1e-7)
    expected = steps.expected('spatial_shapes')
    np.testing.assert_array_equal(maps.spatial_shapes, expected)
    # Ours are split by their sizes.
    starts = np.cumsum([0, *counts[:-1]])
    np.testing.assert_array_equal(starts, steps.expected('level_start_index'))
    if steps.has('enc_reference_points'):
        (_, _, points, _), _ = steps.calls['encoder.layers.0'][0]
        assert_near(points, steps.expected('enc_reference_points'), 1e-6)


def check_encoder(steps: Steps) -> None:
    for i in range(steps.case.meta['enc_layers']):
        if steps.has(f'enc{i}'):
            assert_near(
                steps.output(f'encoder.layers.{i}'), steps.expected(f'enc{i}')
            )
    assert_near(steps.output('encoder'), steps.expected('memory'))


def check_selection(steps: Steps) -> None:
    """All tokens are scored; only the best predict a pose."""
    anchors, _ = make_anchors(steps.maps)
    expected = steps.expected('output_proposals')
    assert_near(anchors.expand_as(expected), expected, 5e-6)
    if steps.has('masked_memory'):
        [[masked], _] = steps.calls['selector.fc'][0]
        assert_near(masked, steps.expected('masked_memory'))
        assert_near(
            steps.output('selector.norm'), steps.expected('output_memory')
        )
    logits = steps.output('selector.fc_cls')
    assert_near(logits, steps.expected('enc_logits'))
    scores = logits.amax(-1).sort(descending=True).values
    expected = steps.expected('topk_scores')
    assert_near(scores[:, : expected.shape[1]], expected)
    selected = steps.output('selector')
    indices = steps.expected('topk_indices')
    assert torch.equal(selected.indices, indices)
    # The compared anchors are those of the proposals.
    assert torch.equal(selected.anchors, gather_rows(anchors, indices))
    if steps.has('enc_delta'):  # recorded for all tokens
        expected = gather_rows(steps.expected('enc_delta'), indices)
        assert_near(steps.output('proposer.mlp'), expected)


def check_decoder(steps: Steps) -> None:
    """Queries, positions, the four steps of each layer, references.

    Slot 0 of the references is the mean of the keypoints.
    """
    case = steps.case
    slots = case.meta['num_keypoints'] + 1
    assert_near(
        steps.output('decoder.queries'), steps.expected('init_queries')
    )
    expected = steps.expected('init_reference')
    assert torch.equal(expected, case['mid/reference0'])
    num_layers = case.meta['dec_layers']
    last = steps.output('decoder')[1][-1]
    last = torch.cat((last.mean(2, keepdim=True), last), dim=2).flatten(2)
    assert_near(last, steps.expected(f'reference{num_layers}'), 5e-6)
    for i in range(num_layers):
        (_, _, points, _, _), _ = steps.calls[f'decoder.layers.{i}'][0]
        expected = steps.expected(f'reference{i}').unflatten(2, (slots, 2))
        expected = expected.flatten(1, 2)[:, :, None]
        ratios = case['mid/valid_ratios'][:, None]
        assert_near(points, expected * ratios, 5e-6)  # on each level
        assert_near(
            steps.output('decoder.pos_mlp', i),
            steps.expected(f'dec{i}_query_pos'),
        )
        layer = f'decoder.layers.{i}'
        for step, name in (
            ('within', f'{layer}.self_attn.within_norm'),
            ('across', f'{layer}.self_attn.across_norm'),
            ('cross', f'{layer}.norm'),
            ('out', layer),
        ):
            assert_near(steps.output(name), steps.expected(f'dec{i}_{step}'))
    for i in range(num_layers - 1):
        if not steps.has(f'hs_aliased{i}'):
            continue
        # The second reading of the keypoint queries is for the loss.
        expected = steps.expected(f'hs_aliased{i}')
        [[clean], _], [[aliased], _] = steps.calls[f'decoder.pose_mlps.{i}']
        [[instance], _] = steps.calls[f'decoder.fc_cls.{i}'][0]
        assert_near(aliased, expected[:, :, 1:])
        assert_near(instance, expected[:, :, 0])
        assert (clean - expected[:, :, 1:]).abs().max() > 0.1


def test_every_step_matches_authors(steps):
    """And none is left out."""
    check_maps(steps)
    check_encoder(steps)
    check_selection(steps)
    check_decoder(steps)
    recorded = {key for key in steps.case.arrays if key.startswith('mid/')}
    assert steps.compared == recorded


def test_results_of_every_layer_match_authors(steps):
    """The inputs of the losses: all layers, and the encoder."""
    case = steps.case
    logits, keypoints = steps.output('decoder')
    assert len(logits) == len(keypoints) == case.meta['dec_layers']
    for i in range(len(logits)):
        assert_near(logits[i], case[f'out/logits{i}'])
        expected = case.target_keypoints(f'out/keypoints{i}')
        assert_near(keypoints[i], expected, 5e-6)
    # Recorded for the selected tokens.
    assert_near(steps.output('selector').logits, case['out/interm_logits'])
    points = steps.output('proposer').flatten(2)
    assert_near(points, case['out/interm_keypoints'], 5e-6)
