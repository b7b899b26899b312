"""What the commands say of orders and funds that are, or may be, left in the market."""

from collections.abc import Sequence
from typing import Any

import typer


def tell_wallets(wallets: Sequence[dict[str, Any]], *, err: bool = False) -> None:
    """List wallets as ``wallets_told`` returns them, each with its orders."""
    for wallet in wallets:
        left = f"{wallet['sol_in_market']} SOL and {wallet['tokens_in_market']} tokens in the market"
        orders = wallet["orders"]
        typer.echo(f"wallet {wallet['index']} {wallet['address']}: {len(orders)} orders, {left}", err=err)
        for order in orders:
            line = f"  {order['side']} {order['size']} at {order['price']} (id {order['order_id']})"
            typer.echo(line, err=err)
