"""
Runs a module, as ``python -m`` does, with the libraries imported that the tasks of an import need.

Airflow's local executor forks its tasks from the scheduler: each is spared a second or two of start-up, most of what a
short one takes. The project's own code is not among them, so that a change to it holds for the next task.
"""

import importlib
import runpy
import sys

LIBRARIES = (
    "duckdb",
    "everos",
    "everos_cloud",
    "httpx",
    "ijson",
    "jinja2",
    "pandas",  # pyarrow imports it as soon as it makes an array
    "pyarrow.dataset",
    "pyarrow.parquet",
)

if __name__ == "__main__":
    for library in LIBRARIES:
        importlib.import_module(library)
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
