"""No text commands the terminal."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunekit.printable import printable

CASES = {
    "a colour": ("\x1b[31mred\x1b[0m", "red"),
    "a window title": ("\x1b]0;owned\x07text", "text"),
    "a link": ("\x1b]8;;http://x\x1b\\here\x1b]8;;\x1b\\", "here"),
    "a cleared screen": ("\x1b[2J\x1b[Htext", "text"),
    "a reset": ("\x1bctext", "text"),
    "an 8-bit introducer": ("\x9b31mtext", "text"),
    "a string that never ends": ("\x1b]0;text", "0;text"),
    "a bell and a backspace": ("a\x07b\x08c", "abc"),
    "a mark that turns the line around": ("abc\u202edef", "abcdef"),
    "a bar that is drawn over": ("10 %\r50 %\r100 %\nnext", "100 %\nnext"),
    "a line end of Windows": ("one\r\ntwo\r\n", "one\ntwo\n"),
    "what is kept": ("tab\tline\nümlaut 日本 🙂", "tab\tline\nümlaut 日本 🙂"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_commands_a_terminal_is_taken_out(case: str) -> None:
    text, expected = CASES[case]

    assert printable(text) == expected


@given(st.text(alphabet=st.sampled_from("\x1b[]0;m\x07\\P\x9b\x9c\r\n\tab\u202e")))
def test_no_control_character_is_left_and_a_second_pass_changes_nothing(text: str) -> None:
    clean = printable(text)

    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", clean)
    assert printable(clean) == clean
