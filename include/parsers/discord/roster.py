"""Names of the people, roles and channels of a Discord export."""

import re
from collections.abc import Mapping
from typing import Any

from include.parsers.json.values import as_dict, as_dicts, as_str, identifier


class Roster:
    """
    Names by id, collected while reading: members, roles and channels share one space of ids.

    Two people with one display name get distinct names: the second has the account's name, or else the id, behind it.
    """

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = dict(names)
        self._given: dict[str, str] = {}
        """Latest display name by id, of authors and mentions."""
        self._holders: dict[str, str] = {}
        """Id by name: the first to have a name keeps it."""

    def named(self, user_id: str, name: str, user: Mapping[str, Any]) -> str:
        """Remember an author, and the roles the exporter lists with it; return the distinct name."""
        if self._given.get(user_id) == name:
            return self._names[user_id]
        self._given[user_id] = name
        for role in as_dicts(user.get("roles")):
            self._names.setdefault(identifier(role), as_str(role.get("name")))
        self._names[user_id] = shown = self._distinct(user_id, name, account_of(user))
        return shown

    def known(self, user_id: str) -> str:
        """Return the name of a user who has written or was mentioned; empty for others."""
        return self._names[user_id] if user_id in self._given else ""

    def webhook(self, name: str) -> str:
        """Return the name of a webhook's message: a bridge has one webhook per channel, with the same names in each."""
        return self._distinct(":webhook", name, "webhook")

    def names_for(self, message: Mapping[str, Any]) -> Mapping[str, str]:
        """Return the names to resolve a message's mentions with; add those of people who have not written yet."""
        if users := message.get("mentions"):
            for user in as_dicts(users):
                user_id, name = identifier(user), name_of(user, as_dict(user.get("member")))
                if user_id and name and user_id not in self._given:
                    self.named(user_id, name, user)
        if channels := message.get("mention_channels"):
            for channel in as_dicts(channels):
                self._names.setdefault(identifier(channel), as_str(channel.get("name")))
        if snapshots := message.get("message_snapshots"):
            for snapshot in as_dicts(snapshots):
                self.names_for({**as_dict(snapshot.get("message")), "message_snapshots": None})
        if forwarded := message.get("forwardedMessage"):
            self.names_for({**as_dict(forwarded), "forwardedMessage": None})
        return self._names

    def with_distinct_names(self, text: str, users: object) -> str:
        """
        Return a text with distinct names in place of those that the exporter wrote for mentions (``@Ann``).

        A name that two people mentioned in the message share stays: it is not known which of them is meant.
        """
        shown: dict[str, set[str]] = {}
        for user in as_dicts(users):
            shown.setdefault(name_of(user), set()).add(self._names.get(identifier(user), ""))
        for name, unique in shown.items():
            mention = f"@{name}"
            if len(unique) == 1 and (full := f"@{unique.pop()}") != mention and full.startswith(f"{mention} ("):
                escaped = full.replace("\\", r"\\")
                text = re.sub(rf"{re.escape(mention)}(?!\w)", escaped, text.replace(full, mention))
        return text

    def _distinct(self, user_id: str, name: str, account: str) -> str:
        if not name:
            return user_id
        for shown in (name, f"{name} ({account})" if account not in ("", name) else name):
            if self._holders.setdefault(shown.casefold(), user_id) == user_id:
                return shown
        return f"{name} ({user_id})"


def name_of(user: Mapping[str, Any], member: Mapping[str, Any] | None = None) -> str:
    """
    Return the name shown: the nickname in the server, the display name, or the account name.

    Webhooks post under one id with a name per message, so it is read from each message.
    """
    if member and (nick := as_str(member.get("nick")).strip()):
        return nick
    for key in ("nickname", "global_name", "name", "username"):
        if name := as_str(user.get(key)).strip():
            return name
    return ""


def account_of(user: Mapping[str, Any]) -> str:
    """Return the name of the account, which is unique."""
    return as_str(user.get("username")).strip() or as_str(user.get("name")).strip()
