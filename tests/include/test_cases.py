"""
Inputs of other people's tools by the rule they test: what must come out of each.

One class per rule. Where a rule leaves the form open (how a forward is written), the tests ask for words, authors,
order and counts, not for punctuation. ``tests/fixtures/cases/<platform>/<case>/input`` is what a user would import.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec
import pyarrow.parquet as pq
import pytest

from include import steps
from include.ledger import Ledger, ledger_url
from include.memory_api.contract import Target
from include.parsers import ParseOptions
from include.records import NOTES, Message
from include.run_folder import RunFolder
from include.window import Window
from tests.support.builders import slack_message, write_folder
from tests.support.read_exports import Reading, read

TARGET = Target(base_url="http://127.0.0.1:9", api_version="v1", key_fingerprint="0")
CASES = Path(__file__).parents[1] / "fixtures" / "cases"


def case(name: str) -> Path:
    return CASES / name / "input"


def found(name: str, **options: object) -> Reading:
    return read(case(name), **options)


class Loaded(NamedTuple):
    """What a run would load."""

    messages: list[Message]
    """In order, by conversation."""

    conversations: dict[str, dict[str, object]]
    """Rows of ``conversations.parquet`` by id."""

    duplicates: int

    def texts(self) -> list[str]:
        return [message.text for message in self.messages]

    def by_conversation(self) -> dict[str, list[str]]:
        texts: dict[str, list[str]] = {}
        for message in self.messages:
            texts.setdefault(message.conversation_id, []).append(message.text)
        return texts


def loaded(name: str, folder: Path, **options: object) -> Loaded:
    """Discover, extract and transform a case, as the steps of a run do."""
    run, wanted = RunFolder(folder / "run"), msgspec.convert(options, ParseOptions)
    for export in steps.discover(case(name), run):
        steps.extract(export, wanted, run)
    ledger = Ledger.open(ledger_url(folder), TARGET)
    result = steps.transform(run, Window(), ledger, wanted)
    rows = [row for file in sorted(run.messages.glob("part-*.parquet")) for row in pq.read_table(file).to_pylist()]
    conversations = {row["conversation_id"]: row for row in pq.read_table(run.conversations).to_pylist()}
    return Loaded(msgspec.convert(rows, list[Message]), conversations, result["duplicates"])


def assert_in_order(text: str, *pieces: str) -> None:
    """Each piece is in the text once, after the one before it; case and punctuation between pieces are free."""
    position = 0
    for piece in pieces:
        assert text.count(piece) == 1, (piece, text)
        assert text.index(piece) >= position, (piece, text)
        position = text.index(piece)


def said(messages: Sequence[Message]) -> list[tuple[str, str]]:
    return [(message.sender_name, message.text) for message in messages]


def day(message: Message) -> str:
    return datetime.fromtimestamp(message.sent_at_us / 1e6, UTC).isoformat()


class TestWhatIsNotKnownToBePublicIsPrivate:
    """Channels are imported without ``include_private`` only where the export shows that they are public."""

    @pytest.mark.parametrize(
        ("name", "public", "private"),
        [
            (
                "slack/05-slack-archive-nested-replies",
                ["Good night", "Who takes the late shift?", "I do", "Thanks Bob"],
                ["salary talk in the private channel", "a direct message"],
            ),
            (
                "slack/07-channels-json-with-dms",
                ["public words"],
                ["direct words", "group dm words", "private group words"],
            ),
            ("slack/13-two-part-zip", ["part one", "part two for @Bob Ray"], ["private group words"]),
            ("slack/14-cp932-zip", ["公開"], ["給与の話"]),
            ("slack/27-kind-folders", ["for @Bob Ray"], ["private group words", "direct words"]),
            ("slack/43-dm-folder-by-name", ["public"], ["direct words"]),
        ],
    )
    def test_private_words_come_only_when_asked_for(self, name: str, public: list[str], private: list[str]) -> None:
        without, with_private = found(name), found(name, include_private=True)
        assert sorted(without.texts) == sorted(public)
        assert without.reasons == {"private": len(private)}
        assert sorted(with_private.texts) == sorted(public + private)

    def test_names_in_another_encoding_are_read_by_the_one_that_matches_the_index(self) -> None:
        reading = found("slack/14-cp932-zip", include_private=True)
        names = {message.text: reading.conversations[message.conversation_id].name for message in reading.messages}
        assert names == {"公開": "雑談", "給与の話": "人事"}

    def test_two_channels_are_two_conversations_whatever_their_folders_are_called(self, tmp_path: Path) -> None:
        run = loaded("slack/14-cp932-zip", tmp_path, include_private=True)
        assert len(run.by_conversation()) == 2


class TestNothingThatSomebodyWroteIsLost:
    @pytest.mark.parametrize("position", [0, 2])
    def test_a_pasted_table_follows_the_text(self, position: int) -> None:
        text = found("slack/01-pasted-table").texts[position]
        lead = ["Here are the seat counts, please check", "", "Table in blocks"][position]
        assert_in_order(text, lead, "Ferry", "Seats", "Tern", "48")

    def test_a_pasted_table_can_be_all_there_is(self) -> None:
        assert_in_order(found("slack/01-pasted-table").texts[1], "Ferry", "Seats", "Tern", "48")

    def test_a_forward_follows_the_comment_and_says_who_wrote_it(self) -> None:
        commented, alone = found("slack/02-forward-with-comment").texts
        forward = ("Bob Ray", "The Tern is out of service until Monday")
        assert_in_order(commented, "please tell the crew about this", *forward)
        assert_in_order(alone, *forward)

    def test_a_forward_has_files_blocks_and_text(self) -> None:
        files, blocks, text = found("slack/03-forward-files-blocks").texts
        assert_in_order(files, "Bob Ray", "Rota January")
        assert_in_order(blocks, "Bob Ray", "Engine check is due on Friday")
        assert_in_order(text, "see the attached", "Rota is final", "Rota final")

    def test_a_numbered_list_goes_on_where_it_was_interrupted(self) -> None:
        one, two = found("slack/04-ordered-list-offset").texts
        assert_in_order(one, "1. Stop the pump", "2. Close the valve", "red handle", "3. Call the office")
        assert_in_order(two, "1. first", "inner", "2. second")

    def test_replies_below_their_root_are_messages_of_its_thread(self, tmp_path: Path) -> None:
        messages = loaded("slack/05-slack-archive-nested-replies", tmp_path).messages
        assert said(messages) == [
            ("Ann Lee", "Who takes the late shift?"),
            ("Bob Ray", "I do"),
            ("Ann Lee", "Thanks Bob"),
            ("Ann Lee", "Good night"),
        ]
        assert {message.thread_id for message in messages[:3]} == {"1767312001.000100"}

    def test_an_answer_of_the_api_is_a_day_file(self, tmp_path: Path) -> None:
        assert loaded("slack/09-day-file-as-api-answer", tmp_path).texts() == ["first", "second", "next day"]

    def test_clips_snippets_and_mails_are_written_out_and_named(self) -> None:
        clip, snippet, mail = found("slack/22-voice-clip-and-snippet").texts
        assert "The pump leaks again" in clip
        assert re.search(r"voice|audio", clip, re.IGNORECASE)
        assert "valve A closed\nvalve B open" in snippet
        assert re.search(r"snippet|notes\.txt", snippet, re.IGNORECASE)
        assert_in_order(mail, "Delivery on Friday", "The parts arrive on Friday at noon.")
        assert re.search(r"e-?mail", mail, re.IGNORECASE)

    def test_messages_one_per_line_are_a_channel(self) -> None:
        reading = found("slack/23-json-lines")
        assert reading.texts == ["line 1", "line 2", "line 3"]
        assert [conversation.name for conversation in reading.conversations.values()] == ["general"]

    def test_chunks_of_slackdump_are_read(self) -> None:
        reading = found("slack/31a-slackdump-chunks")
        assert said(reading.messages) == [("Ann Lee", "in a chunk"), ("Ann Lee", "in a chunk too")]
        assert [conversation.name for conversation in reading.conversations.values()] == ["general"]

    def test_a_card_has_author_title_text_and_fields(self) -> None:
        messages = {message.sender_name: message.text for message in found("slack/26-app-attachments").messages}
        assert_in_order(messages["jira"], "Status", "Open", "Owner", "@Bob Ray")
        assert_in_order(messages["gh"], "bob-ray", "Fix the pump")
        assert_in_order(messages["ci"], "Build", "failed", "ci | main")
        assert_in_order(messages["sentry"], "New issue", "KeyError in pump.py", "at line 7")
        assert_in_order(messages["Ann Lee"], "words of a person", "a note that an app of hers attached")

    def test_a_card_can_be_all_there_is(self) -> None:
        alone, alert, bot = found("slack/39-app-cards").texts
        assert_in_order(alone, "FE-1 Ramp lights stay on", "Assigned to Ann")
        assert_in_order(alert, "New alert", "Pump 3: no pressure", "42 times in the last hour", "Site", "Harbor")
        assert_in_order(bot, "created", "FE-2 Horn too quiet", "Reported by Bob")

    @pytest.mark.parametrize("position", range(3))
    def test_cells_of_every_type_are_written_out(self, position: int) -> None:
        text = found("slack/40-table-cell-types").texts[position]
        tern, plover = (next(line for line in text.splitlines() if name in line) for name in ("Tern", "Plover"))
        assert_in_order(tern, "Tern", "48", "2026-01-02")
        assert re.search(r"yes|true", tern, re.IGNORECASE)
        assert_in_order(plover, "Plover", "112", "Bob Ray")
        assert re.search(r"no|false", plover, re.IGNORECASE)
        assert ("Ferries" in text) == (position == 2)

    def test_a_caption_is_not_cut_like_a_path(self) -> None:
        image, file, audio, address, answer = found("everos/08-gcf-file-captions").texts
        assert "Whiteboard of today: plan for Q1/Q2, who takes what? Ann takes billing" in image
        assert "UI_draft_v1.pdf" in file
        assert "files.example" not in file
        assert "I will be late, start w/o me #sorry" in audio
        assert "x.example/doc" in address
        assert "I agree with that" in answer

    def test_all_of_an_embed_is_written_out(self) -> None:
        github, logger, *_, feed = found("discord/16-dce-service-embeds").texts
        for text, words in (
            (github, ("rowan-k", "[club/site] Pull request opened: #12 Faster search")),
            (logger, ("lee_w", "Member banned", "Reason: spam", "Moderator: ada")),
            (feed, ("New video!", "Knot Channel", "How to splice a rope")),
        ):
            assert [text.count(each) for each in words] == [1] * len(words)

    def test_a_reply_names_the_message_that_lies_far_back(self) -> None:
        messages = {message.sender_name: message for message in found("discord/18-discord-replies").messages}
        texts = [
            message.text for message in found("discord/18-discord-replies").messages if message.sender_name == "bo"
        ]
        assert messages["ada"].text == "Shall we sell the blue boat?"
        for own, other in (("No, never!", "blue boat"), ("Agreed, on Tuesday.", "the pier")):
            [text] = [text for text in texts if own in text]
            assert_in_order(text, "ada", other, own)

    def test_text_in_components_is_read(self) -> None:
        text = found("discord/19-api-components-v2").texts[1]
        assert_in_order(text, "Pump 3 is down since 08:40", "Technician: Rowan")

    def test_a_forward_has_embeds_and_files(self) -> None:
        forward, *_, voice = found("discord/28-dce-forwards").texts
        assert_in_order(forward, "Sale on Friday", "Harbour sale", "Everything must go")
        assert "flyer.png" in forward
        assert "voice" in voice


class TestNothingIsSaidTwiceAndNoNoiseCounts:
    def test_the_heading_of_a_forward_for_simple_clients_is_left_out(self) -> None:
        for name in ("slack/02-forward-with-comment", "slack/03-forward-files-blocks"):
            assert not re.search(r"\[Jan 1st|no preview", "\n".join(found(name).texts))

    def test_a_thread_beside_its_channel_is_the_same_messages(self, tmp_path: Path) -> None:
        run = loaded("slack/17-channel-and-thread-dump", tmp_path)
        assert list(run.by_conversation().values()) == [
            ["Who takes the late shift?", "I do", "Thanks Bob", "Good night"]
        ]
        assert [run.conversations[name]["name"] for name in run.by_conversation()] == ["general"]

    def test_an_old_broadcast_of_a_reply_is_no_second_reply(self, tmp_path: Path) -> None:
        run = loaded("slack/20-file-mention-reply-broadcast", tmp_path)
        assert run.texts()[:2] == ["see https", "the answer is 42"]
        assert not [text for text in run.texts()[2:] if "answer" in text or "mentioned a file" in text]

    @pytest.mark.parametrize(
        ("position", "words"),
        list(
            enumerate(
                [
                    ("Plan:", "buy rope", "paint the deck"),
                    ("Plan:", "buy rope", "paint the deck"),
                    ("hello", ":wave:", "crew"),
                    ("ask", "deckhands", "in", "ops", "please"),
                    ("said before", "and", "code", "here:", "x = 1"),
                    ("see", "the doc", "https://x.example/a", "a@b.example"),
                    ("Plan:", "outer", "inner"),
                    ("Report is ready", "12 trips, 3 late"),
                    ("due", "Jan 2, 2026"),
                ]
            )
        ),
    )
    def test_blocks_that_repeat_the_text_are_not_repeated(self, position: int, words: Sequence[str]) -> None:
        assert_in_order(found("slack/34-bot-text-repeated-by-blocks").texts[position], *words)

    def test_labels_of_controls_are_no_words(self) -> None:
        [text] = [text for text in found("slack/26-app-attachments").texts if "approve" in text]
        assert text == "approve?"

    def test_a_channel_under_its_old_and_its_new_name_is_one_conversation(self, tmp_path: Path) -> None:
        run = loaded("discord/55-dce-renamed-channel", tmp_path)
        assert list(run.by_conversation().values()) == [["oldest days", "old days", "new days"]]


class TestDifferentMessagesAreNeverDuplicates:
    def test_a_time_that_lost_its_digits_is_no_identity(self, tmp_path: Path) -> None:
        run = loaded("slack/10-integer-ts-collision", tmp_path)
        assert said(run.messages) == [
            ("Ann Lee", "I vote for Monday"),
            ("Bob Ray", "I vote for Friday"),
            ("Ann Lee", "same again"),
            ("Bob Ray", "and another"),
        ]
        assert len({message.message_id for message in run.messages}) == 4

    @pytest.mark.parametrize("ts", ["1767312000.0", "1767312000.12", "1767312000.000000", 1767312000.0])
    def test_a_time_that_lost_some_digits_is_none_either(self, tmp_path: Path, ts: object) -> None:
        entries = [slack_message(ts, "for Monday"), slack_message(ts, "for Friday", user="U2")]
        write_folder(tmp_path / "export" / "input", {"channels.json": [], "C1.json": [*entries, entries[0]]})
        run = loaded(str(tmp_path / "export"), tmp_path, include_private=True)
        assert run.texts() == ["for Monday", "for Friday"]
        assert run.duplicates == 1

    def test_ids_that_start_again_in_each_file_are_no_identity(self, tmp_path: Path) -> None:
        run = loaded("everos/03-everos-ids-restart-per-file", tmp_path)
        assert said(run.messages) == [
            ("Ann", "Day 1: I finish the parser."),
            ("Ben", "Day 1: I test the login."),
            ("Ann", "Day 2: I finish the exporter."),
            ("Ben", "Day 2: I test the backup."),
        ]
        assert len({message.message_id for message in run.messages}) == 4

    def test_what_two_people_wrote_in_one_channel_are_two_histories(self, tmp_path: Path) -> None:
        run = loaded("discord/49-two-packages-one-channel", tmp_path)
        texts = run.by_conversation()
        assert sorted(texts.values()) == [["I bring the cake"], ["I bring the rope"]]
        assert all(run.conversations[name]["kind"] == "personal" for name in texts)
        owners = {run.conversations[name]["user_id"] for name in texts}
        assert len(owners) == 2


class TestWhoSaidIt:
    def test_the_name_of_the_sender_goes_before_the_name_of_the_integration(self) -> None:
        messages = found("slack/11-webhook-names").messages
        names = ["cluster-east", "cluster-west", "ivan (irc)", "olga (irc)", "Ann Lee"]
        assert [message.sender_name for message in messages] == names

    def test_a_mention_of_a_shared_bot_is_not_the_last_name_that_used_it(self) -> None:
        text = found("slack/11-webhook-names").texts[-1]
        assert text.startswith("thanks @")
        assert not re.search("ivan|olga|cluster", text)

    def test_people_with_one_display_name_can_be_told_apart(self) -> None:
        messages = found("slack/38-roster-oddities").messages
        names = {message.sender_id: message.sender_name for message in messages}
        assert len(set(names.values())) == len(names) == 6
        assert all(name.strip() for name in names.values())
        assert names["W1"] in ("Wanda Grid", "wanda")
        assert messages[1].text == f"from eleven, to @{names['U10']}"

    def test_roles_are_read_by_their_common_names(self) -> None:
        roles = {message.text: message.role for message in found("everos/11-everos-role-values").messages}
        user, assistant = ("user", "User", "USER", "human"), ("ai", "assistant", "model")
        assert {f"said as {name}": "user" for name in user}.items() <= roles.items()
        assert {f"said as {name}": "assistant" for name in assistant}.items() <= roles.items()
        assert "said as None" not in roles
        assert not {roles.get(f"said as {name}") for name in ("system", "tool", "developer")} & {"user"}

    def test_everybody_who_writes_through_a_bridge_is_a_sender(self) -> None:
        reading = found("discord/15-dce-webhook-bridge")
        mia, tom, ada, again = reading.messages
        assert [message.sender_name for message in reading.messages] == ["mia [irc]", "tom [irc]", "ada", "mia [irc]"]
        assert mia.sender_id == again.sender_id
        assert len({mia.sender_id, tom.sender_id, ada.sender_id}) == 3
        assert any("webhook" in NOTES[code] for (code, _), count in reading.notes.items() if count)

    def test_what_came_by_webhook_is_left_out_with_the_bots(self) -> None:
        assert found("discord/15-dce-webhook-bridge", bots="skip").texts == ["Fine."]


class TestTheOrderOfTheSourceBreaksTies:
    def test_messages_of_one_time_stay_in_the_order_of_the_file(self, tmp_path: Path) -> None:
        texts = loaded("everos/equal-times", tmp_path).by_conversation()
        assert texts["g1"] == ["first", "second", "third"]
        assert texts["user_alice"] == [
            "Q1: where is the key?",
            "A1: under the mat.",
            "Q2: which mat?",
            "A2: the blue one.",
        ]

    def test_an_offset_counts_as_a_time_zone(self) -> None:
        reading = found("everos/07-gcf-default-timezone")
        times = {message.conversation_id: day(message) for message in reading.messages}
        assert {name: times[name] for name in ("tz0", "tz1", "tz2", "tz3")} == dict.fromkeys(
            ("tz0", "tz1", "tz2", "tz3"), "2025-02-01T02:00:00+00:00"
        )

    def test_a_time_zone_that_cannot_be_told_is_said(self) -> None:
        reading = found("everos/07-gcf-default-timezone")
        assert reading.notes.total() or reading.rejected

    def test_the_timestamp_goes_before_the_time_in_an_id(self, tmp_path: Path) -> None:
        run = loaded("discord/14-dce-anonymised-ids", tmp_path)
        assert sorted(run.by_conversation().values()) == [
            ["We move the launch to May.", "The launch is still in May?", "Launched yesterday."],
            ["first", "second, its id was copied from an older message"],
        ]
        assert {day(message)[:4] for message in run.messages} == {"2023", "2024"}


class TestOneBadPartStopsNothingElse:
    def test_two_parts_of_one_export_are_one_export(self) -> None:
        reading = found("slack/13-two-part-zip")
        assert reading.rejected == []
        assert len({message.conversation_id for message in reading.messages}) == 1
        assert {message.sender_name for message in reading.messages} == {"Ann Lee"}

    @pytest.mark.parametrize(
        ("name", "text"), [("slack/24a-tar-gz", "hi"), ("slack/24c-zip-in-zip-folder", "inner words")]
    )
    def test_other_containers_are_read(self, name: str, text: str) -> None:
        assert said(found(name).messages) == [("Ann Lee", text)]

    def test_members_that_are_not_known_are_no_reason_to_refuse(self) -> None:
        reading = found("everos/05-everos-extra-conversation-member")
        assert reading.texts == ["I love hiking.", "Nice!"]
        assert [message.role for message in reading.messages] == ["user", "assistant"]
        assert [conversation.user_id for conversation in reading.conversations.values()] == ["user_alice"]

    def test_every_line_of_json_lines_is_a_conversation(self) -> None:
        reading = found("everos/04-everos-jsonl-conversations")
        assert {message.conversation_id: message.text for message in reading.messages} == {
            f"room_{number}": f"hello from room {number}" for number in range(1, 5)
        }

    def test_the_metadata_of_a_session_is_that_of_a_conversation(self) -> None:
        reading = found("everos/31-conversation-format-session-meta")
        assert [(message.role, message.text) for message in reading.messages] == [
            ("user", "I travel next week."),
            ("assistant", "Where to?"),
        ]
        assert day(reading.messages[0]) == "2025-06-26T00:00:00+00:00"
        assert [conversation.kind for conversation in reading.conversations.values()] == ["personal"]
        assert [conversation.user_id for conversation in reading.conversations.values()] == ["u1"]

    def test_messages_of_discord_are_told_by_their_shape(self, tmp_path: Path) -> None:
        assert {message.source for message in found("discord/20-api-wrapped").messages} == {"discord"}
        run = loaded("discord/20-api-wrapped", tmp_path)
        assert said(run.messages) == [("ada", "one"), ("bo", "two")]
        assert run.duplicates == 2

    def test_two_servers_may_have_a_channel_of_one_name(self, tmp_path: Path) -> None:
        run = loaded("discord/23-dce-two-servers-general", tmp_path)
        assert sorted(run.by_conversation().values()) == [["chess"], ["harbour"]]
        places = {run.conversations[name]["workspace"]: name for name in run.by_conversation()}
        assert "harbour" in places["Harbour Club"].lower()
        assert "chess" in places["Chess Club"].lower()

    def test_the_folders_of_a_data_package_are_passed_over(self) -> None:
        reading = found("discord/45-package-2026-all-folders-private", include_private=True)
        assert (reading.unknown, reading.rejected) == ([], [])
        assert sorted(reading.texts)[0] == "hello"
        assert_in_order(sorted(reading.texts)[1], "hi @bo and", "a b.png")
        assert re.search(r"and @ada\b", reading.texts[0] + reading.texts[1], re.IGNORECASE)


class TestOnlyExportsAreReadAsExports:
    def test_a_file_that_somebody_shared_is_no_conversation(self) -> None:
        reading = found("slack/36-dump-with-json-attachment")
        assert len(reading.conversations) == 1
        [text] = reading.texts
        assert_in_order(text, "have a look at my file", "sample.json")
