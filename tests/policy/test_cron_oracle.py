#!/usr/bin/env python3
"""Holds the times of random schedules against a search minute by minute in Python's zoneinfo: around every change of
the clock of some zones. The first argument is cron_times; ASSAYFS_TEST_SEED repeats a run."""
import datetime
import os
import random
import subprocess
import sys
import zoneinfo

ZONES = ["America/Vancouver", "America/Los_Angeles", "Australia/Lord_Howe", "Europe/Dublin", "Africa/Casablanca",
         "America/St_Johns", "America/Havana", "Asia/Tehran", "Pacific/Apia", "UTC", "Asia/Kathmandu"]
EPOCH = datetime.datetime(1970, 1, 1)
COUNT = 40


def offset_at(zone, second):
    moment = datetime.datetime.fromtimestamp(second, zone)
    return int(moment.utcoffset().total_seconds())


def changes(zone, first, last):
    """The moments at which the clock is changed, to a quarter of an hour."""
    step, found = 900, []
    before = offset_at(zone, first)
    for at in range(first, last, 6 * 3600):
        if offset_at(zone, at) != before:
            found += [t for t in range(at - 6 * 3600, at + 1, step)
                      if offset_at(zone, t) != offset_at(zone, t - step)]
            before = offset_at(zone, at)
    return found


def one_field(rng, least, most, star):
    if rng.random() < star:
        return "*" if rng.random() < 0.7 else "*/%d" % rng.randint(1, most)
    parts = []
    for _ in range(rng.randint(1, 3)):
        low = rng.randint(least, most)
        high = rng.randint(low, most)
        parts.append(rng.choice(["%d" % low, "%d" % low, "%d-%d" % (low, high),
                                 "%d-%d/%d" % (low, high, rng.randint(1, 7))]))
    return ",".join(parts)


def schedule(rng, hours):
    near = ",".join(str(rng.choice(hours)) for _ in range(rng.randint(1, 3)))
    hour = near if rng.random() < 0.5 else one_field(rng, 0, 23, 0.4)
    return " ".join([one_field(rng, 0, 59, 0.3), hour, one_field(rng, 1, 31, 0.6), one_field(rng, 1, 12, 0.8),
                     one_field(rng, 0, 7, 0.6)])


def values(text, least, most):
    found = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        low, _, high = ("%d-%d" % (least, most) if span == "*" else span).partition("-")
        found |= set(range(int(low), int(high or low) + 1, int(step or 1)))
    return found


def matcher(text):
    names = text.split()
    minutes, hours, days, months, weekdays = (values(names[i], *bounds) for i, bounds in enumerate(
        [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)]))
    weekdays = {day % 7 for day in weekdays}
    both = names[2][0] == "*" or names[4][0] == "*"

    def matches(local):
        if local.minute not in minutes or local.hour not in hours or local.month not in months:
            return False
        day, weekday = local.day in days, local.isoweekday() % 7 in weekdays
        return (day and weekday) if both else (day or weekday)
    return matches, names[0][0] != "*" and names[1][0] != "*"


def expected(text, zone, after, days):
    """A minute of the clock is due when the clock first shows it, or has gone past it; with a star, whenever."""
    matches, is_fixed = matcher(text)
    found, shown = [], None
    first = (after // 60 - 3 * 1440) * 60
    for at in range(first, after + days * 86400, 60):
        local = at + offset_at(zone, at)
        if not is_fixed:
            due = matches(EPOCH + datetime.timedelta(seconds=local))
        else:
            due = False
            for past in range(local if shown is None else shown + 60, local + 60, 60):
                due = due or matches(EPOCH + datetime.timedelta(seconds=past))
            shown = local if shown is None else max(shown, local)
        if due and at > after:
            found.append(at)
            if len(found) == COUNT:
                break
    return found


def times(program, name, after, texts):
    answer = subprocess.run([program, name, str(after), str(COUNT)], input="\n".join(texts) + "\n", text=True,
                            stdout=subprocess.PIPE, check=True, timeout=60).stdout.splitlines()
    assert len(answer) == len(texts), answer
    return answer


def main():
    program = sys.argv[1]
    seed = int(os.environ.get("ASSAYFS_TEST_SEED", random.randrange(1 << 30)))
    print("seed", seed, flush=True)
    rng = random.Random(seed)
    compared = 0
    for name in ZONES:
        zone = zoneinfo.ZoneInfo(name)
        first = int(datetime.datetime(2011 if name == "Pacific/Apia" else 2026, 1, 1).timestamp())
        around = changes(zone, first, first + 2 * 366 * 86400)
        places = rng.sample(around, min(len(around), 3)) + [first + rng.randrange(366 * 86400)]
        for place in places:
            after = place - rng.randrange(2 * 86400)
            hour = (place + offset_at(zone, place - 1)) // 3600 % 24
            texts = [schedule(rng, [hour - 1 if hour else 23, hour, (hour + 1) % 24]) for _ in range(6)]
            for text, line in zip(texts, times(program, name, after, texts)):
                if line.startswith("error") and "never runs" in line:
                    continue
                end = after + 4 * 86400
                wanted = [at for at in expected(text, zone, after, 4)]
                got = [int(word) for word in line.split() if word != "never"]
                got = [at for at in got if at < end][:len(wanted) + 1]
                assert got == wanted, "%s in %s after %d: %s, not %s" % (text, name, after, got, wanted)
                compared += len(wanted)
    print(compared, "times are the same")
    assert compared > 100


if __name__ == "__main__":
    main()
