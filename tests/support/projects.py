"""Scripts of the projects, which are no packages."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

PROJECTS = Path(__file__).resolve().parents[2] / 'projects'


def load_script(path: str) -> ModuleType:
    """Load a script by its path in ``projects/``, without running it."""
    file = PROJECTS / path
    name = f'{file.parent.name}_{file.stem}'
    spec = importlib.util.spec_from_file_location(name, file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
