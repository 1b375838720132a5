"""The policy over the API: read, lint, explain, reload, what-if; and what no request can do."""

from __future__ import annotations

from pathlib import Path

import pytest
from relay_port import API, INLINE, Port, relay_port

from relay.core.settings import TlsSetting
from relay.lab.authority import LabAuthority
from relay.web.safety import Access

SECRET = "correct-horse"
WITH_PASSWORD = f"""\
tls: Required
email_relays:
  - name: front
    host: "127.0.0.1:2525"
    tls: Required Verify
    auth: {{username: u, password: {SECRET}}}
"""


async def test_the_policy_in_force_and_its_text(port: Port) -> None:
    found = await port.get("/policy")
    assert found["source"] == str(port.policy_file)
    assert found["text"] == INLINE
    assert found["in_force"] is True
    port.policy_file.write_text("tls: Requird\n")
    found = await port.get("/policy")
    assert found["in_force"] is False
    (problem,) = found["problems"]
    assert (problem["line"], problem["column"], problem["severity"]) == (1, 6, "error")


async def test_the_api_shows_no_password(tmp_path: Path, authority: LabAuthority) -> None:
    async with relay_port(tmp_path, authority) as port:
        port.policy_file.write_text(WITH_PASSWORD)
        answer = await port.client.get(f"{API}/policy")
        assert "password: ****" in answer.text
        assert SECRET not in answer.text


async def test_a_reload_says_what_is_wrong_with_a_password_in_full(port: Port) -> None:
    port.policy_file.write_text(WITH_PASSWORD.replace(SECRET, "[1]"))
    problem = await port.ask("POST", "/policy/reload", status=409)
    told = problem["problems"][-1]
    assert told.endswith(".auth.password: a password is a text; put it in quotes")
    page = await port.client.post("/policy/reload")
    assert "a password is a text; put it in quotes" in page.text


async def test_reload_puts_the_file_in_force_or_keeps_the_policy(port: Port) -> None:
    port.policy_file.write_text("tls: Off\nreply: inline\n")
    assert (await port.ask("POST", "/policy/reload"))["in_force"] is True
    await port.send("a@expired.lab.test")
    assert await port.ids(protection="clear")
    port.policy_file.write_text("tls: Nonsense\n")
    problem = await port.ask("POST", "/policy/reload", status=409)
    assert problem["type"].endswith(":policy-kept")
    assert "test.yaml:1:6: tls:" in problem["problems"][0]
    explained = await port.get("/policy/explain", address="a@b.test")
    assert explained["setting"] == TlsSetting.OFF.value


SCRIPT = "scripts: [{scenario: good, rules: [{phase: data, reply: 451 4.3.0 busy}]}]\n"


async def test_reload_reads_the_fault_scripts_too(tmp_path: Path, authority: LabAuthority) -> None:
    """As SIGHUP and `relay policy reload` do; neither file waits for the other."""
    scripts = tmp_path / "flaky.yaml"
    scripts.write_text(SCRIPT)
    async with relay_port(tmp_path, authority, scripts=scripts) as port:

        async def scripted() -> list[str]:
            return [each["scenario"] for each in await port.get("/lab/scripts")]

        assert await scripted() == []
        await port.ask("POST", "/policy/reload")
        assert await scripted() == ["good"]
        scripts.write_text(SCRIPT.replace("good", "nobody"))
        port.policy_file.write_text("tls: Off\n")
        problem = await port.ask("POST", "/policy/reload", status=409)
        assert problem["type"].endswith(":scripts-kept")
        assert "flaky.yaml:1:22:" in problem["problems"][0]
        assert await scripted() == ["good"]
        assert (await port.get("/policy"))["in_force"] is True
        page = await port.client.post("/policy/reload")
        assert "The fault scripts of before stay in force" in page.text
        assert "The policy of before" not in page.text
        port.policy_file.write_text("tls: Nonsense\n")
        problem = await port.ask("POST", "/policy/reload", status=409)
        assert problem["type"].endswith(":policy-kept")
        assert len(problem["problems"]) == 2
        scripts.write_text(SCRIPT.replace("good", "expired"))
        page = await port.client.post("/policy/reload")
        assert "The policy of before stays in force" in page.text
        assert "The fault scripts of before" not in page.text
        assert await scripted() == ["expired"]


