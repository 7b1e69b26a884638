"""Rules of the shared cases: what a good outcome of each looks like.

One table for each script, by the names that it prints. ``error`` wants an
exception that says the given words, ``fine`` a run without one; words are
regular expressions, found in upper or lower case anywhere in what was printed
on the case, the log included.
"""

from .judge import MISSING, Rule

#: Results as ``checkpoints.py`` and others print them.
RAISED = r'^ *-> +[\w.]*(Error|Exception|Exit|Interrupt)\b'
WORKED = r'^ *-> +(no error|OK\b|finished)'
NOT_FINITE = r'\b(nan|inf)\b'
#: The annotation file of ``bad_data.py``.
FILE = r'a\.json'
PERSON = r'(annotation|\bid)\D{0,12}\d+'
FOUND = r'(found|exist|no such file)'


def error(*words: str, otherwise: str = 'BAD', **options) -> Rule:
    """Refused: an exception that says all these words."""
    return Rule((RAISED, *words), (WORKED,), otherwise=otherwise, **options)


def fine(*words: str, bad: tuple[str, ...] = (), **options) -> Rule:
    """No exception, all these words in result or log, and none of bad."""
    return Rule((WORKED, *words), (RAISED, *bad), **options)


def told(*words: str, otherwise: str = MISSING) -> Rule:
    """Either goes on and says these words, or is refused with them."""
    return Rule(words, otherwise=otherwise)


def either(good: tuple[str, ...], instead: tuple[str, ...], **kwargs) -> Rule:
    """Either of two outcomes."""
    return Rule(good, instead=instead, **kwargs)


# ------------------------------------------------------------- checkpoints.py

LOADED = r'\d+ of \d+ tensors'
NONE_LOADED = r'(0 of \d+ tensors|none of|no tensor|nothing)'
DAMAGED = r'(damaged|torn|truncated|incomplete|complete|cut|whole|crc|broken)'


CHECKPOINTS = {
    **{
        f'MMPoseInferencer ck/{name}': error(rf'ck/{name}', *words)
        for name, words in {
            'evil.pth': ('UnsafeCheckpointError', r'posix\.system'),
            'evil_old.pth': ('UnsafeCheckpointError', r'posix\.system'),
            'evil_pickle.pth': ('UnsafeCheckpointError',),
            'missing.pth': (FOUND,),
            'dir.pth': (r'(folder|directory|found)',),
            'empty.pth': ('empty|0 bytes|complete',),
            'html.pth': ('html|checkpoint',),
            'half.pth': (DAMAGED,),
            'bitflip.pth': (f'{DAMAGED}|flipped|record|changed',),
            'othernames.pth': (NONE_LOADED,),
            'wrongshape.pth': (NONE_LOADED,),
            'nothing.pth': ('no tensor|nothing|empty|holds no|none|0 of',),
            'tensor.pth': (),
            'list.pth': (),
            'nan.pth': ('finite|nan',),
        }.items()
    },
    'MMPoseInferencer ck/halfkeys.pth': told(LOADED, otherwise='BAD'),
    'MMPoseInferencer ck/good.safetensors': fine(r'\[\['),
    'init_cfg Pretrained ck/evil.pth': error('ck/evil.pth', 'posix.system'),
    'init_cfg Pretrained ck/othernames.pth': error(NONE_LOADED),
    'init_cfg Pretrained ck/wrongshape.pth': error(NONE_LOADED),
    'init_cfg Pretrained ck/missing.pth': error('ck/missing.pth', FOUND),
    # The backbone alone: no name of a whole model fits it.
    'init_cfg Pretrained ck/halfkeys.pth': told(
        f'{LOADED}|{NONE_LOADED}', otherwise='BAD'
    ),
    'MMPoseInferencer @WORK@/wd/a/epoch_4.pth': fine(r'\[\['),
    # A user's choice: nobody asked for weights.
    'MMPoseInferencer without pose2d_weights': fine(),
}

# ---------------------------------------------------------------- bad_data.py


def _samples(number: int, *words: str) -> Rule:
    return fine(rf'no error; {number} samples', *words, bad=(NOT_FINITE,))


def _dropped(*words: str) -> Rule:
    """One of four people is left out and counted, or refused by name."""
    return Rule(
        (r'-> no error; [34] samples', r'dropped', *words),
        instead=(RAISED, FILE, PERSON),
        otherwise=MISSING,
    )


