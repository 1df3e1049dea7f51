// Tests of the properties that the component relies on. Run them on your own store too.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Store } from "./store.js";

const ABSENT = { tag: "absent" };
let now, store;

beforeEach(() => {
  now = 0;
  store = new Store(() => now);
});

const bytes = (text) => new TextEncoder().encode(text);
const put = (key, value = "value", { expect = { tag: "any" }, ttlMs } = {}) =>
  store.commit([{ key, expect, put: value === null ? undefined : bytes(value), ttlMs }]);
const read = (key) => store.get([key])[0];
const text = (key) => read(key) && new TextDecoder().decode(read(key).value);

test("of a batch all happens or nothing", () => {
  put("b");
  const batch = [
    { key: "a", expect: { tag: "any" }, put: bytes("new") },
    { key: "b", expect: ABSENT, put: bytes("new") },
  ];
  assert.deepEqual(store.commit(batch), { tag: "conflict", val: 1 });
  assert.equal(text("a"), undefined);
  assert.equal(text("b"), "value");
});

test("only the version that was read is replaced", () => {
  put("a");
  const expect = { tag: "at", val: read("a").version };
  assert.equal(put("a", "second", { expect }).tag, "committed");
  assert.equal(put("a", "third", { expect }).tag, "conflict");
  assert.equal(text("a"), "second");
});

test("a version does not come back with the key", () => {
  put("a");
  const first = read("a").version;
  put("a", null);
  put("a");
  assert.notEqual(read("a").version, first);
});

test("a record that has expired is absent", () => {
  put("a", "value", { ttlMs: 10n });
  now = 9;
  assert.equal(text("a"), "value");
  now = 10;
  assert.equal(read("a"), undefined);
  assert.deepEqual(store.scan("", undefined, 10).entries, []);
  assert.equal(put("a", "value", { expect: ABSENT }).tag, "committed");
});

test("a counter is not prolonged by additions", () => {
  assert.equal(store.add("n", 1n, 10n), 1n);
  now = 9;
  assert.equal(store.add("n", 2n, 10n), 3n);
  assert.equal(text("n"), "3");
  now = 10;
  assert.equal(store.add("n", 1n, 10n), 1n);
});

test("pages are in order and lose nothing", () => {
  for (const key of ["p/3", "p/1", "q", "p/2", "o"]) put(key);
  const keys = (page) => page.entries.map(({ key }) => key);
  const first = store.scan("p/", undefined, 2);
  assert.deepEqual(keys(first), ["p/1", "p/2"]);
  const last = store.scan("p/", first.next, 2);
  assert.deepEqual(keys(last), ["p/3"]);
  assert.equal(last.next, undefined);
});

test("no call asks for more than it may", () => {
  const large = "v".repeat(1024 * 1024);
  for (const key of ["a", "b", "c", "d", "e"]) put(key, large);
  assert.equal(store.get(["a", "b", "c"]).length, 3);
  const refused = { retryAfterMs: undefined };
  const many = (count, key) => Array.from({ length: count }, (_, number) => key ?? `${number}`);
  for (const keys of [["a", "b", "c", "d"], many(600, "a"), many(1001, "none")]) {
    assert.throws(() => store.get(keys), refused);
  }
  const any = { tag: "any" };
  const values = many(5).map((key) => ({ key, expect: any, put: bytes(large) }));
  const deletions = many(10_001).map((key) => ({ key, expect: any }));
  for (const batch of [values, deletions]) assert.throws(() => store.commit(batch), refused);
  assert.equal(read("0"), undefined);
});

test("a page ends before it has too many bytes", () => {
  for (const key of ["a", "b", "c", "d", "e"]) put(key, "v".repeat(1024 * 1024));
  const keys = (page) => page.entries.map(({ key }) => key);
  const first = store.scan("", undefined, 1000);
  assert.deepEqual(keys(first), ["a", "b", "c"]);
  const last = store.scan("", first.next, 1000);
  assert.deepEqual(keys(last), ["d", "e"]);
  assert.equal(last.next, undefined);
});
