// Runs `relay serve` on free ports, with a state directory that is gone at the end.
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const command = process.env.RELAY_COMMAND ?? "relay";

export async function startRelay(policy) {
  const state = await mkdtemp(join(tmpdir(), "relay-"));
  const ports = ["--smtp-port", "0", "--smtps-port", "0", "--web-port", "0", "--no-submission"];
  const child = spawn(command, ["serve", "--policy", policy, "--state", state, ...ports], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  await promisify(execFile)(command, ["readyz", "--wait", "--timeout", "60", "--state", state]);
  const serving = JSON.parse(await readFile(join(state, "serving.json"), "utf8"));
  const { host, port } = serving.listeners.find((one) => one.kind === "smtp");
  return {
    server: { host, port },
    // Waits on the server; what happened within the last minute counts.
    async waitFor(outcome, recipient) {
      const asked = new URLSearchParams({ outcome, recipient, since: "1m" });
      const answer = await fetch(`${serving.web}/api/v1/wait?${asked}`);
      if (!answer.ok) throw new Error(`${outcome} ${recipient}: ${await answer.text()}`);
      return (await answer.json()).happened;
    },
    async stop() {
      child.kill("SIGTERM");
      await once(child, "exit");
      await rm(state, { recursive: true });
    },
  };
}
