"""What each page takes for granted before its first command, and what a test changes in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from page_commands import REPOSITORY, commands, fences

Numbered: TypeAlias = Mapping[int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The scene of a page: files in an empty folder, and mostly a relay that serves."""

    serve: str = "relay serve"
    """Started before the first block; empty where the page starts its own, or needs none."""
    files: Mapping[str, str] = field(default_factory=dict)
    before: Numbered = field(default_factory=dict)
    """Commands by the number of the block (from 0) that they come before."""
    codes: Mapping[str, int] = field(default_factory=dict)
    """The exit codes that are not 0, by how a command begins."""
    says: Mapping[str, str] = field(default_factory=dict)
    """A text that a command prints, by how the command begins, beyond what the page shows."""
    swaps: Mapping[str, str] = field(default_factory=dict)
    """What would take minutes, or a path of the whole machine, and what stands there instead."""
    judges: tuple[str, ...] = ()
    """Outside programs that the page calls."""


def _page(name: str) -> str:
    return (REPOSITORY / "docs" / name).read_text("utf-8")


def _fence(page: str, language: str, number: int = 0) -> str:
    return fences(_page(page), language)[number]


_EXAMPLES: Final = ("django", "fastapi", "flask", "node")
_CURL: Final = ("curl",)
_PROVED: Final = (
    "tls: {setting}\n"
    "routes:\n"
    '  - {{match: good.lab.test, to: "smtp://127.0.0.1:2600"}}\n'
    '  - {{match: no-starttls.lab.test, to: "smtp://127.0.0.1:2611"}}\n'
)
"""A relay that knows where `relay prove` puts its receivers."""
_POSTFIX_LINE: Final = (
    "Mar  6 13:37:00 mx postfix/smtp[2]: 4X1: to=<a@bank.example>, relay=none, delay=1, "
    "delays=0/0/0/1, dsn={dsn}, status={status}\n"
)
_BOUNCE: Final = """\
From: MAILER-DAEMON@mx.example
To: jane@example.com
Subject: Undelivered Mail
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="=part"

--=part
Content-Type: text/plain

It did not arrive.

--=part
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example

Final-Recipient: rfc822; ann@bank.example
Action: failed
Status: 4.7.5
Diagnostic-Code: smtp; 451 4.7.5 certificate has expired

--=part--
"""
_CONTACTS: Final = """\
Id,Email,FirstName,LastName
003A1,ann@no-starttls.lab.test,Ann,Archer
003A2,bob@partner.test,Bob,Builder
003A3,cleo@user-unknown.lab.test,Cleo,
"""
_NOW: Final = _fence("what-if.md", "yaml")

