"""
The stories of the sample company, the source of the recall set: people, subjects, what was said, and what is asked.

A story is a few messages about one subject and one question that they answer. Each table below is one kind of question;
a row gives the channel, the people and the facts, the function below it says how they talk. Boats and systems come back
in many rows, so that a word alone finds the wrong story. :mod:`tests.recall.company` sets the times and interleaves.
"""

from collections.abc import Iterator
from dataclasses import dataclass

PEOPLE = {
    # those of include/samples
    "priya": ("U06PRIYA001", "Priya Raman", ""),
    "tomas": ("U06TOMAS002", "Tomás Oliveira", ""),
    "mei": ("U06MEI00003", "Mei Lindqvist", ""),
    "ruth": ("U06RUTH0004", "Ruth Calloway", ""),
    "deniz": ("U06DENIZ005", "Deniz Aydın", ""),
    "jonas": ("U06JONAS006", "Jonas Abara", ""),
    "deploybot": ("U06DEPLOY08", "Deploybot", "B06DEPLOY1"),
    # of Northlight, a ferry operator with a workspace of its own
    "ines": ("U07INES0001", "Ines Falkvard", ""),
    "olaf": ("U07OLAF0002", "Olaf Brandsund", ""),
    "yuki": ("U07YUKI0003", "Yuki Tannerby", ""),
    "bram": ("U07BRAM0004", "Bram Solheim", ""),
    "harbourwatch": ("U07WATCH005", "Harbourwatch", "B07WATCH01"),
}
"""Slack id, name and bot id."""

QUILLBACK = {
    "general": "C06GENERAL1",
    "billing-migration": "C06BILLING2",
    "harbor-app": "C06HARBOR03",
    "incidents": "C06INCIDEN4",
    "office": "C06OFFICE05",
}
NORTHLIGHT = {"general": "C07GENERAL1", "fleet": "C07FLEET002", "bridge": "C07BRIDGE03"}
WORKSPACES = {
    "quillback": ("T06QUILLBK1", "America/Los_Angeles", QUILLBACK),
    "northlight": ("T07NORTHLT1", "Europe/Oslo", NORTHLIGHT),
}
"""Team id, time zone and channels."""


@dataclass(frozen=True, kw_only=True)
class Story:
    """Messages about one subject in one channel, in order, and a question about them."""

    place: str
    """``workspace/channel``."""

    lines: tuple[tuple[str, str], ...]
    """Person and text; ``<@priya>`` mentions."""

    kind: str
    ask: str
    evidence: tuple[int, ...]
    """Lines that answer."""

    answer: str = ""
    one_passage: bool = False
    threaded: bool = True
    hour: str = "slot"
    """``slot``: among other stories; ``evening``: when the UTC date is another one; ``night``: with nobody else."""

    late_days: int = 0
    """So many days after the line before, for the line :attr:`late_line` and those behind it."""

    late_line: int = 0

    before_edit: str = ""
    """What the first line said before its edit."""

    meanwhile: tuple[tuple[str, str, str], ...] = ()
    """Lines of another channel that belong to it: place, person, text. They are evidence, too."""


def stories() -> list[Story]:
    """Return all of them: 80."""
    return [
        *_facts(),
        *_who(),
        *_when(),
        *_context(),
        *_mentions(),
        *_late(),
        *_edited(),
        *_bots(),
        *_across(),
    ]


# -- fact: place, asker, helper, knower, item, subject, value
FACTS = (
    ("quillback/office", "jonas", "deniz", "ruth", "door code", "Astoria office", "4417"),
    ("quillback/office", "mei", "jonas", "priya", "guest password", "Seattle office", "rubber-heron-9"),
    ("quillback/harbor-app", "mei", "tomas", "deniz", "support number", "Orcas terminal", "extension 218"),
    ("quillback/harbor-app", "deniz", "mei", "jonas", "ticket limit", "Petrel", "340 passengers"),
    ("quillback/billing-migration", "jonas", "mei", "priya", "tax rate", "Anacortes route", "8.7 percent"),
    ("quillback/billing-migration", "ruth", "tomas", "mei", "invoice prefix", "Kestrel charter", "KC-26"),
    ("northlight/fleet", "yuki", "bram", "olaf", "oil grade", "Gannet", "15W-40"),
    ("northlight/fleet", "ines", "olaf", "yuki", "fuel limit", "Petrel", "2,900 litres"),
    ("northlight/bridge", "bram", "yuki", "ines", "radio channel", "Gannet", "channel 71"),
    ("northlight/bridge", "olaf", "bram", "ines", "draught", "Kestrel", "2.4 metres"),
)


