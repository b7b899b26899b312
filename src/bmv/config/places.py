"""Keys of where things are: market, node, block engine, databases, keys. All need a restart.

Rules of this file
- What may carry a password or an API key is a ``Secret``: no value of it is shown, journalled or repeated in
  a complaint. ``written`` says ``(secret)`` for it, which is taken back as a secret that opens nothing.
"""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BeforeValidator, InstanceOf, PlainSerializer
from solders.pubkey import Pubkey

from bmv.config.parsing import Shown, Url, key, parse_words
from bmv.config.strategy import Keys
from bmv.secret import Secret

BMV_MARKET = "B9coHrCxYv7xmPfSU7Z5VfugDqdTdZqZTpBGBdazq8AC"
_REGIONS = ("amsterdam", "dublin", "frankfurt", "london", "ny", "slc", "singapore", "tokyo")
REGIONS = tuple(f"https://{region}.mainnet.block-engine.jito.wtf" for region in _REGIONS)
HIDDEN = "(secret)"


def _address(value: object) -> str:
    try:
        return str(Pubkey.from_string(_text(value)))
    except ValueError as error:
        raise ValueError("an address in base58") from error


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("text")
    return value.strip()


def _secret(value: object) -> Secret | None:
    if value is None or isinstance(value, Secret):
        return value
    return Secret(text) if (text := _text(value)) else None


def _secret_url(*schemes: str) -> BeforeValidator:
    def read(value: object) -> Secret | None:
        secret = _secret(value)
        if secret is not None and secret.reveal() != HIDDEN and not _is_url(secret.reveal(), schemes):
            begins = " or ".join(f"{each}://" for each in schemes)
            raise ValueError(f"a URL that begins with {begins}; its port, if any, is a number up to 65535")
        return secret

    return BeforeValidator(read)


def _is_url(text: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(text)
        # A database may stand on several hosts, each with a port of its own; a wrong port raises.
        for host in parts.netloc.rpartition("@")[2].split(","):
            _ = urlsplit(f"//{host}").port
        return parts.scheme in schemes and bool(parts.hostname or parts.path)
    except ValueError:
        return False


def _urls(value: object) -> tuple[str, ...]:
    words = parse_words(value, "URL")
    if not words or not all(_is_url(word, ("http", "https")) for word in words):
        raise ValueError("one or more URLs that begin with https:// or http://")
    return tuple(word.rstrip("/") for word in words)


def _host(value: Secret) -> str:
    """Return what of a URL is no secret."""
    parts = urlsplit(value.reveal())
    return f"{parts.scheme}://{parts.hostname or '...'}"


_HIDING = PlainSerializer(lambda value: HIDDEN if value else "", return_type=str)
_MaySecret = InstanceOf[Secret] | None
Address = Annotated[str, BeforeValidator(_address)]
Urls = Annotated[
    tuple[str, ...],
    BeforeValidator(_urls),
    PlainSerializer(", ".join, return_type=str),
    Shown(", ".join),
]
SecretText = Annotated[_MaySecret, BeforeValidator(_secret), _HIDING, Shown(lambda _: "set", "none")]
RpcUrl = Annotated[_MaySecret, _secret_url("https", "http"), _HIDING, Shown(_host, "none")]
StreamUrl = Annotated[_MaySecret, _secret_url("wss", "ws"), _HIDING, Shown(_host, "none")]
PostgresUrl = Annotated[_MaySecret, _secret_url("postgresql", "postgres"), _HIDING, Shown(_host, "none")]
RedisUrl = Annotated[_MaySecret, _secret_url("rediss", "redis", "unix"), _HIDING, Shown(_host, "none")]
FilePath = Annotated[str, BeforeValidator(_text), Shown(lambda value: value or "none")]


class Places(Keys):
    """6 Where things are"""

    market: Address = key("MARKET", BMV_MARKET)
    """Address of the market."""
    rpc_url: RpcUrl = key("RPC_URL", None)
    """The Solana node; `bmv run` needs one."""
    rpc_ws_url: StreamUrl = key("RPC_WS_URL", None)
    """Its WebSocket; none: RPC_URL with wss or ws in front."""
    jito_urls: Urls = key("JITO_URLS", REGIONS)
    """Regions of the block engine; each has its own limit of requests."""
    jito_auth_uuid: SecretText = key("JITO_AUTH_UUID", None)
    """What the block engine knows us by; without it bundles may be taken and never land."""
    jito_tip_floor_url: Url = key("JITO_TIP_FLOOR_URL", "https://bundles.jito.wtf/api/v1/bundles/tip_floor")
    """Where it says what lately landed for which tip."""
    database_url: PostgresUrl = key("DATABASE_URL", None)
    """PostgreSQL; none: a server of our own in the state folder."""
    redis_url: RedisUrl = key("REDIS_URL", None)
    """Redis or Valkey; none: a server of our own in the state folder."""
    keystore: FilePath = key("KEYSTORE", "")
    """File of the keys, or a place in Vault (docs/keys.md); none: `keystore.json` in the state folder."""
