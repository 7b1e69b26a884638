"""Rules of the cases that are shell scripts or processes; see ``rules.py``."""

from .judge import MISSING, Rule
from .rules import (
    DAMAGED,
    EXISTS,
    FOUND,
    NONE_LOADED,
    NUMBER_NAMED,
    RAISED,
    error,
    fine,
)

FAILED = r'\brc [1-9]'
ENDED = r'\brc 0$'
REFUSED = r'(posix\.system|not loaded|refused)'
#: All that ``cmp.py`` compares is equal.
SAME = (
    r'^state_dict n \d+ different 0\b',
    r'^ema_state_dict n \d+ different 0\b',
    r'^optimizer state [1-9]\d* different 0 groups equal True',
    r'^schedulers equal True',
    r'^loss \[\]',
)
DIFFERENT = (r'different [1-9]', r'equal False', r'^loss \[\(')
KILLED = r'^killed, code -9'
NO_PROCESS_LEFT = r'^0$'

DISK = {
    'keep1: killed in write of epoch_3, max_keep_ckpts=1': Rule(
        (r'epoch_\d\.pth$', 'resume rc 0', r'resumed')
    ),
    'disk full': Rule(
        (FAILED, r'epoch_\d\.pth', 'space', r'mnt/d'), mount=True
    ),
    'resume on the full disk after (nothing removed)': Rule(
        (FAILED, 'space', r'epoch_\d\.pth'), mount=True
    ),
}
SIGNALS = {
    'signal 15': Rule(
        (r'SIGTERM|signal 15', r'saved|checkpoint|resume', NO_PROCESS_LEFT),
        otherwise=MISSING,
    ),
    'signal 2': Rule((r'KeyboardInterrupt|SIGINT', NO_PROCESS_LEFT)),
    'last_checkpoint missing file': Rule((ENDED, 'resumed epoch: 4')),
    'last_checkpoint absent though epochs are there': Rule(
        (r'epoch_5\.pth',), (r'Epoch\(train\)',)
    ),
    'last_checkpoint empty file': Rule((ENDED, 'resumed')),
    'moved work_dir': Rule((ENDED, 'resumed')),
    '--resume evil': Rule((FAILED, REFUSED), instead=(ENDED, r'epoch_\d')),
    'load_from evil': Rule((FAILED, REFUSED)),
    'test evil': Rule((FAILED, REFUSED)),
    'test othernames (nothing loads)': Rule((FAILED, NONE_LOADED)),
}
PROCESSES = {
    'worker killed': Rule(
        (r'^worker \d+', 'ended after', r'worker.*(exited|killed)'),
        ('STILL RUNNING',),
    ),
    'ddp: one of two killed': Rule(
        (r'rank pid \d+ of \d+ \d+', 'launcher ended', r'SIGKILL|-9'),
        ('STILL RUNNING', 'set_device'),
    ),
    'two runs in one work_dir at the same time': Rule(
        (ENDED, FAILED, r'two\d\.log:[1-9]')
    ),
}
CURRICULUM = {'curriculum': Rule((ENDED, *SAME), (FAILED, *DIFFERENT))}
LAUNCHED = {
    'ddp under torchrun: one of two killed': Rule(
        (r'kids \d+ \d+', 'launcher ended', r'SIGKILL|-9'),
        ('STILL RUNNING', 'alive'),
    ),
    'SIGINT': Rule((r'^rc (1|130|-2)$', 'resume rc 0')),
}
ENVIRONMENT = {
    'LC_ALL=C unicode path': Rule(
        (r'pruning\.png$',), instead=(r'^gtpt-mm\b.*(locale|utf-8)',)
    ),
    'LC_ALL=C split (config text)': Rule(
        (r'wrote',), instead=(r'^gtpt-mm\b.*(locale|utf-8)',)
    ),
    'no HOME, empty env, no network, doctor': Rule((ENDED,)),
    'stdin closed': Rule((r'x\.pth: \d+ tensors|sha',)),
    'stdout closed': Rule((ENDED, r'^env/x2\.pth$')),
    'PYTHONOPTIMIZE=1 train 1 epoch': Rule((ENDED,)),
    'sample-data killed, then again': Rule(('^identical$',)),
    'convert SIGINT/kill while writing': Rule(
        ('^whole$',), instead=(r' 4 \w+ .*k\.pth',)
    ),
    'two sample-data at once in one folder': Rule((ENDED, FAILED, '^30$')),
}
DRAWING = {
    'sample-data killed and called again; LC_ALL=C': Rule(
        ('^identical$', r'pruning\.png$')
    )
}
RANKS = {
    'a rank is killed': Rule(
        (r'running \[None, None\]', r'rank 0 ended with (1|-\d+)'), ('hangs',)
    )
}
NAMES = {
    'dataset names exchanged': Rule((RAISED, 'names', 'coco', 'ap10k')),
    'evaluator names exchanged': Rule((RAISED, 'names', 'coco', 'ap10k')),
}
#: The script itself looks the head up by the number alone: what can be asked
#: is that a sample says its dataset, which the head then compares.
NAMES_INDEX = {
    'names of the dataset exchanged': Rule(
        (r'^coco .* says coco$', r'^ap10k .* says ap10k$'),
        instead=('Error', 'names', 'coco', 'ap10k'),
        traceback=True,
    )
}
NAN_ROTATES = {
    'one NaN keypoint, max_keep_ckpts=2': Rule(
        ('Error', *NUMBER_NAMED[1:]),
        (r'not finite: [1-9]',),
        traceback=True,
    )
}
KILL = {
    'two runs are equal': Rule((ENDED, *SAME), DIFFERENT),
    'SIGKILL in an epoch, resumed': Rule((KILLED, ENDED, *SAME), DIFFERENT),
    'SIGKILL in a save, resumed': Rule((KILLED, ENDED, *SAME), DIFFERENT),
    'augmentation of two epochs, workers not persistent': Rule(
        (r'epochs equal False',), (r'epochs equal True',)
    ),
    'resume from a best file without optimizer': Rule(
        (FAILED, 'optimizer', 'load_from')
    ),
    'resume from bare weights': Rule((FAILED, 'load_from')),
    'resume with another batch size': Rule((FAILED, 'batch')),
    'pickle as bbox_file': Rule((FAILED, r'\.pkl', 'refuse|not read|pickle')),
}