def _facts() -> Iterator[Story]:
    guesses = ("I had it on a note that is gone.", "Not me, ask the others.", "It changed last month, careful.")
    for n, (place, asker, helper, knower, item, subject, value) in enumerate(FACTS):
        yield Story(
            place=place,
            lines=(
                (asker, f"Does anybody know the {item} for the {subject}?"),
                (helper, guesses[n % len(guesses)]),
                (knower, f"The {item} for the {subject} is {value} since Monday."),
                (asker, "Works, thank you!"),
            ),
            kind="fact",
            ask=f"What is the {item} for the {subject}?",
            evidence=(2,),
            answer=value,
        )


# -- who: place, asker, what for, three people with their proposals and reasons
WHO = (
    ("quillback/harbor-app", "ruth", "map supplier of Harbor 2.1", ("mei", "Tidewater", "it works offline"),
     ("deniz", "Chartly", "its colours suit the bridge"), ("tomas", "OpenSound", "we host it ourselves")),
    ("quillback/harbor-app", "deniz", "crash reporter of Harbor 2.1", ("tomas", "Rookwatch", "we have it already"),
     ("mei", "Faultline", "it groups well"), ("jonas", "Splinter", "the export is clean")),
    ("quillback/office", "ruth", "caterer of the offsite", ("deniz", "Salt & Rye", "they have vegan chowder"),
     ("priya", "Nora's", "they deliver on Sundays"), ("mei", "the Fish Hall", "it is around the corner")),
    ("quillback/billing-migration", "priya", "payment partner for Canada", ("jonas", "Maplepay", "fees are lowest"),
     ("tomas", "Northgate", "their test system is good"), ("ruth", "Clearwater", "Kestrel charter uses it")),
    ("quillback/general", "ruth", "name of the new meeting room", ("mei", "Breakwater", "it is quiet"),
     ("jonas", "Crow's Nest", "it is on the top floor"), ("priya", "Driftwood", "look at the table")),
    ("northlight/fleet", "olaf", "paint of the Gannet", ("yuki", "Hempel", "it lasted on the Petrel"),
     ("bram", "Jotun", "the yard has it in stock"), ("ines", "Seakote", "it is the cheapest")),
    ("northlight/fleet", "ines", "shipyard for the Kestrel", ("olaf", "Moldvik", "they know the hull"),
     ("yuki", "Sandoy", "their dock is free in May"), ("bram", "Haugen", "they fixed the Petrel")),
    ("northlight/bridge", "bram", "radar of the Petrel", ("ines", "Furnex", "spares come overnight"),
     ("olaf", "Halcyon", "the crew knows it"), ("yuki", "Simrose", "it shows small boats")),
    ("northlight/general", "ines", "crew party", ("bram", "the Boathouse", "there is a grill"),
     ("yuki", "Café Lys", "we can bring children"), ("olaf", "my garden", "it costs nothing")),
)  # fmt: skip


def _who() -> Iterator[Story]:
    for n, (place, asker, what, *proposals) in enumerate(WHO):
        person, proposal, reason = proposals[n % 3]
        yield Story(
            place=place,
            lines=(
                (asker, f"We need a decision today: the {what}. Proposals?"),
                *((who, f"I am for {choice}, {why}.") for who, choice, why in proposals),
                (asker, f"Then we try {proposals[(n + 1) % 3][1]} first."),
            ),
            kind="who",
            ask=f"Who was for {proposal} as {what}, because {reason}?",
            evidence=(1 + n % 3,),
            answer=PEOPLE[person][1],
        )


