"""`relay.Relay` and `relay.running`, used as other people's tests use them."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
import traceback
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import aiosmtplib
import pytest

import relay

BODY = "From: me@example.test\r\nSubject: hello\r\n\r\nbody\r\n"
A_DAY_QUEUED = "tls: Required\nreply: queued\nretry: salesforce\n"


def send(one: relay.RunningRelay, *to: str) -> int:
    """Return the code of the reply to DATA."""
    with smtplib.SMTP(one.host, one.port) as client:
        try:
            client.sendmail("me@example.test", to, BODY)
        except smtplib.SMTPDataError as error:
            return error.smtp_code
    return 250


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[relay.RunningRelay]:
    with relay.running(certificates=tmp_path_factory.mktemp("certs")) as one:
        yield one


@pytest.fixture
def one(shared: relay.RunningRelay) -> relay.RunningRelay:
    shared.clear()
    shared.load_policy("required-verify")
    return shared


async def test_in_the_callers_loop() -> None:
    async with relay.Relay("required", lab=True) as one:
        assert one.smtp_url == f"smtp://127.0.0.1:{one.port}"
        await aiosmtplib.send(
            BODY, sender="me@example.test", recipients=["a@good.lab.test"],
            hostname=one.host, port=one.port, tls_context=trusting(one),
            start_tls=True,
        )  # fmt: skip
        happened = await one.wait_for("delivered", recipient="a@good.lab.test")
        (message,) = one.messages
        assert happened.message_id == message.id
        assert (message.sender, message.subject) == ("me@example.test", "hello")
        assert message.states == {"a@good.lab.test": "delivered"}
        assert message.parsed().get_content().strip() == "body"
        (received,) = one.received("good")
        assert received.encrypted
        assert b"\r\nSubject: hello\r\n\r\nbody\r\n" in received.content
        assert received.parsed()["Subject"] == "hello"
        assert received.parsed().get_content().strip() == "body"
        host, port = await one.address("good")
        async with aiosmtplib.SMTP(hostname=host, port=port, start_tls=False) as direct:
            await direct.ehlo()
            assert direct.supports_extension("starttls")


async def test_what_the_block_raises_comes_out_as_it_is(tmp_path: Path) -> None:
    async def use() -> None:
        async with relay.Relay("off", certificates=tmp_path):
            raise KeyError

    with pytest.raises(KeyError):
        await use()
    with pytest.raises(relay.PolicyNotFoundError):
        async with relay.Relay("of"):
            pass


def trusting(one: relay.Relay) -> ssl.SSLContext:
    assert one.ca_file.read_text() == one.ca_pem
    context = ssl.create_default_context(cadata=one.ca_pem)
    assert context.check_hostname
    return context


def test_a_refusal_is_the_reply_and_a_bounce(one: relay.RunningRelay) -> None:
    assert send(one, "a@expired.lab.test") == 451
    happened = one.wait_for("tls-failed", domain="expired.lab.test", code="4.7.5")
    assert str(happened.code) == "451 4.7.5"
    (bounce,) = one.bounces
    assert bounce.faults[0].kind.value == "certificate-expired"
    assert one.received("expired") == ()
    (session,) = (s for s in one.sessions if s.direction.value == "outbound")
    assert bounce.session_id == session.id


def test_the_other_ports_take_any_user_behind_tls(one: relay.RunningRelay) -> None:
    trust = ssl.create_default_context(cafile=str(one.ca_file))
    with smtplib.SMTP_SSL(one.host, one.smtps_port, context=trust) as client:
        client.login("anybody", "anything")
        client.sendmail("me@example.test", "a@good.lab.test", BODY)
    with smtplib.SMTP(one.host, one.submission_port) as client:
        client.starttls(context=trust)
        client.login("anybody", "anything")
        client.sendmail("me@example.test", "b@good.lab.test", BODY)
    assert [message.recipients for message in one.messages] == [
        ("a@good.lab.test",),
        ("b@good.lab.test",),
    ]


def test_a_day_of_retries_at_the_times_that_they_are_due(one: relay.RunningRelay) -> None:
    one.load_policy(A_DAY_QUEUED)
    begun = one.clock.now()
    assert send(one, "a@no-starttls.lab.test") == 250
    one.clock.advance(hours=23, minutes=59)
    assert [b.action.value for b in one.bounces] == ["delayed"] * 9
    assert [round((b.at - begun) / timedelta(minutes=1)) for b in one.bounces] == [
        0, 5, 15, 35, 75, 155, 315, 635, 1275,
    ]  # fmt: skip
    one.clock.advance(minutes=1)
    final = one.wait_for("bounced", recipient="a@no-starttls.lab.test", timeout=0)
    assert str(final.code) == "554 5.4.7"
    assert one.clock.now() == begun + timedelta(hours=24)
    (notification,) = one.received("capture")
    assert notification.recipients == ("me@example.test",)
    assert len(one.messages) == 1


def test_the_clock_stands_still_and_never_goes_back(one: relay.RunningRelay) -> None:
    assert one.clock.now() == one.clock.now()
    with pytest.raises(ValueError, match="never back"):
        one.clock.advance(hours=-1)


def test_clear_leaves_nothing_and_keeps_the_policy(one: relay.RunningRelay) -> None:
    one.load_policy(A_DAY_QUEUED)
    send(one, "a@no-starttls.lab.test", "b@good.lab.test")
    one.clock.advance(hours=2)
    one.clear()
    assert (one.messages, one.bounces, one.sessions) == ((), (), ())
    assert one.received("good") == one.received("no-starttls") == ()
    with pytest.raises(TimeoutError, match="the relay has no message"):
        one.wait_for("delivered", timeout=0.01)
    one.clock.advance(hours=24)
    assert one.bounces == ()
    assert send(one, "c@no-starttls.lab.test") == 250


def test_a_session_that_was_open_at_clear_is_of_the_time_before(one: relay.RunningRelay) -> None:
    with smtplib.SMTP(one.host, one.port) as client:
        client.noop()
        one.clear()
    send(one, "a@good.lab.test")
    assert [s.direction.value for s in one.sessions].count("inbound") <= 1


def test_who_waits_in_vain_is_told_where_recipients_stand(one: relay.RunningRelay) -> None:
    one.load_policy(A_DAY_QUEUED)
    send(one, "a@no-starttls.lab.test", "b@good.lab.test")
    one.wait_for("deferred", recipient="a@no-starttls.lab.test")
    one.clock.settle()
    with pytest.raises(TimeoutError) as caught:
        one.wait_for("bounced", code="554", timeout=0.01)
    assert str(caught.value).splitlines() == [
        "not bounced within 0.01 s, code '554'",
        "a@no-starttls.lab.test: queued; next try in 0:05:00, by clock.advance()",
        "b@good.lab.test: delivered",
    ]


@pytest.mark.parametrize(
    ("outcome", "code", "told"),
    [
        ("none", None, "look at `bounces`"),
        ("bounce", None, "allowed: delivered, deferred, bounced, tls-failed"),
        ("bounced", "nonsense", "not a code"),
    ],
)
def test_what_can_not_be_waited_for(
    one: relay.RunningRelay, outcome: str, code: str | None, told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        one.wait_for(outcome, code=code)  # type: ignore[arg-type]


def test_a_traceback_of_a_policy_that_there_is_not_names_the_nearest() -> None:
    with pytest.raises(relay.PolicyNotFoundError) as caught, relay.running("requird"):
        pass
    assert "did you mean 'required'?" in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "policy",
    [
        "preferred",
        "Preferred",
        "tls: Preferred\n",
        {"tls": relay.TlsSetting.PREFERRED},
        relay.TlsSetting.PREFERRED,
        Path("own.yaml"),
        "own.yaml",
    ],
)
def test_the_ways_to_name_a_policy(one: relay.RunningRelay, policy: object, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("tls: Preferred\n")
    one.load_policy(policy, near=tmp_path)  # type: ignore[arg-type]
    assert send(one, "a@no-starttls.lab.test") == 250
    (received,) = one.received("no-starttls")
    assert not received.encrypted


def test_settings_take_the_place_of_the_policys_own_keys(one: relay.RunningRelay) -> None:
    one.load_policy("required-verify", settings={"restrict_tls_to": ("*.lab.test",), "tls": "Off"})
    assert send(one, "a@no-starttls.lab.test") == 250
    one.load_policy("required", settings={"restrict_tls_to": ["no-starttls.lab.test"]})
    assert send(one, "b@no-starttls.lab.test") == 451


def test_a_policy_that_is_wrong_leaves_the_one_before(one: relay.RunningRelay) -> None:
    with pytest.raises(relay.PolicyFileError, match="did you mean 'restrict_tls_to'"):
        one.load_policy("required", settings={"restrict_tls": []})
    with pytest.raises(relay.PolicyNotFoundError) as caught:
        one.load_policy("requird")
    assert "required" in caught.value.hint
    assert send(one, "a@no-starttls.lab.test") == 451


def test_what_fails_at_the_start_is_raised_here() -> None:
    with pytest.raises(relay.PolicyNotFoundError), relay.running("requird"):
        pass


def test_an_error_in_the_with_is_raised_and_the_relay_is_gone(tmp_path: Path) -> None:
    ports = []

    def use() -> None:
        with relay.running("off", state=tmp_path) as one:
            ports.append(one.port)
            raise KeyError

    with pytest.raises(KeyError):
        use()
    (port,) = ports
    with pytest.raises(ConnectionRefusedError), smtplib.SMTP("127.0.0.1", port):
        pass
    assert (tmp_path / "journal.sqlite3").is_file()


def test_without_the_lab_its_mail_finds_no_host(tmp_path: Path) -> None:
    with relay.running("off", lab=False, certificates=tmp_path) as one:
        assert send(one, "a@good.lab.test") == 454
        assert send(one, "a@example.test") == 454
        with pytest.raises(LookupError):
            one.address("good")


async def test_from_asynchronous_code_by_threads(one: relay.RunningRelay) -> None:
    waiting = asyncio.to_thread(one.wait_for, "delivered", recipient="a@good.lab.test")
    async with asyncio.TaskGroup() as tasks:
        happened = tasks.create_task(waiting)
        tasks.create_task(asyncio.to_thread(send, one, "a@good.lab.test"))
    assert happened.result().recipient == "a@good.lab.test"
