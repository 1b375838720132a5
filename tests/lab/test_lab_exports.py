"""What is exported for other mail servers, and that it is what `relay lab serve` listens on."""

from __future__ import annotations

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from relay.cli import lab
from relay.config.policy_file import load_policy_text
from relay.core.addresses import Domain
from relay.core.destinations import ToHost
from relay.core.routing import HostAddress
from relay.core.scenarios import ReachedBy
from relay.core.settings import TlsMode
from relay.lab.catalogue import LAB_SCENARIOS, SCENARIOS
from relay.lab.exports import ExportFor, export
from relay.lab.layout import own_addresses, ports_from

ROOT = Path(__file__).parents[2]

app = typer.Typer()
app.add_typer(lab.app)
runner = CliRunner()


def run(*arguments: str, code: int = 0) -> list[str]:
    result = runner.invoke(app, ["lab", *arguments])
    assert result.exit_code == code, result.output
    return result.output.splitlines()


def test_hosts_counts_ports_up_from_2600_in_the_order_of_the_list() -> None:
    lines = run("list", "--hosts")
    assert lines[0] == "mx.good.lab.test 127.0.0.1 2600"
    assert [line.split()[2] for line in lines] == [str(2600 + n) for n in range(len(LAB_SCENARIOS))]
    assert [line.split()[0] for line in lines] == [
        entry.card.host for entry in LAB_SCENARIOS.values()
    ]


def test_hosts_of_one_family_keep_their_ports() -> None:
    everything = run("list", "--hosts")
    dns = run("list", "--hosts", "--family", "dns")
    assert dns == everything[-len(dns) :]
    assert len(dns) < len(everything)
    assert [line.split()[0] for line in dns] == ["no-mx.lab.test", "mx0.mx-many.lab.test"]


def test_the_transport_map_has_every_domain_once() -> None:
    lines = [line for line in run("export", "--for", "postfix") if not line.startswith("#")]
    assert lines[0] == "good.lab.test smtp:[127.0.0.1]:2600"
    assert "#   bnc.relay.test smtp:[127.0.0.1]:1025" in run("export", "--for", "postfix")
    assert "implicit-tls.lab.test relaylab-smtps:[127.0.0.1]:2606" in lines
    assert [line.split()[0] for line in lines] == [
        entry.card.mail_domain for entry in LAB_SCENARIOS.values()
    ]


def test_the_options_of_serve_move_what_is_exported() -> None:
    moved = run("export", "--for", "postfix", "--listen", "::1", "--base-port", "4000")
    assert "good.lab.test smtp:[ipv6:::1]:4000" in moved
    own = run("export", "--for", "postfix-tls", "--addresses")
    assert "[127.0.0.2]:2525 secure match=mx.good.lab.test" in own
    assert run("export", "--for", "hosts", "--addresses")[0] == "127.0.0.2 mx.good.lab.test"


def test_own_addresses_differ_and_are_loopback() -> None:
    addresses = [place.address for place in own_addresses().values()]
    assert len(set(addresses)) == len(LAB_SCENARIOS)
    assert all(address.startswith("127.0.0.") for address in addresses)


@pytest.mark.parametrize(
    "words", [("export", "--for", "sendmail"), ("list", "--hosts", "--json"), ("export",)]
)
def test_what_can_not_be_exported(words: tuple[str, ...]) -> None:
    run(*words, code=2)


def test_haraka_gets_a_section_for_each_domain_that_its_plugin_can_reach() -> None:
    text = "\n".join(run("export", "--for", "haraka", "--base-port", "4000"))
    # The plugin's own defaults stand before the first section, as the parser of ini files has them.
    parser = configparser.ConfigParser(comment_prefixes=(";",))
    parser.read_string(f"[main]\n{text}")
    assert dict(parser["main"]) == {"check_recipient": "true", "enable_tls": "true"}
    assert dict(parser["good.lab.test"]) == {
        "host": "127.0.0.1",
        "port": "4000",
        "enable_tls": "true",
        "enable_outbound": "true",
    }
    places = ports_from(4000)
    reachable = [n for n, place in places.items() if place.mode is TlsMode.STARTTLS]
    domains = [LAB_SCENARIOS[name].card.mail_domain for name in reachable]
    assert parser.sections() == ["main", "tls", *domains]
    assert "implicit-tls.lab.test" not in parser
    assert "; implicit-tls.lab.test: the plugin can't begin with TLS" in text


@pytest.mark.parametrize(
    ("options", "host"), [((), "127.0.0.1"), (("--listen", "::1"), "::1"), (("--addresses",), None)]
)
def test_another_relay_gets_a_policy_without_mistakes(
    options: tuple[str, ...], host: str | None
) -> None:
    text = "\n".join(run("export", "--for", "relaylab", *options))
    policy = load_policy_text(text, name="exported.yaml", known_scenarios=frozenset(SCENARIOS))
    places = ports_from(2600, listen=host) if host else own_addresses()
    found = {}
    for name, place in places.items():
        domain = Domain(SCENARIOS[name].mail_domain)
        way = policy.way(domain, sender=Domain("example.test"))
        if isinstance(way.route.to, ToHost):
            found[name] = HostAddress(
                name=place.name,
                address=way.route.to.host,
                port=way.route.to.port,
                mode=way.route.to.mode,
            )
            by_address = SCENARIOS[name].reached_by is ReachedBy.ADDRESS
            names = way.tls.policy.names.extra
            assert names == (() if by_address else (SCENARIOS[name].host,)), name
        else:
            assert f"#   {domain}" in text.splitlines()
    left = {"sni-required", "sni-different-certificate"}
    assert found == {name: place for name, place in places.items() if name not in left}


@pytest.mark.judge("exim4")
@pytest.mark.parametrize("listen", ["127.0.0.1", "::1"])
def test_exim_routes_each_domain_to_its_receiver(tmp_path: Path, listen: str) -> None:
    places = ports_from(2600, listen=listen)
    program = shutil.which("exim4", path=f"/usr/sbin:{ROOT / '.cache/exim/usr/sbin'}")
    assert program is not None
    config = tmp_path / "exim.conf"
    router = "\n".join(export(places, ExportFor.EXIM))
    config.write_text(
        "keep_environment =\nprimary_hostname = client.test\nbegin routers\n"
        f"{router}\nbegin transports\nremote_smtp:\n  driver = smtp\n"
    )
    for name in ("good", "no-starttls", list(LAB_SCENARIOS)[-1]):
        words = [program, "-C", str(config), "-bt", f"anyone@{name}.lab.test"]
        found = subprocess.run(words, capture_output=True, text=True, timeout=30, check=True)
        assert f"[{listen}] port={places[name].port}" in found.stdout
