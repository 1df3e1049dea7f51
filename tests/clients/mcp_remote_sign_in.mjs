// Signs a user in with mcp-remote, for a client that only supports standard input and output, and
// calls tools.
//
// It registers itself, unless there is a CLIENT_ID (and CLIENT_SECRET) from an administrator or
// the CLIENT_METADATA_URL of a document about it.
//
// Prints the address that the user has to visit, and reads from standard input the address to
// which the user was sent back, and the steps.
//
// Usage: mcp_remote_sign_in.mjs URL

import assert from "node:assert/strict";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { follow, line } from "./steps.mjs";

const [url] = process.argv.slice(2);
const { HOME, CLIENT_ID, CLIENT_SECRET, CLIENT_METADATA_URL } = process.env;
const folder = dirname(createRequire(import.meta.url).resolve("mcp-remote/package.json"));
const registered = JSON.stringify({ client_id: CLIENT_ID, client_secret: CLIENT_SECRET });
const identity = [
  ...(CLIENT_ID ? ["--static-oauth-client-info", registered] : []),
  ...(CLIENT_METADATA_URL ? ["--client-metadata-url", CLIENT_METADATA_URL] : []),
];

/** Calls a tool through a new mcp-remote. */
const call = async (tool) => {
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [join(folder, "dist/proxy.js"), url, "--allow-http", "--transport", "http-only", ...identity],
    // The folder in which mcp-remote keeps tokens, and a browser that does nothing.
    env: { HOME, MCP_REMOTE_CONFIG_DIR: HOME, BROWSER: "true", PATH: process.env.PATH },
    stderr: "pipe",
  });
  createInterface({ input: transport.stderr }).on("line", async (text) => {
    console.log(text);
    // The page to which the browser returns is ready only then.
    if (!text.endsWith("Waiting for authorization...")) return;
    await fetch(await line());
  });
  const client = new Client({ name: "test", version: "1" });
  await client.connect(transport, { timeout: 120_000 });
  const result = await client.callTool({ name: tool, arguments: {} });
  assert.ok(!result.isError, JSON.stringify(result));
  await client.close();
};

/** Returns the file in which mcp-remote keeps its tokens, if there is one. */
const kept = () => {
  const names = readdirSync(HOME, { recursive: true });
  const name = names.find((name) => name.endsWith("_tokens.json"));
  return name && join(HOME, name);
};
const tokens = () => (kept() ? JSON.parse(readFileSync(kept(), "utf8")) : undefined);

await follow({
  call,
  refreshToken: () => tokens()?.refresh_token,
  expire: () => writeFileSync(kept(), JSON.stringify({ ...tokens(), access_token: "expired" })),
});
