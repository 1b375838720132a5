"""What asks name servers is loaded beside the event loop, at nobody's expense."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """\
import asyncio, random, sys, threading
from datetime import timedelta
from relay.core.addresses import parse_domain
from relay.core.destinations import ToMailDomain
from relay.core.routing import Dns, NameServer
from relay.lookup.mx import MxResolver

AN_HOUR = 3600.0
questions = []

class Loop(asyncio.SelectorEventLoop):
    gone = 0.0

    def time(self):
        return super().time() + self.gone

class NameServerDouble(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        import dns.message, dns.rcode
        question = dns.message.from_wire(data)
        questions.append(str(question.question[0]))
        answer = dns.message.make_response(question)
        answer.set_rcode(dns.rcode.NXDOMAIN)
        self.transport.sendto(answer.to_wire(), address)

def note(event, args):
    if event == "import" and args[0] == "dns.asyncresolver" and not Loop.gone:
        print("in the loop:", threading.current_thread() is threading.main_thread())
        Loop.gone = AN_HOUR

async def main():
    loop = asyncio.get_running_loop()
    bound = ("127.0.0.1", 0)
    double, _ = await loop.create_datagram_endpoint(NameServerDouble, local_addr=bound)
    there = NameServer(address="127.0.0.1", port=double.get_extra_info("sockname")[1])
    resolver = MxResolver(
        dns=lambda: Dns(server=there, timeout=timedelta(seconds=AN_HOUR / 2)),
        own_name="relay.example",
        chance=random.Random(1),
    )
    assert "dns" not in sys.modules
    sys.addaudithook(note)
    to = ToMailDomain(domain=parse_domain("peer.test"))
    failure = await resolver.resolve(to)
    print(failure.problem.value, questions)
    double.close()

with asyncio.Runner(loop_factory=Loop) as runner:
    runner.run(main())
"""


def test_the_time_of_a_look_up_begins_when_what_asks_is_loaded() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines() == [
        "in the loop: False",
        "no-host ['peer.test. IN MX']",
    ], done.stderr
