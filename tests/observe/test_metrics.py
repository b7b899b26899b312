"""The metrics as Prometheus reads them."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bmv.observe.metrics import CATALOGUE, LATENCY_BUCKETS_S, Exposition, Values


def shown(values: Values) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = Exposition(lambda: values).text().decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if values.seconds or "latency" not in sample.name
    }


def test_every_name_stands_once_with_our_prefix_and_a_sentence() -> None:
    names = [named.name for named in CATALOGUE]
    assert len(set(names)) == len(names)
    assert all(name.startswith("bmv_") and not name.endswith("_total") for name in names)
    assert all(named.says.endswith(".") for named in CATALOGUE)


def test_values_are_read_at_the_scrape_with_their_labels() -> None:
    values = Values()
    values.put("bmv_fills", 3, "bid")
    values.put("bmv_spread_ratio", 0.01)
    values.put("bmv_spread_mean_ratio", None)
    assert shown(values) == {("bmv_fills_total", (("side", "bid"),)): 3, ("bmv_spread_ratio", ()): 0.01}
    values.put("bmv_fills", 4, "bid")
    assert shown(values)["bmv_fills_total", (("side", "bid"),)] == 4


@pytest.mark.parametrize("put", [("bmv_nothing", 1.0), ("bmv_fills", 1.0), ("bmv_spread_ratio", 1.0, "bid")])
def test_what_is_not_in_the_catalogue_is_an_error(put: tuple[str, float]) -> None:
    with pytest.raises(KeyError):
        Values().put(*put)


def test_latencies_are_counted_up_to_each_bound() -> None:
    values = Values()
    values.seconds["bmv_bundle_latency_seconds"] = [0.4, 1.0, 4.0, 500.0]
    found = shown(values)
    for bound in LATENCY_BUCKETS_S:
        below = sum(one <= bound for one in (0.4, 1.0, 4.0, 500.0))
        assert found["bmv_bundle_latency_seconds_bucket", (("le", str(bound)),)] == below
    assert found["bmv_bundle_latency_seconds_bucket", (("le", "+Inf"),)] == 4
    assert found["bmv_bundle_latency_seconds_sum", ()] == 505.4