def _named(*words: str) -> Rule:
    """Refused with file and annotation."""
    return error(FILE, PERSON, *words)


def _kept_or_named(number: int, *words: str) -> Rule:
    return either((f'-> no error; {number} samples',), (RAISED, FILE, *words))


#: The pictures of these cases are not of the annotated size: read as they
#: are, or refused for that.
_READ = either(
    ('-> no error; 4 samples',),
    (RAISED, FILE, 'image files? have another size'),
)
_BAD_DATA = {
    'baseline': _samples(4),
    'truncated JSON': error(FILE),
    'empty file': error(FILE),
    'JSON is a list': error(FILE),
    'no "images"': error(FILE, 'images'),
    'no "annotations"': error(FILE, 'annotations'),
    'no "categories"': _kept_or_named(4, 'categories'),
    'empty annotations': error(FILE, 'annotation|people'),
    'empty images and annotations': error(FILE, 'image|annotation|people'),
    'image_id without image': _dropped('image'),
    'no keypoints key': _dropped('keypoint'),
    'no bbox key': _dropped('box'),
    'no area key': _kept_or_named(4, 'area'),
    'no iscrowd key': _kept_or_named(4, 'iscrowd'),
    'no num_keypoints key': _kept_or_named(4, 'num_keypoints'),
    'bbox None': either((RAISED, FILE, PERSON), ('dropped.*box',)),
    'bbox strings': _kept_or_named(4, PERSON, 'box'),
    'bbox of 3 numbers': _named('box'),
    'zero-size box': _dropped('box|area|outside|empty'),
    'negative-size box': _dropped('box|area|outside|negative'),
    'box outside the image': _dropped('box|outside'),
    'NaN box': _named('box', 'finite|nan'),
    'inf box': _named('box', 'finite|inf'),
    '16 keypoints instead of 17': _named('16|48', '17|51'),
    '51 -> 50 numbers': _named('50', 'keypoint'),
    'all with 14 keypoints': error(FILE, '14|42', '17|51'),
    'keypoints NaN': _named('keypoint', 'finite|nan'),
    'keypoints inf': _named('keypoint', 'finite|inf'),
    'keypoints 1e30': told(PERSON, r'1e\+?30|outside|far', otherwise='BAD'),
    'keypoints strings': _kept_or_named(4, PERSON),
    # Taken for 2 and counted, or refused by name.
    'visibility 7': either(
        ('1 people with a visibility|visib.*mended',),
        (RAISED, FILE, PERSON, 'visib'),
        otherwise=MISSING,
    ),
    'duplicate annotation ids': either(
        ('-> no error; 4 samples', 'with a new id'),
        (RAISED, FILE, 'twice|dupl|unique|times'),
    ),
    'duplicate image ids': error(
        FILE, r'\d', 'twice|dupl|unique|times|one id|same id'
    ),
    'category other keypoint names/order': error(
        FILE, 'keypoint', 'order|names'
    ),
    'category_id unknown': told('77', 'categor', otherwise='BAD'),
    'category named dog': told('dog', otherwise='BAD'),
    'image width/height wrong': either(
        ('-> no error; 4 samples', 'sizes? read from'),
        (RAISED, FILE, 'size|width'),
    ),
    'image width/height missing': _kept_or_named(4, 'width'),
    'missing image file': error('000000200000.jpg', FOUND),
    'empty image file': error('000000200000.jpg'),
    'HTML as jpg': error('000000200000.jpg'),
    'truncated JPEG': error('000000200000.jpg'),
    '1-channel image': _READ,
    '4-channel PNG': _READ,
    '16-bit PNG': _READ,
    '1x1 image': _READ,
    'image is a directory': error('000000200000.jpg', 'directory|folder'),
    'symlinked image': _samples(4),
    'unicode file name': _samples(4),
    'path traversal in file_name': error('hostname'),
    'test_mode: missing image': error('000000200000.jpg', FOUND),
    'test_mode: NaN box': _named('box', 'finite|nan'),
    'test_mode: zero box': told('no error|box', otherwise='BAD'),
}
BAD_DATA_TD = {
    **_BAD_DATA,
    '20000x20 image': _READ,
    'all-invisible person, num_keypoints 17': _samples(3),
    'all people invisible': error(FILE, 'keypoint|visible'),
    'all invisible but num_keypoints lies': error(FILE, 'keypoint|visible'),
}
BAD_DATA_GP = {
    **_BAD_DATA,
    '20000x20 image': either(
        (RAISED, r'000000200000\.jpg|image files? have another size'),
        (WORKED,),
    ),
    # Group Pose may see it as background.
    'all-invisible person, num_keypoints 17': either(
        ('-> no error; 4 samples',), ('-> no error; 3 samples', 'dropped')
    ),
    'all people invisible': error(FILE, 'keypoint|visible'),
    'all invisible but num_keypoints lies': _kept_or_named(4, 'visible'),
}

