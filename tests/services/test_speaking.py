"""Events in the words of the product definition: prices and amounts as people write them."""

from bmv.core.decay import FINE
from bmv.events import Report
from bmv.model import MarketSpec
from bmv.services.speaking import described, spoken
from bmv.units import BaseLots, Ticks

SPEC = MarketSpec("market", "mint", 9, 9, 10**9, 1_000, 100, 100, 100)


def test_a_fill_and_a_rebuild_are_told_in_sol_and_tokens() -> None:
    fill = Report("ORDER_FILL", {"price": 12_000, "size": 3, "side": "BID", "wallet": 0})
    price, volume = f"{SPEC.price(Ticks(12_000)):f}", f"{SPEC.size(BaseLots(3)):f}"
    assert (price, volume) == ("0.012", "3")
    assert spoken(fill, SPEC) == {"price": price, "volume": volume, "side": "BID", "wallet": 0}
    rebuild = Report(
        "GRID_REBUILD", {"pivot_fine": 12_000 * FINE, "kept": 5, "cost": 15_000, "cause": "penny"}
    )
    assert spoken(rebuild, SPEC) == {"pivot": price, "kept": 5, "cost": "0.000015", "cause": "penny"}
    assert described(spoken(rebuild, SPEC)) == f"pivot {price}, kept 5, cost 0.000015, cause penny"


def test_money_of_the_treasury_is_told_in_sol_and_dollars() -> None:
    told: dict[str, str | int] = {"usdc": 20_500_000, "sol": 150_000_000, "rule": "injection", "proven": 1}
    assert spoken(Report("FIAT_INJECTION", told), SPEC) == {
        "usdc": "20.5",
        "sol": "0.15",
        "rule": "injection",
        "proven": 1,
    }
    back = spoken(Report("RENT_RECLAIM", {"wallet": 1, "lamports": 23_357_760}), SPEC)
    assert back == {"wallet": 1, "sol": "0.02335776"}


def test_what_nobody_knows_is_told_as_it_is() -> None:
    assert spoken(Report("SOMETHING", {"number": 5}), SPEC) == {"number": 5}
