// A store in memory, with what `wit/store.wit` asks of every store.

const MAX_PAGE = 1000;
// What one call may ask for, so that no call makes the host hold more.
const MAX_KEYS = 1000;
const MAX_BATCH = 10_000;
const MAX_BYTES = 4 * 1024 * 1024;

/** Records by their keys, and when they end, by the clock that is given (in ms). */
export class Store {
  #now;
  #records = new Map();
  #versions = 0;

  constructor(now = Date.now) {
    this.#now = now;
  }

  /** All of them as they are at one moment: nothing here waits, so nothing comes between. */
  get(keys) {
    ensure(keys.length <= MAX_KEYS, "a call names too many records");
    const entries = keys.map((key) => this.#live(key)?.entry);
    const bytes = entries.reduce((sum, entry) => sum + (entry ? size(entry) : 0), 0);
    ensure(bytes <= MAX_BYTES, "an answer would have too many bytes");
    return entries;
  }

  /**
   * All of the batch, or none of it. A key stands in a batch once, so all
   * expectations are looked at before anything is written.
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

  /** The counter's new value. Only the first addition says when it ends. */
  add(key, delta, ttlMs) {
    const record = this.#live(key);
    const old = record ? BigInt(new TextDecoder().decode(record.entry.value)) : 0n;
    const sum = old + delta;
    const end = record ? record.end : this.#end(ttlMs);
    this.#write(key, new TextEncoder().encode(sum.toString()), end);
    return sum;
  }

  /** Records in the order of their keys, which is that of their bytes. */
  scan(prefix, after, limit) {
    // Sorted anew each time, which is good enough for some thousand records.
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
    // Nobody sees it any more, so its place can go.
    this.#records.delete(key);
  }

  #end(ttlMs) {
    return ttlMs === undefined ? undefined : this.#now() + Number(ttlMs);
  }

  #write(key, value, end) {
    // One count for all keys, which a deletion does not set back: no two writings
    // ever share a version.
    this.#versions += 1;
    this.#records.set(key, { entry: { key, value, version: String(this.#versions) }, end });
  }
}

/** What an entry counts for in an answer. */
function size({ key, value, version }) {
  return key.length + value.length + version.length;
}

/** Ends a call that asks for more than it may, as `unavailable` has it: no try will help. */
function ensure(holds, reason) {
  if (!holds) throw { reason, retryAfterMs: 0 };
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
