/* The page in a real Chromium. usage: node page.mjs URL ASSAYFS MOUNT SPOIL OUT: SPOIL is a shell command that makes a
 * refusal, OUT: where screenshots go, "" for none. Faults on standard output, one a line. */
import { execFileSync, execSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.cwd(), "package.json"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const [url, assayfs, mount, spoilCommand, out] = process.argv.slice(2);
const printed = (...words) => JSON.parse(execFileSync(assayfs, [...words, "--json", mount]));
const fault = (words) => console.log(`fault: ${words}`);
const ARGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];

const open = async (scheme, width, bypassCSP) => {
  const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ARGS }); /* with a profile of its own, which goes with it */
  const context = await browser.newContext({ colorScheme: scheme, viewport: { width, height: 900 }, bypassCSP });
  const page = await context.newPage();
  const seen = { bytes: 0, urls: [] };
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && fault(`console: ${message.text()} ${message.location().url}`));
  page.on("pageerror", (error) => fault(`the page's script: ${error.message}`));
  page.on("request", (request) => { if (!request.url().startsWith(url) && !request.url().startsWith("data:")) fault(`a request elsewhere: ${request.url()}`); });
  page.on("requestfinished", async (request) => {
    const sizes = await request.sizes().catch(() => null);
    if (sizes) seen.bytes += sizes.responseBodySize + sizes.responseHeadersSize;
  });
  await page.goto(url);
  await page.waitForSelector("#link.live", { timeout: 20000 });
  for (const card of ["#datasets", "#storage", "#cost"]) await page.waitForSelector(`${card} .chart`, { timeout: 20000 });
  const end = () => browser.close();
  return { page, seen, end };
};

/* As it is served, with its own policy for content. */
const look = async () => {
  const { page, seen, end } = await open("light", 1280, false);
  const paint = await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime);
  console.log(`first contentful paint ${Math.round(paint)} ms, loaded ${seen.bytes} bytes`);
  if (!(paint < 1000)) fault(`first contentful paint after ${paint} ms`);
  if (seen.bytes > 200000) fault(`${seen.bytes} bytes were loaded`);
  const facts = printed("status");
  for (const zone of facts.zones) {
    const files = await page.textContent(`[data-zone=${zone.zone}] td`);
    if (files !== String(zone.files)) fault(`${zone.zone}: the page says ${files} files, status ${zone.files}`);
  }
  const tile = async (name) => page.textContent(`[data-tile="${name}"]`);
  if (await tile("in quarantine") !== String(facts.quarantined)) fault(`quarantine: ${await tile("in quarantine")}, status ${facts.quarantined}`);
  if (await tile("versions") !== facts.versions.count.toLocaleString("en")) fault(`versions: ${await tile("versions")}`);
  if (await page.locator("#refusal-list b, #refusal-list script").count()) fault("a name became markup");

  for (const alarm of printed("alarm", "list").alarms) {
    const row = page.locator(`[data-alarm="${alarm.name}"]`);
    if (await row.getAttribute("data-state") !== alarm.state) fault(`alarm ${alarm.name}: the page says ${await row.textContent()}, the command ${alarm.state}`);
    if (alarm.state === "ALARM" && !(await row.textContent()).includes(alarm.reason)) fault(`alarm ${alarm.name}: no reason on the page`);
  }
  if (await tile("in alarm") !== String(facts.alarms.alarm)) fault(`alarms: ${await tile("in alarm")}, status ${facts.alarms.alarm}`);
  const runs = printed("runs"), minute = (text) => text.slice(0, 16).replace("T", " ");
  for (const workflow of runs.workflows) {
    const said = await page.textContent(`[data-workflow="${workflow.name}"]`);
    for (const part of [workflow.next && minute(workflow.next), workflow.last?.state, workflow.last && `${workflow.last.counts.passed} passed, ${workflow.last.counts.failed} failed`])
      if (part && !said.includes(part)) fault(`workflow ${workflow.name}: the page says ${said}, not ${part}`);
  }
  const rows = await page.locator("#run-rows tr").evaluateAll((found) => found.map((row) => row.dataset.run));
  if (rows.join() !== runs.runs.slice(0, 12).map((run) => run.run).join()) fault(`runs: the page has ${rows}`);
  const costs = printed("cost"), number = async (selector) => Number((await page.textContent(selector)).replace(/[^0-9.]/g, ""));
  if (Math.abs(await number("#costs dd") - costs.now) > 1e-4 + costs.now / 100) fault(`costs: the page says ${await page.textContent("#costs dd")}, the command ${costs.now}`);
  if (await page.locator("#cost-zones tr").count() !== costs.zones.length) fault("costs: not all zones are on the page");

  const before = await page.textContent("#refusal-list li:first-child strong");
  execSync(spoilCommand); /* returns when the refusal is there */
  const began = Date.now();
  while (Date.now() - began < 15000 && await page.textContent("#refusal-list li:first-child strong") === before) await page.waitForTimeout(20);
  console.log(`a refusal is shown after ${Date.now() - began} ms`);
  if (Date.now() - began > 2000) fault(`a refusal was shown after ${Date.now() - began} ms only`);
  if (!(await page.textContent("#news")).startsWith("Refused: ")) fault("the refusal was not announced");

  /* By keyboard alone: each thing that can be used is reached, and seen to be. */
  const reached = [];
  await page.evaluate(() => { document.activeElement.blur(); scrollTo(0, 0); });
  for (let i = 0; i < 40; i++) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate(() => { const e = document.activeElement, s = getComputedStyle(e); return { id: e.id || e.tagName, ring: s.outlineStyle !== "none" }; });
    if (at.id === "BODY") break;
    if (!at.ring) fault(`no focus is to be seen on ${at.id}`);
    reached.push(at.id);
  }
  for (const id of ["token-open", "log-path", "log-event", "log-outcome", "log-since"]) if (!reached.includes(id)) fault(`the keyboard does not reach ${id}: ${reached}`);
  await page.focus("#log-event");
  await page.keyboard.type("verdict");
  await page.keyboard.press("Enter");
  await page.waitForSelector("#log-rows tr", { timeout: 5000 }).catch(() => fault("the search of the log finds nothing"));
  await end();
};

/* The whole page, or as much of it as a long phone shows. */
const picture = async (page, width, path) => {
  if (width === 360) await page.setViewportSize({ width, height: 1500 });
  await page.screenshot({ path, fullPage: width > 360 });
};

/* axe has to be let in past the policy for content; else the same page. */
const hold = async (scheme, width) => {
  const { page, end } = await open(scheme, width, true);
  await page.evaluate(axe);
  const result = await page.evaluate(() => globalThis.axe.run());
  for (const violation of result.violations) fault(`axe ${scheme} ${width}: ${violation.id}: ${violation.nodes.map((node) => node.target).join(" ")}`);
  const beyond = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  if (beyond > 0) fault(`${scheme} ${width}: ${beyond} px too wide`);
  const name = width > 360 ? scheme : scheme === "light" ? "phone" : "phone-dark";
  if (out) await picture(page, width, join(out, `page-${name}.png`));
  await end();
};

try {
  await look();
  for (const scheme of ["light", "dark"]) for (const width of [1280, 360]) await hold(scheme, width);
} catch (error) {
  fault(String(error).split("\n")[0]);
}
process.exit(0);
