"""Every message that says what is wrong, read from the source code, so that the tables are complete."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from inspect import cleandoc
from pathlib import Path
from typing import NamedTuple

from docs.generate.text import escaped

ROOT = Path(__file__).parents[2]
PACKAGES = ("hqgen", "spikeclip")
NOWHERE = ast.Module([], [])
"""Stands for a function without variables: a text is looked up once, not through a chain of variables."""
ANY = "…"
"""Stands for what only the run knows."""

FINDINGS = {
    "verify": ["hqgen/verify.py"],
    "files": ["hqgen/sources/scan.py", "hqgen/sources/source.py"],
    "samples": ["hqgen/decision.py"],
    "scores": ["hqgen/quality/batch.py"],
}
"""Where reasons that are not errors are written."""
NAMES_OF_REASONS = {"what", "reason", "refused"}
HOLDERS = {"Damage", "Rejected"}
"""Classes whose last argument is such a reason."""
OF_THE_SYSTEM = {"error", "reason", "strerror", "message", "hint", "explanation"}
"""Variables that hold the words of another error."""


class Message(NamedTuple):
    """One place in the code that makes an error.

    Attributes:
        kind: the class of the error.
        text: its message; `…` and names in capitals stand for what only the run knows.
        hint: what it says to do; empty if it leaves that to its class.
        place: file and line.
    """

    kind: str
    text: str
    hint: str
    place: str


class Kind(NamedTuple):
    """One class of errors."""

    name: str
    base: str
    exit_code: int
    about: str
    remedy: str


def sources() -> list[Path]:
    """All modules of the project."""
    return [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]


@cache
def tree(file: Path) -> ast.Module:
    """The parsed module."""
    return ast.parse(file.read_text(encoding="utf-8"))


@cache
def kinds() -> dict[str, Kind]:
    """The root of all errors and the classes below it, by name, in the order of the tree."""
    classes = [node for file in sources() for node in tree(file).body if isinstance(node, ast.ClassDef)]
    below: dict[str, list[ast.ClassDef]] = {}
    for node in classes:
        for base in node.bases:
            below.setdefault(ast.unparse(base), []).append(node)
    root = next(node for node in classes if node.name == "HqgenError")

    def descend(node: ast.ClassDef, base: str, exit_code: int) -> Iterator[Kind]:
        about, _, remedy = cleandoc(ast.get_docstring(node) or "").partition("\n\nWhat to do: ")
        exit_code = _exit_code(node) or exit_code
        yield Kind(node.name, base, exit_code, about, remedy)
        for child in below.get(node.name, []):
            yield from descend(child, node.name, exit_code)

    return {kind.name: kind for kind in descend(root, "", 1)}


def _exit_code(node: ast.ClassDef) -> int | None:
    """The exit code that a class states."""
    for item in node.body:
        if isinstance(item, ast.Assign | ast.AnnAssign) and isinstance(item.value, ast.Constant):
            targets = item.targets if isinstance(item, ast.Assign) else [item.target]
            if ast.unparse(targets[0]) == "exit_code":
                return int(str(item.value.value))
    return None


@cache
def all_messages() -> tuple[Message, ...]:
    """Every error that the code makes."""
    return tuple(message for file in sources() for message in _of_module(file))


def _of_module(file: Path) -> Iterator[Message]:
    for function, call in _calls(tree(file)):
        kind = _kind(call)
        if kind is None or not call.args:
            continue
        hint = next((keyword.value for keyword in call.keywords if keyword.arg == "hint"), None)
        if kind == "UnknownNameError":
            text, advice = (
                f"unknown {_text(call.args[0], function)} `NAME`",
                "use one of the names that follow",
            )
        else:
            text, advice = _text(call.args[0], function), _text(hint, function) if hint else ""
        place = f"{file.relative_to(ROOT)}:{call.lineno}"
        yield Message(kind, text, advice, place)


def _calls(module: ast.Module) -> Iterator[tuple[ast.AST, ast.Call]]:
    """Every call, with the function around it."""
    stack: list[tuple[ast.AST, ast.AST]] = [(module, module)]
    while stack:
        around, node = stack.pop()
        if isinstance(node, ast.Call):
            yield around, node
        inner = node if isinstance(node, ast.FunctionDef) else around
        stack += [(inner, child) for child in ast.iter_child_nodes(node)]


def _kind(call: ast.Call) -> str | None:
    """The class of the error that a call makes; the root where the caller chooses it."""
    for keyword in call.keywords:
        if keyword.arg == "error" and isinstance(keyword.value, ast.Name) and keyword.value.id in kinds():
            return keyword.value.id
    if not isinstance(call.func, ast.Name):
        return None
    if call.func.id == "error":
        return "HqgenError"
    return call.func.id if call.func.id in kinds() else None


def _text(node: ast.AST, function: ast.AST) -> str:
    """An expression as the text that a user sees."""
    match node:
        case ast.Constant(value=str(value)):
            return value
        case ast.JoinedStr(values=values):
            return "".join(_text(value, function) for value in values)
        case ast.FormattedValue(value=value):
            return _text(value, function)
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            return _text(left, function) + _text(right, function)
        case ast.IfExp(body=body, orelse=orelse):
            one, other = _text(body, function), _text(orelse, function)
            return f"{one} / {other}" if one and other else one or other
        case ast.BoolOp(values=values):
            return " / ".join(dict.fromkeys(_text(value, function) for value in values))
        case ast.Attribute(attr=name):
            return _variable(name)
        case ast.Name(id=name):
            return _assigned(name, function) or _variable(name)
    return ANY


def _variable(name: str) -> str:
    """What stands for the value of a variable."""
    return ANY if name in OF_THE_SYSTEM or name.startswith("__") else name.strip("_").upper()


def _assigned(name: str, function: ast.AST) -> str:
    """The text that a function gives a variable, or a module a constant, if it is written there."""
    for node in ast.walk(function):
        match node:
            case ast.Assign(targets=[ast.Name(id=found)], value=value) if found == name:
                if isinstance(value, ast.Constant | ast.JoinedStr | ast.IfExp | ast.BinOp):
                    return _text(value, NOWHERE)
    return constants().get(name, "")


@cache
def constants() -> dict[str, str]:
    """Constants of all modules that are texts."""
    found = {}
    for file in sources():
        for node in tree(file).body:
            match node:
                case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(value))):
                    found[name] = value
    return found


def messages() -> str:
    """Every error in Markdown: a table of each class."""
    return "\n\n".join(_table(kind) for kind in kinds().values())


def _table(kind: Kind) -> str:
    made = [item for item in all_messages() if item.kind == kind.name]
    of_kind = {(item.text, item.hint) for item in made if any(letter.islower() for letter in item.text)}
    rows = sorted(of_kind, key=lambda row: row[0].replace("`", "").lower())
    base = f" It is a `{kind.base}`." if kind.base else ""
    about = f"{_line(kind.about)}{base} Exit code {kind.exit_code}."
    parts = [f"### {kind.name}", about, f"**What to do:** {_line(kind.remedy)}"]
    if rows:
        cells = [f"| {_line(text)} | {_line(hint) or 'as above'} |" for text, hint in rows]
        parts.append("\n".join(["| message | what to do |", "|---|---|", *cells]))
    return "\n\n".join(parts)


def findings(about: str) -> str:
    """The reasons that are not errors, as a list in Markdown."""
    found = dict.fromkeys(text for file in FINDINGS[about] for text in reasons(ROOT / file))
    return "\n".join(f"- {_line(text)}" for text in found)


def reasons(file: Path) -> Iterator[str]:
    """What a module says of files, samples, candidates or stores, in the order of its lines."""
    nodes = sorted(_reasons(tree(file)), key=lambda found: found[1].lineno)
    for function, node in nodes:
        text = _text(node, function)
        if " " in text:
            yield text


def _reasons(module: ast.Module) -> Iterator[tuple[ast.AST, ast.expr]]:
    for node in module.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).isupper():
            yield from _written(module, [node.value])
    for function in [node for node in ast.walk(module) if isinstance(node, ast.FunctionDef)]:
        gives_text = function.returns is not None and "str | None" in ast.unparse(function.returns)
        for inner in ast.walk(function):
            match inner:
                case ast.Assign(targets=[ast.Name(id=name)], value=value) if name in NAMES_OF_REASONS:
                    yield from _written(function, [value])
                case ast.Call(func=ast.Name(id=name), args=[*_, last]) if name in HOLDERS:
                    yield from _written(function, [last])
                case ast.Return(value=ast.expr() as value) if gives_text:
                    yield from _written(function, [value])


def _written(function: ast.AST, values: Iterable[ast.expr]) -> Iterator[tuple[ast.AST, ast.expr]]:
    """Those that are texts written in the code."""
    for value in values:
        if isinstance(value, ast.JoinedStr | ast.BinOp) or isinstance(getattr(value, "value", None), str):
            yield function, value


def _line(text: str) -> str:
    return " ".join(escaped(text).split())
