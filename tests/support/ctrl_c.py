"""Processes that Ctrl-C interrupts."""

import signal


def heed_ctrl_c() -> None:
    """For ``preexec_fn``: a suite that runs in the background ignores it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
