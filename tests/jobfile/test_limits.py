"""Limits of resources in a job file that change: what may be written, and which limit a schedule has when."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.jobfile.errors import InputError
from runtime.jobfile.limits import CommandLimit, Hours, ScheduledLimit
from runtime.jobfile.place import Place
from runtime.jobfile.regression import load
from runtime.jobfile.schema import FileTable, structure

MON, TUE, FRI, SAT, SUN = 0, 1, 4, 5, 6


def limit(value: object) -> object:
    return structure({"resources": {"licence": value}}, FileTable, Place("f")).resources["licence"]


def scheduled(table: dict[str, object]) -> ScheduledLimit:
    found = limit(table)
    assert isinstance(found, ScheduledLimit)
    return found


def minute(text: str) -> int:
    hour, _, minutes = text.partition(":")
    return 60 * int(hour) + int(minutes)


def test_a_command_has_its_own_pace_or_the_default() -> None:
    assert limit({"command": "./free"}) == CommandLimit("./free", 30.0)
    assert limit({"command": "./free", "every": "2m"}) == CommandLimit("./free", 120.0)


@pytest.mark.parametrize(
    ("key", "day", "time", "is_in"),
    [
        ("08:00-18:00", SUN, "07:59", False),
        ("08:00-18:00", SUN, "08:00", True),
        ("08:00-18:00", SUN, "17:59", True),
        ("08:00-18:00", SUN, "18:00", False),
        ("18:00-24:00", SUN, "23:59", True),
        ("18:00-24:00", SUN, "00:00", False),
        ("22:00-06:00", SUN, "23:00", True),
        ("22:00-06:00", SUN, "05:59", True),
        ("22:00-06:00", SUN, "06:00", False),
        ("mon 08:00-18:00", MON, "12:00", True),
        ("mon 08:00-18:00", TUE, "12:00", False),
        ("mon-fri 22:00-06:00", FRI, "23:00", True),
        ("mon-fri 22:00-06:00", SAT, "05:00", True),  # the night that began on Friday
        ("mon-fri 22:00-06:00", SAT, "23:00", False),
        ("mon-fri 22:00-06:00", MON, "05:00", False),  # the night that began on Sunday
        ("sat-mon 00:00-24:00", SUN, "12:00", True),
        ("sat-mon 00:00-24:00", TUE, "12:00", False),
    ],
)
def test_a_part_of_the_week_contains_what_it_says(key: str, day: int, time: str, is_in: bool) -> None:
    assert scheduled({key: 4, "else": 40}).at(day, minute(time)) == (4 if is_in else 40)


def test_the_first_part_that_contains_a_time_counts() -> None:
    found = scheduled({"mon-fri 08:00-18:00": 4, "12:00-13:00": 8, "else": "unlimited"})
    assert [found.at(MON, minute("12:30")), found.at(SUN, minute("12:30")), found.at(SUN, 0)] == [4, 8, None]
    assert (found.largest, scheduled({"12:00-13:00": 8, "else": 3}).largest) == (None, 8)


@given(st.integers(0, 1440), st.integers(0, 1440), st.frozensets(st.integers(0, 6), min_size=1))
def test_as_many_minutes_of_a_week_are_in_a_part_as_it_is_long(begin: int, end: int, days: frozenset[int]) -> None:
    if begin in (end, 1440):
        return
    hours = Hours(days, begin, end)
    found = sum(hours.contains(day, each) for day in range(7) for each in range(0, 1440, 1))
    assert found == len(days) * ((end - begin) % 1440 or 1440)


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (-1, 'resources.licence is -1; expected a whole number from 0, or "unlimited"; { command'),
        (True, "resources.licence is true; expected a whole number"),
        ("some", 'resources.licence is "some"; expected'),
        ([4], "resources.licence is [4]; expected"),
        ({}, "resources.licence is a table; expected"),
        ({"else": 4}, 'which has a part of the day, and "else"'),
        ({"08:00-18:00": 4}, 'which has a part of the day, and "else"'),
        ({"08:00-18:00": "few", "else": 4}, 'resources.licence."08:00-18:00" is "few"; expected a whole number from 0'),
        ({"08:00-18:00": 1, "else": -4}, "resources.licence.else is -4; expected a whole number from 0"),
        ({"8:00-18:00": 4, "else": 4}, 'resources.licence."8:00-18:00" is 4; expected no such key; parts of a day are'),
        ({"08:00-08:00": 4, "else": 4}, "parts of a day are such as"),
        ({"24:00-08:00": 4, "else": 4}, "parts of a day are such as"),
        ({"08:00-24:01": 4, "else": 4}, "parts of a day are such as"),
        ({"08:60-18:00": 4, "else": 4}, "parts of a day are such as"),
        ({"Mon 08:00-18:00": 4, "else": 4}, "parts of a day are such as"),
        ({"mon-day 08:00-18:00": 4, "else": 4}, "parts of a day are such as"),
        ({"08:00-18:00\n": 4, "else": 4}, "parts of a day are such as"),
        ({"every": "30s"}, 'resources.licence is a table; expected a command, { command = "./free_licences"'),
        ({"command": 4}, "resources.licence.command is 4; expected text, a command for /bin/sh"),
        ({"command": ""}, 'resources.licence.command is ""; expected text'),
        ({"command": ["x"]}, 'resources.licence.command is ["x"]; expected text'),
        ({"command": "a\0b"}, "expected text, a command for /bin/sh"),
        ({"command": "x", "every": 0}, "resources.licence.every is 0; expected a number of seconds"),
        ({"command": "x", "every": "soon"}, 'resources.licence.every is "soon"; expected'),
        ({"command": "x", "timeout": 3}, "resources.licence.timeout is 3; expected no such key; the keys are command"),
        ({"command": "x", "else": 3}, "resources.licence.else is 3; expected no such key"),
    ],
)
def test_what_is_no_limit_is_told_with_its_place(value: object, complaint: str) -> None:
    with pytest.raises(InputError) as caught:
        limit(value)
    assert complaint in str(caught.value)
    assert str(caught.value).startswith("f: resources.licence")


def test_a_command_runs_in_the_directory_of_its_file_and_two_of_them_contradict_each_other(tmp_path: Path) -> None:
    text = '[resources]\nlicence = { command = "./free" }\n'
    (tmp_path / "a.toml").write_text(f'include = ["b/*.toml"]\n{text}[jobs.x]\ncmd = "true"')
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "b.toml").write_text("")
    assert load(str(tmp_path / "a.toml")).resources == {"licence": CommandLimit("./free", 30.0, tmp_path)}
    (tmp_path / "b" / "b.toml").write_text(text)
    with pytest.raises(InputError, match=r"\[resources\] licence has another limit than in "):
        load(str(tmp_path / "a.toml"))
