"""Keys of the signer's policy: what it refuses, whoever asks. All need a restart of the signer."""

from bmv.config.parsing import BasisPoints, Sol, Usd, Whole, key
from bmv.config.strategy import Keys
from bmv.units import LAMPORTS_PER_SOL, MICROS_PER_USD


class Signing(Keys):
    """7 Signing"""

    signer_max_tip: Sol = key("SIGNER_MAX_TIP_SOL", LAMPORTS_PER_SOL // 100, 1_000, LAMPORTS_PER_SOL)
    """The most one transaction may tip and pay for priority."""
    signer_sol_per_min: Sol = key(
        "SIGNER_MAX_SOL_PER_MIN", 5 * LAMPORTS_PER_SOL, LAMPORTS_PER_SOL // 100, 10**4 * LAMPORTS_PER_SOL
    )
    """What may leave us in a minute as tips, fees and rent; ways out (cancel, settle) have as much again."""
    signer_tx_per_min: Whole = key("SIGNER_MAX_TX_PER_MIN", 3_000, 10, 10**6)
    """Transactions signed in a minute; ways out have as many again."""
    signer_swap_sol: Sol = key(
        "SIGNER_MAX_SWAP_SOL_PER_MIN", 100 * LAMPORTS_PER_SOL, 0, 10**6 * LAMPORTS_PER_SOL
    )
    """SOL that may be converted in a minute; 0: none."""
    signer_swap_usd: Usd = key(
        "SIGNER_MAX_SWAP_USD_PER_MIN", 10_000 * MICROS_PER_USD, 0, 10**8 * MICROS_PER_USD
    )
    """USDC that may be converted in a minute; 0: none."""
    signer_max_slippage: BasisPoints = key("SIGNER_MAX_SLIPPAGE_BPS", 100, 1, 1_000)
    """A conversion that could slip more is not signed, in basis points."""
