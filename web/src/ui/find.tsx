/** The search box: what fits, how much of the metric that is, and the way from match to match. */
import type { RefObject } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

export interface Found {
  words: string; // "12 functions match, 34.0 % of …"
  at: string; // "3 of 12", "" before the first
  some: boolean;
}

export function Find(props: {
  field: RefObject<HTMLInputElement>;
  text: string;
  found: Found | null;
  onText: (text: string) => void;
  onStep: (forward: boolean) => void;
  onLeave: () => void;
}) {
  const [typed, setTyped] = useState(props.text);
  // What comes back later than it was typed must not undo what has been typed since.
  const sent = useRef<string[]>([]);
  useEffect(() => {
    const own = sent.current.indexOf(props.text);
    sent.current.splice(0, own < 0 ? Infinity : own + 1);
    if (own < 0) setTyped(props.text);
  }, [props.text]);
  const { found } = props;
  return (
    <div class="search" role="search">
      <input
        ref={props.field}
        type="search"
        aria-label="Search names, files and modules; /…/ is a regular expression"
        placeholder="search (press /)"
        value={typed}
        spellcheck={false}
        autocomplete="off"
        onInput={(event) => {
          sent.current.push(event.currentTarget.value);
          setTyped(event.currentTarget.value);
          props.onText(event.currentTarget.value);
        }}
        onKeyDown={(event) => {
          if (event.key === "Enter") props.onStep(!event.shiftKey);
          else if (event.key === "Escape") {
            setTyped("");
            props.onLeave();
          } else return;
          event.preventDefault();
          event.stopPropagation();
        }}
      />
      <button
        type="button"
        aria-label="previous match"
        title="previous match (Shift+Enter)"
        disabled={!found?.some}
        onClick={() => props.onStep(false)}
      >
        ↑
      </button>
      <button
        type="button"
        aria-label="next match"
        title="next match (Enter)"
        disabled={!found?.some}
        onClick={() => props.onStep(true)}
      >
        ↓
      </button>
      <span class="count" aria-live="polite">
        {found && (found.at ? `${found.at} · ` : "") + found.words}
      </span>
    </div>
  );
}