async def test_lint_tells_every_problem_of_a_draft_with_its_place(port: Port) -> None:
    draft = "tls: Requird\nrules:\n  - {match: bank.test, tls: Offf}\n"
    found = await port.ask("POST", "/policy/lint", content=draft)
    assert [(p["line"], p["path"], p["severity"]) for p in found] == [
        (1, "tls", "error"),
        (3, "rules[0].tls", "error"),
    ]
    assert "did you mean" in found[0]["hint"]
    assert await port.ask("POST", "/policy/lint", content="tls: Required Verify\n") == []
    assert port.policy_file.read_text() == INLINE


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[", b"- 1", b"\x00", b"&a [*a]"])
async def test_lint_reads_any_octets(port: Port, content: bytes) -> None:
    found = await port.ask("POST", "/policy/lint", content=content)
    assert all({"line", "column", "message"} <= problem.keys() for problem in found)


async def test_explain_of_the_policy_in_force_and_of_a_draft(port: Port) -> None:
    ours = await port.get("/policy/explain", address="a@bank.test")
    assert ours["setting"] == "required-verify"
    draft = "tls: Required Verify\nrules:\n  - {match: bank.test, tls: Off}\n"
    theirs = await port.ask(
        "POST", "/policy/explain", params={"address": "a@bank.test", "from": ""}, content=draft
    )
    assert (theirs["setting"], theirs["place"], theirs["sender"]) == ("off", "posted:3", "")
    problem = await port.ask(
        "POST", "/policy/explain", status=422, params={"address": "a@b.test"}, content="tls: X"
    )
    assert problem["type"].endswith(":bad-policy")
    assert problem["problems"][0]["line"] == 1
    await port.get("/policy/explain", status=422, address="nobody")


async def test_what_if_answers_from_the_record(port: Port) -> None:
    await port.send("a@expired.lab.test")
    await port.send("b@good.lab.test")
    found = await port.ask("POST", "/what-if", content="tls: Preferred\n")
    changes = {row["asked"]["domain"]: row["change"] for row in found["rows"]}
    assert changes["expired.lab.test"] == "unknown"
    found = await port.ask("POST", "/what-if", content="tls: Off\n", params={"by": "recipient"})
    changes = {row["asked"]["recipient"]: row["change"] for row in found["rows"]}
    assert changes["b@good.lab.test"] == "less-protected"
    assert found["summary"]
    assert (await port.ask("POST", "/what-if", status=422, content="tls: X"))["problems"]
    assert len(await port.ids()) == 2


@pytest.mark.parametrize(
    "draft",
    [
        "trust: [lab, {file}]\n",
        "trust: {file}\n",
        "crl: [{file}]\n",
        "trust: [../outside.pem]\n",
        "trust: [link.pem]\n",
        "rules:\n  - {{match: b.test, tls: Required Verify, trust: [{file}]}}\n",
        "trust: &all [{file}]\ncrl: *all\n",
        "trust: [~root/x]\n",
        "trust: ['lab, {file}']\n",
    ],
)
@pytest.mark.parametrize("path", ["/policy/lint", "/what-if", "/policy/explain?address=a@b.test"])
async def test_a_draft_names_no_file_outside_the_policys_folder(
    port: Port, draft: str, path: str
) -> None:
    outside = port.policy_file.parent.parent / "outside.pem"
    missing = outside.with_name("missing.pem")
    outside.write_bytes(port.running.lab.authority.root_pem)
    (port.policy_file.parent / "link.pem").symlink_to(outside)
    answers = []
    for file in (outside, missing):
        text = draft.format(file=file)
        answers.append((await port.client.post(f"{API}{path}", content=text)).text)
    # It can't be told from the answers whether a file exists.
    assert answers[0] == answers[1]
    assert "not in the folder" in answers[0]


@pytest.mark.parametrize("key", ["password_env: HOME", "password_file: /etc/passwd"])
async def test_a_draft_takes_no_password_from_the_machine(port: Port, key: str) -> None:
    draft = WITH_PASSWORD.replace(f"password: {SECRET}", key)
    (problem,) = await port.ask("POST", "/policy/lint", content=draft)
    assert "can't be posted" in problem["message"]
    assert "HOME" not in problem["message"]


async def test_a_file_in_the_folder_may_be_named(port: Port) -> None:
    inside = port.policy_file.with_name("root.pem")
    inside.write_bytes(port.running.lab.authority.root_pem)
    draft = "tls: Required Verify\ntrust: [root.pem]\n"
    assert await port.ask("POST", "/policy/lint", content=draft) == []


async def test_read_only_refuses_every_write_and_nothing_else(
    tmp_path: Path, authority: LabAuthority
) -> None:
    async with relay_port(tmp_path, authority, access=Access(read_only=True)) as port:
        await port.send("b@good.lab.test")
        document = await port.get("/openapi.json")
        for path, operations in document["paths"].items():
            for method in operations:
                if method == "get":
                    continue
                where = path.replace("{id}", "latest").replace("{email}", "a@b.test")
                answer = await port.client.request(method.upper(), where)
                assert answer.status_code == 403, (method, path)
                assert answer.json()["type"].endswith(":read-only")
        assert len(await port.ids()) == 1


async def test_no_route_takes_a_command_a_path_a_webhook_or_a_host(port: Port) -> None:
    document = await port.get("/openapi.json")
    names = {
        parameter["name"]
        for path in document["paths"].values()
        for operation in path.values()
        for parameter in operation.get("parameters", ())
    }
    assert not names & {"file", "path", "command", "webhook", "url", "host", "target", "directory"}
