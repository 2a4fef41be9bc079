"""The documentation builds without a warning, its links lead somewhere, and it loads nothing from elsewhere."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
RECORDS = DOCS / "adr"
FOR_DEVELOPERS = (RECORDS, DOCS / "dev")
"""Folders of pages that are linked, and in no table of contents of the users."""
MARKDOWN = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
MADE = {"docs/_build"}
"""What is named, and there only when somebody has made it."""
LOADED = {"img": "src", "script": "src", "link": "href", "iframe": "src", "source": "srcset", "object": "data"}
"""What a browser loads by itself, by tag."""
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.DOTALL | re.MULTILINE)
_PATH = re.compile(r"`((?:docs|deploy|tests|daemon)/[\w./-]+)`")


class Page(HTMLParser):
    """The ids of an HTML page, where its links lead, and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.ids |= {given[name] or "" for name in ("id", "name") if name in given}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"] or "")
        if (loaded := given.get(LOADED.get(tag, ""))) and given.get("rel") not in {"search", "index", "next", "prev"}:
            self.loads.append(loaded)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The HTML as `make docs` makes it: a warning is an error."""
    folder = tmp_path_factory.mktemp("docs")
    options = ["--fail-on-warning", "--keep-going", "--nitpicky", "--quiet", "-d", str(folder / "doctrees")]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, str(DOCS), str(folder / "html")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (0, "") == (done.returncode, done.stderr)
    return folder / "html"


def slugs_of(path: Path) -> set[str]:
    """Give the anchors of a Markdown file's headings, as repository sites make them."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    found: dict[str, int] = {}
    slugs = set()
    for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
        slugs.add(f"{slug}-{found[slug]}" if slug in found else slug)
        found[slug] = found.get(slug, 0) + 1
    return slugs


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere_in_the_repository(path: Path) -> None:
    """Files are there, and headings too; also files that are named without a link."""
    text = path.read_text(encoding="utf-8")
    broken = []
    for target in _LINK.findall(_CODE.sub("", text)):
        parts = urlsplit(target)
        if parts.scheme:
            continue
        file = (path.parent / parts.path) if parts.path else path
        if not file.is_file() or (parts.fragment and parts.fragment not in slugs_of(file)):
            broken.append(target)
    broken += [name for name in _PATH.findall(text) if name not in MADE and not (ROOT / name).exists()]
    assert [] == broken


@pytest.mark.long
def test_links_lead_somewhere_in_what_is_built(built: Path) -> None:
    """Every page, every place in it."""
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in built.rglob("*.html")}
    assert len(pages) >= len(MARKDOWN) - 2
    broken = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme:
                continue
            file = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchor = unquote(parts.fragment)
            if not file.is_file() or (anchor and file in pages and anchor not in pages[file].ids):
                broken.append(f"{path.name}: {link}")
    assert [] == broken


@pytest.mark.long
def test_nothing_is_loaded_from_elsewhere(built: Path) -> None:
    """Whoever reads it tells nobody, and can do so without a network."""
    pages = [Page(path.read_text(encoding="utf-8")) for path in built.rglob("*.html")]
    loads = {load for page in pages for load in page.loads}
    assert len(loads) > 5
    assert [] == [load for load in sorted(loads) if urlsplit(load).netloc]
    styles = [path.read_text(encoding="utf-8") for path in built.rglob("*.css")]
    assert styles
    assert [] == [
        url for style in styles for url in re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//[^)]+", style)
    ]


def test_the_front_page_lists_every_page_for_users() -> None:
    """The list for the repository and the contents of the built site have every page except the developers' ones."""
    text = (DOCS / "index.md").read_text(encoding="utf-8")
    contents = [
        line for block in re.findall(r"```{toctree}\n.*?\n\n(.*?)```", text, re.DOTALL) for line in block.split()
    ]
    assert sorted(f"{name}.md" for name in contents) == sorted(
        str(path.relative_to(DOCS))
        for path in DOCS.rglob("*.md")
        if path.name != "index.md" and not any(path.is_relative_to(folder) for folder in FOR_DEVELOPERS)
    )
    assert {f"{name}.md" for name in contents} == set(_LINK.findall(_CODE.sub("", text))) - {"images/page-light.png"}


def test_lists_of_pages_have_their_titles() -> None:
    """The front page and the README name each page by its title."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Documentation\n")[2]
    lists = {ROOT: readme.splitlines(), DOCS: (DOCS / "index.md").read_text(encoding="utf-8").splitlines()}
    named = [
        (text, folder / target)
        for folder, lines in lists.items()
        for line in lines
        if line.startswith("- ")
        for text, target in re.findall(r"\[([^\]]+)\]\(([^)#]+\.md)\)", line)
    ]
    assert len(named) > 40
    titles = {path: path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ") for _, path in named}
    assert [] == [(text, titles[path]) for text, path in named if text.lower() != titles[path].lower()]


def test_the_index_of_decisions_lists_every_record_by_title() -> None:
    """Records are numbered without a gap, and a title in the index is the record's heading."""
    records = sorted(RECORDS.glob("[0-9]*.md"))
    titles = [path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ") for path in records]
    listed = re.findall(r"^- \[(.+)\]\((.+)\)$", (RECORDS / "index.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert [(title, path.name) for title, path in zip(titles, records, strict=True)] == listed
    numbers = [f"{number:04}" for number in range(1, len(records) + 1)]
    assert numbers == [path.name[:4] for path in records] == [title[:4] for title in titles]
