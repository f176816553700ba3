"use strict";
/* Everything that comes from the vault is put in as text: no name can become markup. */
(() => {
  const $ = (id) => document.getElementById(id);
  const kept = new Map(); // path → {etag, data}
  let token = sessionStorage.getItem("assayfs-token") || "";
  const later = new Map(); // path → the round in which it is worth asking again
  let failing = 0, lastVerdict = null, round = 0, timer = 0;

  // ---- words

  const el = (name, attributes, ...children) => {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {}))
      if (value !== null && value !== undefined) node.setAttribute(key, value);
    node.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
    return node;
  };
  const size = (bytes) => {
    if (typeof bytes !== "number") return "–";
    const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let i = 0;
    while (bytes >= 1024 && i < units.length - 1) { bytes /= 1024; i++; }
    return `${i === 0 || bytes >= 10 ? Math.floor(bytes) : bytes.toFixed(1)} ${units[i]}`;
  };
  const number = (value) => typeof value === "number" ? value.toLocaleString("en") : "–";
  const ago = (ns) => {
    const s = Math.max(0, Math.floor(Date.now() / 1000 - ns / 1e9));
    if (s < 60) return "just now";
    if (s < 3600) return `${Math.floor(s / 60)} min ago`;
    return s < 172800 ? `${Math.floor(s / 3600)} h ago` : `${Math.floor(s / 86400)} days ago`;
  };
  const clock = (ns) => new Date(ns / 1e6).toISOString().slice(0, 19).replace("T", " ");
  const path = (value) => typeof value === "string" ? value : value && value.hex ? value.hex.replace(/../g, (byte) => {
    const code = parseInt(byte, 16);
    return code >= 32 && code < 127 ? String.fromCharCode(code) : `\\x${byte}`;
  }) : "";
  const quoted = (text) => /^[\w./@%+=:,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
  /* As `assayfs cost` prints it: cents, or as many digits as show that it is not nothing. */
  const money = (value) => {
    if (typeof value !== "number") return "–";
    if (value > 0 && value < 0.0001) return "< $0.0001";
    const digits = value >= 0.995 || value <= 0 ? 2 : 4;
    return `$${value.toLocaleString("en", {minimumFractionDigits: digits, maximumFractionDigits: digits})}`;
  };
  const lasting = (s) => s < 90 ? `${Math.round(s * 10) / 10} s` : s < 5400 ? `${Math.round(s / 60)} min` : s < 172800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86400)} days`;
  const several = (count, word) => `${number(count)} ${word}${count === 1 ? "" : "s"}`;
  const moment = (text) => text.slice(0, 16).replace("T", " ");

  /* Only what differs is put in anew, so that focus, selection and a screen reader's place stay. */
  const fill = (node, children) => {
    const box = el("div", {}, ...children);
    if (node.innerHTML !== box.innerHTML) node.replaceChildren(...box.childNodes);
  };
  const show = (id, is) => { $(id).hidden = !is; };

  // ---- asking

  class Refused extends Error {}
  const headers = () => token ? {Authorization: `Bearer ${token}`} : {};
  const get = async (url) => {
    const known = kept.get(url);
    const answer = await fetch(url, {headers: {...headers(), ...(known ? {"If-None-Match": known.etag} : {})},
      cache: "no-store", credentials: "omit", signal: AbortSignal.timeout(8000)});
    if (answer.status === 304 && known) return known.data;
    const data = answer.status === 204 ? null : await answer.json().catch(() => ({}));
    if (answer.status === 401 || answer.status === 403 && url.endsWith("/pulse")) throw new Refused(data.error || "refused");
    /* What may not be told is recorded, so it is not asked for again and again. */
    if (answer.status === 204) later.set(url, round + 30); else if (answer.status === 403) later.set(url, round + 600); else later.delete(url);
    if (answer.status === 204 || answer.status === 403) return null;
    if (answer.status === 503 && known) return known.data;
    if (!answer.ok) throw new Error(data.error || `answer ${answer.status}`);
    const etag = answer.headers.get("ETag");
    if (etag) kept.set(url, {etag, data});
    return data;
  };
  const optional = (url) => later.get(url) > round ? null : get(url).catch((error) => {
    if (error instanceof Refused) throw error;
    return kept.get(url)?.data ?? null;
  });
  const post = async (url, body) => {
    const answer = await fetch(url, {method: "POST", headers: {...headers(), "Content-Type": "application/json"},
      body: JSON.stringify(body), credentials: "omit"});
    const data = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Error(data.error || `answer ${answer.status}`);
    return data;
  };
  const say = (words) => { $("news").textContent = words; };

  // ---- cards

  const tile = (value, name, kind) => el("div", {class: "tile"}, el("b", {class: kind, "data-tile": name}, value), el("span", {class: "dim"}, name));

  const showStatus = (s) => {
    show("flow", true);
    show("keys", true);
    $("vault").textContent = `Vault ${s.vault.slice(0, 8)} · version ${s.version}${s.read_only ? " · read-only" : ""}`;
    const sum = (word) => (s.zones.find((zone) => zone.zone === "Landing")?.outcomes[word]) || 0;
    const arrived = s.zones.find((zone) => zone.zone === "Raw")?.files;
    const refused = sum("failed") + sum("error"), waiting = s.jobs.queued + s.jobs.running;
    fill($("tiles"), [tile(number(arrived), "arrived"), tile(number(s.zones.find((zone) => zone.zone === "Trusted")?.files), "passed"),
      tile(number(refused), "refused", refused ? "bad" : null), tile(number(waiting), "waiting"),
      tile(number(s.quarantined), "in quarantine", s.quarantined ? "warn" : null),
      tile(number(s.versions.count), "versions"), s.alarms && tile(number(s.alarms.alarm), "in alarm", s.alarms.alarm ? "bad" : null),
      s.stale_files ? tile(number(s.stale_files), "stale", "warn") : null].filter(Boolean));
    fill($("stored"), [["On the disk", `${size(s.versions.stored_bytes)}, sealed; ${size(s.free_bytes)} are free`], ["Files as they are now", size(s.versions.current_bytes)],
      ["Versions kept", `${number(s.versions.count)}${s.segments.counted_bytes ? `; ${size(s.segments.reclaimable_bytes)} to be freed` : ""}`]]
      .flatMap(([name, text]) => [el("dt", {}, name), el("dd", {}, text)]));
    show("storage", true);
    fill($("zones"), s.zones.map((zone) => el("tr", {"data-zone": zone.zone}, el("th", {scope: "row"}, zone.zone), ...[number(zone.files), size(zone.bytes),
      number(zone.outcomes.passed), number(zone.outcomes.failed), number(zone.outcomes.error), number(zone.outcomes.pending), number(zone.outcomes.none)]
      .map((text) => el("td", {class: "n"}, text)))));
    const facts = [["Audit window", `${number(Math.round(s.audit.oldest_ms))} ms now, never more than ${number(Math.round(s.audit.most_ms))} ms; ${s.audit.mode}`],
      ["Records durable", number(s.audit.durable)], ["Refused for want of a record", number(s.audit.refused)],
      ["Checks", s.checks_alive ? `confined: ${s.checks_confined}` : "the process that runs them is gone"],
      ["Policy", s.policy ? `number ${s.policy.number}, ${ago(s.policy.time_ns)}; ${several(s.policy.datasets, "dataset")}, ${several(s.policy.workflows, "workflow")}` : "none in force: nothing reaches Trusted"],
      ["Key", s.key ? `${s.key.name || "of this vault"}` : "of this vault, held by the mount alone"],
      ["Backup", s.backup ? `${several(s.backup.targets, "target")}, ${s.backup.state}; ${s.backup.lag_seconds === null ? "what is there is not known yet" : s.backup.lag_seconds > 0 ? `${number(Math.ceil(s.backup.lag_seconds))} s behind` : "all is there"}` : "none"],
      ["Grants beside the roles", number(s.grants?.count)], ["Mounted", ago(s.mounted_ns)]];
    if (s.failed) facts.unshift(["State", "a commit failed: nothing more is written"]);
    fill($("key-facts"), facts.flatMap(([name, text]) => [el("dt", {}, name), el("dd", {}, text)]));
    $("foot").textContent = `assayfs ${s.version} · vault ${s.vault}`;
  };

  const showRefusals = (data) => {
    show("refusals", !!data);
    if (!data) return;
    const items = data.refusals.slice(0, 8).map((item) => {
      const file = path(item.path), where = file || item.dataset || "a file";
      return el("li", {}, el("div", {class: "row"}, el("strong", {}, where), el("span", {class: "dim"}, el("span", {class: item.outcome === "failed" ? "bad" : "warn"}, item.outcome === "failed" ? "refused" : item.outcome), ` · ${ago(item.time_ns)}`)),
        item.reason ? el("div", {}, item.reason) : null, file ? el("code", {}, `assayfs why ${quoted(file)}`) : null);
    });
    fill($("refusal-list"), items.length ? items : [el("li", {class: "dim"}, "None: everything that was judged passed.")]);
  };

  const signs = {GreaterThanThreshold: ">", GreaterThanOrEqualToThreshold: "≥", LessThanThreshold: "<", LessThanOrEqualToThreshold: "≤"};
  const kinds = {ALARM: ["bad", "ALARM"], INSUFFICIENT_DATA: ["warn", "INSUFFICIENT DATA"], OK: ["good", "OK"]};
  const watched = (alarm) => {
    const metric = alarm.metrics[0], of = metric?.dimensions ? `{${metric.dimensions}}` : "";
    const times = alarm.of > 1 ? `, ${alarm.datapoints} of ${alarm.of} times ${lasting(alarm.period_s)}` : ` in ${lasting(alarm.period_s)}`;
    return `${alarm.expression || (metric ? `${metric.statistic} of ${metric.metric}${of}` : "")} ${signs[alarm.comparison] || alarm.comparison} ${alarm.threshold}${alarm.unit ? ` ${alarm.unit}` : ""}${times}`;
  };
  const showAlarms = (data) => {
    show("alarms", !!data);
    if (!data) return;
    const states = Object.keys(kinds), now = Date.now() * 1e6;
    const items = [...data.alarms].sort((a, b) => states.indexOf(a.state) - states.indexOf(b.state)).map((alarm) => {
      const [kind, words] = kinds[alarm.state] || ["dim", alarm.state];
      const notes = [alarm.since_ns ? `since ${ago(alarm.since_ns)}`.replace("since just", "just").replace(/^since (.*) ago$/, "for $1") : "not looked at yet", !alarm.enabled && "nobody is told", alarm.silent_until_ns > now && `silent until ${clock(alarm.silent_until_ns)} UTC`].filter(Boolean);
      return el("li", {"data-alarm": alarm.name, "data-state": alarm.state}, el("div", {class: "row"}, el("strong", {}, alarm.name), el("span", {class: `badge ${kind}`}, words)),
        el("div", {}, watched(alarm), el("span", {class: "dim"}, ` · ${notes.join(" · ")}`)), alarm.state === "ALARM" && alarm.reason ? el("div", {class: "dim"}, alarm.reason) : null);
    });
    fill($("alarm-list"), items.length ? items : [el("li", {class: "dim"}, "No alarm is defined; ‘alarms:’ in policy.yaml does.")]);
  };

  // ---- charts

  const chart = (plot, data) => {
    if (!data || plot.dataset.etag === data.svg) return;
    plot.dataset.etag = data.svg;
    const svg = document.importNode(new DOMParser().parseFromString(data.svg, "image/svg+xml").documentElement, true);
    const rows = data.rows.map((row) => el("tr", {}, el("th", {scope: "row"}, row.name), ...[row.first, row.last, row.least, row.most].map((text) => el("td", {class: "n"}, text))));
    const open = plot.querySelector("details")?.open;
    const details = el("details", open ? {open: ""} : {}, el("summary", {}, `${data.title}: as a table`), el("div", {class: "scroll", tabindex: "0", role: "region", "aria-label": data.title}, el("table", {},
      el("thead", {}, el("tr", {}, ...["Line", "First", "Last", "Least", "Most"].map((text, i) => el("th", {scope: "col", class: i ? "n" : null}, text)))), el("tbody", {}, ...rows))));
    const legend = data.rows.length > 1 ? el("ul", {class: "legend"}, ...data.rows.map((row, i) => el("li", {class: `s${i}`}, `${row.name}: ${row.last}`))) : "";
    plot.replaceChildren(...[svg, legend, details].filter(Boolean));
  };
  /* Drawn for the width that it is shown in, to a few pixels. */
  const chartUrl = (name, plot, more) => {
    const width = Math.min(1200, Math.max(260, Math.round((plot.clientWidth || 560) / 20) * 20));
    return `/api/v1/charts/${name}?${new URLSearchParams({width, ...more})}`;
  };
  const showChart = async (name) => {
    const plot = $(name).querySelector(".plot"), hours = $(`${name}-span`).value;
    show(name, true); // or it has no width to be drawn for
    const data = await optional(chartUrl(name, plot, hours ? {hours} : {}));
    if (data) chart(plot, data);
    else if (!plot.firstChild) plot.replaceChildren(el("p", {class: "empty"}, "Nothing is measured yet; it is each minute."));
  };
  const showCosts = (data) => {
    if (!data) return;
    const list = (facts) => facts.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]);
    fill($("costs"), list([["This month so far", el("strong", {}, money(data.now))], ["At its end", money(data.forecast)], ["On the seed platform", `${money(data.seed.now)} so far, ${money(data.seed.forecast)} at the end`]]));
    fill($("cost-facts"), list([["Storage", money(data.kinds.storage?.now)], ["Requests", money(data.kinds.requests?.now)], ["KMS", money(data.kinds.kms?.now)],
      ["Of it by earlier versions", money(data.versions.now)], ["By backups", data.backups ? money(data.backups.now) : "nothing: there is none"],
      ["Prices", `${data.profile.name}, of ${data.prices.date}${data.prices.old ? " (old)" : ""}`]]));
    fill($("cost-zones"), data.zones.map((zone) => el("tr", {}, el("th", {scope: "row"}, zone.zone || "The vault"),
      ...["storage", "requests", "kms", "now", "forecast"].map((key) => el("td", {class: "n"}, money(zone[key]))))));
  };

  const showDatasets = async (data) => {
    show("quality", !!data);
    if (!data) return;
    const names = data.datasets.map((item) => item.dataset).join("\n");
    if ($("datasets").dataset.names !== names) {
      $("datasets").dataset.names = names;
      $("datasets").replaceChildren(...data.datasets.map((item) => el("div", {"data-dataset": item.dataset}, el("h3", {}, item.dataset), el("p", {}), el("div", {class: "plot"}))));
      if (!data.datasets.length) $("datasets").append(el("p", {class: "dim"}, "The policy names no dataset."));
    }
    for (const [i, item] of data.datasets.entries()) {
      const box = $("datasets").children[i], counts = item.counts, plot = box.querySelector(".plot");
      const words = typeof item.score === "number" ? `${Math.round(item.score * 10) / 10} % of the rules passed last (${item.last_outcome}, ${ago(item.last_ns)}). Of the newest checks ${counts.passed || 0} passed, ${counts.failed || 0} failed${counts.error ? `, ${counts.error} could not be made` : ""}.`
        : "Nothing was judged yet.";
      if (box.querySelector("p").textContent !== words) box.querySelector("p").textContent = words;
      if (i < 6 && item.scores.length) chart(plot, await optional(chartUrl("quality", plot, {dataset: item.dataset})));
    }
  };

  // ---- workflows

  const stateKind = (state) => state === "succeeded" ? "good" : ["queued", "running"].includes(state) ? "dim" : state === "skipped" ? "warn" : "bad";
  const nextWords = (item) => item.next ? `next ${moment(item.next)} ${item.timezone}` : !item.enabled ? "switched off" : item.on === "close" ? "with each arrival" : item.after ? `after ${item.after.join(", ")}` : "by hand";
  const showRuns = (data) => {
    show("runs", !!data);
    show("run-form", isSteward() && !!data?.workflows.length);
    if (!data) return;
    const items = data.workflows.slice(0, 12).map((item) => {
      const last = item.last, counts = last?.counts;
      const told = last?.started ? `last ${moment(last.started)}: ${number(counts.passed)} passed, ${number(counts.failed)} failed${counts.errors ? `, ${number(counts.errors)} errors` : ""}` : "";
      return el("li", {"data-workflow": item.name, "data-state": last?.state}, el("div", {class: "row"}, el("strong", {}, item.name), last ? el("span", {class: `badge ${stateKind(last.state)}`}, last.state) : null),
        el("div", {class: "dim"}, [`${item.dataset}, from ${item.from}`, nextWords(item), told].filter(Boolean).join(" · ")), last?.reason && stateKind(last.state) === "bad" ? el("div", {}, last.reason) : null);
    });
    fill($("run-list"), items.length ? items : [el("li", {class: "dim"}, "The policy names no workflow.")]);
    fill($("workflow"), data.workflows.map((item) => el("option", {}, item.name)));
    show("run-history", data.runs.length > 0);
    fill($("run-rows"), data.runs.slice(0, 12).map((run) => el("tr", {"data-run": run.run}, el("th", {scope: "row"}, String(run.run)), el("td", {}, run.workflow), el("td", {}, run.started ? moment(run.started) : "–"),
      el("td", {class: stateKind(run.state)}, run.state), ...[number(run.counts.passed), number(run.counts.failed), lasting(run.seconds)].map((text) => el("td", {class: "n"}, text)))));
  };

  const isSteward = () => token !== "";
  const showHeld = (data) => {
    show("held", !!data && isSteward());
    if (!data || !isSteward()) return;
    const items = data.quarantine.filter((item) => !item.state || item.state === "held").slice(0, 12).map((item) => {
      const button = el("button", {type: "button", class: "quiet", "data-release": item.id}, "Release…");
      return el("li", {}, el("div", {class: "row"}, el("div", {}, el("strong", {}, `${item.id}: ${path(item.path)}`), el("div", {class: "dim"}, [item.reason, size(item.size), ago(item.time_ns)].filter(Boolean).join(" · "))), button));
    });
    fill($("held-list"), items.length ? items : [el("li", {class: "dim"}, "Nothing is held.")]);
  };

  // ---- the loop

  const announce = (data) => {
    const item = data?.refusals[0];
    if (item) say(`Refused: ${path(item.path) || item.dataset || "a file"}. ${item.reason || ""}`);
  };

  const look = async () => {
    const pulse = await get("/api/v1/pulse");
    show("main", true);
    const isNews = lastVerdict === null || pulse.last_verdict !== lastVerdict;
    const knew = lastVerdict !== null;
    const work = [get("/api/v1/status").then((data) => data && showStatus(data)).catch((error) => { if (error instanceof Refused) throw error; })];
    if (isNews || round % 10 === 0)
      work.push(optional("/api/v1/refusals").then((data) => {
        const isNew = knew && data?.refusals.length && data.refusals[0].time_ns !== kept.get("seen")?.data;
        showRefusals(data);
        if (isNew) announce(data);
        if (data?.refusals.length) kept.set("seen", {data: data.refusals[0].time_ns});
      }), optional("/api/v1/datasets").then(showDatasets));
    if (round % 5 === 0)
      work.push(optional("/api/v1/alarms").then(showAlarms), optional("/api/v1/runs").then(showRuns), optional("/api/v1/costs").then(showCosts));
    if (token && (isNews || round % 5 === 0)) work.push(optional("/api/v1/quarantine").then(showHeld));
    if (round % 30 === 0)
      work.push(showChart("storage"), showChart("cost"));
    await Promise.all(work);
    lastVerdict = pulse.last_verdict;
    show("log", true);
  };

  const tick = async () => {
    clearTimeout(timer);
    let wait = document.hidden ? 15000 : 1000;
    try {
      await look();
      failing = 0;
      show("lost", false);
      if (!$("token-open").dataset.open) show("gate", false);
      $("link").textContent = "live";
      $("link").classList.add("live");
      round++;
    } catch (error) {
      failing++;
      $("link").classList.remove("live");
      if (error instanceof Refused) {
        show("main", false);
        show("gate", true);
        $("gate-why").textContent = error.message;
        $("link").textContent = "nothing is shown";
        wait = 15000;
      } else {
        $("link").textContent = "not connected";
        $("lost").textContent = "Connection lost: what is shown may be old. Trying again…";
        show("lost", failing > 1);
        wait = Math.min(30000, 1000 * 2 ** Math.min(failing, 5));
      }
    }
    timer = setTimeout(tick, wait);
  };

  // ---- what a person does

  const use = (text) => {
    token = text;
    if (text) sessionStorage.setItem("assayfs-token", text); else sessionStorage.removeItem("assayfs-token");
    kept.clear();
    later.clear();
    lastVerdict = null;
    round = 0;
    delete $("token-open").dataset.open;
    tick();
  };
  $("token-open").addEventListener("click", () => {
    const opens = $("gate").hidden;
    if (opens) $("token-open").dataset.open = "1"; else delete $("token-open").dataset.open;
    show("gate", opens);
    $("gate-why").textContent = token ? "A token is in use in this tab." : "";
    if (opens) $("token").focus();
  });
  $("token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    use($("token").value.trim());
    $("token").value = "";
  });
  $("token-forget").addEventListener("click", () => use(""));
  $("run-form").addEventListener("submit", (event) => {
    event.preventDefault();
    post("/api/v1/run", {workflow: $("workflow").value}).then((run) => { $("run-said").textContent = `Run ${run.run} of ${run.workflow} has begun: ${several(run.counts.total, "check")}.`; tick(); }, (error) => { $("run-said").textContent = error.message; });
  });
  for (const name of ["storage", "cost"])
    $(`${name}-span`).addEventListener("change", () => { $(name).querySelector(".plot").replaceChildren(); delete $(name).querySelector(".plot").dataset.etag; showChart(name); });
  $("held-list").addEventListener("click", (event) => {
    const id = event.target.dataset?.release;
    const reason = id && prompt("Why may it be released? The audit log keeps the reason.");
    if (reason) post(`/api/v1/quarantine/${id}/release`, {reason}).then(() => { say("Released."); tick(); }, (error) => alert(error.message));
  });
  $("log-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const query = new URLSearchParams([...new FormData(event.target)].filter(([, value]) => value));
    $("log-said").textContent = "searching…";
    try {
      const answer = await fetch(`/api/v1/log?${query}`, {headers: headers(), cache: "no-store", credentials: "omit"});
      const data = await answer.json();
      if (!answer.ok) throw new Error(data.error);
      fill($("log-rows"), data.records.map((record) => el("tr", {}, el("td", {}, record.time.slice(0, 19).replace("T", " ")), el("td", {}, record.event),
        el("td", {class: record.outcome === "ok" ? null : "bad"}, record.outcome), el("td", {class: "n"}, String(record.uid ?? "")), el("td", {class: "long"}, record.path || ""), el("td", {class: "long"}, record.detail || ""))));
      show("log-box", data.records.length > 0);
      $("log-said").textContent = data.records.length === 1 ? "1 record" : `${data.records.length} records${data.records.length === 100 ? " (the first 100; narrow it down)" : ""}`;
    } catch (error) {
      show("log-box", false);
      $("log-said").textContent = error.message;
    }
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) tick(); });
  tick();
})();
