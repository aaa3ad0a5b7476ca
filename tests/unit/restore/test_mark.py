# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Marks: what fits, what is read back, and what mark and disk together mean."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore import hss
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.mark import (
    RUN_ID,
    STANDINGS,
    TRANSITIONS,
    VALUE_LIMIT,
    Lease,
    Mark,
    Owner,
    Phase,
    Place,
    Standing,
    decode,
    decode_lease,
    decode_owner,
    encode,
    encode_lease,
    encode_owner,
    mark_key,
    place,
    standing,
)
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.model import Attachment
from builders import DATA, LONE, ROOT, SERVER, disk, free, mark
from hypothesis import example, given
from hypothesis import strategies as st

TEXTS = st.text(max_size=40) | st.text("|%~/:.,+-_ \u00e9\u20ac\ud800", max_size=40)
MARKS = st.builds(
    Mark,
    phase=st.sampled_from(Phase),
    run_id=TEXTS,
    target_id=TEXTS,
    backup_id=TEXTS,
    device=TEXTS,
    attachment_id=TEXTS,
    was_running=st.sampled_from([True, False, None]),
    delete_on_termination=st.sampled_from([True, False, None]),
    job=TEXTS,
    at=st.integers(0, 99_999_999_999).map(float),
)

# -- from text to mark and back ----------------------------------------------------------------------------------------


@given(MARKS)
def test_a_mark_is_read_back_as_it_was_written_or_not_written_at_all(item: Mark) -> None:
    try:
        text = encode(item)
    except ValueError:
        return
    assert len(text) <= VALUE_LIMIT
    assert decode(text, server_id="s") == replace(item, server_id="s")


@given(st.lists(TEXTS, min_size=5, max_size=5), st.integers(0, 99_999_999_999))
def test_an_owner_and_a_lease_are_read_back(texts: list[str], at: int) -> None:
    owner, lease = Owner(*texts, at=float(at)), Lease(*texts[:4], float(at))
    try:
        written = encode_owner(owner), encode_lease(lease)
    except ValueError:
        return
    assert (decode_owner(written[0]), decode_lease(written[1])) == (owner, lease)


@given(TEXTS | st.lists(TEXTS, min_size=3, max_size=11).map("|".join).map("1|{}".format))
@example("1|begun|r|t|b|||y|n||\u00b2")
@example("1|begun|r|t|b|||y|n||" + "9" * 400)
@example("1|r|n|\u00b2")
def test_no_text_is_too_odd_to_be_read(text: str) -> None:
    """People and other tools write metadata too."""
    read = decode(text), decode_owner(text), decode_lease(text)
    assert all(value is None or text.startswith("1|") for value in read)


@pytest.mark.parametrize("value", [None, 1, True, b"1|begun", ["1"], {"1": 2}])
def test_metadata_that_is_no_text_is_no_mark(value: object) -> None:
    assert (decode(value), decode_owner(value), decode_lease(value)) == (None, None, None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "hello",
        '{"phase": "begun"}',
        "2|begun|r|t|b|||y|n||1",  # a format of the future
        "1|started|r|t|b|||y|n||1",  # an unknown phase
        "1|begun|r|t|b|||y|n|1",  # cut
        "1|begun|r|t|b|||y|n||1|more",
    ],
)
def test_what_others_wrote_is_no_mark(text: str) -> None:
    assert decode(text) is None


def test_odd_fields_of_a_mark_read_as_unknown() -> None:
    read = decode("1|begun|r|t|b|||?|||x")
    assert read is not None
    assert (read.was_running, read.delete_on_termination, read.at) == (None, None, 0.0)


def test_the_server_is_not_written_but_comes_from_where_the_mark_lies() -> None:
    item = mark()
    assert SERVER not in encode(item)
    assert decode(encode(item), server_id=SERVER) == item


UUID = "c96e4a94-927a-425c-8795-63f9964cfebd"
LONGEST_RUN = "r" * 40


