"""Every receiver, spoken to by clients that are not ours: smtplib, aiosmtplib, openssl, sockets."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
import warnings
from contextlib import suppress

import aiosmtplib
import pytest
from lab_handshakes import verifying_context
from lab_programs import run

from relay.core.routing import HostAddress
from relay.core.settings import TlsMode
from relay.lab.authority import LabAuthority
from relay.lab.lab import Lab
from relay.lab.received import ReceivedSession

MESSAGE = (
    b"From: <a@sender.test>\r\nSubject: dots and eight bits\r\n\r\n"
    b".\r\n..\r\n.leading\r\n\xe4\xf6\xfc \xff\x00\r\n" + b"long " * 400 + b"\r\n\r\n.\r\nend\r\n"
)


async def dialog(host: HostAddress, *steps: tuple[str, str]) -> list[str]:
    """Say each line and compare the reply's first words; return all reply lines."""
    reader, writer = await asyncio.open_connection(host.address, host.port)
    lines: list[str] = []

    async def expect(prefix: str) -> None:
        while True:
            line = (await reader.readline()).decode()
            lines.append(line.rstrip("\r\n"))
            if line[3:4] != "-":
                break
        assert lines[-1].startswith(prefix), lines[-1]

    await expect("220 mx.")
    for say, prefix in steps:
        writer.write(say.encode() + b"\r\n")
        await expect(prefix)
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return lines


async def only_session(lab: Lab, name: str) -> ReceivedSession:
    await lab.wait_until_idle(name)
    (session,) = lab.received(name)
    return session


async def connect(host: HostAddress) -> aiosmtplib.SMTP:
    client = aiosmtplib.SMTP(
        hostname=host.address,
        port=host.port,
        start_tls=False,
        timeout=5,
        local_hostname="client.test",
    )
    await client.connect()
    await client.ehlo()
    return client


async def test_smtplib_delivers_over_tls(lab: Lab, authority: LabAuthority) -> None:
    host = await lab.address("good")
    context = verifying_context(authority.root_pem)
    context.check_hostname = False  # smtplib verifies the name that it connects to, an address

    def send() -> None:
        with smtplib.SMTP(host.address, host.port, local_hostname="client.test") as smtp:
            smtp.starttls(context=context)
            smtp.ehlo()
            smtp.mail("a@sender.test", ["BODY=8BITMIME"])
            smtp.rcpt("one@good.lab.test")
            smtp.rcpt("two@good.lab.test", ["NOTIFY=NEVER"])
            assert smtp.data(MESSAGE)[0] == 250

    await asyncio.to_thread(send)
    session = await only_session(lab, "good")
    (message,) = session.messages
    assert message.content == MESSAGE
    assert message.reverse_path == "a@sender.test"
    assert message.recipients == ("one@good.lab.test", "two@good.lab.test")
    assert message.encrypted
    assert session.tls_version == "TLSv1.3"
    assert session.commands == (
        *("EHLO", "STARTTLS", "EHLO", "MAIL", "RCPT", "RCPT", "DATA", "QUIT"),
    )
    assert not session.auth_seen
    assert session.data_octets > len(MESSAGE)
    assert session.receiver == "good"
    assert session.ended_at is not None


@pytest.mark.parametrize("tls_version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_aiosmtplib_delivers_to_the_name_it_verifies(
    lab: Lab, authority: LabAuthority, tls_version: ssl.TLSVersion
) -> None:
    host = await lab.capture_address()
    assert (host.name, host.mode) == ("mx.capture.lab.test", TlsMode.STARTTLS)
    context = verifying_context(authority.root_pem)
    context.minimum_version = context.maximum_version = tls_version
    client = await connect(host)
    await client.starttls(tls_context=context, server_hostname=host.name)
    await client.ehlo()
    await client.mail("")
    await client.rcpt("x@y.test")
    await client.data(MESSAGE.replace(b"\x00", b""))
    await client.quit()
    (message,) = (await only_session(lab, "capture")).messages
    assert message.content == MESSAGE.replace(b"\x00", b"")
    assert message.reverse_path == ""


