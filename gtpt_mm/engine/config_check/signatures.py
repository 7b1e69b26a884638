"""Arguments that a class takes, and the kinds of values."""

import ast
import inspect
import textwrap
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from torch import Tensor

#: Arguments that mmengine passes and a config does not set.
GIVEN = {
    'self', 'runner', 'dataloader', 'evaluator', 'params', 'optimizer',
    'model', 'module', 'dataset', 'sampler', 'param_name', 'save_dir',
}  # fmt: skip
VARIADIC = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
#: Packages whose annotations leave no case out.
TYPED = ('gtpt_mm', 'mmengine.runner', 'torch')


@dataclass
class Arguments:
    """Arguments of a constructor and of its bases that it passes on to.

    Attributes:
        defaults: Default by name; ``inspect.Parameter.empty`` for none.
        hints: Annotation by name, where it can be read.
        strict: Names whose annotation is checked by a type checker.
        is_open: Whether it takes names that cannot be listed.
    """

    defaults: dict[str, Any] = field(default_factory=dict)
    hints: dict[str, Any] = field(default_factory=dict)
    is_open: bool = False
    strict: set[str] = field(default_factory=set)

    @property
    def names(self) -> set[str]:
        """All names that a config may give."""
        return set(self.defaults) - {'self', 'runner', 'dataloader'}

    @property
    def required(self) -> set[str]:
        """Names that a config must give."""
        empty = inspect.Parameter.empty
        return {k for k, v in self.defaults.items() if v is empty} - GIVEN


@cache
def read_arguments(obj: Callable) -> Arguments:
    """Return the arguments of a class or function."""
    found = Arguments()
    if not inspect.isclass(obj):
        found.is_open = not _add(found, obj, None)
        return found
    for cls in obj.__mro__:
        init = cls.__dict__.get('__init__')
        if cls is object:
            found.is_open = False
            return found
        if init is None:
            continue
        if not _has_kwargs(init):
            found.is_open = not _add(found, init, None)
            return found
        kwargs = _read_kwargs(init)
        if not _add(found, init, kwargs) or kwargs is None:
            found.is_open = True
            return found
    return found


