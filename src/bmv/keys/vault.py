"""Keys in HashiCorp Vault or OpenBao: read once out of KV version 2, or never leaving transit.

``KEYSTORE`` says which:

- ``vault-kv:MOUNT/PATH``: one secret whose fields are wallets, each value a key as others export it;
- ``vault-transit:MOUNT/PREFIX``: every ed25519 key of the engine whose name begins so; Vault signs.

A name (after PREFIX) that begins with ``treasury`` or ``retired`` has that role, every other is an operator;
wallets are in the order of their names. The server is ``VAULT_ADDR`` (https, or loopback). What a passphrase
is to a keystore is here a token, or ``approle:ROLE_ID:SECRET_ID``; it comes from the same sources.

Rules of this file
- A token that runs out is renewed when half of its time is gone, before the next signature.
- Every signature is verified here: a key that was rotated in Vault has another address, and is refused.
- No error text holds a token, a key, or what the server says beyond its own words.
"""

import base64
import binascii
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar
from urllib.parse import urlsplit

import hvac  # type: ignore[import-untyped]
import requests
from hvac.exceptions import (  # type: ignore[import-untyped]
    Forbidden,
    InvalidPath,
    InvalidRequest,
    RateLimitExceeded,
    Unauthorized,
    VaultError,
)
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from bmv.errors import BadInput, Garbled, RateLimited, Refused, Unreachable, UnsafeState
from bmv.keys.importing import parse_keypair
from bmv.keys.signer import Job, UnknownKey
from bmv.keys.store import Role, Wallet
from bmv.secret import Secret

KV, TRANSIT = "vault-kv:", "vault-transit:"
TIMEOUT_S = 5.0
CONNECTIONS = 16
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_WHERE = "vault"
T = TypeVar("T")


