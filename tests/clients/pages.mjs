// Visits every page of the authorization server in Chromium, with scripts switched off, as a
// user would: creates an account, verifies its address, decides about clients, looks at the
// connected apps, resets the password, signs in with a second factor, and signs out.
//
// Each page is looked at in two widths and two themes: axe-core may find nothing serious,
// nothing may have to be scrolled sideways, and Chromium may report no problem. Its HTML must
// be valid.
//
// Usage: pages.mjs CHROMIUM URL PORT CLIENTS
//
// PORT is where the server delivers its messages; CLIENTS are, as JSON, the ids of clients
// that are sent back to a website, to this machine and to a scheme of their own. With
// SCREENSHOTS in the environment, a picture of each page goes to that folder.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { HtmlValidate } from "html-validate";
import { launch } from "./chromium.mjs";

const [executablePath, server, port, clientsJson] = process.argv.slice(2);
const clients = JSON.parse(clientsJson);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const validator = new HtmlValidate({
  extends: ["html-validate:recommended"],
  rules: {
    "doctype-style": ["error", { style: "lowercase" }],
    // The boxes of the scopes are one choice.
    "form-dup-name": ["error", { shared: ["radio", "checkbox", "submit"] }],
  },
});

const PASSWORD = "a sentence that nobody else has";
const WIDTHS = [320, 1280];
const THEMES = ["light", "dark"];
const WEBSITE = "https://desk.example.com/cb";
const MACHINE = `http://127.0.0.1:${port}/cb`;
const SCHEME = "com.example.pad:/cb";

// The messages of the server, and the client on this machine.
const messages = [];
const arrived = new EventTarget();
const machine = createServer((request, response) => {
  let body = "";
  request.on("data", (data) => (body += data));
  request.on("end", () => {
    if (request.method === "POST") {
      messages.push(JSON.parse(body));
      arrived.dispatchEvent(new Event("message"));
    }
    response.setHeader("content-type", "text/html");
    response.end("<!doctype html><html lang=en><title>Client</title><p>Thank you</p>");
  });
});
machine.listen(Number(port), "127.0.0.1");
await once(machine, "listening");

/** Returns the next message of this kind. */
const message = async (kind) => {
  for (;;) {
    const at = messages.findIndex((each) => each.kind === kind);
    if (at >= 0) return messages.splice(at, 1)[0];
    await once(arrived, "message");
  }
};

const browser = await launch(executablePath);

let page;
let last;
/** What Chromium reports, apart from pages with the status 400, which are expected. */
const reported = [];

/** Opens a new browser window of a user with this language. */
const open = async (locale) => {
  const context = await browser.newContext({ javaScriptEnabled: false, locale });
  context.setDefaultTimeout(20_000);
  await openTab(context);
};

/** Opens a tab in a window. */
const openTab = async (context) => {
  page = await context.newPage();
  // The form for a new password names no user: it would tell whose code this is.
  const expected = /responded with a status of 400|Password forms should have .* username/;
  const note = (text) => expected.test(text) || reported.push(text);
  const devtools = await context.newCDPSession(page);
  devtools.on("Log.entryAdded", ({ entry }) => note(entry.text));
  devtools.on("Audits.issueAdded", ({ issue }) => {
    if (issue.code === "ContentSecurityPolicyIssue") note(JSON.stringify(issue.details));
  });
  await devtools.send("Log.enable");
  await devtools.send("Audits.enable");
  page.on("console", (entry) => note(entry.text()));
  page.on("response", (response) => {
    if (response.request().isNavigationRequest()) last = response;
  });
};

// axe-core is a script, so it looks at copies of the pages.
const auditor = await (await browser.newContext()).newPage();
const seen = new Set();
/** What is wrong with the pages; all of it is shown at the end. */
const wrong = [];

