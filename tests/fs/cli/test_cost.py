#!/usr/bin/env python3
"""`assayfs cost` on a mounted vault, and the control requests `costs` and `samples`.

usage: test_cost.py ASSAYFS SOURCE

tests: fs/service/service
"""
import glob
import json
import os
import shutil
import sys
import time

from cli import SOURCE, Tests

if not os.path.exists("/dev/fuse"):
    print("skipped: /dev/fuse is missing")
    sys.exit(77)

CHEAP = ["--argon-mem", "1024", "--argon-ops", "1"]
POLICY = "version: 1\ncosts: {%s}\n"


class CostTests(Tests):
    def mounted(self, *options):
        self.write("pass", "correct horse\n")
        if not os.path.exists(self.path("v")):
            self.assayfs("init", *CHEAP, "--passfile", "pass", "v")
        os.makedirs(self.path("mnt"), exist_ok=True)
        self.assayfs("mount", *options, "--passfile", "pass", "v", "mnt")

    def clean_up(self):
        if f" {self.path('mnt')} " in open("/proc/self/mountinfo", encoding="utf-8").read():
            self.unmount(self.path("mnt"))

    def apply(self, costs, prices=None, code=0):
        os.makedirs(self.path("policy"), exist_ok=True)
        self.write("policy/policy.yaml", POLICY % costs)
        if prices is not None:
            self.write("policy/prices.json", prices)
        return self.assayfs("policy", "apply", "policy", "mnt", code=code)

    def costs(self, *options):
        return json.loads(self.assayfs("cost", "--json", *options, "mnt").stdout)

    def test_the_figures_of_a_real_file_are_plausible(self):
        data = os.environ.get("ASSAYFS_TEST_DATA", "")
        files = glob.glob(os.path.join(data, "vancouver", "*.csv"))
        self.mounted()
        self.apply("profile: s3-standard-ca-central-1, usd_per_gb_month: 1000")
        if files:
            shutil.copy(files[0], self.path("mnt/Landing/a.csv"))
        else:
            self.write("mnt/Landing/a.csv", os.urandom(900000))
        size = os.path.getsize(self.path("mnt/Landing/a.csv"))
        open(self.path("mnt/Landing/a.csv"), "rb").read()
        self.assayfs("sync", "mnt")
        item = self.costs()
        landing = next(zone for zone in item["zones"] if zone["zone"] == "Landing")
        self.check(landing["puts"] == 1, f"{landing['puts']} PUTs and not 1")
        self.check(landing["gets"] >= 1, "the file was opened for reading")
        self.assayfs("umount", "mnt")
        self.mounted()
        first = self.costs()
        time.sleep(2.2)
        item = self.costs()
        zones = {zone["zone"]: zone for zone in item["zones"]}
        landing = zones["Landing"]
        self.check(landing["puts"] == 1, f"{landing['puts']} PUTs and not 1 after a remount")
        self.check(zones["Raw"]["puts"] == 0, "nothing came to Raw")
        # What lay there when it was last kept costs since then: about 2 s of its GB-months.
        grown = landing["gb_months"] - first["zones"][0]["gb_months"]
        hours = item["hours_counted"] - first["hours_counted"]
        self.check(item["hours_counted"] > first["hours_counted"], "time is counted")
        average = grown * 2**30 * self.hours_of_month() / hours
        self.check(size * 0.9 < average < size * 1.2, f"{average:.0f} bytes on average of a file of {size}")
        self.check(abs(item["now"] - sum(zone["now"] for zone in item["zones"])) < 1e-9, "zones add up")
        self.check(item["forecast"] > item["now"] > 0, "the month goes on")
        self.check(item["backups"] is None, "there is no backup, so no figure")
        whole = sum(row["now"] for row in item["seed"]["services"])
        self.check(abs(item["seed"]["now"] - whole) < 1e-9, "services add up")

    def hours_of_month(self):
        now = time.gmtime()
        following = (now.tm_year + now.tm_mon // 12, now.tm_mon % 12 + 1)
        days = (time.mktime((*following, 1, 12, 0, 0, 0, 0, 0)) - time.mktime((now.tm_year, now.tm_mon, 1, 12, 0, 0, 0, 0, 0)))
        return round(days / 86400) * 24

    def test_charges_survive_a_remount_and_time_without_a_mount_counts(self):
        self.mounted()
        self.costs()
        self.assayfs("umount", "mnt")
        time.sleep(1.5)
        self.mounted()
        hours = self.costs()["hours_counted"]
        self.check(hours * 3600 >= 1, f"{hours * 3600:.1f} s are counted")

    def test_the_table_names_prices_their_date_and_their_source(self):
        self.mounted()
        out = self.assayfs("cost", "mnt").out
        for words in ("this-disk", "2026-07-01", "assumed", "Landing", "Together", "Glue data quality", "no backup"):
            self.check(words in out, f"'{words}' is not in it")
        self.check("\x1b" not in out, "no colour")
        out = self.assayfs("cost", "--profile", "s3-standard-ca-central-1", "mnt").out
        self.check("AWS Price List API" in out, "the source of the profile asked for")
        out = self.assayfs("cost", "--profiles", "mnt").out
        self.check("s3-deep-archive-us-east-1" in out, "profiles are listed")
        done = self.assayfs("cost", "--profile", "s3-moon", "mnt", code=1)
        self.check("no profile 's3-moon'" in done.err, done.err)

    def test_a_price_file_comes_with_the_policy(self):
        self.mounted()
        with open(os.path.join(SOURCE, "policy", "prices.json"), encoding="utf-8") as file:
            prices = file.read()
        self.apply("prices: prices.json, profile: s3-standard-us-east-1", prices.replace("2026-07-01", "2020-01-01", 1))
        done = self.assayfs("cost", "mnt")
        self.check("prices.json of 2020-01-01" in done.out, "its date")
        self.check("older than a year" in done.out, "its age")
        done = self.apply("prices: prices.json", prices.replace('"usd": 0.44', '"usd": -1'), code=1)
        self.check("prices.json:" in done.err and "from 0" in done.err, done.err)
        done = self.apply("profile: s3-moon", code=1)
        self.check("policy.yaml:2:" in done.err, done.err)

    def test_samples_of_a_minute_are_told_and_bad_questions_refused(self):
        if os.getuid() != 0:
            return
        self.mounted()
        self.write("mnt/Landing/a", "words")
        begin = int(time.time())
        good = {"series": "CurrentBytes", "labels": "zone=Landing", "from_s": begin - 60, "to_s": begin + 600, "period_s": 60}
        bad = [{"series": 7}, {"labels": 7}, {"from_s": -1}, {"to_s": "now"}, {"period_s": 61}, {"period_s": 0},
               {"to_s": begin + 10**8}, {"to_s": begin - 120}, {"from_s": 10**18}, {"series": None}]
        for change in bad:
            items, end, words = self.ask("samples", **{**good, **change})
            self.check(end < 0 and not items and words, f"{change}: {items} {end} {words}")
        for profile in (7, [], {}):
            self.check(self.ask("costs", profile=profile)[1] < 0, f"costs of profile {profile}")
        self.check(self.ask("samples", **{**good, "series": "Nothing"})[0] == [{**good, "series": "Nothing", "points": []}], "no such series")
        points = []
        while not points and time.time() < begin + 75:
            time.sleep(1)
            points = self.ask("samples", **good)[0][0]["points"]
        self.check(len(points) == 1 and points[0]["sum"] == 5 and points[0]["count"] == 1, f"{points}")
        self.check(points and points[0]["time_s"] % 60 == 0, f"{points}")
        year = {**good, "from_s": begin - 365 * 86400, "period_s": 86400}
        self.check(len(self.ask("samples", **year)[0][0]["points"]) == 1, "by days")

    def test_a_mount_for_reading_reckons_too(self):
        self.mounted()
        self.costs()
        self.assayfs("umount", "mnt")
        self.mounted("-o", "ro")
        self.check(self.costs()["currency"] == "USD", "figures")


if __name__ == "__main__":
    sys.exit(CostTests().run())
