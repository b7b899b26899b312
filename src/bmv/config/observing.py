"""Keys of what is measured, and of who is told."""

from ipaddress import ip_address
from typing import Annotated

from pydantic import BeforeValidator

from bmv.config.parsing import DAY_MS, Duration, Shown, Sol, Url, Whole, key
from bmv.config.places import RpcUrl, SecretText
from bmv.config.strategy import Keys
from bmv.units import LAMPORTS_PER_SOL


def _chat(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError("a chat's number, or @ and a channel's name")
    return str(value).strip()


def _listening(value: object) -> str:
    try:
        return str(ip_address(str(value).strip()))
    except ValueError as error:
        raise ValueError("an IP address of this machine, or 0.0.0.0 for all of them") from error


Host = Annotated[str, BeforeValidator(_listening)]
Chat = Annotated[str, BeforeValidator(_chat), Shown(lambda value: value or "none")]


class Observing(Keys):
    """8 Observability"""

    min_quote: Sol = key("MIN_QUOTE_SOL", LAMPORTS_PER_SOL, 1_000, 10**5 * LAMPORTS_PER_SOL)
    """A side counts as quoted while so much of it stands within 2 % of the price."""
    metrics_port: Whole = key("METRICS_PORT", 0, 0, 65_535)
    """`bmv run` answers Prometheus on this port; 0: it does not."""
    metrics_host: Host = key("METRICS_HOST", "127.0.0.1")
    """On this address; another than the machine's own is for networks of containers."""
    page_port: Whole = key("PAGE_PORT", 8080, 0, 65_535)
    """`bmv run` serves the live page on this port, of the machine itself alone, or a free one; 0: none."""
    alert_webhook_url: RpcUrl = key("ALERT_WEBHOOK_URL", None)
    """Alerts are posted there as JSON."""
    alert_telegram_token: SecretText = key("ALERT_TELEGRAM_TOKEN", None)
    """Alerts are sent by this bot, together with the next key."""
    alert_telegram_chat: Chat = key("ALERT_TELEGRAM_CHAT", "")
    """The chat it writes to."""
    alert_telegram_url: Url = key("ALERT_TELEGRAM_URL", "https://api.telegram.org")
    """Where Telegram's bot interface is."""
    alert_interval: Duration = key("ALERT_INTERVAL", 600_000, 0, DAY_MS)
    """The same event is told once in so long; halts and trades with ourselves always."""
    alert_max_per_hour: Whole = key("ALERT_MAX_PER_HOUR", 20, 1, 1_000)
    """So many messages an hour, whatever happens; the same exceptions."""
