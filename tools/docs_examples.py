"""A griffe extension that reads ``Example:`` in our docstrings as examples.

griffe knows ``Examples:`` only, and would read the lines as text.
"""

import re
from typing import Any

from griffe import Extension, Object

HEADING = re.compile(r'^(\s*)Example:$', re.MULTILINE)


class ExampleSections(Extension):
    """Rename the heading before the docstring is parsed."""

    def on_object(self, *, obj: Object, **kwargs: Any) -> None:
        """Rename it in the docstring of an object, if it has one."""
        if obj.docstring:
            obj.docstring.value = HEADING.sub(
                r'\1Examples:', obj.docstring.value
            )