async def test_what_an_honest_receiver_offers(lab: Lab, authority: LabAuthority) -> None:
    host = await lab.address("good")
    client = await connect(host)
    assert set(client.esmtp_extensions) == {
        *("pipelining", "8bitmime", "smtputf8", "size", "dsn", "enhancedstatuscodes"),
        *("auth", "starttls"),
    }
    await client.starttls(
        tls_context=verifying_context(authority.root_pem), server_hostname=host.name
    )
    await client.ehlo()
    assert not client.supports_extension("starttls")
    with pytest.raises(aiosmtplib.SMTPException):
        await client.starttls()
    assert (await client.execute_command(b"STARTTLS")).code == 503
    await client.quit()


async def test_the_session_starts_over_after_the_handshake(
    lab: Lab, authority: LabAuthority
) -> None:
    host = await lab.address("good")
    client = await connect(host)
    assert (await client.execute_command(b"MAIL", b"FROM:<a@b.test>")).code == 250
    await client.starttls(
        tls_context=verifying_context(authority.root_pem), server_hostname=host.name
    )
    assert (await client.execute_command(b"RCPT", b"TO:<a@b.test>")).code == 503
    assert (await client.execute_command(b"MAIL", b"FROM:<a@b.test>")).code == 503
    await client.ehlo()
    assert (await client.execute_command(b"MAIL", b"FROM:<a@b.test>")).code == 250
    await client.quit()


ALERTED = {
    "expired": 10,
    "not-yet-valid": 9,
    "self-signed": 18,
    "untrusted-root": 20,
    "missing-intermediate": 20,
    "wrong-host": 62,
}


@pytest.mark.parametrize(("name", "code"), ALERTED.items())
async def test_a_bad_certificate_is_refused_by_who_looks_and_nothing_is_sent(
    lab: Lab, authority: LabAuthority, name: str, code: int
) -> None:
    host = await lab.address(name)
    client = await connect(host)
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        await client.starttls(
            tls_context=verifying_context(authority.root_pem), server_hostname=host.name
        )
    assert caught.value.verify_code == code
    client.close()
    session = await only_session(lab, name)
    assert session.commands == ("EHLO", "STARTTLS")
    assert session.handshake_error
    assert session.tls_version is None
    assert session.data_octets == 0
    assert session.octets_received > 0
    assert session.messages == ()


