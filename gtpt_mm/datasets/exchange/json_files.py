"""Tell which tool wrote a JSON file, without reading a large one twice."""

import functools
import json
import re
from pathlib import Path
from typing import Any

#: Bytes that are read to tell the kind of a file; larger ones by their ends.
LARGE = 32 * 2**20
COCO = re.compile(rb'"(images|annotations|categories)"\s*:\s*\[')


def json_kind(path: Path) -> str:
    """Return 'coco', 'label-studio', 'other', or '' for no JSON."""
    try:
        stat = path.stat()
    except OSError:
        return ''
    return _kind(path, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=4096)
def _kind(path: Path, size: int, _: int) -> str:
    """Return the kind of a file; asked again only if the file changed."""
    try:
        if size > LARGE:
            return _kind_of_ends(path, size)
        with open(path, encoding='utf-8-sig') as file:
            return _kind_of_content(json.load(file))
    except (OSError, ValueError, RecursionError):
        return ''


def _kind_of_ends(path: Path, size: int) -> str:
    """Return the kind of a large file by its first and last megabyte."""
    with open(path, 'rb') as file:
        ends = file.read(2**20)
        file.seek(size - 2**20)
        ends += file.read()
    if ends.lstrip().startswith(b'['):
        is_task = re.search(rb'"(annotations|original_width)"\s*:', ends)
        return 'label-studio' if is_task else 'other'
    return 'coco' if len(set(COCO.findall(ends))) > 1 else 'other'


def _kind_of_content(content: Any) -> str:
    """Return the kind of a content that was read."""
    if isinstance(content, dict):
        if 'images' in content and 'annotations' in content:
            return 'coco'
        content = [content]  # one task of Label Studio
    if not isinstance(content, list) or not content:
        return 'other'
    tasks = [entry for entry in content if isinstance(entry, dict)]
    return 'label-studio' if any(map(_is_task, tasks)) else 'other'


def _is_task(entry: dict) -> bool:
    """Return whether an entry is a task of Label Studio, or of JSON_MIN."""
    if any(
        isinstance(entry.get(k), list)
        for k in ('annotations', 'completions', 'predictions')
    ):
        return isinstance(entry.get('data'), dict) or 'meta' in entry
    return any(
        isinstance(value, list)
        and value
        and isinstance(value[0], dict)
        and 'original_width' in value[0]
        for value in entry.values()
    )