# -- when: place, teller, event, two reactions
WHEN = (
    ("quillback/general", "ruth", "The contract with Clearwater is signed", "mei", "Champagne!", "jonas", "At last."),
    ("quillback/general", "deniz", "The new website is live", "priya", "Looks great.", "tomas", "No 500s so far."),
    ("quillback/harbor-app", "mei", "Harbor 2.0.3 is in the store", "deniz", "Updating.", "tomas", "Same here."),
    ("quillback/incidents", "tomas", "The certificate of the gateway is renewed", "mei", "Phew.", "ruth", "Thanks."),
    ("quillback/billing-migration", "priya", "The last shadow invoice matches", "mei", "To the cent?", "priya", "Yes."),
    ("northlight/fleet", "olaf", "The Kestrel is back in the water", "yuki", "Photos please.", "bram", "Dry inside?"),
    ("northlight/fleet", "yuki", "The new engine of the Gannet ran", "olaf", "How loud?", "yuki", "Quieter than mine."),
    ("northlight/bridge", "bram", "The Petrel has passed its inspection", "ines", "Well done.", "olaf", "First try!"),
    ("northlight/general", "ines", "The summer timetable is printed", "bram", "Bring some.", "yuki", "A box, please."),
)  # fmt: skip


def _when() -> Iterator[Story]:
    for place, teller, event, first, wow, second, more in WHEN:
        yield Story(
            place=place,
            lines=((teller, f"{event}, just now."), (first, wow), (second, more)),
            kind="when",
            ask=f"On which day was this: {event.lower()}?",
            evidence=(0,),
            threaded=False,
            hour="evening",
        )


# -- context: place, asker, action, system, doubter, doubt, fallback, decider, words of the decision
CONTEXT = (
    ("quillback/incidents", "tomas", "restart the payment workers", "Orcas queue", "mei", "What if jobs are lost?",
     "They are kept for a day.", "ruth", "Go."),
    ("quillback/incidents", "mei", "switch the read replica off", "Orcas database", "tomas", "What if load comes back?",
     "It starts in a minute.", "ruth", "No."),
    ("quillback/incidents", "jonas", "delete the staging data", "ticket warehouse", "priya", "Is there a copy?",
     "On the old disk.", "ruth", "Not today."),
    ("quillback/billing-migration", "priya", "send the reminders again", "invoice mailer", "jonas", "To all of them?",
     "Only to the 41 that bounced.", "ruth", "Go."),
    ("quillback/billing-migration", "tomas", "move the nightly job to 02:00", "invoice scheduler", "mei", "And backup?",
     "They end at one.", "priya", "Yes, do it."),
    ("quillback/general", "deniz", "order the blue jackets", "staff shop", "jonas", "Do we know the sizes?",
     "From the sheet of last year.", "ruth", "Go."),
    ("northlight/fleet", "yuki", "swap the alternator", "Gannet", "bram", "Do we have a belt?",
     "Two in the locker.", "ines", "Go."),
    ("northlight/fleet", "bram", "weld the ramp hinge", "Petrel", "olaf", "With passengers aboard?",
     "After the last trip.", "ines", "Only with the fire watch."),
    ("northlight/bridge", "olaf", "sail without the second radar", "Kestrel", "yuki", "In fog?",
     "We stay in if it is below a mile.", "ines", "No."),
)  # fmt: skip


def _context() -> Iterator[Story]:
    for place, asker, action, system, doubter, doubt, fallback, decider, words in CONTEXT:
        yield Story(
            place=place,
            lines=(
                (asker, f"May I {action}? It is about the {system}."),
                (doubter, doubt),
                (asker, fallback),
                (decider, words),
                (asker, "Understood."),
            ),
            kind="context",
            ask=f"{PEOPLE[decider][1]} answered {words} when asked about the {system}. What was that about?",
            evidence=(0, 3),
            answer=action,
            one_passage=True,
        )


# -- mention: place, giver, task, from when, taker, the taker's word
MENTIONS = (
    ("quillback/general", "ruth", "on-call week of April 6", "at noon", "jonas", "I take the phone with me."),
    ("quillback/general", "priya", "newsletter", "from May on", "deniz", "With pictures this time."),
    ("quillback/office", "deniz", "key to the bike room", "tomorrow", "mei", "I have a ring for it."),
    ("quillback/harbor-app", "deniz", "translation into Norwegian", "from this week on", "tomas", "My aunt helps."),
    ("quillback/billing-migration", "mei", "audit of the refunds", "from Thursday on", "priya", "I begin with March."),
    ("quillback/incidents", "tomas", "report on the gateway outage", "today", "mei", "You get it by six."),
    ("northlight/fleet", "ines", "winter storage of the Petrel", "from October on", "bram", "The shed is free."),
    ("northlight/bridge", "olaf", "logbook of the Gannet", "from Sunday on", "yuki", "In ink, I promise."),
    ("northlight/general", "bram", "coffee fund", "from now on", "ines", "Cash or cards?"),
)


