// duckdb.mjs FILE count|rules THREADS: computes over a CSV what `assayfs check` computes for the same rules, and prints
// the processor's seconds, the wall's, and the row of figures as JSON.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(process.cwd() + "/");
const { DuckDBInstance } = await import(pathToFileURL(require.resolve("@duckdb/node-api")).href);
const [file, what, threads] = process.argv.slice(2);

const table = `read_csv('${file.replaceAll("'", "''")}', delim = ';', quote = '"', header = true, all_varchar = true)`;
const queries = {
  count: `select count(*) as n from ${table}`,
  rules: `select count(*) as n, count(Breed) as breed, count(Color) as color,
    count(*) filter (regexp_full_match("Date", '\\d{4}-\\d{2}-\\d{2}')) as dates, max(length(Name)) as longest,
    count(*) filter (coalesce(Sex, '') in ('F', 'M', 'F/S', 'M/N', 'X', '')) as sexes,
    count(*) filter (State in ('Lost', 'Matched', 'Found')) as states from ${table}`,
};

const instance = await DuckDBInstance.create(":memory:", { threads });
const connection = await instance.connect();
const cpu = process.cpuUsage();
const start = process.hrtime.bigint();
const reader = await connection.runAndReadAll(queries[what]);
const wall = Number(process.hrtime.bigint() - start) / 1e9;
const used = process.cpuUsage(cpu);
const figures = reader.getRowObjects()[0];
console.log(JSON.stringify({ cpu: (used.user + used.system) / 1e6, wall, figures }, (_, v) => typeof v === "bigint" ? Number(v) : v));
