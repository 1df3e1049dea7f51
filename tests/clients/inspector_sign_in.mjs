// Signs a user in with the command line of the MCP Inspector.
//
// Prints the address that the user has to visit, and reads from standard input the address
// to which the user was sent back. After a refresh it prints "refreshed" and waits for a
// line; its access was taken away meanwhile, so it asks the user again.
//
// Usage: inspector_sign_in.mjs URL

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const [url] = process.argv.slice(2);
const { HOME } = process.env;
const manifest = import.meta.resolve("@modelcontextprotocol/inspector/package.json");
const program = fileURLToPath(new URL("clients/launcher/build/index.js", manifest));
const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const line = async () => (await input.next()).value;

const probe = createServer().listen(0, "127.0.0.1");
await once(probe, "listening");
const { port } = probe.address();
probe.close();

/** Calls a tool, and returns whether the user was asked to sign in. */
const call = async () => {
  const tool = ["--method", "tools/call", "--tool-name", "user-auth_get_capabilities"];
  const child = spawn(process.execPath, [program, "--cli", url, "--transport", "http", ...tool], {
    env: {
      ...process.env,
      // It asks without a terminal too, with a browser that does nothing, and keeps its secrets
      // in a file.
      BROWSER: "true",
      MCP_AUTO_OPEN_ENABLED: "true",
      MCP_INSPECTOR_SECRET_STORE: "file",
      MCP_OAUTH_CALLBACK_URL: `http://127.0.0.1:${port}/oauth/callback`,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let asked = false;
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on("line", async (text) => {
      const [, address] = text.split("Please navigate to: ");
      console.log(address ?? text);
      if (!address) return;
      asked = true;
      await fetch(await line());
    });
  }
  const [status] = await once(child, "close");
  assert.equal(status, 0);
  return asked;
};

/** Reads the tokens that it keeps, and has it keep an access token that has ended. */
const spoil = () => {
  const file = join(HOME, ".mcp-inspector/secrets.json");
  const kept = JSON.parse(readFileSync(file, "utf8"));
  const name = Object.keys(kept.secrets).find((name) => name.includes(":tokens:"));
  const tokens = JSON.parse(kept.secrets[name]);
  kept.secrets[name] = JSON.stringify({ ...tokens, access_token: "expired" });
  writeFileSync(file, JSON.stringify(kept));
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
