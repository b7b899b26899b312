"""A packed bundle -> signed transactions that are ready to be sent and watched."""

from bmv.chain.jito import bundle_id
from bmv.chain.message import TemplateCache
from bmv.chain.rpc import Blockhash
from bmv.chain.transaction import MessageSigner, Tip, build_transaction, sign_all, signature
from bmv.model import BundleCost
from bmv.services.outcomes import Sent
from bmv.services.packing import BundleDraft
from bmv.units import Lamports, Millis

LAMPORTS_PER_SIGNATURE = 5_000


def sign_bundle(
    bundle: BundleDraft,
    tip: Tip | None,
    blockhash: Blockhash,
    signer: MessageSigner,
    at: Millis,
    templates: TemplateCache | None = None,
    turn: int = 0,
) -> Sent:
    """Build and sign a bundle; what places nothing may be asked for again, in another turn, before it landed.

    Some units of compute more tell its transactions from those before: a bundle that repeats one which has
    landed would be refused whole. Even for bundles, odd for the node.
    """
    more = 0 if bundle.places else 2 * turn + (tip is None)
    messages = [
        build_transaction(
            draft.payer,
            draft.pieces,
            draft.units + more,
            tip if draft is bundle.drafts[-1] else None,
            blockhash.raw,
            tables=draft.tables,
            templates=templates,
        )
        for draft in bundle.drafts
    ]
    raws = sign_all(messages, signer)
    signatures = [signature(raw) for raw in raws]
    fees = Lamports(LAMPORTS_PER_SIGNATURE * sum(raw[0] for raw in raws))
    return Sent(
        bundle_id=bundle_id(signatures),
        tickets=tuple(bundle.tickets),
        raws=raws,
        signatures=signatures,
        last_valid=blockhash.last_valid_block_height,
        cost=BundleCost(fees, tip[1] if tip else Lamports(0)),
        sent_at=at,
        places=bundle.places,
        plain=tip is None,
    )
