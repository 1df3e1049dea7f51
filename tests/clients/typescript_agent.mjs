// Signs a user in with the TypeScript SDK, version 1 or 2, as an agent that must not see a
// password. Says and does the same as python_agent.py; version 1 knows the handshake alone.
//
// Usage: typescript_agent.mjs (1|2) (elicitation|text|handshake) (URL | PROGRAM ARGUMENT...)

import assert from "node:assert/strict";
import { createInterface } from "node:readline";

const [version, way, server, ...args] = process.argv.slice(2);
const sdk =
  version === "1"
    ? {
        ...(await import("@modelcontextprotocol/sdk/client/index.js")),
        ...(await import("@modelcontextprotocol/sdk/client/streamableHttp.js")),
        ...(await import("@modelcontextprotocol/sdk/client/stdio.js")),
        ...(await import("@modelcontextprotocol/sdk/types.js")),
      }
    : {
        ...(await import("@modelcontextprotocol/client")),
        ...(await import("@modelcontextprotocol/client/stdio")),
      };

const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const userVisits = async (url, code) => {
  console.log(JSON.stringify({ url, code }));
  await input.next();
};

const opened = async (asked) => {
  assert.equal(asked.mode, "url");
  await userVisits(asked.url, asked.message.split(" ").at(-1));
  return { action: "accept" };
};

const mode = way === "handshake" ? "legacy" : { pin: "2026-07-28" };
const capabilities = way === "text" ? {} : { elicitation: { url: {} } };
// Version 1 has no versions to negotiate.
const options = { capabilities, versionNegotiation: { mode } };
const client = new sdk.Client({ name: "test", version: "1" }, options);
if (capabilities.elicitation) {
  const asked = version === "1" ? sdk.ElicitRequestSchema : "elicitation/create";
  client.setRequestHandler(asked, ({ params }) => opened(params));
}
const transport = server.startsWith("http")
  ? new sdk.StreamableHTTPClientTransport(new URL(server))
  : new sdk.StdioClientTransport({ command: server, args, env: process.env });
await client.connect(transport);

const call = async (operation, input) => {
  const result = await client.callTool({ name: `user-auth_${operation}`, arguments: input });
  assert.ok(!result.isError, JSON.stringify(result));
  return result.structuredContent;
};
const begun = await call("begin_sign_in", { client_name: "Desk agent" });
const { sign_in_id } = begun;
if (way === "text") await userVisits(begun.verification_uri, begun.user_code);
if (way === "handshake") {
  const error = await call("complete_sign_in", { sign_in_id }).catch((error) => error);
  assert.equal(error.code, -32042);
  await opened(error.data.elicitations[0]);
}
const outcome = await call("complete_sign_in", { sign_in_id });
assert.equal(outcome.status, "complete");
console.log(`signed in: ${outcome.username}`);
const verified = await call("verify_token", { sign_in_id });
assert.deepEqual([verified.active, verified.sub], [true, outcome.user_id]);
await call("check_permission", { sign_in_id, permission: "files:read" });
await call("logout", { sign_in_id });
assert.deepEqual(await call("verify_token", { sign_in_id }), { active: false });
await client.close();
console.log("ok");
process.exit(0);