STAGES: Final[Mapping[str, Stage]] = {
    "docs/api.md": Stage(
        before={0: "relay send anyone@expired.lab.test"},
        says={"timeout 2 curl": "event: bounced\n"},
        judges=_CURL,
    ),
    "docs/bounces.md": Stage(
        serve="relay serve --policy p.yaml",
        files={
            "p.yaml": "tls: Required\nsalesforce:\n  bounce_management: {}\n",
            "contacts.csv": _CONTACTS,
        },
        before={0: "relay send ann@no-starttls.lab.test"},
    ),
    "docs/check.md": Stage(
        serve="",
        files={"partners.txt": "good.lab.test\nexpired.lab.test\nno-starttls.lab.test\n"},
        codes={"relay check --no-versions": 1},
    ),
    "docs/ci.md": Stage(
        serve="relay serve --policy p.yaml",
        files={"p.yaml": _PROVED.format(setting="Required")},
        swaps={"127.0.0.1:25 ": "127.0.0.1:1025 --base-port 2600 --scenarios no-starttls "},
        says={"relay prove": "Yes, Required is enforced: 2 enforced."},
    ),
    "docs/codes.md": Stage(
        serve="",
        files={
            "mail.log": _POSTFIX_LINE.format(dsn="4.7.5", status="deferred (451 4.7.5 expired)"),
            "bounce.eml": _BOUNCE,
        },
        says={"relay codes < bounce.eml": "4.7.5"},
    ),
    "docs/email-log.md": Stage(
        before={0: "relay send anyone@user-unknown.lab.test"},
        says={"relay log export --since 24h": '"event": "P"'},
        judges=("jq",),
    ),
    "docs/evidence.md": Stage(serve=""),
    "docs/expired-certificate.md": Stage(
        serve="",
        files={"partner.yaml": _fence("expired-certificate.md", "yaml")},
        codes={"relay send": 1, "openssl": 1},
        says={"openssl": "certificate has expired"},
        # On the lab's usual ports, which pages name and a test moves.
        swaps={"relay lab serve": "relay lab serve --base-port 2600 --dns-port 0 --no-web"},
        judges=("openssl",),
    ),
    "docs/fault-scripts.md": Stage(
        serve="",
        files={"flaky.yaml": _fence("fault-scripts.md", "yaml")},
        codes={"relay send": 1},
        says={"relay send": "450 4.2.1"},
        # Two terminals are one here, and the lab's usual ports may be taken.
        swaps={
            "relay lab serve": "relay lab serve --state lab --base-port 0 --dns-port 0 --no-web"
        },
    ),
    "docs/install.md": Stage(serve="", says={"relay --show-completion": "complete_bash"}),
    "docs/mailpit.md": Stage(
        codes={"relay send anyone@expired": 1},
        says={
            "curl -sf 'http://127.0.0.1:8025/api/v1/messages": '"messages_count": 2',
            "curl -sfG": '"messages_count": 1',
            "curl -sf -X DELETE": "ok",
        },
        judges=_CURL,
    ),
    "docs/management-port.md": Stage(
        files={"faults.yaml": _fence("management-port.md", "yaml")},
        before={0: "relay send anyone@good.lab.test"},
        says={"curl -sf http://127.0.0.1:8025/readyz": '"ready"'},
        judges=_CURL,
    ),
    "docs/notice.md": Stage(
        serve="",
        files={
            "partner.yaml": "routes:\n  - {match: bank.example, to: lab/good}\n",
            "expired.yaml": "routes:\n  - {match: bank.example, to: lab/expired}\n",
        },
        judges=("openssl",),
    ),
    "docs/partner-bounces.md": Stage(
        serve="",
        files={
            "same.yaml": _fence("partner-bounces.md", "yaml"),
            "exception.yaml": _fence("partner-bounces.md", "yaml", 1),
        },
    ),
    "docs/policy.md": Stage(
        serve="",
        files={"my-policy.yaml": "tls: Required Verify\n"},
        says={"relay policy schema": '"$schema"'},
        swaps={"> policy.schema.json": "| tee policy.schema.json"},
    ),
    "docs/prove.md": Stage(
        serve="relay serve --policy p.yaml",
        files={"p.yaml": _PROVED.format(setting="Required")},
        codes={"relay prove --listen": 3},
        says={
            "relay prove  ": "Yes, Required Verify is enforced: 2 enforced.",
            "relay prove --claims": "Yes, Required is enforced: 2 enforced.",
            "relay prove --relay": "Yes, Required is enforced: 2 enforced.",
            "relay prove --verify": "Verified: the digest fits",
        },
        swaps={
            "relay prove  ": "relay prove --scenarios expired ",
            "prove --claims required  ": "prove --claims required --scenarios no-starttls ",
            "prove --save": "prove --scenarios expired --save",
            "/etc/postfix/lab": "postfix-lab",
            "127.0.0.1:25 ": "127.0.0.1:1025 --base-port 2600 --scenarios no-starttls ",
            "--wait 10m": "--wait 1s",
        },
    ),
    "docs/salesforce-api.md": Stage(
        serve="relay serve --policy p.yaml --web-tls",
        files={
            "p.yaml": "salesforce: {bounce_management: {}}\n",
            "poll.py": _fence("salesforce-api.md", "python"),
        },
        says={
            "curl": '"totalSize": 1',
            "REQUESTS_CA_BUNDLE": "ann@user-unknown.lab.test 550 5.1.1 User unknown\n",
        },
        judges=_CURL,
    ),
    "docs/salesforce.md": Stage(
        serve="relay serve --policy email-relay.yaml",
        files={
            "email-relay.yaml": (REPOSITORY / "policies/email-relay.yaml")
            .read_text("utf-8")
            .replace("    tls: Required ", "    tls: Preferred "),
            "required.yaml": (REPOSITORY / "policies/email-relay.yaml").read_text("utf-8"),
        },
        before={1: "cp required.yaml email-relay.yaml; relay policy reload"},
    ),
    "docs/what-if.md": Stage(
        serve="relay serve --policy now.yaml",
        files={
            "now.yaml": _NOW,
            "then.yaml": _NOW.replace("\ntls: Preferred", "\ntls: Required"),
            "partners.txt": "ann@bank.example\npartner-x.com\n",
            "email-log.csv": "Recipient\nann@bank.example\n",
            "mail.log": _POSTFIX_LINE.format(dsn="2.0.0", status="sent (250 ok)"),
        },
        # The page's policy is not tested, so that there is nothing to sum up.
        codes={"relay what-if --report-only": 3},
    ),
}
"""Scenes by page. A page comes here by hand, because its commands are run as they stand."""


def _all(page: str, test: str) -> Numbered:
    return dict.fromkeys(range(len(commands(_page(page)))), test)


_CLONE: Final = "test_tutorial_page::test_from_a_clone"
_ENGINE: Final = "test_container_engine::test_the_commands_of_the_page_work"
_COMPOSE_PROVE: Final = (
    "test_container_engine::test_a_real_postfix_is_proven_by_the_words_of_its_page"
)
_EXAMPLE: Final = "test_examples_page::test_an_example_by_its_own_words"
_POSTFIX: Final = "test_prove_postfix_page::test_postfix_is_proved_as_the_page_says"

ELSEWHERE: Final[Mapping[str, Numbered]] = {
    "README.md": {0: _CLONE},
    "docs/docker.md": dict.fromkeys(range(4), _ENGINE),
    "docs/install.md": {0: _CLONE},
    "docs/lab/expired.md": {0: _CLONE},
    "docs/prove-postfix.md": _all("prove-postfix.md", _POSTFIX),
    "docs/prove-salesforce.md": _all(
        "prove-salesforce.md", "test_prove_salesforce_page::test_the_walk"
    ),
    "docs/tutorial.md": _all("tutorial.md", _CLONE),
    "examples/compose-prove-postfix/README.md": dict.fromkeys(range(2), _COMPOSE_PROVE),
    **{f"examples/{name}/README.md": {0: _EXAMPLE} for name in _EXAMPLES},
}
"""Blocks by page and number (from 0) that need more than a shell, and the test that runs them."""

NOT_RUN: Final[Mapping[str, Numbered]] = {
    "README.md": {1: "the whole suite, of which this is a part"},
    "docs/docker.md": {4: "as root: .ci/run starts and stops the engine with these words"},
}
"""Blocks that no test can run, and why."""