@pytest.mark.parametrize("job", ["4010b39b5281d3590152874bfa3b1604", hss.pack(("01234567",) * hss.DIGESTS_IN_A_MARK)])
@pytest.mark.parametrize("run_id", [LONGEST_RUN, "2026-01-31T04:05:06.000_attempt-1:final"])
def test_the_longest_real_mark_fits(job: str, run_id: str) -> None:
    """Metadata values of a server have at most 255 characters (ECS API: Updating ECS Metadata)."""
    assert RUN_ID.fullmatch(run_id)
    longest = Mark(
        max(Phase, key=lambda phase: len(phase.value)),
        run_id,
        "0123456789ab",
        UUID,
        SERVER,
        "/dev/vdaaa",
        UUID,
        True,
        False,
        job,
        99_999_999_999.0,
    )
    assert len(encode(longest)) <= VALUE_LIMIT
    assert decode(encode(longest), server_id=SERVER) == longest


def test_a_mark_may_have_255_characters_and_not_one_more() -> None:
    room = VALUE_LIMIT - len(encode(mark(job="")))
    assert len(encode(mark(job="j" * room))) == VALUE_LIMIT
    with pytest.raises(ValueError, match="256 characters does not fit into 255"):
        encode(mark(job="j" * (room + 1)))


def test_the_longest_real_owner_fits() -> None:
    owner = Owner(LONGEST_RUN, "h" * 40 + "-01234567", f"{2**22}.{10**12}", "01234567", f"server:{UUID}", 1.79e9)
    assert decode_owner(encode_owner(owner)) == owner


def test_the_key_of_a_mark_is_one_that_metadata_allows() -> None:
    assert mark_key(UUID) == f"hwcloud_recovery_{UUID}"


@pytest.mark.parametrize("run_id", ["a", "2026-01-31T04:05:06", "run.1_b-c:d", LONGEST_RUN])
def test_run_ids(run_id: str) -> None:
    assert RUN_ID.fullmatch(run_id)


@pytest.mark.parametrize("run_id", ["", "-", "-a", ".a", "a b", "a/b", "../a", "a|b", "\u00e4", "a\n", "r" * 41])
def test_no_run_ids(run_id: str) -> None:
    assert not RUN_ID.fullmatch(run_id)


# -- one step on -------------------------------------------------------------------------------------------------------

STEPS = {
    "begun": "submitting returned",
    "submitting": "begun accepted restored failed",
    "accepted": "submitting restored failed",
    "restored": "finished",
    "failed": "submitting",
    "finished": "",
    "returned": "",
}


@pytest.mark.parametrize("after", Phase)
@pytest.mark.parametrize("before", Phase)
def test_a_restore_goes_only_where_the_table_allows(before: Phase, after: Phase) -> None:
    item = mark(before, job="j1")
    if after.value in STEPS[before.value].split():
        assert item.moved(after) == mark(after, job="j1")
    else:
        with pytest.raises(ValueError, match=f"cannot go from {before.value} to {after.value}"):
            item.moved(after)


def test_a_step_keeps_the_job_unless_it_is_given() -> None:
    submitting = mark(Phase.SUBMITTING, job="before")
    assert submitting.moved(Phase.ACCEPTED).job == "before"
    assert submitting.moved(Phase.ACCEPTED, job="j2").job == "j2"
    assert submitting.moved(Phase.BEGUN, job="").job == ""


@pytest.mark.parametrize("phase", Phase)
def test_only_what_is_finished_or_returned_is_closed(phase: Phase) -> None:
    assert mark(phase).open is (phase not in (Phase.FINISHED, Phase.RETURNED))


def test_from_every_phase_a_closed_one_can_be_reached() -> None:
    reached = {Phase.FINISHED, Phase.RETURNED}
    for _round in Phase:
        reached |= {before for before, afters in TRANSITIONS.items() if afters & reached}
    assert reached == set(Phase)


# -- where a marked disk is --------------------------------------------------------------------------------------------

OTHER = "5e000000-0000-4000-8000-000000000009"


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (disk(), Place.AS_MARKED),
        (disk(attachments=(Attachment(SERVER, "another", "/dev/vda"),)), Place.BACK),
        (disk(attachments=(Attachment(SERVER, "", "/dev/vda"),)), Place.BACK),
        (disk(attachments=(Attachment(OTHER, f"at-{ROOT}", "/dev/vda"),)), Place.ELSEWHERE),
        (disk(attachments=(Attachment(OTHER, "x"), Attachment(SERVER, f"at-{ROOT}"))), Place.AS_MARKED),
        (free(), Place.FREE),
        (disk(status="restoring-backup"), Place.RESTORING),
        (free(status="restoring-backup"), Place.RESTORING),
        (free(status="error"), Place.BROKEN),
        (disk(status="error_restoring"), Place.BROKEN),
        (free(status="detaching"), Place.MOVING),
        (free(status="in-use"), Place.MOVING),
        (disk(status="detaching"), Place.AS_MARKED),
    ],
)
def test_the_place_of_a_disk(shown: object, expected: Place) -> None:
    assert place(mark(), shown) is expected  # type: ignore[arg-type]


