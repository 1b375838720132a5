"""Receivers whose handshake works and whose certificate proves nothing, or soon won't.

The scripts are all honest: the fault lies in the recipe alone.
"""

from __future__ import annotations

from typing import Final

from relay.core.advisories import AdvisoryKind
from relay.core.faults import FaultKind
from relay.core.outcomes import Stage
from relay.core.scenarios import Family, ReachedBy, Scenario, ScenarioClass
from relay.lab.scripts import LabScenario


def _scenario(
    name: str,
    *faults: FaultKind,
    summary: str,
    in_the_wild: str,
    remedy: str,
    scenario_class: ScenarioClass | None = None,
    recipe: str | None = None,
    reached_by: ReachedBy = ReachedBy.NAME,
    host_name: str | None = None,
    rotation: tuple[str, ...] = (),
    advisories: tuple[AdvisoryKind, ...] = (),
) -> LabScenario:
    """Declare a scenario that shows the certificate of the recipe with the same name.

    One without faults is an advisory, unless a class is given: every setting delivers.
    """
    usual_class = ScenarioClass.FAULT if faults else ScenarioClass.ADVISORY
    return LabScenario(
        card=Scenario(
            name=name,
            family=Family.CERTIFICATE,
            scenario_class=scenario_class or usual_class,
            summary=summary,
            in_the_wild=in_the_wild,
            stage=Stage.HANDSHAKE,
            faults=faults,
            recipe=recipe or name,
            remedy=remedy,
            reached_by=reached_by,
            host_name=host_name,
            advisories=advisories,
        ),
        rotation=rotation,
    )


_DATES: Final = (
    _scenario(
        "expired",
        FaultKind.CERTIFICATE_EXPIRED,
        summary="Shows a certificate that ran out a day ago.",
        in_the_wild="The most frequent fault of all: a renewal that failed without a word, or one "
        "that worked while the mail server still has the old file loaded.",
        remedy="Renew the certificate, restart the mail server so that it loads it, and watch the "
        "date from outside.",
    ),
    _scenario(
        "not-yet-valid",
        FaultKind.CERTIFICATE_NOT_YET_VALID,
        summary="Shows a certificate whose validity begins tomorrow.",
        in_the_wild="A clock that is wrong, on the sender's side more often than on the host's, "
        "and certificates that were prepared for a move and installed too early.",
        remedy="Compare the clocks of both sides with a time server; if they are right, go back "
        "to the certificate that is valid today.",
    ),
    _scenario(
        "expires-soon",
        advisories=(AdvisoryKind.CERTIFICATE_EXPIRES_SOON,),
        summary="Shows a good certificate that runs out in two days.",
        in_the_wild="The days before the bounces begin. Tools renew certificates weeks ahead: two "
        "days left mean that the renewal is broken.",
        remedy="Find out why the renewal did not happen; the mail server may also still hold the "
        "old certificate while the new one lies beside it.",
    ),
    _scenario(
        "expired-intermediate",
        FaultKind.CERTIFICATE_EXPIRED,
        summary="Shows a valid certificate below an intermediate that ran out a day ago.",
        in_the_wild="Renewals that replace the host's certificate and leave the bundle as it was "
        "years ago; and the days on which an authority's old intermediate or root runs out "
        "for all hosts at once.",
        remedy="Install the intermediates that came with the new certificate, not those of the "
        "last time.",
    ),
    _scenario(
        "expired-and-wrong-host",
        FaultKind.CERTIFICATE_EXPIRED,
        FaultKind.CERTIFICATE_NAME_MISMATCH,
        summary="Shows a certificate that ran out a day ago and is made out to another name.",
        in_the_wild="Forgotten hosts. TLS libraries stop at the first fault that they come to, so "
        "that the administrator repairs one and then hears of the other.",
        remedy="Have a new certificate issued, with the name that the MX record or the route uses.",
    ),
    _scenario(
        "rotates",
        scenario_class=ScenarioClass.FAULT,
        recipe="good",
        rotation=("good", "expired"),
        summary="Shows a good certificate and an expired one in turn, handshake by handshake.",
        in_the_wild="Several hosts behind one address, of which one was forgotten when the "
        "certificate was renewed. Whether a message bounces depends on who answers, and a second "
        "try often succeeds.",
        remedy="Ask every host behind the load balancer by itself, and renew the one that was "
        "forgotten.",
    ),
)

