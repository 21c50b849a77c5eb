"""
Turns one Discord message into a record, whether DiscordChatExporter or the API wrote it.

The two use different names (``fileName``/``filename``, ``isBot``/``bot``) that do not collide, so one function reads
both. Kinds are names, numbers, or numbers as text; a message of an unknown kind is imported if it has text.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from include.ids import sender_id_of
from include.parsers.discord.replies import Replies, proxied_reply, quote
from include.parsers.discord.roster import Roster, name_of
from include.parsers.discord.text import text_of, to_plain_text
from include.parsers.discord.time import sent_at_us
from include.parsers.json.values import as_dict, as_str, identifier, microseconds
from include.parsers.outcomes import Reject, Skip
from include.records import Conversation, Message, Note

SOURCE = "discord"

SYSTEM_KINDS = {
    "1": "RecipientAdd",
    "2": "RecipientRemove",
    "3": "Call",
    "4": "ChannelNameChange",
    "5": "ChannelIconChange",
    "6": "ChannelPinnedMessage",
    "7": "GuildMemberJoin",
    "8": "GuildBoost",
    "9": "GuildBoostTier1",
    "10": "GuildBoostTier2",
    "11": "GuildBoostTier3",
    "12": "ChannelFollowAdd",
    "14": "GuildDiscoveryDisqualified",
    "15": "GuildDiscoveryRequalified",
    "16": "GuildDiscoveryGracePeriodInitialWarning",
    "17": "GuildDiscoveryGracePeriodFinalWarning",
    "18": "ThreadCreated",
    "22": "GuildInviteReminder",
    "24": "AutoModerationAction",
    "25": "RoleSubscriptionPurchase",
    "26": "InteractionPremiumUpsell",
    "27": "StageStart",
    "28": "StageEnd",
    "29": "StageSpeaker",
    "30": "StageRaiseHand",
    "31": "StageTopic",
    "32": "GuildApplicationPremiumSubscription",
    "36": "GuildIncidentAlertModeEnabled",
    "37": "GuildIncidentAlertModeDisabled",
    "38": "GuildIncidentReportRaid",
    "39": "GuildIncidentReportFalseAlarm",
    "44": "PurchaseNotification",
}
"""Discord's own notices, which have no words of a user (discord-api-types, ``MessageType``), under one name each."""

_SYSTEM_NAMES = frozenset(SYSTEM_KINDS.values())
_SLASH_COMMAND = "ChatInputCommand"
_THREAD_STARTER = "ThreadStarterMessage"
_KINDS = {
    "0": "Default",
    "19": "Reply",
    "20": _SLASH_COMMAND,
    "21": _THREAD_STARTER,
    "23": "ContextMenuCommand",
    "46": "PollResult",
}
_OTHER_NAMES = {
    "applicationcommand": _SLASH_COMMAND,
    "guildmemberjoin": "GuildMemberJoin",
    "newmember": "GuildMemberJoin",
    "pinsadd": "ChannelPinnedMessage",
    "premiumguildsubscription": "GuildBoost",
    "premiumguildtier1": "GuildBoostTier1",
    "premiumguildtier2": "GuildBoostTier2",
    "premiumguildtier3": "GuildBoostTier3",
    "userjoin": "GuildMemberJoin",
    "userpremiumguildsubscription": "GuildBoost",
    "userpremiumguildsubscriptiontier1": "GuildBoostTier1",
    "userpremiumguildsubscriptiontier2": "GuildBoostTier2",
    "userpremiumguildsubscriptiontier3": "GuildBoostTier3",
}
"""Names of libraries (discord.py, discord.js) and of older documentation, without case and marks."""

_WORDY_NAMES = frozenset(_KINDS.values()) - {_THREAD_STARTER}
_NAMES = {name: name for name in (*SYSTEM_KINDS.values(), *_KINDS.values())} | SYSTEM_KINDS | _KINDS
_FOLDED = {name.casefold(): name for name in _NAMES.values()} | _OTHER_NAMES
_COMMANDS = (_SLASH_COMMAND, "ContextMenuCommand")
_FORWARD = ("Forward", "1", 1)


