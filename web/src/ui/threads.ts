/** Threads that are alike, told as one: a server may have one for each request. */
import { count, type Header } from "../model";
import { clean } from "./text";

export interface Alike {
  name: string; // cleaned
  ids: number[]; // as in sample.thread
  beside: string; // how many they are, or the id of the one
}

/** In order of the first of each. */
export function alikeThreads(header: Header): Alike[] {
  const ids: number[][] = header.alike.map(() => []);
  header.threads.forEach((thread, row) => ids[thread.like]?.push(row + 1));
  return header.alike.flatMap((name, like) => {
    const of = ids[like]!;
    if (!of.length) return [];
    const { tid } = header.threads[of[0]! - 1]!;
    const beside = of.length > 1 ? `${count(of.length)} threads` : tid ? String(tid) : "";
    return [{ name: clean(name) || "thread", ids: of, beside }];
  });
}
