"""``gtpt-mm finetune``: from an annotated set to a trained model."""

import argparse

from . import new

HELP = 'train a model on an annotated set, test it and write a report'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the subcommand, those of ``gtpt-mm new``."""
    new.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Train, or go on; print the numbers and the next commands."""
    import os
    import shutil

    from gtpt_mm.apis.finetune.project import (
        default_folder,
        find_device,
        new_project,
        open_project,
    )

    options = new.read_options(args)
    if find_device(options.device) == 'cpu':
        os.environ['CUDA_VISIBLE_DEVICES'] = '-1'
    folder = args.dir or default_folder(options)
    project = None if args.overwrite else open_project(options, folder)
    if project is None:
        project = new_project(options, folder, args.overwrite)
        if args.overwrite:
            shutil.rmtree(project.work_dir, ignore_errors=True)
    print('\n'.join(project.notes), flush=True)
    from gtpt_mm.apis.finetune.finetune import find_best, finetune
    from gtpt_mm.apis.finetune.report import next_commands, shorten

    numbers = finetune(project)
    print(', '.join(f'{key} {value:.3f}' for key, value in numbers.items()))
    print(shorten(project.report))
    print('next:')
    print('\n'.join(next_commands(project, find_best(project))))
    return 0
