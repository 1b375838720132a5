"""`relay lab` and `relay certs`: what they print, for people and for scripts, and exit codes."""

from __future__ import annotations

import json
import ssl
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from relay.cli import certs, lab
from relay.core.advisories import AdvisoryKind
from relay.lab.catalogue import SCENARIOS
from relay.lab.recipes import shipped_recipes

app = typer.Typer()
app.add_typer(lab.app)
app.add_typer(certs.app)
runner = CliRunner()


def run(*arguments: str, code: int = 0) -> str:
    result = runner.invoke(app, list(arguments))
    assert result.exit_code == code, result.output
    return result.output


def test_lab_list_names_every_scenario_within_80_columns() -> None:
    output = run("lab", "list")
    for name in SCENARIOS:
        assert f"{name} " in output
    assert max(len(line) for line in output.splitlines()) <= 80


def test_lab_list_of_one_family() -> None:
    cards = json.loads(run("lab", "list", "--family", "handshake", "--json"))
    assert cards[0]["name"] == "tls10-only"
    assert {card["family"] for card in cards} == {"handshake"}
    assert len(cards) == sum(card.family.value == "handshake" for card in SCENARIOS.values())


def test_lab_list_of_no_family() -> None:
    assert "honest, starttls, handshake, certificate, smtp" in run(
        "lab", "list", "--family", "nonsense", code=2
    )


def test_lab_list_json_has_every_card() -> None:
    cards = json.loads(run("lab", "list", "--json"))
    assert [card["name"] for card in cards] == list(SCENARIOS)
    for card in cards:
        assert set(card["verdicts"]) == {
            *("off", "preferred", "preferred-verify", "required", "required-verify"),
        }


@pytest.mark.parametrize("name", SCENARIOS)
def test_lab_show_tells_the_card(name: str) -> None:
    output = run("lab", "show", name)
    flat = " ".join(output.split())
    card = SCENARIOS[name]
    for text in (card.summary, card.in_the_wild, card.remedy, f"anyone@{name}.lab.test"):
        assert text in flat
    for kind in card.faults:
        assert kind.value in flat
    reported = [kind.value for kind in AdvisoryKind if f"Reported {kind.value}: " in flat]
    assert reported == [kind.value for kind in card.advisories]
    assert "Required Verify" in output
    assert max(len(line) for line in output.splitlines()) <= 80


def test_lab_show_says_what_comes_of_a_message() -> None:
    lines = {
        line.split("  ")[0]: line.split("  ", 1)[1].strip()
        for line in run("lab", "show", "expired").splitlines()
        if "deliver" in line and "  " in line
    }
    assert lines["Off"] == "delivered in clear text"
    assert lines["Required"].startswith("delivered, encrypted; nobody looked")
    assert lines["Required Verify"] == "not delivered; nothing of it is sent"
    assert "second session" in run("lab", "show", "handshake-drop")
    assert "to a verified host" in run("lab", "show", "good")
    assert "the host itself ends it, during RCPT TO" in run("lab", "show", "user-unknown")
    assert "not delivered" not in run("lab", "show", "some-recipients")


def test_lab_show_json() -> None:
    card = json.loads(run("lab", "show", "wrong-host", "--json"))
    assert card["faults"] == ["certificate-name-mismatch"]
    assert card["host"] == "mx.wrong-host.lab.test"
    assert card["verdicts"]["required"] == {"kind": "deliver", "protection": "encrypted"}
    assert card["verdicts"]["required-verify"] == {"kind": "terminate", "protection": None}


def test_lab_show_of_a_domain_about_dns_has_the_answer_in_place_of_a_receiver() -> None:
    null = " ".join(run("lab", "show", "null-mx").split())
    assert "DNS answer MX 0 . Address anyone@null-mx.lab.test Setting" in null
    assert "Required not delivered: the domain takes no mail" in null
    assert "Certificate" not in null
    many = " ".join(run("lab", "show", "mx-many").split())
    assert "recipe wildcard" in many
    assert "MX 10 mx2.mx-many.lab.test. and 57 more" in many
    card = json.loads(run("lab", "show", "mx-loop", "--json"))
    assert card["host"] is None
    assert card["answer"] == ["MX 10 relay.lab.test.", "MX 20 mx.good.lab.test."]
    assert card["verdicts"]["off"] == {"kind": "loops-back", "protection": None}
    found = json.loads(run("lab", "show", "mx-bad-then-good", "--json"))
    assert found["host"] == "mx.no-starttls.lab.test"
    assert found["verdicts"]["preferred"] == {"kind": "deliver", "protection": "encrypted"}


def test_every_recipe_that_a_receiver_shows_is_named() -> None:
    assert "recipes good, expired (relay certs show NAME)" in run("lab", "show", "rotates")
    shown = json.loads(run("certs", "show", "wrong-host", "--json"))["shown_by"]
    assert shown == ["sni-different-certificate", "wrong-host"]


