"""simple-salesforce, as published, polls this relay for bounces; it insists on HTTPS."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from e2e_command import relay, serving

CONTACTS = """Id,Email,FirstName,LastName,Object
003A,ann@user-unknown.lab.test,Ann,Ace,Contact
003B,bob@good.lab.test,Bob,Bee,Contact
00QC,cy@user-unknown.lab.test,Cy,Sea,Lead
"""
POLL = """
import json, sys
from simple_salesforce import Salesforce, format_soql
from simple_salesforce.exceptions import SalesforceMalformedRequest

sf = Salesforce(instance_url=sys.argv[1], session_id="s3cret")
told = {}
for name in ("Contact", "Lead"):
    found = sf.query_all(
        f"SELECT Id, Email, EmailBouncedReason, EmailBouncedDate FROM {name} "
        "WHERE EmailBouncedDate != null ORDER BY EmailBouncedDate DESC"
    )
    told[name] = [(r["Id"], r["EmailBouncedReason"]) for r in found["records"]]
seen = found["records"][0]["EmailBouncedDate"]
told["later"] = sf.query(f"SELECT Id FROM Lead WHERE EmailBouncedDate > {seen}")["totalSize"]
told["quoted"] = sf.query(
    format_soql("SELECT Id FROM Contact WHERE LastName = {}", "O'Hara' OR Id != '")
)["totalSize"]
told["messages"] = [
    r["ToAddress"]
    for r in sf.query_all_iter("SELECT ToAddress FROM EmailMessage WHERE IsBounced = true")
]
try:
    sf.query("SELECT Id FRM Contact")
except SalesforceMalformedRequest as error:
    told["error"] = error.content
print(json.dumps(told))
"""


def poll(url: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", POLL, url],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_simple_salesforce_finds_the_contacts_that_bounced(tmp_path: Path) -> None:
    state, contacts = tmp_path / "state", tmp_path / "contacts.csv"
    contacts.write_text(CONTACTS)
    policy = tmp_path / "policy.yaml"
    policy.write_text("tls: Preferred\nsalesforce: {bounce_management: {}}\n")
    assert relay(state, "contacts", "import", str(contacts)).returncode == 0
    words = ("--policy", str(policy), "--web", "--web-port", "0", "--web-tls")
    with serving(state, *words) as running:
        for name in ("ann@user-unknown", "bob@good", "cy@user-unknown"):
            relay(state, "send", f"{name}.lab.test")
        url = running.note.web
        assert url is not None
        assert url.startswith("https://127.0.0.1:")
        trusting = {"REQUESTS_CA_BUNDLE": running.note.lab_root, "NO_PROXY": "localhost"}
        place = url.replace("127.0.0.1", "localhost")
        run = poll(place, {**os.environ, **trusting})
        assert run.returncode == 0, run.stderr
        ours = ("_BUNDLE", "_CERT_FILE")
        untrusting = poll(place, {k: v for k, v in os.environ.items() if not k.endswith(ours)})
    told = json.loads(run.stdout)
    assert told["Contact"] == [["003A", "550 5.1.1 User unknown"]]
    assert told["Lead"] == [["00QC", "550 5.1.1 User unknown"]]
    assert (told["later"], told["quoted"]) == (0, 0)
    assert told["messages"] == ["cy@user-unknown.lab.test", "ann@user-unknown.lab.test"]
    assert told["error"][0]["errorCode"] == "MALFORMED_QUERY"
    assert "unexpected token: 'FRM'" in told["error"][0]["message"]
    assert "certificate verify failed" in untrusting.stderr
