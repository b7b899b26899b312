"""Put signers together: the process that holds the keys, who finds or starts it, one in this process."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from solders.pubkey import Pubkey

from bmv.chain.jito import TIP_ACCOUNTS
from bmv.config import Settings
from bmv.errors import BadInput, BmvError, OutsideError
from bmv.keys.client import SignerClient
from bmv.keys.grounds import Grounds
from bmv.keys.hardening import harden
from bmv.keys.passphrase import read_passphrase
from bmv.keys.policy import BulkSigner, GuardedSigner, Limits, Policy, Renewal
from bmv.keys.process import SignerProcess
from bmv.keys.signer import InProcessSigner
from bmv.keys.store import Keystore, Role, Wallet, peek
from bmv.observe.log import configure, get_logger
from bmv.secret import Secret
from bmv.state.folder import StateFolder, made
from bmv.state.latch import LatchFile
from bmv.units import Millis
from bmv.venue.jupiter import USDC
from bmv.venue.token import WRAPPED_SOL

Signer = SignerClient | GuardedSigner
PATIENCE_S = 600.0
"""How long a starting signer may wait for somebody to type the passphrase."""
_COMMAND = "from bmv.cli.entry import main; main()"


class SignerNotStarted(BmvError):
    """The signer ended before it answered; it has said why itself."""

    def __init__(self, code: int) -> None:
        super().__init__("the signer did not start")
        self.exit_code = code if code in (1, 2, 3, 4) else 3


def limits_of(settings: Settings) -> Limits:
    """Return the policy's limits as the settings have them."""
    return Limits(
        tip=settings.signer_max_tip,
        lamports_per_minute=settings.signer_sol_per_min,
        transactions_per_minute=settings.signer_tx_per_min,
        swap_per_minute={
            str(WRAPPED_SOL): int(settings.signer_swap_sol),
            str(USDC): int(settings.signer_swap_usd),
        },
        slippage_bps=int(settings.signer_max_slippage),
    )


class Keys(NamedTuple):
    """Opened keys: who signs with them without a question, and whose they are, in order."""

    signer: BulkSigner
    wallets: list[Wallet]
    renewal: Renewal = lambda: None


def in_vault(keystore: Path) -> bool:
    """Say whether a KEYSTORE names a place in Vault or OpenBao instead of a file."""
    return str(keystore).startswith(("vault-kv:", "vault-transit:"))


def open_keys(keystore: Path, passphrase_fd: int | None) -> Keys:
    """Open a keystore with its passphrase, or a place in Vault with a token; raise what either raises."""
    passphrase = read_passphrase(keystore, passphrase_fd)
    if in_vault(keystore):
        return _out_of_vault(str(keystore), passphrase)
    return keys_of(Keystore.open(keystore, passphrase))


def known_wallets(keystore: Path, passphrase_fd: int | None) -> list[Wallet]:
    """Return the wallets of a keystore as it claims them, without a passphrase; Vault wants its token."""
    return open_keys(keystore, passphrase_fd).wallets if in_vault(keystore) else peek(keystore)


def operators_of(wallets: Sequence[Wallet], keystore: Path) -> list[Pubkey]:
    """Return the wallets that quote; raise BadInput where there is none."""
    operators = [wallet.pubkey for wallet in wallets if wallet.role is Role.OPERATOR]
    if not operators:
        raise BadInput("KEYSTORE", str(keystore), "keys with an operator wallet", "the keys themselves")
    return operators


def keys_of(store: Keystore) -> Keys:
    """Return every key of an opened keystore, and how to find those that are added to it later."""
    known = store

    def again() -> tuple[BulkSigner, list[Wallet]] | None:
        nonlocal known
        before, known = known, known.read_again()
        return None if known is before else (InProcessSigner(known.keypairs(*Role)), known.wallets)

    return Keys(InProcessSigner(store.keypairs(*Role)), store.wallets, again)


def _out_of_vault(place: str, token: Secret) -> Keys:
    try:
        from bmv.keys import vault  # noqa: PLC0415 - an extra: who keeps a file does not need its client
    except ImportError as error:
        raise BadInput("KEYSTORE", place, "a file, or the extra vault installed", "settings") from error
    session = vault.Vault(token)
    if place.startswith(vault.TRANSIT):
        signer = vault.TransitSigner(session, place)
        return Keys(signer, signer.wallets)
    found = vault.kv_keypairs(session, place)
    wallets = [Wallet(keypair.pubkey(), role) for keypair, role in found]
    return Keys(InProcessSigner(keypair for keypair, _ in found), wallets)


