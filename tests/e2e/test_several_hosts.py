"""Several hosts: which is tried, which gets the message, and what the others got of it: nothing."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path

import pytest
from dns_double import DnsDouble, Trouble
from e2e_cluster import Cluster, Exchanger, Member, cluster
from e2e_command import serving
from e2e_relay import Running, Start

from relay.config.policy_file import load_policy_text
from relay.core.outcomes import Failed, LocalProblem, LocalRefusal
from relay.core.records import Attempt
from relay.lab.authority import LabAuthority

TO = "someone@peer.test"
Relayed = Callable[..., contextlib.AbstractAsyncContextManager[tuple[Running, Cluster]]]


@pytest.fixture(scope="session")
def authority(certificates: Path) -> LabAuthority:
    return LabAuthority(certificates)


def policy(double: DnsDouble, to: str, tls: str = "Required Verify", more: str = "") -> str:
    return (
        f"tls: {tls}\n"
        f'routes: [{{match: "*", to: "{to}"}}]\n'
        f'dns: {{server: "{double.server}"}}\n'
        f"{more}\n"
    )


def hops(attempts: Sequence[Attempt]) -> list[str]:
    """Return each try as the last octet of the address, with '+clear' for one without TLS."""

    def each() -> Iterator[str]:
        for attempt in attempts:
            assert attempt.hop is not None
            yield attempt.hop.address.rpartition(".")[2] + ("+clear" if attempt.clear else "")

    return list(each())


def got_nothing(exchanger: Exchanger) -> bool:
    """Whether a host was connected to, and was told nothing of the message or its envelope."""
    assert exchanger.sessions
    return all(
        session.data_octets == 0 and not {"MAIL", "RCPT", "DATA"} & set(session.commands)
        for session in exchanger.sessions
    )


@pytest.fixture
def relayed(start: Start, authority: LabAuthority) -> Relayed:
    """Return a function that starts a relay before the mail exchangers of peer.test."""

    @contextlib.asynccontextmanager
    async def running(
        members: Sequence[Member],
        *,
        tls: str = "Required Verify",
        preferences: Sequence[int] = (),
        more: str = "",
    ) -> AsyncIterator[tuple[Running, Cluster]]:
        async with cluster(authority, members) as hosts:
            double = DnsDouble(hosts.records("peer.test", *preferences))
            async with double.running(), contextlib.AsyncExitStack() as stack:
                text = policy(double, f"mx:peer.test:{hosts.port}", tls, more)
                yield await stack.enter_async_context(start(text)), hosts

    return running


async def test_the_preferred_host_gets_the_message(relayed: Relayed) -> None:
    async with relayed(["good", "good", "good"], tls="Required", preferences=[30, 10, 20]) as (
        running,
        hosts,
    ):
        assert (await running.send(TO)).code == 250
        assert await hosts.took() == [0, 1, 0]
        assert [len(exchanger.sessions) for exchanger in hosts.exchangers] == [0, 1, 0]
        assert hops(running.record().attempts) == ["3"]


async def test_a_host_that_can_not_be_reached_is_passed_over(relayed: Relayed) -> None:
    async with relayed([None, "good"]) as (running, hosts):
        assert (await running.send(TO)).code == 250
        assert await hosts.took() == [0, 1]
        assert hops(running.record().attempts) == ["2", "3"]


@pytest.mark.parametrize("first", ["no-starttls", "starttls-refused", "handshake-drop", "expired"])
async def test_a_host_that_fails_the_policy_is_passed_over_and_gets_nothing(
    relayed: Relayed, first: str
) -> None:
    async with relayed([first, "good"]) as (running, hosts):
        assert (await running.send(TO)).code == 250
        assert await hosts.took() == [0, 1]
        assert got_nothing(hosts.exchangers[0])
        (message,) = hosts.exchangers[1].messages
        assert message.encrypted
        assert message.content == running.relay.journal.content(running.record().envelope.id)


async def test_where_all_fail_the_bounce_names_the_last(relayed: Relayed) -> None:
    async with relayed(["no-starttls", "expired"]) as (running, hosts):
        reply = await running.send(TO)
        assert (reply.code, reply.text[:5]) == (451, "4.7.5")
        assert await hosts.took() == [0, 0]
        assert all(got_nothing(exchanger) for exchanger in hosts.exchangers)
        record = running.record()
        (bounce,) = record.bounces
        assert bounce.host == hosts.exchangers[1].name == "mx.expired.lab.test"
        assert bounce.address == f"127.0.0.3:{hosts.port}"
        assert bounce.session_id == record.attempts[-1].session_id
        assert bounce.attempts == 1


@pytest.mark.parametrize("greeting", [b"421 4.3.2 closing\r\n", b"554 5.7.1 go away\r\n"])
async def test_a_host_that_greets_with_a_refusal_is_passed_over(
    relayed: Relayed, greeting: bytes
) -> None:
    async with relayed([greeting, "good"]) as (running, hosts):
        assert (await running.send(TO)).code == 250
        assert await hosts.took() == [0, 1]
        assert hosts.exchangers[0].greeted in ([], ["QUIT"])


async def test_a_host_that_may_recover_outweighs_one_that_never_will(relayed: Relayed) -> None:
    members = [b"421 4.3.2 closing\r\n", b"554 5.7.1 go away\r\n"]
    async with relayed(members) as (running, hosts):
        reply = await running.send(TO)
        assert (reply.code, reply.text) == (421, "4.3.2 closing")
        (bounce,) = running.record().bounces
        assert bounce.address == f"127.0.0.2:{hosts.port}"


async def test_what_a_host_says_of_the_recipient_is_not_asked_of_another(relayed: Relayed) -> None:
    async with relayed(["user-unknown", "good"], tls="Off") as (running, hosts):
        reply = await running.send(TO)
        assert (reply.code, reply.text[:5]) == (550, "5.1.1")
        assert hosts.exchangers[1].sessions == ()


CLEAR_TEXT = [
    # hosts in order; tries in order; which host took the message, and whether TLS protected it
    (["no-starttls", "good"], ["2", "3"], 1, True),
    (["handshake-drop", "good"], ["2", "3"], 1, True),
    (["starttls-refused", "expired"], ["2", "3"], 1, True),
    (["no-starttls", "no-starttls"], ["2", "3", "2+clear"], 0, False),
    (["handshake-drop", None], ["2", "3", "2+clear"], 0, False),
    ([None, "starttls-refused"], ["2", "3", "3+clear"], 1, False),
    (["no-starttls"], ["2"], 0, False),
    (["handshake-drop"], ["2", "2+clear"], 0, False),
]


@pytest.mark.parametrize(("members", "tries", "taker", "encrypted"), CLEAR_TEXT, ids=str)
async def test_clear_text_comes_after_every_host_was_asked_for_tls(
    relayed: Relayed,
    members: list[str | None],
    tries: list[str],
    taker: int,
    encrypted: bool,
) -> None:
    async with relayed(members, tls="Preferred") as (running, hosts):
        assert (await running.send(TO)).code == 250
        assert await hosts.took() == [int(at == taker) for at in range(len(members))]
        assert hops(running.record().attempts) == tries
        (message,) = hosts.exchangers[taker].messages
        assert message.encrypted is encrypted


@pytest.mark.parametrize(
    ("first", "tries"), [("no-starttls", ["2"]), ("handshake-drop", ["2", "2+clear"])]
)
async def test_the_switch_lets_the_first_host_have_clear_text_at_once(
    relayed: Relayed, first: str, tries: list[str]
) -> None:
    more = "clear_text: same-host"
    async with relayed([first, "good"], tls="Preferred", more=more) as (running, hosts):
        assert (await running.send(TO)).code == 250
        assert await hosts.took() == [1, 0]
        assert hops(running.record().attempts) == tries


async def test_required_never_comes_to_clear_text_however_many_hosts_fail(relayed: Relayed) -> None:
    async with relayed(["no-starttls", "handshake-drop"], tls="Required") as (running, hosts):
        assert (await running.send(TO)).code == 451
        assert await hosts.took() == [0, 0]
        assert all(got_nothing(exchanger) for exchanger in hosts.exchangers)
        assert hops(running.record().attempts) == ["2", "3"]


async def test_a_domain_without_mx_is_its_own_host(start: Start, authority: LabAuthority) -> None:
    async with cluster(authority, ["good"]) as hosts:
        double = DnsDouble({"peer.test": ["A 127.0.0.2"]})
        async with (
            double.running(),
            start(policy(double, f"mx:peer.test:{hosts.port}", "Required")) as running,
        ):
            assert (await running.send(TO)).code == 250
            assert await hosts.took() == [1]
            (attempt,) = running.record().attempts
            assert attempt.hop is not None
            assert attempt.hop.host == "peer.test"


async def test_mx_alone_means_each_recipients_own_domain(
    start: Start, authority: LabAuthority
) -> None:
    async with cluster(authority, ["good", "good"]) as hosts:
        double = DnsDouble(
            {"one.test": ["A 127.0.0.2"], "two.test": ["MX 5 mx.two.test."]}
            | {"mx.two.test": ["A 127.0.0.3"]}
        )
        async with (
            double.running(),
            start(policy(double, f"mx:{hosts.port}", "Required")) as running,
        ):
            assert (await running.send("a@one.test", "b@two.test", "c@[127.0.0.2]")).code == 250
            assert await hosts.took() == [2, 1]
            routes = {attempt.route for attempt in running.record().attempts}
            assert routes == {
                f"mx:one.test:{hosts.port}",
                f"mx:two.test:{hosts.port}",
                f"smtp://127.0.0.2:{hosts.port}",
            }


@pytest.mark.parametrize(
    ("book", "code", "text"),
    [
        ("salesforce", 550, "5.4.4 [internal] NULL MX"),
        ("rfc", 556, "5.1.10 Recipient address has null MX"),
    ],
)
async def test_a_domain_with_a_null_mx_takes_no_mail(
    start: Start, book: str, code: int, text: str
) -> None:
    double = DnsDouble({"peer.test": ["MX 0 .", "A 127.0.0.1"]})
    async with double.running(), start(policy(double, "mx", more=f"codes: {book}")) as running:
        reply = await running.send(TO)
        assert (reply.code, reply.text) == (code, text)
        record = running.record()
        (attempt,) = record.attempts
        assert (attempt.hop, attempt.session_id) == (None, None)
        assert "takes no mail" in record.bounces[0].cause


async def test_an_mx_record_with_our_own_name_is_a_loop(start: Start) -> None:
    double = DnsDouble({"peer.test": ["MX 10 relay.lab.test."]})
    async with double.running(), start(policy(double, "mx")) as running:
        reply = await running.send(TO)
        assert (reply.code, reply.text[:5]) == (554, "5.4.6")
        assert "would come back" in running.record().bounces[0].cause


async def test_mail_never_comes_back_to_our_own_listener(start: Start) -> None:
    """Neither as the best host, nor after better ones have failed."""
    double = DnsDouble({})
    async with double.running(), start("off") as running:
        own_port = running.port()
        double.records = {
            "peer.test": ["MX 10 mx1.peer.test."],
            "better.test": ["MX 5 mx0.peer.test.", "MX 10 mx1.peer.test.", "MX 10 mx2.peer.test."],
            "mx0.peer.test": ["A 127.0.0.7"],
            "mx1.peer.test": ["A 127.0.0.1"],
            "mx2.peer.test": ["A 127.0.0.8"],
        }
        text = policy(double, f"mx:{own_port}", "Off")
        await running.relay.load(load_policy_text(text, name="test.yaml"))
        reply = await running.send(TO)
        assert (reply.code, reply.text[:5]) == (554, "5.4.6")
        reply = await running.send("someone@better.test", mark="better")
        assert (reply.code, reply.text[:5]) == (451, "4.4.1")
        assert hops(running.record("better").attempts) == ["7"]
        assert running.relay.journal.counts().messages == 2


async def test_a_host_off_this_machine_is_passed_over(
    start: Start, authority: LabAuthority
) -> None:
    async with cluster(authority, ["good"]) as hosts:
        double = DnsDouble(
            {"peer.test": ["MX 5 far.peer.test.", "MX 10 mx.good.lab.test."]}
            | {"far.peer.test": ["A 192.0.2.1"], "mx.good.lab.test": ["A 127.0.0.2"]}
        )
        async with (
            double.running(),
            start(policy(double, f"mx:peer.test:{hosts.port}")) as running,
        ):
            assert (await running.send(TO)).code == 250
            assert await hosts.took() == [1]
            assert hops(running.record().attempts) == ["1", "2"]
            refusal = running.record().attempts[0].outcomes[0].outcome
            assert isinstance(refusal, Failed)
            assert isinstance(refusal.failure, LocalRefusal)
            assert refusal.failure.problem is LocalProblem.HOST_NOT_ALLOWED


async def test_chance_decides_among_equals_and_the_seed_decides_chance(
    start: Start, authority: LabAuthority
) -> None:
    async with cluster(authority, [None] * 6) as hosts:
        double = DnsDouble(hosts.records("peer.test", *[10] * 6))
        orders = {}
        async with double.running():
            text = policy(double, f"mx:peer.test:{hosts.port}", "Off")
            for name, seed in (("one", 7), ("again", 7), ("other", 8)):
                async with start(text, seed=seed) as running:
                    await running.send(TO, mark=name)
                    orders[name] = hops(running.record(name).attempts)
    assert sorted(orders["one"]) == ["2", "3", "4", "5", "6", "7"]
    assert orders["one"] == orders["again"] != orders["other"]


@pytest.mark.parametrize(("trouble", "code"), [(Trouble.SERVFAIL, "4.4.3"), (None, "4.4.4")])
async def test_a_domain_that_can_not_be_found(
    start: Start, trouble: Trouble | None, code: str
) -> None:
    double = DnsDouble({}, {"peer.test": trouble} if trouble else {})
    async with double.running(), start(policy(double, "mx")) as running:
        reply = await running.send(TO)
        assert reply.text[:5] == code


async def test_a_list_of_hosts_goes_by_preference_without_any_name_server(start: Start) -> None:
    text = (
        "tls: Required Verify\n"
        "routes:\n"
        "  - match: peer.test\n"
        "    to: [lab/no-starttls, {host: lab/good, preference: 30},\n"
        "         {host: lab/expired, preference: 20}]\n"
    )
    async with start(text) as running:
        assert (await running.send(TO)).code == 250
        hosts = [a.hop.host for a in running.record().attempts if a.hop]
        assert hosts == ["mx.no-starttls.lab.test", "mx.expired.lab.test", "mx.good.lab.test"]
        assert len(running.lab.messages("good")) == 1


async def test_no_name_server_is_asked_unless_a_destination_goes_by_mx(start: Start) -> None:
    double = DnsDouble({})
    async with double.running():
        text = policy(double, "lab/good")
        async with start(text) as running:
            assert (await running.send(TO)).code == 250
    assert double.asked == []


@pytest.mark.parametrize("to", ["lab/good", "mx", "[lab/good, lab/expired]"])
def test_serve_says_which_seed_chance_has(tmp_path: Path, to: str) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(f"routes: [{{match: peer.test, to: {to}}}]\n")
    with serving(tmp_path, "--policy", str(file), "--seed", "20261121") as server:
        code, out, err = server.stop()
    assert code == 0, err
    assert ("--seed 20261121" in out) is (to != "lab/good")
