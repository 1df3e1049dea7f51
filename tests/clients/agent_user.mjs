// Signs users in for agents in Chromium, with scripts switched off: opens the page that an
// agent has shown, types the password and the second factor, compares the code on the page
// with that of the agent, and allows it.
//
// Reads from standard input what one user has and was shown, as a line of JSON, and prints
// "allowed"; an empty line ends it.
//
// Usage: agent_user.mjs CHROMIUM

import assert from "node:assert/strict";
import { createInterface } from "node:readline";
import { launch } from "./chromium.mjs";

const browser = await launch(process.argv[2]);

const visit = async ({ url, code, agent, username, password, second_factor }) => {
  // Without the cookies of the last user.
  const context = await browser.newContext({ javaScriptEnabled: false, locale: "en" });
  context.setDefaultTimeout(20_000);
  const page = await context.newPage();
  const heading = (name) => page.getByRole("heading", { level: 1, name, exact: true }).waitFor();
  const press = (name) => page.getByRole("button", { name, exact: true }).click();
  await page.goto(url);
  await page.fill("#username", username);
  await page.fill("#password", password);
  await press("Sign in");
  if (second_factor) {
    await heading("Confirm that it is you");
    await page.fill("#code", second_factor);
    await press("Continue");
  }
  await heading(`${agent} asks you to sign in`);
  assert.equal(await page.locator(".user-code").textContent(), code);
  await page.getByText(username, { exact: true }).waitFor();
  await press("Allow");
  await heading("You have signed in for the agent");
  await context.close();
};

for await (const line of createInterface({ input: process.stdin })) {
  if (!line) break;
  await visit(JSON.parse(line));
  console.log("allowed");
}
await browser.close();
console.log("closed");
