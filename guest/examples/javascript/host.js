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
    "user-auth:plugin/keys": { mac: (label, message) => mac(masterKey, label, message) },
    // Signs no tokens for other services, which `issue_token` would issue.
    "user-auth:plugin/signing": {
      publicKeys: unsigned,
      sign: unsigned,
      verify: unsigned,
    },
    "user-auth:plugin/password-hash": {
      hash: (fn, password, salt) => hash(masterKey, fn, password, salt),
    },
    // Clients identify themselves by metadata documents only where the host fetches them.
    "user-auth:plugin/documents": {
      get: () => {
        const val = { reason: "this host fetches no documents", retryAfterMs: null };
        throw { tag: "unavailable", val };
      },
    },
    "user-auth:plugin/telemetry": telemetry,
    "user-auth:plugin/client": client,
    "user-auth:plugin/delivery": {
      deliver: () => unavailable("this host sends no messages", null),
    },
  };
}

function unsigned() {
  unavailable("this host signs no tokens for other services", null);
}

/** Returns the key with a label. The component sees neither this nor the master key. */
function derive(masterKey, label) {
  return hmac(sha256, masterKey, new TextEncoder().encode(label));
}

/** Computes the code of a message under the key with a label. */
export function mac(masterKey, label, message) {
  return hmac(sha256, derive(masterKey, label), message);
}

/** Computes Argon2id. The other functions only verify passwords of other systems. */
export function hash(masterKey, { tag, val }, password, salt) {
  if (tag !== "argon2id") unavailable("this host supports only Argon2id");
  const { memoryKib, iterations, parallelism, outputLength, pepper } = val;
  if (memoryKib > MAX_HASH_MEMORY_KIB) unavailable("a password hash would take too much memory");
  const began = performance.now();
  const made = argon2id(password, salt, {
    key: pepper === undefined ? undefined : derive(masterKey, pepper),
    m: memoryKib,
    t: iterations,
    p: parallelism,
    dkLen: outputLength,
  });
  hashTimes.push(performance.now() - began);
  return made;
}

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
