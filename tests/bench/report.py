"""The tables of scripts/bench."""
import statistics

from filesystems import PEERS
from workloads import WORKLOADS

SPEEDS_OF_OTHERS = ["gocryptfs", "securefs"]
RSS_GOAL_MIB = 300
AUDIT_GOAL = 0.05  # more time than without it


def median(figures, name, fs):
    values = figures.get(name, {}).get(fs)
    return statistics.median(values) if values else None


class Judged:
    """A row: medians, ratios, and what became of the goals."""

    def __init__(self, workload, figures):
        self.workload = workload
        self.speeds = {fs: median(figures, workload.name, fs) for fs in PEERS}
        self.ours = self.speeds["assayfs"]
        others = [self.speeds[o] for o in SPEEDS_OF_OTHERS if self.speeds[o]]
        self.best = max(others, default=None)
        self.better = self.ours / self.best if self.ours and others else None
        self.share = self.ours / self.speeds["nothing"] if self.ours and self.speeds["nothing"] else None

    def disk_is_the_limit(self):
        """The plain folder itself is no faster than the share that is asked for."""
        native, nothing = self.speeds["native"], self.speeds["nothing"]
        return bool(native and nothing and native < self.workload.share * nothing)

    def native_note(self):
        """Said of a goal that the plain folder itself does not reach: no layer over it can."""
        native = self.speeds["native"]
        return f" (native: {native / self.best:.1f}x)" if native and native < self.workload.better * self.best else ""

    def goals(self):
        """(words, met) of each goal that could be judged."""
        w = self.workload
        if w.below is not None and self.ours is not None:
            yield f"< {w.below:g} {w.unit}", self.ours < w.below
        if w.better is not None and self.better is not None:
            yield f"{w.better:g}x{self.native_note()}", self.better >= w.better
        if w.gocryptfs is not None and self.ours and self.speeds["gocryptfs"]:
            yield f"{w.gocryptfs:g}x gocryptfs", self.ours / self.speeds["gocryptfs"] >= w.gocryptfs
        if w.share is not None and self.share is not None and not self.disk_is_the_limit():
            yield f"{w.share:g}n", self.share >= w.share


def number(value):
    if value is None:
        return "–"
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def row_of(judged, memory):
    goals = list(judged.goals())
    missed = [words for words, met in goals if not met]
    verdict = "–" if not goals else "met" if not missed else "not met: " + ", ".join(missed)
    w = judged.workload
    return [w.name, w.unit, *(number(judged.speeds[fs]) for fs in PEERS if fs != "no-audit"),
            number(judged.better) + ("x" if judged.better else ""), number(judged.share) + ("n" if judged.share else ""),
            ", ".join(words.partition(" (")[0] for words, _ in goals) or "–", verdict, number(memory)]


HEAD = ["workload", "unit", "native", "nothing", "gocryptfs", "securefs", "assayfs", "of the better", "of nothing", "goal", "",
        "RSS, MiB"]


def table(rows, head):
    """Markdown that reads as a table in a terminal, too."""
    widths = [max(len(str(row[i])) for row in [head, *rows]) for i in range(len(head))]
    lines = ["| " + " | ".join(str(cell).ljust(width) for cell, width in zip(row, widths)) + " |" for row in [head, *rows]]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def rows_of(kept):
    for name, workload in WORKLOADS.items():
        if name in kept.figures:
            peaks = kept.memories.get(name, {}).get("assayfs")
            yield row_of(Judged(workload, kept.figures), max(peaks) if peaks else None)


def more_of(less, more):
    """How much more `more` is than `less`, figures of the same rounds: the median, and words with the standard error of the
    mean. A round's two stand beside each other in time, so that what the machine does besides is mostly in both. None where
    there is nothing to tell it by."""
    if len(less) != len(more) or not all(less):
        return None
    ratios = [m / l - 1 for l, m in zip(less, more)]
    error = f" ± {statistics.stdev(ratios) / len(ratios) ** 0.5:.1%}" if len(ratios) > 1 else ""
    return statistics.median(ratios), f"{statistics.median(ratios):.1%}{error}"


def audit_rows(kept):
    """What the audit log costs: of time, and of the daemon's processor time, which a busy machine disturbs less."""
    for name, figures in kept.figures.items():
        without, ours = figures.get("no-audit"), figures.get("assayfs")
        is_rate = WORKLOADS[name].below is None
        cost = more_of(*((ours, without) if is_rate else (without, ours))) if without and ours else None
        if not cost:
            continue
        busy = kept.processor.get(name, {})
        processor = more_of(busy.get("no-audit", []), busy.get("assayfs", [])) if busy.get("no-audit") else None
        yield [name, WORKLOADS[name].unit, number(statistics.median(without)), number(statistics.median(ours)), cost[1],
               processor[1] if processor else "–", "met" if cost[0] < AUDIT_GOAL else f"not met: < {AUDIT_GOAL:.0%}"]


def report(kept):
    """The tables as text. `kept`: figures, memories and processor times, {workload: {file system: [of each round]}}."""
    text = table(list(rows_of(kept)), HEAD)
    peaks = [max(m["assayfs"]) for m in kept.memories.values() if m.get("assayfs")]
    if peaks:
        met = "met" if max(peaks) < RSS_GOAL_MIB else "not met"
        text += f"\n\nPeak memory of assayfs: {max(peaks):.0f} MiB (goal: < {RSS_GOAL_MIB} MiB, {met})."
    rows = list(audit_rows(kept))
    if rows:
        text += "\n\n" + table(rows, ["workload", "unit", "without audit", "assayfs", "cost ± error", "of the processor", ""])
    return text
