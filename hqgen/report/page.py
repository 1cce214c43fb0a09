"""What the pages of this project share: one file, one look, and names that are always text."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from importlib.resources import files

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from hqgen.tables import below, heading, spanned, texts

SHARED = "hqgen.report"
"""Whose templates all pages have: `base.html`, `style.css`, `table.html`."""


def environment(*packages: str) -> Environment:
    """The templates of some packages, and the shared ones. All that they insert is escaped."""
    loaders = [PackageLoader(name) for name in (*packages, SHARED)]
    made = Environment(
        loader=ChoiceLoader(loaders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["commas"] = "{:,}".format
    made.globals |= {"cells_of": texts, "heading_of": heading, "groups_of": spanned, "notes_of": below}
    return made


def resource(name: str, package: str = SHARED) -> str:
    """The text of a template that is inserted as it is: a style or a script of our own."""
    return files(package).joinpath("templates", name).read_text("utf-8")


def whole_page(
    made: Environment, template: str, *, title: str, style: str, script: str, **values: object
) -> str:
    """A page as one file: it loads nothing, and runs its own script only.

    Args:
        made: of `environment`.
        template: its name; it extends `base.html`.
        title: of the page.
        style: CSS of our own.
        script: JavaScript of our own.
        values: for the template.
    """
    digest = b64encode(sha256(script.encode()).digest()).decode()
    inside = {"style": Markup(style), "script": Markup(script), "script_digest": digest}
    return made.get_template(template).render(title=title, linked=False, **inside, **values)


def linked_page(made: Environment, template: str, *, title: str, **values: object) -> str:
    """A page that a server gives: its style, its script and its icon are files beside it."""
    return made.get_template(template).render(title=title, linked=True, **values)


def data_uri(content: bytes, kind: str) -> str:
    """A file inside a page; `kind` is such as `image/png`."""
    return f"data:{kind};base64,{b64encode(content).decode()}"
