/** All figures of the recording, each with its words. */
import { bothSizes, count, duration, signed, signedPercent, type Header } from "../model";

type Kind = "bytes" | "count" | "seconds";

const FIELDS: [string, string, Kind][] = [
  ["duration_seconds", "total runtime", "seconds"],
  ["allocations", "allocations", "count"],
  ["reallocations", "reallocations", "count"],
  ["deallocations", "deallocations", "count"],
  ["total_bytes", "allocated in total", "bytes"],
  ["copied_bytes", "copied by realloc", "bytes"],
  ["temporary_allocations", "temporary allocations: freed before the next one", "count"],
  ["short_lived_allocations", "short-lived allocations: freed before 8 more", "count"],
  ["peak_bytes", "peak heap", "bytes"],
  ["peak_blocks", "blocks at the peak", "count"],
  ["peak_time_seconds", "moment of the peak", "seconds"],
  ["peak_rss_bytes", "peak RSS", "bytes"],
  ["alive_at_exit_bytes", "alive at the end", "bytes"],
  ["alive_at_exit_allocations", "blocks alive at the end", "count"],
  ["leaked_bytes", "leaked", "bytes"],
  ["processes", "processes", "count"],
  ["threads", "threads", "count"],
];

function written(value: number | null | undefined, kind: Kind): string {
  if (value === null || value === undefined) return "not known";
  if (kind === "bytes") return bothSizes(value);
  return kind === "seconds" ? duration(value) : count(value);
}

export function Summary({ header }: { header: Header }) {
  const { summary, diff } = header;
  const fields = FIELDS.filter(([name]) => name in summary || (diff && name in diff.summary));
  return (
    <table class="plain summary">
      <caption>All of the recording, whatever is chosen above</caption>
      <thead>
        <tr>
          <th scope="col">figure</th>
          {diff && (
            <th scope="col" class="figure">
              before
            </th>
          )}
          <th scope="col" class="figure">
            {diff ? "after" : "value"}
          </th>
          {diff && (
            <th scope="col" class="figure">
              difference
            </th>
          )}
        </tr>
      </thead>
      <tbody>
        {fields.map(([name, words, kind]) => {
          const now = summary[name];
          const before = diff?.summary[name];
          return (
            <tr key={name}>
              <th scope="row">{words}</th>
              {diff && <td class="figure">{written(before, kind)}</td>}
              <td class="figure">{written(now, kind)}</td>
              {diff && <td class="figure">{difference(now, before, kind)}</td>}
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

function difference(
  now: number | null | undefined,
  before: number | null | undefined,
  kind: Kind,
): string {
  if (typeof now !== "number" || typeof before !== "number") return "not known";
  const change = now - before;
  if (!change) return "none";
  const part = before ? ` (${signedPercent(change / before)})` : "";
  if (kind !== "seconds") {
    return signed(change, kind === "bytes" ? "bytes" : "allocations") + part;
  }
  return (change < 0 ? "−" : "+") + duration(Math.abs(change)) + part;
}
