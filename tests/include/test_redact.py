"""Rules of redaction: planted credentials go, whatever stands around them; other text stays to the letter."""

import string

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import astuple

from include.records import Conversation, Message, Messages, one_by_one
from include.redact import Redactor, redact
from tests.support.credential_corpus import credentials, innocents
from tests.support.make_tables import a_conversation, a_message

ALNUM = string.ascii_letters + string.digits
WORD = f"{ALNUM}_-"
JOINED = "."


def some(alphabet: str, least: int, most: int | None = None) -> st.SearchStrategy[str]:
    return st.text(alphabet, min_size=least, max_size=most or least)


def after(prefix: str, secret: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, str]]:
    """What is written, and the part of it that must go."""
    return secret.map(lambda value: (prefix + value, value))


def whole(*parts: str | st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, str]]:
    strategies = [st.just(part) if isinstance(part, str) else part for part in parts]
    return st.tuples(*strategies).map("".join).map(lambda value: (value, value))


def pem(kind: str) -> st.SearchStrategy[tuple[str, str]]:
    body = st.lists(some(ALNUM + "+/", 64), min_size=1, max_size=5).map("\n".join)
    return body.map(lambda text: (f"-----BEGIN {kind}-----\n{text}\n-----END {kind}-----", text))


IN_ADDRESSES = {
    "url token": st.one_of(
        *(
            after(f"https://a.example/f.png?v=1&{name}=", some(ALNUM + "-._~%", 6, 80))
            for name in ("token", "access_token", "X-Amz-Signature", "pub_secret", "hm", "sig", "apiKey", "jwt")
        )
    ),
    "url password": st.tuples(some(ALNUM, 0, 12), some(ALNUM + "!$%&*()@:[]=", 1, 40)).map(
        lambda pair: (f"postgres://{pair[0]}:{pair[1]}@db.example:5432/app", f":{pair[1]}@")
    ),
}
ANYWHERE = {
    "private key": st.one_of(pem("RSA PRIVATE KEY"), pem("OPENSSH PRIVATE KEY"), pem("PGP PRIVATE KEY BLOCK")),
    "aws key": st.one_of(
        whole("AKIA", some(string.ascii_uppercase + "234567", 16)),
        after("aws_secret_access_key = ", some(ALNUM + "/+", 40)),
    ),
    "github token": st.one_of(whole("ghp_", some(ALNUM, 36)), whole("github_pat_", some(ALNUM + "_", 82))),
    "gitlab token": whole("glpat-", some(WORD, 20)),
    "slack token": st.one_of(
        whole("xoxb-", some(string.digits, 12), "-", some(ALNUM, 24)),
        whole("xoxe.xoxp-1-", some(ALNUM, 100)),
        whole("xapp-1-A", some(ALNUM + "-", 60)),
    ),
    "slack webhook": after("https://hooks.slack.com/services/", some(ALNUM, 9).map(lambda part: f"T0/B0/{part}xyz")),
    "discord webhook": after("https://discord.com/api/webhooks/1480456117275340911/", some(WORD, 68)),
    "discord token": whole("M", some(WORD, 23), JOINED, some(WORD, 6), JOINED, some(WORD, 38)),
    "jwt": whole("eyJ", some(WORD, 10, 60), JOINED, "eyJ", some(WORD, 10, 200), JOINED, some(WORD, 20, 90)),
    "authorization": st.one_of(
        after("Authorization: Bearer ", some(ALNUM, 16, 60)),
        after("curl -H 'authorization: Basic ", some(ALNUM + "+/", 8, 60)),
        after("bearer ", some(ALNUM, 20, 60).map(lambda value: f"{value}7")),
    ),
    "google key": whole("AIza", some(WORD, 35)),
    "stripe key": whole("sk_live_", some(ALNUM, 24)),
    "api key": whole("sk-proj-", some(ALNUM, 30), "7"),
    "npm token": whole("npm_", some(ALNUM, 36)),
    "huggingface key": whole("hf_", some(ALNUM, 34)),
    "telegram token": whole(some("123456789", 9), ":AA", some(WORD, 33)),
    "azure key": after("AccountKey=", some(ALNUM + "+/", 86)),
    "password": after("password: ", some(ALNUM + "!%&", 6, 40).map(lambda value: f"{value}a1")),
}
PLANTED = IN_ADDRESSES | ANYWHERE

around = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
apart = st.sampled_from([" ", "\n", "\t", " (", ' "', "\u3000"])
behind = st.sampled_from(["", " ", "\n", '"', ")\n", ", "])


@pytest.mark.parametrize("kind", PLANTED)
@settings(max_examples=min(30, settings().max_examples))
@given(data=st.data())
def test_a_planted_credential_is_gone_whatever_stands_around_it(kind: str, data: st.DataObject) -> None:
    written, secret = data.draw(PLANTED[kind])
    before = data.draw(around)
    assume(secret not in before)
    text = f"{before}{data.draw(apart)}{written}{data.draw(behind)}"
    clean, found = redact(text, everything=True)
    assert secret not in clean
    assert sum(found.values()) >= 1
    assert redact(clean, everything=True)[0] == clean


