"""Check a config before a run, see docs/config_check.md."""

from .finding import Finding
from .rules import ConfigError, check, check_before_run, format_findings

__all__ = [
    'ConfigError',
    'Finding',
    'check',
    'check_before_run',
    'format_findings',
]
