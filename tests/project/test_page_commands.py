"""What runs the commands of pages: it reads them as people do, and notices what is not so."""

from __future__ import annotations

from pathlib import Path

import pytest
from page_commands import Command, Ran, Shell, commands, differs, follow

PAGE = """\
```console
$ cat > a.yaml <<'END'
tls: Off
END
$ printf '%s\\n' one \\
    two   # both
one
two
```

```yaml
$ not: a command
```

```sh
$ false
```
"""


def ran(shown: str, output: str) -> Ran:
    return Ran(command=Command(text="", shown=shown), code=0, output=output)


def test_a_command_may_have_more_lines_and_output_is_what_is_left() -> None:
    first, second = commands(PAGE)
    assert [one.text for one in first] == [
        "cat > a.yaml <<'END'\ntls: Off\nEND",
        "printf '%s\\n' one \\\n    two   # both",
    ]
    assert [one.shown for one in first] == ["", "one\ntwo"]
    assert [one.text for one in second] == ["false"]


@pytest.mark.parametrize(
    ("shown", "output", "missing"),
    [
        ("", "whatever", None),
        ("one two", "one\n  two", None),
        ("Host a[127.0.0.1]:25001 at 2026-01-02", "Host a[127.0.0.1]:3 at 2026-11-12", None),
        ("one\n...", "one\ntwo\nthree", None),
        ("...\nthree", "one\ntwo\nthree", None),
        ("one\n...\nthree four", "one\ntwo\nthree\nfour", None),
        ("one\n...\ntwo\n...\none", "one\ntwo\none\none", None),
        ("one two", "one\ntwo\nthree", "one two"),
        ("two", "one\ntwo", "two"),
        ("one\n...\nthree", "zero\none\nthree", "one\n"),
        ("one\n...\nfour", "one\ntwo\nthree", "\nfour"),
        ("one\n...\nfour", "one\nfour\nfive", "\nfour"),
        ("three\n...\none", "one\nthree", "three\n"),
        ("one\n...\none", "one", "\none"),
        ("one\n...\ntwo\n...\none", "one\none", "\ntwo\n"),
        ("451 4.7.5", "451 4.7.6", "451 4.7.5"),
    ],
)
def test_what_a_page_shows_and_was_not_printed_is_told(
    shown: str, output: str, missing: str | None
) -> None:
    assert differs(ran(shown, output)) == missing


@pytest.mark.judge("bash")
def test_one_shell_runs_them_until_one_ends_otherwise(tmp_path: Path) -> None:
    script = [Command(text="export GIVEN=7"), Command(text="echo $GIVEN; exit_code=3; (exit 3)")]
    after = Command(text="touch ran", code=None)
    done = Shell(tmp_path).run([*script, after])
    assert [one.code for one in done] == [0, 3]
    assert done[1].output == "7\n"
    assert not (tmp_path / "ran").exists()
    with pytest.raises(AssertionError, match=r"\(exit 3\)"):
        follow(Shell(tmp_path / "again"), [*script, after])


@pytest.mark.judge("bash")
def test_a_server_that_does_not_get_ready_is_noticed(tmp_path: Path) -> None:
    (one,) = Shell(tmp_path).run([Command(text="relay serve --policy nonsense")])
    assert one.code != 0
    assert "no policy file 'nonsense'" in one.output
