// Signs a user in with the command line of the MCP Inspector, and calls tools.
//
// It registers itself, unless there is a CLIENT_ID (and CLIENT_SECRET) from an administrator or
// the CLIENT_METADATA_URL of a document about it.
//
// Prints the address that the user has to visit, and reads from standard input the address to
// which the user was sent back, and the steps.
//
// Usage: inspector_sign_in.mjs URL

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { follow, line } from "./steps.mjs";

const [url] = process.argv.slice(2);
const { HOME, CLIENT_ID, CLIENT_SECRET, CLIENT_METADATA_URL } = process.env;
const manifest = import.meta.resolve("@modelcontextprotocol/inspector/package.json");
const program = fileURLToPath(new URL("clients/launcher/build/index.js", manifest));
const identity = [
  ...(CLIENT_ID ? ["--client-id", CLIENT_ID] : []),
  ...(CLIENT_SECRET ? ["--client-secret", CLIENT_SECRET] : []),
  ...(CLIENT_METADATA_URL ? ["--client-metadata-url", CLIENT_METADATA_URL] : []),
];

const probe = createServer().listen(0, "127.0.0.1");
await once(probe, "listening");
const { port } = probe.address();
probe.close();

/** Calls a tool. */
const call = async (tool) => {
  const how = ["--transport", "http", "--method", "tools/call", "--tool-name", tool];
  const child = spawn(process.execPath, [program, "--cli", url, ...how, ...identity], {
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
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on("line", async (text) => {
      const [, address] = text.split("Please navigate to: ");
      console.log(address ?? text);
      if (!address) return;
      await fetch(await line());
    });
  }
  const [status] = await once(child, "close");
  assert.equal(status, 0);
};

/** Reads and changes the tokens that it keeps, if there are any. */
const tokens = (change) => {
  const file = join(HOME, ".mcp-inspector/secrets.json");
  if (!existsSync(file)) return undefined;
  const kept = JSON.parse(readFileSync(file, "utf8"));
  const name = Object.keys(kept.secrets).find((name) => name.includes(":tokens:"));
  if (!name) return undefined;
  const tokens = JSON.parse(kept.secrets[name]);
  kept.secrets[name] = JSON.stringify({ ...tokens, ...change });
  if (change) writeFileSync(file, JSON.stringify(kept));
  return tokens;
};

await follow({
  call,
  refreshToken: () => tokens()?.refresh_token,
  expire: () => tokens({ access_token: "expired" }),
});
