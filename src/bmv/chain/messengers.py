"""How an alert reaches a person: a webhook, and Telegram's bot interface.

A webhook gets one JSON object with ``text`` and ``content`` (what Slack, Mattermost and Discord show) and the
alert's own fields beside. URL and token are secrets: no error names more than the host. Telegram's shapes:
core.telegram.org/bots/api, "sendMessage".
"""

from typing import Protocol

import aiohttp
import msgspec

from bmv.chain.http import Endpoint, Patience, exchange, json_value, status_error
from bmv.errors import Garbled, Refused
from bmv.observe.alerts import Alert
from bmv.secret import Secret

TELEGRAM_URL = "https://api.telegram.org"


class Messenger(Protocol):
    """A way to a person."""

    name: str

    async def tell(self, alert: Alert) -> None:
        """Deliver an alert, trying a few times; raise OutsideError where it could not be delivered."""
        ...


class Webhook:
    """POST to a URL that some chat or pager gave us."""

    name = "webhook"

    def __init__(self, session: aiohttp.ClientSession, url: Secret, patience: Patience) -> None:
        self._session, self._patience = session, patience
        self._endpoint = Endpoint("webhook", url.reveal())

    async def tell(self, alert: Alert) -> None:
        """Deliver an alert; any answer of the 200s will do."""
        said = {"text": alert.text, "content": alert.text, "event": alert.name, "at": int(alert.at)}
        body = msgspec.json.encode({**said, "market": alert.market, "fields": alert.fields})

        async def once(timeout_s: float) -> None:
            answer = await exchange(self._session, self._endpoint, timeout_s, body=body)
            failure = status_error(self._endpoint, answer)
            if failure is not None:
                raise failure
            if not 200 <= answer.status < 300:
                raise Refused(self._endpoint.where, f"HTTP {answer.status}", answer.status)

        await self._patience.read(once)


class Telegram:
    """Send a message to a chat as a bot."""

    name = "telegram"

    def __init__(
        self,
        session: aiohttp.ClientSession,
        token: Secret,
        chat: str,
        patience: Patience,
        url: str = TELEGRAM_URL,
    ) -> None:
        self._session, self._chat, self._patience = session, chat, patience
        whole = f"{url}/bot{token.reveal()}/sendMessage"
        self._endpoint = Endpoint("telegram", whole, [token.reveal()])

    async def tell(self, alert: Alert) -> None:
        """Deliver an alert as plain text."""
        body = msgspec.json.encode({"chat_id": self._chat, "text": alert.text})

        async def once(timeout_s: float) -> None:
            answer = await exchange(self._session, self._endpoint, timeout_s, body=body)
            told = json_value(self._endpoint, answer)
            if not isinstance(told, dict) or told.get("ok") is not True:
                raise Garbled(self._endpoint.where, "the answer does not say that the message was sent")

        await self._patience.read(once)