@pytest.mark.parametrize("kind", PLANTED)
@settings(max_examples=min(30, settings().max_examples))
@given(data=st.data())
def test_each_kind_is_counted_under_its_name_and_the_words_around_it_stay(kind: str, data: st.DataObject) -> None:
    written, _ = data.draw(PLANTED[kind])
    clean, found = redact(f"before {written} after", everything=True)
    assert found == {kind: 1}
    assert clean.startswith("before ")
    assert clean.endswith(" after")
    assert f"[redacted {kind}]" in clean


@pytest.mark.parametrize("kind", PLANTED)
@settings(max_examples=min(30, settings().max_examples))
@given(data=st.data())
def test_credentials_in_addresses_always_go_and_the_others_when_asked_for(kind: str, data: st.DataObject) -> None:
    written, secret = data.draw(PLANTED[kind])
    clean, found = redact(written, everything=False)
    assert (secret in clean, bool(found)) == ((False, True) if kind in IN_ADDRESSES else (True, False))


def test_credentials_of_many_vendors_and_in_many_sentences_are_found() -> None:
    """At least 97 of 100, whichever strings the seed makes."""
    made = [each for seed in range(5) for each in credentials(seed)]
    missed = [name for name, text, secret in made if secret in redact(text, everything=True)[0]]
    assert len(made) >= 5 * 100
    assert len(missed) <= 0.03 * len(made), missed


def test_messages_without_a_credential_stay_as_they_are() -> None:
    texts = [text for seed in range(5) for text in innocents(seed)]
    assert len(texts) >= 5 * 60
    assert [text for text in texts if redact(text, everything=True) != (text, {})] == []


@given(text=st.text())
def test_no_text_is_too_odd(text: str) -> None:
    clean, found = redact(text, everything=True)
    assert (clean == text) is not bool(found)


@given(text=st.text(string.ascii_letters + " .,;:!?()\n", max_size=400))
def test_words_stay_as_they_are(text: str) -> None:
    assert redact(text, everything=True) == (text, {})


@pytest.mark.parametrize(
    "text",
    [
        "Ask Ruth about the secret: nobody knows.",
        "password: please reset it, the token expired",
        "see https://a.example/login?next=/home&page=2#token",
        "https://a.example:8443/path@2x.png and ann@a.example",
        "git@github.com:acme/app.git, ssh://git@github.com/acme/app",
        "Basic understanding of bearer authentication-and-authorization",
        "risk-based, task-oriented: sk-learn-is-a-library-we-like",
        "commit 3f2a9bc7d0e1f2a3b4c5d6e7f8091a2b3c4d5e6f",
        "id 550e8400-e29b-41d4-a716-446655440000, channel 1480456117275340911",
        "if key == 'A1': password = getpass()",
        "eyJ is how a token begins",
        "password=$DB_PASSWORD1 or password: <your-pass-1>",
        "https://a.example/?author=someone-else&design=material3",
    ],
)
def test_ordinary_talk_about_credentials_stays(text: str) -> None:
    assert redact(text, everything=True) == (text, {})


def test_a_key_that_was_cut_off_takes_the_rest_with_it() -> None:
    clean, _ = redact("here: -----BEGIN RSA PRIVATE KEY-----\nMIIEow\nIBAAKC", everything=True)
    assert clean == "here: [redacted private key]"


@pytest.mark.parametrize(
    "unit",
    [
        *(
            "?",
            "=",
            "://",
            "://a:",
            "://a:b@",
            "?token",
            "&token=",
            "-----BEGIN PRIVATE KEY----",
            "eyJ-",
            "eyJaaaaaaaa.",
        ),
        *(
            "M" * 24 + ".",
            "xoxb",
            "ghp_",
            "bearer ",
            "basic a",
            "password:",
            "password: a",
            "AKIA",
            "secret key=",
            "sk-",
            "api key a ",
            "cookie: ",
            "curl -u ",
            "00",
            "s.",
            "pass_",
            "user: a/",
        ),
    ],
)
def test_no_text_makes_a_pattern_try_again_and_again(unit: str) -> None:
    """It would not end within anybody's patience: a square of this size is minutes for each."""
    text = unit * (300_000 // len(unit))
    assert len(redact(text, everything=True)[0]) > 0


def test_records_are_redacted_and_counted_by_conversation_and_kind() -> None:
    secret = "https://a.example/?token=abcdef1"
    redactor = Redactor(everything=False)
    told = a_conversation(description=secret, group_meta=f'{{"name": "x", "links": ["{secret}"]}}')
    plain = a_message("2", text="nothing = here")
    records = list(redactor.redacted([told, a_message("1", text=f"{secret} {secret}"), told, plain]))
    assert isinstance(records[0], Conversation)
    assert isinstance(records[1], Message)
    for text in (records[0].description, records[0].group_meta or "", records[1].text):
        assert "abcdef1" not in text
        assert "[redacted url token]" in text
    assert records[3] is plain
    assert redactor.counts == {("slack_general", "url token"): 4}


def test_messages_in_rows_are_redacted_as_single_ones_are() -> None:
    single = [a_message(str(number), text=f"see https://a.example/?token=abcdef{number}") for number in range(3)]
    single.append(a_message("9", text="nothing = here"))
    rows = Messages(conversation_id="slack_general", rows=[astuple(message) for message in single])
    for everything in (False, True):
        apart, together = Redactor(everything=everything), Redactor(everything=everything)
        assert list(one_by_one(together.redacted([rows]))) == list(apart.redacted(single))
        assert together.counts == apart.counts == {("slack_general", "url token"): 3}
