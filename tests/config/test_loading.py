"""Settings from file and environment: strict, and every refusal says what, where from and what would do."""

import os
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmv.config import KNOWN_KEYS, NO_SETTINGS, Settings, load, parse_duration, read
from bmv.config.settings import FIELDS
from bmv.config.sources import Given, Source
from bmv.errors import BadInput, BadSettings
from bmv.secret import Secret

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


@pytest.fixture
def wrote(tmp_path: Path) -> Path:
    return tmp_path / "bmv.toml"


def refused(path: Path | None = None, text: str = "", **environ: str) -> str:
    """Return the complaint about a file and an environment."""
    if path is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput) as caught:
        load(path, {f"BMV_{key}": value for key, value in environ.items()})
    assert caught.value.exit_code == 2
    return str(caught.value)


def from_env(key: str, value: str) -> object:
    """Return what a key becomes."""
    names = {str(field.alias): name for name, field in Settings.model_fields.items()}
    return getattr(load(None, {f"BMV_{key}": value}), names[key])


# What is read


def test_no_file_and_no_environment_are_the_defaults() -> None:
    assert load(None, {}) == Settings()
    assert load(None, {"PATH": "/bin", **dict.fromkeys(NO_SETTINGS, "x")}) == Settings()


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("INSIDE_SPREAD_PCT", "0.75", 75),
        ("BUY_DENSITY", "2.5", 25_000),
        ("REF_NOTIONAL_SOL", "0.000000001", 1),
        ("IDLE_INTERVAL_MIN", "20", 20 * MINUTE),
        ("IDLE_INTERVAL_MIN", "2h", 2 * HOUR),
        ("IDLE_INTERVAL_MIN", "1.5", 90_000),
        ("CHANNEL_INERTIA_HOURS", "36", 36 * HOUR),
        ("HISTORY_WINDOW_DAYS", "30", 30 * DAY),
        ("PRICE_CONFIRM_S", "5", 5_000),
        ("FORCED_SYNC", " 90 min ", 90 * MINUTE),
        ("GRID_LEVELS", "auto", None),
        ("GRID_LEVELS", "64", 64),
        ("ORDERS_PER_WALLET", "96", 96),
        ("JITO_TIP_MODE", "fixed", "fixed"),
        ("PIVOT_MODE", "pure", "pure"),
    ],
)
def test_values_are_written_as_people_write_them(key: str, text: str, value: object) -> None:
    assert from_env(key, text) == value


@given(st.integers(1, 10**6), st.sampled_from(["ms", "s", "min", "m", "h", "d"]))
def test_a_duration_is_a_number_and_a_unit(count: int, unit: str) -> None:
    per = {"ms": 1, "s": 1_000, "min": MINUTE, "m": MINUTE, "h": HOUR, "d": DAY}[unit]
    assert parse_duration(f"{count}{unit}") == parse_duration(count, unit) == count * per


@pytest.mark.parametrize(
    "text", ["", "5", "h", "-5s", "5 weeks", "1h30m", "1e3s", "0.5ms", "٣s", "5S", "∞d", True, None, 5]
)
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="a duration"):
        parse_duration(text)


def test_both_spellings_of_a_percentage_are_one_key(wrote: Path) -> None:
    wrote.write_text('"BUY_PACE_%" = 20\nREANCHOR_PCT = 40\n"MAX_ORDER_%_OF_WALLET" = 10\n')
    settings = load(wrote, {})
    assert settings.buy_pace == 2_000
    assert settings.reanchor == 4_000
    assert settings.max_order_of_wallet == 1_000
    wrote.write_text('"MIN_SPREAD_%" = 0.4\nMIN_SPREAD_PCT = 0.4\n')
    assert load(wrote, {}).min_spread == 40


def test_the_environment_wins_over_the_file(wrote: Path) -> None:
    wrote.write_text('"INSIDE_SPREAD_%" = 2\nGRID_LEVELS = 10\n')
    settings = load(wrote, {"BMV_INSIDE_SPREAD_PCT": "3"})
    assert settings.inside_spread == 300
    assert settings.grid_levels == 10


