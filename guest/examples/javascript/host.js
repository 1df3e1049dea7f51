// The imports of the component (`wit/world.wit`, world `plugin`), for Node and for
// browsers.

import { WASIShim } from "@bytecodealliance/preview2-shim/instantiation";
import { argon2id } from "@noble/hashes/argon2.js";
import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";

const MAX_HASH_MEMORY_KIB = 128 * 1024;

/** The duration of each password hash in milliseconds. */
export const hashTimes = [];

/** Returns the imports of an instance: `store` is a `Store`, `masterKey` has 32 bytes. */
export function imports({ store, masterKey, settings = {} }) {
  return {
    // The environment of the component contains only its settings.
    ...new WASIShim({ sandbox: { env: settings } }).getImportObject(),
    "user-auth:plugin/store": {
      get: (keys) => store.get(keys),
      commit: (batch) => store.commit(batch),
      add: (key, delta, ttlMs) => store.add(key, delta, ttlMs),
      scan: (prefix, after, limit) => store.scan(prefix, after, limit),
    },
    "user-auth:plugin/keys": { derive: (label) => derive(masterKey, label) },
    "user-auth:plugin/password-hash": {
      argon2id: hash,
      // The other functions only verify passwords imported from other systems.
      bcrypt: onlyArgon2id,
      scrypt: onlyArgon2id,
      pbkdf2Sha256: onlyArgon2id,
      pbkdf2Sha512: onlyArgon2id,
      pbkdf2Sha1: onlyArgon2id,
      argon2i: onlyArgon2id,
    },
    "user-auth:plugin/telemetry": telemetry,
    "user-auth:plugin/client": client,
    "user-auth:plugin/delivery": {
      deliver: () => unavailable("this host sends no messages", null),
    },
  };
}

/** Derives a key from the master key, which the component never sees. */
export function derive(masterKey, label) {
  return hmac(sha256, masterKey, new TextEncoder().encode(label));
}

/** Computes Argon2id with a secret value. */
export function hash(password, salt, secret, parameters) {
  const { memoryKib, iterations, parallelism, outputLength } = parameters;
  if (memoryKib > MAX_HASH_MEMORY_KIB) unavailable("a password hash would take too much memory");
  const began = performance.now();
  const made = argon2id(password, salt, {
    key: secret,
    m: memoryKib,
    t: iterations,
    p: parallelism,
    dkLen: outputLength,
  });
  hashTimes.push(performance.now() - began);
  return made;
}

const onlyArgon2id = () => unavailable("this host supports only Argon2id");

/** Throws the error of the import's result. `null` says that no retry helps. */
function unavailable(reason, retryAfterMs = 1000) {
  throw { reason, retryAfterMs };
}

/** This host keeps no counters. */
const telemetry = {
  log: (severity, message, fields) => console.error(`${severity}: ${message} ${fields}`),
  // This host keeps no audit log of calls.
  operationBegan: () => false,
  operationEnded: () => {},
  audited: () => {},
  snapshot: () => ({
    uptimeMs: BigInt(Math.round(performance.now())),
    operations: [],
    passwordHash: { workers: 1, running: 0, waiting: 0, capacity: 0, completed: 0n, refused: 0n },
    store: { kind: "javascript", reads: 0n, commits: 0n, conflicts: 0n, failures: 0n },
    delivery: { kind: "none", waiting: 0, capacity: 0, delivered: 0n, failed: 0n, refused: 0n },
    instances: { live: 1, created: 1n, trapped: 0n, peakMemoryBytes: 0n },
  }),
};

/** No MCP client is waiting for notifications. */
const client = {
  notify: () => {},
  started: () => {},
  cancel: () => {},
  getLogLevel: () => undefined,
  setLogLevel: () => {},
};