def _add(
    found: Arguments, function: Callable, kwargs: set[str] | None
) -> bool:
    """Add the parameters of a function; False if they cannot be read."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return False
    try:
        hints = typing.get_type_hints(function)
    except Exception:  # names that exist only for a type checker
        hints = {}
    is_closed = True
    for name, parameter in signature.parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            is_closed = kwargs is not None
        if parameter.kind in VARIADIC:
            continue
        found.defaults.setdefault(name, parameter.default)
        if name in hints and name not in found.hints:
            found.hints[name] = hints[name]
            if getattr(function, '__module__', '').startswith(TYPED):
                found.strict.add(name)
    for name in kwargs or ():
        found.defaults.setdefault(name, None)
    return is_closed


def _has_kwargs(function: Callable) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return True
    return any(p.kind is p.VAR_KEYWORD for p in parameters)


def _read_kwargs(function: Callable) -> set[str] | None:
    """Return the names that a constructor itself takes from ``**kwargs``.

    None if it uses them for more than passing them to its base: then they
    cannot be listed.
    """
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return None
    definition = tree.body[0]
    assert isinstance(definition, ast.FunctionDef)
    kwarg = definition.args.kwarg
    assert kwarg is not None
    names: set[str] = set()
    num_uses = num_passed = 0
    for node in ast.walk(definition):
        if isinstance(node, ast.Name) and node.id == kwarg.arg:
            num_uses += 1
        if isinstance(node, ast.Call):
            passes = any(
                k.arg is None
                and isinstance(k.value, ast.Name)
                and k.value.id == kwarg.arg
                for k in node.keywords
            )
            name = getattr(node.func, 'attr', '')
            num_passed += passes and name == '__init__'
            if name in ('pop', 'get', 'setdefault') and _is(node, kwarg.arg):
                num_uses -= 1
                if node.args and isinstance(node.args[0], ast.Constant):
                    names.add(str(node.args[0].value))
    return names if num_passed and num_uses <= num_passed else None


def _is(call: ast.Call, name: str) -> bool:
    """Tell whether a method of the variable ``name`` is called."""
    function = call.func
    return (
        isinstance(function, ast.Attribute)
        and isinstance(function.value, ast.Name)
        and function.value.id == name
    )


# ---------------------------------------------------------- kinds of values


def find_mismatch(value: Any, arguments: Arguments, name: str) -> str | None:
    """Return the expected kind of value, or None if it may be right."""
    default = arguments.defaults.get(name)
    hint = arguments.hints.get(name)
    if name == 'init_cfg':
        hint = dict | list | None  # mmpretrain's leaves out lists
    if name == 'loss_scale' and isinstance(value, float | dict):
        return None  # mmengine takes them, unlike its annotation
    if value is None and (default is None or name not in arguments.strict):
        return None  # stock annotations often leave out None
    if hint is not None:
        if type(value) is type(default) and value == default:
            return None
        is_close = isinstance(value, float) and (
            value.is_integer() or not is_count(name)
        )
        is_close = is_close and name not in arguments.strict
        if fits(value, hint) or (is_close and fits(1, hint)):
            return None
        return _name_type(hint)
    return _compare_to_default(value, default, name)


def is_count(name: str) -> bool:
    """Tell whether an argument counts something, by its name."""
    return name.startswith('num_') or name.endswith(
        ('_channels', '_dims', 'depth', 'interval', 'begin', 'end', '_ckpts')
    )


def _compare_to_default(value: Any, default: Any, name: str) -> str | None:
    """Judge a value whose argument has no annotation."""
    is_number = isinstance(default, int | float)
    if default is inspect.Parameter.empty:
        is_wrong = is_count(name) and isinstance(value, str | dict)
        return 'a number' if is_wrong else None
    if isinstance(value, str) and (is_number or type(default) is tuple):
        return f'a {type(default).__name__}'
    if isinstance(default, str) and isinstance(value, int | float | list):
        return 'a str'
    if is_number and isinstance(value, dict):
        return f'a {type(default).__name__}'
    return None


def fits(value: Any, hint: Any) -> bool:
    """Tell whether a value from a config can match a type hint."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, arg) for arg in args)
    if origin is typing.Literal:
        return value in args
    if origin is typing.Annotated:
        return fits(value, args[0])
    if hint is None or hint is type(None):
        return value is None
    base = origin or hint
    if not inspect.isclass(base):
        return True  # Any, TypeVar, a name
    if base in (Tensor, np.ndarray):
        return not isinstance(value, str | dict | None | bool)
    if base in (bool, int, float, str):
        return _is_scalar(value, base)
    if issubclass(base, dict | Mapping):
        return isinstance(value, dict)
    if base in (Iterable, Sequence) or issubclass(base, list | tuple | set):
        return _is_sequence(value, base, args)
    return not isinstance(
        value, int | float
    ) or not base.__module__.startswith(('gtpt_mm', 'pathlib'))


def _is_scalar(value: Any, kind: type) -> bool:
    if isinstance(value, str | dict | list | tuple) or value is None:
        return kind is str and isinstance(value, str)
    if kind is str:
        return not isinstance(value, int | float)
    if kind is bool:
        return not isinstance(value, float)
    if kind is int:
        return not isinstance(value, float | bool)
    return not isinstance(value, bool)


def _is_sequence(value: Any, base: type, args: tuple) -> bool:
    if isinstance(value, str | dict | int | float) or value is None:
        return False
    if not isinstance(value, list | tuple) or not args:
        return True
    if not all(arg in (int, float, str) for arg in args if arg is not ...):
        return True  # nested ones are often annotated wrongly
    if issubclass(base, tuple) and Ellipsis not in args and len(args) > 1:
        return len(value) == len(args) and all(
            fits(v, a) for v, a in zip(value, args, strict=True)
        )
    return all(fits(v, args[0]) for v in value)


def _name_type(hint: Any) -> str:
    text = hint.__name__ if inspect.isclass(hint) else str(hint)
    return text.replace('typing.', '').replace('collections.abc.', '')