def test_the_process_environment_is_read_where_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("BMV_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("BMV_GRID_LEVELS", "12")
    assert load().grid_levels == 12


def test_numbers_of_a_file_are_exact(wrote: Path) -> None:
    wrote.write_text("REF_NOTIONAL_SOL = 0.100000001\nSEED_PRICE = 0.1\nSEED_DAILY_VOLUME = 3\n")
    settings = load(wrote, {})
    assert settings.ref_notional == 100_000_001
    assert settings.seed_price == Decimal("0.1")


# What is refused, and in which words


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('"INSIDE_SPREAD_%" = 30', "INSIDE_SPREAD_%: 30 is not allowed; at least 0.01 % and at most 20 %"),
        ("INSIDE_SPREAD_PCT = 0.125", "INSIDE_SPREAD_PCT: '0.125' is not allowed; at most 2 decimals"),
        ("IDLE_INTERVAL_MIN = '3s'", "IDLE_INTERVAL_MIN: '3s' is not allowed; at least 1min and at most 1d"),
        ("PRICE_MAX_AGE = 5", "PRICE_MAX_AGE: 5 is not allowed; a duration such as 30s, 15min, 1h or 30d"),
        ("PIVOT_MODE = 'x'", "PIVOT_MODE: 'x' is not allowed; 'seeded', 'sol_fade_in' or 'pure'"),
        ("ORDERS_PER_WALLET = 'a'", "ORDERS_PER_WALLET: 'a' is not allowed; a number"),
        ("ORDERS_PER_WALLET = 2.5", "ORDERS_PER_WALLET: '2.5' is not allowed; a whole number"),
        ("ORDERS_PER_WALLET = 97", "ORDERS_PER_WALLET: 97 is not allowed; at least 2 and at most 96"),
        ("GRID_LEVELS = 3", "GRID_LEVELS: 3 is not allowed; at least 4 and at most 6400"),
        ("GRID_LEVELS = true", "GRID_LEVELS: True is not allowed; a number"),
        ("REF_NOTIONAL_SOL = inf", "REF_NOTIONAL_SOL: 'Infinity' is not allowed; a finite number"),
        ("REF_NOTIONAL_SOL = nan", "REF_NOTIONAL_SOL: 'NaN' is not allowed; a finite number"),
        ("REF_NOTIONAL_SOL = 1e-10", "REF_NOTIONAL_SOL: '1E-10' is not allowed; at most 9 decimals"),
        (
            "REF_NOTIONAL_SOL = '1e999999999'",
            "REF_NOTIONAL_SOL: '1e999999999' is not allowed; a number",
        ),
        ("GRID_LEVELS = '1e-9999999'", "GRID_LEVELS: '1e-9999999' is not allowed; a number of at most 30"),
        (
            "INSIDE_SPREAD_PCT = '1.0000000000000000000000000000000001'",
            "INSIDE_SPREAD_PCT: '1.0000000000000000000000000000000001' is not allowed; at most 2 decimals",
        ),
        ("FORCED_SYNC = '1.00000000000000000000000000000000001h'", "FORCED_SYNC: '1.0000"),
        ("SEED_PRICE = -1", "SEED_PRICE: -1 is not allowed; at least 0"),
        ("BUY_DENSITY = 9", "BUY_DENSITY: 9 is not allowed; at least 0.25 and at most 4"),
        ("JITO_TIP_AMOUNT_SOL = 0", "JITO_TIP_AMOUNT_SOL: 0 is not allowed; at least 0.000001 and at most 1"),
        ('"MIN_SPREAD_%" = 1.5', "MIN_SPREAD_%: '1.5' is not allowed; at most INSIDE_SPREAD_PCT, 1 %"),
        (
            "INSIDE_SPREAD_PCT = 0.25",
            "INSIDE_SPREAD_PCT: '0.25' is not allowed; at least MIN_SPREAD_PCT",
        ),
        (
            "MAX_BASE_SHARE_PCT = 10",
            "MAX_BASE_SHARE_PCT: 10 is not allowed; at least MIN_BASE_SHARE_PCT",
        ),
        ("SEED_PRICE = 1", "SEED_PRICE: 1 is not allowed; 0 unless SEED_DAILY_VOLUME is set too"),
        ("SEED_DAILY_VOLUME = 1", "SEED_DAILY_VOLUME: 1 is not allowed; 0 unless SEED_PRICE is set too"),
        (
            'PIVOT_MODE = "sol_fade_in"',
            "PIVOT_MODE: 'sol_fade_in' is not allowed; sol_fade_in only with SEED_USD",
        ),
        ("GRID_LEVEL = 8", "GRID_LEVEL: 8 is not allowed; known keys only; did you mean GRID_LEVELS?"),
        ('"MIN_SPRAED_%" = 1', "MIN_SPRAED_%: 1 is not allowed; known keys only; did you mean MIN_SPREAD_%?"),
        ("[market]\nname = 1", "market: {'name': 1} is not allowed; known keys only"),
    ],
)
def test_a_refusal_names_the_key_as_written_the_value_what_would_do_and_the_file(
    wrote: Path, line: str, complaint: str
) -> None:
    told = refused(wrote, line)
    assert told.startswith(complaint)
    assert told.endswith(f"(from {wrote})")


