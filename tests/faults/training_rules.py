"""Rules of the replayed complaints, ``bugs/training``; see ``rules.py``."""

from .judge import MISSING, Rule
from .rules import RAISED, WORKED, either, error, fine, told

JSON = r'(train|val|t|v)\.json'
PERSON = r'(annotation|\bid)\D{0,12}\d+'
RIGHT = r"'(coco/)?AP': (1\.0|0\.99\d*)\b"
ALL_FINITE = r"'bad params', 0"
UNSEEN = r'((no|without( a)?|nothing) visible|keypoints outside)'


def _fine_or(*words: str) -> Rule:
    return either((WORKED,), (RAISED, *words))


FIELDS = {
    'plain': fine('AP'),
    'no_area': _fine_or('area', JSON),
    'zero_area': either(
        (WORKED, r'\barea'), (RAISED, 'area'), otherwise=MISSING
    ),
    'no_iscrowd': _fine_or('iscrowd', JSON),
    'no_num_keypoints': _fine_or('num_keypoints', JSON),
    'num_keypoints_zero': error('keypoint', JSON),
    'category_0': fine(),
    'category_7': fine(),
    'no_categories': _fine_or('categories', JSON),
    'string_ids': _fine_or(r'\bid', JSON),
    'no_size': _fine_or('width', JSON),
    'no_annotation_id': _fine_or(r'\bid\b', JSON),
    'no_category_id': _fine_or('category_id', JSON),
    'list_not_dict': error('list', JSON),
    'no_bbox': error('box', JSON),
}
ORACLE = {
    f'{kind} {case}': rule
    for kind in ('top-down', 'bottom-up')
    for case, rule in {
        'cat1': fine(RIGHT),
        'cat0': fine(RIGHT),
        'cat7': fine(RIGHT),
        'two_categories': either((WORKED, RIGHT), (RAISED, 'categor')),
        'zero_area': either(
            (WORKED, f'{RIGHT}|area'), (RAISED, 'area'), otherwise=MISSING
        ),
    }.items()
} | {
    f'top-down detections of category {number}': either(
        (WORKED, RIGHT), (RAISED, 'categor')
    )
    for number in (0, 1, 7)
}
_TOLD = told(UNSEEN)
ODD_PEOPLE = {
    'invisible': _TOLD,
    'invisible_counted': _TOLD,
    'minus_one': either((WORKED, ALL_FINITE), (RAISED, JSON, PERSON)),
    'nan': error('finite|nan', JSON, PERSON),
    'outside': _TOLD,
    'one_point': fine(ALL_FINITE),
    'flat_box': either((WORKED, ALL_FINITE), (RAISED, JSON, PERSON)),
    'box_outside': either((WORKED, ALL_FINITE), (RAISED, JSON, PERSON)),
    'tiny_box': _TOLD,
    'zero_area': fine(ALL_FINITE),
    'vis3': either((WORKED, ALL_FINITE), (RAISED, JSON, PERSON)),
    'crowd_all': error('crowd', JSON),
}
#: Group Pose reads whole images: points outside them are background.
ODD_PEOPLE_GP = {
    **ODD_PEOPLE,
    'tiny_box': either((WORKED, ALL_FINITE), (RAISED, JSON, PERSON)),
}
SKELETON = {
    'gtpt_groups_9_head_17': error('17', r'\b9\b', 'keypoint'),
    'gtpt_all_17_data_9': error('17', r'\b9\b', 'keypoint'),
    'vit_head_17_data_9': error('17', r'\b9\b', 'keypoint'),
    'vit_no_metainfo': error('17', r'\b9\b', 'keypoint'),
    'gtpt_no_metainfo': error('17', r'\b9\b', 'keypoint'),
    'vit_sigmas_empty_val': error('sigmas', r'\b9\b'),
    'vit_sigmas_17_val': error('sigmas', '17', r'\b9\b'),
    'vit_joint_weights_missing': _fine_or('joint_weights'),
    'vit_joint_weights_17': error('joint_weights', '17', r'\b9\b'),
    'gtpt_joint_weights_17': error('joint_weights', '17', r'\b9\b'),
    'gp_head_other_skeleton': error('17', r'\b9\b'),
    'gp_sigmas_empty': error('sigmas'),
    'vit_swap_typo': error('right_uper_joint', 'swap'),
    'vit_link_typo': error('center', 'link|skeleton'),
    'vit_no_color': fine(),
    'vit_no_type': _fine_or('type'),
    'vit_no_skeleton_info': _fine_or('skeleton_info'),
    'vit_other_folder_file': error('nowhere/coco.py'),
}
UNUSED = {
    name: fine(r"'unused', \[\], 0") for name in ('gtpt', 'vit', 'gp', 'hev')
} | {
    # Distillation reads a teacher that nobody has trained there.
    'td-hm_vitpose-s-token_1xb16-14e_sample-96x64.py': error(
        r'epoch_14\.pth does not exist'
    )
}
RESUME = {
    'whole': fine(),
    'stopped and resumed': fine(
        r'^ *state_dict largest difference 0\.0$',
        r'^ *ema_state_dict largest difference 0\.0$',
    ),
    'load_from of 9 keypoints into 7': fine('AP'),
    'save_best auto, then resumed with coco/AP and more epochs': fine(
        'best_coco_AP'
    ),
    "save_best='AP'": _fine_or('save_best', 'coco/AP'),
}
COMBINED = {
    **{
        f'nine of 17 keypoints, gt_converter={gt}, CombinedDataset in '
        f'validation={combined}': (
            fine() if gt else _fine_or('gt_converter|keypoint', '17', r'\b9\b')
        )
        for gt in (False, True)
        for combined in (False, True)
    },
    'two validation sets of one class, MultiDatasetEvaluator': fine(
        'one/.*AP', 'two/.*AP'
    ),
    'the same with MultiDataset and PerDatasetEvaluator on a plain ViTPose': (
        fine('one/.*AP', 'two/.*AP')
    ),
    'mmengine ConcatDataset': _fine_or('ConcatDataset'),
}
SPAWN = {
    name: Rule((r'^rc 0$', 'coco/AP:'))
    for name in ('gtpt_starfish', 'vit_starfish', 'gp_starfish')
}
PICTURES = {
    'show': Rule((r'^rc 0$', r'\.(png|jpg)$')),
    'dump': Rule((r'^rc 0$', r'dump\.pkl$')),
    'tb': Rule((r'^rc 0$', 'events')),
}
IMAGES = {
    'missing': error(r'0003\.png'),
    'empty_file': error(r'0003\.png'),
    'cut': error(r'0003\.png'),
    'text': error(r'0003\.png'),
    'grey': fine(),
    'alpha': fine(),
    'sixteen_bit': fine(),
    'half_size': _fine_or(r'0003\.png'),
}
#: Arithmetic of the script itself, nothing of ours but an import.
SCHEDULES = {'shares': Rule(('COCO recipe, 60 images',))}
MORE_EPOCHS = {
    'train': fine(
        r'averaged weights, epoch 14 against 18: (0\.0*[1-9]|[1-9])',
    )
}
AMP = {'amp': Rule((r'rc [1-9]', 'Amp'), instead=(r'rc 0$',))}
REAL = {
    'gtpt coco': fine(),
    'group pose coco': fine(),
    'group pose crowdpose': fine(),
    'two data sets, fits': fine(),
    'two data sets, head of 17 for 9': error('17', r'\b9\b'),
    'two data sets, metainfo forgotten': error('17', r'\b9\b'),
}
STARFISH = {
    'train': Rule((r'^rc 0$', r'AP 0\.[3-9]')),
    'trained weights of the same file': Rule((r'^rc 0$', r'AP 0\.[3-9]')),
    'inferencer': Rule((r'epoch_14\.pth 9 ', r'raw\.pth 9 ')),
    'TensorBoard config': Rule((r'^rc 0$',)),
}
