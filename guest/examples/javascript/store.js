// A store in memory that fulfils the contract of `wit/store.wit`.

const MAX_PAGE = 1000;
// The limits of one call, which bound the memory that a call can take from the host.
const MAX_KEYS = 1000;
const MAX_BATCH = 10_000;
const MAX_BYTES = 4 * 1024 * 1024;

/** Records by key, with the times at which they expire on the given clock (in ms). */
export class Store {
  #now;
  #records = new Map();
  #versions = 0;

  constructor(now = Date.now) {
    this.#now = now;
  }

  /** Returns the records under the keys. Nothing here awaits, so they are one snapshot. */
  get(keys) {
    ensure(keys.length <= MAX_KEYS, "a call names too many records");
    const entries = keys.map((key) => this.#live(key)?.entry);
    const bytes = entries.reduce((sum, entry) => sum + (entry ? size(entry) : 0), 0);
    ensure(bytes <= MAX_BYTES, "an answer would have too many bytes");
    return entries;
  }

  /**
   * Applies the whole batch or nothing. A key occurs only once in a batch, so all
   * expectations are checked before anything is written.
   */
  commit(batch) {
    ensure(batch.length <= MAX_BATCH, "a batch has too many mutations");
    const bytes = batch.reduce((sum, { key, put }) => sum + key.length + (put?.length ?? 0), 0);
    ensure(bytes <= MAX_BYTES, "a batch has too many bytes");
    const conflict = batch.findIndex(({ key, expect }) => !holds(expect, this.#live(key)?.entry));
    if (conflict >= 0) return { tag: "conflict", val: conflict };
    for (const { key, put, ttlMs } of batch) {
      if (put === undefined) this.#records.delete(key);
      else this.#write(key, put, this.#end(ttlMs));
    }
    return { tag: "committed" };
  }

  /** Returns the new value of the counter. Only the first addition sets its lifetime. */
  add(key, delta, ttlMs) {
    const record = this.#live(key);
    const old = record ? BigInt(new TextDecoder().decode(record.entry.value)) : 0n;
    const sum = old + delta;
    const end = record ? record.end : this.#end(ttlMs);
    this.#write(key, new TextEncoder().encode(sum.toString()), end);
    return sum;
  }

  /** Returns records in the byte order of their keys. */
  scan(prefix, after, limit) {
    // Sorts all keys on each call, which is fast enough for a few thousand records.
    const keys = [...this.#records.keys()]
      .filter((key) => key.startsWith(prefix) && (after === undefined || key > after))
      .filter((key) => this.#live(key))
      .sort();
    const entries = [];
    let room = MAX_BYTES;
    for (const key of keys.slice(0, Math.max(1, Math.min(limit, MAX_PAGE)))) {
      const { entry } = this.#records.get(key);
      room -= size(entry);
      if (room < 0) break;
      entries.push(entry);
    }
    return { entries, next: keys.length > entries.length ? entries.at(-1).key : undefined };
  }

  #live(key) {
    const record = this.#records.get(key);
    if (record?.end === undefined || this.#now() < record.end) return record;
    // An expired record is no longer visible, so it can be removed.
    this.#records.delete(key);
  }

  #end(ttlMs) {
    return ttlMs === undefined ? undefined : this.#now() + Number(ttlMs);
  }

  #write(key, value, end) {
    // One counter for all keys, which a deletion does not reset, so no two writes ever
    // have the same version.
    this.#versions += 1;
    this.#records.set(key, { entry: { key, value, version: String(this.#versions) }, end });
  }
}

/** Returns the size of an entry that counts towards the limit of a response. */
function size({ key, value, version }) {
  return key.length + value.length + version.length;
}

/** Rejects a call beyond the limits with `unavailable`; retrying will not help. */
function ensure(holds, reason) {
  if (!holds) throw { reason, retryAfterMs: undefined };
}

function holds(expect, entry) {
  switch (expect.tag) {
    case "any":
      return true;
    case "absent":
      return entry === undefined;
    case "at":
      return entry?.version === expect.val;
  }
}
