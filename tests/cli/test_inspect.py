"""``bmv inspect`` says what an independent decoder says."""

import base64
import gzip
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bmv.cli import main

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "openbook_v1"
ACCOUNTS = ROOT.parent / "shared" / "data" / "accounts"
VECTORS = ROOT.parent / "shared" / "vectors" / "openbook_v1" / "instructions.json"

Inspect = Callable[..., Any]


@pytest.fixture
def inspect(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Inspect:
    def run(*arguments: object, code: int = 0) -> Any:
        monkeypatch.setattr(sys, "argv", ["bmv", "inspect", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main.main()
        told = capsys.readouterr()
        assert (ended.value.code or 0) == code, told.err
        return told.err if code else told.out

    return run


def test_every_recorded_account_is_shown_as_an_independent_checker_reads_it(inspect: Inspect) -> None:
    if not ACCOUNTS.is_dir():
        pytest.skip("the recorded accounts (shared/data/accounts) are not here")
    files = sorted(ACCOUNTS.glob("*.bin.gz"))
    assert len(files) >= 33
    for file in files:
        expected = json.loads((ACCOUNTS / f"{file.name.removesuffix('.bin.gz')}.expected.json").read_text())
        assert json.loads(inspect("account", file, "--json")) == expected, file.name


def test_an_account_may_come_packed_or_plain_and_be_shown_as_a_table(
    inspect: Inspect, tmp_path: Path
) -> None:
    snapshot = json.loads((GOLDEN / "accounts_m9.json").read_text())["snapshots"]["settled"]
    data = base64.b64decode(snapshot["market"]["data"])
    plain, packed = tmp_path / "market.bin", tmp_path / "market.bin.gz"
    plain.write_bytes(data)
    packed.write_bytes(gzip.compress(data))
    told = [inspect("account", file, "--json") for file in (plain, packed)]
    assert told[0] == told[1]
    table = inspect("account", plain)
    for name in json.loads(told[0]):
        assert name in table


@pytest.mark.parametrize("ts_call", ["DexInstructions.initializeMarket", "DexInstructions.settleFunds"])
def test_an_instruction_is_built_from_its_description(inspect: Inspect, tmp_path: Path, ts_call: str) -> None:
    vectors = json.loads((GOLDEN / "instructions.json").read_text())
    found = [vector for vector in vectors if vector["ts_call"] == ts_call]
    assert found
    file = tmp_path / "instruction.json"
    for vector in found:
        file.write_text(json.dumps({name: vector[name] for name in ("ts_call", "params")}))
        built = json.loads(inspect("instruction", file, "--json"))
        assert built == {name: vector[name] for name in ("program_id", "data_hex", "keys")}


def test_every_plain_instruction_vector_is_built_as_given(inspect: Inspect, tmp_path: Path) -> None:
    if not VECTORS.is_file():
        pytest.skip("the vectors (shared/vectors) are not here")
    plain = [one for one in json.loads(VECTORS.read_text()) if one["ts_call"].startswith("DexInstructions.")]
    file = tmp_path / "instructions.json"
    file.write_text(json.dumps([{name: one[name] for name in ("ts_call", "params")} for one in plain]))
    built = json.loads(inspect("instruction", file, "--json"))
    assert built == [{name: one[name] for name in ("program_id", "data_hex", "keys")} for one in plain]
    assert len(built) > 20


@pytest.mark.parametrize(
    ("text", "word"),
    [("not json", "JSON"), ("{}", "ts_call"), ('{"ts_call": "nothing", "params": {}}', "nothing")],
)
def test_a_wrong_description_is_refused(inspect: Inspect, tmp_path: Path, text: str, word: str) -> None:
    file = tmp_path / "instruction.json"
    file.write_text(text)
    told = inspect("instruction", file, code=2)
    assert word in told
    assert told.count("\n") == 1


@pytest.mark.parametrize("data", [b"", b"serum" + bytes(400), b"\x1f\x8b broken"])
def test_bytes_that_are_no_account_are_refused_in_one_line(
    inspect: Inspect, tmp_path: Path, data: bytes
) -> None:
    file = tmp_path / "account.bin"
    file.write_bytes(data)
    told = inspect("account", file, code=1)
    assert told.startswith("bmv: ")
    assert told.count("\n") == 1


def test_a_packed_file_that_is_not_packed_is_refused(inspect: Inspect, tmp_path: Path) -> None:
    file = tmp_path / "account.bin.gz"
    file.write_bytes(b"not gzip")
    assert "readable file" in inspect("account", file, code=2)
    file.write_bytes(gzip.compress(bytes(9_999))[:-9])
    assert "readable file" in inspect("account", file, code=2)
