"""The public names, each with its signature and docstring."""

from __future__ import annotations

from importlib import import_module

MORE = {"hqgen": ["hqgen.torch.HQDataset"], "spikeclip": []}
"""Public names that need a library which `import hqgen` does not load."""


def public_names(package: str) -> list[str]:
    """Where the public names of a package are, such as `hqgen.build`."""
    offered = import_module(package).__all__
    return [*(f"{package}.{name}" for name in offered if not name.startswith("__")), *MORE[package]]


def names(package: str) -> str:
    """Every public name of a package in Markdown, under a heading of its own."""
    return "\n\n".join(map(_described, public_names(package)))


def _described(name: str) -> str:
    module, _, attribute = name.rpartition(".")
    found = getattr(import_module(module), attribute)
    if not isinstance(found, type):
        kind, options = "function", ""
    elif issubclass(found, Exception):
        kind, options = "exception", ""
    else:
        kind, options = "class", "   :members:\n"
    directive = f".. auto{kind}:: {name}\n{options}"
    return f"### `{attribute}`\n\n```{{eval-rst}}\n{directive}```"
