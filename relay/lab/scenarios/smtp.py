"""Receivers whose TLS is honest, and whose SMTP is not always welcome.

The control group: a bounce from one of these has nothing to do with TLS, and must not look so.
Scenarios of the class fault never take a message; the others take one unless their card says when
they don't.
"""

from __future__ import annotations

from typing import Final

from relay.core.outcomes import Stage
from relay.core.replies import Reply
from relay.core.scenarios import Family, Scenario, ScenarioClass
from relay.lab.scripts import (
    MESSAGE_OK,
    AsAddressed,
    FirstTry,
    HangUp,
    LabScenario,
    LastReply,
    LocalPartsFrom,
    Raw,
    Script,
    Silence,
    without,
)


def _scenario(
    name: str,
    script: Script,
    *,
    stage: Stage | None,
    summary: str,
    in_the_wild: str,
    remedy: str,
    scenario_class: ScenarioClass = ScenarioClass.FAULT,
) -> LabScenario:
    return LabScenario(
        card=Scenario(
            name=name,
            family=Family.SMTP,
            scenario_class=scenario_class,
            summary=summary,
            in_the_wild=in_the_wild,
            stage=stage,
            faults=(),
            recipe="good",
            remedy=remedy,
        ),
        script=script,
    )


_GREETINGS: Final = (
    _scenario(
        "greeting-554",
        Script(greeting=Reply(code=554, text="5.3.2 No mail service here")),
        stage=Stage.BANNER,
        summary="Greets with 554 and takes no command but QUIT.",
        in_the_wild="Hosts that only send, and block lists that are asked at the connection. A "
        "sender may try the domain's next host.",
        remedy="Take the host out of the MX record; or take the sender off the block list.",
    ),
    _scenario(
        "greeting-421",
        Script(greeting=LastReply(reply=Reply(code=421, text="4.3.2 Too busy, try again later"))),
        stage=Stage.BANNER,
        summary="Greets with 421 and closes the connection.",
        in_the_wild="Hosts at their limit of connections, for everybody or for this sender; "
        "restarts and maintenance.",
        remedy="Nothing, if it passes; else raise the host's limit of connections.",
    ),
    _scenario(
        "greeting-silence",
        Script(greeting=Silence()),
        stage=Stage.BANNER,
        summary="Takes the connection and never greets.",
        in_the_wild="Hosts that look up the client's name in a DNS that does not answer, tarpits, "
        "and firewalls that complete the connection for a host which is down.",
        remedy="Check the host's name servers; see whether the host saw the connection at all.",
    ),
)

_SENDERS: Final = (
    _scenario(
        "blocked",
        Script(mail=Reply(code=554, text="5.7.1 Client host is on a block list")),
        stage=Stage.MAIL,
        summary="Refuses every sender at MAIL for good: 554 5.7.1.",
        in_the_wild="Addresses of cloud providers, and senders whose neighbours send spam.",
        remedy="The sender asks the block list's operator to be removed, or sends by a relay with "
        "a good name.",
    ),
    _scenario(
        "rate-limit",
        Script(
            mail=LastReply(reply=Reply(code=421, text="4.7.0 Too many messages from your network"))
        ),
        stage=Stage.MAIL,
        summary="Acts as if the sender had sent too much: 421 4.7.0 at MAIL, then it closes.",
        in_the_wild="Large mailbox providers, towards senders that are new to them or send a "
        "mailing all at once.",
        remedy="Nothing on the host's side; the sender slows down and tries again later.",
    ),
    _scenario(
        "auth-required",
        Script(needs_auth=True),
        stage=Stage.MAIL,
        summary="Takes mail after AUTH only, with any password: 530 5.7.0 at MAIL without.",
        in_the_wild="Submission servers and smart hosts that are used as if they were a mail "
        "exchanger.",
        remedy="Nothing on the host's side; the sender needs an account there, or the right host.",
    ),
    _scenario(
        "auth-fails",
        Script(
            needs_auth=True, auth=Reply(code=535, text="5.7.8 Authentication credentials invalid")
        ),
        stage=Stage.MAIL,
        summary="Takes mail after AUTH only, and refuses every password with 535 5.7.8.",
        in_the_wild="Passwords that ran out, accounts that were closed, and providers that want an "
        "application password or OAuth where a plain password was enough before.",
        remedy="Have the account unlocked, or give the sender its new password.",
    ),
)

