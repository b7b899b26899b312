"""Packed bundles -> signed transactions that are ready to be sent and watched.

Rules of this file
- A plan is built whole, then signed some bundles at a time: what helps to sign in this process falls asleep
  where it has to wait. One call is under way at a time; where another process signs, the clock is held.
- A signer that refuses a call has signed nothing of it: its bundles are asked for one by one, so that only
  what is unlawful is left out, and what cancels still goes.
"""

import asyncio
from collections.abc import Sequence
from itertools import chain

from bmv.chain.jito import bundle_id
from bmv.chain.rpc import Blockhash
from bmv.chain.transaction import MessageSigner, Tip, sign_all, signature
from bmv.errors import Refused
from bmv.model import BundleCost
from bmv.ports import Clock
from bmv.services.outcomes import Sent
from bmv.services.packing import BundleDraft
from bmv.units import Lamports

LAMPORTS_PER_SIGNATURE = 5_000
AT_ONCE = 12
"""Bundles: a millisecond or two of signing in this process, and a few more in another one."""

Messages = list[bytes]
"""What the transactions of one bundle say."""


class PlanSigner:
    """Have the bundles of a plan built and signed; ``clock`` is held while another process signs."""

    def __init__(self, signer: MessageSigner, clock: Clock) -> None:
        self._signer, self._clock = signer, clock

    async def signed(
        self, bundles: Sequence[BundleDraft], tip: Tip | None, blockhash: Blockhash, turn: int = 0
    ) -> list[Sent | Refused]:
        """Return each bundle ready to be sent, or why the signer refuses it, in their order.

        What places nothing may be asked for again, in another ``turn``, before it landed. Raises what the
        signer raises that is no refusal. Between bundles, and while another process signs, the loop goes on.
        """
        built = await self._build(bundles, tip, blockhash, turn)
        signed: list[list[bytes] | Refused] = []
        for portion in portions(built):
            signed += await self._sign(portion)
            await asyncio.sleep(0)
        found: list[Sent | Refused] = []
        for bundle, raws in zip(bundles, signed, strict=True):
            found.append(raws if isinstance(raws, Refused) else self._sent(bundle, raws, tip, blockhash))
            await asyncio.sleep(0)
        return found

    async def _build(
        self, bundles: Sequence[BundleDraft], tip: Tip | None, blockhash: Blockhash, turn: int
    ) -> list[Messages]:
        built = []
        for bundle in bundles:
            built.append(messages_of(bundle, tip, blockhash, turn))
            await asyncio.sleep(0)
        return built

    async def _sign(self, portion: Sequence[Messages]) -> list[list[bytes] | Refused]:
        try:
            raws = iter(await self._raws([message for messages in portion for message in messages]))
        except Refused as error:
            if len(portion) == 1:
                return [error]
            alone = [await self._sign([one]) for one in portion]
            return list(chain.from_iterable(alone))
        return [[next(raws) for _ in messages] for messages in portion]

    async def _raws(self, messages: list[bytes]) -> list[bytes]:
        if not self._signer.elsewhere:
            return sign_all(messages, self._signer)
        with self._clock.hold():
            return await asyncio.to_thread(sign_all, messages, self._signer)

    def _sent(self, bundle: BundleDraft, raws: list[bytes], tip: Tip | None, blockhash: Blockhash) -> Sent:
        signatures = [signature(raw) for raw in raws]
        fees = Lamports(LAMPORTS_PER_SIGNATURE * sum(raw[0] for raw in raws))
        return Sent(
            bundle_id=bundle_id(signatures),
            tickets=tuple(bundle.tickets),
            raws=raws,
            signatures=signatures,
            last_valid=blockhash.last_valid_block_height,
            cost=BundleCost(fees, tip[1] if tip else Lamports(0)),
            sent_at=self._clock.now(),
            until=bundle.until,
            withdraws=bundle.withdraws,
            plain=tip is None,
        )


def portions(built: Sequence[Messages]) -> list[Sequence[Messages]]:
    """Return the messages of bundles in the portions that are signed together."""
    return [built[start : start + AT_ONCE] for start in range(0, len(built), AT_ONCE)]


def messages_of(bundle: BundleDraft, tip: Tip | None, blockhash: Blockhash, turn: int = 0) -> Messages:
    """Build a bundle's messages.

    Some units of compute more tell those of one turn from those before: a bundle that repeats a transaction
    which has landed would be refused whole. Even for bundles, odd for the node.
    """
    more = 0 if bundle.until is not None else 2 * turn + (tip is None)
    last, raw_hash = bundle.drafts[-1], blockhash.raw
    return [
        draft.message(draft.units + more, tip if draft is last else None, raw_hash) for draft in bundle.drafts
    ]
