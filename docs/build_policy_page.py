"""Makes docs/policy.md, every key of a policy file, from the schema that validates it.

Run it after relay/config/file_shape.py has changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from textwrap import fill
from typing import Any, Final, TypeAlias

from relay.config.schema import policy_schema
from relay.core.settings import TlsSetting

PAGE: Final = Path(__file__).parent / "policy.md"
Schema: TypeAlias = Mapping[str, Any]

_INTRODUCTION: Final = """\
<!-- Made by docs/build_policy_page.py from the schema of policy files. -->

# The policy file

A policy is a YAML file that says how mail is sent on: which TLS setting holds for whom, where mail
goes, when it is tried again, and what failures are called. Every key may be left out. `policies/`
has eleven of them with comments, [everything.yaml](../policies/everything.yaml) every key.

```console
$ relay policy lint my-policy.yaml
$ relay policy explain jane@bank.example --policy my-policy.yaml
$ relay policy schema > policy.schema.json
```

The first reports every mistake in one run, each with file, line, column and a hint, and warns of
what surprises. The second says what the policy makes of one address. The third prints the schema
that this page is made of, for editors:
`# yaml-language-server: $schema=policy.schema.json` as a file's first line makes many of them
complete its keys.

Five things about the way values are written:

- `Off`, `on` and `no` are words here, not truth values, with or without quotes.
- A pattern that begins with `*` needs quotes, as YAML has it.
- `*.example.com` stands for sub-domains of any depth and never for `example.com`; `*` for all.
- A time is a number of seconds, or a number with a unit: `500ms`, `25s`, `5m`, `24h`, `7d`.
- File names are relative to the policy file.
"""
_wrap = partial(fill, width=100, break_on_hyphens=False)
_TIME: Final = r"^[0-9]+(\.[0-9]+)?\s*(ms|s|m|h|d)?$"


def page() -> str:
    """Return the whole page."""
    schema = policy_schema()
    parts = [_INTRODUCTION, "## The file's keys\n"]
    for key, value in schema["properties"].items():
        parts.append(f"### `{key}`\n\n{_wrap(_described(value, schema))}\n")
    parts.append("## The keys of mappings\n")
    for name in places(schema):
        parts.extend(_mapping(name, schema))
    return "\n".join(parts).rstrip() + "\n"


def places(schema: Schema) -> Mapping[str, list[str]]:
    """Return, for each mapping of the schema, its places: `under` a key, or `each of` a list."""
    found: dict[str, list[str]] = {}

    def look(value: Schema, path: str) -> None:
        for name, in_list in _references(value):
            found.setdefault(name, []).append(f"{'each of' if in_list else 'under'} `{path}`")
            for key, inner in schema["$defs"][name]["properties"].items():
                look(inner, f"{path}.{key}")

    for key, value in schema["properties"].items():
        look(value, key)
    return found


def _references(value: Schema, *, in_list: bool = False) -> Iterator[tuple[str, bool]]:
    if "$ref" in value:
        yield value["$ref"].rpartition("/")[2], in_list
    for choice in value.get("anyOf", ()):
        yield from _references(choice, in_list=in_list)
    if "items" in value:
        yield from _references(value["items"], in_list=True)


def _mapping(name: str, schema: Schema) -> Iterator[str]:
    shape = schema["$defs"][name]
    required = shape.get("required", ())
    yield f"### {_heading(name, schema)}\n"
    if "description" in shape:
        paragraphs = shape["description"].split("\n\n")
        yield "\n\n".join(_wrap(" ".join(text.split())) for text in paragraphs) + "\n"
    rows = []
    entries = []
    for key, value in shape["properties"].items():
        if value["description"] == f"The code and text for {key}.":
            entries.append(f"`{key}`")
        else:
            must = " Must be there." if key in required else ""
            row = f"- `{key}`: {_described(value, schema)}{must}"
            rows.append(_wrap(row, subsequent_indent="  "))
    yield "\n".join(rows) + "\n"
    if entries:
        said = (
            'Each other key replaces the code and text of one failure: `"451 4.7.4 Use TLS"`. '
            "[What this relay says](codes.md#what-this-relay-says) has those of every book. "
            f"The keys are {', '.join(entries)}."
        )
        yield f"{_wrap(said)}\n"


def _heading(name: str, schema: Schema) -> str:
    return " and ".join(places(schema)[name]).capitalize()


def _anchor(name: str, schema: Schema) -> str:
    kept = (c for c in _heading(name, schema).lower() if c.isalnum() or c in " -_")
    return "".join(kept).replace(" ", "-")


def _described(value: Schema, schema: Schema) -> str:
    """Return what a value means and, where that does not name each choice, what it may be."""
    said = " ".join(value["description"].split())
    if not all(f"`{word}`" in said for word in value.get("enum", [None])):
        said += f" Takes {_kind(value, schema)}."
    examples = ", ".join(f"`{_written(example)}`" for example in value.get("examples", ()))
    return f"{said} For example {examples}." if examples else said


def _kind(value: Schema, schema: Schema) -> str:
    match value:
        case {"$ref": str()}:
            ((name, _),) = _references(value)
            return f"[a mapping](#{_anchor(name, schema)})"
        case {"anyOf": list(choices)} if any(c.get("pattern") == _TIME for c in choices):
            return "a time"
        case {"anyOf": list(choices)}:
            return ", or ".join(_kind(choice, schema) for choice in choices)
        case {"enum": list(words)} if {s.label for s in TlsSetting} <= set(words):
            return (
                f"{', '.join(f'`{setting.label}`' for setting in TlsSetting)}, as Setup spells"
                " them, or as the API (`RequiredVerify`) or options do (`required-verify`)"
            )
        case {"enum": list(words)}:
            written = list(dict.fromkeys(f"`{_written(word)}`" for word in words))
            return " or ".join(filter(None, [", ".join(written[:-1]), written[-1]]))
        case {"type": "array", "items": item}:
            return f"a list of {_kinds(item, schema)}"
        case {"type": "boolean"}:
            return "`true` or `false`"
        case {"type": "integer" | "number" as type_}:
            whole = "whole number" if type_ == "integer" else "number"
            limits = [f"from {value['minimum']}"] if "minimum" in value else []
            limits += [f"to {value['maximum']}"] if "maximum" in value else []
            return " ".join([f"a {whole}", *limits])
        case {"type": "string"}:
            return "a text"
        case _:
            raise ValueError(f"a kind of value that the page has no words for: {value}")


def _kinds(value: Schema, schema: Schema) -> str:
    """Return what each item of a list may be, in the plural."""
    match value:
        case {"$ref": str()}:
            ((name, _),) = _references(value)
            return f"[mappings](#{_anchor(name, schema)})"
        case {"anyOf": list(choices)} if any(c.get("pattern") == _TIME for c in choices):
            return "times"
        case {"anyOf": list(choices)}:
            return " or ".join(_kinds(choice, schema) for choice in choices)
        case {"type": "string"}:
            return "texts"
        case _:
            raise ValueError(f"a kind of item that the page has no words for: {value}")


def _written(value: object) -> str:
    match value:
        case list(items):
            return f"[{', '.join(_written(item) for item in items)}]"
        case str(text) if text.startswith("*"):
            return f'"{text}"'
        case _:
            return str(value)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