# ------------------------------------------------------ config_and_numbers.py

WHOLE = r'-> finished; .*non-finite tensors 0; .*saved state_dict 0'
#: Epoch and step of a loss, or file and annotation of the number behind it.
NUMBER_NAMED = (
    RAISED,
    r'(finite|nan|inf)',
    r'(nan\.json|epoch|step|iteration|annotation)',
)
NUMBERS = {
    'baseline': Rule((WHOLE,)),
    'one NaN keypoint sample': Rule(NUMBER_NAMED),
    'one NaN keypoint sample, clip_grad': Rule(NUMBER_NAMED),
    'one inf keypoint sample': Rule(NUMBER_NAMED),
    'lr 1e8': Rule((RAISED, 'finite', 'epoch', 'loss')),
    'lr -1': error('lr|learning rate'),
    'lr "abc"': error(),
    'batch size 1 (GTPT)': Rule((WHOLE,)),
    'last batch of 1': Rule((WHOLE,)),
    'val with NaN weights and save_best': Rule(NUMBER_NAMED),
    'batch size 0': error('batch_size'),
    'AMP fp16 on a CPU': error('Amp'),
    'AMP bf16 on a CPU': Rule((WORKED,), otherwise=MISSING),
    'batch size > dataset, drop_last': error('batch', 'drop_last|dataset'),
}
CONFIGS = {
    'misspelt backbone arg': error('keep_rate'),
    'misspelt head arg': error('outchannels'),
    'top level typo modle.backbone.arch': error('modle', r'\bmodel\b'),
    'top level typo load_form': error('load_form', 'load_from'),
    'typo train_cfg.max_epoch': error('max_epoch'),
    'typo train_dataloader.batchsize': error('batchsize'),
    'typo train_dataloder.batch_size': error(
        'train_dataloder', 'train_dataloader'
    ),
    'typo optim_wrapper.optimizer.learning_rate': error('learning_rate'),
    'typo optim_wrapper.clip_gard': error('clip_gard'),
    'typo default_hooks.chekpoint': error('chekpoint|default_hooks|type'),
    'typo model.test_cfg.fliptest': error('fliptest', 'flip_test'),
    'typo in dataset': error('annfile'),
    'typo of a transform type': error('RandomFilp'),
    'unknown dataset type': error('CooDataset'),
    'unknown model type': error('TopdownPoseEstimater'),
    'unknown arch': error('huge'),
    'out_channels 16': error('out_channels', '16'),
    'out_channels 18': error('out_channels', '18'),
    'in_channels 64': error('in_channels', '64'),
    'decoder of another input size (head)': error(
        'decoder|codec', r'48\D+64', r'64\D+96'
    ),
    'codec of the pipeline of another size': error(
        'encoder|codec', r'48\D+64', r'64\D+96'
    ),
    'affine of another size': error('input_size|size', r'48\D+64|64\D+48'),
    'decoder of another codec type (MSRAHeatmap)': error('MSRAHeatmap'),
    'decoder split_ratio 3 (head), 2 (pipeline)': error('split_ratio', '3'),
    'max_epochs 0': error('max_epochs', r'\b0\b'),
    'max_epochs -1': error('max_epochs', '-1'),
    'max_epochs "3"': error('max_epochs'),
    'val_interval 0': error('val_interval', r'\b0\b'),
    'checkpoint.interval 0': either((WHOLE,), (RAISED, 'interval')),
    'save_best typo': error('save_best', 'coco/APP', r'coco/AP\b'),
    'EMA total_epochs 0': error('total_epochs'),
    'EMA momentum 2': error('momentum'),
    'work_dir is a file': error('afile'),
    'work_dir under /proc': error('/proc/foo'),
    'dataset without custom_imports': either((WHOLE,), (RAISED, 'gtpt_mmm')),
    'keep_rates of 3': error('keep_rates'),
    'keep_rates 1.5': error('keep_rates', r'1\.5'),
    'img_size not a multiple of the patch': error('img_size', '97'),
    'swapped img_size (w, h)': error('img_size'),
    'preprocessor without mean': error('mean'),
    'keypoint group missing one keypoint': error('keypoint|out_channels'),
    'keypoint twice': error('once|twice'),
    'ann_file of val in training? bbox_file in train': error('nope.json'),
    'metric of wrong ann_file': error('nope.json'),
}

