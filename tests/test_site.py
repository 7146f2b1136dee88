"""The documentation as a site: what works in the repository works there."""

import doctest
import importlib
import re
import subprocess
import sys
from html import unescape
from pathlib import Path
from urllib.parse import unquote

import pytest

from test_layers import LAYERS
from website import repository_pages
from website.repository_pages import led_to_the_site, published, repository_path, site_path, study_list

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("source", "link", "led"),
    [
        ("results.md", "../results/demo/README.md#tuning", "evidence/demo/index.md#tuning"),
        ("guides/own-method.md", "../../examples/03_your_own_method.py", "../examples/03_your_own_method.md"),
        ("guides/runs.md", "../methods/kd.md", "../methods/kd.md"),
        ("evidence/index.md", "../docs/performance.md", "../performance.md"),
        ("evidence/index.md", "demo/README.md", "demo/index.md"),
        ("evidence/demo/index.md", "chart.png", "chart.png"),
        ("index.md", "https://example.org/README.md", "https://example.org/README.md"),
        ("index.md", "../src/nowhere.py", "../src/nowhere.py"),
    ],
)
def test_links_lead_to_the_place_on_the_site(source: str, link: str, led: str) -> None:
    assert led_to_the_site(f"see [it]({link}), [part](#there)", source) == f"see [it]({led}), [part](#there)"


def test_every_file_has_one_place_and_comes_back_from_it() -> None:
    files = [*published(ROOT), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*.py")]
    paths = [path.relative_to(ROOT).as_posix() for path in files]
    places = [site_path(path) for path in paths]
    assert len(set(places)) == len(places) > 50
    assert [repository_path(str(place)) for place in places] == paths
    assert site_path("src/decant/__init__.py") is None


def test_studies_with_results_are_listed(tmp_path: Path) -> None:
    assert study_list(tmp_path) == ""
    (tmp_path / "results" / "studies" / "quick" / "terms").mkdir(parents=True)
    (tmp_path / "results" / "studies" / "quick" / "terms" / "findings.json").write_text("{}")
    listed = study_list(tmp_path)
    assert "[studies/quick/terms](../../results/studies/quick/terms/README.md)" in listed
    assert "(../evidence/studies/quick/terms/index.md)" in led_to_the_site(listed, "guides/studies.md")


def test_the_examples_of_the_sites_own_code_are_true() -> None:
    assert doctest.testmod(repository_pages).failed == 0
    assert set(repository_pages.PARTS) < {part for layer in LAYERS for part in layer}


def test_examples_in_docstrings_become_code() -> None:
    pytest.importorskip("griffe", reason="griffe is not installed (the extra `docs` has it)")
    module = importlib.import_module("website.docstring_examples")
    plain = "Adds.\n\n>>> 1 + 1\n2\n\nMore."
    assert module.with_code(plain) == "Adds.\n\n```pycon\n>>> 1 + 1\n2\n```\n\nMore."
    inner = "Example:\n    >>> f(\n    ...     1)\n    [2]"
    assert module.with_code(inner) == "Example:\n    ```pycon\n    >>> f(\n    ...     1)\n    [2]\n    ```"
    assert module.with_code("No example.\n") == "No example.\n"


@pytest.mark.slow
def test_the_site_builds_without_warnings_and_every_link_leads_somewhere(tmp_path: Path) -> None:
    for package in ("material", "mkdocstrings"):
        pytest.importorskip(package, reason=f"{package} is not installed (the extra `docs` has it)")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    for page in (ROOT / "docs").rglob("*.md"):
        assert (tmp_path / page.relative_to(ROOT / "docs").with_suffix(".html")).is_file()
    demo = (tmp_path / "evidence" / "demo" / "index.html").read_text(encoding="utf-8")
    assert 'src="chart.png"' in demo
    assert "decant compare demo" in demo
    assert (tmp_path / "evidence/demo/chart.png").read_bytes() == (ROOT / "results/demo/chart.png").read_bytes()
    losses = (tmp_path / "reference" / "losses.html").read_text(encoding="utf-8")
    assert 'id="decant.losses.dkd_loss"' in losses
    assert broken(tmp_path) == []


def broken(site: Path) -> list[str]:
    """What a page of the site names that is not there, and whatever is loaded from elsewhere."""
    found = []
    for page in site.rglob("*.html"):
        if page.name == "404.html":  # its paths are those of a server
            continue
        text = page.read_text(encoding="utf-8")
        for tag, target in re.findall(r"<(\w+)[^>]*? (?:href|src)=\"?([^\"\s>]+)", text):
            path = unquote(unescape(target)).partition("#")[0]
            outside = "://" in path or path.startswith(("mailto:", "data:"))
            if (outside and tag in {"link", "script", "img"}) or (
                not outside and path and not (page.parent / path).exists()
            ):
                found.append(f"{page.relative_to(site)}: <{tag}> {target}")
    return found
