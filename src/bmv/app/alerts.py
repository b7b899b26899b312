"""Alerts wired: messengers of the settings, and a test of them."""

import asyncio
import random
import time

import aiohttp

from bmv.chain.http import Patience
from bmv.chain.messengers import Messenger, Telegram, Webhook
from bmv.config import Settings
from bmv.errors import BadInput, OutsideError
from bmv.observe.alerts import TEST, Alert
from bmv.units import Millis

ATTEMPTS, TOTAL_S = 3, 20.0


def messengers_of(settings: Settings, session: aiohttp.ClientSession, haste: float = 1.0) -> list[Messenger]:
    """Return the ways to a person the settings name; BadInput: a token without a chat, or the reverse."""
    patience = Patience(random.Random(), ATTEMPTS, TOTAL_S * haste)
    found: list[Messenger] = []
    if settings.alert_webhook_url:
        found.append(Webhook(session, settings.alert_webhook_url, patience))
    token, chat = settings.alert_telegram_token, settings.alert_telegram_chat
    if bool(token) != bool(chat):
        missing = "ALERT_TELEGRAM_CHAT" if token else "ALERT_TELEGRAM_TOKEN"
        raise BadInput(missing, "", "both ALERT_TELEGRAM_TOKEN and ALERT_TELEGRAM_CHAT, or none", "settings")
    if token and chat:
        url = settings.alert_telegram_url
        found.append(Telegram(session, token, chat, patience, url))
    return found


def try_alerts(settings: Settings) -> dict[str, str]:
    """Send a test message through every messenger; return by name what went wrong, or nothing.

    Raises BadInput where none is configured.
    """
    return asyncio.run(_try_alerts(settings))


async def _try_alerts(settings: Settings) -> dict[str, str]:
    alert = Alert(Millis(int(time.time() * 1000)), TEST, {}, settings.market)
    async with aiohttp.ClientSession() as session:
        messengers = messengers_of(settings, session)
        if not messengers:
            allowed = "ALERT_WEBHOOK_URL, or ALERT_TELEGRAM_TOKEN with ALERT_TELEGRAM_CHAT"
            raise BadInput("ALERT_*", "", allowed, "settings")
        told: dict[str, str] = {}
        for one in messengers:
            try:
                await one.tell(alert)
                told[one.name] = ""
            except OutsideError as error:
                told[one.name] = str(error)
        return told