_TRUST: Final = (
    _scenario(
        "self-signed",
        FaultKind.CERTIFICATE_SELF_SIGNED,
        summary="Shows a certificate that is signed by its own key.",
        in_the_wild="The certificate that a mail server or an appliance makes for itself when it "
        "is installed. Mail is encrypted, but nobody knows to whom.",
        remedy="Replace the generated certificate by one from a public authority; one that is "
        "free and renews itself will do.",
    ),
    _scenario(
        "untrusted-root",
        FaultKind.CERTIFICATE_UNTRUSTED_ROOT,
        summary="Shows a complete chain to a root that nobody was told to trust.",
        in_the_wild="A company's private authority, used towards the outside by mistake; a public "
        "root that the trust stores have dropped; and networks that break TLS open.",
        remedy="Use a certificate from a public authority for mail from outside. Partners may "
        "agree to trust the private root instead.",
    ),
    _scenario(
        "untrusted-root-sent",
        FaultKind.CERTIFICATE_UNTRUSTED_ROOT,
        summary="Shows a complete chain and sends the untrusted root with it.",
        in_the_wild="The same private authorities, by administrators who hope that a root becomes "
        "trusted by being sent. OpenSSL then gives code 19 instead of 20.",
        remedy="Use a certificate from a public authority for mail from outside; leave the root "
        "out of what the server sends.",
    ),
    _scenario(
        "missing-intermediate",
        FaultKind.CERTIFICATE_MISSING_INTERMEDIATE,
        summary="Shows a good certificate, but not the intermediate that leads to its root.",
        in_the_wild="Installed from the file that has only the host's certificate. Browsers hide "
        "the gap by fetching the intermediate; mail servers do not.",
        remedy="Install the full chain: the host's certificate first, then every intermediate.",
    ),
    _scenario(
        "wrong-order-chain",
        advisories=(AdvisoryKind.CHAIN_OUT_OF_ORDER,),
        summary="Shows a complete chain with the root ahead of the intermediate.",
        in_the_wild="Bundles that were put together from the top down. TLS 1.2 demands the order "
        "(RFC 5246 section 7.4.2), TLS 1.3 lets clients expect anything; OpenSSL sorts them by "
        "itself and says nothing, clients on small devices give up.",
        remedy="Write the host's certificate first, then its issuer, then that one's, and leave "
        "the root out.",
    ),
    _scenario(
        "revoked",
        summary="Shows a good certificate that its authority has revoked.",
        in_the_wild="Stolen keys. Almost no mail server asks for revocation: this is delivered "
        "under every setting, and nothing in the session shows it, unless the policy names the "
        "lab's list (lab-crl.pem) under `crl`. Then it is the fault certificate-revoked.",
        remedy="Install a new certificate with a new key, and find out how the old one leaked.",
    ),
    _scenario(
        "must-staple",
        advisories=(AdvisoryKind.MUST_STAPLE_NOT_CHECKED,),
        summary="Shows a certificate that demands a stapled OCSP response, and staples none.",
        in_the_wild="Left over from the years in which authorities ran OCSP; large ones have "
        "switched it off. OpenSSL and Python don't look at the demand, GnuTLS does: some senders "
        "refuse the host, and the others see nothing wrong. This relay reads the demand in the "
        "certificate; whether a response comes it can't see.",
        remedy="Have the certificate issued anew without the must-staple extension (RFC 7633).",
    ),
)

_NAMES: Final = (
    _scenario(
        "wrong-host",
        FaultKind.CERTIFICATE_NAME_MISMATCH,
        summary="Shows a trusted, valid certificate that is made out to another name.",
        in_the_wild="Shared hosts that show their provider's name to everybody, MX records with a "
        "name of one's own for somebody else's host, and routes to an IP address.",
        remedy="Add the name that the MX record or the route uses to the certificate, or let the "
        "record name the host as its certificate does.",
    ),
    _scenario(
        "wildcard-too-deep",
        FaultKind.CERTIFICATE_NAME_MISMATCH,
        summary="Shows a wildcard that stops one label short of the host's name.",
        in_the_wild="A certificate for *.example.com on mx.eu.example.com: the wildcard stands "
        "for exactly one label. A policy's wildcard covers any depth, which invites the mistake.",
        remedy="Have the certificate issued for *.eu.example.com, or for the host by name.",
    ),
    _scenario(
        "wildcard-too-wide",
        FaultKind.CERTIFICATE_NAME_MISMATCH,
        host_name="wildcard-too-wide.test",
        summary="Shows a wildcard for a whole top-level domain.",
        in_the_wild="Private authorities whose administrators want to be done with names once "
        "and for all. OpenSSL wants two labels behind the asterisk.",
        remedy="Have the certificate issued for the host by name.",
    ),
    _scenario(
        "common-name-only",
        FaultKind.CERTIFICATE_NAME_MISMATCH,
        summary="Has the right name as its common name, and no alternative names at all.",
        in_the_wild="Appliances and instructions from before 2000. Python and Postfix still take "
        "the common name by default; RFC 9525 section 2 forbids it, and so does a policy "
        "without `common_name: fallback`.",
        remedy="Have the certificate issued anew with the name as a subject alternative name.",
    ),
    _scenario(
        "no-names",
        FaultKind.CERTIFICATE_NAME_MISMATCH,
        summary="Names an organization, and no host at all.",
        in_the_wild="Certificates made by hand, for something that is not a host.",
        remedy="Have the certificate issued anew with the host's name as a subject alternative "
        "name.",
    ),
    _scenario(
        "domain-not-host",
        FaultKind.CERTIFICATE_NAME_MISMATCH,
        summary="Names the domain that stands behind the @, but not the host.",
        in_the_wild="Small sites with one certificate for website and mail, and older "
        "instructions that wanted just this. A policy with `also_match_domain: true` accepts it.",
        remedy="Add the host's name, as the MX record has it, to the certificate.",
    ),
    _scenario(
        "ip-address-host",
        FaultKind.CERTIFICATE_NAME_MISMATCH,
        recipe="good",
        reached_by=ReachedBy.ADDRESS,
        summary="Is reached by its address, while its certificate has nothing but its name.",
        in_the_wild="Routes and relays configured as smtp://10.0.0.5: the sender verifies what it "
        "was given, and hardly any certificate bears an address.",
        remedy="Nothing on the host's side: route to the host by the name in its certificate.",
    ),
)

