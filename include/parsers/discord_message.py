"""
Turns one Discord message into a record, whether DiscordChatExporter or the API wrote it.

Both name the same things differently (``fileName``/``filename``, ``isBot``/``bot``) and never the same thing twice,
so one reading serves both. Kinds are names, numbers, or numbers as text; unknown ones count if they say something.
"""

import re
from collections import ChainMap, Counter
from collections.abc import Iterator, Mapping
from typing import Any

from include.ids import sender_id_of
from include.parsers.discord_text import text_of
from include.parsers.outcomes import Reject, Skip
from include.parsers.values import identifier, mapping, microseconds, objects, string
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
"""Discord's own notices, which carry no words of a person (discord-api-types, ``MessageType``), under one name each."""

_SYSTEM_NAMES = frozenset(SYSTEM_KINDS.values())
_THREAD_STARTER = "ThreadStarterMessage"
_KINDS = {
    "0": "Default",
    "19": "Reply",
    "20": "ChatInputCommand",
    "21": _THREAD_STARTER,
    "23": "ContextMenuCommand",
    "46": "PollResult",
}
_WORDY_NAMES = frozenset(_KINDS.values()) - {_THREAD_STARTER}
_NAMES = {name: name for name in (*SYSTEM_KINDS.values(), *_KINDS.values())} | SYSTEM_KINDS | _KINDS
_FORWARD = ("Forward", "1", 1)
_SNOWFLAKE = re.compile(r"[0-9]{15,20}")
_SNOWFLAKE_EPOCH_MS = 1_420_070_400_000


def sent_at_us(message_id: str, timestamp: object) -> int | None:
    """
    Return when a message was sent, in microseconds, or ``None`` if neither its id nor its timestamp says.

    The id decides, to the millisecond, so that two kinds of export agree on a message; the timestamp adds
    microseconds if it names the same millisecond, and decides alone if the id is no snowflake (edited exports).
    """
    given_us = microseconds(timestamp)
    if not _SNOWFLAKE.fullmatch(message_id):
        return given_us
    snowflake_ms = (int(message_id) >> 22) + _SNOWFLAKE_EPOCH_MS
    return given_us if given_us is not None and given_us // 1000 == snowflake_ms else snowflake_ms * 1000


class Roster:
    """Names by id, learnt on the way: members, roles and channels share one space of ids."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = dict(names)

    def see(self, author_id: str, name: str, author: Mapping[str, Any]) -> None:
        """Remember an author, and the roles the exporter lists with it."""
        if author_id not in self._names:
            self._names.update({identifier(role): string(role.get("name")) for role in objects(author.get("roles"))})
        self._names[author_id] = name

    def names_for(self, message: Mapping[str, Any]) -> Mapping[str, str]:
        """Return the names to resolve a message's mentions with; its own list of mentions comes first."""
        users, channels = message.get("mentions"), message.get("mention_channels")
        if not (users or channels):
            return self._names
        mentioned = {identifier(user): name_of(user) for user in objects(users)}
        mentioned |= {identifier(channel): string(channel.get("name")) for channel in objects(channels)}
        return ChainMap(mentioned, self._names)


class Findings:
    """What is peculiar about an export, noted message by message."""

    def __init__(self) -> None:
        self.said = 0
        self.empty = 0
        self.unknown_kinds: Counter[str] = Counter()
        """Messages imported although their kind is new to us."""

    def notes(self) -> Iterator[Note]:
        """Yield it."""
        for kind, count in sorted(self.unknown_kinds.items()):
            yield Note(code="unknown_kind", detail=kind, count=count)
        if self.empty > self.said:
            yield Note(code="mostly_empty", count=self.empty)


def to_message(
    entry: dict[str, Any],
    origin: str,
    *,
    conversation: Conversation,
    roster: Roster,
    findings: Findings,
    skip_bots: bool,
) -> Message:
    """
    Return the record of one message.

    :raises Skip: it holds no words of anybody, or a bot's that nobody wants.
    :raises Reject: it has no id, author or time.
    """
    kind = _kind(entry.get("type"))
    if kind in _SYSTEM_NAMES:
        raise Skip(kind)
    if kind == _THREAD_STARTER:
        # An empty shell in the thread; the API includes the message that the thread grew from.
        entry = mapping(entry.get("referenced_message")) or entry
    message_id = identifier(entry)
    if not message_id:
        raise Reject("expected an id, found none")
    author = mapping(entry.get("author"))
    name = name_of(author, mapping(entry.get("member")))
    author_id = identifier(author) or name
    if not author_id:
        raise Reject("expected an author with an id, found none")
    roster.see(author_id, name, author)
    bot = bool(author.get("isBot") or author.get("bot") or entry.get("webhook_id"))
    if bot and skip_bots:
        raise Skip("bot")
    at_us = sent_at_us(message_id, entry.get("timestamp"))
    if at_us is None or at_us <= 0:
        raise Reject("expected a snowflake as id or an ISO 8601 timestamp, found neither")
    text = text_of(entry, roster.names_for(entry), bot=bot)
    known = kind in _KINDS.values()
    if not text:
        findings.empty += kind in _WORDY_NAMES
        raise Skip("empty" if kind in _WORDY_NAMES else kind)
    findings.said += 1
    if not known:
        findings.unknown_kinds[kind] += 1
    return Message(
        source=SOURCE,
        conversation_id=conversation.conversation_id,
        message_id=message_id,
        sent_at_us=at_us,
        timestamp_ms=at_us // 1000,
        edited_at_us=microseconds(entry.get("timestampEdited") or entry.get("edited_timestamp")),
        sender_id=sender_id_of(author_id),
        sender_name=name or author_id,
        role="assistant" if bot else "user",
        text=text,
        thread_id=_answered(entry, conversation.channel_id),
        origin=origin,
    )


def _answered(entry: Mapping[str, Any], channel_id: str) -> str | None:
    """Return the id of the message that this one replies to; forwards and cross-posts refer to other channels."""
    exported, answered = mapping(entry.get("reference")), mapping(entry.get("message_reference"))
    if exported.get("type") in _FORWARD or answered.get("type") in _FORWARD:
        return None
    place = identifier(exported, "channelId") or identifier(answered, "channel_id")
    same = place in ("", channel_id)
    return (identifier(exported, "messageId") or identifier(answered, "message_id") or None) if same else None


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


def _kind(value: object) -> str:
    """Return one name for a kind of message, however it is written; missing is a plain message, as in old exports."""
    written = str(value) if isinstance(value, int) else string(value).strip()
    return _NAMES.get(written) or (written if re.fullmatch(r"\w{1,40}", written) else "Default")
