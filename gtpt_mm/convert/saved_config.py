"""Read the config that mmengine saves in a checkpoint, without running it."""

import ast
from collections.abc import Mapping
from typing import Any


def read_saved_config(meta: Mapping | None) -> dict[str, Any]:
    """Return the plain values of the config in a checkpoint.

    Args:
        meta: Entry ``meta`` of the checkpoint. Its ``cfg`` is the text of a
            config, which is a program: lists, dicts, ranges, constants and
            names defined in earlier lines are read; all else is left out.

    Returns:
        Values by name; {} if there is no config.

    Example:
        >>> text = 'size = (4, 3); model = dict(size=size, k=[range(2)])'
        >>> read_saved_config(dict(cfg=text))['model']
        {'size': [4, 3], 'k': [range(0, 2)]}
    """
    text = (meta or {}).get('cfg')
    values: dict[str, Any] = {}
    try:
        lines = ast.parse(text).body if isinstance(text, str) else []
    except SyntaxError:
        return values
    for line in lines:
        if isinstance(line, ast.Assign) and len(line.targets) == 1:
            target = line.targets[0]
            if isinstance(target, ast.Name):
                try:
                    values[target.id] = _evaluate(line.value, values)
                except (ValueError, TypeError):
                    continue
    return values


def _evaluate(node: ast.expr, names: Mapping[str, Any]) -> Any:
    """Return the value of an expression.

    Raises:
        ValueError: If it is not plain.
    """
    match node:
        case ast.Name(id=name) if name in names:
            return names[name]
        case ast.Call(func=ast.Name(id='range'), args=args):
            return range(*map(ast.literal_eval, args))
        case ast.Call(func=ast.Name(id='dict'), args=[], keywords=keywords):
            return {str(k.arg): _evaluate(k.value, names) for k in keywords}
        case ast.Dict(keys=keys, values=values):
            return {
                ast.literal_eval(k) if k else None: _evaluate(v, names)
                for k, v in zip(keys, values, strict=True)
            }
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            return [_evaluate(element, names) for element in elements]
    return ast.literal_eval(node)
