"""
A run's files and its source in an object store, for workers that share no folder: ``EVEROS_IMPORT_STAGING``.

The steps work on local files. ``task_files`` copies a task's files between the store and a scratch folder, ``sources``
copies exports from a store, ``run_view`` copies what the pages show, ``object_store`` does the copying.

The ledger is not in the store: it is a database (:mod:`everos_provider.ledger`).
"""
