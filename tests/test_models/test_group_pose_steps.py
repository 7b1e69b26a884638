"""Every step of Group Pose is the authors', in all recorded runs.

Every array under ``mid`` of a recording is compared; a test counts them.
"""

import numpy as np
import pytest
import torch
from support.group_pose_goldens import CASES, Case, assert_near

from gtpt_mm.models.heads.group_pose_queries import pick, proposal_sizes


class Steps:
    """Our run of a case, and which of the authors' arrays it was held to.

    Args:
        case: The recording.
    """

    def __init__(self, case: Case) -> None:
        self.case = case
        self.model = case.build()
        self.head = self.model.head
        self.compared = set()
        self.calls = {}
        self._listen()
        self.feats = self.model.neck(tuple(case.feats))
        self.samples = case.make_samples()
        with torch.no_grad():
            self.results = self.head._run(
                self.feats, self.samples, all_layers=True
            )
        self.maps = self.calls['selector'][0][0][1]

    def _listen(self) -> None:
        """Record arguments and outputs of all modules of the head."""
        for name, module in self.head.named_modules():
            module.register_forward_hook(
                lambda module, args, out, name=name: self.calls.setdefault(
                    name, []
                ).append((args, out))
            )
        self.looks = []
        look = self.head.decoder._look
        self.head.decoder._look = lambda points, maps: (
            self.looks.append((points, look(points, maps)))
            or self.looks[-1][1]
        )

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
    """Maps, masks, positions; what tells where a token is."""
    maps, case = steps.maps, steps.case
    masks = steps.head._find_padding(steps.feats, steps.samples)
    if masks is None:  # ours are only made where something is padded
        assert not case['in/mask'].any()
        masks = [torch.zeros(1, *shape, dtype=bool) for shape in maps.shapes]
    (_, pos, _), _ = steps.calls['encoder'][0]
    sizes = [h * w for h, w in maps.shapes]
    levels = zip(
        steps.feats,
        masks,
        pos.split(sizes, dim=1),
        steps.head.level_embed,
        strict=True,
    )
    for i, (feat, mask, own, level) in enumerate(levels):
        assert torch.equal(mask, steps.expected(f'mask{i}'))
        if steps.has(f'src{i}'):
            assert_near(feat, steps.expected(f'src{i}'), 1e-6)
            expected = steps.expected(f'pos{i}').flatten(2).transpose(1, 2)
            assert_near(own - level, expected, 2e-6)
    assert_near(
        maps.valid_ratios.expand(len(feat), -1, -1),
        steps.expected('valid_ratios'),
        1e-7,
    )
    expected = steps.expected('spatial_shapes')
    np.testing.assert_array_equal(maps.shapes, expected)
    # Ours are split by their sizes.
    starts = np.cumsum([0, *sizes[:-1]])
    np.testing.assert_array_equal(starts, steps.expected('level_start_index'))
    if steps.has('enc_reference_points'):
        (_, _, references, _), _ = steps.calls['encoder.layers.0'][0]
        expected = steps.expected('enc_reference_points')
        assert_near(references, expected, 1e-6)


def check_encoder(steps: Steps) -> None:
    for i in range(steps.case.meta['enc_layers']):
        if steps.has(f'enc{i}'):
            own = steps.output(f'encoder.layers.{i}')
            assert_near(own, steps.expected(f'enc{i}'))
    assert_near(steps.output('encoder'), steps.expected('memory'))


