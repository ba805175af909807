/** Where the data comes from: this very file, or the server that the page is from. */
import { decode, fromBase64, type Dataset } from "../model";
import type { State } from "./state";

const ELEMENT = "heaptide-data";

/** Whether a server answers for what is not in the page. */
export const isServed = (): boolean => document.getElementById(ELEMENT) === null;

/** What a server is asked for: spans are finer where the timeline is looked at, and part where the range ends. */
export function wantedTimes({ seen, range }: Pick<State, "seen" | "range">): string {
  const parts = seen ? [`from=${seen[0]}`, `to=${seen[1]}`] : [];
  parts.push(...(range ?? []).map((time) => `cut=${time}`));
  return parts.length ? `?${parts.join("&")}` : "";
}

/**
 * The data; of a server with the times that are `wanted`. Rejects with an Error whose message says
 * what is wrong, for a person.
 */
export async function load(wanted: string): Promise<Dataset> {
  const element = document.getElementById(ELEMENT);
  if (!element) return decode(await fetched(wanted));
  let bytes: Uint8Array;
  try {
    bytes = fromBase64(element.textContent ?? "");
  } catch {
    throw new Error("its data is damaged");
  }
  element.remove(); // its text is as large as the file
  return decode(bytes);
}

async function fetched(wanted: string): Promise<Uint8Array> {
  let answer: Response;
  try {
    answer = await fetch(`data${wanted}`);
  } catch {
    throw new Error("the server does not answer; is heaptide still running?");
  }
  if (!answer.ok) throw new Error(`the server answers ${answer.status} ${answer.statusText}`);
  return new Uint8Array(await answer.arrayBuffer());
}

/** Call `changed` whenever the server says that there is more. Returns what ends it. */
export function follow(changed: () => void, ended: () => void): () => void {
  const source = new EventSource("events");
  source.onmessage = changed;
  source.addEventListener("end", () => {
    source.close();
    ended();
  });
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED) ended();
  };
  return () => source.close();
}