def _refused(*words: str) -> Rule:
    """One line with exit code 2."""
    return Rule((r'^rc 2$', *words), (r'^rc [01]$',))


CONVERT = {
    **{
        f'{name}': _refused(rf'ck/{name}\.pth', words)
        for name, words in {
            'evil': REFUSED,
            'evil_old': REFUSED,
            'evil_pickle': 'pickle|checkpoint|read',
            'empty': 'empty|0 bytes|complete',
            'html': 'html|checkpoint',
            'half': DAMAGED,
            'bitflip': f'{DAMAGED}|flipped|record|changed',
            'tensor': r'\btensor\b(?!\.pth)|no state_dict',
            'list': r'\blist\b(?!\.pth)|no state_dict',
            'nan': 'finite|nan',
            'missing': FOUND,
            'dir': 'found|folder|directory|not a file',
        }.items()
    },
    'nothing': _refused(r'empty|no tensor|holds no|keys are \[\]'),
    'othernames': _refused('keys|names'),
    **{
        f'{name}.safetensors': _refused(rf'ck/{name}\.safetensors')
        for name in ('empty', 'huge')
    },
    'wrong.safetensors': Rule((r'^rc [02]$',)),
    'good to safetensors': Rule((ENDED, r'^good\.safetensors$', 'sha-?256')),
    'official': Rule((ENDED, 'sha-?256')),
    'target exists': _refused(*EXISTS),
    'target a folder': _refused('folder|directory'),
}
INFERENCER = {
    'HTML as jpg': error(r'html\.jpg'),
    'empty file': error(r'empty\.jpg'),
    'truncated JPEG': error(r'cut\.jpg'),
    'empty folder': error('empty_folder'),
    'missing file': error(r'nope\.jpg', FOUND),
    'text file': error(r'text\.txt'),
    '1x1': fine(),
    '20x2000': fine(),
    'unicode path': fine(),
    'gray array': Rule((r'-> no error',), instead=(RAISED, 'channel|shape')),
    'RGBA array': Rule((r'-> no error',), instead=(RAISED, 'channel|shape')),
    'uint16 array': Rule((r'-> no error',), instead=(RAISED, 'uint')),
    'float array with NaN': error('finite|nan|uint8|dtype'),
    'empty array': error('empty|size|shape|assertion'),
    'None': error('None', 'image|input|path'),
    # Used, or refused.
    'boxes beside a detector': Rule(
        (r'-> no error', r'box \[0(\.0)?, 0(\.0)?, 100(\.0)?, 100(\.0)?\]'),
        instead=(RAISED, 'bboxes', 'ignored|det_model|detector'),
    ),
    'boxes of size zero': error('box', 'empty|size|zero|area'),
    'boxes of NaN': error('box', 'finite|nan|det_model'),
    'unknown option': error('kpt_th'),
    'folder of pictures is a file': error('a_file'),
    'unknown model': error('gtpt-t'),
}
