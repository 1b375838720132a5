import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { sendInvoice } from "./invoice.js";
import { startRelay } from "./relay.js";

let relay;
before(async () => {
  relay = await startRelay("required-verify");
});
after(() => relay.stop());

test("an invoice is delivered", async () => {
  assert.deepEqual(await sendInvoice(relay.server, "jo@good.lab.test"), { sent: true });
  const { record } = await relay.waitFor("delivered", "jo@good.lab.test");
  assert.equal(record.verdict.protection, "verified");
});

test("a partner's certificate has expired", async () => {
  const told = await sendInvoice(relay.server, "jo@expired.lab.test");
  assert.equal(told.code, 451);
  assert.match(told.why, /^451 4\.7\.5 /);
  const { record } = await relay.waitFor("bounced", "jo@expired.lab.test");
  assert.equal(record.faults[0].kind, "certificate-expired");
});