def test_lab_show_says_how_a_host_is_reached() -> None:
    assert "host mx.good.lab.test\n" in run("lab", "show", "good")
    assert "host wildcard-too-wide.test\n" in run("lab", "show", "wildcard-too-wide")
    assert "host reached by its IP address" in " ".join(
        run("lab", "show", "ip-address-host").split()
    )
    implicit = " ".join(run("lab", "show", "implicit-tls").split())
    assert "host mx.implicit-tls.lab.test (TLS from the first octet)" in implicit
    assert "Off delivered, encrypted; nobody looked at the certificate" in implicit


def test_lab_show_of_an_unknown_name() -> None:
    output = run("lab", "show", "wronghost", code=2)
    assert "did you mean wrong-host" in output
    assert "relay lab list" in output


def test_certs_ca_pem_is_the_certificate_alone(tmp_path: Path) -> None:
    pem = run("certs", "ca", "--pem", "--state", str(tmp_path))
    assert pem == (tmp_path / "certs" / "lab-root.pem").read_text()
    assert ssl.PEM_cert_to_DER_cert(pem)
    assert "PRIVATE" not in pem


def test_certs_ca_tells_every_tool_the_path(tmp_path: Path) -> None:
    state = tmp_path / "a state"
    output = run("certs", "ca", "--state", str(state))
    assert "Never add this root to the trust store" in output
    root = str(state / "certs" / "lab-root.pem")
    for line in (
        f"ssl.create_default_context(cafile='{root}')",
        f"NODE_EXTRA_CA_CERTS='{root}' node",
        f"keytool -importcert -noprompt -alias relaylab -file '{root}'",
        f"curl --cacert '{root}'",
        f"-CAfile '{root}'",
        f'os.ReadFile("{root}")',
    ):
        assert line in output
    data = json.loads(run("certs", "ca", "--json", "--state", str(state)))
    assert data["root"] == root
    assert data["crl"] == str(state / "certs" / "lab-crl.pem")
    assert data["crl"] in output
    assert list(data["trust"]) == ["Python", "Node", "Java", "curl", "OpenSSL", "Go"]
    assert data["fingerprint_sha256"][:47] in output


def test_the_python_line_does_as_it_says(tmp_path: Path) -> None:
    data = json.loads(run("certs", "ca", "--json", "--state", str(tmp_path)))
    names = {"ssl": ssl}
    exec(data["trust"]["Python"][0], names)
    context = names["context"]
    assert isinstance(context, ssl.SSLContext)
    (root,) = context.get_ca_certs()
    assert "Relaylab" in str(root["subject"])


def test_certs_ca_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    output = run("certs", "ca", "--state", str(tmp_path / "file"), code=3)
    assert "can't be kept in" in output
    assert "Traceback" not in output


def test_certs_list_and_show() -> None:
    listed = run("certs", "list")
    for name, recipe in shipped_recipes().items():
        assert f"{name} " in listed
        flat = " ".join(run("certs", "show", name).split())
        assert recipe.about in flat
        assert recipe.issuer.value in flat
    flat = " ".join(run("certs", "show", "expired").split())
    assert "Valid from 91 days before its issue" in flat
    assert "Valid until 1 day before its issue" in flat
    assert "Shown by expired, rotates" in flat


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no-names", "Names none"),
        ("common-name-only", "Common name {host}"),
        ("expired-intermediate", "Subordinate 1 an authority, ec-p256; runs out 1 day before its"),
        ("not-a-ca-issuer", "Subordinate 1 no authority, ec-p256; runs out"),
        ("name-constraint", "an authority, ec-p256, for elsewhere.test only; runs out"),
        ("long-chain", "Subordinate 6 an authority"),
        ("sha1-signature", "Signature sha1"),
        ("wrong-purpose", "Purpose client"),
        ("ca-as-leaf", "Authority says that it may sign certificates"),
        ("must-staple", "Extensions must-staple"),
        ("revoked", "Revoked on the lab's revocation list"),
        ("wrong-order-chain", "Sends leaf, root, intermediate"),
    ],
)
def test_certs_show_says_what_is_special(name: str, words: str) -> None:
    output = run("certs", "show", name)
    assert words in " ".join(output.split())
    assert max(len(line) for line in output.splitlines()) <= 80


def test_certs_json() -> None:
    recipes = json.loads(run("certs", "list", "--json"))
    assert [recipe["name"] for recipe in recipes] == list(shipped_recipes())
    good = json.loads(run("certs", "show", "good", "--json"))
    assert good["sends"] == ["leaf", "intermediate"]
    assert good["valid_until"] == 90 * 86_400
    assert good["shown_by"][0] == "good"
    assert good["shown_by"][-1] == "capture"
    assert {"tls12", "rotates", "ip-address-host", "mailbox-busy"} < set(good["shown_by"])
    expired = json.loads(run("certs", "show", "expired", "--json"))
    assert expired["shown_by"] == ["expired", "rotates"]


def test_certs_show_of_an_unknown_recipe() -> None:
    assert "Did you mean self-signed?" in run("certs", "show", "selfsigned", code=2)
    assert "relay certs list" in run("certs", "show", "qqq", code=2)
