#!/usr/bin/env python3
"""Metrics over time: deliveries that are held against those before them.

usage: test_history.py ASSAYFS SOURCE
"""
import sys

from gate import GateTests

POLICY = """version: 1
datasets:
  - {name: animals, match: "animals/*.csv", rules: animals.dqdl, settle: 0s}
workflows:
  - {name: arrive, dataset: animals, from: Landing, to: Trusted, on: close}
  - {name: again, dataset: animals, from: Raw, to: Trusted, on: demand}
"""
RULES = """Rules = [ RowCount > avg(last(3)) * 0.5 ]
Analyzers = [ AllStatistics "a", Mean "b" ]
"""


def table(rows):
    return b"a\n" + b"".join(b"%d\n" % i for i in range(rows))


class HistoryTests(GateTests):
    def delivered(self, name, rows, outcome="passed"):
        path = f"Landing/animals/{name}"
        self.put(path, table(rows))
        self.idle()
        self.outcome(path, outcome)
        return self.assayfs("why", self.at(path), code=0 if outcome == "passed" else 1).out

    def test_three_deliveries_decide_on_the_next(self):
        self.mounted(POLICY, RULES)
        first = self.delivered("a.csv", 20)
        self.check("passed  RowCount > avg(last(3)) * 0.5\n      not compared: there is no history yet" in first, first)
        self.check('measured  AllStatistics "a"' in first and "Column.a.Maximum = 19\n" in first, first)
        self.check('not measured  Mean "b"\n      the table has no column "b"' in first, first)
        self.delivered("b.csv", 30)
        third = self.delivered("c.csv", 40)
        self.check("not compared" not in third, third)
        short = self.delivered("d.csv", 15, "failed")
        self.check("RowCount is 15; the rule wants > avg(last(3)) * 0.5, which is > 15" in short, short)
        self.check(self.get("Trusted/animals/d.csv") is None, "what failed is in Trusted")
        for rows in range(10, 15):  # nor does it become ordinary by being sent again and again
            self.delivered("d.csv", rows, "failed")
        self.delivered("d.csv", 16)
        self.check(self.get("Trusted/animals/d.csv") == table(16), "what passed is not in Trusted")
        self.put("Trusted/animals/e.csv", table(30))  # the average is 28.67 by now
        self.assayfs("umount", "mnt")
        self.assayfs("fsck", "--passfile", "pass", "v")
        self.mount()
        after = self.delivered("f.csv", 14, "failed")
        self.check("which is > 14.3333" in after, after)

    def test_an_earlier_verdict_is_used_again_while_all_is_the_same(self):
        self.mounted(POLICY, "Rules = [ RowCount > last() * 0.5 ]\n")
        self.delivered("a.csv", 20)
        self.assayfs("run", "again", "mnt")
        self.idle()
        why = self.assayfs("why", self.at("Raw/animals/a.csv")).out
        self.check("not compared" not in why and "the rule passed" in why, why)
        before = self.why("Raw/animals/a.csv")["verdict"]
        self.assayfs("run", "again", "mnt")
        self.idle()
        after = self.why("Raw/animals/a.csv")["verdict"]
        self.check(before["job"] == after["job"] and before["finished"] < after["finished"], f"{before}\n{after}")


if __name__ == "__main__":
    sys.exit(HistoryTests().run())
