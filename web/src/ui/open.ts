/** How to get to the callers and callees of a place in code. */
import type { Grouping } from "../model";
import type { Change, State } from "./state";
import type { Views } from "./views";

/** What to change to see who calls the group that `place` (a location) is in, and what it calls. */
export function opened(
  views: Views,
  state: State,
  by: Grouping["by"],
  place: number,
): Change {
  // Frames that are hidden have no callers to show.
  const hidden = views.groups(state, by).hidden[place] === 1;
  const shown: Change = hidden ? { interpreter: "show", library: "show" } : {};
  const group = views.groups({ ...state, ...shown }, by).ofLocation[place]!;
  return { ...shown, by, zoom: [], folded: [], source: null, tab: "flame", sandwich: group };
}
