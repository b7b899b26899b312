"""The style of this repository as a test.

A rule is a function (tree, source, place) -> complaints; ``place`` is the path below src/bmv. Each rule is
also tried on a small sample that breaks it, so that a rule which has stopped seeing anything fails here.
"""

import ast
import re
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TypeGuard

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "bmv"
ROOMS = (".ci", "config", "docs", "examples", "ops", "src", "tests")
MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 70
SUPERVISOR = "services/engine.py"
BLANKET = {"Exception", "BaseException"}
VAGUE = {"util", "utils", "helper", "helpers", "common", "misc", "manager", "handler", "processor", "impl"}

# Joined from pieces, so that this file does not hold what it looks for.
LEFT_UNDONE = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"]) + r")\b")
UNNAMED_IGNORE = re.compile(r"#\s*(type:\s*ignore(?!\[)|noqa(?!:))")
PLACES_NOT_OURS = re.compile(
    "|".join(
        [
            "py" + r"pi\.(org|io)",
            "python" + r"hosted\.",
            "np" + r"mjs\.",
            "cra" + r"tes\.io",
            "arti" + "factory",
            r"(?<![\w.~-])/(" + "|".join(["wo" + "rk", "ro" + "ot", "ho" + "me", "Us" + "ers"]) + r")/\w",
            r"/tm" + r"p/\w",
        ]
    )
)

Function = ast.FunctionDef | ast.AsyncFunctionDef
Rule = Callable[[ast.Module, str, str], Iterator[str]]


def modules_are_short(_: ast.Module, source: str, __: str) -> Iterator[str]:
    """Complain about a module that is too long."""
    lines = source.count("\n")
    if lines > MAX_MODULE_LINES:
        yield f"{lines} lines; at most {MAX_MODULE_LINES}"


def functions_fit_on_a_screen(tree: ast.Module, _: str, __: str) -> Iterator[str]:
    """Complain about a function that is too long."""
    for node in ast.walk(tree):
        if isinstance(node, Function):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                yield f"{node.lineno}: {node.name} has {lines} lines; at most {MAX_FUNCTION_LINES}"


def nothing_catches_everything(tree: ast.Module, _: str, place: str) -> Iterator[str]:
    """Complain about a blanket except or suppress; the supervisor has one."""
    found = sorted(
        node.lineno
        for node in ast.walk(tree)
        if (isinstance(node, ast.ExceptHandler) and (node.type is None or _is_blanket(node.type)))
        or (_is_suppress(node) and any(map(_is_blanket, node.args)))
    )
    for line in found[1 if place == SUPERVISOR else 0 :]:
        yield f"{line}: catches everything; name the errors of errors.py"


def _is_suppress(node: ast.AST) -> TypeGuard[ast.Call]:
    return isinstance(node, ast.Call) and _name(node.func) == "suppress"


def _is_blanket(node: ast.expr) -> bool:
    return any(_name(one) in BLANKET for one in (node.elts if isinstance(node, ast.Tuple) else [node]))


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def the_public_is_documented(tree: ast.Module, source: str, _: str) -> Iterator[str]:
    """Complain about a module, public class, function or method without a docstring."""
    if source and ast.get_docstring(tree) is None:
        yield "1: the module has no docstring"
    for node in _public(tree.body):
        if ast.get_docstring(node) is None:
            yield f"{node.lineno}: {node.name} has no docstring"
        for method in _public(node.body) if isinstance(node, ast.ClassDef) else ():
            if ast.get_docstring(method) is None and not _is_overload(method):
                yield f"{method.lineno}: {node.name}.{method.name} has no docstring"


def _public(body: list[ast.stmt]) -> Iterator[Function | ast.ClassDef]:
    for node in body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            yield node


def _is_overload(node: Function | ast.ClassDef) -> bool:
    return any(_name(decorator) == "overload" for decorator in node.decorator_list)


def only_the_command_line_prints(tree: ast.Module, _: str, place: str) -> Iterator[str]:
    """Complain about print outside of cli."""
    if place.startswith("cli/"):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            yield f"{node.lineno}: print; log or return it"


