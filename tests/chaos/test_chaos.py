"""The fixed choice of `make chaos`, what is kept of a run, and the page that shows it."""

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.chaos import report
from tests.chaos.cells import FAULTS, MOMENTS, Cell, every_cell
from tests.chaos.faults import STRIKES
from tests.chaos.moments import BROUGHT_ABOUT
from tests.chaos.outcome import HALTED, HEALED, IMPOSSIBLE, LOST, PROBLEM, Outcome, Said, of_json
from tests.chaos.play import Lab, play
from tests.report.played import Results, unplayed

# Told of one ensemble: a majority loses power, AWS is away, a disk is gone for good, a leader dies in a change of members.
CHOICE = (
    Cell("majority", "power", "under writes"),
    Cell("all", "AWS out", "backup"),
    Cell("leader", "terminated", "under writes"),
    Cell("leader", "process killed", "joining"),
    pytest.param(Cell("follower", "partitioned", "leaving"), marks=pytest.mark.long),
)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    lab = Lab()
    yield lab
    lab.forget()


@pytest.mark.parametrize("cell", CHOICE, ids=lambda cell: cell.name)
def test_a_cell_heals_and_loses_nothing(lab: Lab, cell: Cell) -> None:
    outcome = play(lab, cell)
    if outcome.kind == IMPOSSIBLE:
        pytest.skip(f"SKIPPED, NOT PROVED: {outcome.why}")
    assert outcome.kind == HEALED and outcome.lost == 0, outcome.why
    assert outcome.acknowledged > 0 and outcome.healed >= outcome.struck >= 0
    assert outcome.said or cell.fault == "AWS out", "members that serve do not miss AWS, and say nothing of it"
    assert sum(outcome.writes) == outcome.acknowledged


def test_every_fault_and_every_moment_can_be_brought_about() -> None:
    assert STRIKES.keys() == FAULTS.keys() and BROUGHT_ABOUT.keys() == MOMENTS.keys()


# --- what is kept, and shown


def outcomes() -> dict[str, Outcome]:
    """One of each kind, and cells that are not played yet."""
    kinds = (HEALED, LOST, HALTED, IMPOSSIBLE, PROBLEM)
    return {
        cell.name: Outcome(
            cell.name,
            kind,
            why="" if kind == HEALED else f"because of <{kind}>",
            acknowledged=60,
            lost=3 if kind == LOST else 0,
            struck=1.0 if kind != IMPOSSIBLE else -1.0,
            healed=4.5 if kind in (HEALED, LOST) else -1.0,
            writes=(10, 20, 0, 0, 5, 25) if kind != IMPOSSIBLE else (),
            sentence='it says "so" & <more>',
            said=(Said(2.0, "leader i-0a", 'it says "so" & <more>'),),
        )
        for cell, kind in zip(every_cell(), kinds, strict=False)
    }


class Page(HTMLParser):
    """What of a page matters here: its ids, the links within it, and anything that it would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.fetched: list[str] = []
        self.cells = self.rows = 0
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name == "id":
                self.ids.add(str(value))
            if name == "href" and str(value).startswith("#"):
                self.links.add(str(value)[1:])
            elif name in ("href", "src", "srcset", "data"):
                self.fetched.append(str(value))
            if name == "class" and str(value).startswith("cell"):
                self.cells += 1
            if name == "class" and value == "struck":
                self.rows += 1
        if tag in ("script", "link", "iframe", "img"):
            self.fetched.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_shows_every_cell_and_needs_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    report.write(outcomes(), "a machine", file)
    text = file.read_text()
    page = Page(text)
    assert page.cells == len(every_cell()) and not page.fetched
    assert "url(" not in text and "@import" not in text and "//" not in text.replace("http://www.w3.org/2000/svg", "")
    assert len(page.ids) == len(outcomes()) and page.links - {""} <= page.ids
    assert 'it says "so" & <more>' in page.text and "because of <problem>" in page.text
    assert page.rows == len(outcomes()), "each run's figures stand in a table"


def test_a_run_goes_on_from_what_is_kept(tmp_path: Path) -> None:
    """What had a problem is played again."""
    results = Results(tmp_path / "chaos.jsonl", of_json)
    assert results.kept() == {} and len(list(unplayed(results, every_cell()))) == len(every_cell())
    for outcome in outcomes().values():
        results.keep(outcome)
    again = next(iter(outcomes().values()))._replace(acknowledged=61)
    results.keep(again)
    assert results.kept() == outcomes() | {again.cell: again}
    well = {name for name, outcome in outcomes().items() if outcome.kind != PROBLEM}
    assert {cell.name for cell in unplayed(results, every_cell())} == {cell.name for cell in every_cell()} - well
