"""Every step of Group Pose is the authors'."""

import pytest
import torch
from support.group_pose_goldens import Case, assert_near, record


@pytest.fixture
def full_case(group_pose_goldens):
    return Case(group_pose_goldens, 'k17_h64_padded')


def test_every_step_matches_authors(full_case):
    case = full_case
    model = case.build()
    head, decoder = model.head, model.head.decoder
    steps = {
        'selected': head.selector,
        'queries': decoder.queries,
        'pos': decoder.pos_mlp,
        'memory': head.encoder,
        'enc0': head.encoder.layers[0],
        'points': head.proposer,
    }
    for i, layer in enumerate(decoder.layers):
        steps[f'dec{i}_within'] = layer.self_attn.within_norm
        steps[f'dec{i}_across'] = layer.self_attn.across_norm
        steps[f'dec{i}_cross'] = layer.norm
        steps[f'dec{i}_out'] = layer
    seen = {name: [] for name in steps}
    for name, module in steps.items():
        record(module, seen[name])
    references = []
    stock = decoder._look
    decoder._look = lambda points, maps: (
        references.append(points) or stock(points, maps)
    )
    feats = model.neck(tuple(case.feats))
    for i, feat in enumerate(feats):
        assert_near(feat, case[f'mid/src{i}'], 1e-6)
    with torch.no_grad():
        logits, keypoints, enc_logits, points, _ = head._run(
            feats, case.make_samples(), all_layers=True
        )
    for i in range(2):
        assert_near(logits[i], case[f'out/logits{i}'])
        expected = case.target_keypoints(f'out/keypoints{i}')
        assert_near(keypoints[i], expected, 5e-6)
        assert_near(seen['pos'][i], case[f'mid/dec{i}_query_pos'])
        expected = case[f'mid/reference{i}'].unflatten(2, (18, 2))
        assert_near(references[i], expected[:, :, 1:], 5e-6)
        for step in ('within', 'across', 'cross', 'out'):
            [own] = seen[f'dec{i}_{step}']
            assert_near(own, case[f'mid/dec{i}_{step}'])
    assert_near(enc_logits, case['out/interm_logits'])
    assert_near(points.flatten(2), case['out/interm_keypoints'], 5e-6)
    hidden = torch.cat(
        [case[f'mid/mask{i}'].flatten(1) for i in range(4)], dim=1
    )
    [encoded], [memory] = seen['enc0'], seen['memory']
    assert_near(encoded[~hidden], case['mid/enc0'][~hidden])
    assert_near(memory, case['mid/memory'])
    [selected], [queries] = seen['selected'], seen['queries']
    assert torch.equal(selected.indices, case['mid/topk_indices'])
    assert_near(queries, case['mid/init_queries'])
