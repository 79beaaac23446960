from __future__ import annotations

import re
from xml.etree import ElementTree

from ometria_provider.web.charts import Bar, bars


def heights(chart: str, tone: str) -> list[float]:
    return [float(each) for each in re.findall(rf'<rect class="{tone}"[^>]* height="([\d.]+)"', chart)]


def test_chart_is_drawn_to_scale_and_says_what_it_shows():
    chart = bars([Bar(100, 0, "run 1"), Bar(50, 50, "run 2")], title="Two runs", height=40)
    assert heights(chart, "good") == [40.0, 20.0]
    assert heights(chart, "bad") == [20.0]
    root = ElementTree.fromstring(chart)
    assert root.get("role") == "img"
    assert root[0].text == "Two runs"
    assert [each.text for each in root.iter("{http://www.w3.org/2000/svg}title")] == ["Two runs", "run 1", "run 2"]


def test_chart_shows_one_rejection_beside_a_million():
    chart = bars([Bar(1_000_000, 1, "")], title="")
    assert heights(chart, "bad") == [2.0]


def test_chart_of_nothing_is_a_line_and_escapes_its_words():
    chart = bars([Bar(0, 0, "<b>")], title='"<i>')
    assert heights(chart, "nothing") == [1.0]
    assert "<b>" not in chart
    assert "<i>" not in chart


def test_chart_s_limit_is_a_line_at_its_height():
    assert 'y1="10.0"' in bars([Bar(4, 0, "")], title="", height=20, limit=2)
    assert 'y1="0.0"' in bars([Bar(1, 0, "")], title="", height=20, limit=2)