def _mentions() -> Iterator[Story]:
    for place, giver, task, start, taker, word in MENTIONS:
        yield Story(
            place=place,
            lines=((giver, f"The {task} goes to <@{taker}>, {start}."), (taker, word), (giver, "Good luck :tada:")),
            kind="mention",
            ask=f"Who has the {task}?",
            evidence=(0,),
            answer=PEOPLE[taker][1],
            threaded=False,
        )


# -- late: place, asker, thing, subject, finder, first word, days, what came of it
LATE = (
    ("quillback/harbor-app", "mei", "barcode library", "Harbor 2.1", "tomas", "I compare three of them.", 4,
     "The one from Lund won, half the battery."),
    ("quillback/office", "deniz", "standing desk", "Astoria office", "jonas", "I ask the shop downstairs.", 6,
     "They lend us the oak model until June."),
    ("quillback/billing-migration", "ruth", "accountant", "Canada", "priya", "Two calls are planned.", 8,
     "Bergeron & Fils will do it, from May 4."),
    ("quillback/incidents", "ruth", "root cause", "gateway outage", "mei", "I read the traces.", 3,
     "A clock on the second node ran nine minutes ahead."),
    ("quillback/general", "jonas", "speaker", "summer open day", "deniz", "I write to some captains.", 9,
     "Captain Ngata says yes, with slides."),
    ("northlight/fleet", "olaf", "propeller", "Kestrel", "bram", "I ask the yard.", 5,
     "Four blades, bronze, ready on the ninth."),
    ("northlight/fleet", "ines", "insurance", "Gannet", "olaf", "The broker wants the log first.", 7,
     "Fjordlås takes her for 61,000 a year."),
    ("northlight/bridge", "yuki", "chart update", "Petrel", "ines", "The agency is slow.", 6,
     "Sheet 14 came by post, the shoal moved west."),
    ("northlight/general", "bram", "cook", "crew party", "yuki", "I know somebody.", 4,
     "My cousin does it, fish soup for thirty."),
)  # fmt: skip


def _late() -> Iterator[Story]:
    for place, asker, thing, subject, finder, first, days, answer in LATE:
        yield Story(
            place=place,
            lines=(
                (asker, f"Which {thing} do we take for the {subject}? No hurry."),
                (finder, first),
                (finder, answer),
                (asker, "Good, then so it is."),
            ),
            kind="late",
            ask=f"Which {thing} was it in the end for the {subject}?",
            evidence=(0, 2),
            answer=answer,
            late_days=days,
            late_line=2,
        )


# -- edited: place, teller, event, before the edit, after it, reaction
EDITED = (
    ("quillback/general", "ruth", "all-hands of April", "Wednesday at 10", "Friday at 15", "jonas", "I bring cake."),
    ("quillback/office", "deniz", "fire drill", "April 14", "April 21", "mei", "With stairs?"),
    ("quillback/office", "priya", "lunch with Clearwater", "the Fish Hall", "the Pier Diner", "ruth", "I come too."),
    ("quillback/harbor-app", "deniz", "beta of Harbor 2.1", "May 4", "May 18", "tomas", "Noted."),
    ("quillback/billing-migration", "priya", "price of the Skipper plan", "$19", "$24", "mei", "I change the table."),
    ("quillback/incidents", "tomas", "maintenance of the gateway", "03:00 UTC", "05:30 UTC", "mei", "I stay up."),
    ("northlight/fleet", "olaf", "docking of the Petrel", "berth 3", "berth 11", "yuki", "Fenders are out."),
    ("northlight/bridge", "ines", "pilot exam", "June 2", "June 16", "bram", "I study."),
    ("northlight/general", "ines", "shift change of the Gannet", "06:00", "04:45", "olaf", "Too early."),
)


def _edited() -> Iterator[Story]:
    for place, teller, event, old, new, other, word in EDITED:
        yield Story(
            place=place,
            lines=((teller, f"The {event}: {new}."), (other, word), (teller, "See you there.")),
            kind="edited",
            ask=f"What holds for the {event}?",
            evidence=(0,),
            answer=new,
            threaded=False,
            before_edit=f"The {event}: {old}.",
        )


