/** What a server keeps of its connections while they come and go. */
import { getHeapSpaceStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { ConnectionList } from "../../loop/connection_list.ts";
import { PendingSet } from "../../loop/pending_set.ts";
import type { StreamConnection } from "../../transports/stream_connection.ts";
import { assertEquals, assertLess, assertStrictEquals } from "../std.ts";

const connection = () => ({ place: -1 }) as StreamConnection;

Deno.test("ConnectionList has the connections that were added and not deleted, and when each was made", () => {
  const list = new ConnectionList();
  const [a, b, c, stranger] = [connection(), connection(), connection(), connection()];
  for (const [i, one] of [a, b, c].entries()) list.add(one, i + 0.9);
  const copy = list.all();
  assertEquals([...list], [[a, 0], [b, 1], [c, 2]]);
  list.delete(a);
  list.delete(a);
  list.delete(stranger);
  assertEquals([list.size, [...list], copy.length], [2, [[c, 2], [b, 1]], 3]);
  list.delete(b);
  list.add(a, 3);
  assertEquals([list.size, [...list]], [2, [[c, 2], [a, 3]]]);
  for (const one of list.all()) list.delete(one);
  assertEquals([list.size, list.all()], [0, []]);
});

Deno.test("PendingSet.add() aborts the oldest if there is no room", () => {
  const set = new PendingSet();
  const add = () => set.add(3, () => new Error("older"));
  const [a, b, c] = [add(), add(), add()];
  set.delete(b);
  set.delete(b);
  assertEquals(set.size, 2);
  const d = add();
  const e = add();
  assertEquals([a, b, c, d, e].map(({ signal }) => signal.aborted), [true, false, false, false, false]);
  assertEquals(a.signal.reason.message, "older");
  set.delete(e);
  const f = set.add(1, () => new Error("older"));
  assertEquals([c, d, e, f].map(({ signal }) => signal.aborted), [true, true, false, false]);
  assertEquals(set.size, 1);
  const reason = new Error("over");
  assertEquals([set.abort(reason), set.abort(reason)], [1, 0]);
  assertStrictEquals(f.signal.reason, reason);
  set.delete(f);
  assertEquals([set.size, set.abort(reason)], [0, 0]);
});

/** Returns by how many bytes the old generation has grown at most, while 12,000 members of 10 kB come and go, 16 at a time. */
function growthOf<T extends object>(add: () => T, remove: (member: T) => void): number {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const members: T[] = [];
  const churn = () => {
    for (let i = 0; i < 1000; i++) {
      const member = Object.assign(add(), { payload: new Array(1250).fill(i) });
      if (members.length >= 16) remove(members[i & 15]!);
      members[i & 15] = member;
    }
  };
  const old = () => getHeapSpaceStatistics().find((space) => space.space_name === "old_space")!.space_used_size;
  churn();
  collect(); // Now what is alive is in the old generation.
  const before = old();
  let growth = 0;
  for (let i = 0; i < 12; i++) {
    churn();
    growth = Math.max(growth, old() - before);
  }
  return growth;
}

Deno.test("ConnectionList and PendingSet leave nothing for the next full garbage collection", () => {
  const list = new ConnectionList();
  const add = () => {
    const one = connection();
    list.add(one, 0);
    return one;
  };
  assertLess(growthOf(add, (one) => list.delete(one)), 2_000_000);
  const set = new PendingSet();
  assertLess(growthOf(() => set.add(100, () => new Error()), (one) => set.delete(one)), 2_000_000);
});
