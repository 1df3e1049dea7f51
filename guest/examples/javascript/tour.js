// The calls of the example, which are the same in Node and in a browser.

import { hashTimes, imports } from "./host.js";
import { Store } from "./store.js";

/**
 * Runs the calls: `instantiate` comes from the output of `jco transpile`, `compile`
 * returns a compiled module of that output by name, and `print` prints a line.
 */
export async function tour(instantiate, compile, print) {
  // Keep the master key as long as the records, and in a separate place.
  const masterKey = crypto.getRandomValues(new Uint8Array(32));
  const settings = { USER_AUTH_ISSUER: "https://auth.example.com" };
  const host = imports({ store: new Store(), masterKey, settings });
  const modules = new Map();
  const compileOnce = (name) => {
    if (!modules.has(name)) modules.set(name, compile(name));
    return modules.get(name);
  };
  // Each call runs in its own instance, isolated from all others.
  const call = async (name, ...all) => (await instantiate(compileOnce, host)).auth[name](...all);

  // The caller and its source; failed logins are throttled by source.
  const caller = (tag, val) => ({ principal: { tag, val }, source: "203.0.113.7" });
  const anyone = caller("anonymous");
  const operator = caller("operator");
  const password = "correct horse battery staple";

  const account = await call("register", anyone, { username: "alice", password });
  print(`registered ${account.username}`);

  const { val: tokens } = await call("login", anyone, "alice", password);
  print(`logged in, with a ${tokens.tokenType} token`);

  const claims = await call("verifyToken", anyone, tokens.accessToken);
  if (claims.sub !== account.userId) throw new Error("the token belongs to another user");
  print(`the token is ${claims.username}'s, from ${claims.iss}`);

  const alice = caller("access-token", tokens.accessToken);
  let mayRead = await call("checkPermission", alice, "billing:read");
  print(`may read invoices: ${yesOrNo(mayRead)}`);
  // Every operation can be called by name, with JSON.
  const role = { role: "clerk", permissions: ["billing:*"] };
  await call("invoke", operator, "define_role", JSON.stringify(role));
  const assignment = { username: "alice", role: "clerk" };
  await call("invoke", operator, "assign_role", JSON.stringify(assignment));
  mayRead = await call("checkPermission", alice, "billing:read");
  print(`may as a clerk: ${yesOrNo(mayRead)}`);

  try {
    await call("login", anyone, "alice", "open sesame");
  } catch ({ payload }) {
    print(`a wrong password: ${payload.code} ${payload.message}`);
  }

  await call("logout", anyone, tokens.accessToken);
  const isValid = (await call("verifyToken", anyone, tokens.accessToken)) !== undefined;
  print(`valid after the logout: ${yesOrNo(isValid)}`);
  return Math.min(...hashTimes);
}

const yesOrNo = (answer) => (answer ? "yes" : "no");
