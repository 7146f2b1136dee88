"""Tables in README and docs, made from the files in results/: nobody types a number.

A page holds `<!-- table: demo -->` or `<!-- verdict: demo -->`, and `<!-- end -->`; what stands between the two lines
is made from results/demo/comparison.json (of the verdict the claims; the result's own page has the caveats).
`<!-- tuning: demo -->` is how its settings were chosen.
`<!-- pairs: quick -->` and `<!-- gains: quick -->` stand for all comparisons of pairs below results/quick.
`python -m decant.report.pages PAGE ...` writes it anew, `--check` says whether it agrees.
"""

import json
import re
import sys
from pathlib import Path

from decant.evidence import Comparison
from decant.evidence.published import PROTOCOLS
from decant.report.reproduction import gains_markdown, pairs_markdown, read_pairs
from decant.report.summary import tuning_of
from decant.report.table import claims_markdown, comparison_markdown

_BLOCK = re.compile(
    r"<!-- (?P<kind>table|verdict|tuning|pairs|gains): (?P<name>[\w./-]+) -->\n.*?<!-- end -->", re.DOTALL
)
_OF_ONE = {"table": comparison_markdown, "verdict": claims_markdown, "tuning": tuning_of}
_OVER_PAIRS = {"pairs": pairs_markdown, "gains": gains_markdown}


def refreshed(text: str, results: Path) -> str:
    """The page with every block made from ``results`` anew.

    Raises:
        FileNotFoundError: a block names a result that is not there.
    """

    def block(match: re.Match[str]) -> str:
        if (over_pairs := _OVER_PAIRS.get(match["kind"])) is not None:
            body = over_pairs(read_pairs(results / match["name"]), published=match["name"] in PROTOCOLS)
            return f"<!-- {match['kind']}: {match['name']} -->\n{body}<!-- end -->"
        path = results / match["name"] / "comparison.json"
        if not path.is_file():
            raise FileNotFoundError(f"the page has a block for {match['name']!r}, but there is no {path}")
        comparison = Comparison.from_json(json.loads(path.read_text(encoding="utf-8")))
        body = _OF_ONE[match["kind"]](comparison).rstrip() + "\n"
        return f"<!-- {match['kind']}: {match['name']} -->\n{body}<!-- end -->"

    return _BLOCK.sub(block, text)


def main(arguments: list[str]) -> int:
    """Rewrite the pages, or with ``--check`` only say which ones disagree with results/ beside them."""
    check, pages = "--check" in arguments, [Path(name) for name in arguments if not name.startswith("-")]
    stale = []
    for page in pages:
        text = page.read_text(encoding="utf-8")
        fresh = refreshed(text, Path("results"))
        if fresh != text:
            stale.append(page)
            if not check:
                page.write_text(fresh, encoding="utf-8")
    for page in stale:
        print(f"{page}: {'does not agree with results/; run `make tables`' if check else 'rewritten'}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