# -- bot: place, bot, title, text, asked, answer, who reacts ("": nobody)
BOTS = (
    ("quillback/incidents", "deploybot", "Alert: disk of the ticket warehouse", "91 percent full on node rhubarb",
     "disk of the ticket warehouse", "rhubarb", "jonas"),
    ("quillback/incidents", "deploybot", "Alert: latency of the Orcas queue", "p99 at 8.2 s in region west",
     "latency of the Orcas queue", "8.2 s", ""),
    ("quillback/incidents", "deploybot", "gateway 7.2.0 deployed", "by Tomás Oliveira, branch cold-anchor",
     "branch of gateway 7.2.0", "cold-anchor", "mei"),
    ("quillback/harbor-app", "deploybot", "Harbor build 2214 failed", "test_offline_merge, line 88",
     "test that failed in Harbor build 2214", "test_offline_merge", ""),
    ("quillback/billing-migration", "deploybot", "invoice run finished", "1,288 invoices, 3 without address",
     "invoices without address in the invoice run", "3 without address", "priya"),
    ("northlight/bridge", "harbourwatch", "Storm warning for the sound", "gusts of 29 m/s from the north-west",
     "gusts in the storm warning", "29 m/s", "olaf"),
    ("northlight/bridge", "harbourwatch", "Lock closed", "Sluice Hammar shut until 14:20",
     "lock that was closed", "Hammar", ""),
    ("northlight/fleet", "harbourwatch", "Bilge sensor of the Kestrel", "water at 12 cm in the aft hold",
     "bilge sensor of the Kestrel", "12 cm", ""),
)  # fmt: skip


def _bots() -> Iterator[Story]:
    for place, bot, title, text, asked, answer, reacts in BOTS:
        yield Story(
            place=place,
            lines=((bot, f"{title}\n{text}"), *(((reacts, "Looking into it."),) if reacts else ())),
            kind="bot",
            ask=f"What did {PEOPLE[bot][1]} say about the {asked}?",
            evidence=(0,),
            answer=answer,
            threaded=bool(reacts),
            hour="slot" if reacts else "night",
        )


# -- across: subject, place, person and words; another place, person and words; a reaction in each
ACROSS = (
    ("Harbor 2.1", "quillback/harbor-app", "mei", "waits for the offline merge tests",
     "quillback/billing-migration", "priya", "cannot go out before the Skipper plan has prices", "deniz", "jonas"),
    ("open day", "quillback/general", "ruth", "needs the pier of Orcas on June 20",
     "quillback/office", "deniz", "needs forty chairs from next door", "priya", "mei"),
    ("Canada start", "quillback/billing-migration", "priya", "depends on the tax number",
     "quillback/general", "ruth", "depends on a second support shift", "mei", "tomas"),
    ("move to the new gateway", "quillback/incidents", "tomas", "wants two quiet weekends",
     "quillback/harbor-app", "deniz", "wants an app that follows redirects", "mei", "mei"),
    ("data retention rule", "quillback/general", "jonas", "keeps tickets for 18 months",
     "quillback/billing-migration", "mei", "keeps invoices for ten years", "ruth", "priya"),
    ("May timetable", "northlight/fleet", "olaf", "assumes that the Gannet sails",
     "northlight/bridge", "yuki", "assumes that the lock is open at night", "bram", "olaf"),
    ("school trips", "northlight/general", "ines", "run on the Petrel only",
     "northlight/bridge", "bram", "run with a second deckhand", "yuki", "ines"),
    ("crew training", "northlight/general", "yuki", "takes place in week 19",
     "northlight/fleet", "bram", "takes place on the Kestrel in the yard", "olaf", "yuki"),
)  # fmt: skip


def _across() -> Iterator[Story]:
    for subject, place, person, words, other_place, other, other_words, first, second in ACROSS:
        yield Story(
            place=place,
            lines=((person, f"The {subject} {words}."), (first, "Since when?"), (person, "Since the last meeting.")),
            kind="across",
            ask=f"What do we know about the {subject}, from all sides?",
            evidence=(0,),
            meanwhile=(
                (other_place, other, f"Reminder: the {subject} {other_words}."),
                (other_place, second, "I add it to the list."),
            ),
        )


SMALL_TALK = (
    "Good morning!",
    "Coffee is ready.",
    "Who left the window open?",
    "Back in ten minutes.",
    "The printer is sulking again.",
    "Lunch at twelve?",
    "I am at the harbour until two.",
    "That cat was on the roof again.",
    "Somebody has my umbrella.",
    "Nice weather for once.",
    "See you tomorrow.",
    "Is the meeting still on?",
)
"""Said in between, about nothing."""
