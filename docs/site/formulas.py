"""A hook of mkdocs that turns formulas into MathML, which browsers show without a script."""

import html
import re
from itertools import pairwise
from xml.etree import ElementTree as ET

from latex2mathml.converter import convert_to_element
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](?P<formula>.*?)\\[)\]]</\1>', re.DOTALL)
"""A formula as the extension `arithmatex` leaves it in a page."""
THIN_SPACE = "0.1667em"


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Replace the formulas of a page.

    Raises:
        PluginError: a formula cannot be read, or has a command that is unknown.
    """

    def replace(found: re.Match[str]) -> str:
        formula = html.unescape(found["formula"]).strip()
        try:
            element = convert_to_element(formula, display="inline" if found[1] == "span" else "block")
        except Exception as error:  # those of the package have no common base
            raise PluginError(f"{page.file.src_uri}: {formula}: {type(error).__name__} {error}") from error
        _space_functions(element)
        converted = ET.tostring(element, encoding="unicode").replace("&amp;#", "&#")
        if unknown := re.search(r"\\\w+", converted):
            raise PluginError(f"{page.file.src_uri}: {formula}: {unknown[0]} is unknown")
        return converted

    return FORMULA.sub(replace, content)


def _space_functions(element: ET.Element) -> None:
    """Put a space between the names of functions, such as log, and the letters beside them, as LaTeX does."""
    for parent in [each for each in element.iter() if each.tag in ("math", "mrow")]:
        children = list(parent)
        for left, right in reversed(list(pairwise(children))):
            if (_is_function(left) or _is_function(right)) and "mo" not in (left.tag, right.tag):
                parent.insert(children.index(right), ET.Element("mspace", width=THIN_SPACE))


def _is_function(element: ET.Element) -> bool:
    """Return whether an element is the name of a function, which has several letters, perhaps with an index."""
    named = element[0] if element.tag in ("msub", "msup", "msubsup", "munder") else element
    return named.tag == "mi" and len(named.text or "") > 1 and (named.text or "").isalpha()
