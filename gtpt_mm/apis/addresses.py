"""Fetch an image from an address of http or https."""

import base64
import http.client
import re
import time
import urllib.error
import urllib.parse
import urllib.request

from gtpt_mm.version import __version__

#: Media types of videos and streams.
STREAM_TYPES = re.compile(
    r'video/|multipart/x-mixed-replace|application/(x-|vnd\.apple\.)mpegurl'
)
#: Time limits in seconds: without an answer of a server, for a whole image.
TIMEOUT = 10.0
DEADLINE = 60.0


def fetch(url: str) -> bytes | None:
    """Return the content of an address; None if it is a video or stream.

    Raises:
        OSError: If it cannot be fetched, or not in time; the message says why,
            without the address.
    """
    try:
        return _fetch(url)
    except urllib.error.HTTPError as error:
        words = f'the server answers {error.code} {error.reason}'
        raise OSError(words) from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, 'reason', None) or error
        if isinstance(reason, TimeoutError):
            reason = f'no answer within {TIMEOUT:g} s'
        raise OSError(f'it cannot be fetched: {reason}') from error


def _fetch(url: str) -> bytes | None:
    headers = {'User-Agent': f'gtpt_mm/{__version__}'}
    parts = urllib.parse.urlsplit(url)
    user, at, host = parts.netloc.rpartition('@')
    if at:  # urllib would take all of it for the host name
        url = urllib.parse.urlunsplit(parts._replace(netloc=host))
        secret = base64.b64encode(urllib.parse.unquote(user).encode())
        headers['Authorization'] = f'Basic {secret.decode()}'
    request = urllib.request.Request(
        urllib.parse.quote(url, safe="%/:=&?~#+!$,;'@()*[]"), headers=headers
    )
    end = time.monotonic() + DEADLINE
    content = bytearray()
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        if STREAM_TYPES.match(answer.headers.get_content_type()):
            return None
        while chunk := answer.read1(1 << 16):
            content += chunk
            if time.monotonic() > end:
                raise OSError(f'it is not complete after {DEADLINE:g} s')
        expected = answer.headers.get('Content-Length')
    if expected and len(content) < int(expected):
        raise OSError(f'{len(content)} of {expected} bytes came')
    return bytes(content)
