"""Pages: what stands in them as it is, what the browser may not do, and charts of whatever trials there are."""

import html
import json
import re

import numpy as np
import pytest
from many_trials import BAD, every, many

from jaxsweep.errors import RequestError
from jaxsweep.insight import charts, page
from jaxsweep.insight.page import POLICY, Section, Table
from jaxsweep.insight.sheet import Factor, Sheet, factor


def test_whatever_a_table_or_a_config_is_called_stands_in_the_page_as_text() -> None:
    parts = [
        Section(f"Title {BAD}", [BAD], [charts.bars([BAD], [1.0], BAD, BAD), charts.confusion([BAD], ["b"])],
                [Table([BAD], [[BAD]])], BAD, BAD)
    ]  # fmt: skip
    text = page.page(BAD, parts).replace(page.library(), "")
    assert "<img" not in text
    assert len(re.findall(r"<script", text)) == len(re.findall(r"</script", text)) == 3
    assert html.escape(BAD) in text
    (data,) = re.findall(r'<script type="application/json" id="charts">(.*?)</script>', text, re.DOTALL)
    labels = [chart["data"][0]["x"] for chart in json.loads(data).values()]
    assert labels == [[html.escape(BAD)], sorted([html.escape(BAD), "b"])]  # Plotly reads a part of HTML


def test_a_page_loads_nothing() -> None:
    text = page.page("title", [Section("One", ["words"])])
    assert POLICY in text
    assert "default-src 'none'" in POLICY
    assert "connect-src" not in POLICY
    assert not re.findall(r"<(?:script|link|img|iframe)[^>]*\b(?:src|href)=", text)


def test_charts_of_ten_thousand_trials_are_small() -> None:
    sizes = [len(json.dumps(chart, allow_nan=False)) for chart in every(many(10_000))]
    assert sum(sizes) < 3e6  # of the 10 MB that a page may have, beside the 5 of Plotly


@pytest.mark.parametrize(("n", "scored"), [(25, 1.0), (200, 0.2)])
def test_charts_of_few_trials_have_finite_numbers(n: int, scored: float) -> None:
    for chart in every(many(n, scored)):
        json.dumps(chart, allow_nan=False)
        assert chart["data"]


def test_what_is_absent_has_a_place_of_its_own() -> None:
    sheet = many(100)
    (chart,) = charts.parallel(sheet, [sheet.factors["child"]])["data"]
    axis = chart["dimensions"][1]
    assert axis["ticktext"][0] == "absent"
    rows = np.isfinite(sheet.scores)
    absent = np.isnan(sheet.factors["child"].x[rows])
    assert [value == axis["tickvals"][0] for value in axis["values"]] == absent.tolist()


def test_what_only_trials_without_a_score_have_is_in_no_picture_of_scores() -> None:
    sheet = many(100)
    rare = Factor("rare", np.where(np.isnan(sheet.scores), 1.0, np.nan))
    (chart,) = charts.parallel(sheet, [rare])["data"]
    assert len(chart["dimensions"]) == 1
    json.dumps(charts.slice_chart(sheet, rare), allow_nan=False)
    json.dumps(charts.heat(rare, sheet.factors["x0"], sheet.scores, "val_loss"), allow_nan=False)


def test_the_front_of_score_and_cost_has_what_nobody_beats() -> None:
    sheet = Sheet(np.arange(5), {}, np.array([3.0, 1.0, 2.0, 2.0, np.nan]), np.zeros(5, bool), "val_loss", -1, {})
    front = charts.cost(sheet, np.array([1.0, 9.0, 4.0, 5.0, 0.5]), "seconds")["data"][1]
    assert list(zip(front["x"], front["y"], strict=True)) == [(1.0, 3.0), (4.0, 2.0), (9.0, 1.0)]


def test_values_become_numbers_or_words() -> None:
    assert factor("x", [1, 2.5, None]).words == ()
    assert np.isnan(factor("x", [1, None]).x[1])
    assert factor("x", [1e-4, 1e-1]).log
    assert not factor("x", [1e-4, 1e-1], log=False).log
    assert factor("x", [True, False]).words == ("false", "true")
    assert factor("width", [[8, 4], 16, None]).words == ("16", "8-4")


def test_without_plotly_it_is_said_what_would_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr("importlib.resources.files", missing)
    with pytest.raises(RequestError, match=r"a report needs the package plotly.*pip install 'jaxsweep\[report\]'"):
        page.library()