_STRENGTH_AND_FORM: Final = (
    _scenario(
        "rsa-1024",
        FaultKind.CERTIFICATE_WEAK_KEY,
        summary="Shows a certificate with an RSA key of 1024 bits.",
        in_the_wild="Appliances that made their key when they were installed, long ago. Postfix "
        "and Exim accept it by default, Python and current distributions don't.",
        remedy="Make a new key, RSA of 2048 bits or an elliptic curve, and have a certificate "
        "issued for it.",
    ),
    _scenario(
        "sha1-signature",
        FaultKind.CERTIFICATE_WEAK_SIGNATURE,
        summary="Shows a certificate that is signed with SHA-1.",
        in_the_wild="Private authorities that nobody has touched since they were set up; public "
        "ones stopped in 2016.",
        remedy="Have the certificate issued anew with SHA-256.",
    ),
    _scenario(
        "wrong-purpose",
        FaultKind.CERTIFICATE_WRONG_PURPOSE,
        summary="Shows a certificate that was issued for TLS clients only.",
        in_the_wild="Private authorities with one template for users and hosts, and certificates "
        "of partners who log in by certificate, installed on the mail server by mistake.",
        remedy="Have the certificate issued anew with the extended key usage serverAuth.",
    ),
    _scenario(
        "ca-as-leaf",
        advisories=(AdvisoryKind.AUTHORITY_AS_HOST,),
        summary="Uses an authority's certificate as its own.",
        in_the_wild="Private authorities that began as one self-made certificate with every box "
        "ticked. OpenSSL accepts it, so it is delivered here; senders built on rustls refuse it. "
        "Whoever steals this key can issue certificates for anybody.",
        remedy="Issue a certificate for the host from this authority, and take the authority's "
        "key off the mail host.",
    ),
    _scenario(
        "not-a-ca-issuer",
        FaultKind.CERTIFICATE_ISSUER_INVALID,
        summary="Shows a certificate that is signed by one which is no authority.",
        in_the_wild="Rarely a mistake: whoever has a certificate for any host tries to make one "
        "for yours. Clients that forgot to look were a scandal in 2002 and again in 2011.",
        remedy="Have the certificate issued by an authority; if nobody knows where this one "
        "comes from, treat it as an attack.",
    ),
    _scenario(
        "name-constraint",
        FaultKind.CERTIFICATE_NAME_CONSTRAINT,
        summary="Comes from an authority that may issue for another domain only.",
        in_the_wild="Companies whose authority is bound to their own domain, after a merger or "
        "a change of name.",
        remedy="Use an authority that may issue for the host's domain.",
    ),
    _scenario(
        "path-length",
        FaultKind.CERTIFICATE_ISSUER_INVALID,
        summary="Comes from an authority that stands one level deeper than its issuer allows.",
        in_the_wild="Private authorities that were extended by a level without a look at the "
        "path length of the one above.",
        remedy="Have the lower authority's certificate issued by one whose path length allows it.",
    ),
    _scenario(
        "unknown-critical-extension",
        FaultKind.CERTIFICATE_UNKNOWN_EXTENSION,
        summary="Shows a certificate with a critical extension that no client knows.",
        in_the_wild="Certificates for a closed environment, such as smart cards or devices, "
        "shown to the public.",
        remedy="Have the certificate issued anew without the extension, or with it not critical.",
    ),
)

SCENARIOS: Final = (*_DATES, *_TRUST, *_NAMES, *_STRENGTH_AND_FORM)
