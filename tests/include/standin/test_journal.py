"""The journal's verdicts, on entries written by hand."""

from include.standin.journal import Entry, Verdict, conversation_key, judge, most_at_once, stored_ids

IDS = ["a", "b", "c", "d"]


def add(seq: int, *ids: str, at: tuple[float, float], order: int | None = None) -> Entry:
    return Entry(
        seq=seq,
        kind="add",
        conversation="g",
        message_ids=ids,
        arrived_s=at[0],
        ended_s=at[1],
        order=seq if order is None else order,
        stored_ids=ids,
    )


def flush(seq: int, *, at: tuple[float, float], order: int | None = None) -> Entry:
    return Entry(
        seq=seq, kind="flush", conversation="g", arrived_s=at[0], ended_s=at[1], order=seq if order is None else order
    )


def verdict(*entries: Entry) -> Verdict:
    return judge(entries, {"g": IDS})["g"]


def test_everything_once_in_order_one_after_the_other_and_flushed_is_clean() -> None:
    good = verdict(add(1, "a", "b", at=(0, 1)), add(2, "c", "d", at=(1, 2)), flush(3, at=(2, 3)))
    assert good.clean
    assert good == Verdict(conversation="g", flushes=1)


def test_what_was_expected_and_never_stored_is_lost() -> None:
    assert verdict(add(1, "a", "d", at=(0, 1)), flush(2, at=(1, 2))).lost == ("b", "c")
    assert verdict().lost == tuple(IDS)


def test_what_was_stored_twice_is_doubled() -> None:
    found = verdict(add(1, "a", "b", at=(0, 1)), add(2, "b", "c", "d", at=(1, 2)), flush(3, at=(2, 3)))
    assert (found.doubled, found.out_of_order, found.clean) == (("b",), (), False)


def test_what_nobody_expected_is_unexpected() -> None:
    assert verdict(add(1, *IDS, "x", at=(0, 1)), flush(2, at=(1, 2))).unexpected == ("x",)


def test_a_conversation_nobody_expected_is_judged_too() -> None:
    other = Entry(seq=1, kind="add", conversation="h", arrived_s=0, ended_s=1, order=1, stored_ids=("x",))
    assert judge([other], {})["h"].unexpected == ("x",)


def test_what_is_stored_after_something_younger_is_out_of_order() -> None:
    late = verdict(add(1, "a", "b", at=(0, 3), order=2), add(2, "c", "d", at=(1, 2), order=1), flush(3, at=(4, 5)))
    assert late.out_of_order == ("a", "b")


def test_batches_worked_on_at_the_same_time_overlap_even_past_a_short_one() -> None:
    found = verdict(add(1, "a", at=(0, 9)), add(2, "b", at=(1, 2)), add(3, "c", "d", at=(5, 6)), flush(4, at=(9, 10)))
    assert found.overlapping == ((1, 2), (1, 3))


def test_a_batch_that_begins_when_the_one_before_ends_does_not_overlap() -> None:
    assert verdict(add(1, "a", "b", at=(0, 1)), add(2, "c", "d", at=(1, 2))).overlapping == ()


def test_a_flush_beside_a_batch_is_too_early() -> None:
    found = verdict(add(1, *IDS, at=(0, 5), order=2), flush(2, at=(1, 2), order=1))
    assert found.flushes_while_processing == (2,)
    assert found.unflushed


def test_what_is_stored_after_the_last_flush_is_unflushed() -> None:
    assert verdict(add(1, *IDS, at=(0, 1))).unflushed
    assert verdict(add(1, "a", at=(0, 1)), flush(2, at=(1, 2)), add(3, "b", at=(2, 3))).unflushed
    assert not verdict(flush(1, at=(0, 1))).unflushed


def test_a_batch_that_was_refused_or_failed_counts_for_nothing() -> None:
    failed = Entry(seq=1, kind="add", conversation="g", message_ids=tuple(IDS), arrived_s=0, ended_s=9)
    assert stored_ids([failed]) == []
    assert verdict(failed, add(2, *IDS, at=(1, 2)), flush(3, at=(2, 3))).clean


def test_concurrency_is_the_most_calls_at_once() -> None:
    calls = [add(1, "a", at=(0, 3)), add(2, "b", at=(1, 2)), add(3, "c", at=(2, 4)), flush(4, at=(0, 9))]
    assert most_at_once(calls) == 2


def test_a_conversation_is_named_by_its_group_or_by_user_and_session() -> None:
    names = [
        conversation_key(group_id="g"),
        conversation_key(user_id="u"),
        conversation_key(user_id="u", session_id="s"),
    ]
    assert names == ["g", "u/", "u/s"]
