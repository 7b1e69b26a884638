"""Fetch files from the Hugging Face Hub and from URLs, with time-outs."""

import os
import threading
import urllib.error
import urllib.request
from pathlib import Path

import torch

#: Seconds until a server that does not answer counts as unreachable.
TIMEOUT = 5.0


class FetchError(ValueError):
    """A file cannot be fetched."""


class NotThereError(FetchError):
    """The server answers, but has no such file."""


def fetch_repository(
    source: str, revision: str, refresh: bool = False
) -> list[Path]:
    """Return the ``.safetensors`` of a repository of the Hub.

    They lie in the cache of ``huggingface_hub``, which transformers also uses;
    cached files are not fetched again.

    Args:
        source: ``hf://OWNER/NAME``.
        revision: Branch, tag or commit.
        refresh: Whether to ask the Hub even if the files are cached.

    Raises:
        FetchError: If the Hub cannot be reached, or has no such files.
    """
    import huggingface_hub

    name = source.removeprefix('hf://')
    endpoint = find_endpoint()
    for is_local in (False,) if refresh else (True, False):
        if not is_local:
            check_online()
            check_reachable(f'{endpoint}/api/models/{name}')
        try:
            folder = huggingface_hub.snapshot_download(
                name,
                revision=revision,
                endpoint=endpoint,
                allow_patterns='*.safetensors',
                local_files_only=is_local,
            )
        except Exception as error:  # its client changes: requests, httpx, ...
            if is_local:
                continue
            raise FetchError(
                f'{type(error).__name__}: {str(error)[:300]}'
            ) from error
        if files := sorted(Path(folder).glob('*.safetensors')):
            return files
    raise NotThereError(f'{name} has no .safetensors')


def find_endpoint() -> str:
    """Return the address of the Hub, or of the mirror in ``HF_ENDPOINT``."""
    from huggingface_hub import constants  # no attribute before this import

    return os.environ.get('HF_ENDPOINT') or constants.ENDPOINT


def fetch_file(url: str, target: Path) -> None:
    """Write the content of a URL to a file, with a progress bar.

    Raises:
        FetchError: If the server cannot be reached, or the file is not there.
    """
    check_reachable(url)
    try:
        torch.hub.download_url_to_file(url, str(target))
    except OSError as error:  # also URLError, which names the reason
        raise FetchError(f'{type(error).__name__}: {error}') from error


def check_online() -> None:
    """Raise if ``HF_HUB_OFFLINE`` is set.

    Raises:
        FetchError: If it is.
    """
    value = os.environ.get('HF_HUB_OFFLINE', '')
    if value.upper() in ('1', 'ON', 'YES', 'TRUE'):
        raise FetchError(f'HF_HUB_OFFLINE={value} is set')


def check_reachable(url: str) -> None:
    """Raise if a server does not answer within a few seconds.

    Raises:
        NotThereError: If it answers that there is no such file.
        FetchError: If it does not answer.
    """
    answers: list[Exception | None] = []
    # A thread: no time-out applies to the look-up of a name.
    thread = threading.Thread(
        target=lambda: answers.append(_ask(url)), daemon=True
    )
    thread.start()
    thread.join(TIMEOUT + 0.5)
    error = answers[0] if answers else TimeoutError('timed out')
    if isinstance(error, urllib.error.HTTPError):
        error.close()
        if error.code in (404, 410):
            raise NotThereError(f'{url}: {error}') from error
    elif error is not None:  # else it answers; not every server supports HEAD
        raise FetchError(f'no answer from {url}: {error}') from error


def _ask(url: str) -> Exception | None:
    """Return the error of a request for the header of a file, or None."""
    request = urllib.request.Request(
        url, method='HEAD', headers={'User-Agent': 'gtpt_mm'}
    )
    try:
        urllib.request.urlopen(request, timeout=TIMEOUT).close()
    except Exception as error:  # raised again in the caller's thread
        return error
    return None
