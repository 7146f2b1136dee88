"""The page as a browser shows it: no errors, no request that leaves it, the runs' numbers, toggles."""

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from decant.evidence.gathering import gather
from decant.report.html_page import plotting_library, write_report
from report.staged import HOSTILE, Staged, compared

pytestmark = pytest.mark.slow
selenium = pytest.importorskip("selenium", reason="selenium is not installed (the extra `dev` has it)")
pytest.importorskip("plotly", reason="plotly is not installed (the extra `report` has it)")
pytest.importorskip("jinja2", reason="jinja2 is not installed (the extra `report` has it)")
BROWSER = next((path for name in ("chromium", "google-chrome", "chrome") if (path := shutil.which(name))), None)
DRIVER = shutil.which("chromedriver")
_FLAGS = (
    "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking disable-component-update "
    "disable-sync disable-dev-shm-usage"
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A headless Chromium with a profile of its own."""
    if BROWSER is None or DRIVER is None:
        pytest.skip("there is no Chromium with chromedriver on this machine")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in (*_FLAGS.split(), f"user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.set_page_load_timeout(300)
    driver.set_script_timeout(120)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compared(tmp_path_factory.mktemp("runs") / "pair")


@pytest.fixture(scope="module")
def opened(browser: Any, folder: Path) -> Any:
    """The browser with the page."""
    browser.get("about:blank")
    for log in ("browser", "performance"):
        browser.get_log(log)  # what the browser did before
    path = folder.parent / "page.html"
    write_report(gather([folder]), path, library=plotting_library(), onlooker=Staged())
    browser.get(path.as_uri())
    return browser


def test_no_errors_and_no_request_that_leaves_the_page(opened: Any, folder: Path) -> None:
    assert opened.get_log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in opened.get_log("performance")]
    urls = [each["params"]["request"]["url"] for each in messages if each["method"] == "Network.requestWillBeSent"]
    assert [url for url in urls if not url.startswith("data:")] == [(folder.parent / "page.html").as_uri()]


def test_the_table_has_the_numbers_of_the_runs(opened: Any, folder: Path) -> None:
    rows = opened.execute_script(
        "const table = [...document.querySelectorAll('table')].find((t) => t.rows[0].cells[1].textContent === 'seed');"
        "return [...table.rows].slice(1).map((row) => [...row.cells].map((cell) => cell.textContent));"
    )
    assert len(rows) == 9
    for method, seed, _, top1, *_ in rows:
        lines = (folder / method / f"seed-{seed}" / "metrics.jsonl").read_text().splitlines()
        assert top1 == f"{json.loads(lines[-1])['top1']:.2f}"


def test_every_figure_is_drawn(opened: Any) -> None:
    drawn = opened.execute_script(
        "return [...document.querySelectorAll('.plot')].map((node) => node.querySelectorAll('.trace, .hm').length);"
    )
    assert len(drawn) > 10
    assert all(drawn)


def visible(opened: Any, group: str) -> list[bool]:
    """Whether the lines of a group are shown, in the figures of the learning curves."""
    shown: list[bool] = opened.execute_script(
        "const drawn = document.querySelector('.drawn');"
        "return [...drawn.querySelectorAll('.plot')].flatMap((node) => node.data)"
        ".filter((line) => line.legendgroup === arguments[0]).map((line) => line.visible !== false);",
        group,
    )
    return shown


def test_toggles_work_by_mouse_and_by_keys(opened: Any) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    box = opened.find_element(By.CSS_SELECTOR, '.drawn input[data-group="dkd"]')
    assert all(visible(opened, "dkd"))
    box.click()
    assert visible(opened, "dkd")
    assert not any(visible(opened, "dkd"))
    assert all(visible(opened, "kd-matched"))
    opened.execute_script("arguments[0].focus()", box)
    box.send_keys(Keys.SPACE)
    assert all(visible(opened, "dkd"))


def test_what_is_hidden_stays_hidden_when_the_page_is_loaded_again(opened: Any) -> None:
    from selenium.webdriver.common.by import By

    opened.find_element(By.CSS_SELECTOR, '.drawn input[data-group="dkd"]').click()
    opened.refresh()
    assert not any(visible(opened, "dkd"))
    opened.find_element(By.CSS_SELECTOR, '.drawn input[data-group="dkd"]').click()
    assert all(visible(opened, "dkd"))


def test_a_point_says_its_numbers(opened: Any) -> None:
    said = opened.execute_script(
        "const node = document.querySelector('.plot');"
        "Plotly.Fx.hover(node, [{curveNumber: 0, pointNumber: 1}]);"
        "return node.querySelector('.hoverlayer').textContent;"
    )
    assert "80.5" in said or "80.625" in said
    assert "supervised" in said


def test_hostile_names_are_shown_as_they_are(opened: Any) -> None:
    assert HOSTILE in opened.execute_script("return document.body.textContent")


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_phones_and_follows_the_colour_scheme(opened: Any, width: int, scheme: str) -> None:
    feature = {"name": "prefers-color-scheme", "value": scheme}
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    assert opened.execute_script("return document.documentElement.scrollWidth") <= width
    ground, ink = opened.execute_script(
        "const fill = getComputedStyle(document.querySelector('.plot text')).fill;"
        "return [getComputedStyle(document.body).backgroundColor, fill];"
    )
    dark = {"ground": "rgb(21, 24, 28)", "ink": "rgb(228, 231, 235)"}
    light = {"ground": "rgb(255, 255, 255)", "ink": "rgb(31, 35, 40)"}
    assert {"ground": ground, "ink": ink} == (dark if scheme == "dark" else light)


def test_it_prints(opened: Any) -> None:
    printed = base64.b64decode(opened.execute_cdp_cmd("Page.printToPDF", {})["data"])
    assert printed.startswith(b"%PDF")
    assert printed.count(b"/Type /Page\n") > 1
