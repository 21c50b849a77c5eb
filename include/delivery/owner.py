"""
Which ledger is whose: refuses one that may be another account's, and a new one for a server that has one already.

A ledger is found by the target's name, which its address, API version, account and store make. An address can be
written in several ways, an account can be named later, a server can have two names. A new and empty ledger for a
server that was loaded before would send everything twice, so it is begun only where a person has said that it is
another store.
"""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from include.delivery.segment import sync_folder
from include.errors import LedgerError
from include.memory_api.address import normal_address, server_of
from include.memory_api.contract import Target, target_name

OWNER_FILE = "target.json"

_NO_KEY = ("", hashlib.sha256(b"").hexdigest()[:8])
"""Fingerprints of a server without keys: they tell nothing apart."""


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """``target.json``: whose ledger this is, for people and against a mix-up of accounts."""

    base_url: str
    api_version: str
    account: str
    key_fingerprint: str
    app_id: str | None = None
    project_id: str | None = None
    """``None`` in ledgers of versions that did not write the store down."""

    @classmethod
    def of(cls, target: Target) -> "Owner":
        """Return what is written down of a target."""
        return cls(**{name: getattr(target, name) for name in cls.__struct_fields__})

    def store(self, folder: Path) -> tuple[str, ...]:
        """Return API version, app and project, as far as they are known; ``folder`` is the ledger's."""
        app, project = self.app_id, self.project_id
        if app is None or project is None:
            is_default = folder.name == target_name(self.base_url, self.api_version, self.account)
            app, project = ("default", "default") if is_default else ("?", folder.name)
        return self.api_version, app, project


def folder_of(root: Path, target: Target) -> Path:
    """
    Return the folder of a target's ledger, which need not be there yet.

    :param root: Folder of the ledgers of all targets.
    :raises LedgerError: there is none, another one is of the same server or key, and nobody has said that this is
        another store.
    """
    own = root / target.name
    if (own / OWNER_FILE).exists():
        return own
    store = (target.api_version, target.app_id, target.project_id)
    others = [(folder, owner) for folder, owner in _others(root, own) if owner.store(folder) == store]
    for folder, owner in others:
        if (normal_address(owner.base_url), owner.account) == (target.base_url, target.account):
            return folder  # begun under another spelling of the address
    rivals = [owner for folder, owner in others if _is_rival(owner, target) and _is_used(folder)]
    if rivals and target.new_ledger != target.name:
        raise LedgerError(_choice(root, target, rivals[0]))
    return own


def _others(root: Path, own: Path) -> Iterator[tuple[Path, Owner]]:
    for path in sorted(root.glob(f"*/{OWNER_FILE}")):
        if path.parent != own:
            yield path.parent, _read(path)


def _is_rival(owner: Owner, target: Target) -> bool:
    """Tell whether both may be one store; an account of another key that a person has named is none."""
    same_key = owner.key_fingerprint == target.key_fingerprint
    if server_of(owner.base_url) == server_of(target.base_url):
        return same_key or not target.account_named
    return same_key and target.key_fingerprint not in _NO_KEY


def _is_used(folder: Path) -> bool:
    """Tell whether anything was ever sent; dry runs begin ledgers, too."""
    return any(next(folder.glob(pattern), None) for pattern in ("*.jsonl", "landed-*.parquet", "rejected-*.parquet"))


def _choice(root: Path, target: Target, other: Owner) -> str:
    same = "server" if server_of(other.base_url) == server_of(target.base_url) else "API key"
    return (
        f"{root} holds no ledger of {target.base_url} ({target.api_version}, account {target.account}), but one of the "
        f"same {same}: {other.base_url}, account {other.account}. Nothing was sent: if both are one store, everything "
        f"would be sent twice. If they are one, go on with that ledger: write {other.base_url} as the base URL and "
        f'"account": "{other.account}" into the extra of the connection. If this is another store, or one that was '
        f'emptied, write "new_ledger": "{target.name}" into the extra (without a connection: EVEROS_NEW_LEDGER), '
        "and it gets a ledger of its own."
    )


def check_owner(path: Path, target: Target) -> None:
    """
    Compare a ledger's owner with the target at hand, or write it down for a new ledger.

    A key that changed may be another account's, whose memory holds nothing of what this ledger says.

    :param path: ``target.json`` of the ledger.
    :raises LedgerError: it was written with another key, and nobody has said that the account is the same.
    """
    owner = Owner.of(target)
    if path.exists():
        known = _read(path)
        if known == owner:
            return
        if known.key_fingerprint != owner.key_fingerprint and not target.account_named:
            raise LedgerError(
                f"the ledger of {target.base_url} ({target.api_version}) was written with another API key, and a key "
                "does not show its account. Nothing was sent. If it is a new key of the same account, write "
                f'"account": "{target.account}" into the extra of the connection, and the ledger goes on; if it is '
                "another account, give it a name of its own there, and it gets a ledger of its own."
            )
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(owner), indent=2) + b"\n")
    draft.replace(path)
    sync_folder(path.parent)


def _read(path: Path) -> Owner:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Owner)
    except msgspec.MsgspecError as error:
        raise LedgerError(f"{path} is damaged ({error}): restore it from a backup; nothing was sent") from error