/** Looks at the page that is open. */
const look = async (name, heading, status = 200) => {
  await page.getByRole("heading", { level: 1, name: heading, exact: true }).waitFor();
  assert.equal(last.status(), status, name);
  assert.match(await page.title(), / – Acme$/, name);
  const body = await last.text();
  const report = validator.validateStringSync(body);
  const errors = report.results.flatMap((result) => result.messages);
  wrong.push(...errors.map((each) => `${name}: ${each.ruleId}: ${each.message}`));
  wrong.push(...reported.splice(0).map((each) => `${name}: ${each}`));
  const url = last.url();
  const copy = { status, headers: await last.allHeaders(), body };
  await auditor.route((each) => each.href === url, (route) => route.fulfill(copy));
  await auditor.goto(url);
  await auditor.unrouteAll();
  await auditor.evaluate(axe);
  for (const width of WIDTHS) {
    for (const colorScheme of THEMES) {
      const how = `${name} ${width} ${colorScheme}`;
      await auditor.setViewportSize({ width, height: 800 });
      await auditor.emulateMedia({ colorScheme });
      // The other rules depend on neither.
      const all = width === WIDTHS[0] && colorScheme === THEMES[0];
      const runOnly = all ? undefined : ["color-contrast", "target-size"];
      const [overflow, found] = await auditor.evaluate(async (runOnly) => {
        const options = { resultTypes: ["violations"], ...(runOnly && { runOnly }) };
        const { violations } = await window.axe.run(document, options);
        const bad = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
        return [
          document.documentElement.scrollWidth - innerWidth,
          bad.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" ")}`),
        ];
      }, runOnly);
      wrong.push(...found.map((each) => `${how}: ${each}`));
      if (overflow > 0) wrong.push(`${how}: ${overflow} pixels too wide`);
      if (process.env.SCREENSHOTS) {
        const path = `${process.env.SCREENSHOTS}/${name}-${width}-${colorScheme}.png`;
        await auditor.screenshot({ path, fullPage: true });
      }
    }
  }
  seen.add(name);
};

/** Waits for the page that comes after something. */
const next = (action) => Promise.all([page.waitForEvent("framenavigated"), action]);
const button = (name) => page.getByRole("button", { name, exact: true });
const press = (name) => next(button(name).click());
const follow = (name) => next(page.getByRole("link", { name, exact: true }).click());

const verifier = randomBytes(32).toString("base64url");
const request = (clientId, redirectUri) => {
  const query = new URLSearchParams({
    response_type: "code",
    client_id: clientId,
    redirect_uri: redirectUri,
    state: "x&y",
    code_challenge: createHash("sha256").update(verifier).digest("base64url"),
    code_challenge_method: "S256",
    resource: "https://files.example.com/mcp",
  });
  return `${server}/authorize?${query}`;
};

/** Calls an operation. */
const call = async (operation, input, token, status = 200) => {
  const answer = await fetch(`${server}/api/${operation}`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      ...(token && { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify(input),
  });
  assert.equal(answer.status, status, operation);
  return answer.json();
};

/** Returns the six digits of an authenticator app (RFC 6238). */
const digits = async (secret) => {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  const bits = [...secret].map((each) => alphabet.indexOf(each).toString(2).padStart(5, "0"));
  const bytes = bits.join("").match(/.{8}/g);
  const key = Uint8Array.from(bytes, (byte) => parseInt(byte, 2));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000)));
  const algorithm = { name: "HMAC", hash: "SHA-1" };
  const imported = await crypto.subtle.importKey("raw", key, algorithm, false, ["sign"]);
  const mac = Buffer.from(await crypto.subtle.sign("HMAC", imported, step));
  const number = (mac.readUInt32BE(mac[19] & 15) & 0x7fffffff) % 1_000_000;
  return String(number).padStart(6, "0");
};

/** Nothing is at the end of some redirects, which Chromium may report. */
const settle = () =>
  assert.ok(!reported.splice(0).some((text) => /Content.?Security.?Policy/i.test(text)));

/** Waits until the user is sent back, and returns what the client gets. */
const sentBack = async (redirectUri, act) => {
  const [sent] = await Promise.all([
    page.waitForRequest((request) => request.url().startsWith(redirectUri)),
    page.waitForEvent("framenavigated"),
    act(),
  ]);
  settle();
  const answer = new URL(sent.url()).searchParams;
  assert.equal(answer.get("state"), "x&y");
  assert.equal(answer.get("iss"), server);
  return answer;
};

// Creating an account, on the way to a client.
await open("en");
await page.goto(request(clients.website, WEBSITE));
await look("sign-in", "Sign in");
await follow("Create an account");
await look("sign-up", "Create an account");
await page.fill("#username", "a b");
await page.fill("#password", PASSWORD);
await press("Create an account");
await look("sign-up-wrong", "Create an account", 400);
assert.equal(await page.inputValue("#password"), "");
await page.locator("#username:focus").waitFor();
await page.fill("#username", "carol");
await page.fill("#email", "carol@example.com");
await page.fill("#password", "carolcarolcarolcarol");
await press("Create an account");
await look("sign-up-weak", "Create an account", 400);
assert.equal(await page.inputValue("#email"), "carol@example.com");
await page.fill("#password", PASSWORD);
await press("Create an account");
await look("verify-email", "Verify your email address");
const verification = await message("email-verification");
await page.fill("#code", "uac_wrong");
await press("Verify");
await look("verify-email-wrong", "Verify your email address", 400);
await page.goto(verification.link);
assert.equal(page.url(), `${server}/verify-email`);
await look("verify-email-link", "Verify your email address");
await press("Verify");
await look("email-verified", "Your email address is verified");

// Clients on a website, on this machine, and with a scheme of their own.
await page.goto(request(clients.website, WEBSITE));
await look("consent", "Desk asks for access");
const allowed = await sentBack(WEBSITE, () => button("Allow").click());
const exchanged = await fetch(`${server}/token`, {
  method: "POST",
  body: new URLSearchParams({
    grant_type: "authorization_code",
    client_id: clients.website,
    code: allowed.get("code"),
    code_verifier: verifier,
    redirect_uri: WEBSITE,
  }),
});
assert.equal(exchanged.status, 200);
for (const [uri, id] of [
  [WEBSITE, clients.website],
  [MACHINE, clients.machine],
]) {
  await page.goto(request(id, uri));
  const denied = await sentBack(uri, () => button("Deny").click());
  assert.equal(denied.get("error"), "access_denied");
}
await page.goto(request(clients.machine, MACHINE));
await look("consent-machine", "Pen asks for access");
assert.ok((await sentBack(MACHINE, () => button("Allow").click())).get("code"));
await page.goto(request(clients.scheme, SCHEME));
await look("consent-scheme", "Pad asks for access");
const [answer] = await Promise.all([
  page.waitForResponse((response) => response.url() === `${server}/consent`),
  button("Allow").click(),
]);
assert.match((await answer.allHeaders()).location, /^com\.example\.pad:\/cb\?code=/);
settle();
// This tab still waits for the program of the scheme, which does not exist.
const tab = page;
await openTab(page.context());
await tab.close();

// A client that registered itself: its user is told so, and is not sent back with an error.
const registered = await fetch(`${server}/register`, {
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify({
    client_name: "Stranger",
    redirect_uris: [WEBSITE],
    token_endpoint_auth_method: "none",
  }),
});
await page.goto(request((await registered.json()).client_id, WEBSITE));
await look("consent-unverified", "Stranger asks for access");
await press("Deny");
await look("denied", "Access was not allowed");

// A sign-in for an agent, which sees no password.
const agent = await call("begin_sign_in", { client_name: "Desk agent" });
await page.goto(agent.verification_uri);
await look("agent", "Desk agent asks you to sign in");
await page.getByText(agent.user_code, { exact: true }).waitFor();
await press("Allow");
await look("agent-allowed", "You have signed in for the agent");
const outcome = await call("complete_sign_in", { sign_in_id: agent.sign_in_id });
assert.equal(outcome.username, "carol");
await page.goto(agent.verification_uri);
await look("agent-over", "This did not work", 400);

// A call of an agent that its user has to approve.
const login = await call("login", { username: "carol", password: PASSWORD });
const acting = { client_name: "Desk agent", deliver: "tokens" };
const begun = await call("begin_sign_in", acting, login.access_token);
await page.goto(begun.verification_uri);
await look("agent-acts", "Desk agent asks you to sign in");
await press("Allow");
const { sign_in_id } = begun;
const { tokens } = await call("complete_sign_in", { sign_in_id }, login.access_token);
const revoke = (status) =>
  call("revoke_session", { session_id: login.session_id }, tokens.access_token, status);
const { error } = await revoke(403);
await page.goto(error.data.details.approval_uri);
await look("approve", "Desk agent asks for your approval");
await page.getByText(login.session_id).waitFor();
await press("Allow");
await look("approved", "You have approved it");
await revoke(200);
await page.goto(error.data.details.approval_uri);
await look("approve-over", "This did not work", 400);

// Connected apps, the start page, and signing out.
await page.goto(`${server}/apps`);
await look("apps", "Connected apps");
const taken = page.getByRole("button", { name: "Take access away" });
for (let left = await taken.count(); left > 0; left -= 1) {
  assert.equal(await taken.count(), left);
  await next(taken.first().click());
}
await page.getByText("No app has access on behalf of").waitFor();
await look("apps-none", "Connected apps");
await follow("Back");
await look("start", "You are signed in");
await press("Sign out");
await look("signed-out", "You are signed out");
await page.goto(`${server}/authorize?client_id=unknown`);
await look("error", "This did not work", 400);

// A forgotten password.
await page.goto(`${server}/sign-in`);
await page.fill("#username", "carol");
await page.fill("#password", "wrong");
await press("Sign in");
await look("sign-in-wrong", "Sign in", 400);
await follow("Forgot your password?");
await look("reset-password", "Reset your password");
await page.fill("#username", "carol@example.com");
await press("Send a code");
await look("new-password", "Choose a new password");
const reset = await message("password-reset");
assert.ok(reset.text.includes(reset.link));
await page.fill("#code", "uac_wrong");
await page.fill("#password", `${PASSWORD}, at last`);
await press("Change password");
await look("new-password-wrong", "Choose a new password", 400);
await page.goto(reset.link);
assert.equal(page.url(), `${server}/new-password`);
await look("new-password-link", "Choose a new password");
await page.fill("#password", "carolcarolcarolcarol");
await press("Change password");
await look("new-password-weak", "Choose a new password", 400);
await page.fill("#password", `${PASSWORD}, at last`);
await press("Change password");
await look("password-changed", "Your password is changed");
await follow("Sign in");

// The second factor.
const credentials = { username: "carol", password: `${PASSWORD}, at last` };
const { access_token: token } = await call("login", credentials);
const { secret } = await call("enroll_totp", {}, token);
const { recovery_codes: codes } = await call(
  "confirm_totp",
  { code: await digits(secret) },
  token,
);
await page.fill("#username", credentials.username);
await page.fill("#password", credentials.password);
await press("Sign in");
await look("second-factor", "Confirm that it is you");
await page.fill("#code", "000000");
await press("Continue");
await look("second-factor-wrong", "Confirm that it is you", 400);
await page.fill("#code", codes[0]);
await press("Continue");
await page.getByText("You are signed in").first().waitFor();

// By keyboard alone, in German.
await page.close();
await open("de");

/** Moves the focus to an element, which must show that it has it. */
const focus = async (selector) => {
  for (let presses = 0; presses < 30; presses += 1) {
    await page.keyboard.press("Tab");
    const outline = await page.evaluate((selector) => {
      const focused = document.activeElement;
      return focused?.matches(selector) && getComputedStyle(focused).outlineStyle;
    }, selector);
    if (outline) {
      assert.equal(outline, "solid", selector);
      return;
    }
  }
  assert.fail(`the keyboard does not reach ${selector}`);
};
const type = async (selector, text) => {
  await focus(selector);
  await page.keyboard.type(text);
};

await page.goto(request(clients.website, WEBSITE));
await look("sign-in-de", "Anmelden");
await focus('a[href*="/sign-up"]');
await page.keyboard.press("Enter");
await page.waitForURL(/sign-up/);
await look("sign-up-de", "Konto anlegen");
await type("#username", "dora");
await type("#email", "dora@example.com");
await type("#password", PASSWORD);
await page.keyboard.press("Enter");
await page.waitForURL(/verify-email/);
await look("verify-email-de", "E-Mail-Adresse bestätigen");
await focus('main a[href*="/authorize"]');
await page.keyboard.press("Enter");
await page.waitForURL(/authorize/);
await look("consent-de", "Desk bittet um Zugriff");
await focus("button[value=allow]");
const code = await sentBack(WEBSITE, () => page.keyboard.press("Enter"));
assert.ok(code.get("code"));
await page.goto(`${server}/reset-password`);
await look("reset-password-de", "Passwort zurücksetzen");
await page.goto(`${server}/new-password`);
await look("new-password-de", "Neues Passwort wählen");

await browser.close();
machine.closeAllConnections();
machine.close();
assert.deepEqual(wrong, []);
console.log(`${seen.size} pages`);