class ExportNotes:
    """Counts what the report notes about an export, message by message."""

    def __init__(self) -> None:
        self.said = 0
        self.empty = 0
        self.webhook = 0
        self.unknown_kinds: Counter[str] = Counter()
        """Messages imported although their kind is new to us."""

    def notes(self) -> Iterator[Note]:
        """Yield the notes."""
        for kind, count in sorted(self.unknown_kinds.items()):
            yield Note(code="unknown_kind", detail=kind, count=count)
        if self.webhook:
            yield Note(code="webhook", count=self.webhook)
        if self.empty > self.said:
            yield Note(code="mostly_empty", count=self.empty)


def to_message(
    entry: dict[str, Any],
    origin: str,
    *,
    conversation: Conversation,
    roster: Roster,
    export_notes: ExportNotes,
    replies: Replies,
    skip_bots: bool,
) -> Message:
    """
    Return the record of one message.

    :raises Skip: it has no text, or is a bot's and bots are skipped.
    :raises Reject: it has no id, author or time.
    """
    kind = _kind(entry.get("type"))
    if kind in _SYSTEM_NAMES:
        raise Skip(kind)
    if kind == _THREAD_STARTER:
        # An empty shell in the thread; the API includes the message that the thread grew from.
        entry = as_dict(entry.get("referenced_message")) or entry
    message_id = identifier(entry)
    if not message_id:
        raise Reject("expected an id, found none")
    author = as_dict(entry.get("author"))
    name = name_of(author, as_dict(entry.get("member")))
    author_id = identifier(author) or name
    if not author_id:
        raise Reject("expected an author with an id, found none")
    bot = bool(author.get("isBot") or author.get("bot") or entry.get("webhook_id"))
    webhook = bot and bool(name) and _by_webhook(entry, author, kind)
    shown = roster.webhook(name) if webhook else roster.named(author_id, name, author)
    if bot and skip_bots:
        raise Skip("bot")
    at_us = sent_at_us(message_id, entry.get("timestamp"))
    if at_us is None or at_us <= 0:
        raise Reject("expected an ISO 8601 timestamp or a snowflake as id, found neither")
    proxied = proxied_reply(entry) if webhook and entry.get("embeds") else None
    if proxied:
        entry = {**entry, "embeds": proxied.others}
    text = text_of(entry, roster.names_for(entry), bot=bot)
    known = kind in _KINDS.values()
    if not text:
        export_notes.empty += kind in _WORDY_NAMES
        raise Skip("empty" if kind in _WORDY_NAMES else kind)
    export_notes.said += 1
    export_notes.webhook += webhook
    if not known:
        export_notes.unknown_kinds[kind] += 1
    if users := entry.get("mentions"):
        text = roster.with_distinct_names(text, users)
    answered = answered_id(entry, conversation.channel_id)
    before = None
    if proxied:
        answered = proxied.message_id if proxied.channel_id == conversation.channel_id else None
        quoted = to_plain_text(proxied.text, roster.names_for(entry))
        before = (proxied.name, quoted) if quoted else None
    elif not (answered and replies.close(answered, at_us)):
        before = answered_words(entry, answered, kind, roster, replies, bot=bot, skip_bots=skip_bots)
    replies.add(message_id, at_us, shown, text)
    return Message(
        source=SOURCE,
        conversation_id=conversation.conversation_id,
        message_id=message_id,
        sent_at_us=at_us,
        timestamp_ms=at_us // 1000,
        edited_at_us=microseconds(entry.get("timestampEdited") or entry.get("edited_timestamp")),
        sender_id=sender_id_of(f"{author_id}:{name}" if webhook else author_id),
        sender_name=shown,
        role="assistant" if bot else "user",
        text=f"{quote(*before)}\n{text}" if before else text,
        thread_id=answered,
        origin=origin,
    )


