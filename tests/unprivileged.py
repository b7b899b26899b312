"""A user whom permissions bind: whoever runs the tests, and where that is root, nobody."""

import codecs
import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def unprivileged() -> Iterator[None]:
    """Act as a user without rights while the block runs; what is imported then has to be readable to all."""
    if os.geteuid() != 0:
        yield
        return
    # Settings are read in it, and Python itself may lie where only root gets to.
    codecs.lookup("utf-8-sig")
    nobody = pwd.getpwnam("nobody")
    os.setegid(nobody.pw_gid)
    os.seteuid(nobody.pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