_RECIPIENTS: Final = (
    _scenario(
        "user-unknown",
        Script(recipient=Reply(code=550, text="5.1.1 User unknown")),
        stage=Stage.RCPT,
        summary="Has honest TLS and refuses every recipient for good: 550 5.1.1.",
        in_the_wild="A misspelt address, or somebody who has left. The most frequent hard bounce.",
        remedy="Nothing on the host's side; the sender corrects or removes the address.",
    ),
    _scenario(
        "no-such-domain-here",
        Script(recipient=Reply(code=550, text="5.7.1 Relaying denied for this domain")),
        stage=Stage.RCPT,
        summary="Does not know the recipient's domain: 550 5.7.1, relaying denied.",
        in_the_wild="A domain whose MX record already points at the new host, which nobody has "
        "told yet; a route to the wrong host.",
        remedy="Add the domain to those that the host takes mail for, or correct the MX record.",
    ),
    _scenario(
        "mailbox-busy",
        Script(recipient=Reply(code=450, text="4.2.1 Mailbox busy, try again later")),
        stage=Stage.RCPT,
        summary="Has honest TLS and refuses every recipient for now: 450 4.2.1.",
        in_the_wild="A mailbox that is locked or takes too much mail at once; greylisting looks "
        "much the same. A sender with a queue tries again.",
        remedy="Wait; if it lasts for a day, ask the host's administrator about this mailbox.",
    ),
    _scenario(
        "mailbox-full",
        Script(recipient=Reply(code=452, text="4.2.2 Mailbox full")),
        stage=Stage.RCPT,
        summary="Refuses every recipient because the mailbox is full: 452 4.2.2.",
        in_the_wild="Mailboxes that nobody reads any more. Some hosts say 552 5.2.2 instead, which "
        "is final.",
        remedy="The owner of the mailbox deletes mail, or gets more room.",
    ),
    _scenario(
        "greylist",
        Script(
            recipient=FirstTry(
                answer=Reply(code=450, text="4.7.1 Greylisted, try again in a moment")
            )
        ),
        stage=Stage.RCPT,
        summary="Refuses the first try of each client, sender and recipient, and takes the next.",
        in_the_wild="A defence against senders without a queue (RFC 6647): 450 4.7.1 to whoever is "
        "new. Real hosts also want some minutes to pass.",
        remedy="Nothing; a sender with a queue delivers at its second try.",
    ),
    _scenario(
        "some-recipients",
        Script(
            recipient=LocalPartsFrom(
                prefix="unknown", answer=Reply(code=550, text="5.1.1 User unknown")
            )
        ),
        stage=Stage.RCPT,
        scenario_class=ScenarioClass.ADVISORY,
        summary="Refuses recipients whose local part begins with unknown, and takes the others.",
        in_the_wild="Every message to several people of whom one has left. Software that reports "
        "one result for a message loses either the mail or the bounce.",
        remedy="Nothing on the host's side; the sender reports each recipient by itself.",
    ),
    _scenario(
        "reply",
        Script(recipient=AsAddressed()),
        stage=Stage.RCPT,
        scenario_class=ScenarioClass.ADVISORY,
        summary="Answers bounce+CODE+ENHANCED@reply.lab.test with that code, and takes all others.",
        in_the_wild="Whatever your software must cope with: bounce+550+5.2.1, bounce+452+4.2.2, "
        "bounce+421. Codes that RFC 5321 or RFC 3463 does not allow are answered with 501.",
        remedy="Nothing; the address asks for it.",
    ),
)

_CONTENT: Final = (
    _scenario(
        "size-limit",
        Script(extensions=(*without("SIZE"), "SIZE 64")),
        stage=Stage.AFTER_EHLO,
        summary="Announces in EHLO that it takes 64 octets at most, less than any message has.",
        in_the_wild="Limits of 10 or 20 MB against attachments; here so small that every message "
        "is over it. A good sender does not even try (RFC 1870).",
        remedy="Raise the host's limit, or send a link in place of the attachment.",
    ),
    _scenario(
        "too-big",
        Script(
            extensions=without("SIZE"), confirmation=Reply(code=552, text="5.3.4 Message too big")
        ),
        stage=Stage.CONFIRMATION,
        summary="Announces no limit, reads the whole message and refuses it: 552 5.3.4.",
        in_the_wild="Content filters behind the mail server with a limit of their own, which the "
        "server does not know when it answers EHLO.",
        remedy="Announce the smaller limit in EHLO, so that senders need not find out by trying.",
    ),
    _scenario(
        "data-451",
        Script(data=Reply(code=451, text="4.3.0 Temporary failure, try again later")),
        stage=Stage.DATA,
        summary="Takes sender and recipients and answers DATA with 451 4.3.0.",
        in_the_wild="A full disk, or a content filter that is down.",
        remedy="Read the host's log at this time; look at its disks and at its filter.",
    ),
    _scenario(
        "data-drop",
        Script(confirmation=HangUp()),
        stage=Stage.CONFIRMATION,
        summary="Reads the whole message and closes the connection instead of confirming it.",
        in_the_wild="Crashes of a content filter, and firewalls that found something in the "
        "content. The sender can't know whether the message was kept; here it was not.",
        remedy="Look for a crash in the logs of the host and its filter.",
    ),
    _scenario(
        "data-silence",
        Script(confirmation=Silence()),
        stage=Stage.CONFIRMATION,
        summary="Reads the whole message and never confirms it.",
        in_the_wild="Content filters that take longer than the sender waits. Where the host keeps "
        "the message at last, the sender's next try makes a second copy; here it keeps none.",
        remedy="Make the filter quicker, or let it work after the confirmation.",
    ),
    _scenario(
        "accept-then-drop",
        Script(confirmation=LastReply(reply=MESSAGE_OK)),
        stage=Stage.CONFIRMATION,
        scenario_class=ScenarioClass.ADVISORY,
        summary="Confirms the message and closes the connection at once, without waiting for QUIT.",
        in_the_wild="Hosts that are short of connections. The message is delivered: a sender that "
        "takes the lost connection for a failure delivers it twice.",
        remedy="Nothing urgent; a host waits for QUIT (RFC 5321 section 4.1.1.10).",
    ),
)