def correctable(entry: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a rejected entry that a user can correct (:data:`include.parsers.outcomes.Correctable`)."""
    author = as_dict(entry.get("author"))
    return {
        "message_id": identifier(entry),
        "sender_id": identifier(author),
        "sender_name": author.get("name") or author.get("username"),
        "timestamp": entry.get("timestamp"),
        "content": entry.get("content"),
    }


def _by_webhook(entry: Mapping[str, Any], author: Mapping[str, Any], kind: str) -> bool:
    """
    Return whether a bot's message came by a webhook, which posts under one id with any name.

    The API gives a ``webhook_id``, also for a bot's answers to commands, which are the bot's own. The exporter does
    not; there a webhook has no roles and no discriminator, while bots have kept theirs
    (support.discord.com, "New Usernames").
    """
    if kind in _COMMANDS or entry.get("interaction") or entry.get("interaction_metadata"):
        return False
    if webhook_id := identifier(entry, "webhook_id"):
        return webhook_id != identifier(entry, "application_id")
    without = ("", "0", "0000") if author.get("isBot") else ("0000",)
    return as_str(author.get("discriminator")) in without and not author.get("roles")


def answered_words(
    entry: Mapping[str, Any],
    answered: str | None,
    kind: str,
    roster: Roster,
    replies: Replies,
    *,
    bot: bool,
    skip_bots: bool,
) -> tuple[str, str] | None:
    """Return name and text of the message that is answered, or the user and the command that a bot answers."""
    if answered:
        return replies.find(answered) or _referenced(entry, roster, skip_bots=skip_bots)
    command = as_dict(entry.get("interaction") or entry.get("interaction_metadata")) if bot else {}
    return _command(command, kind, roster) if command else None


def _referenced(entry: Mapping[str, Any], roster: Roster, *, skip_bots: bool) -> tuple[str, str] | None:
    """Return name and text of the answered message where the API includes it."""
    answered = as_dict(entry.get("referenced_message"))
    author = as_dict(answered.get("author"))
    bot = bool(author.get("bot") or answered.get("webhook_id"))
    name = name_of(author)
    author_id, kind = identifier(author) or name, _kind(answered.get("type"))
    if not author_id or kind in _SYSTEM_NAMES or (bot and skip_bots):
        return None
    webhook = bot and bool(name) and _by_webhook(answered, author, kind)
    shown = roster.webhook(name) if webhook else roster.known(author_id) or roster.named(author_id, name, author)
    text = text_of(answered, roster.names_for(answered), bot=bot)
    return (shown, text) if text else None


def _command(command: Mapping[str, Any], kind: str, roster: Roster) -> tuple[str, str] | None:
    """Return the name of the user who gave a bot a command, and the command."""
    user, name = as_dict(command.get("user")), as_str(command.get("name"))
    user_id = identifier(user)
    if not (user_id and name):
        return None
    shown = roster.known(user_id) or roster.named(user_id, name_of(user), user)
    return shown, f"/{name}" if kind == _SLASH_COMMAND else name


def answered_id(entry: Mapping[str, Any], channel_id: str) -> str | None:
    """Return the id of the message that this one replies to; forwards and cross-posts refer to other channels."""
    if not (entry.get("reference") or entry.get("message_reference")):
        return None
    exported, answered = as_dict(entry.get("reference")), as_dict(entry.get("message_reference"))
    if exported.get("type") in _FORWARD or answered.get("type") in _FORWARD:
        return None
    place = identifier(exported, "channelId") or identifier(answered, "channel_id")
    same = place in ("", channel_id)
    return (identifier(exported, "messageId") or identifier(answered, "message_id") or None) if same else None


def _kind(value: object) -> str:
    """Return the one name for a kind of message in any spelling; missing is a plain message, as in old exports."""
    if type(value) is str and (known := _NAMES.get(value)):
        return known
    written = str(value) if isinstance(value, int) else as_str(value).strip().removeprefix("MessageType.")
    known = _NAMES.get(written) or _FOLDED.get(re.sub(r"[\W_]", "", written).casefold())
    return known or (written if re.fullmatch(r"\w{1,40}", written) else "Default")


def is_private_kind(value: object) -> bool:
    """
    Return whether a kind of channel is a direct message, a group of them or a private thread, in any spelling.

    >>> [is_private_kind(kind) for kind in (1, "GROUP_DM", "GuildPrivateThread", "GuildTextChat", 0)]
    [True, True, True, False, False]
    """
    written = re.sub(r"[\W_]", "", str(value)).casefold()
    return written in ("1", "3", "12", "dm", "groupdm") or written.startswith("direct") or "private" in written
