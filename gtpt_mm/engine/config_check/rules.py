"""Run all rules, print every finding, then stop once."""

import os
import sys
from collections.abc import Callable, Iterator

from mmengine.config import Config

from gtpt_mm.compat.runs.runner_check import before_runner

from . import (
    agreements,
    arguments,
    channels,
    keys,
    schedule,
    skeletons,
    values,
)
from .finding import Finding, collect
from .view import View

Rule = Callable[[View], Iterator[Finding]]

#: About keys and values.
KEY_RULES: tuple[Rule, ...] = (
    keys.find_unread_keys,
    keys.find_wrong_sections,
    keys.find_section_keys,
)
#: For the classes of any package.
SCOPE_RULES: tuple[Rule, ...] = (keys.find_unread_keys, values.find_scope)
#: About the network and its inputs.
MODEL_RULES: tuple[Rule, ...] = (
    agreements.find_missing_model,
    arguments.find_wrong_arguments,
    arguments.find_wrong_overrides,
    arguments.find_arch_keys,
    agreements.find_unfit_codec,
    agreements.find_codec_differences,
    agreements.find_unused_codec,
    agreements.find_input_sizes,
    agreements.find_udp_differences,
    agreements.find_split_ratio,
    channels.find_channels,
    channels.find_group_pose_levels,
    channels.find_mae_sizes,
    channels.find_heatmap_sizes,
    channels.find_feature_sizes,
    skeletons.find_missing_files,
    skeletons.find_keypoint_counts,
    skeletons.find_groups,
    skeletons.find_orders,
    skeletons.find_other_skeletons,
    skeletons.find_names,
    values.find_zero_std,
)
#: About training and testing.
RUN_RULES: tuple[Rule, ...] = (
    keys.find_randomness_keys,
    keys.find_hook_keys,
    arguments.find_constructor,
    arguments.find_default_arguments,
    schedule.find_missing_partners,
    schedule.find_loop_lengths,
    schedule.find_loader_numbers,
    schedule.find_schedules,
    schedule.find_mixed_units,
    schedule.find_best_checkpoint,
    agreements.find_score_thresholds,
    values.find_launcher,
    values.find_loaders,
    values.find_data_modes,
    values.find_metric_modes,
    values.find_learning_rates,
)


class ConfigError(ValueError):
    """A config has mistakes; the message lists all of them."""


def check(cfg: Config | dict, is_run: bool = True) -> list[Finding]:
    """Return everything that is wrong with a config, errors first.

    A rule that cannot read the config is silent.

    Args:
        cfg: The config, as it is given to ``Runner.from_cfg``.
        is_run: Whether it is trained or tested; otherwise the rules about
            loops, schedules and checkpoints do not apply.
    """
    try:
        view = View(cfg, is_run)
    except Exception:
        return []
    rules = KEY_RULES + MODEL_RULES + (RUN_RULES if is_run else ())
    if view.cfg.get('default_scope', 'mmpose') not in ('mmpose', None):
        rules = SCOPE_RULES  # another package's classes
    found: dict[tuple[str, str], Finding] = {}
    for rule in rules:
        for finding in collect(rule(view)):
            found.setdefault((finding.place, finding.message), finding)
    return sorted(found.values(), key=lambda finding: finding.severity)


def check_before_run(cfg: Config | dict, is_run: bool = True) -> None:
    """Print the warnings about a config; raise if there are errors.

    ``config_check=False`` in the config turns it off.

    Args:
        cfg: The config.
        is_run: See :func:`check`.

    Raises:
        ConfigError: If there is an error; its message lists all findings.
    """
    if cfg.get('config_check', True) is False:
        return
    findings = check(cfg, is_run)
    if not findings:
        return
    text = format_findings(findings, getattr(cfg, 'filename', None))
    if any(finding.severity == 'error' for finding in findings):
        raise ConfigError(text)
    if os.environ.get('RANK', '0') == '0':
        print(text, file=sys.stderr)


def format_findings(findings: list[Finding], filename: str | None) -> str:
    """Return a headline, a line for each finding, and how to turn this off."""
    num_errors = sum(f.severity == 'error' for f in findings)
    num_warnings = len(findings) - num_errors
    counts = f'{num_errors} errors, {num_warnings} warnings'
    lines = [f'check of {filename or "the config"}: {counts}']
    lines += [f'  {finding}' for finding in findings]
    lines.append('  config_check=False in the config turns this check off')
    return '\n'.join(lines)


before_runner.append(check_before_run)