# --------------------------------------------------------------------- cli.py


def refused(*words: str, **options) -> Rule:
    """Exit code 2 and a message with these words."""
    return Rule((r'rc=(2|exit 2)', *words), (r'rc=0',), **options)


def done(*words: str, **options) -> Rule:
    """Exit code 0, and these words."""
    return Rule((r'rc=0', *words), (r'rc=(2|exit 2)',), **options)


_CHECKPOINT_WORDS = {
    'evil': 'posix.system|refused|not loaded',
    'missing': FOUND,
    'dir': 'found|folder|directory|not a file',
    'empty': 'empty|0 bytes|complete|read',
    'html': 'html|read|checkpoint',
    'half': DAMAGED,
    'tensor': r'\btensor\b(?!\.pth)|no state_dict',
    'list': r'\blist\b(?!\.pth)|no state_dict',
    'nothing': 'empty|nothing|no tensor|weights|missing|0 of',
}


def _files(command: str, names: dict[str, str]) -> dict[str, Rule]:
    return {
        f'{command} {name}': refused(rf'ck/{name}\.pth', words)
        for name, words in names.items()
    }


EXISTS = ('exists', '--overwrite')
CLI_SPLIT = {
    'split of GTPT config': refused('GTPTHead|head'),
    'split good one': done('wrote'),
    'split again': refused(*EXISTS),
    'split --dataset ../../x': refused(r'\.\./\.\./x'),
    'split --dataset twice': done('wrote'),
    'split wrong checkpoint': refused('epoch_4|key|fit|match'),
    **_files('split checkpoint', _CHECKPOINT_WORDS),
    'split missing config': refused(r'nope\.py'),
    'split config with syntax error': refused(r'syntax\.py|syntax'),
    'split config without model': refused(r'nomodel\.py|\bmodel\b'),
    'split out is a file': refused('afile'),
    'split on a symlink target': refused(*EXISTS, 'victim.*precious'),
    'split on a dangling symlink': refused(
        'link|exists', r'through the link: False'
    ),
    'split config whose dataset is named ../../../escape': refused('escape'),
    'add-dataset ok': done('seven'),
    'add-dataset exists': refused(*EXISTS),
    'add-dataset onto itself with --overwrite': done(),
    'add-dataset name with a dot': refused(r'a\.b'),
    'add-dataset name empty': refused(r"name|''"),
    'add-dataset like unknown': refused('nope|like'),
    'add-dataset name taken': refused('coco'),
    **_files(
        'add-dataset',
        {
            key: _CHECKPOINT_WORDS[key]
            for key in ('evil', 'empty', 'half', 'html')
        },
    ),
    'add-dataset othernames': refused('datasets|experts'),
    'add-dataset to a folder': refused('folder|directory'),
    'convert --dataset nope': refused('nope'),
    'convert --dataset ../x': refused(r'\.\./x'),
    'convert --to mmpose of pp': refused(r'ViTPose\+\+'),
    'convert to a full disk, --overwrite': refused(
        'space', 'target now 13 .*old good file', mount=True
    ),
    'split to a full disk': refused('space', mount=True),
    'sample-data to a full disk': refused('space|full', mount=True),
    **{
        name: refused('read-only', mount=True)
        for name in (
            'convert to a read-only folder',
            'split to a read-only folder',
            'sample-data to a read-only folder',
            'visualize to a read-only folder',
            'benchmark --json read-only',
            'benchmark --json on an unwritable file',
        )
    },
}
CLI_VIS = {
    'visualize good': done('_pruning.png'),
    'visualize again (overwrites?)': Rule(EXISTS, otherwise=MISSING),
    **_files(
        'visualize checkpoint',
        {**_CHECKPOINT_WORDS, 'nan': 'finite|nan'},
    ),
    'visualize checkpoint othernames': refused('othernames|key|fit|weights'),
    'visualize checkpoint wrongshape': refused('size|shape|weights|fit'),
    'visualize no image': refused(r'nope\.jpg'),
    'visualize folder as image': refused('folder|read'),
    'visualize text as image': refused(r'g6\.py'),
    'visualize one': done(),
    'visualize long': done(),
    'visualize sixteen': done(),
    'visualize box NaN': refused('nan'),
    'visualize box empty': refused('box'),
    'visualize box reversed': refused('box'),
    'visualize box outside': refused('box'),
    # Clipped to the image; finding it odd would be as good.
    'visualize box inf': Rule((r'rc=(0|2)',)),
    'visualize box 1e9': Rule((r'rc=(0|2)',)),
    'visualize keypoint unknown': refused('knee'),
    'visualize keypoint 17': refused('17'),
    'visualize keypoint -1': refused('-1'),
    'visualize layer 0': refused(r'\b0\b'),
    'visualize layer 99': refused('99'),
    'visualize device nope': refused('nope'),
    'visualize device cuda': refused('cuda'),
    'visualize config of ViTPose': refused('key|config|ViTPose|fit|weights'),
    'visualize config missing': refused(r'nope\.py'),
    'visualize out is a file': refused('exists|file|folder'),
    'visualize same stem twice': refused('name'),
    'visualize good and bad image': refused(r'nope\.jpg'),
    'benchmark unknown': refused('nope'),
    'benchmark batch 0': refused('batch'),
    'benchmark batch -1': refused('batch'),
    'benchmark repeats 0': refused('repeats'),
    'benchmark dtype fp8': refused('fp8'),
    'benchmark threads 0': refused('threads'),
    'benchmark input-size 0 0': refused(r'\(0, 0\)'),
    'benchmark typo in change': refused('keeprates'),
    'benchmark code in change': refused('keep_rates'),
    'benchmark --json on an existing file': refused(
        *EXISTS, 'json now precious'
    ),
    'benchmark --json to a folder': refused('folder|directory'),
    'benchmark time-limit -1': Rule((r'rc=(1|2|exit 2)',)),
    'sample-data negative': refused('num_train|-1'),
    'sample-data huge val': refused('num_val'),
    'sample-data image 10 10': refused('image_size|image-size'),
    'sample-data people 1000': refused('max_people|max-people'),
    'sample-data workers 0': refused('workers'),
    'sample-data 0 images': done(),
    'sample-data on foreign files': done(),
    'sample-data foreign folder': refused('overwrite'),
    'sample-data foreign folder --overwrite': done('mine.txt kept True'),
    'sample-data out is a file': refused(r'g6\.py'),
    'sample-data seed -5': refused('seed'),
    'sample-data seed 10**30': Rule((r'rc=(0|2)',)),
    'sample-data broken manifest': refused(r'pose_samples\.json'),
    'sample-data manifest with 1e9 (float)': refused(r'pose_samples\.json'),
    'sample-data image-size 30000 30000': Rule((r'rc=(0|2)',)),
    'no command': refused('command'),
    'unknown command': refused('trian'),
    'doctor extra': refused(r'\bx\b|arguments'),
}

# ------------------------------------------------------------ silent_codec.py

_LOSS = (r"'loss \d+\.\d+', 'finite grads', True",)
SILENT_CODEC = {
    'ViTPose train, head.decoder.input_size doubled, heatmap_size kept': error(
        'decoder|codec', r'128\D+192'
    ),
    'ViTPose train, head.decoder.heatmap_size wrong': error(
        'decoder|codec|heatmap', r'48\D+64'
    ),
    'ViTPose test, head.decoder.input_size doubled, heatmap_size kept: '
    'first keypoints right/wrong': error('decoder|codec', r'128\D+192'),
    **{
        f'{model}, batch of 1': fine(*_LOSS)
        for model in (
            'ViTPose',
            'HEViTPose',
            'Group Pose',
            'ViTPose AE',
            'MAE',
            'ViTPose++',
            'GTPT whole-body',
        )
    },
}
