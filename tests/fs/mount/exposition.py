"""A strict reader of Prometheus' text format 0.0.4 and of OpenMetrics 1.0.0, as far as assayfs writes them."""
import math
import re

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"')
ESCAPES = {'\\"': '"', "\\\\": "\\", "\\n": "\n"}
NUMBER = re.compile(r"NaN|[+-]Inf|[+-]?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?")
# What may follow the name of a family, in either format; of 0.0.4, where the name has the suffix of a counter already.
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "info": ("_info",), "histogram": ("_bucket", "_sum", "_count")}


class Family:
    def __init__(self, name, kind):
        self.name, self.kind, self.unit, self.help, self.samples = name, kind, None, None, []


def unescape(text):
    return re.sub(r'\\["\\n]', lambda found: ESCAPES[found.group()], text)


def read_labels(text):
    labels, at = {}, 0
    while at < len(text):
        found = LABEL.match(text, at)
        assert found, f"no label at {text[at:]!r}"
        assert found.group(1) not in labels, f"label {found.group(1)} twice"
        labels[found.group(1)] = unescape(found.group(2))
        at = found.end()
        if at < len(text):
            assert text[at] == "," and at + 1 < len(text), f"no comma in {text!r}"
            at += 1
    return labels


def read_sample(line):
    """(name, labels, value); the end of the labels is not looked for in a value that holds one."""
    name = NAME.match(line)
    assert name, f"no sample: {line!r}"
    rest, labels = line[name.end():], {}
    if rest.startswith("{"):
        end = re.match(r'\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\]|\\.)*",?)*\}', rest)
        assert end, f"labels without an end: {line!r}"
        labels, rest = read_labels(rest[1:end.end() - 1]), rest[end.end():]
    assert rest.startswith(" ") and NUMBER.fullmatch(rest[1:]), f"no value: {line!r}"
    return name.group(), labels, float(rest[1:])


def check_histogram(family):
    series = {}
    for name, labels, value in family.samples:
        key = tuple(sorted((k, v) for k, v in labels.items() if k != "le"))
        series.setdefault(key, []).append((name[len(family.name):], labels.get("le"), value))
    for key, samples in series.items():
        buckets = [(float(le), value) for suffix, le, value in samples if suffix == "_bucket"]
        assert buckets == sorted(buckets) and buckets[-1][0] == math.inf, f"{family.name}{key}: buckets {buckets}"
        assert all(a[1] <= b[1] for a, b in zip(buckets, buckets[1:])), f"{family.name}{key}: buckets sink"
        assert [s[0] for s in samples[len(buckets):]] == ["_sum", "_count"], f"{family.name}{key}: {samples}"
        assert samples[-1][2] == buckets[-1][1], f"{family.name}{key}: count and last bucket differ"


def read(data, openmetrics=False):
    """{name of the family: Family}; AssertionError for what is neither."""
    text = data.decode("utf-8")
    assert text.endswith("# EOF\n" if openmetrics else "\n"), "no end"
    lines, families, family, seen = text.split("\n")[:-1 - openmetrics], {}, None, set()
    for line in lines:
        assert line and "\r" not in line, f"a line that is none: {line!r}"
        if line.startswith("# TYPE "):
            name, kind = line[7:].split(" ")
            assert NAME.fullmatch(name) and kind in SUFFIXES and name not in families, line
            assert openmetrics or kind != "info", line
            family = families[name] = Family(name, kind)
        elif line.startswith("# UNIT "):
            name, family.unit = line[7:].split(" ")
            assert openmetrics and name == family.name and name.endswith("_" + family.unit), line
            assert not family.samples, line
        elif line.startswith("# HELP "):
            name, family.help = line[7:].split(" ", 1)
            assert name == family.name and not family.samples, line
            assert re.fullmatch(r'(?:[^\\]|\\\\|\\n|\\")*' if openmetrics else r"(?:[^\\]|\\\\|\\n)*", family.help), line
        else:
            assert not line.startswith("#"), f"a comment: {line!r}"
            name, labels, value = read_sample(line)
            suffixes = SUFFIXES[family.kind] if openmetrics or family.kind == "histogram" else ("",)
            assert name in [family.name + suffix for suffix in suffixes], f"{name} in the family {family.name}"
            key = (name, tuple(sorted(labels.items())))
            assert key not in seen, f"twice: {key}"
            seen.add(key)
            family.samples.append((name, labels, value))
    for family in families.values():
        assert family.help, f"{family.name} has no help"
        assert openmetrics or family.kind != "counter" or family.name.endswith("_total"), family.name
        if family.kind == "histogram":
            check_histogram(family)
    return families


def value(families, name, **labels):
    """The sample with just these labels, None without it."""
    for family in families.values():
        for sample, found, number in family.samples:
            if sample == name and found == labels:
                return number
    return None
