"""Sets in a zip, as tools offer them for download."""

import contextlib
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def unpacked(source: Path) -> Iterator[Path]:
    """Yield a source; for a zip, a temporary folder with its content.

    Args:
        source: A file or folder of any format, or a zip with it.

    Raises:
        ValueError: If the zip is torn.
    """
    if source.suffix.lower() != '.zip' or not source.is_file():
        yield source
        return
    with tempfile.TemporaryDirectory(prefix='gtpt_mm-') as folder:
        try:
            with zipfile.ZipFile(source) as archive:
                archive.extractall(folder)
        except zipfile.BadZipFile as error:
            raise ValueError(
                f'{source} is torn or not a zip: {error}'
            ) from error
        inner = Path(folder)
        while len(entries := list(inner.iterdir())) == 1:
            if not entries[0].is_dir():
                break
            inner = entries[0]
        yield inner
