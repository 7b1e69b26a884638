"""The scripts: how each is started, what it needs, how its output is cut."""

import sys
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from . import inference_rules, rules, shell_rules, training_rules
from .judge import (
    Case,
    Rule,
    cut_after_heads,
    cut_at_results,
    cut_nowhere,
)

Cut = Callable[..., list[Case]]
_results = cut_at_results
_equals = partial(cut_after_heads, head='== ')
_hashes = partial(cut_after_heads, head='##### ')
_signs = partial(cut_after_heads, head='===== ')
_dashes = cut_after_heads


class Script(NamedTuple):
    """One script of the shared folder, or of ``cases`` beside this file.

    Args:
        name: Its name on the command line.
        command: How it is started in the scratch folder.
        rules: Rules of its cases.
        how: How its output is cut into cases.
        needs: Parts of the scratch folder that are made before.
        limit: Seconds after which it is stopped.
        about: What it tries.
        output: The file to which it writes, if not to stdout.
    """

    name: str
    command: list[str]
    rules: dict[str, Rule]
    how: Cut
    needs: tuple[str, ...]
    limit: int
    about: str
    output: str = ''

    def cut(self, text: str) -> list[Case]:
        """Cut what it printed into cases."""
        return self.how(text, self.rules)


def _python(name: str, file: str, *args: str, **rest) -> Script:
    return Script(name, [sys.executable, f'{file}.py', *args], **rest)


def _shell(name: str, **rest) -> Script:
    return Script(
        name,
        ['bash', f'{name}.sh'],
        output=f'logs/{name}.txt',
        how=_dashes,
        **rest,
    )


_shared_cases = (
    _python(
        'checkpoints',
        'checkpoints',
        rules=rules.CHECKPOINTS,
        how=_signs,
        needs=('wd_a', 'ck'),
        limit=400,
        about='wrong and evil checkpoints through inferencer and init_cfg',
    ),
    *(
        _python(
            f'bad_data_{kind}',
            'bad_data',
            kind,
            rules=table,
            how=_results,
            needs=('demo', 'sample'),
            limit=500,
            about=f'annotations and images, {model}',
        )
        for kind, table, model in (
            ('td', rules.BAD_DATA_TD, 'top-down'),
            ('gp', rules.BAD_DATA_GP, 'Group Pose'),
        )
    ),
    *(
        _python(
            name,
            'config_and_numbers',
            number,
            rules=table,
            how=_results,
            needs=('demo',),
            limit=600,
            about=about,
        )
        for name, number, table, about in (
            ('numbers', '4', rules.NUMBERS, 'NaN, rates, batches'),
            ('configs', '5', rules.CONFIGS, 'mistakes in configs'),
        )
    ),
    *(
        _python(
            f'cli_{group}',
            'cli',
            group,
            rules=table,
            how=_results,
            needs=('wd_n1', 'ck'),
            limit=600,
            about='bad arguments, links, folders, disks',
        )
        for group, table in (
            ('split', rules.CLI_SPLIT),
            ('vis', rules.CLI_VIS),
        )
    ),
    _python(
        'silent_codec',
        'silent_codec',
        rules=rules.SILENT_CODEC,
        how=_results,
        needs=('demo', 'sample'),
        limit=300,
        about='codec of the head and of the pipeline; batches of one',
    ),
    _python(
        'names_exchanged',
        'names_exchanged',
        rules=shell_rules.NAMES,
        how=partial(
            cut_at_results, head=r'(?=(dataset|evaluator) names exchanged)'
        ),
        needs=('sample',),
        limit=300,
        about='order of dataset names, training and evaluator',
    ),
    _python(
        'names_exchanged_idx',
        'names_exchanged_idx',
        rules=shell_rules.NAMES_INDEX,
        how=cut_nowhere,
        needs=('sample',),
        limit=120,
        about='order of dataset names, sample by sample',
    ),
    _python(
        'nan_rotates_good_away',
        'nan_rotates_good_away',
        rules=shell_rules.NAN_ROTATES,
        how=cut_nowhere,
        needs=('demo',),
        limit=120,
        about='NaN weights push the last good checkpoint out',
    ),
)
_shared_shell = (
    _shell(
        'b1',
        rules=shell_rules.DISK,
        needs=('demo',),
        limit=600,
        about='killed in a save; a full disk',
    ),
    _shell(
        'b2',
        rules=shell_rules.SIGNALS,
        needs=('wd_n1', 'ck'),
        limit=900,
        about='signals, last_checkpoint, evil files',
    ),
    _shell(
        'b7',
        rules=shell_rules.PROCESSES,
        needs=('demo',),
        limit=600,
        about='a worker or a rank is killed; two runs in one folder',
    ),
    _shell(
        'b10',
        rules=shell_rules.CURRICULUM,
        needs=('demo', 'sample'),
        limit=600,
        about='resume around the switch of the curriculum',
    ),
    _shell(
        'b11',
        rules=shell_rules.LAUNCHED,
        needs=('demo',),
        limit=600,
        about='torchrun and a killed rank; SIGINT',
    ),
    _shell(
        'b12',
        rules=shell_rules.ENVIRONMENT,
        needs=('wd_n1', 'ck', 'pp'),
        limit=600,
        about='locale, closed streams, kills while writing',
    ),
    _shell(
        'b16',
        rules=shell_rules.DRAWING,
        needs=('wd_n1', 'picture'),
        limit=300,
        about='sample-data killed; a name outside ASCII',
    )._replace(how=cut_nowhere),
    _python(
        'ddp_kill',
        'ddp_kill',
        rules=shell_rules.RANKS,
        how=cut_nowhere,
        needs=('demo',),
        limit=300,
        about='a rank is killed, no launcher watches',
    ),
)
_own = (
    Script(
        'convert',
        ['bash', 'convert.sh'],
        rules=shell_rules.CONVERT,
        how=_dashes,
        needs=('wd_a', 'ck'),
        limit=600,
        about='files that are no checkpoint, targets that cannot be',
    ),
    _python(
        'inferencer',
        'inferencer',
        rules=shell_rules.INFERENCER,
        how=_results,
        needs=('wd_a',),
        limit=200,
        about='odd pictures, boxes and options',
    ),
    Script(
        'kill',
        ['bash', 'kill.sh'],
        rules=shell_rules.KILL,
        how=_dashes,
        needs=('wd_a', 'ck'),
        limit=600,
        about='killed and resumed equals not killed; refused resumes',
    ),
    Script(
        'starfish',
        ['bash', 'starfish.sh'],
        rules=training_rules.STARFISH,
        how=_dashes,
        needs=('starfish',),
        limit=900,
        about='a small dataset learns, and saves, an AP of 0.30',
    ),
)