def names_say_what_things_are(tree: ast.Module, _: str, place: str) -> Iterator[str]:
    """Complain about modules and classes named after nothing in the field."""
    for name in place.removesuffix(".py").split("/"):
        # "base" is a word of the field (base and quote), alone it is not.
        if VAGUE & set(name.split("_")) or name == "base":
            yield f"1: a module named {name!r} can hold anything"
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            words = {word.lower() for word in re.findall(r"[A-Z][a-z0-9]*", node.name)}
            if vague := sorted(words & VAGUE):
                yield f"{node.lineno}: {node.name} is named after {vague[0]!r}"


def nothing_is_left_undone(_: ast.Module, source: str, __: str) -> Iterator[str]:
    """Complain about notes to do something later, and about silenced checks that do not say which."""
    for line in _lines_with(LEFT_UNDONE, source):
        yield f"{line}: a note to do something later"
    for line in _lines_with(UNNAMED_IGNORE, source):
        yield f"{line}: silences every check; name the one"


def _lines_with(pattern: re.Pattern[str], source: str) -> Iterator[int]:
    for found in pattern.finditer(source):
        yield source.count("\n", 0, found.start()) + 1


def exports_exist(tree: ast.Module, _: str, __: str) -> Iterator[str]:
    """Complain about a name in ``__all__`` that the module does not bind."""
    bound = {name for node in tree.body for name in _bound(node)}
    for node in tree.body:
        if isinstance(node, ast.Assign) and [_name(target) for target in node.targets] == ["__all__"]:
            for name in sorted(set(ast.literal_eval(node.value)) - bound):
                yield f"{node.lineno}: __all__ names {name!r}, which is not here"


