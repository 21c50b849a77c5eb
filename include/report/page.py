"""``report.html``: the report as one file that opens anywhere, without scripts or anything from the network."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment

from include.report.figures import COUNTS, REASONED

COLUMNS = {
    "conversation_id": "Conversation",
    "name": "Name",
    "extracted": "Extracted",
    "loaded": "Loaded",
    "already_loaded": "Already loaded",
    "out_of_range": "Out of range",
    "skipped": "Skipped",
    "rejected": "Rejected",
    "pending": "Pending",
    "unknown": "Unknown",
    "batches": "Batches",
    "first": "First",
    "last": "Last",
    "flushed": "Flushed",
}

PAGE = Environment(autoescape=True).from_string(
    """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Import {{ report.run_id }}</title>
<style>
  :root { color-scheme: light dark; }
  body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 80rem; padding: 0 1rem; }
  table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
  th, td { padding: .3rem .6rem; text-align: right;
           border-bottom: 1px solid color-mix(in srgb, currentColor 18%, transparent); }
  th:first-child, td:first-child, th:nth-child(2), td:nth-child(2) { text-align: left; }
  .figures { display: flex; flex-wrap: wrap; gap: .5rem 2rem; padding: 0; list-style: none; }
  .figures b { font-size: 1.5rem; display: block; }
  .problem { border-left: 4px solid #c0392b; padding: .3rem .8rem; }
  .fine { border-left: 4px solid #2e8b57; padding: .3rem .8rem; }
  .wide { overflow-x: auto; }
</style>
<h1>Import into EverOS</h1>
<p>{{ report.run_id }}<br>
{{ report.target.base_url }} (API {{ report.target.api_version }}, account {{ report.target.account }})<br>
{{ report.started_at }} to {{ report.finished_at }}
{% if report.dry_run %}<br><b>Dry run: nothing was sent.</b>{% endif %}</p>
{% for problem in report.problems %}<p class="problem">{{ problem }}</p>{% else %}
<p class="fine">Every entry is accounted for.</p>{% endfor %}
<ul class="figures">
{% for name, value in figures %}<li><b>{{ "{:,}".format(value) }}</b>{{ name }}</li>{% endfor %}
</ul>
{% for title, reasons in reasons if reasons %}
<h2>{{ title }}</h2>
<table><tr><th>Reason</th><th></th><th>Entries</th></tr>
{% for reason, count in reasons.items() -%}
<tr><td>{{ reason }}</td><td></td><td>{{ "{:,}".format(count) }}</td></tr>
{% endfor %}
</table>{% endfor %}
{% if report.notes %}
<h2>Notes</h2>
<ul>{% for note in report.notes %}<li>{{ note.export }}: {{ "{:,}".format(note.count) }} {{ note.meaning -}}
{% if note.detail %} ({{ note.detail }}){% endif %}</li>{% endfor %}</ul>{% endif %}
<h2>Conversations</h2>
<div class="wide">{{ table|safe }}</div>
</html>
"""
)


def write_page(report: Mapping[str, Any], path: Path) -> None:
    """Write the report as a page. Shows names, reasons and counts; no message text is in the report to begin with."""
    figures = [(name.replace("_", " "), report[name]) for name in COUNTS]
    reasons = [(name.capitalize(), report[name]) for name in REASONED]
    html = PAGE.render(report=report, figures=figures, reasons=reasons, table=_table(report))
    path.write_text(html, encoding="utf-8")


def _table(report: Mapping[str, Any]) -> str:
    frame = pd.DataFrame(report["conversations"])
    if frame.empty:
        return ""
    for name in REASONED:
        frame[name] = frame[name].map(lambda reasons: sum(reasons.values()))
    for column, name in (("first_ms", "first"), ("last_ms", "last")):
        frame[name] = pd.to_datetime(frame[column], unit="ms", utc=True).dt.strftime("%Y-%m-%d %H:%M")
    frame = frame[list(COLUMNS)].rename(columns=COLUMNS)
    return frame.to_html(index=False, border=0, na_rep="", escape=True)
