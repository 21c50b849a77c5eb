"""Address, credentials and limits of a client, validated before anything is sent."""

import hashlib
import re
from dataclasses import dataclass, field

from include.errors import ConfigurationError
from include.memory_api.address import normal_address
from include.memory_api.contract import DEFAULT_BASE_URL, Target

API_VERSIONS = ("v1", "v2")

_STORE = re.compile(r"[a-zA-Z0-9_.@+-]{1,128}")
_RESERVED = (".", "..", "default_app", "default_project")
"""Names of the default store's folders, and ``.`` and ``..`` (server 1.5.1, ``_reject_reserved_scope_dir``)."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """
    Settings of a client of either API version.

    :param base_url: scheme and host, without ``/api/v1``.
    :param api_key: may be empty for v2, except at EverOS Cloud: a self-hosted server has no keys, a gateway may.
    :param account: name of the account's ledger (see :class:`~include.memory_api.contract.Target`); ``None`` if
        it is not set.
    :param app_id: v2 only: with ``project_id`` the store to write to; ``default`` if it is not set.
    :param project_id: v2 only.
    :param new_ledger: name of the ledger that may be created beside one of the same server or key
        (:mod:`include.delivery.owner`).
    :param read_timeout_s: time limit of an answer. After it the outcome of the call is unknown.
    :param origin: where these settings come from, for messages: ``the connection everos_default in Airflow``.
    :param connections: maximum number of calls at the same time.
    :raises ConfigurationError: a value is missing or contradicts another; the message has the remedy.
    """

    api_version: str = "v1"
    base_url: str = DEFAULT_BASE_URL
    api_key: str = field(repr=False, default="")
    account: str | None = None
    app_id: str | None = None
    project_id: str | None = None
    new_ledger: str | None = None
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 60.0
    connections: int = 64
    origin: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if self.api_version not in API_VERSIONS:
            raise ConfigurationError(f"api_version {self.api_version!r} is not one of {', '.join(API_VERSIONS)}")
        if not re.fullmatch(r"(?i:https?)://[^/\s?#@]+(/[^\s?#]*)?", self.base_url):
            raise ConfigurationError(
                "the base URL is not an address; nothing was sent.", remedy=f"Write one such as {DEFAULT_BASE_URL}"
            )
        if re.search(r"/api(/v\d+)?/?$", self.base_url):
            raise ConfigurationError(
                f"base URL {self.base_url}: leave out the path, the client adds /api/{self.api_version}"
            )
        if not self.api_key and (self.api_version == "v1" or normal_address(self.base_url) == DEFAULT_BASE_URL):
            raise ConfigurationError(
                "the API key is empty; nothing was sent.",
                remedy="Give it. Only a self-hosted server (api_version v2, at its own address) needs none.",
            )
        if not re.fullmatch(r"[\x21-\x7e]*", self.api_key):
            raise ConfigurationError("the API key holds spaces or characters that a header cannot carry")
        if self.api_version == "v1" and (self.app_id or self.project_id):
            raise ConfigurationError("app_id and project_id belong to v2: remove them or set api_version to v2")
        for name, value in (("app_id", self.app_id), ("project_id", self.project_id)):
            if value is not None and (not _STORE.fullmatch(value) or value in _RESERVED):
                raise ConfigurationError(f"{name} {value!r} is not 1 to 128 of A-Z, a-z, 0-9 and _.@+-, or is reserved")

    @property
    def address(self) -> str:
        """The base URL as it was given; clients connect to it."""
        return self.base_url.rstrip("/")

    @property
    def target(self) -> Target:
        """The target of these settings, without the secret."""
        digest = hashlib.sha256(self.api_key.encode()).hexdigest()
        return Target(
            base_url=self.base_url,
            api_version=self.api_version,
            account=self.account or "default",
            account_named=self.account is not None,
            key_fingerprint=digest[:8],
            app_id=self.app_id or "default",
            project_id=self.project_id or "default",
            new_ledger=self.new_ledger or "",
        )
