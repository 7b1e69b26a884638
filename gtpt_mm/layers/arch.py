"""Look up an architecture by name; check sizes that networks share."""

from collections.abc import Sequence


def read_arch(arch: str | dict, arch_settings: dict[str, dict]) -> dict:
    """Return the settings of an architecture, by name or as a dict.

    Raises:
        ValueError: If the name is unknown or the dict has other keys.
    """
    if isinstance(arch, str):
        if arch not in arch_settings:
            raise ValueError(
                f'unknown arch {arch!r}, choose one of '
                f'{sorted(arch_settings)} or give a dict'
            )
        return dict(arch_settings[arch])
    expected = set(next(iter(arch_settings.values())))
    if set(arch) != expected:
        raise ValueError(
            f'arch as a dict needs exactly {sorted(expected)}, got '
            f'{sorted(arch)}'
        )
    return dict(arch)


def check_lengths(**settings: Sequence) -> None:
    """Check that all settings name as many stages as the first.

    Raises:
        ValueError: If one does not.
    """
    if len({len(value) for value in settings.values()}) > 1:
        listed = ', '.join(f'{k}={tuple(v)}' for k, v in settings.items())
        raise ValueError(f'one number for each stage is needed, got {listed}')


def check_divides(name: str, count: int, of: str, total: int) -> None:
    """Check that ``count`` equal parts make up ``total``.

    Args:
        name: Name of ``count`` for the message, such as ``'num_heads'``.
        count: Number of parts.
        of: Name of ``total`` for the message, such as ``'embed_dims'``.
        total: The number that is divided.

    Raises:
        ValueError: If ``count`` is not positive or does not divide ``total``.
    """
    if count < 1 or total % count:
        raise ValueError(f'{name} must divide {of} = {total}, got {count}')
