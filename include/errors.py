"""
Every exception this project raises, grouped by what the caller should do next.

::

    ChatImportError
    ├── RetryableError                    the same step may work later; nothing was lost
    │   ├── NotSent                       refused, DNS or connect error: the server never had the call
    │   ├── Throttled                     HTTP 429; carries the server's wait
    │   ├── QuotaExhausted                HTTP 429 with a quota code: stop calling, keep the rest as pending
    │   ├── ConversationBusy              another writer holds this conversation's lease
    │   ├── LoadIncomplete                some conversations are pending; the next try resumes them
    │   └── StoreUnavailable              the object store of a run's data or its source does not answer
    ├── OutcomeUnknown                    timeout, reset or 5xx after sending: ask before sending again
    └── PermanentError                    the same step will fail the same way; it needs manual action
        ├── Refused                       HTTP 4xx: carries status and the server's reason
        ├── OutcomesUnknown               batches whose outcome stays unknown; named one by one
        ├── ConfigurationError            connection or parameter; says which and how to fix it
        ├── ExportError                   the export as a whole cannot be read or is not an export
        │   ├── LimitExceeded             an archive crossed a safety limit; names the entry and the limit
        │   └── EntryUnreadable           one file of it is damaged or over a limit; its neighbours can be read
        ├── StorageError                  a disk is full, or a folder or file of the run cannot be used
        ├── LedgerError                   recorded state is damaged, missing or another account's
        │   └── LedgerUnavailable         the ledger's server does not answer: the exception here, another try may work
        ├── ImportIncomplete              the run is over and something is pending, unknown or unread
        └── NotConserved                  the run's figures do not add up: something is unaccounted for

A single bad entry inside a readable export is data (:class:`include.records.Rejected`), not an exception.
Messages name ids and counts, never chat text.
"""

from include.logs import printable


class ChatImportError(Exception):
    """
    Base of all exceptions of this project. Its message is one printable line, whatever ids it contains.

    :param remedy: What to do, in sentences; the message ends with it.
    """

    def __init__(self, *args: object, remedy: str = "") -> None:
        self.remedy = printable(remedy)
        shown = [printable(arg) if isinstance(arg, str) else arg for arg in args]
        super().__init__(*([" ".join(map(str, [*shown, self.remedy]))] if remedy else shown))

    @property
    def cause(self) -> str:
        """The message without the remedy."""
        return str(self).removesuffix(self.remedy).rstrip()

    def add_note(self, note: str) -> None:
        """Add a line, printable too."""
        super().add_note(printable(note))


class RetryableError(ChatImportError):
    """The same step may work later; nothing was lost."""


class NotSent(RetryableError):
    """The call never reached the server: sending it again cannot duplicate anything."""


class Throttled(RetryableError):
    """
    HTTP 429: the server took nothing and asks to slow down.

    :param retry_after_s: The server's wait in seconds, or ``None`` when it named none.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.retry_after_s = retry_after_s


class QuotaExhausted(RetryableError):
    """The account's quota is used up: more calls fail, remaining messages stay pending."""


class ConversationBusy(RetryableError):
    """Another process is loading this conversation into the same target; nothing was sent."""


class LoadIncomplete(RetryableError):
    """Some conversations of a chunk are still pending; the next try resumes them."""


class StoreUnavailable(RetryableError):
    """The object store of a run's data or its source did not answer; data that was written stays valid."""


class OutcomeUnknown(ChatImportError):
    """The call may or may not have been carried out. Never send it again before asking the server."""


class PermanentError(ChatImportError):
    """The same step fails the same way on every try: it fails without a retry and needs manual action."""


class Refused(PermanentError):
    """
    HTTP 4xx: the server rejected the call; nothing was stored.

    :param status: HTTP status code.
    :param reason: The server's reason, without any of the submitted text.
    """

    def __init__(self, message: str, *, status: int, reason: str, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.status = status
        self.reason = reason


class OutcomesUnknown(PermanentError):
    """Batches whose outcome stays unknown: their conversations stopped, all others continued."""


class ConfigurationError(PermanentError):
    """A connection or parameter is missing or contradicts another; nothing was sent."""


class ExportError(PermanentError):
    """An export as a whole cannot be read."""


class LimitExceeded(ExportError):
    """An archive as a whole crossed a safety limit; nothing of it was written anywhere."""


class EntryUnreadable(ExportError):
    """One file of an export is damaged or over its limit. Parsers turn it into a ``Rejected`` and go on."""


class StorageError(PermanentError):
    """
    A disk is full, or a folder or file of a run cannot be written or read.

    The results of earlier steps and runs are unchanged: the files of a step are complete or absent.
    """


class LedgerError(PermanentError):
    """
    Recorded state is damaged, missing, or belongs to another account.

    Never treated as an empty ledger: "nothing sent yet" would send everything again.
    """


class LedgerUnavailable(LedgerError):
    """The ledger's server does not answer, or has ended the connection. Nothing is sent; another try may work."""


class ImportIncomplete(PermanentError):
    """The run is over, and its report names what is pending, unknown or unread."""


class NotConserved(PermanentError):
    """``extracted`` is not the sum of its parts: some message is unaccounted for."""
