"""The pytest plugin, in projects of its own: what their authors write, and what they see."""

from __future__ import annotations

import re
import subprocess
import sys
from base64 import b64encode

import pytest

pytest_plugins = ("pytester",)

MAIL = """
import smtplib
import pytest

def send(relay, to, login=None):
    with smtplib.SMTP(relay.host, relay.submission_port if login else relay.port) as client:
        if login:
            client.starttls()
            client.login(*login)
        client.sendmail("me@example.test", [to], "Subject: hello\\r\\n\\r\\nbody\\r\\n")
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project without any configuration but where temporary files go, and `send` to import."""
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makepyfile(mail=MAIL)
    return pytester


def run(project: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    others = ("mailpit", "cacheprovider", "schemathesis", "hypothesispytest", "anyio")
    without = [part for name in others for part in ("-p", f"no:{name}")]
    return project.runpytest_subprocess(*without, "--strict-markers", "-W", "error", *arguments)


SYNCHRONOUS = """
from smtplib import SMTPDataError
import pytest
from mail import send

ports = set()

@pytest.mark.parametrize("turn", range(3))
def test_clean_per_test_on_one_port(mail_relay, mail_lab, turn):
    assert (mail_relay.messages, mail_relay.bounces, mail_relay.sessions) == ((), (), ())
    assert mail_lab.received("good") == ()
    send(mail_relay, "a@good.lab.test")
    assert len(mail_relay.messages) == len(mail_lab.received("good")) == 1
    ports.add(mail_relay.port)
    assert len(ports) == 1

def test_required_verify_without_a_word(mail_relay):
    with pytest.raises(SMTPDataError) as caught:
        send(mail_relay, "a@expired.lab.test")
    assert caught.value.smtp_code == 451

@pytest.mark.mail_policy("required-verify", restrict_tls_to=["*.partner.test"])
def test_a_marker_with_settings(mail_relay):
    send(mail_relay, "a@expired.lab.test")
    mail_relay.wait_for("delivered", recipient="a@expired.lab.test")

@pytest.mark.mail_policy("tls: Required\\nreply: queued\\nretry: salesforce\\n")
def test_inline_yaml_and_a_day(mail_relay):
    send(mail_relay, "a@no-starttls.lab.test")
    mail_relay.clock.advance(hours=24)
    assert str(mail_relay.wait_for("bounced", timeout=0).code) == "554 5.4.7"

@pytest.mark.mail_policy("own.yaml")
def test_a_file_beside_the_test(mail_relay):
    send(mail_relay, "a@no-starttls.lab.test")

def test_what_another_test_put_in_force_is_gone(mail_relay):
    with pytest.raises(SMTPDataError):
        send(mail_relay, "a@no-starttls.lab.test")
    mail_relay.load_policy("off")

def test_what_this_test_alone_put_in_force_is_gone(mail_relay):
    with pytest.raises(SMTPDataError):
        send(mail_relay, "a@no-starttls.lab.test")

class TestOverridden:
    @pytest.fixture
    def mail_relay_policy(self):
        return {"tls": "Off"}

    def test_by_a_fixture(self, mail_relay):
        send(mail_relay, "a@no-starttls.lab.test")

def test_more_relays(make_mail_relay, mail_relay):
    clear = make_mail_relay("off")
    queued = make_mail_relay("required", reply="queued")
    send(clear, "a@no-starttls.lab.test")
    send(queued, "a@no-starttls.lab.test")
    assert len({clear.port, queued.port, mail_relay.port}) == 3
    assert clear.ca_pem == queued.ca_pem == mail_relay.ca_pem
    assert mail_relay.messages == ()
"""


@pytest.mark.parametrize("workers", ["0", "2"])
def test_synchronous_tests_also_under_xdist(project: pytest.Pytester, workers: str) -> None:
    project.makepyfile(test_it=SYNCHRONOUS)
    (project.path / "own.yaml").write_text("tls: Preferred\n")
    run(project, "-n", workers).assert_outcomes(passed=11)


ASYNCHRONOUS = """
import asyncio, aiosmtplib, pytest
{mark}
async def test_it(mail_relay):
    await aiosmtplib.send(
        "Subject: hello\\r\\n\\r\\nbody", sender="me@example.test", recipients=["a@good.lab.test"],
        hostname=mail_relay.host, port=mail_relay.port, start_tls=False)
    assert mail_relay.wait_for("delivered").recipient == "a@good.lab.test"
    waited = await asyncio.to_thread(mail_relay.wait_for, "delivered")
    assert waited.recipient == "a@good.lab.test"
"""


@pytest.mark.parametrize(
    ("mark", "options"),
    [("", ("-o", "asyncio_mode=auto")), ("@pytest.mark.asyncio", ("-o", "asyncio_mode=strict"))],
    ids=["auto", "strict"],
)
def test_asynchronous_tests(project: pytest.Pytester, mark: str, options: tuple[str, ...]) -> None:
    project.makepyfile(test_it=ASYNCHRONOUS.format(mark=mark))
    run(project, *options).assert_outcomes(passed=1)


def test_without_other_plugins_and_by_options(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_it="from mail import send\n"
        "def test_it(mail_relay):\n    send(mail_relay, 'a@no-starttls.lab.test')\n"
    )
    project.makeini("[pytest]\nmail_policy = preferred\n")
    alone = ("-p", "no:asyncio", "-p", "no:xdist", "-p", "no:timeout")
    run(project, *alone).assert_outcomes(passed=1)
    told = run(project, *alone, "--mail-policy", "Required")
    told.assert_outcomes(failed=1)
    wrong = run(project, *alone, "--mail-policy", "Requird")
    wrong.assert_outcomes(errors=1)
    wrong.stdout.fnmatch_lines(["*no policy file 'Requird'; did you mean*"])
    wrong.stdout.no_fnmatch_line("*another exception occurred*")


def test_a_failure_shows_the_dialogs_and_no_secret(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_it="from mail import send\n"
        "def test_fails(mail_relay):\n"
        "    try:\n"
        "        send(mail_relay, 'a@no-starttls.lab.test', ('user', chr(90) * 9))\n"
        "    finally:\n"
        "        while len(mail_relay.sessions) < 2: pass\n"
        "def test_passes(mail_relay):\n"
        "    pass\n"
        "def test_fails_without():\n"
        "    assert False\n"
    )
    told = run(project, "--tb=line")
    told.assert_outcomes(passed=1, failed=2)
    told.stdout.fnmatch_lines(
        [
            "*mail relay smtp://127.0.0.1:*",
            "message * from <me@example.test> 'hello'",
            "  a@no-starttls.lab.test: failed",
            "bounce a@no-starttls.lab.test failed: 451 4.7.6 *",
            "session out, to mx.no-starttls.lab.test (127.0.0.1:*)",
            "  --> EHLO relay.lab.test",
            "   [*]  verdict: terminate (starttls-not-offered)",
        ],
        consecutive=False,
    )
    output = told.stdout.str()
    assert len(re.findall(r"^-+ mail relay ", output, re.MULTILINE)) == 1
    assert "AUTH" in output
    assert "[redacted]" in output
    assert "ZZZZZZZZZ" not in output
    assert b64encode(b"\0user\0ZZZZZZZZZ").decode() not in output


MISUSED = """
import pytest

@pytest.mark.mail_policy()
def test_none(mail_relay): pass
@pytest.mark.mail_policy("required", "off")
def test_two(mail_relay): pass
@pytest.mark.mail_policy(17)
def test_number(mail_relay): pass
@pytest.mark.mail_policy("requird")
def test_name(mail_relay): pass
@pytest.mark.mail_policy("required", restrict_tls=["x.test"])
def test_key(mail_relay): pass
@pytest.mark.mail_policy("tls: [")
def test_yaml(mail_relay): pass
@pytest.mark.mail_policy(tls=object())
def test_object(mail_relay): pass
"""
COMPLAINTS = [
    "test_none: @pytest.mark.mail_policy names no policy",
    "test_two: @pytest.mark.mail_policy takes one policy, not 2; other keys of it go by name",
    "test_number: @pytest.mark.mail_policy takes a name, a path, YAML text, its data or a setting",
    "test_name: no policy file 'requird'; did you mean 'required'?",
    "did you mean 'restrict_tls_to'?",
    "test_yaml: the policy can't be used:",
    "test_object: the policy can't be read: ",
]


def test_a_marker_misused_ends_the_run_with_all_complaints(project: pytest.Pytester) -> None:
    project.makepyfile(test_it=MISUSED)
    told = run(project)
    assert told.ret == pytest.ExitCode.USAGE_ERROR
    assert "Traceback" not in told.stderr.str()
    for complaint in COMPLAINTS:
        assert complaint in told.stderr.str()


def test_a_marker_misused_under_xdist_is_an_error_of_its_test(project: pytest.Pytester) -> None:
    project.makepyfile(test_it=MISUSED)
    told = run(project, "-n", "1")
    told.assert_outcomes(errors=7)
    assert "Traceback" not in told.stdout.str()
    for complaint in COMPLAINTS:
        assert re.sub(r"^test_\w+: ", "", complaint) in told.stdout.str()


def test_the_plugin_is_cheap_and_the_marker_registered(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_it="""
        import sys
        def test_nothing_was_imported(pytestconfig):
            assert pytestconfig.pluginmanager.has_plugin("relaylab")
            heavy = {"fastapi", "aiosmtpd", "aiosmtplib", "typer", "rich", "cryptography", "yaml"}
            assert not heavy & set(sys.modules)
            own = {name for name in sys.modules if name.split(".")[0] == "relay"}
            assert own == {"relay", "relay.testing", "relay.testing.plugin"}
        """
    )
    run(project).assert_outcomes(passed=1)
    told = run(project, "--markers")
    told.stdout.fnmatch_lines(["@pytest.mark.mail_policy(policy, [*][*]settings): *"])


def test_the_module_alone_imports_nothing_else() -> None:
    program = (
        "import sys, relay.testing.plugin\n"
        "print(sorted(name for name in sys.modules if name.split('.')[0] == 'relay'))"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == "['relay', 'relay.testing', 'relay.testing.plugin']"
