"""
Runs a module, as ``python -m`` does, after importing the libraries that the tasks of an import need.

Airflow's local executor forks its tasks from the scheduler, so that each saves one or two seconds of imports, most of
the time of a short task. The project's own modules are not imported, so that the next task runs changed code.
"""

import importlib
import runpy
import sys

LIBRARIES = (
    "aiohttp",
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