def test_a_refusal_of_the_environment_names_the_variable() -> None:
    assert refused(GRID_LEVELS="many").endswith("(from environment variable BMV_GRID_LEVELS)")
    assert refused(LEVELS="4").endswith("(from environment variable BMV_LEVELS)")


def test_two_spellings_with_different_values_are_an_error(wrote: Path) -> None:
    told = refused(wrote, '"MIN_SPREAD_%" = 0.4\nMIN_SPREAD_PCT = 0.6\n')
    assert told.startswith(
        "MIN_SPREAD_PCT: '0.6' is not allowed; one spelling, or the same value as MIN_SPREAD_%"
    )


def test_a_bad_value_that_is_said_in_two_spellings_is_complained_of_once(wrote: Path) -> None:
    told = refused(wrote, '"MIN_SPREAD_%" = 99\nMIN_SPREAD_PCT = 98\n')
    assert told.count("MIN_SPREAD_PCT: 98") == 1
    assert "one spelling, or the same value as MIN_SPREAD_%" in told


@pytest.mark.parametrize("content", [b"x = [", b"[a]\n[a]\n", b"\xff\xfe"])
def test_a_file_that_is_no_toml_is_refused(wrote: Path, content: bytes) -> None:
    wrote.write_bytes(content)
    with pytest.raises(BadInput, match="valid TOML") as caught:
        load(wrote, {})
    assert caught.value.source == str(wrote)


@pytest.mark.parametrize("key", ["GRID_LEVELS", '"MIN_SPREAD_%"', "'MIN_SPREAD_%'"])
def test_a_key_that_is_said_twice_is_named_with_its_line_and_file(wrote: Path, key: str) -> None:
    told = refused(wrote, f"# first\r\n{key} = 4\r\n\r\n{key} = 5\r\n")
    assert told.startswith(
        f"{key.strip(chr(34) + chr(39))}: 'said again in line 4' is not allowed; each key once"
    )
    assert str(wrote) in told


def test_what_is_no_toml_is_not_repeated_for_it_may_be_a_secret(wrote: Path) -> None:
    told = refused(wrote, "RPC_URL = https://user:word@node.example\n")
    assert told.startswith("RPC_URL: 'line 1' is not allowed; valid TOML")
    assert "word" not in told


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(BadInput, match="a readable file"):
            load(path, {})


def test_everything_that_is_wrong_is_told_at_once(wrote: Path) -> None:
    text = """
GRID_LEVLES = 50
"REANCHOR_%" = 0.5
FORCED_SYNC = "soon"
MIN_BASE_SHARE_PCT = 90
SEED_PRICE = 1
REBUILD_MIN_CHANGE_PCT = 6
"REBUILD_MIN_CHANGE_%" = 7
"""
    wrote.write_text(text)
    with pytest.raises(BadSettings) as caught:
        read(wrote, {"BMV_ORDERS_PER_WALLET": "1"})
    problems = {problem.field: problem for problem in caught.value.problems}
    assert set(problems) == {
        *("GRID_LEVLES", "REANCHOR_%", "FORCED_SYNC", "MIN_BASE_SHARE_PCT", "SEED_PRICE"),
        *("REBUILD_MIN_CHANGE_%", "ORDERS_PER_WALLET"),
    }
    assert problems["REANCHOR_%"].allowed == "at least 1 % and at most 100 %"
    assert problems["ORDERS_PER_WALLET"].source == "environment variable BMV_ORDERS_PER_WALLET"
    told = str(caught.value).split("\n")
    assert told[0] == "7 settings are not allowed"
    assert [line.strip() for line in told[1:]] == [str(problem) for problem in caught.value.problems]


