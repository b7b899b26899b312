"""The door to ``bmv``: what signals do before anything could have been sent.

Until the command line is imported nothing of ours is anywhere, so an interrupt ends the process at once; a
``KeyboardInterrupt`` in the middle of an import could be swallowed or end in a traceback. The kill switch's
signal waits until somebody listens (``app/stopping.py``): by default it would end the process with nothing
latched and nothing withdrawn, and whatever watches over the process would start it anew.
"""

import os
import signal
import sys

INTERRUPTED = 130


def main() -> None:
    """Run the command line; exit code 130 where Ctrl-C ended it before it had begun."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    from bmv.cli.main import main as command_line  # noqa: PLC0415 - the import is what may be interrupted

    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        command_line()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
