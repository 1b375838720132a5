"""Every command that a page shows works, and prints what the page shows.

page_stages.py says how: by a scene for the page, and the commands are run here; or by the name of
the test that runs them; or by the reason why nothing can.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from page_commands import LANGUAGES, REPOSITORY, Command, Shell, commands, follow
from page_stages import ELSEWHERE, NOT_RUN, STAGES, Stage

PAGES = sorted(
    str(page.relative_to(REPOSITORY))
    for page in (
        REPOSITORY / "README.md",
        REPOSITORY / "CONTRIBUTING.md",
        *(REPOSITORY / "docs").rglob("*.md"),
        *(REPOSITORY / "examples").glob("*/README.md"),
    )
)
OF_THE_LAB = "docs/lab/expired.md"
"""The pages of scenarios are made from one form, so that one of them is enough."""
SAME_FORM = [p for p in PAGES if p.startswith("docs/lab/") and not p.endswith("README.md")]


def text_of(page: str) -> str:
    return (REPOSITORY / page).read_text("utf-8")


def run_here(page: str) -> dict[int, list[Command]]:
    """Return the blocks that no other test runs."""
    others = ELSEWHERE.get(page, {}).keys() | NOT_RUN.get(page, {}).keys()
    blocks = enumerate(commands(text_of(page)))
    return {number: block for number, block in blocks if number not in others}


def here(command: Command, stage: Stage) -> Command:
    """Return a page's command as it is run: with its code, and what the stage changes in it."""
    text = command.text
    for words, instead in stage.swaps.items():
        text = text.replace(words, instead)
    # What a page shows of a refusal says enough of its exit code.
    usual = 1 if re.match(r"Reply    [45]", command.shown) else 0
    code = next((c for begin, c in stage.codes.items() if command.text.startswith(begin)), usual)
    return Command(text=text, shown=command.shown, code=code)


def test_each_block_has_one_place_where_it_runs_or_a_reason() -> None:
    for page in ELSEWHERE.keys() | NOT_RUN.keys():
        blocks = range(len(commands(text_of(page))))
        told = [*ELSEWHERE.get(page, {}), *NOT_RUN.get(page, {})]
        assert len(told) == len(set(told)), page
        assert set(told) <= set(blocks), page
    shown = {page for page in PAGES if page not in SAME_FORM and run_here(page)}
    assert shown == STAGES.keys(), "a scene is missing, or has no commands"


@pytest.mark.parametrize("test", sorted({t for p in ELSEWHERE.values() for t in p.values()}))
def test_the_other_tests_exist_and_read_the_page(test: str) -> None:
    module, _, function = test.partition("::")
    (file,) = (REPOSITORY / "tests").rglob(f"{module}.py")
    source = file.read_text("utf-8")
    assert re.search(rf"^(async )?def {function}\(", source, re.MULTILINE)
    for page, blocks in ELSEWHERE.items():
        if test in blocks.values():
            # An example is known by its folder's name, every other page by its own.
            known = Path(page).parent.name if page.startswith("examples/") else Path(page).name
            assert f'{known}"' in source or page in source, page


def test_no_page_has_commands_that_are_not_marked_as_such() -> None:
    for page in PAGES:
        fences = re.findall(r"^```(\w*)\n(.*?)^```", text_of(page), re.MULTILINE | re.DOTALL)
        for language, content in fences:
            begins = re.findall(r"^\$ \S", content, re.MULTILINE)
            assert bool(begins) is (language in LANGUAGES), (page, content)


def test_pages_of_the_lab_have_the_commands_of_one_form() -> None:
    form = [c.text for block in commands(text_of(OF_THE_LAB)) for c in block]
    for page in SAME_FORM:
        name = Path(page).stem
        own = [c.text.split("  ")[0] for block in commands(text_of(page)) for c in block]
        assert own == [line.replace("expired", name).split("  ")[0] for line in form], page


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=[pytest.mark.judge(name) for name in ("bash", *stage.judges)])
        for page, stage in STAGES.items()
    ],
)
def test_the_commands_of_a_page_work(page: str, tmp_path: Path) -> None:
    stage = STAGES[page]
    shell = Shell(tmp_path)
    for name, content in stage.files.items():
        (tmp_path / name).write_text(shell.here(content), "utf-8")
    serve = [Command(text=stage.serve)] if stage.serve else []
    script = [(one, one) for one in serve]
    for number, block in run_here(page).items():
        before = [Command(text=stage.before[number], code=None)] if number in stage.before else []
        script += [(one, one) for one in before] + [(one, here(one, stage)) for one in block]
    ran = follow(shell, [run for _, run in script])
    for (original, _), done in zip(script, ran, strict=True):
        for begin, text in stage.says.items():
            assert not original.text.startswith(begin) or text in done.output, done