def test_a_value_that_is_not_allowed_blames_no_other_key_for_contradicting_it(wrote: Path) -> None:
    assert refused(wrote, '"MIN_SPREAD_%" = 90\nINSIDE_SPREAD_PCT = 0.3\n').startswith("MIN_SPREAD_%: 90")


def test_a_seed_with_a_bad_half_is_blamed_for_that_half_only(wrote: Path) -> None:
    assert refused(wrote, "SEED_PRICE = 1\nSEED_DAILY_VOLUME = 'much'\n").startswith(
        "SEED_DAILY_VOLUME: 'much'"
    )
    assert refused(wrote, "SEED_PRICE = 1\nSEED_DAILY_VOLUME = 0\n").startswith("SEED_PRICE: 1 ")


# Where values come from


def test_the_source_of_every_value_is_known(wrote: Path) -> None:
    wrote.write_text('PRESET = "sla"\n"INSIDE_SPREAD_%" = 0.9\nGRID_LEVELS = 10\n')
    found = read(wrote, {"BMV_GRID_LEVELS": "12", "HOME": "/"})
    assert found.kind_of("INSIDE_SPREAD_PCT") is Source.FILE
    assert found.source_of("INSIDE_SPREAD_PCT") == f"{wrote}: INSIDE_SPREAD_%"
    assert found.kind_of("GRID_LEVELS") is Source.ENVIRONMENT
    assert found.source_of("GRID_LEVELS") == "environment variable BMV_GRID_LEVELS"
    assert found.source_of("MIN_SPREAD_PCT") == "preset sla"
    assert found.source_of("JITO_TIP_MODE") == "default"
    assert found.settings.grid_levels == 12
    assert list(found.notes()) == [
        f"GRID_LEVELS = 10 in {wrote} has no effect: environment variable BMV_GRID_LEVELS decides"
    ]


@pytest.mark.parametrize(
    ("place", "fits"),
    [
        ("user:word@host:5432/db", True),
        ("one:5432,two/db", True),
        ("[::1]:5432/db", True),
        ("user:word@host:port/db", False),
        ("one:port,two:5432/db", False),
        ("host:65536/db", False),
    ],
)
def test_the_port_of_a_secret_url_is_a_number(place: str, fits: bool) -> None:
    environment = {"BMV_DATABASE_URL": f"postgresql://{place}"}
    if fits:
        assert read(None, environment).settings.database_url is not None
        return
    with pytest.raises(BadInput, match="a number up to 65535") as refused:
        read(None, environment)
    assert "word" not in str(refused.value)


@pytest.mark.parametrize("key", [key for key, known in FIELDS.items() if "Secret" in str(known.annotation)])
def test_no_note_and_no_complaint_repeats_what_may_be_a_secret(wrote: Path, key: str) -> None:
    texts = (
        f"{scheme}://u:pass-1234@host.example/pass-1234" for scheme in ("https", "wss", "redis", "postgres")
    )
    for text in ("pass-1234", *texts):
        wrote.write_text(f'{key} = "{text}"\n')
        try:
            found = read(wrote, {f"BMV_{key}": text})
        except BadInput as error:
            told = str(error)
        else:
            assert isinstance(found.settings.by_key()[key], Secret)
            (told,) = found.notes()
            assert "has no effect" in told
        assert "pass-1234" not in told
    assert Given("pass-1234", key, Source.FILE, "x").shown == "***"


def test_reading_again_with_the_same_environment_gives_the_same(wrote: Path) -> None:
    wrote.write_text("GRID_LEVELS = 10\n")
    assert read(wrote, {"BMV_BUY_DENSITY": "3"}) == read(wrote, {"BMV_BUY_DENSITY": "3", "PATH": "/bin"})


@given(
    st.dictionaries(
        st.sampled_from(KNOWN_KEYS), st.text("0123456789.eE-+_ %shmind∞٣", max_size=12), max_size=6
    )
)
def test_whatever_text_stands_there_it_is_read_or_refused_by_name(texts: dict[str, str]) -> None:
    environ = {f"BMV_{key}": text for key, text in texts.items()}
    try:
        found = read(None, environ)
    except BadInput as error:
        blamed = {problem.field for problem in error.problems}
    else:
        blamed = set()
        # What is secret is written as that, and read back as a secret that opens nothing.
        written = found.settings.written()
        assert Settings.model_validate(written).written() == written
    assert blamed <= set(texts)
