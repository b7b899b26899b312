"""The OpenBook v1 program as a plain function over account bytes.

Rules of this package
- It leaves every account as the compiled program would leave it, byte for byte: padding, free lists,
  stale queue entries and unread fields included. ``tests/golden/transitions`` and
  ``tests/conformance`` hold it to that.
- ``program.process`` is the only entry. It changes accounts in place and raises ``ProgramError`` to
  fail; whoever calls it restores the accounts of a failed transaction.
- What only a damaged account could bring about is not checked again: an account a market names was
  written by InitializeMarket, and nobody but this program writes it.
- Arithmetic wraps at 64 bits exactly where the compiled program's does, and panics where it panics.
- Source of the behaviour: openbook-dex/program c85e56de (``dex/src``), and runs of the compiled program.
"""