class Vault:
    """A session with the server; every method raises OutsideError kinds, with ``vault`` as the place."""

    def __init__(
        self,
        credential: Secret,
        environ: Mapping[str, str] = os.environ,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._now, self._lock, self._renew_at = now, threading.Lock(), float("inf")
        self._client = hvac.Client(url=_address(environ), timeout=TIMEOUT_S)
        text = credential.reveal()
        if text.startswith("approle:"):
            _, role, secret = (*text.split(":", 2), "", "")[:3]
            login = self.ask(lambda: self._client.auth.approle.login(role, secret))
            self._note_lease(login["auth"]["lease_duration"], login["auth"]["renewable"])
        else:
            self._client.token = text
            known = self.ask(self._client.auth.token.lookup_self)["data"]
            self._note_lease(known["ttl"], known["renewable"])

    def _note_lease(self, seconds: int, renewable: bool) -> None:
        self._renew_at = self._now() + seconds / 2 if renewable and seconds else float("inf")

    def keep_alive(self) -> None:
        """Renew the token where half of its time is gone."""
        with self._lock:
            if self._now() >= self._renew_at:
                fresh = self.ask(self._client.auth.token.renew_self)["auth"]
                self._note_lease(fresh["lease_duration"], fresh["renewable"])

    def read_kv(self, mount: str, path: str) -> dict[str, str]:
        """Return the fields of the newest version of a secret."""
        versions = self._client.secrets.kv.v2
        found = self.ask(
            lambda: versions.read_secret_version(path=path, mount_point=mount, raise_on_deleted_version=True)
        )
        return dict(found["data"]["data"])

    def transit_keys(self, mount: str, prefix: str) -> dict[str, bytes]:
        """Return name and 32-byte public key of every ed25519 key whose name begins with ``prefix``."""
        transit = self._client.secrets.transit
        names = self.ask(lambda: transit.list_keys(mount_point=mount))["data"]["keys"]
        found = {}
        for name in sorted(one for one in names if one.startswith(prefix)):
            key = self.ask(partial(transit.read_key, name, mount_point=mount))["data"]
            if key["type"] != "ed25519":
                raise BadInput("KEYSTORE", name, f"ed25519 keys in Vault, not {key['type']}", "Vault")
            found[name] = _raw(key["keys"][str(key["latest_version"])]["public_key"])
        return found

    def sign(self, mount: str, name: str, messages: list[bytes]) -> list[bytes]:
        """Return Vault's signatures of messages with one transit key, in one call."""
        batch = [{"input": base64.b64encode(message).decode()} for message in messages]
        body = {"batch_input": batch}
        answer = self.ask(lambda: self._client.adapter.post(f"/v1/{mount}/sign/{name}", json=body))
        results = answer["data"]["batch_results"]
        if len(results) != len(messages):
            raise Garbled(_WHERE, f"{len(results)} signatures for {len(messages)} messages")
        return [_raw(result["signature"].rpartition(":")[2]) for result in results]

    def ask(self, call: Callable[[], T]) -> T:
        """Make a call; map what may go wrong to our errors, without what the server echoed."""
        try:
            return call()
        except (Forbidden, Unauthorized) as error:
            raise Refused(
                _WHERE, "permission denied: the token is wrong, expired, or may not do this"
            ) from error
        except InvalidPath as error:
            raise BadInput(
                "KEYSTORE", "its place in Vault", "a secret or keys that exist", "Vault"
            ) from error
        except RateLimitExceeded as error:
            raise RateLimited(_WHERE, "too many requests") from error
        except InvalidRequest as error:
            raise Refused(_WHERE, "the request is not allowed") from error
        except VaultError as error:
            raise Unreachable(
                _WHERE, f"it does not serve ({type(error).__name__}): sealed, or standing by?"
            ) from error
        except requests.RequestException as error:
            raise Unreachable(_WHERE, f"no answer ({type(error).__name__})") from error
        except (KeyError, TypeError, ValueError) as error:
            raise Garbled(_WHERE, "an answer of another shape") from error


def kv_keypairs(vault: Vault, place: str) -> list[tuple[Keypair, Role]]:
    """Return the key pairs of one KV secret in the order of their names; raise BadInput for none."""
    mount, path = _place(place, KV)
    fields = vault.read_kv(mount, path)
    found = [
        (parse_keypair(str(fields[name]), f"Vault, field {name}"), role_of(name)) for name in sorted(fields)
    ]
    if not found:
        raise BadInput("KEYSTORE", place, "a secret with at least one wallet", "Vault")
    return found


class TransitSigner:
    """Have Vault sign: the keys never are in this process."""

    def __init__(self, vault: Vault, place: str) -> None:
        self._vault = vault
        self._mount, prefix = _place(place, TRANSIT)
        found = vault.transit_keys(self._mount, prefix)
        if not found:
            raise BadInput("KEYSTORE", place, "a prefix under which Vault has keys", "Vault")
        self._names = {Pubkey(key): name for name, key in found.items()}
        self.wallets = [
            Wallet(Pubkey(key), role_of(name.removeprefix(prefix))) for name, key in found.items()
        ]
        self._threads = ThreadPoolExecutor(min(CONNECTIONS, len(found)), thread_name_prefix="vault")

    def sign_all(self, jobs: Iterable[Job]) -> list[bytes]:
        """Return one signature per job, in order: one call to Vault for each key, several at a time."""
        asked = list(jobs)
        by_key: dict[Pubkey, list[int]] = {}
        for at, (key, _) in enumerate(asked):
            if key not in self._names:
                raise UnknownKey(key)
            by_key.setdefault(key, []).append(at)
        self._vault.keep_alive()
        signed = self._threads.map(
            lambda item: self._sign(item[0], [asked[at][1] for at in item[1]]), by_key.items()
        )
        signatures: dict[int, bytes] = {}
        for places, part in zip(by_key.values(), signed, strict=True):
            signatures.update(zip(places, part, strict=True))
        return [signatures[at] for at in range(len(asked))]

    def _sign(self, key: Pubkey, messages: list[bytes]) -> list[bytes]:
        name = self._names[key]
        signatures = self._vault.sign(self._mount, name, messages)
        for message, signature in zip(messages, signatures, strict=True):
            try:
                VerifyKey(bytes(key)).verify(message, signature)
            except (BadSignatureError, ValueError) as error:
                raise UnsafeState(
                    f"{name}: Vault signs with another key than {key}; was it rotated?"
                ) from error
        return signatures


def role_of(name: str) -> Role:
    """Return the role a wallet's name says."""
    bare = name.lstrip("-_/")
    return next((role for role in (Role.TREASURY, Role.RETIRED) if bare.startswith(role)), Role.OPERATOR)


def _place(text: str, kind: str) -> tuple[str, str]:
    mount, _, rest = text.removeprefix(kind).partition("/")
    if not mount or not rest:
        raise BadInput("KEYSTORE", text, f"{kind}MOUNT/NAME", "settings")
    return mount, rest


def _address(environ: Mapping[str, str]) -> str:
    url = environ.get("VAULT_ADDR", "")
    parts = urlsplit(url)
    safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    if not safe or not parts.hostname:
        raise BadInput(
            "VAULT_ADDR", parts.hostname or "", "the https URL of a Vault or OpenBao", "environment"
        )
    return url


def _raw(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise Garbled(_WHERE, "no base64 where it should be") from error
