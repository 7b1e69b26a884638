"""Rules of the cases that are shell scripts or processes; see ``rules.py``."""

from .judge import MISSING, Rule
from .rules import NONE_LOADED, NUMBER_NAMED, RAISED

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
    'last_checkpoint missing file': Rule((ENDED, r'epoch_4\.pth', 'resumed')),
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
        (r'^worker \d+', 'ended after', r'worker.*(exited|killed)'), ('STILL RUNNING',)
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
    'SIGKILL in an epoch, resumed': Rule((ENDED, *SAME), DIFFERENT),
    'SIGKILL in a save, resumed': Rule((ENDED, *SAME), DIFFERENT),
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
