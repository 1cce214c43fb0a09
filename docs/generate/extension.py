"""What Sphinx adds to the pages when it builds the site, so that no such text grows old in the repository.

A comment in a page names it: `<!-- generated: commands hqgen -->`. A quotation below the comment is for
readers of the bare page, and is replaced, too. A page that lists others gets a navigation of them. An example
that no test runs is a warning, and warnings end the build.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from sphinx.application import Sphinx
from sphinx.util import logging

from docs.generate.commands import commands
from docs.generate.examples import NOT_RUN, blocks, faults
from docs.generate.failures import findings, messages
from docs.generate.names import names
from docs.generate.navigation import with_navigation

GENERATED: dict[str, Callable[..., str]] = {
    "commands": commands,
    "names": names,
    "messages": messages,
    "findings": findings,
}
MARK = re.compile(r"<!-- generated: (\w+)(?: (\w+))? -->(?:\n>.*)*")

logger = logging.getLogger(__name__)


def complete(_app: Sphinx, page: str, source: list[str]) -> None:
    """Put what is generated into the text of a page, before Sphinx reads it."""
    for fault in faults(blocks(source[0])):
        logger.warning("%s", fault, location=page)
    text = NOT_RUN.sub("", source[0])
    text = MARK.sub(lambda mark: GENERATED[mark[1]](*filter(None, [mark[2]])), text)
    source[0] = with_navigation(text)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("source-read", complete)
    return {"parallel_read_safe": True}
