"""Counts messages per day in the exports and in the plan, for the chart of the report."""

import duckdb

from include.run_folder import RunFolder

_MEMORY = "256MB"


def messages_by_day(run: RunFolder) -> list[list[str | int]]:
    """
    Return ``[day, in the exports, to load by this run]`` for every day (UTC) that has messages, ascending.

    A message in two exports counts twice in the first number.
    """
    exported = [str(path) for path in run.extracted_files("messages-*.parquet")]
    planned = [str(path) for path in run.message_parts()]
    days: dict[str, list[int]] = {}
    with duckdb.connect(config={"memory_limit": _MEMORY}) as connection:
        for place, files in enumerate((exported, planned)):
            if not files:
                continue
            connection.read_parquet(files).create_view("messages", replace=True)
            for day, count in connection.sql(
                "SELECT strftime(make_timestamp(sent_at_us), '%Y-%m-%d'), count(*) FROM messages GROUP BY 1"
            ).fetchall():
                days.setdefault(day, [0, 0])[place] = count
    return [[day, *counts] for day, counts in sorted(days.items())]