def _bound(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, Function | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from (alias.asname or alias.name.split(".")[0] for alias in node.names)
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        yield from (one.id for target in targets for one in ast.walk(target) if isinstance(one, ast.Name))


def no_place_is_named_that_is_not_ours(_: ast.Module, source: str, __: str) -> Iterator[str]:
    """Complain about registry hosts and paths of somebody's machine."""
    for line in _lines_with(PLACES_NOT_OURS, source):
        yield f"{line}: names a registry or a path of one machine"


ANYWHERE: tuple[Rule, ...] = (nothing_is_left_undone, no_place_is_named_that_is_not_ours)
IN_THE_PACKAGE: tuple[Rule, ...] = (
    modules_are_short,
    functions_fit_on_a_screen,
    nothing_catches_everything,
    the_public_is_documented,
    only_the_command_line_prints,
    names_say_what_things_are,
    exports_exist,
)
BROKEN: list[tuple[Rule, str, str]] = [
    (modules_are_short, "x = 1\n" * 401, "core/a.py"),
    (functions_fit_on_a_screen, "def f():\n" + "    x = 1\n" * 70, "core/a.py"),
    (functions_fit_on_a_screen, "class A:\n    async def f(self):\n" + "        x = 1\n" * 70, "core/a.py"),
    (nothing_catches_everything, "try:\n    f()\nexcept:\n    pass\n", "core/a.py"),
    (nothing_catches_everything, "try:\n    f()\nexcept (OSError, Exception):\n    pass\n", "core/a.py"),
    (nothing_catches_everything, "try:\n    f()\nexcept builtins.BaseException:\n    pass\n", "core/a.py"),
    (nothing_catches_everything, "with contextlib.suppress(Exception):\n    f()\n", "core/a.py"),
    (nothing_catches_everything, "try:\n    f()\nexcept Exception:\n    g()\n" * 2, SUPERVISOR),
    (the_public_is_documented, "x = 1\n", "core/a.py"),
    (the_public_is_documented, '"""Doc."""\ndef f(): ...\n', "core/a.py"),
    (the_public_is_documented, '"""Doc."""\nclass A: ...\n', "core/a.py"),
    (the_public_is_documented, '"""Doc."""\nclass A:\n    """Doc."""\n    def f(self): ...\n', "core/a.py"),
    (only_the_command_line_prints, "print(1)\n", "core/a.py"),
    (names_say_what_things_are, "", "core/price_utils.py"),
    (names_say_what_things_are, "", "common/price.py"),
    (names_say_what_things_are, "", "core/base.py"),
    (names_say_what_things_are, "class OrderManager: ...\n", "core/a.py"),
    (exports_exist, '__all__ = ["here", "gone"]\nhere = 1\n', "core/a.py"),
    (nothing_is_left_undone, "# TO" + "DO: later\n", "core/a.py"),
    (nothing_is_left_undone, "f()  # no" + "qa\n", "core/a.py"),
    (nothing_is_left_undone, "f()  # type" + ": ignore\n", "core/a.py"),
    (no_place_is_named_that_is_not_ours, "url = 'https://py" + "pi.org/simple'\n", "core/a.py"),
    (no_place_is_named_that_is_not_ours, "path = '/ho" + "me/me/bmv'\n", "core/a.py"),
]
SOUND: list[tuple[Rule, str, str]] = [
    (nothing_catches_everything, "try:\n    f()\nexcept Exception:\n    g()\n", SUPERVISOR),
    (nothing_catches_everything, "try:\n    f()\nexcept (OSError, ValueError):\n    g()\n", "core/a.py"),
    (the_public_is_documented, "", "core/__init__.py"),
    (
        the_public_is_documented,
        '"""Doc."""\ndef _f(): ...\nclass _A:\n    def f(self): ...\nclass B:\n'
        '    """Doc."""\n    def __len__(self): ...\n    @overload\n    def f(self): ...\n',
        "core/a.py",
    ),
    (only_the_command_line_prints, "print(1)\n", "cli/a.py"),
    (names_say_what_things_are, "class BaseLots: ...\n", "core/base_lots.py"),
    (
        exports_exist,
        '__all__ = ["a", "b", "C", "d"]\nimport a\nfrom x import b\nclass C: ...\nd: int = 1\n',
        "x.py",
    ),
    (nothing_is_left_undone, "f()  # no" + "qa: BLE001 - why\n", "core/a.py"),
    (no_place_is_named_that_is_not_ours, "# docs/strategy.md, src/work/plan, $HOME\n", "core/a.py"),
]


@cache
def _read(path: Path) -> tuple[ast.Module, str]:
    source = path.read_text(encoding="utf-8")
    return ast.parse(source) if path.suffix == ".py" else ast.Module([], []), source


def _complaints(rule: Rule, files: list[Path]) -> list[str]:
    found = []
    for path in files:
        place = path.relative_to(PACKAGE if path.is_relative_to(PACKAGE) else ROOT).as_posix()
        found += [f"{path.relative_to(ROOT)}: {complaint}" for complaint in rule(*_read(path), place)]
    return found


def _texts() -> list[Path]:
    """Return every text of the repository that people write: rooms and the files at the top."""
    found = [path for path in ROOT.iterdir() if path.is_file() and path.suffix != ".pyc"]
    for room in ROOMS:
        found += [path for path in (ROOT / room).rglob("*") if path.is_file()]
    skipped = {"__pycache__", "golden", ".git"}
    return sorted(p for p in found if not skipped & set(p.parts) and b"\0" not in p.read_bytes()[:1024])


@pytest.mark.parametrize("rule", IN_THE_PACKAGE, ids=lambda rule: rule.__name__)
def test_the_package_obeys(rule: Rule) -> None:
    files = sorted(PACKAGE.rglob("*.py"))
    assert len(files) > 50
    assert _complaints(rule, files) == []


@pytest.mark.parametrize("rule", ANYWHERE, ids=lambda rule: rule.__name__)
def test_every_text_obeys(rule: Rule) -> None:
    texts = _texts()
    assert {ROOT / "README.md", ROOT / "Makefile", Path(__file__).resolve()} <= set(texts)
    assert _complaints(rule, texts) == []


@pytest.mark.parametrize(("rule", "source", "place"), BROKEN)
def test_a_rule_sees_what_breaks_it(rule: Rule, source: str, place: str) -> None:
    assert list(rule(ast.parse(source), source, place)) != []


@pytest.mark.parametrize(("rule", "source", "place"), SOUND)
def test_a_rule_leaves_alone_what_is_sound(rule: Rule, source: str, place: str) -> None:
    assert list(rule(ast.parse(source), source, place)) == []


def test_no_rule_is_without_a_sample_that_breaks_it() -> None:
    assert {rule for rule, _, _ in BROKEN} == {*IN_THE_PACKAGE, *ANYWHERE}


def test_the_version_is_written_the_same_everywhere() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f'__version__ = "{version}"' in (PACKAGE / "__init__.py").read_text()
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text()
