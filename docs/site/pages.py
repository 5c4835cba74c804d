"""Hooks of mkdocs that add to the guide the documents outside the folder `docs`, and rewrite the links between both.

The README of a family, the card of a checkpoint and a few others stay where people find them, beside the code. In the
guide, every document has its path in the repository, without `docs/`, so that links inside a folder are right in both.
Links from one folder to the other are rewritten here, and links to code become its path, because the guide has no code.
"""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
DOCS = "docs/"
SHOWN_FILES = (".png", ".svg", ".flac")
"""Ends of the names of pictures and sounds that belong to a document beside them."""
LANDING_PAGES = {"README.md": "index.md"}
"""Pages of the guide that take the place of documents for readers of the repository."""
SEARCH_WEIGHTS = {
    "settings.md": 6,
    "api.md": 6,
    "metrics.md": 4,
    "dialects.md": 3,
    "decisions/": 0.3,
    "CHANGELOG.md": 0.3,
}
"""Weights of documents and folders in the results of the search, so that references come before what mentions them."""
CODE_OR_LINK = re.compile(
    r"^```.*?^```|`[^`]+`|\[(?P<text>[^\[\]]*)\]\((?P<path>[^()\s#]+)(?P<anchor>#[^()\s]*)?\)", re.DOTALL | re.MULTILINE
)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Expand the patterns of the navigation, and leave out the files that need to know the address of the site."""
    config.nav = list(_expanded(config.nav or []))
    config.theme.static_templates.clear()
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the documents of the navigation that are not in the folder `docs`, with pictures and sounds beside them."""
    for name in _documents(config.nav or []):
        document = ROOT / name
        if files.get_file_from_path(name) is None and document.is_file():
            shown = (path for path in sorted(document.parent.iterdir()) if path.suffix in SHOWN_FILES)
            for path in (document, *shown):
                place = path.relative_to(ROOT).as_posix()
                files.append(File(place, str(ROOT), config.site_dir, config.use_directory_urls))
    if template := files.get_file_from_path("sitemap.xml"):  # which would be copied as it is
        files.remove(template)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite the links to other documents of the repository, which are relative to the place of this one there.

    The document also gets its weight in the search.
    """
    weights = (weight for place, weight in SEARCH_WEIGHTS.items() if page.file.src_uri.startswith(place))
    page.meta["search"] = {"boost": next(weights, 1)}
    origin = Path(page.file.abs_src_path or "").relative_to(ROOT).as_posix()

    def rewrite(found: re.Match[str]) -> str:
        path, text = found["path"], found["text"]
        if path is None or ":" in path:
            return found[0]
        named = posixpath.normpath(posixpath.join(posixpath.dirname(origin), path))
        target = LANDING_PAGES.get(named, named.removeprefix(DOCS))
        if files.get_file_from_path(target) is not None:
            relative = posixpath.relpath(target, posixpath.dirname(page.file.src_uri) or ".")
            return f"[{text}]({relative}{found['anchor'] or ''})"
        if not (ROOT / named).exists():
            return found[0]  # of which mkdocs says that it leads nowhere
        is_name = text.strip("`") == posixpath.basename(named)
        return f"`{named}`" if is_name else f"{text} (`{named}`)"

    return CODE_OR_LINK.sub(rewrite, markdown)


def _expanded(entries: list[Any]) -> Iterator[Any]:
    """Yield the entries of a navigation with the documents in place of each pattern."""
    for entry in entries:
        if isinstance(entry, dict):
            yield {title: _expanded_section(section) for title, section in entry.items()}
        elif "*" in entry:
            paths = sorted(ROOT.glob(DOCS + entry)) or sorted(ROOT.glob(entry))
            yield from (path.relative_to(ROOT).as_posix().removeprefix(DOCS) for path in paths)
        else:
            yield entry


def _expanded_section(section: Any) -> Any:
    """Return the expanded entries of a section, which may be a single pattern, or the document of a title as it is."""
    if isinstance(section, str) and "*" not in section:
        return section
    return list(_expanded([section] if isinstance(section, str) else section))


def _documents(entries: Any) -> Iterator[str]:
    """Yield the paths of all documents of an expanded navigation."""
    if isinstance(entries, str):
        yield entries
    else:
        for entry in entries.values() if isinstance(entries, dict) else entries:
            yield from _documents(entry)
