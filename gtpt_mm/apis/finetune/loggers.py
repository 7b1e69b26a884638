"""Loggers beside mmengine's files: one name, one line of a config."""

import importlib.util

#: Name: class of mmengine, package to import, further arguments.
LOGGERS = {
    'tensorboard': ('TensorboardVisBackend', 'tensorboard', ''),
    'wandb': (
        'WandbVisBackend',
        'wandb',
        ", init_kwargs=dict(project='{name}', mode='offline')",
    ),
    'mlflow': ('MLflowVisBackend', 'mlflow', ", exp_name='{name}'"),
    'clearml': (
        'ClearMLVisBackend',
        'clearml',
        ", init_kwargs=dict(project_name='{name}', task_name='training', "
        'offline=True)',
    ),
}


def check_logger(name: str) -> None:
    """Raise if a logger is unknown or its package is missing.

    Raises:
        ValueError: With the line that installs it.
    """
    if not name:
        return
    if name not in LOGGERS:
        raise ValueError(
            f'there is no logger {name!r}; there are {", ".join(LOGGERS)}'
        )
    package = LOGGERS[name][1]
    if importlib.util.find_spec(package) is None:
        raise ValueError(
            f'--logger {name} requires the package {package}: '
            f'pip install "gtpt_mm[{name}]"'
        )


def logger_line(name: str, title: str) -> str:
    """Return the line of a config that adds a logger to mmengine's files.

    Args:
        name: A key of ``LOGGERS``.
        title: Name of the project in the logger.
    """
    kind, _, options = LOGGERS[name]
    words = options.replace('{name}', title)
    return (
        "visualizer = dict(vis_backends=[dict(type='LocalVisBackend'),\n"
        f"    dict(type='{kind}'{words})])"
    )
