"""Airflow's retries for each kind of error."""

from datetime import timedelta

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

from include import errors

LOAD_RETRIES = ExceptionRetryPolicy(
    rules=[
        RetryRule(
            exception=errors.LedgerUnavailable,
            retry_delay=timedelta(seconds=30),
            reason="The ledger's server does not answer. Nothing is sent without it; the next try goes on.",
        ),
        RetryRule(
            exception=errors.PermanentError,
            action=RetryAction.FAIL,
            reason="A retry cannot help. The error says what to do.",
        ),
        RetryRule(
            exception=errors.QuotaExhausted,
            action=RetryAction.FAIL,
            reason="The quota is used up. The other messages stay pending: run again when there is quota.",
        ),
        RetryRule(
            exception=errors.Throttled,
            retry_delay=timedelta(minutes=5),
            reason="The server limits the rate of calls. The next try continues from here.",
        ),
        RetryRule(
            exception=errors.RetryableError,
            retry_delay=timedelta(seconds=30),
            reason="Nothing is lost. The next try continues from here.",
        ),
    ]
)
"""First match wins. A task that was killed has no exception: Airflow's own ``retries`` covers it."""
