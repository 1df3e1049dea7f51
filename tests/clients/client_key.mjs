// Prints a new pair of keys, as JSON Web Keys, of a client that signs by ALGORITHM.
//
// Usage: client_key.mjs ALGORITHM

import { algorithms } from "./signing_algorithms.mjs";

const { publicKey, privateKey } = await crypto.subtle.generateKey(
  algorithms[process.argv[2]],
  true,
  ["sign", "verify"],
);
const jwk = async (key) => {
  const { key_ops, ext, alg, ...members } = await crypto.subtle.exportKey("jwk", key);
  return { ...members, kid: "one" };
};
console.log(JSON.stringify({ public: await jwk(publicKey), private: await jwk(privateKey) }));
