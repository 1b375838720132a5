"""Text by the name of a character set: names that are none cost nothing, and raise nothing else."""

from __future__ import annotations

import pytest

from relay.formats.charsets import MAX_VALUE, decoded, with_words_decoded, words_of

NO_CHARACTER_SETS = [
    "punycode", "IDNA", "unicode_escape", "Raw-Unicode-Escape", "undefined", "zlib", "rot13",
    "no-such",
]  # fmt: skip


@pytest.mark.parametrize(
    ("octets", "charset", "text"),
    [
        (b"Gr\xfc\xdfe", "iso-8859-1", "Grüße"),
        (b"\xff", "us-ascii", "\ufffd"),
        (b'\x1b$B$"\x1b(B', "iso-2022-jp", "あ"),
    ],
)
def test_text_is_decoded(octets: bytes, charset: str, text: str) -> None:
    assert decoded(octets, charset) == text


@pytest.mark.parametrize("charset", NO_CHARACTER_SETS)
def test_what_is_no_character_set_is_refused(charset: str) -> None:
    with pytest.raises(LookupError):
        decoded(b"-" + b"9a" * 500_000, charset)
    value = f"=?{charset}?q?-9a?="
    assert with_words_decoded(value) == value


def test_a_name_that_no_codec_could_have() -> None:
    with pytest.raises(ValueError, match="null"):
        decoded(b"", "a\x00b")


@pytest.mark.parametrize(
    "value",
    ["=?utf-8?b?x?=", "=?utf-8?q?=ED=A0=80?= =?\ufffd?q?a?=", "=?a?q?" * MAX_VALUE],
    ids=["bad-base64", "bad-charset", "long"],
)
def test_words_that_can_not_be_decoded_stay_as_they_are(value: str) -> None:
    assert with_words_decoded(value) == value


def test_words_in_a_value_that_is_too_long_are_not_looked_for() -> None:
    with pytest.raises(ValueError, match="too long"):
        words_of("x" * (MAX_VALUE + 1))
