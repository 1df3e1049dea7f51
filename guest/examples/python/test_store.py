"""Tests of the properties that the component relies on. Run them on your own store too."""

import unittest
from types import SimpleNamespace

from wasmtime.component import Variant

from store import MAX_BATCH, MAX_KEYS, Conflict, Refused, Store

ANY, ABSENT = Variant("any"), Variant("absent")


def mutation(key, put, expect=ANY, ttl_ms=None):
    return SimpleNamespace(key=key, expect=expect, put=put, ttl_ms=ttl_ms)


class StoreTest(unittest.TestCase):
    def setUp(self):
        self.now_ms = 0
        self.store = Store(lambda: self.now_ms)

    def put(self, key, value=b"value", **how):
        self.store.commit([mutation(key, value, **how)])

    def read(self, key):
        return self.store.get([key])[0]

    def test_of_a_batch_all_happens_or_nothing(self):
        self.put("b")
        with self.assertRaises(Conflict) as conflict:
            self.store.commit([mutation("a", b"new"), mutation("b", b"new", ABSENT)])
        self.assertEqual(conflict.exception.index, 1)
        self.assertIsNone(self.read("a"))
        self.assertEqual(self.read("b").value, b"value")

    def test_only_the_version_that_was_read_is_replaced(self):
        self.put("a")
        read = Variant("at", self.read("a").version)
        self.put("a", b"second", expect=read)
        with self.assertRaises(Conflict):
            self.put("a", b"third", expect=read)
        self.assertEqual(self.read("a").value, b"second")

    def test_a_version_does_not_come_back_with_the_key(self):
        self.put("a")
        first = self.read("a").version
        self.put("a", None)
        self.put("a")
        self.assertNotEqual(self.read("a").version, first)

    def test_a_record_that_has_expired_is_absent(self):
        self.put("a", ttl_ms=10)
        self.now_ms = 9
        self.assertIsNotNone(self.read("a"))
        self.now_ms = 10
        self.assertIsNone(self.read("a"))
        self.assertEqual(self.store.scan("", None, 10).entries, [])
        self.put("a", expect=ABSENT)

    def test_a_counter_is_not_prolonged_by_additions(self):
        self.assertEqual(self.store.add("n", 1, 10), 1)
        self.now_ms = 9
        self.assertEqual(self.store.add("n", 2, 10), 3)
        self.assertEqual(self.read("n").value, b"3")
        self.now_ms = 10
        self.assertEqual(self.store.add("n", 1, 10), 1)

    def test_pages_are_in_order_and_lose_nothing(self):
        for key in ["p/3", "p/1", "q", "p/2", "o"]:
            self.put(key)
        page = self.store.scan("p/", None, 2)
        self.assertEqual([entry.key for entry in page.entries], ["p/1", "p/2"])
        page = self.store.scan("p/", page.next, 2)
        self.assertEqual([entry.key for entry in page.entries], ["p/3"])
        self.assertIsNone(page.next)

    def test_no_call_asks_for_more_than_it_may(self):
        for key in "abcde":
            self.put(key, bytes(1024 * 1024))
        self.assertEqual(len(self.store.get(["a", "b", "c"])), 3)
        for keys in [list("abcd"), ["a"] * 600, ["none"] * (MAX_KEYS + 1)]:
            with self.assertRaises(Refused):
                self.store.get(keys)
        for batch in [
            [mutation(str(number), bytes(1024 * 1024)) for number in range(5)],
            [mutation(str(number), None) for number in range(MAX_BATCH + 1)],
        ]:
            with self.assertRaises(Refused):
                self.store.commit(batch)
        self.assertIsNone(self.read("0"))

    def test_a_page_ends_before_it_has_too_many_bytes(self):
        for key in "abcde":
            self.put(key, bytes(1024 * 1024))
        page = self.store.scan("", None, 1000)
        self.assertEqual([entry.key for entry in page.entries], ["a", "b", "c"])
        page = self.store.scan("", page.next, 1000)
        self.assertEqual([entry.key for entry in page.entries], ["d", "e"])
        self.assertIsNone(page.next)


if __name__ == "__main__":
    unittest.main()
