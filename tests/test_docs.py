"""The papers say what is so: commands and options exist, links lead somewhere, settings load."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from bmv import config
from bmv.app.demo import DemoOptions, run_demo
from bmv.app.world import WorldOptions
from bmv.cli.main import app
from bmv.errors import BadInput
from bmv.sandbox.faults import RATES

ROOT = Path(__file__).resolve().parent.parent
PAPERS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
PATH_ROOMS = ("src/", "docs/", "config/", "examples/", "tests/", "ops/", ".ci/")
CODE_BLOCK = re.compile(r"^```\w*\n(.*?)^```|((?:^    \S.*\n)+)", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"(?:^|[\s|;(`/])((?:bmv|make) [a-z-][^`\n|;#&>]*)")
LINK = re.compile(r"\[[^\]]+\]\(([^)#]+)(?:#[^)]*)?\)")
NAMED_PATH = re.compile(r"`((?:" + "|".join(map(re.escape, PATH_ROOMS)) + r")[\w./-]*)`")
ROOMS = "app|backtest|chain|cli|core|integrity|keys|observe|report|sandbox|services|state|venue|web"
MODULE = re.compile(rf"`((?:{ROOMS})/[\w./]+\.py)`")


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def commands(text: str) -> list[list[str]]:
    """Return every ``bmv`` and ``make`` call in code blocks and in code spans, comments cut off."""
    blocks = ["".join(groups) for groups in CODE_BLOCK.findall(text)]
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))
    found = [match[1] for piece in [*blocks, *spans] for match in COMMAND.finditer(piece)]
    return [shlex.split(one.replace("...", "")) for one in found]


def children(command: Any) -> dict[str, Any]:
    """Return the commands of a group; a plain command has none."""
    found: dict[str, Any] = getattr(command, "commands", {})
    return found


def resolve(words: list[str]) -> tuple[Any, list[str]]:
    """Walk down to the command that ``words`` (without bmv) name; AssertionError where there is none."""
    command: Any = typer.main.get_command(app)
    while children(command) and words and not words[0].startswith("-"):
        assert words[0] in children(command), f"bmv has no command {words[0]}"
        command, words = children(command)[words[0]], words[1:]
    return command, words


def options_of(command: Any) -> set[str]:
    return {"--help"} | {flag for param in command.params for flag in [*param.opts, *param.secondary_opts]}


def every_command(command: Any, name: str = "bmv") -> Iterator[tuple[str, Any]]:
    if not children(command):
        yield name, command
    for part, child in children(command).items():
        yield from every_command(child, f"{name} {part}")


@pytest.mark.parametrize("paper", PAPERS, ids=lambda path: path.name)
def test_every_command_and_option_named_exists(paper: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", text_of("Makefile"), re.MULTILINE))
    for words in commands(paper.read_text(encoding="utf-8")):
        if words[0] == "make":
            assert {word for word in words[1:] if "=" not in word} <= targets, words
            passed = " ".join(word.removeprefix("ARGS=") for word in words[2:])
            words = ["bmv", "demo", *shlex.split(passed)] if words[1] == "demo" else ["bmv"]  # noqa: PLW2901
        command, rest = resolve(words[1:])
        given = {word.split("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
        assert given <= options_of(command), words


@pytest.mark.parametrize("paper", PAPERS, ids=lambda path: path.name)
def test_every_option_named_alone_is_one_of_some_command(paper: Path) -> None:
    root = typer.main.get_command(app)
    known = options_of(root).union(*(options_of(command) for _, command in every_command(root)))
    named = set(re.findall(r"`(--[a-z-]+)[^`]*`", paper.read_text(encoding="utf-8")))
    assert named <= known


def test_the_readme_names_every_command_and_every_option() -> None:
    text = text_of("README.md")
    for name, command in every_command(typer.main.get_command(app)):
        assert name in text
        for option in options_of(command) - {"--help", "--no-headless", "--no-json"}:
            if option.startswith("--"):
                assert option in text, f"{name} {option}"


def test_both_quick_starts_show_the_same_commands() -> None:
    def blocks(name: str) -> list[list[str]]:
        text = text_of(name)
        start = text.index("<!-- quick start -->")
        return commands(text[start : text.index("<!-- /quick start -->")])

    assert len(blocks("README.md")) > 5
    assert blocks("README.md") == blocks("README.ru.md")


@pytest.mark.parametrize("paper", PAPERS, ids=lambda path: path.name)
def test_links_and_named_files_exist(paper: Path) -> None:
    text = paper.read_text(encoding="utf-8")
    for target in LINK.findall(text):
        assert re.match(r"https?://", target) or (paper.parent / target).exists(), target
    for target in NAMED_PATH.findall(text):
        assert (ROOT / target).exists(), target
    for target in MODULE.findall(text):
        assert (ROOT / "src" / "bmv" / target).exists(), target


@pytest.mark.parametrize("paper", PAPERS, ids=lambda path: path.name)
def test_no_paper_has_a_section_twice(paper: Path) -> None:
    sections = re.split(r"^(?=#{1,4} )", paper.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    long = [section.strip() for section in sections if len(section) > 200]
    assert len(set(long)) == len(long)


def test_the_design_names_every_module() -> None:
    text = text_of("docs/design.md")
    package = ROOT / "src" / "bmv"
    missing = [
        path.relative_to(package).as_posix()
        for path in sorted(package.rglob("*.py"))
        if path.stem != "__init__" and f"`{path.stem}`" not in text and f"{path.name}`" not in text
    ]
    assert missing == []


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.toml")), ids=lambda path: path.name)
def test_a_settings_file_loads(path: Path) -> None:
    config.load(path, environ={})


def test_the_example_holds_every_key_at_its_default() -> None:
    path = ROOT / "config" / "mainnet.example.toml"
    assert set(tomllib.loads(path.read_text())) == set(config.KNOWN_KEYS)
    assert config.load(path, environ={}) == config.Settings()


def test_the_glossary_is_in_order_and_names_nothing_twice() -> None:
    words = re.findall(r"^\| \*\*(.+?)\*\*", text_of("docs/glossary.md"), re.MULTILINE)
    assert len(words) > 30
    assert [word.lower() for word in words] == sorted({word.lower() for word in words})


def test_the_report_paper_names_every_key_and_no_other() -> None:
    report = run_demo(
        DemoOptions(
            world=WorldOptions(seed=1, wallets=1),
            settings=config.Settings(),
            speed=None,
            run_s=60,
            state_dir=None,
            quiet=True,
        )
    )
    named = set(re.findall(r"^\| `([\w.]+)`", text_of("docs/report.md"), re.MULTILINE))
    assert {key.split(".")[0] for key in named} == set(report)
    nested = {f"{key}.{inner}" for key, value in report.items() if isinstance(value, dict) for inner in value}
    assert nested <= named


def test_the_fault_kinds_of_the_readme_are_the_real_ones() -> None:
    for kind in RATES:
        assert f"`{kind}`" in text_of("README.md")


def test_the_settings_that_would_fake_activity_point_to_a_paper_that_exists() -> None:
    with pytest.raises(BadInput, match=r"docs/integrity\.md") as caught:
        config.load(environ={"BMV_NOISE_LEVEL": "3", "BMV_FLASH_VOLUME_ENABLED": "true"})
    assert "FLASH_VOLUME_ENABLED, NOISE_LEVEL" in str(caught.value)
    assert "wash" in text_of("docs/integrity.md")