def _complaint(name: str, file: str, table: dict[str, Rule], **rest) -> Script:
    options = dict(how=_hashes, needs=('starfish',), limit=400)
    args = rest.pop('args', ())
    return _python(name, file, *args, rules=table, **{**options, **rest})


def _complaint_shell(name: str, table: dict[str, Rule], **rest) -> Script:
    options = dict(how=_equals, needs=('starfish',), limit=600)
    return Script(name, ['bash', f'{name}.sh'], table, **{**options, **rest})


_complaints = (
    *(
        _complaint(
            f'01_annotation_fields_{model}',
            '01_annotation_fields',
            training_rules.FIELDS,
            args=(model,),
            about='fields of annotation files that are absent or odd',
        )
        for model in ('gtpt', 'gp')
    ),
    _complaint(
        '02_oracle_metric',
        '02_oracle_metric',
        training_rules.ORACLE,
        about='perfect predictions have an AP of 1',
    ),
    *(
        _complaint(
            f'03_odd_people_{model}',
            '03_odd_people',
            table,
            args=(model,),
            about='odd boxes and keypoints',
        )
        for model, table in (
            ('gtpt', training_rules.ODD_PEOPLE),
            ('gp', training_rules.ODD_PEOPLE_GP),
        )
    ),
    _complaint(
        '04_skeleton_mismatch',
        '04_skeleton_mismatch',
        training_rules.SKELETON,
        about='skeleton, head and groups that disagree',
    ),
    _complaint(
        '05_unused_and_spawn',
        '05_unused_and_spawn',
        training_rules.UNUSED,
        about='every parameter has a gradient',
    ),
    _complaint(
        '06_resume_finetune',
        '06_resume_finetune',
        training_rules.RESUME,
        about='resume, another skeleton, save_best',
    ),
    _complaint(
        '07_combined',
        '07_combined',
        training_rules.COMBINED,
        needs=('sample', 'starfish'),
        about='several datasets; a subset of the keypoints',
    ),
    _complaint_shell(
        '08_spawn', training_rules.SPAWN, about='workers that are spawned'
    ),
    _complaint(
        '11_images',
        '11_images',
        training_rules.IMAGES,
        about='images as they come',
    ),
    _complaint(
        '12_schedules',
        '12_schedules',
        training_rules.SCHEDULES,
        how=cut_nowhere,
        about='arithmetic of averages and rates',
    ),
    _complaint(
        '14_more_epochs',
        '14_more_epochs',
        training_rules.MORE_EPOCHS,
        about='a longer run goes on learning',
    ),
    _complaint_shell(
        '15_amp_moe',
        training_rules.AMP,
        how=cut_nowhere,
        about='--amp without a GPU',
    ),
    _complaint(
        '16_real_and_moe',
        '16_real_and_moe',
        training_rules.REAL,
        needs=('sample', 'starfish'),
        about='photographs; a dataset that does not fit its head',
    ),
)
_inference = tuple(
    _complaint(file, file, table, how=cut_nowhere, needs=(), about=about)
    for file, table, about in (
        (
            'f01_gtpt_draws_nothing',
            inference_rules.GTPT_DRAWS,
            'the scores of a perfect GTPT are drawn',
        ),
        (
            'f02_bboxes_ignored',
            inference_rules.BOXES,
            'given boxes are used',
        ),
        (
            'f03_nobody_is_somebody',
            inference_rules.NOBODY,
            'nobody is found where nobody is',
        ),
        (
            'f05_inputs',
            inference_rules.INPUTS,
            'folders, paths, PIL images, streams',
        ),
        (
            'f07_half_precision',
            inference_rules.HALF,
            'bfloat16 through the inference functions',
        ),
        (
            'f08_vitpose_plus',
            inference_rules.VITPOSE_PLUS,
            'a ViTPose++ without a split',
        ),
        (
            'f10_batch_size',
            inference_rules.BATCHES,
            'batch_size fills the passes',
        ),
        (
            'f12_video_files',
            inference_rules.VIDEOS,
            'webm and interrupted videos',
        ),
        (
            'f13_onnx_legacy_batch',
            inference_rules.ONNX,
            'GTPT exported without dynamo, any batch',
        ),
    )
)
_demos = _complaint_shell(
    'f11_demo_scripts',
    inference_rules.DEMOS,
    how=cut_nowhere,
    needs=(),
    about="mmpose's demo scripts through gtpt-mm run",
)
_pictures = _complaint_shell(
    '09_visualise',
    training_rules.PICTURES,
    about='pictures while testing; after starfish',
)
SCRIPTS: dict[str, Script] = {
    script.name: script
    for script in (
        *_shared_cases,
        *_shared_shell,
        *_complaints,
        *_inference,
        _demos,
        *_own,
        _pictures,
    )
}