_MANNERS: Final = (
    _scenario(
        "slow",
        Script(seconds_per_reply=0.1),
        stage=None,
        scenario_class=ScenarioClass.HONEST,
        summary="Waits a tenth of a second before each of its replies.",
        in_the_wild="Distant hosts, and tarpits that slow down whom they do not know. One message "
        "takes a second; a thousand in a row take a quarter of an hour.",
        remedy="Nothing; the sender uses PIPELINING and several connections.",
    ),
    _scenario(
        "multiline-replies",
        Script(lines_per_reply=3),
        stage=None,
        scenario_class=ScenarioClass.HONEST,
        summary="Writes each reply on three lines, as RFC 5321 section 4.2.1 allows.",
        in_the_wild="Hosts with a legal notice in their greeting, and large providers whose "
        "refusals come with a link. Home-made clients take the second line for the next reply.",
        remedy="Nothing to do.",
    ),
    _scenario(
        "malformed-reply",
        Script(recipient=Raw(octets=b"recipient ok, go ahead\r\n")),
        stage=Stage.RCPT,
        summary="Answers RCPT with a line that has no reply code.",
        in_the_wild="Proxies and home-made servers that write an error message straight into the "
        "session.",
        remedy="Look at what stands between both hosts; a mail server does not say this.",
    ),
    _scenario(
        "overlong-reply",
        Script(recipient=Reply(code=250, text=f"2.1.5 {'o' * 10_000}k")),
        stage=Stage.RCPT,
        summary="Answers RCPT with a reply of 10,000 characters on one line.",
        in_the_wild="Servers that quote a database error whole. RFC 5321 section 4.5.3.1.5 has 512 "
        "octets for a line; this relay stops reading, a client without a limit goes on.",
        remedy="Shorten what the host writes into its replies.",
    ),
    _scenario(
        "no-pipelining",
        Script(extensions=without("PIPELINING")),
        stage=None,
        scenario_class=ScenarioClass.HONEST,
        summary="Does not offer PIPELINING; each command waits for the reply to the last one.",
        in_the_wild="Firewalls that inspect SMTP, and simple servers.",
        remedy="Nothing to do.",
    ),
    _scenario(
        "no-8bitmime",
        Script(extensions=without("8BITMIME", "SMTPUTF8")),
        stage=Stage.AFTER_EHLO,
        scenario_class=ScenarioClass.ADVISORY,
        summary="Does not offer 8BITMIME, so that messages with eight bits can't be sent to it.",
        in_the_wild="Old gateways and firewalls that inspect SMTP. A sender may convert such a "
        "message, and break its signature, or give it back; this relay gives it back.",
        remedy="Switch the SMTP inspection off, or update the gateway.",
    ),
    _scenario(
        "no-smtputf8",
        Script(extensions=without("SMTPUTF8")),
        stage=Stage.AFTER_EHLO,
        scenario_class=ScenarioClass.ADVISORY,
        summary="Does not offer SMTPUTF8, so that addresses outside ASCII can't be sent to it.",
        in_the_wild="Most mail hosts outside the large providers. Only a local part outside ASCII "
        "needs it: a domain has an ASCII form.",
        remedy="Enable SMTPUTF8 on the host (RFC 6531), together with all that stand behind it.",
    ),
)

SCENARIOS: Final = (*_GREETINGS, *_SENDERS, *_RECIPIENTS, *_CONTENT, *_MANNERS)
