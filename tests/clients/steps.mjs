// What the clients in JavaScript share that sign a user in: the lines of the test that runs them.

import { createInterface } from "node:readline";

const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Reads a line from standard input. */
export const line = async () => (await input.next()).value;

/**
 * Follows the steps on standard input until it ends, as `Signing` in the tests has them: calls a
 * tool and reports it, or makes the access token one that has expired.
 */
export const follow = async ({ call, refreshToken, expire }) => {
  for (let step; (step = await line()); ) {
    if (step === "expire") {
      await expire();
      continue;
    }
    const before = refreshToken();
    await call(step.replace(/^call /, ""));
    const isNew = before && before !== refreshToken();
    console.log(isNew ? "called, refreshed" : "called");
  }
  process.exit(0);
};
