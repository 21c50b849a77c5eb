"""Names of the people, roles and channels of a Discord export."""

import re
from collections.abc import Mapping
from typing import Any

from include.parsers.values import identifier, mapping, objects, string


class Roster:
    """
    Names by id, learnt on the way: members, roles and channels share one space of ids.

    Two people with one display name are told apart: the second has the account's name, or else the id, behind it.
    """

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = dict(names)
        self._given: dict[str, str] = {}
        """Display name by id, as an author or a mention last had it."""
        self._holders: dict[str, str] = {}
        """Id by name: the first to have a name keeps it."""

    def named(self, user_id: str, name: str, user: Mapping[str, Any]) -> str:
        """Remember an author, and the roles the exporter lists with it; return the name that tells it from others."""
        if self._given.get(user_id) == name:
            return self._names[user_id]
        self._given[user_id] = name
        for role in objects(user.get("roles")):
            self._names.setdefault(identifier(role), string(role.get("name")))
        self._names[user_id] = shown = self._distinct(user_id, name, speed_of(user))
        return shown

    def known(self, user_id: str) -> str:
        """Return the name of somebody who has spoken or was mentioned; empty for anybody else."""
        return self._names[user_id] if user_id in self._given else ""

    def webhook(self, name: str) -> str:
        """Return the name of a webhook's message: a bridge has one webhook per channel, with the same names in each."""
        return self._distinct(":webhook", name, "webhook")

    def names_for(self, message: Mapping[str, Any]) -> Mapping[str, str]:
        """Return the names to resolve a message's mentions with; learn those of people who have not spoken yet."""
        if users := message.get("mentions"):
            for user in objects(users):
                user_id, name = identifier(user), name_of(user, mapping(user.get("member")))
                if user_id and name and user_id not in self._given:
                    self.named(user_id, name, user)
        if channels := message.get("mention_channels"):
            for channel in objects(channels):
                self._names.setdefault(identifier(channel), string(channel.get("name")))
        if snapshots := message.get("message_snapshots"):
            for snapshot in objects(snapshots):
                self.names_for({**mapping(snapshot.get("message")), "message_snapshots": None})
        if forwarded := message.get("forwardedMessage"):
            self.names_for({**mapping(forwarded), "forwardedMessage": None})
        return self._names

    def tell_apart(self, text: str, users: object) -> str:
        """
        Return a text with the names that the exporter wrote for mentions (``@Ann``) in the form that is unique.

        A name that two people mentioned in the message share stays: nothing says which mention is whose.
        """
        shown: dict[str, set[str]] = {}
        for user in objects(users):
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
    Return the name people see: the nickname in the server, the display name, or the account name.

    Webhooks post under one id with a name per message, so it is read from each message anew.
    """
    if member and (nick := string(member.get("nick")).strip()):
        return nick
    for key in ("nickname", "global_name", "name", "username"):
        if name := string(user.get(key)).strip():
            return name
    return ""


def speed_of(user: Mapping[str, Any]) -> str:
    """Return the name of the account, which nobody else has."""
    return string(user.get("username")).strip() or string(user.get("name")).strip()
