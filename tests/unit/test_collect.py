"""Collecting: who handed in and when is the LMS's to say, and one bad file costs one submission."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from pathlib import Path

import nbformat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shardwork.archive import ArchiveRefused
from shardwork.collect import CollectError, Collection, Item, State, collect
from shardwork.collect.choice import Upload, choose
from shardwork.collect.errors import SetAside
from shardwork.collect.lms import Claim, Lms, claim_of, which_lms, without_common_folder
from shardwork.collect.roster import read_roster
from shardwork.course import Course
from shardwork.errors import NothingMatched
from shardwork.gradebook import _time_stamp as nbgrader_reads
from shardwork.ingest import ingest, students_of
from tests.tiny_course import NAME, RIGHT, STARTERS, answered, hand_in, make_tiny_course

pytestmark = pytest.mark.unit

GOOD = nbformat.writes(answered(RIGHT)).encode()
OTHER = nbformat.writes(answered(STARTERS)).encode()
ROSTER = "id,student\n101,sato-yui\n102,mori-ren\n103,baker-olivia\n"


@pytest.fixture
def course(tmp_path: Path) -> Course:
    return make_tiny_course(tmp_path / "course")


def zipped(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


def take(
    course: Course, files: dict[str, bytes], roster: str | None = ROSTER, **options: bool
) -> Collection:
    """Collect a download with these files."""
    download = course.root / "download.zip"
    download.write_bytes(zipped(files))
    path = None
    if roster is not None:
        path = course.root / "roster.csv"
        path.write_text(roster, encoding="utf-8")
    return collect(course, course.assignment(NAME), download, roster=path, **options)


def only(collection: Collection) -> Item:
    (item,) = collection.items
    return item


def notebook(course: Course, student: str) -> bytes:
    return (course.submitted / student / NAME / f"{NAME}.ipynb").read_bytes()


def written(course: Course) -> list[str]:
    """Return every file below `submitted/`, receipts left out."""
    return sorted(
        path.relative_to(course.submitted).as_posix()
        for path in course.submitted.rglob("*")
        if path.is_file() and ".receipts" not in path.parts
    )


# who --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "claim"),
    [
        ("satoyui_101_9001_ch0.ipynb", Claim("101", "ch0.ipynb", 9001)),
        ("satoyui_LATE_101_9001_ch0.ipynb", Claim("101", "ch0.ipynb", 9001, late=True)),
        ("satoyui_late_101_9001_a_b-1.ipynb", Claim("101", "a_b-1.ipynb", 9001, late=True)),
        ("anon_x7QpZ_9001_ch0.ipynb", Claim("anon_x7QpZ", "ch0.ipynb", 9001)),
        ("LATE_anon_x7QpZ_9001_ch0.ipynb", Claim("anon_x7QpZ", "ch0.ipynb", 9001, late=True)),
        ("佐藤結衣_101_9001_課題.ipynb", Claim("101", "課題.ipynb", 9001)),
        # the file's name brings numbers of its own, the last of them another student's
        ("satoyui_101_9001_102_9009_x.ipynb", None),
        ("satoyui_101_9001_2026_11_23.ipynb", Claim("101", "2026_11_23.ipynb", 9001, sure=False)),
        # the student's own name does, where Canvas lets it be changed
        ("x_102_9009_x_101_9001_ch0.ipynb", None),
        # not in the roster, and with somebody who is in the file's name
        ("eve_666_9001_102_9009_x.ipynb", None),
    ],
)
def test_a_name_of_canvas_is_read_where_it_can_be_read_in_one_way(
    name: str, claim: Claim | None
) -> None:
    known = {"101", "102", "103", "anon_x7QpZ"}
    if claim is None:
        with pytest.raises(SetAside, match="one of several students"):
            claim_of(name, Lms.CANVAS, known)
    else:
        assert claim_of(name, Lms.CANVAS, known) == claim


@pytest.mark.parametrize(
    "name",
    ["satoyui_101_9001_102_9009_x.ipynb", "x_102_9009_x_101_9001_ch0.ipynb",
     "s_101_9001_2026_11_23.ipynb", "anon_12345_678_x.ipynb"],
)  # fmt: skip
def test_without_a_roster_a_name_with_two_readings_is_set_aside(name: str) -> None:
    with pytest.raises(SetAside, match="Collect again with --roster"):
        claim_of(name, Lms.CANVAS, None)


@pytest.mark.parametrize("name", ["", "_", "a_b_c", "1_2", "a_1_2", "notes.txt", "a_１０１_２_x"])
def test_a_name_that_is_not_the_lmss_is_nobodys(name: str) -> None:
    for lms in Lms:
        with pytest.raises(SetAside, match="by hand"):
            claim_of(name, lms, None)


@pytest.mark.parametrize("name", ["satoyui_101_text.html", "satoyui_LATE_101_link.html"])
def test_what_was_handed_in_without_a_file_says_so(name: str) -> None:
    with pytest.raises(SetAside, match="Ask for the notebook file"):
        claim_of(name, Lms.CANVAS, None)


@pytest.mark.parametrize(
    "name",
    ["Sato Yui_101_assignsubmission_file/ch0.ipynb",
     "Sato Yui_101_assignsubmission_file_/ch0.ipynb",
     "Sato Yui_101_assignsubmission_file/sub/ch0.ipynb",
     "Sato Yui_101_assignsubmission_file_ch0.ipynb", "_101_assignsubmission_file_/ch0.ipynb"],
)  # fmt: skip
def test_a_name_of_moodle_is_read_in_its_forms(name: str) -> None:
    assert claim_of(name, Lms.MOODLE, None) == Claim("101", "ch0.ipynb")


def test_a_file_in_moodle_cannot_name_another_participant() -> None:
    evil = "Eve_101_assignsubmission_file_Mori Ren_102_assignsubmission_file_/ch0.ipynb"
    assert claim_of(evil, Lms.MOODLE, None).student_number == "101"


def test_the_lms_is_the_one_whose_names_most_files_have() -> None:
    moodle = [f"A_{n}_assignsubmission_file_/x.ipynb" for n in range(3)]
    assert which_lms(moodle) is Lms.MOODLE
    assert which_lms([*moodle, *["a_1_2_x.ipynb"] * 4]) is Lms.CANVAS


def test_a_folder_around_all_files_is_left_out_unless_it_names_a_student() -> None:
    assert without_common_folder(["hw/a_1_2_x", "hw/b_3_4_y"]) == {
        "hw/a_1_2_x": "a_1_2_x", "hw/b_3_4_y": "b_3_4_y",
    }  # fmt: skip
    for name in ("a_1_2_x/b_3_4_y.ipynb", "A_1_assignsubmission_file_/b_3_4_y.ipynb"):
        assert without_common_folder([name]) == {name: name}


# the roster -------------------------------------------------------------------------------------

CANVAS_CSV = """\
Student,ID,SIS User ID,SIS Login ID,Section,Numbers (77)
    Points Possible,,,,,7