@pytest.mark.parametrize("name", ALERTED)
async def test_a_bad_certificate_takes_mail_from_who_does_not_look(lab: Lab, name: str) -> None:
    host = await lab.address(name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    client = await connect(host)
    await client.starttls(tls_context=context)
    await client.ehlo()
    await client.mail("a@b.test")
    await client.rcpt(f"x@{name}.lab.test")
    await client.data(b"Subject: x\r\n\r\n")
    await client.quit()
    (message,) = (await only_session(lab, name)).messages
    assert message.encrypted


async def test_the_alert_of_a_blocking_client_is_recorded(
    lab: Lab, authority: LabAuthority
) -> None:
    host = await lab.address("expired")

    def refuse() -> None:
        with (
            smtplib.SMTP(host.address, host.port, local_hostname="client.test") as smtp,
            pytest.raises(ssl.SSLCertVerificationError),
        ):
            smtp.starttls(context=verifying_context(authority.root_pem))

    await asyncio.to_thread(refuse)
    session = await only_session(lab, "expired")
    # smtplib's alert reaches the receiver in the handshake (TLS 1.3: its last flight).
    assert "ALERT" in str(session.handshake_error)


@pytest.mark.parametrize(
    ("name", "code"), [("no-starttls", 502), ("starttls-refused", 454), ("starttls-stripped", 500)]
)
async def test_receivers_without_tls_still_take_mail_in_clear(
    lab: Lab, name: str, code: int
) -> None:
    client = await connect(await lab.address(name))
    assert client.supports_extension("starttls") is (name == "starttls-refused")
    assert (await client.execute_command(b"STARTTLS")).code == code
    await client.mail("a@b.test")
    await client.rcpt(f"x@{name}.lab.test")
    await client.data(b"Subject: x\r\n\r\nclear\r\n")
    await client.quit()
    session = await only_session(lab, name)
    (message,) = session.messages
    assert not message.encrypted
    assert message.content == b"Subject: x\r\n\r\nclear\r\n"
    assert session.tls_version is None


async def test_a_stripped_offer_is_masked_not_missing(lab: Lab) -> None:
    lines = await dialog(await lab.address("starttls-stripped"), ("EHLO me.test", "250 "))
    assert "250 XXXXXXXA" in lines
    assert not any("STARTTLS" in line for line in lines)


async def test_an_old_version_is_refused_with_its_alert(lab: Lab, authority: LabAuthority) -> None:
    host = await lab.address("tls11-only")
    client = await connect(host)
    with pytest.raises(ssl.SSLError) as caught:
        await client.starttls(
            tls_context=verifying_context(authority.root_pem), server_hostname=host.name
        )
    assert caught.value.reason == "TLSV1_ALERT_PROTOCOL_VERSION"
    client.close()
    session = await only_session(lab, "tls11-only")
    assert session.handshake_error == "UNSUPPORTED_PROTOCOL"
    assert session.commands == ("EHLO", "STARTTLS")


async def test_an_old_version_serves_who_still_speaks_it(lab: Lab, authority: LabAuthority) -> None:
    host = await lab.address("tls11-only")
    context = verifying_context(authority.root_pem)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1_1
    client = await connect(host)
    await client.starttls(tls_context=context, server_hostname=host.name)
    await client.quit()
    assert (await only_session(lab, "tls11-only")).tls_version == "TLSv1.1"


async def test_a_dropped_handshake_is_an_end_of_file(lab: Lab) -> None:
    host = await lab.address("handshake-drop")
    reader, writer = await asyncio.open_connection(host.address, host.port)
    await reader.readline()
    writer.write(b"STARTTLS\r\n")
    assert (await reader.readline()).startswith(b"220 ")
    # A record header that announces two octets, and these in a segment of their own.
    writer.write(b"\x16\x03\x01\x00\x02")
    await writer.drain()
    writer.write(b"hi")
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    session = await only_session(lab, "handshake-drop")
    assert session.commands == ("STARTTLS",)
    assert session.transcript[-1].text == "ends the connection: close"


@pytest.mark.parametrize(
    ("name", "reply"), [("user-unknown", (550, "5.1.1")), ("mailbox-busy", (450, "4.2.1"))]
)
async def test_refused_recipients_leave_nothing_behind(
    lab: Lab, authority: LabAuthority, name: str, reply: tuple[int, str]
) -> None:
    host = await lab.address(name)
    client = await connect(host)
    await client.starttls(
        tls_context=verifying_context(authority.root_pem), server_hostname=host.name
    )
    await client.ehlo()
    await client.mail("a@b.test")
    with pytest.raises(aiosmtplib.SMTPRecipientRefused) as caught:
        await client.rcpt(f"x@{name}.lab.test")
    assert (caught.value.code, caught.value.message[:5]) == reply
    assert (await client.execute_command(b"DATA")).code == 503
    await client.quit()
    session = await only_session(lab, name)
    assert session.messages == ()
    assert session.data_octets == 0


async def test_a_password_that_follows_a_refused_auth_is_not_kept(lab: Lab) -> None:
    secrets = ["YXBwdXNlcg", "czNjcmV0LXBhc3M", "AHVzZXIAczNjcmV0LXBhc3M"]
    await dialog(
        await lab.address("no-starttls"),
        ("EHLO client.test", "250"),
        ("AUTH NO-SUCH", "5"),
        (secrets[0], "500"),
        (secrets[1], "500"),
        (f" AUTH PLAIN {secrets[2]}", "500"),
        ("QUIT", "221"),
    )
    session = await only_session(lab, "no-starttls")
    assert session.commands == ("EHLO", "AUTH", "?", "?", "?", "QUIT")
    kept = repr(session).upper()
    assert not [secret for secret in secrets if secret.upper() in kept]


async def test_what_merely_looks_like_auth_hides_nothing(lab: Lab) -> None:
    said = ["Author: somebody", "Subject: shown to a host that took no mail", "X-AUTH PLAIN: a"]
    await dialog(
        await lab.address("no-starttls"),
        ("EHLO auth.client.test", "250"),
        *((line, "500") for line in said),
        ("QUIT", "221"),
    )
    session = await only_session(lab, "no-starttls")
    assert {line.text for line in session.transcript} >= set(said)


@pytest.mark.parametrize("mechanism", ["plain", "login"])
async def test_credentials_are_taken_seen_and_not_kept(lab: Lab, mechanism: str) -> None:
    client = await connect(await lab.address("no-starttls"))
    secret = "s3cret-pass"
    if mechanism == "plain":
        await client.auth_plain("user", secret)
    else:
        await client.auth_login("user", secret)
    await client.mail("a@b.test")
    await client.quit()
    session = await only_session(lab, "no-starttls")
    assert session.auth_seen
    assert session.commands == ("EHLO", "AUTH", "MAIL", "QUIT")
    text = repr(session)
    for word in (secret, "czNjcmV0LXBhc3M", "AHVzZXIAczNjcmV0LXBhc3M"):
        assert word not in text
    assert any("MAIL FROM" in line.text for line in session.transcript)


async def test_auth_may_be_cancelled_and_unknown_ways_are_refused(lab: Lab) -> None:
    await dialog(
        await lab.address("good"),
        ("AUTH PLAIN", "334"),
        ("*", "501 5.7.0"),
        ("AUTH LOGIN dXNlcg==", "334 UGFzc3dvcmQ6"),
        ("cGFzcw==", "235 2.7.0"),
        ("AUTH CRAM-MD5", "504 5.5.4"),
        ("NOOP", "250"),
    )


async def test_a_dialog_with_an_honest_receiver(lab: Lab) -> None:
    await dialog(
        await lab.address("good"),
        ("MAIL FROM:<a@b.test>", "503 5.5.1"),
        ("EHLO", "501 5.5.4"),
        ("HELO me.test", "250 mx.good.lab.test"),
        ("RCPT TO:<a@b.test>", "503 5.5.1"),
        ("DATA", "503 5.5.1"),
        ("MAIL FROM:a@b.test", "501 5.5.4"),
        ("MAIL TO:<a@b.test>", "501 5.5.4"),
        ("MAIL FROM:<a b@c.test>", "501 5.1.7"),
        ("MAIL FROM:<ä@b.test>", "553 5.6.7"),
        ("MAIL FROM:<a@b.test> SIZE=26214401", "552 5.3.4"),
        ("MAIL FROM:<a@b.test> SIZE=big", "501 5.5.4"),
        ("MAIL FROM:<a@b.test> COLOUR=red", "555 5.5.4"),
        ('MAIL FROM:<"a > b"@b.test> SIZE=26214400 RET=HDRS ENVID=x BODY=8BITMIME', "250 2.1.0"),
        ("MAIL FROM:<a@b.test>", "503 5.5.1"),
        ("RCPT TO:<>", "501 5.1.3"),
        ("RCPT TO:<ä@b.test>", "553 5.6.7"),
        ("RCPT TO:<a@b.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;a@b.test", "250 2.1.5"),
        ("RSET", "250 2.0.0"),
        ("RCPT TO:<a@b.test>", "503 5.5.1"),
        ("mail from:<ä@b.test> smtputf8", "250 2.1.0"),
        ("rcpt to:<ö@b.test>", "250 2.1.5"),
        ("STARTTLS now", "501 5.5.4"),
        ("VRFY a", "500 5.5.1"),
        ("", "500 5.5.1"),
        ("NOOP", "250 2.0.0"),
        ("QUIT", "221 2.0.0"),
    )


async def test_lines_that_do_not_end_in_crlf_are_refused(lab: Lab) -> None:
    host = await lab.address("good")
    reader, writer = await asyncio.open_connection(host.address, host.port)
    await reader.readline()
    writer.write(b"NOOP\nNOOP\r\n")
    assert (await reader.readline()).startswith(b"500 5.5.2")
    assert (await reader.readline()).startswith(b"250 ")
    writer.write(b"X" * 5000)
    assert (await reader.readline()).startswith(b"500 5.5.2 Line too long")
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


async def test_a_whole_transaction_may_be_pipelined(lab: Lab) -> None:
    host = await lab.address("no-starttls")
    reader, writer = await asyncio.open_connection(host.address, host.port)
    writer.write(
        b"HELO me\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.test>\r\nDATA\r\n"
        b"one\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<c@b.test>\r\nDATA\r\n..two\r\n.\r\nQUIT\r\n"
    )
    replies = (await reader.read()).split(b"\r\n")
    assert [reply[:3] for reply in replies] == [
        *(b"220", b"250", b"250", b"250", b"354", b"250"),
        *(b"250", b"250", b"354", b"250", b"221", b""),
    ]
    writer.close()
    await writer.wait_closed()
    session = await only_session(lab, "no-starttls")
    assert [message.content for message in session.messages] == [b"one\r\n", b".two\r\n"]


async def test_data_that_breaks_off_is_no_message_but_is_counted(lab: Lab) -> None:
    host = await lab.address("no-starttls")
    reader, writer = await asyncio.open_connection(host.address, host.port)
    writer.write(b"HELO me\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.test>\r\nDATA\r\nhalf a mess")
    for _ in range(5):
        last = await reader.readline()
    assert last.startswith(b"354")
    writer.close()
    await writer.wait_closed()
    session = await only_session(lab, "no-starttls")
    assert session.messages == ()
    assert session.data_octets == len(b"half a mess")


async def test_a_transcript_reads_as_the_session_went(lab: Lab, authority: LabAuthority) -> None:
    host = await lab.address("good")
    client = await connect(host)
    await client.starttls(
        tls_context=verifying_context(authority.root_pem), server_hostname=host.name
    )
    await client.ehlo()
    await client.quit()
    lines = [str(line) for line in (await only_session(lab, "good")).transcript]
    assert lines[:2] == ["--> 220 mx.good.lab.test ESMTP Relaylab", "<-- EHLO client.test"]
    assert "<-- STARTTLS" in lines
    established = lines.index(" *  TLS established: TLSv1.3, TLS_AES_256_GCM_SHA384")
    assert lines[established - 1] == "--> 220 2.0.0 Ready to start TLS"
    assert lines[established + 1] == "<~~ EHLO client.test"
    assert lines[-1] == "~~> 221 2.0.0 Bye"


@pytest.mark.judge("openssl")
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("good", "Verify return code: 0 (ok)"),
        ("expired", "Verify return code: 10 (certificate has expired)"),
        ("self-signed", "Verify return code: 18"),
        ("untrusted-root", "Verify return code: 20"),
        ("wrong-host", "Verify return code: 62"),
        ("no-starttls", "Didn't find STARTTLS in server response"),
        ("tls11-only", "alert protocol version"),
    ],
)
async def test_openssl_sees_the_same(
    lab: Lab, authority: LabAuthority, name: str, words: str
) -> None:
    host = await lab.address(name)
    _, output = await run(
        *("openssl", "s_client", "-starttls", "smtp", "-connect", f"{host.address}:{host.port}"),
        *("-CAfile", str(authority.root_path), "-verify_hostname", host.name),
        # Some distributions' openssl still speaks TLS 1.1.
        *("-no_tls1", "-no_tls1_1"),
    )
    assert words in output
