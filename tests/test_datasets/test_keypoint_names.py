import re
from pathlib import Path

import mmpose
import pytest
from mmengine import Config

from gtpt_mm.datasets.keypoint_names import (
    canonical,
    find_swap_pairs,
    match_names,
    same_keypoint,
)

STOCK = Path(mmpose.__file__).parent / '.mim/configs/_base_/datasets'
LEFT_HIP = [
    'left_hip',
    'hip_l',
    'L_Hip',
    'LHip',
    'leftHip',
    'hip.L',
    'lhip',
    'hipL',
    'HipLeft',
    'lefthip',
    'LEFT-HIP',
    'hipl',
]


@pytest.mark.parametrize('name', [*LEFT_HIP, 'left hip', ' hip  left '])
def test_one_keypoint_in_many_spellings(name):
    assert canonical(name) == 'left_hip'
    assert not same_keypoint(name, 'right_hip')


@pytest.mark.parametrize(
    'name, meaning',
    [
        ('Nose', 'nose'),
        ('snout', 'nose'),
        ('RSho', 'right_shoulder'),
        ('LBigToe', 'left_big_toe'),
        ('paw1LH', 'left_hind_paw_1'),
        ('paw2LF_top', 'left_front_paw_2_top'),
        ('L_B_Paw', 'left_hind_paw'),
        ('left_hindpaw', 'left_hind_paw'),
        ('forelegR1', 'right_front_leg_1'),
        ('right_leg_back_3', 'right_hind_leg_3'),
        ('FLpaw', 'left_front_paw'),
        ('Root of tail', 'tail_base'),
        ('TailBase', 'tail_base'),
        ('MidHip', 'pelvis'),
        ('top_head', 'head_top'),
        ('spine_02', 'spine_2'),
        ('linkeHüfte', 'linke_hüfte'),
        ('左肩', '左肩'),
        ('???', '???'),
        # no sides
        ('cleft', 'cleft'),
        ('upright', 'upright'),
        ('bright_spot', 'bright_spot'),
        ('rear', 'hind'),
        ('forehead', 'forehead'),
        ('body_back', 'body_back'),
        ('rücken', 'rücken'),
        ('leg', 'leg'),
        ('heel', 'heel'),
        ('tail', 'tail'),
    ],
)
def test_meaning_of_a_name(name, meaning):
    assert canonical(name) == meaning


def test_a_source_serves_one_target():
    found = match_names(
        ['LHip', 'left_hip', 'snout'], ['hip_l', 'left_hip', 'nose', 'l hip']
    )
    assert found == {
        'left_hip': 'left_hip',  # its own name first
        'hip_l': 'LHip',
        'nose': 'snout',
        'l hip': None,
    }


def test_targets_of_one_meaning_share_no_source():
    found = match_names(['nose'], ['snout', 'nose_tip'])
    assert sorted(map(str, found.values())) == ['None', 'nose']


def test_pairs_of_numbered_paws_are_guessed():
    names = ['paw1LH', 'paw2LF', 'paw3RF', 'paw4RH', 'tailBase', 'nose']
    found = find_swap_pairs(names)
    assert found.pairs == [('paw1LH', 'paw4RH'), ('paw2LF', 'paw3RF')]
    assert found.guessed == found.pairs
    assert found.unsure == []


def test_numbers_that_agree_are_no_guess():
    names = ['l1', 'l2', 'r2', 'r1', 'left_horn', 'cleft', 'ear_l', 'EarRight']
    found = find_swap_pairs(names)
    assert found.pairs == [('l1', 'r1'), ('l2', 'r2'), ('ear_l', 'EarRight')]
    assert found.guessed == []
    assert found.unsure == ['left_horn']


def test_a_partner_named_twice_is_unsure():
    found = find_swap_pairs(['left_eye', 'eyeL', 'right_eye'])
    assert found.pairs == []
    assert found.unsure == ['left_eye', 'eyeL', 'right_eye']


@pytest.mark.parametrize(
    'path', sorted(STOCK.glob('*.py')), ids=lambda p: p.stem
)
def test_pairs_agree_with_the_metainfo_of_mmpose(path):
    info = Config.fromfile(path).dataset_info.keypoint_info.values()
    # Faces and clothes have numbers for names: no name tells their sides.
    numbered = {
        i.name for i in info if re.search(r'(kpt|face).?\d', i.name, re.I)
    }
    stated = {
        frozenset((i.name, i.swap))
        for i in info
        if i.get('swap') and i.name not in numbered
    }
    found = find_swap_pairs([i.name for i in info])
    assert {frozenset(pair) for pair in found.pairs} == stated
    assert found.unsure == []


@pytest.mark.parametrize(
    'names',
    [
        ['linke_Hand', 'Kopf', 'rechte_Hand', 'linker Fuß', 'rechter Fuß'],
        ['main_gauche', 'tête', 'main_droite', 'pied gauche', 'pied droit'],
        ['mano_izquierda', 'nariz', 'mano_derecha', 'pie_izq', 'pie_der'],
        ['左手', '头', '右手', '脚-左', '脚-右'],
        ['левая рука', 'нос', 'правая рука', 'левый глаз', 'правый глаз'],
    ],
)
def test_pairs_in_other_languages(names):
    a, _, b, c, d = names
    expected = [(a, b)] if d == 'pie_der' else [(a, b), (c, d)]
    assert find_swap_pairs(names).pairs == expected


@pytest.mark.parametrize(
    'names',
    [
        ['link', 'recht'],  # a chain
        ['links_oben', 'rechts_unten'],
        ['linke_Hand', 'linke Hand', 'rechte_Hand'],
        ['左右', '右左', '左', '上'],
    ],
)
def test_no_pairs_in_other_languages(names):
    assert find_swap_pairs(names).pairs == []