def policy_of(wallets: list[Wallet], settings: Settings, speed: float = 1.0) -> Policy:
    """Return the policy for wallets: value moves among them, and to tip accounts.

    Beside a sandbox that runs faster, its caps count minutes of ``speed`` seconds a second.
    """
    treasury = next((wallet.pubkey for wallet in wallets if wallet.role is Role.TREASURY), None)
    grounds = Grounds([wallet.pubkey for wallet in wallets], TIP_ACCOUNTS, treasury)
    grounds.add_mints([USDC])
    return Policy(grounds, limits_of(settings), lambda: time.monotonic() * speed)


def guarded(keys: Keys, settings: Settings, speed: float = 1.0) -> GuardedSigner:
    """Return a signer in this process, behind the policy, for every wallet."""
    return GuardedSigner(keys.signer, policy_of(keys.wallets, settings, speed), keys.wallets, keys.renewal)


def run_signer(
    folder: StateFolder,
    keystore: Path,
    settings: Settings,
    passphrase_fd: int | None,
    *,
    leave_terminal: bool,
    speed: float = 1.0,
) -> None:
    """Open the keystore and answer at the folder's socket until told to end.

    With ``leave_terminal`` it goes into a session of its own once it answers, and writes to a log file.
    Raises what opening the keystore raises, and UnsafeState where another signer answers already.
    """
    missing = harden()
    configure(_now, quiet=False)
    for what in missing:
        get_logger("signer").warning("SIGNER_NOT_HARDENED", reason=what)
    signer = guarded(open_keys(keystore, passphrase_fd), settings, speed)
    process = SignerProcess(signer, LatchFile(folder).path, speed)
    made(folder.run)

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, process.end)

        def answers() -> None:
            tell_supervisor(os.environ)
            if leave_terminal:
                _leave(folder.signer_log)

        await process.serve(folder.signer, answers)

    asyncio.run(serve())


def _now() -> Millis:
    return Millis(int(time.time() * 1000))


def tell_supervisor(environ: Mapping[str, str]) -> None:
    """Tell systemd, where it started us and waits for that (``Type=notify``), that we answer."""
    address = environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as there:
            there.connect("\0" + address[1:] if address.startswith("@") else address)
            there.send(b"READY=1")


def _leave(log: Path) -> None:
    """Go on without the terminal: in a session of our own, input from nowhere, output into ``log``."""
    os.setsid()
    nowhere = os.open(os.devnull, os.O_RDONLY)
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number, target in ((0, nowhere), (1, written), (2, written)):
        os.dup2(target, number)
    os.close(nowhere)
    os.close(written)


def running_signer(folder: StateFolder) -> SignerClient | None:
    """Return a client of the signer that answers for a state folder; None where none does."""
    client = SignerClient(folder.signer)
    try:
        client.state()
    except OutsideError:
        client.close()
        return None
    return client


def ensured_signer(
    folder: StateFolder,
    keystore: Path,
    config: Path | None,
    passphrase_fd: int | None,
    speed: float = 1.0,
) -> SignerClient:
    """Return a client of the folder's signer, started where none answers; it reads the passphrase itself.

    Raises SignerNotStarted, with its exit code, where it ends instead of answering, and BadInput where one
    answers that counts its minutes at another speed.
    """
    found = running_signer(folder)
    if found is not None:
        counts = found.state().speed
        if counts != speed:
            allowed = f"{counts:g}, by which the running signer counts its minutes; bmv signer --stop ends it"
            raise BadInput("--speed", f"{speed:g}", allowed, "command line")
        return found
    made(folder.run)
    command = ["signer", "--state", str(folder.root), "--keystore", str(keystore), "--leave-terminal"]
    command += [] if config is None else ["--config", str(config)]
    command += [] if speed == 1 else ["--speed", f"{speed:g}"]
    with _handed_over(passphrase_fd) as descriptors:
        command += [f"--passphrase-fd={number}" for number in descriptors]
        child = subprocess.Popen([sys.executable, "-c", _COMMAND, *command], pass_fds=descriptors)
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        found = running_signer(folder)
        if found is not None:
            return found
        code = child.poll()
        if code is not None:
            raise SignerNotStarted(code)
        time.sleep(0.05)
    child.terminate()
    raise SignerNotStarted(child.wait())


@contextlib.contextmanager
def _handed_over(descriptor: int | None) -> Iterator[tuple[int, ...]]:
    """Give the descriptors a child inherits; here they are closed unread."""
    yield () if descriptor is None else (descriptor,)
    if descriptor is not None:
        os.close(descriptor)