"Sato, Yui",101,s101,sato-yui,A,
"Mori, Ren",102,s102,mori-ren,A,
"Student, Test",999,,,A,
"""
MOODLE_CSV = """\
識別子,フルネーム,メールアドレス,ステータス,評点
参加者 101,佐藤 結衣,sato@example.org,提出済み,
参加者 102,森 蓮,mori@example.org,提出済み,
"""


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (ROSTER, {"101": "sato-yui", "102": "mori-ren", "103": "baker-olivia"}),
        ("\ufeffID;Student\r\n101;sato-yui\r\n", {"101": "sato-yui"}),
        (CANVAS_CSV, {"101": "sato-yui", "102": "mori-ren", "999": "999"}),
        (MOODLE_CSV, {"101": "sato@example.org", "102": "mori@example.org"}),
        (
            "Identifier,Full name,Status\nParticipant 5,Sato Yui,-\n\nParticipant 6,Mori Ren,-\n",
            {"5": "Sato Yui", "6": "Mori Ren"},
        ),
    ],
    ids=["own", "semicolons", "canvas", "moodle-ja", "moodle-en"],
)
def test_a_roster_is_read_in_each_of_its_forms(
    tmp_path: Path, text: str, names: dict[str, str]
) -> None:
    path = tmp_path / "roster.csv"
    for encoding in ("utf-8", "utf-16"):
        path.write_bytes(text.removeprefix("\ufeff").encode(encoding))
        assert {n: s.name for n, s in read_roster(path).items()} == names


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2027-01-16T19:00:00+09:00", "2027-01-16 10:00:00 UTC"),
        ("2027-01-16T10:00:00Z", "2027-01-16 10:00:00 UTC"),
        ("2027-01-16 10:00:00 UTC", "2027-01-16 10:00:00 UTC"),
        ("", ""),
    ],
)
def test_times_become_utc(tmp_path: Path, text: str, utc: str) -> None:
    path = tmp_path / "roster.csv"
    path.write_text(f"id,student,submitted_at\n101,a,{text}\n")
    assert read_roster(path)["101"].submitted_at == utc


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b"a,b\n1,2\n", "is no roster: its headings are a, b"),
        (b"id,student\n", "names no student"),
        (b"id,student\n1,a\n1,b\n", "line 3: b (number 1) stands twice"),
        (b"id,student\n1,a\n2,A\n", "line 3: A (number 2) stands twice"),
        (b"id,student,submitted_at\n1,a,2027-01-16 10:00\n", "line 2: '2027-01-16 10:00' is no"),
        (b"id,student,submitted_at\n1,a,yesterday\n", "is no time with its zone"),
        (b"id,student\n1,\xff\n", "no CSV in UTF-8"),
        (b'id,student\n1,"a\n', "no CSV in UTF-8"),
        (b"id,student\n1," + b"x" * 200_000, "no CSV in UTF-8"),
    ],
)
def test_a_roster_that_cannot_be_used_says_why(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "roster.csv"
    path.write_bytes(data)
    with pytest.raises(CollectError) as error:
        read_roster(path)
    assert said in str(error.value)


def test_moodle_needs_a_roster(course: Course) -> None:
    with pytest.raises(CollectError, match="grading worksheet"):
        take(course, {"A_1_assignsubmission_file_/x.ipynb": GOOD}, roster=None)


# a whole download -------------------------------------------------------------------------------


def test_a_download_of_canvas_is_laid_out_for_ingest(course: Course) -> None:
    collection = take(course, {
        f"satoyui_101_9001_{NAME}.ipynb": GOOD,
        f"moriren_LATE_102_9002_{NAME}-2.ipynb": OTHER,
    })  # fmt: skip
    assert collection.lms is Lms.CANVAS
    assert [(i.state, i.student, i.late) for i in collection.items] == [
        (State.NEW, "mori-ren", True),
        (State.NEW, "sato-yui", False),
    ]
    assert written(course) == [f"{s}/{NAME}/{NAME}.ipynb" for s in ("mori-ren", "sato-yui")]
    assert students_of(course, course.assignment(NAME)) == ["mori-ren", "sato-yui"]
    taken = ingest(course, course.assignment(NAME), "sato-yui")
    assert (taken.reason, taken.notices) == ("", ())


def test_without_a_roster_students_of_canvas_are_their_numbers(course: Course) -> None:
    take(course, {f"satoyui_101_9001_{NAME}.ipynb": GOOD}, roster=None)
    assert written(course) == [f"101/{NAME}/{NAME}.ipynb"]


def test_a_download_of_moodle_is_laid_out_with_the_names_of_the_worksheet(course: Course) -> None:
    collection = take(
        course,
        {
            f"佐藤 結衣_101_assignsubmission_file_/{NAME}.ipynb": GOOD,
            "森 蓮_102_assignsubmission_onlinetext_/onlinetext.html": b"<p>done</p>",
        },
        MOODLE_CSV,
    )
    assert collection.lms is Lms.MOODLE
    assert written(course) == [f"sato@example.org/{NAME}/{NAME}.ipynb"]
    assert collection.items[0].reason.startswith("it was handed in as onlinetext, not as a file")


def test_an_unpacked_download_is_collected_as_the_zip_is(course: Course, tmp_path: Path) -> None:
    folder = tmp_path / "unpacked"
    folder.mkdir()
    (folder / f"satoyui_101_9001_{NAME}.ipynb").write_bytes(GOOD)
    (folder / f"moriren_102_9002_{NAME}.ipynb").symlink_to(__file__)
    os.mkfifo(folder / f"bakerolivia_103_9003_{NAME}.ipynb")
    collection = collect(course, course.assignment(NAME), folder)
    assert [(i.student, i.state) for i in collection.items] == [
        ("101", State.NEW), ("102", State.SET_ASIDE), ("103", State.SET_ASIDE),
    ]  # fmt: skip
    assert "a link or a special file" in collection.items[1].reason


def test_one_students_files_never_stop_the_others(course: Course) -> None:
    links = io.BytesIO()
    with tarfile.open(fileobj=links, mode="w:gz") as archive:
        info = tarfile.TarInfo(f"{NAME}.ipynb")
        info.type, info.linkname = tarfile.SYMTYPE, "../../../source/x.ipynb"
        archive.addfile(info)
    bad = {
        "a_201_1_work.zip": b"PK\x03\x04 not really",
        "b_202_2_work.tar.gz": links.getvalue(),
        "c_203_3_work.zip": zipped({f"../../../{NAME}.ipynb": GOOD}),
        "d_204_4_work.zip": zipped({"a.zip": zipped({"b.zip": zipped({"c.ipynb": GOOD})})}),
        "e_205_5_work.zip": zipped({"x.ipynb": bytes(9 << 20)}),
        "f_206_6_notes.docx": b"words",
        f"g_207_7_{NAME}.ipynb": bytes((8 << 20) + 1),
        "h_208_8_a.ipynb": GOOD,
        "h_208_9_b.ipynb": OTHER,
        "i_209_9_../../evil.ipynb": GOOD,
        "whose.ipynb": GOOD,
        "j_210_9_.ipynb": GOOD,
        "k_211_1_work.zip": zipped({"a.ipynb": GOOD, "b/c.ipynb": OTHER}),
    }
    good = {f"satoyui_101_9001_{NAME}.ipynb": GOOD}
    roster = ROSTER + "".join(f"{n},s{n}\n" for n in range(201, 220))
    collection = take(course, bad | good, roster)
    reasons = {i.student or i.file: i.reason for i in collection.items}
    said = {
        "s201": "work.zip is refused: it is truncated",
        "s202": "it is a link",
        "s203": "its name leads out of its folder",
        "s204": "more than 2 deep",
        "s205": "packed more than 500 times smaller",
        "s206": "there is no notebook in it; found: notes.docx",
        "s207": f"{NAME}.ipynb is refused: it is larger than 8 MB",
        "s208": f"none of 2 notebooks is called {NAME}.ipynb; found: a.ipynb, b.ipynb",
        "s209": "its name leads out of its folder",
        "whose.ipynb": "not one that Canvas gives",
        "s211": "none of 2 notebooks",
    }
    for who, reason in said.items():
        assert reason in reasons[who], who
    assert written(course) == [f"s210/{NAME}/{NAME}.ipynb", f"sato-yui/{NAME}/{NAME}.ipynb"]


def test_a_file_that_two_students_could_own_is_nobodys_and_the_victim_keeps_the_own_one(
    course: Course,
) -> None:
    collection = take(course, {
        f"moriren_102_9002_{NAME}.ipynb": GOOD,
        # Eve (101): by the file's name, and by her own name where she may choose it
        f"eve_101_9001_102_9999_{NAME}.ipynb": OTHER,
        f"x_102_9999_x_101_9001_{NAME}.ipynb": OTHER,
        # Eve (666), who is not in the roster, by her own name
        f"x_102_9999_x_666_9001_{NAME}.ipynb": OTHER,
    })  # fmt: skip
    states = {(i.student, i.state) for i in collection.items}
    assert states == {("mori-ren", State.NEW), ("", State.SET_ASIDE)}
    assert collection.count(State.SET_ASIDE) == 3
    assert notebook(course, "mori-ren") == GOOD


def test_somebody_who_is_not_in_the_roster_is_set_aside(course: Course) -> None:
    item = only(take(course, {f"eve_666_9001_{NAME}.ipynb": GOOD}))
    assert (item.student, item.state) == ("", State.SET_ASIDE)
    assert "the number 666 is not in the roster" in item.reason


@pytest.mark.parametrize("name", ["..", "a/b", ".hidden", "a*", "x" * 201])
def test_a_name_in_the_roster_that_no_folder_can_have_is_set_aside(
    course: Course, name: str
) -> None:
    item = only(take(course, {f"x_101_9001_{NAME}.ipynb": GOOD}, f"id,student\n101,{name}\n"))
    assert item.state is State.SET_ASIDE
    assert not course.submitted.exists()


def test_a_dry_run_says_the_same_and_writes_nothing(course: Course) -> None:
    files = {f"satoyui_101_9001_{NAME}.ipynb": GOOD, "x": b""}
    dry = take(course, files, dry_run=True)
    assert not course.submitted.exists()
    assert take(course, files).items == dry.items


def test_an_empty_download_and_one_that_is_no_zip_are_told_apart(course: Course) -> None:
    with pytest.raises(NothingMatched, match="nobody handed anything in"):
        take(course, {})
    (course.root / "download.zip").write_bytes(zipped({"a": GOOD})[:-9])
    with pytest.raises(CollectError, match=r"it is truncated: .*Download it again"):
        collect(course, course.assignment(NAME), course.root / "download.zip")


# which file -------------------------------------------------------------------------------------


def uploads(*files: tuple[str, int, bytes]) -> list[Upload]:
    return [Upload(name, number, lambda limit, d=data: d) for name, number, data in files]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ([("my answer.ipynb", 1, b"1")], b"1"),
        ([("ch0.ipynb", 1, b"1"), ("scratch.ipynb", 2, b"2")], b"1"),
        ([("ch0.ipynb", 1, b"1"), ("ch0-1.ipynb", 2, b"2"), ("notes.pdf", 3, b"3")], b"2"),
        ([("ch0-2.ipynb", 7, b"7"), ("ch0-1.ipynb", 9, b"9")], b"9"),
        ([("ch0 (3).ipynb", 0, b"3"), ("CH0.ipynb", 0, b"0")], b"0"),
        ([("ch0.ipynb", 0, b"1"), ("ch0.ipynb", 0, b"1")], b"1"),
        ([("old.zip", 1, zipped({"ch0.ipynb": b"1"})),
          ("new.zip", 2, zipped({"x/ch0.ipynb": b"2"}))], b"2"),
        ([("ch0.ipynb", 1, b"1"), ("new.zip", 2, zipped({"ch0.ipynb": b"2"}))], b"1"),
    ],
)  # fmt: skip
def test_the_notebook_that_counts_is_the_named_one_with_the_highest_number(
    files: list[tuple[str, int, bytes]], expected: bytes
) -> None:
    assert choose(uploads(*files), "ch0").data == expected


@pytest.mark.parametrize(
    "files",
    [
        [("ch0.ipynb", 0, b"1"), ("ch0.ipynb", 0, b"2")],
        [("a.zip", 0, zipped({"x/ch0.ipynb": b"1", "y/ch0.ipynb": b"2"}))],
    ],
)
def test_two_different_notebooks_of_one_name_are_left_to_a_person(
    files: list[tuple[str, int, bytes]],
) -> None:
    with pytest.raises(SetAside, match=r"2 different notebooks called ch0\.ipynb"):
        choose(uploads(*files), "ch0")


def test_no_more_files_are_read_than_the_bound() -> None:
    def never(limit: int) -> bytes:
        raise ArchiveRefused("read")

    with pytest.raises(SetAside, match="51 files were handed in; at most 50"):
        choose([Upload("a.zip", n, never) for n in range(51)], "ch0")


# again, and when --------------------------------------------------------------------------------


def timed(time: str) -> str:
    return f"id,student,submitted_at\n101,sato-yui,{time}\n"


def test_the_same_download_again_changes_nothing(course: Course) -> None:
    files = {f"satoyui_101_9001_{NAME}.ipynb": GOOD}
    take(course, files)
    before = notebook(course, "sato-yui")
    assert only(take(course, files)).state is State.UNCHANGED
    assert notebook(course, "sato-yui") == before


def test_a_later_submission_replaces_and_an_earlier_one_does_not(course: Course) -> None:
    first = {f"satoyui_101_9001_{NAME}.ipynb": GOOD}
    second = {f"satoyui_101_9002_{NAME}-1.ipynb": OTHER}
    take(course, first)
    assert only(take(course, second)).state is State.REPLACED
    assert notebook(course, "sato-yui") == OTHER
    item = only(take(course, first))
    assert (item.state, item.reason) == (State.KEPT, "what stands there is newer")
    assert notebook(course, "sato-yui") == OTHER
    assert only(take(course, first, force=True)).state is State.REPLACED
    assert notebook(course, "sato-yui") == GOOD


def test_a_notebook_of_unknown_origin_is_replaced_by_force_only(course: Course) -> None:
    hand_in(course, "sato-yui", OTHER)
    files = {f"satoyui_101_9001_{NAME}.ipynb": GOOD}
    item = only(take(course, files))
    assert item.state is State.SET_ASIDE
    assert "--force" in item.reason
    assert notebook(course, "sato-yui") == OTHER
    assert only(take(course, files, force=True)).state is State.REPLACED


def test_what_was_mended_by_hand_stays_until_the_student_hands_in_again(course: Course) -> None:
    files = {f"satoyui_101_9001_{NAME}.ipynb": GOOD}
    take(course, files)
    hand_in(course, "sato-yui", GOOD + b"\n")
    item = only(take(course, files))
    assert (item.state, item.reason) == (
        State.KEPT, "it was changed by hand since it was collected",
    )  # fmt: skip
    later = only(take(course, {f"satoyui_101_9002_{NAME}.ipynb": OTHER}))
    assert (later.state, later.reason) == (
        State.REPLACED, "the one before had been changed by hand",
    )  # fmt: skip


def test_in_moodle_a_later_time_replaces_and_no_time_does_not(course: Course) -> None:
    def once(data: bytes, time: str) -> State:
        files = {f"Sato_101_assignsubmission_file_/{NAME}.ipynb": data}
        return only(take(course, files, timed(time))).state

    assert once(GOOD, "2027-01-16T10:00Z") is State.NEW
    assert once(OTHER, "2027-01-16T09:00Z") is State.KEPT
    assert once(OTHER, "") is State.SET_ASIDE
    assert once(OTHER, "2027-01-16T11:00Z") is State.REPLACED


def test_the_time_is_the_rosters_and_never_the_students(course: Course) -> None:
    stamp = course.submitted / "sato-yui" / NAME / "timestamp.txt"
    forged = zipped({f"{NAME}.ipynb": GOOD, "timestamp.txt": b"2000-01-01 00:00:00 UTC"})
    take(course, {"satoyui_101_9001_work.zip": forged, "satoyui_101_9002_timestamp.txt": b"2000"})
    assert written(course) == [f"sato-yui/{NAME}/{NAME}.ipynb"]
    take(course, {"satoyui_101_9001_work.zip": forged}, timed("2027-01-16T19:00:00+09:00"))
    assert stamp.read_text() == "2027-01-16 10:00:00 UTC\n"
    assert nbgrader_reads(stamp) == "2027-01-16 10:00:00 UTC"


def test_a_new_notebook_never_keeps_the_time_of_the_one_before(course: Course) -> None:
    stamp = course.submitted / "sato-yui" / NAME / "timestamp.txt"
    take(course, {f"s_101_1_{NAME}.ipynb": GOOD}, timed("2027-01-16T10:00:00Z"))
    item = only(take(course, {f"s_LATE_101_2_{NAME}.ipynb": OTHER}, timed("")))
    assert (item.state, item.late) == (State.REPLACED, True)
    assert "marked late, and no time is known" in item.reason
    assert not stamp.exists()


def test_a_time_that_a_person_wrote_stays_with_an_unchanged_notebook(course: Course) -> None:
    files = {f"s_101_1_{NAME}.ipynb": GOOD}
    take(course, files)
    stamp = course.submitted / "sato-yui" / NAME / "timestamp.txt"
    stamp.write_text("2027-01-16 10:00:00 UTC")
    take(course, files)
    assert stamp.read_text() == "2027-01-16 10:00:00 UTC"


# what stands in submitted/ ----------------------------------------------------------------------


def test_nothing_is_written_through_a_link(course: Course, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    course.submitted.mkdir()
    (course.submitted / "sato-yui").symlink_to(elsewhere)
    (course.submitted / "mori-ren").mkdir()
    (course.submitted / "mori-ren" / NAME).symlink_to(elsewhere)
    files = {f"s_101_1_{NAME}.ipynb": GOOD, f"m_102_2_{NAME}.ipynb": GOOD}
    for item in take(course, files, force=True).items:
        assert item.state is State.SET_ASIDE
        assert "is a link or no folder" in item.reason
    assert list(elsewhere.iterdir()) == []


def test_a_link_or_a_pipe_in_the_place_of_the_notebook_is_replaced_and_never_followed(
    course: Course, tmp_path: Path
) -> None:
    victim = tmp_path / "victim.ipynb"
    victim.write_bytes(b"mine")
    for student in ("sato-yui", "mori-ren"):
        (course.submitted / student / NAME).mkdir(parents=True)
    (course.submitted / "sato-yui" / NAME / f"{NAME}.ipynb").symlink_to(victim)
    (course.submitted / "sato-yui" / NAME / "timestamp.txt").symlink_to(victim)
    os.mkfifo(course.submitted / "mori-ren" / NAME / f"{NAME}.ipynb")
    files = {f"s_101_1_{NAME}.ipynb": GOOD, f"m_102_2_{NAME}.ipynb": GOOD}
    roster = ROSTER.replace("student\n", "student,submitted_at\n").replace(
        "yui\n", "yui,2027-01-16T10:00Z\n"
    )
    assert {i.state for i in take(course, files, roster).items} == {State.SET_ASIDE}
    assert {i.state for i in take(course, files, roster, force=True).items} == {State.REPLACED}
    assert victim.read_bytes() == b"mine"
    assert notebook(course, "sato-yui") == notebook(course, "mori-ren") == GOOD


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_a_collection_that_is_cut_off_is_right_after_the_next_one(
    course: Course, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    from shardwork.collect import layout

    take(course, {f"s_101_1_{NAME}.ipynb": GOOD}, timed("2027-01-16T10:00:00Z"))
    files = {f"s_101_2_{NAME}.ipynb": OTHER}
    real, calls = layout.write_whole, 0

    def cut_off(path: Path, data: bytes) -> None:
        nonlocal calls
        calls += 1
        if calls == stop:
            raise KeyboardInterrupt
        real(path, data)

    monkeypatch.setattr(layout, "write_whole", cut_off)
    with pytest.raises(KeyboardInterrupt):
        take(course, files, timed("2027-01-18T10:00:00Z"))
    monkeypatch.undo()
    take(course, files, timed("2027-01-18T10:00:00Z"))
    assert notebook(course, "sato-yui") == OTHER
    stamp = course.submitted / "sato-yui" / NAME / "timestamp.txt"
    assert stamp.read_text().startswith("2027-01-18")


# anything at all --------------------------------------------------------------------------------

words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
pieces = st.lists(
    st.sampled_from(["101", "102", "9", "LATE", "anon", "x", "", "assignsubmission", "file"])
    | words,
    max_size=8,
)
member_names = st.one_of(pieces.map("_".join), pieces.map("/".join), words).filter(bool)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(member_names, st.binary(max_size=20), min_size=1, max_size=5))
def test_whatever_the_names_in_a_download_are_each_file_has_one_fate(
    tmp_path: Path, files: dict[str, bytes]
) -> None:
    course = shared_course(tmp_path)
    try:
        collection = take(course, files, force=True)
    except (CollectError, NothingMatched):
        return
    assert collection.items
    for path in course.submitted.rglob("*.ipynb") if course.submitted.exists() else ():
        assert path.parent.parent.name in {"sato-yui", "mori-ren", "baker-olivia"}


def shared_course(folder: Path) -> Course:
    """One course for all examples: making one costs more than an example."""
    root = folder / "shared"
    from shardwork.course import load_course

    return load_course(root) if root.exists() else make_tiny_course(root)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300) | st.text(max_size=200).map(lambda t: f"id,student\n{t}".encode()))
def test_arbitrary_rosters_are_read_or_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "roster.csv"
    path.write_bytes(data)
    try:
        assert read_roster(path)
    except CollectError as error:
        assert str(error)
