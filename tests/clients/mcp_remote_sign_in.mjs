// Signs a user in with mcp-remote, for a client that only supports standard input and output.
//
// Prints the address that the user has to visit, and reads from standard input the address
// to which the user was sent back. After a refresh it prints "refreshed" and waits for a
// line; its access was taken away meanwhile, so it asks the user again.
//
// Usage: mcp_remote_sign_in.mjs URL

import assert from "node:assert/strict";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";

const [url] = process.argv.slice(2);
const { HOME } = process.env;
const folder = dirname(createRequire(import.meta.url).resolve("mcp-remote/package.json"));
const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const line = async () => (await input.next()).value;

/** Calls a tool through a new mcp-remote, and returns whether it asked the user to sign in. */
const call = async () => {
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [join(folder, "dist/proxy.js"), url, "--allow-http", "--transport", "http-only"],
    // The folder in which mcp-remote keeps tokens, and a browser that does nothing.
    env: { HOME, MCP_REMOTE_CONFIG_DIR: HOME, BROWSER: "true", PATH: process.env.PATH },
    stderr: "pipe",
  });
  let asked = false;
  createInterface({ input: transport.stderr }).on("line", async (text) => {
    console.log(text);
    // The page to which the browser returns is ready only then.
    if (!text.endsWith("Waiting for authorization...")) return;
    asked = true;
    await fetch(await line());
  });
  const client = new Client({ name: "test", version: "1" });
  await client.connect(transport, { timeout: 120_000 });
  const result = await client.callTool({ name: "user-auth_get_capabilities", arguments: {} });
  assert.ok(!result.isError, JSON.stringify(result));
  await client.close();
  return asked;
};

/** Reads the tokens that mcp-remote keeps, and has it keep an access token that has ended. */
const spoil = () => {
  const names = readdirSync(HOME, { recursive: true });
  const file = join(HOME, names.find((name) => name.endsWith("_tokens.json")));
  const tokens = JSON.parse(readFileSync(file, "utf8"));
  writeFileSync(file, JSON.stringify({ ...tokens, access_token: "expired" }));
  return tokens;
};

assert.equal(await call(), true);
const before = spoil();
assert.equal(await call(), false);
assert.notEqual(spoil().refresh_token, before.refresh_token);
console.log("refreshed");
await line();
assert.equal(await call(), true);
console.log("ok");
process.exit(0);
