"""Whose ledger it is: the guard against another account's memory behind the same address."""

import os
from pathlib import Path

import msgspec

from include.delivery.segment import sync_folder
from include.errors import LedgerError
from include.memory_api.contract import Target


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """``target.json``: whose ledger this is, for people and against a mix-up of accounts."""

    base_url: str
    api_version: str
    account: str
    key_fingerprint: str


def check_owner(path: Path, target: Target) -> None:
    """
    Compare a ledger's owner with the target at hand, or write it down for a new ledger.

    A key that changed may be another account's, whose memory holds nothing of what this ledger says.

    :param path: ``target.json`` of the ledger.
    :raises LedgerError: it was written with another key, and nobody has said that the account is the same.
    """
    owner = Owner(
        base_url=target.base_url,
        api_version=target.api_version,
        account=target.account,
        key_fingerprint=target.key_fingerprint,
    )
    if path.exists():
        try:
            known = msgspec.json.decode(path.read_bytes(), type=Owner)
        except msgspec.MsgspecError as error:
            raise LedgerError(f"{path} is damaged ({error}): restore it from a backup; nothing was sent") from error
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
