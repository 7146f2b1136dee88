"""What the site has besides docs/: results with their figures, examples, and a page for each part of the package.

Links are written for the repository, where they are read most; here they are led to where a file is on the site.
"""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PARTS = [
    "losses",
    "methods",
    "interfaces",
    "models",
    "data",
    "recipe",
    "engine",
    "evidence",
    "report",
    "studies",
    "detection",
]
"""Packages and modules of `decant` that have a page made of their docstrings."""

_LINK = re.compile(r"(?P<before>\]\()(?P<target>[^)#\s]+)(?P<after>#[^)]*)?\)")


def site_path(path: str) -> str | None:
    """Where a file of the repository is on the site, as the path of its source; None for one that is not there.

    >>> site_path("docs/guides/runs.md"), site_path("results/demo/README.md"), site_path("examples/01_one_loss.py")
    ('guides/runs.md', 'evidence/demo/index.md', 'examples/01_one_loss.md')
    """
    top, _, rest = path.partition("/")
    if top == "docs":
        return rest
    if top == "results":  # not `results`, which is a page of docs
        return (
            f"evidence/{rest.removesuffix('README.md')}index.md" if rest.endswith("README.md") else f"evidence/{rest}"
        )
    if top == "examples":
        return f"examples/{rest.removesuffix('.py')}.md"
    return None


def repository_path(source: str) -> str:
    """The file of the repository behind a source of the site: the other way round."""
    top, _, rest = source.partition("/")
    if top == "evidence":
        return f"results/{rest.removesuffix('index.md')}README.md" if rest.endswith("index.md") else f"results/{rest}"
    return f"examples/{rest.removesuffix('.md')}.py" if top == "examples" else f"docs/{source}"


def led_to_the_site(markdown: str, source: str) -> str:
    """A page with every relative link to a file of the repository led to that file's place on the site."""

    def led(match: re.Match[str]) -> str:
        target = match["target"]
        if "://" in target or target.startswith("mailto:"):
            return match[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(repository_path(source)), target))
        place = site_path(path)
        if place is None:
            return match[0]  # mkdocs says that it is not there
        return f"]({posixpath.relpath(place, posixpath.dirname(source) or '.')}{match['after'] or ''})"

    return _LINK.sub(led, markdown)


def published(root: Path) -> Iterator[Path]:
    """Pages of results and their figures."""
    for kind in ("README.md", "*.png"):
        yield from sorted((root / "results").rglob(kind))


def study_list(root: Path) -> str:
    """Links to the pages of studies that have results, as seen from the repository's docs/guides; empty without any."""
    pages = sorted(path.parent for path in (root / "results").rglob("findings.json"))
    lines = [
        f"- [{page.relative_to(root / 'results')}](../../results/{page.relative_to(root / 'results')}/README.md)"
        for page in pages
    ]
    return "\n\n## Results\n\n" + "\n".join(lines) + "\n" if lines else ""


def on_files(files: Any, config: Any) -> Any:
    """Add the pages of the repository, and those of the package."""
    from mkdocs.structure.files import File

    for path in published(ROOT):
        source = site_path(path.relative_to(ROOT).as_posix())
        files.append(File.generated(config, source, abs_src_path=str(path)))
    for path in sorted((ROOT / "examples").glob("*.py")):
        text = f"# {path.stem}\n\n```python\n{path.read_text(encoding='utf-8')}```\n"
        files.append(File.generated(config, f"examples/{path.stem}.md", content=text))
    for part in PARTS:
        text = f"# decant.{part}\n\n::: decant.{part}\n"
        files.append(File.generated(config, f"reference/{part}.md", content=text))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Lead links to the site; the guide of studies lists those that have results."""
    source = page.file.src_uri
    if source == "guides/studies.md":
        markdown += study_list(ROOT)
    return markdown if source.startswith("reference/") else led_to_the_site(markdown, source)
