"""What each kind of error means for Airflow's retries."""

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
            reason="Trying again cannot help: the error says what a person can do.",
        ),
        RetryRule(
            exception=errors.QuotaExhausted,
            action=RetryAction.FAIL,
            reason="The quota is used up. What is left stays pending: run again when there is quota.",
        ),
        RetryRule(
            exception=errors.Throttled,
            retry_delay=timedelta(minutes=5),
            reason="The server asks to slow down; the next try goes on where this one stands.",
        ),
        RetryRule(
            exception=errors.RetryableError,
            retry_delay=timedelta(seconds=30),
            reason="Nothing is lost; the next try goes on where this one stands.",
        ),
    ]
)
"""First match wins. A task that was killed has no exception: Airflow's own ``retries`` covers it."""