def check_selection(steps: Steps) -> None:
    """All tokens are scored; only the best predict a pose."""
    selector, maps = steps.head.selector, steps.maps
    invalid = selector._find_invalid(maps)
    proposals = torch.cat(
        (
            maps.centers,
            proposal_sizes(maps)[None, :, None].expand_as(maps.centers),
        ),
        dim=-1,
    )
    proposals = proposals.logit().masked_fill(invalid[..., None], torch.inf)
    expected = steps.expected('output_proposals')
    assert_near(proposals.expand_as(expected), expected, 5e-6)
    if steps.has('masked_memory'):
        [[masked], _] = steps.calls['selector.fc'][0]
        assert_near(masked, steps.expected('masked_memory'))
        own = steps.output('selector.norm')
        assert_near(own, steps.expected('output_memory'))
    logits = steps.output('selector.fc_cls')
    assert_near(logits, steps.expected('enc_logits'))
    scores = logits.amax(-1).sort(descending=True).values
    expected = steps.expected('topk_scores')
    assert_near(scores[:, : expected.shape[1]], expected)
    selected = steps.output('selector')
    best = steps.expected('topk_indices')
    assert torch.equal(selected.indices, best)
    # What was compared is what goes on.
    assert torch.equal(selected.centers, pick(proposals[..., :2], best))
    if steps.has('enc_delta'):
        # Theirs are of all tokens.
        own = steps.output('proposer.mlp')
        assert_near(own, pick(steps.expected('enc_delta'), best))


def check_decoder(steps: Steps) -> None:
    """Queries, positions, the four steps of each layer, references.

    Slot 0 of the references is the mean of the keypoints.
    """
    case = steps.case
    slots = case.meta['num_keypoints'] + 1
    assert_near(
        steps.output('decoder.queries'), steps.expected('init_queries')
    )
    points = [points for points, _ in steps.looks] + [steps.results[1][-1]]
    expected = steps.expected('init_reference')
    assert torch.equal(expected, case['mid/reference0'])
    for i, own in enumerate(points):
        own = torch.cat((own.mean(2, keepdim=True), own), dim=2)
        assert_near(own.flatten(2), steps.expected(f'reference{i}'), 5e-6)
    for i in range(case.meta['dec_layers']):
        _, (places, _) = steps.looks[i]  # on each level
        expected = case[f'mid/reference{i}'].unflatten(2, (slots, 2))
        expected = expected.flatten(1, 2)[:, :, None]
        ratios = case['mid/valid_ratios'][:, None]
        assert_near(places, expected * ratios, 5e-6)
        own = steps.output('decoder.pos_mlp', i)
        assert_near(own, steps.expected(f'dec{i}_query_pos'))
        layer = f'decoder.layers.{i}'
        for step, name in (
            ('within', f'{layer}.self_attn.within_norm'),
            ('across', f'{layer}.self_attn.across_norm'),
            ('cross', f'{layer}.norm'),
            ('out', layer),
        ):
            assert_near(steps.output(name), steps.expected(f'dec{i}_{step}'))
    for i in range(case.meta['dec_layers'] - 1):
        if not steps.has(f'hs_aliased{i}'):
            continue
        # The second reading of the keypoint queries is for the loss.
        expected = steps.expected(f'hs_aliased{i}')
        [[clean], _], [[aliased], _] = steps.calls[f'decoder.pose_mlps.{i}']
        [[instance], _] = steps.calls[f'decoder.fc_cls.{i}'][0]
        assert_near(aliased, expected[:, :, 1:])
        assert_near(instance, expected[:, :, 0])
        assert (clean - expected[:, :, 1:]).abs().max() > 0.1


CHECKS = [check_maps, check_encoder, check_selection, check_decoder]


@pytest.mark.parametrize('check', CHECKS)
def test_every_step_matches_authors(check, steps):
    check(steps)


def test_no_step_is_left_out(steps):
    for check in CHECKS:
        check(steps)
    recorded = {key for key in steps.case.arrays if key.startswith('mid/')}
    assert steps.compared == recorded


def test_results_of_every_layer_match_authors(steps):
    """What the losses are of: all layers, and the encoder."""
    case = steps.case
    logits, keypoints, enc_logits, points, _ = steps.results
    assert len(logits) == len(keypoints) == case.meta['dec_layers']
    for i in range(len(logits)):
        assert_near(logits[i], case[f'out/logits{i}'])
        expected = case.target_keypoints(f'out/keypoints{i}')
        assert_near(keypoints[i], expected, 5e-6)
    # Theirs are of all tokens where ours are of the best.
    assert_near(enc_logits, case['out/interm_logits'])
    assert_near(points.flatten(2), case['out/interm_keypoints'], 5e-6)