@pytest.mark.parametrize("attachment_id", ["", "new"])
def test_a_mark_that_records_no_attachment_cannot_tell_it_from_another_one(attachment_id: str) -> None:
    shown = disk(attachments=(Attachment(SERVER, attachment_id, "/dev/vda"),))
    assert place(mark(attachment_id=""), shown) is Place.UNTOLD


def test_a_disk_without_a_server_that_is_in_use_is_elsewhere() -> None:
    assert place(mark(server_id=""), disk()) is Place.ELSEWHERE


# -- what both together mean -------------------------------------------------------------------------------------------

AT = {
    Place.AS_MARKED: disk(),
    Place.BACK: disk(attachments=(Attachment(SERVER, "new", "/dev/vda"),)),
    Place.UNTOLD: disk(),
    Place.ELSEWHERE: disk(attachments=(Attachment(OTHER, "new", "/dev/vdb"),)),
    Place.FREE: free(),
    Place.RESTORING: free(status="restoring-backup"),
    Place.BROKEN: free(status="error_restoring"),
    Place.MOVING: free(status="detaching"),
}
PLACES = "AS_MARKED BACK UNTOLD ELSEWHERE FREE RESTORING MOVING BROKEN"
MEANINGS = {
    # never asked for: if it is in use go on from the start, if it was moved away it is nobody's business any more
    # (but it may have come late, over the mark of a restore: not if attached anew, unless it was put back untouched)
    Phase.BEGUN: "DETACH USED DETACH FRESH SUBMIT FRESH DETACH BROKEN",
    # perhaps asked for: submitted again only while it was detached all the time
    Phase.SUBMITTING: "DETACH USED USED USED SUBMIT WATCH WATCH BROKEN",
    # asked for: never again, and once in use its data may be new
    Phase.ACCEPTED: "USED USED USED USED WATCH WATCH WATCH BROKEN",
    # done: what is left is the way back, but to another server only people take it
    Phase.RESTORED: "ATTACH ATTACH ATTACH USED ATTACH ATTACH ATTACH BROKEN",
    # failed: never counts as done
    Phase.FAILED: "FRESH FRESH FRESH FRESH SUBMIT FRESH FRESH BROKEN",
    Phase.FINISHED: "FINISHED " * 8,
    Phase.RETURNED: "FRESH " * 8,
}
ROWS = [
    (phase, Place[where], Standing[meaning])
    for phase, meanings in MEANINGS.items()
    for where, meaning in zip(PLACES.split(), meanings.split(), strict=True)
]


@pytest.mark.parametrize(("phase", "where", "meaning"), ROWS)
def test_what_a_mark_means_where_its_disk_is(phase: Phase, where: Place, meaning: Standing) -> None:
    item = mark(phase, attachment_id="") if where is Place.UNTOLD else mark(phase)
    assert place(item, AT[where]) is where
    assert standing(item, AT[where]) is meaning


def test_the_table_is_complete() -> None:
    assert {(phase, where) for phase, row in STANDINGS.items() for where in row} == {
        (phase, where) for phase, where, _meaning in ROWS
    }
    assert len(ROWS) == len(Phase) * len(Place)


@pytest.mark.parametrize(
    ("phase", "where"),
    [
        (Phase.BEGUN, Place.BACK),
        *product((Phase.SUBMITTING, Phase.ACCEPTED, Phase.RESTORED), (Place.BACK, Place.ELSEWHERE)),
    ],
)
def test_a_disk_that_was_attached_again_is_never_submitted_in_that_run(phase: Phase, where: Place) -> None:
    assert standing(mark(phase), AT[where]) not in (Standing.FRESH, Standing.DETACH, Standing.SUBMIT)


@pytest.mark.parametrize("shown", [disk(), disk(DATA), disk(LONE), free(status="error")])
def test_without_a_mark_a_disk_is_fresh(shown: object) -> None:
    assert standing(None, shown) is Standing.FRESH  # type: ignore[arg-type]
