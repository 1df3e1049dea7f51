// Verifies access tokens with jose, as another service does: by the keys at a URL alone. Reads
// lines with an object of `token` and `audience`, and writes one of `claims` or `refused` each.
import { createInterface } from "node:readline";
import { createRemoteJWKSet, errors, jwtVerify } from "jose";

const [url, issuer] = process.argv.slice(2);
// By default it does not fetch the keys again for a token with an unknown key within 30 seconds.
const keys = createRemoteJWKSet(new URL(url), { cooldownDuration: 0 });

for await (const line of createInterface({ input: process.stdin })) {
  const { token, audience } = JSON.parse(line);
  let answer;
  try {
    const { payload } = await jwtVerify(token, keys, { issuer, audience, typ: "at+jwt" });
    answer = { claims: payload };
  } catch (error) {
    if (!(error instanceof errors.JOSEError) || error instanceof errors.JWKSTimeout) throw error;
    answer = { refused: error.message };
  }
  console.log(JSON.stringify(answer));
}
