"""The folder of this package's configs, in a wheel and in a clone.

Imports nothing, so that ``gtpt-mm`` can name models without torch.
"""

from pathlib import Path


def find_configs() -> Path:
    """Find the folder ``configs``.

    Beside it lie ``model-index.yml``, ``dataset-index.yml`` and ``tools``.

    Returns:
        ``gtpt_mm/.mim/configs`` of a wheel, where mim looks as well; or
        ``configs`` beside the package in a clone, which an editable install
        uses.

    Raises:
        FileNotFoundError: If neither exists.

    Example:
        >>> (find_configs() / '_base_' / 'default_runtime.py').is_file()
        True
    """
    package = Path(__file__).resolve().parent
    for root in (package / '.mim', package.parent):
        if (root / 'model-index.yml').is_file():
            return root / 'configs'
    raise FileNotFoundError(
        f'no configs of gtpt_mm, neither in {package / ".mim"} nor in '
        f'{package.parent}; install gtpt_mm again, from its wheel or with '
        'pip install -e from a clone'
    )
