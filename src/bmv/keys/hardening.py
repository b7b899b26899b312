"""Make it hard to get at this process's memory: no core dumps, no tracing, nothing swapped."""

import ctypes
import os
import resource

_PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 4, 38
_MLOCK_ALL = 1 | 2


def harden() -> list[str]:
    """Protect this process as far as the system lets it; return what could not be done, in words.

    Not dumpable means that /proc/PID/mem and ptrace are for root alone.
    """
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    missing = []
    for what, option, value in [
        ("tracing stays possible", _PR_SET_DUMPABLE, 0),
        ("new privileges stay possible", _PR_SET_NO_NEW_PRIVS, 1),
    ]:
        if libc.prctl(option, value, 0, 0, 0):
            missing.append(f"{what} ({os.strerror(ctypes.get_errno())})")
    if libc.mlockall(_MLOCK_ALL):
        missing.append(f"memory may be swapped ({os.strerror(ctypes.get_errno())}); raise RLIMIT_MEMLOCK")
    return missing
