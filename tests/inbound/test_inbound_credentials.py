from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.inbound.credentials import Credentials, CredentialsError, ScryptHash
from relay.inbound.sasl import decode, plain_login

FILE = """\
# who may submit
app:opensesame

  spaced :pass:with:colons
hashed:{}
"""


def test_a_file_with_every_kind_of_line(tmp_path: Path) -> None:
    path = tmp_path / "users"
    hashed = ScryptHash.of("opensesame", salt=b"salt", n=16)
    path.write_text(FILE.format(hashed), encoding="utf-8")
    credentials = Credentials.load(path)
    assert credentials.accept("app", "opensesame")
    assert credentials.accept("spaced ", "pass:with:colons")
    assert credentials.accept("hashed", "opensesame")
    for user, password in [
        ("app", "opensesame "),
        ("app", ""),
        ("hashed", "wrong"),
        ("hashed", str(hashed)),
        ("nobody", "opensesame"),
        ("grün", "blau"),
    ]:
        assert not credentials.accept(user, password)


def test_every_problem_of_a_file_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "users"
    path.write_bytes(
        b"app:one\n# fine\nno colon\n:empty\nempty:\napp:two\n\xff:x\n"
        b"a:scrypt$16$8$1$c2FsdA==\nb:scrypt$15$8$1$c2FsdA==$c2FsdA==\n"
        b"c:scrypt$x$8$1$c2FsdA==$c2FsdA==\nd:scrypt$16$8$1$c2FsdA==$c2FsdA==\n"
        b"e:scrypt$16$8$1$!$c2FsdA==\nf:scrypt$1073741824$8$1$c2FsdA==$c2FsdA==\n"
    )
    with pytest.raises(CredentialsError) as caught:
        Credentials.load(path)
    lines = str(caught.value).splitlines()
    assert [line.split(": ", 1)[0] for line in lines] == [
        f"{path}:{number}" for number in (3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13)
    ]
    assert lines[0].endswith(": a line has the form user:password")
    assert "one" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Credentials.load(tmp_path / "none")


def test_no_secret_shows_in_a_repr() -> None:
    hashed = ScryptHash.of("opensesame", salt=b"saltsalt", n=16)
    credentials = Credentials.parse(b"app:opensesame\n", name="users")
    assert "opensesame" not in repr(credentials)
    assert "saltsalt" not in repr(hashed)


@given(password=st.text(min_size=1), salt=st.binary(min_size=1, max_size=16))
def test_a_hash_is_read_back(password: str, salt: bytes) -> None:
    hashed = ScryptHash.of(password, salt=salt, n=2, r=1)
    assert ScryptHash.parse(str(hashed)) == hashed
    assert hashed.matches(password)
    assert not hashed.matches(password + "x")


@pytest.mark.parametrize(
    ("response", "user"),
    [
        (b"\0app\0secret", "app"),
        (b"app\0app\0secret", "app"),
        (b"other\0app\0secret", None),
        (b"app\0secret", None),
        (b"\0app\0", None),
        (b"\0\0secret", None),
        (b"\0\xff\0secret", None),
        (b"\0a\0b\0c", None),
        (b"", None),
    ],
)
def test_plain_responses(response: bytes, user: str | None) -> None:
    found = plain_login(response)
    assert (found.user if found else None) == user
    assert "secret" not in repr(found)


def test_base64_is_read_strictly() -> None:
    assert decode(base64.b64encode(b"\0a\0b").decode()) == b"\0a\0b"
    assert decode("=") == b""
    for text in ("not base64", "YQ", "YQ==\n", "ü"):
        assert decode(text) is None
